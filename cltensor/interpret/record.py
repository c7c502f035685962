"""The recording interpreter: ops become nodes instead of running.

While one is active on a thread, `execute` appends (op, inputs, attributes) and returns symbols: tensors
with a spec, whose sizes may still be unknown, and without a value. The same rows, the same `infer`, the
same errors as in eager mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError
from cltensor.core import dispatch
from cltensor.core.late import Late
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec, sig_of
from cltensor.core.tensor import HOST_BYTES, Tensor, from_numpy, to_array
from cltensor.interpret.eager import infer_specs, input_specs

__all__ = ["Symbol", "Known", "Labelled", "Node", "State", "Recording", "EFFECT", "NoValue", "OpenShape"]


class NoValue(FailedPreconditionError, TypeError):
    """Python asked a symbol for its value."""


class OpenShape(NoValue, InvalidArgumentError):
    """A result has no one shape: such a run is not compiled; a session runs its ops one by one."""


find_session: list[Callable[[Any], Any]] = []       # the graph package tells how to find the default session


class Labelled:
    """What tensors of a graph have in common: the graph, and a name there, `op:0`."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return self.label or super().name       # type: ignore[misc,attr-defined]

    @property
    def op(self) -> Any:
        """The operation of the graph that makes it."""
        if self.graph is None:                  # type: ignore[attr-defined]
            raise AttributeError(f"{self!r} belongs to no graph, so it has no op")
        return self.graph.get_operation_by_name(self.label.rpartition(":")[0])      # type: ignore[attr-defined]

    def __str__(self) -> str:
        named = f'"{self.label}", ' if self.label else ""       # type: ignore[attr-defined]
        return f"Tensor({named}shape={self.shape}, dtype={self.dtype.name})"        # type: ignore[attr-defined]

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """The value, computed by a session (the default one)."""
        return (session or find_session[0](None)).run(self, feed_dict)

    __repr__ = __str__


class Symbol(Labelled, Tensor):
    """A tensor of a recording: a result of a node, or a placeholder (node None).

    A graph sets `graph` and `label`, its name there.
    """

    __slots__ = ("node", "index", "graph", "label")

    def __init__(self, spec: Spec, node: Any = None, index: int = 0):
        super().__init__(sig_of(spec, None))
        self.node, self.index = node, index
        self.graph: Any = None
        self.label = ""

    @property
    def buffer(self) -> Any:
        raise NoValue(f"{self!r} has no value: it was recorded, not computed; feed and run the recording to get one")

    def _scalar(self, what: str) -> Any:
        raise NoValue(f"{what}: {self!r} has no value while ops are recorded, so Python cannot branch on it; use "
                      "tf.where, or compute it eagerly")

    @property
    def device(self) -> str:
        return "" if self.node is None or self.node.device is None else self.node.device.name

    __hash__ = object.__hash__


class Known(Labelled, Tensor):
    """A constant of a graph: a tensor like any other, which has a name there and may be fed."""

    __slots__ = ("graph", "label")
    node = None

    def __init__(self, t: Tensor):
        super().__init__(t.sig, None if t.host is not None else t.buffer, t.host)
        self.graph: Any = None
        self.label = ""

    __hash__ = object.__hash__


class Node:
    """One recorded op; inputs are symbols, concrete tensors, Python scalars and late numbers.

    `device` is that of the `tf.device` scope it was recorded in, None without one.
    """

    __slots__ = ("op", "inputs", "attrs", "outputs", "device")

    def __init__(self, op: OpDef, inputs: tuple, attrs: tuple, outputs: tuple, device: Any = None):
        self.op, self.inputs, self.attrs, self.outputs, self.device = op, inputs, attrs, outputs, device

    def with_inputs(self, inputs: tuple) -> Node:
        """The same node with other inputs; its outputs are the same symbols."""
        return Node(self.op, inputs, self.attrs, self.outputs, self.device)

    def __repr__(self) -> str:
        return f"<{self.op.name}: {', '.join(map(str, self.inputs))}>"


EFFECT = OpDef("effect", (), lambda call: Spec((), "bool"), run=lambda call: call(), pure=False,
               doc="A Python call at the end of a replay.")


class Effect:
    """A call that changes host variables; which ones tells who must undo it."""

    __slots__ = ("call", "writes")

    def __init__(self, call: Callable[[], Any], writes: tuple):
        self.call, self.writes = call, writes

    def __call__(self) -> Any:
        return self.call()


class Recording:
    """An interpreter that keeps what is executed inside its `with` block.

    Example:
        >>> from cltensor.core.spec import Spec
        >>> from cltensor.ops import math
        >>> x = Symbol(Spec((None, 3), "float32"))
        >>> with Recording() as recording:
        ...     y = math.add(x, 1.)
        >>> y, len(recording.nodes)
        (Tensor(shape=(?, 3), dtype=float32), 1)
    """

    symbolic = False        # True where assignments are operations to run, as in TF 1.x graphs

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.variables: dict[int, State] = {}
        self.changes: list[tuple] = []          # effects on host variables, in the order of the function
        self._before: list = []

    def __enter__(self) -> Recording:
        self._before.append(dispatch.state.interpreter)
        dispatch.state.interpreter = self
        return self

    def __exit__(self, *exc: Any) -> None:
        dispatch.state.interpreter = self._before.pop()

    def execute(self, op: OpDef, inputs: tuple, attrs: tuple) -> Any:
        """Append a node; raises what `infer` raises, and then nothing was appended."""
        inputs, _ = dispatch.prepare(op, inputs, attrs)
        inputs = dispatch.resolve_slots(op, inputs)
        specs = self.infer(op, input_specs(op, inputs), attrs)
        if not self.symbolic and op.pure and _known(inputs, specs):
            return _computed(op, inputs, attrs)
        node = Node(op, inputs, attrs, (), dispatch.state.device)
        node.outputs = tuple(Symbol(s, node, i) for i, s in enumerate(specs))
        self.nodes.append(node)
        out = node.outputs[0] if op.outputs == 1 and len(node.outputs) == 1 else node.outputs
        for recorder in dispatch.state.recorders:
            recorder.record(op, attrs, inputs, out)
        return out

    def infer(self, op: OpDef, specs: tuple, attrs: tuple) -> tuple:
        """Specs of the results."""
        return infer_specs(op, specs, attrs)

    def attempt(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """Call a function that may ask its arguments for a value; where there is none, say which needs it."""
        try:
            return function(*args, **kwargs)
        except NoValue as error:
            if error.__cause__ is not None:         # an inner call has said it
                raise
            raise NoValue(f"{function.__name__}: the shape of its result depends on values, and there are none while "
                          "ops are recorded; compute it outside, or in a tf.contrib.eager.py_func of a graph"
                          ) from error

    def effect(self, call: Callable[[], Any], writes: tuple = ()) -> Tensor:
        """Something to do at the end of each replay, when all has worked; the result can be fetched or depended on.

        `writes` are the host variables it changes: numbers a replay looks up later in the function see them changed.
        """
        if writes:
            self.changes.append((call, writes))
            call = Effect(call, writes)
        return self.execute(EFFECT, (), (("call", call),))

    def made(self, variable: Any) -> None:
        """A variable was created here; it has its first value already."""

    def record_custom(self, record: Any) -> None:
        """A custom gradient was called; tapes keep their own records of it."""

    # -- state: a variable is a value at the start, and another at the end
    def read(self, variable: Any, value: Tensor) -> Tensor:
        """The variable's value at this point of the recording."""
        held = self.variables.get(id(variable))
        if held is None:
            held = self.variables[id(variable)] = State(variable, Symbol(value.spec))
        return held.now

    def hold(self, variable: Any, value: Tensor) -> None:
        """From here on the variable reads as this value."""
        self.read(variable, value)
        self.variables[id(variable)].now = value

    def assign(self, variable: Any, value: Tensor) -> Any:
        """From here on the variable has this value; the replay stores the last one when all has run.

        Returns: what `variable.assign` gives in its place, None for the variable itself.
        """
        self.read(variable, variable.current())
        held = self.variables[id(variable)]
        held.now, held.written = value, True


def _known(inputs: tuple, specs: tuple) -> bool:
    """True for arithmetic of small integers known to the host, as `tf.shape(x)[0] // 2` is."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    return bool(tensors) and all(x.host is not None and not x.dtype.is_floating for x in tensors) \
        and not any(isinstance(x, (Late, float)) for x in inputs) \
        and all(s.nbytes is not None and s.nbytes <= HOST_BYTES and not s.dtype.is_floating for s in specs)


def _computed(op: OpDef, inputs: tuple, attrs: tuple) -> Any:
    """The result now, with a host copy: what asks for a size while ops are recorded then has it."""
    with dispatch.eagerly():
        out = dispatch.execute(op, inputs, attrs)
        kept = [t if t.host is not None else from_numpy(to_array(t), t.placed_on, keep=True)
                for t in (out if isinstance(out, tuple) else (out,))]
    return tuple(kept) if isinstance(out, tuple) else kept[0]


class State:
    """A variable in a recording: the symbol of its value at the start, and its value now."""

    __slots__ = ("variable", "start", "now", "written")

    def __init__(self, variable: Any, start: Symbol):
        self.variable, self.start, self.written = variable, start, False
        self.now: Tensor = start
