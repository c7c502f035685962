"""Nodes of a graph that a walk handles itself, and what a walk does with all others.

- GRADIENTS: gradients asked for with `tf.gradients`, expanded by the walk when shapes are known;
- LATER: a call the graph keeps until the sizes it asks for are known;
- REPORT: something Python does with values of a run, when all has worked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cltensor.base import nest
from cltensor.core.dispatch import eagerly, execute, state
from cltensor.core.late import Late
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, from_numpy, to_array
from cltensor.interpret.record import EFFECT, Node, Symbol

if TYPE_CHECKING:
    from cltensor.graph.graph import Graph

__all__ = ["GRADIENTS", "LATER", "REPORT", "INSPECT", "WALKED", "Later", "Island", "needed", "perform",
           "late_now", "symbols_in", "put_in"]

FOLDED = 1024               # bytes of integers that are computed at once where all inputs are known

GRADIENTS = OpDef("gradients", ("ys",), lambda *specs: specs, run=lambda *ys: ys, types="", pure=False,
                  doc="Deferred gradients of a graph; expanded when shapes are known.")
LATER = OpDef("later", ("inputs",), lambda *specs: specs, run=lambda *xs: xs, types="", pure=False,
              doc="A call of a graph that is made when sizes are known.")
REPORT = OpDef("report", ("inputs",), lambda *specs, call: Spec((), "bool"), run=lambda *xs, call: True, types="",
               pure=False, doc="Something Python does with values of a run.")
INSPECT = OpDef("inspect", ("values",), lambda *specs, look: Spec((), "bool"),
                run=lambda *xs, look: _inspected(xs, look), types="any", pure=False,
                doc="Python looks at values in the middle of a run, and may stop it.")
WALKED = (EFFECT, GRADIENTS, LATER, REPORT, INSPECT)         # host rows that do not keep a run from being compiled


def _inspected(xs: tuple, look: Callable) -> Tensor:
    look(*map(to_array, xs))
    return convert(True)


def needed(graph: Graph, wanted: list, fed: Any) -> list[Node]:
    """Nodes to run for these symbols when those in `fed` (uids) are given, in the order they were recorded."""
    need: set[int] = set()
    todo = [s for s in wanted if isinstance(s, Symbol)]
    together = {u: r.out_uids for r in graph.all_records() if len(r.out_uids) > 1 for u in r.out_uids}
    made = {o.uid: o for n in graph.all_nodes() for o in n.outputs if o.uid in together} if together else {}
    while todo:
        s = todo.pop()
        node = s.node
        # a function with its own gradient gives all its results, or the gradient of one would lack the others
        todo += [made[u] for u in together.get(s.uid, ()) if u in made and id(made[u].node) not in need]
        if s.uid in fed or node is None or id(node) in need:
            continue
        need.add(id(node))
        todo += [x for x in node.inputs if isinstance(x, Symbol)]
        if node.op is GRADIENTS:
            todo += list(dict(node.attrs)["xs"])
        todo += graph.controls.get(id(node), ())
    return [n for n in graph.all_nodes() if id(n) in need]


def perform(node: Node, inputs: tuple) -> tuple:
    """Execute a node's op on these inputs. Integers that follow from known ones are computed at once, even while ops
    are recorded: shapes are made of them."""
    if (state.interpreter is not None and inputs and node.op.pure and all(type(x) is int or _known(x) for x in inputs)
            and not any(o.dtype.is_floating for o in node.outputs)):
        with eagerly():
            made = execute(node.op, inputs, node.attrs)
            return tuple(from_numpy(to_array(o), keep=True) for o in (made if isinstance(made, tuple) else (made,)))
    made = execute(node.op, inputs, node.attrs)
    return made if isinstance(made, tuple) else (made,)


def _known(x: Any) -> bool:
    return (isinstance(x, Tensor) and not isinstance(x, Symbol) and x.host is not None
            and not x.dtype.is_floating and x.spec.nbytes <= FOLDED)


def late_now(x: Any, begun: dict) -> Any:
    """A late number's value, anything else as it is; each source begins once, and is kept in `begun`."""
    if not isinstance(x, Late):
        return x
    for source in x.sources:
        if id(source) not in begun:
            source.begin()
            begun[id(source)] = source
    return x.value()


class Later:
    """A call to make: the function, its arguments with symbols of the graph, and which variables it touches.

    `reads` are pairs of a variable and the symbol of its value here; `writes` are the variables it assigns, whose
    new values are the last results of the node.
    """

    __slots__ = ("function", "args", "kwargs", "reads", "writes")

    def __init__(self, function: Callable, args: tuple, kwargs: dict):
        self.function, self.args, self.kwargs = function, args, kwargs
        self.reads: list = []
        self.writes: list = []

    def make(self, env: dict) -> Any:
        """The function's result with the values of `env` for symbols."""
        return self.function(*put_in(self.args, env), **put_in(self.kwargs, env))

    def outputs(self, env: dict) -> list[Tensor]:
        """Make the call, and give the values of the node's results."""
        interpreter = state.interpreter or Island()
        for variable, symbol in self.reads:
            interpreter.hold(variable, env.get(symbol.uid, symbol))
        with interpreter:
            made = [x for x in nest.flatten(self.make(env)) if isinstance(x, Tensor)]
            return made + [interpreter.read(v, v.held) for v in self.writes]

    def __repr__(self) -> str:
        owner = getattr(self.function, "__self__", None)            # a layer's call has the layer's name
        return str(getattr(owner, "name", None) or getattr(self.function, "__name__", "later")).strip("<>")


class Island:
    """An interpreter that runs ops at once and keeps assignments to itself: for calls in a run made op by op."""

    symbolic = False

    def __init__(self) -> None:
        self._values: dict[int, Any] = {}
        self._before: list = []
        self._begun: dict[int, Any] = {}

    def __enter__(self) -> Island:
        self._before.append(state.interpreter)
        state.interpreter = self
        return self

    def __exit__(self, *exc: Any) -> None:
        state.interpreter = self._before.pop()

    def execute(self, op: OpDef, inputs: tuple, attrs: tuple) -> Any:
        """Run the op; late numbers have their values."""
        state.interpreter = None
        try:
            return execute(op, tuple(late_now(x, self._begun) for x in inputs), attrs)
        finally:
            state.interpreter = self

    def attempt(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """All values are there: call."""
        return function(*args, **kwargs)

    def effect(self, call: Callable, writes: tuple = ()) -> Any:
        """Do it now."""
        with eagerly():
            return call()

    def made(self, variable: Any) -> None:
        """A variable was created, with its value."""

    def record_custom(self, record: Any) -> None:
        """Tapes keep their own."""

    def hold(self, variable: Any, value: Any) -> None:
        """From here on the variable reads as this value."""
        self._values[id(variable)] = value

    assign = hold

    def read(self, variable: Any, value: Any) -> Any:
        """The value held here, or the variable's own."""
        return self._values.get(id(variable), value)


def symbols_in(value: Any) -> list[Symbol]:
    """The symbols in a nest of arguments, each once; slices are looked into."""
    found: dict[int, Symbol] = {}

    def look(x: Any) -> None:
        if isinstance(x, Symbol):
            found[x.uid] = x
        elif isinstance(x, slice):
            look((x.start, x.stop, x.step))
        elif isinstance(x, dict):
            look(tuple(x.values()))
        elif isinstance(x, (list, tuple)):
            for part in x:
                look(part)
    look(value)
    return list(found.values())


def put_in(value: Any, env: dict) -> Any:
    """The arguments with the values of `env` in place of symbols, and of constants that are fed."""
    if isinstance(value, Tensor):
        return env.get(value.uid, value)
    if isinstance(value, slice):
        return slice(*(put_in(x, env) for x in (value.start, value.stop, value.step)))
    if isinstance(value, dict):
        return {k: put_in(v, env) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [put_in(v, env) for v in value]
        return type(value)(*parts) if nest.is_namedtuple(value) else type(value)(parts)
    return value
