"""Graph: ops recorded to be run later, by a Session, as TensorFlow 1.x does.

A graph is a recording in which variables are operations: reading gives the value a run starts from,
assigning gives an operation that counts only in runs that reach it. Shapes may be unknown until values
are fed, so nothing is computed from them here: gradients are one deferred node, expanded when a run knows
the shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.base import nest
from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import InvalidArgumentError
from cltensor.core import mode
from cltensor.core.dispatch import state
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert
from cltensor.graph import example
from cltensor.graph.nodes import GRADIENTS, LATER
from cltensor.interpret.record import EFFECT, Node, Recording, Symbol, find_session
from cltensor.ops.array import identity
from cltensor.ops.variable import Variable

__all__ = ["Graph", "Operation", "placeholder", "placeholder_with_default", "gradients", "control_dependencies",
           "group", "no_op", "get_default_graph", "reset_default_graph", "global_variables_initializer",
           "global_variables", "trainable_variables"]

class Operation:
    """Something a Session can run that has no value: a group of symbols to reach."""

    def __init__(self, graph: Graph, symbols: list[Symbol], name: str = "group"):
        self.graph, self.symbols, self.name = graph, symbols, name

    def run(self, feed_dict: Any = None, session: Any = None) -> None:
        """Run it in a session (the default one)."""
        (session or find_session[0](self.graph)).run(self, feed_dict)

    def __repr__(self) -> str:
        return f"<tf.Operation '{self.name}'>"


class Graph(Recording):
    """A graph of operations.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default() as graph:
        ...     x = tf.placeholder(tf.float32, [None, 2])
        ...     y = tf.reduce_sum(x * 2., axis=1)
        >>> with tf.Session(graph=graph) as sess:
        ...     sess.run(y, feed_dict={x: [[1., 2.], [3., 4.]]}).tolist()
        [6.0, 14.0]
    """

    symbolic = True

    def __init__(self) -> None:
        super().__init__()
        self.owned: set[int] = set()                    # uids of symbols of this graph
        self.created: list[Variable] = []               # variables made while it was the default
        self.first: dict[int, Tensor] = {}              # their first values
        self.uninitialized: set[int] = set()
        self.assignments: dict[int, Variable] = {}      # uid of an assignment's result -> its variable
        self.controls: dict[int, tuple] = {}            # id of a node -> symbols to be computed before
        self.records: list[Any] = []                    # of custom gradients
        self.collections: dict[str, list] = {}
        self._scopes: list[tuple] = []
        self.examples: dict[int, Any] = {}              # what open sizes lead to, see example.py
        self.plans: dict[tuple, Any] = {}               # of Session: compiled runs

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """Record ops here inside the `with`."""
        with self:
            yield self

    def execute(self, op: OpDef, inputs: tuple, attrs: tuple) -> Any:
        for x in inputs:
            if isinstance(x, Symbol) and x.uid not in self.owned:
                raise InvalidArgumentError(f"{op.name}: {x} belongs to another graph; tensors of two graphs do not mix")
        count = len(self.nodes)
        out = super().execute(op, inputs, attrs)
        self._take(self.nodes[count])
        return out

    def append(self, node: Node) -> None:
        """Add a node made elsewhere."""
        self.nodes.append(node)
        self._take(node)

    def _take(self, node: Node) -> None:
        self.owned.update(o.uid for o in node.outputs)
        symbols = tuple(s for scope in self._scopes for s in scope)
        if symbols:
            self.controls[id(node)] = symbols

    def infer(self, op: OpDef, specs: tuple, attrs: tuple) -> tuple:
        """Specs of the results, as far as open sizes tell them."""
        return example.infer(op, specs, attrs)

    def attempt(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """Call a function that looks at sizes; where they are open, it is called by the runs."""
        return example.attempt(self, function, args, kwargs)

    def own(self, symbol: Symbol) -> Symbol:
        """Take a symbol that no node makes (a placeholder, a variable's value) into the graph."""
        self.owned.add(symbol.uid)
        return symbol

    # -- variables
    def made(self, variable: Variable) -> None:
        """A variable was created while this graph was the default: it waits for its initializer."""
        self.created.append(variable)
        self.first[id(variable)] = variable.held
        self.uninitialized.add(id(variable))

    def read(self, variable: Any, value: Tensor) -> Tensor:
        for symbol in reversed([s for scope in self._scopes for s in scope]):
            if self.assignments.get(symbol.uid) is variable:        # read after an assignment it depends on
                return symbol
        return self.own(super().read(variable, value))      # type: ignore[arg-type]

    def assign(self, variable: Any, value: Tensor) -> Any:
        self.read(variable, variable.held)
        out = identity(value)
        self.assignments[out.uid] = variable
        return out

    def operation(self, first: int, name: str) -> Operation:
        """One operation of all assignments and effects recorded since there were `first` nodes."""
        return Operation(self, [o for n in self.nodes[first:] for o in n.outputs
                                if o.uid in self.assignments or n.op is EFFECT], name)

    # -- gradients
    def record_custom(self, record: Any) -> None:
        self.records.append(record)

    def gradients(self, ys: list, xs: list, grad_ys: list) -> list:
        """Symbols of the gradients of the sum of ys by xs; None where no path of differentiable ops connects them."""
        sources = [x.current() if isinstance(x, Variable) else x for x in xs]
        connected = self._connected({x.uid for x in sources}, ys)
        node = Node(GRADIENTS, tuple(ys) + tuple(g for g in grad_ys if g is not None),
                    (("ys", tuple(ys)), ("xs", tuple(sources)), ("weights", tuple(grad_ys))), (), state.device)
        node.outputs = tuple(Symbol(x.spec, node, i) for i, x in enumerate(sources))
        self.append(node)
        return [o if x.uid in connected else None for o, x in zip(node.outputs, sources)]

    def _connected(self, sources: set, ys: list) -> set:
        """Which of the sources the ys depend on through ops with gradients."""
        from_source = {uid: {uid} for uid in sources}
        custom = {uid: r for r in self.records for uid in r.out_uids}
        for node in self.nodes:
            if node.op is GRADIENTS:
                inputs: Any = node.attrs[0][1] + node.attrs[1][1]
                rules = [True] * len(inputs)
            elif node.op is LATER:
                inputs, rules = node.inputs, [True] * len(node.inputs)
            else:
                inputs = node.inputs
                rules = [node.op.variadic or i < len(node.op.vjps) and node.op.vjps[i] is not None
                         for i in range(len(inputs))] if node.op.vjps else [False] * len(inputs)
            found: set = set()
            for x, rule in zip(inputs, rules):
                if rule and isinstance(x, Tensor):
                    found |= from_source.get(x.uid, set())
            for o in node.outputs:
                if o.uid in custom:
                    found = set().union(*(from_source.get(u, set()) for u in custom[o.uid].in_uids))
                if found and o.dtype.is_floating:
                    from_source[o.uid] = from_source.get(o.uid, set()) | found
        return set().union(*(from_source.get(y.uid, set()) for y in ys)) if ys else set()


# -- what users call inside a graph
def _graph(what: str) -> Graph:
    interpreter = state.interpreter
    if not isinstance(interpreter, Graph):
        raise InvalidArgumentError(f"{what}: it needs a graph; use it inside `with tf.Graph().as_default():` or "
                                   "`with tf.Session():`")
    return interpreter


def get_default_graph() -> Graph:
    """The graph that records ops now.

    Raises: InvalidArgumentError when ops execute eagerly.
    """
    return _graph("get_default_graph")


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Symbol:
    """A tensor whose value is fed at each run.

    Args:
        dtype: its dtype.
        shape: its shape, None for sizes that vary; None for any rank.

    Raises: InvalidArgumentError outside a graph.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default():
        ...     print(tf.placeholder(tf.float32, [None, 3]))
        Tensor(shape=(?, 3), dtype=float32)
    """
    dims = None if shape is None else tuple(None if d is None or d == -1 else int(d)
                                            for d in ([shape] if isinstance(shape, int) else shape))
    return _graph("placeholder").own(Symbol(Spec(dims, as_dtype(dtype))))


def placeholder_with_default(input: Any, shape: Any = None, name: str | None = None) -> Symbol:
    """The value of `input` unless another is fed."""
    _graph("placeholder_with_default")
    return identity(convert(input))


def gradients(ys: Any, xs: Any, grad_ys: Any = None, name: str | None = None, colocate_gradients_with_ops: bool = False,
              gate_gradients: bool = False, aggregation_method: Any = None, stop_gradients: Any = None) -> list:
    """Symbolic gradients of the sum of `ys` by each of `xs`, in a graph.

    Args:
        ys, xs: tensor (xs: or variable), or lists of them.
        grad_ys: weights of the ys; ones unless given.

    Returns: list with a tensor, or None where unconnected, per x.
    Raises: InvalidArgumentError when ops execute eagerly: use tf.GradientTape.

    Example:
        >>> import cltensor as tf
        >>> with tf.Session() as sess:
        ...     x = tf.placeholder(tf.float32, [])
        ...     print(sess.run(tf.gradients(x * x, x), {x: 3.}))
        [np.float32(6.0)]
    """
    graph = _graph("gradients")
    flat = [convert(y) for y in nest.flatten(ys)]
    weights = [None] * len(flat) if grad_ys is None else nest.flatten(grad_ys)
    if len(weights) != len(flat):
        raise InvalidArgumentError(f"gradients: there are {len(flat)} ys and {len(weights)} grad_ys")
    known = [None if g is None else convert(g, y.dtype) for g, y in zip(weights, flat)]
    return graph.gradients(flat, nest.flatten(xs), known)


@contextmanager
def control_dependencies(control_inputs: Any) -> Iterator[None]:
    """Ops made inside run only after these tensors and operations; eagerly, nothing to do."""
    interpreter = state.interpreter
    if not isinstance(interpreter, Graph):
        yield
        return
    symbols: list = []
    for c in control_inputs or ():
        symbols += c.symbols if isinstance(c, Operation) else [c] if isinstance(c, Symbol) else []
    interpreter._scopes.append(tuple(symbols))
    try:
        yield
    finally:
        interpreter._scopes.pop()


def group(*inputs: Any, **kwargs: Any) -> Operation | None:
    """One operation that runs all of these."""
    interpreter = state.interpreter
    if not isinstance(interpreter, Graph):
        return None
    symbols: list = []
    for c in nest.flatten(inputs):
        symbols += c.symbols if isinstance(c, Operation) else [c] if isinstance(c, Symbol) else []
    return Operation(interpreter, symbols, kwargs.get("name") or "group")


def no_op(name: str | None = None) -> Operation | None:
    """An operation that does nothing."""
    return group(name=name or "no_op")


def global_variables(scope: str | None = None) -> list:
    """Variables made in the default graph."""
    return list(_graph("global_variables").created)


def trainable_variables(scope: str | None = None) -> list:
    """Trainable variables made in the default graph."""
    return [v for v in global_variables() if v.trainable]


def global_variables_initializer() -> Operation | None:
    """An operation that gives every variable of the graph its first value; eagerly they have it."""
    interpreter = state.interpreter
    if not isinstance(interpreter, Graph):
        return None
    graph = interpreter

    def initialize() -> None:
        for v in graph.created:
            v.assign(graph.first[id(v)])
            graph.uninitialized.discard(id(v))
    return Operation(graph, [graph.effect(initialize)], "init")     # type: ignore[list-item]


def reset_default_graph() -> None:
    """Forget the default graph of a process in graph mode, and the global step."""
    for call in _on_reset:
        call()
    if isinstance(state.interpreter, Graph) and state.interpreter in _process:
        state.interpreter = _process[0] = Graph()


_process: list[Graph] = []          # the default graph of a process that started in graph mode
_on_reset: list[Callable[[], Any]] = []


def on_reset(call: Callable[[], Any]) -> None:
    """Have something else forgotten by reset_default_graph."""
    _on_reset.append(call)


def _start_graph_mode() -> None:
    _process[:] = [Graph()]
    state.interpreter = _process[0]


mode.install_graph_mode(_start_graph_mode)
