"""tf.saved_model.simple_save: what a session computes between some tensors of its graph, saved as a function.

The part of the graph becomes a Python function, the same walk a session's run makes, and is traced like any other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError, UnimplementedError
from cltensor.core.dispatch import eagerly, state
from cltensor.core.tensor import Tensor
from cltensor.graph.graph import GRADIENTS, Graph
from cltensor.graph.nodes import needed
from cltensor.graph.tensor_spec import TensorSpec
from cltensor.graph.walk import rebound, walk
from cltensor.interpret.record import Symbol
from cltensor.ops.variable import Variable
from cltensor.saved_model import folder
from cltensor.saved_model.load import DEFAULT
from cltensor.saved_model.save import bundle_of, trace_readings
from cltensor.saved_model.trace import Store

__all__ = ["simple_save"]


def simple_save(session: Any, export_dir: Any, inputs: Any, outputs: Any, legacy_init_op: Any = None) -> None:
    """Writes the part of a session's graph between `inputs` and `outputs` as a function, with its variables' values.

    Args:
        session: a `tf.Session`.
        export_dir: folder, as for `save`.
        inputs: dict of name -> tensor of the graph that will be fed, most often a placeholder. What is None in its
            shape may vary; its rank must be known.
        outputs: dict of name -> tensor: what the loaded function returns.

    Raises: FailedPreconditionError for a variable that is not initialised; InvalidArgumentError for a tensor of
        another graph, or a placeholder that is needed and not among the inputs; as `save`.

    Example:
        >>> import cltensor as tf, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with tf.Session() as sess:
        ...     x = tf.placeholder(tf.float32, [None, 2])
        ...     w = tf.Variable([[1.], [2.]])
        ...     y = tf.matmul(x, w)
        ...     _ = sess.run(tf.global_variables_initializer())
        ...     tf.saved_model.simple_save(sess, folder, {"x": x}, {"y": y})
        >>> tf.saved_model.load(folder)(x=[[3., 4.]])["y"].numpy().tolist()
        [[11.0]]
    """
    for what, given in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(given, Mapping) or not all(isinstance(k, str) for k in given):
            raise InvalidArgumentError(f"saved_model.simple_save: {what} must be a dict of name -> tensor, "
                                       f"{given!r:.60} is not")
    graph = session.graph
    fed = {name: _symbol(graph, name, x) for name, x in inputs.items()}
    wanted = {name: _symbol(graph, name, x) for name, x in outputs.items()}
    body = _part(graph, list(fed.values()), wanted)
    specs = [TensorSpec(s.spec.shape, s.dtype, name) for name, s in fed.items()]
    with eagerly():
        store = Store(lambda v: v.name.removesuffix(":0"))
        traced = trace_readings(DEFAULT, body, list(fed), specs, store)
        folder.write(os.fspath(export_dir), bundle_of({DEFAULT: traced}, store))


def _symbol(graph: Graph, name: str, x: Any) -> Any:
    if isinstance(x, Variable):
        with eagerly():
            return graph.read(x, x.held)
    if isinstance(x, Symbol) and x.uid not in graph.owned or not isinstance(x, Tensor):
        raise InvalidArgumentError(f"saved_model.simple_save: {name!r} is {x!r:.60}, not a tensor of the session's "
                                   "graph")
    return x


def _part(graph: Graph, fed: list, wanted: dict[str, Any]) -> Callable:
    """The nodes between some symbols as a function of tensors that returns a dict."""
    nodes = needed(graph, list(wanted.values()), {s.uid for s in fed})
    read = {x.uid for n in nodes for x in n.inputs if isinstance(x, Tensor)} | {x.uid for x in wanted.values()}
    read |= {x.uid for n in nodes if n.op is GRADIENTS for x in dict(n.attrs)["xs"]}
    made = {o.uid for n in nodes for o in n.outputs}
    states = [s for s in graph.variables.values() if s.start.uid in read]
    assigned = {id(graph.assignments[u]): (graph.assignments[u], u) for u in made if u in graph.assignments}
    for v in [s.variable for s in states]:
        if id(v) in graph.uninitialized:
            raise FailedPreconditionError(f"saved_model.simple_save: variable {v.name} is not initialised; run "
                                          "tf.global_variables_initializer() first")
    known = made | {s.uid for s in fed} | {s.start.uid for s in states}
    missing = [x for x in wanted.values() if isinstance(x, Symbol) and x.uid not in known]
    missing += [x for n in nodes for x in n.inputs if isinstance(x, Symbol) and x.uid not in known]
    if missing:
        raise InvalidArgumentError(f"saved_model.simple_save: the outputs depend on the placeholder {missing[0]}, "
                                   "which is not among the inputs")

    def body(*tensors: Tensor) -> dict[str, Any]:
        env: dict[int, Any] = {s.uid: t for s, t in zip(fed, tensors)}
        for s in states:
            env.setdefault(s.start.uid, s.variable.current())
        if walk(graph, nodes, env):
            raise UnimplementedError("saved_model.simple_save: the outputs depend on an operation that calls Python, "
                                     "as an initializer does; it cannot be saved")
        for record in graph.records:
            if all(u in env for u in record.out_uids):
                state.interpreter.record_custom(rebound(record, env))
        for variable, uid in assigned.values():
            variable.assign(env[uid])
        return {name: env.get(x.uid, x) for name, x in wanted.items()}
    return body
