"""Control flow of a graph: nodes that wait for a run, as deferred gradients do.

Shapes of a graph are open, so its branches and loops are kept as the nodes that were recorded, with all they read. The
walk of a run comes to such a node with values, or symbols of known shape, and calls cond or while_loop again, whose
functions walk the nodes of the bodies. Where the run is compiled this records the control node that a traced
function would have; where it runs op by op, it is Python's own `if` and `while`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.autodiff.backprop import Record
from cltensor.base.errors import InternalError
from cltensor.core.dispatch import state
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor
from cltensor.graph.body import Body, Control, free, read_outside
from cltensor.graph.connected import connected
from cltensor.graph.graph import Graph
from cltensor.graph.nodes import GRADIENTS
from cltensor.interpret.record import Node, Recording, Symbol
from cltensor.ops.array import identity

__all__ = ["GraphBody", "Deferred", "new_body", "defer_cond", "defer_loop", "install"]

_again: dict[str, Callable] = {}        # cond and while_loop, which stand above this file


def install(**functions: Callable) -> None:
    """Tell what to call when a walk comes to a deferred node."""
    _again.update(functions)


class GraphBody(Graph):
    """A body recorded in a graph: it shares all of the graph but the nodes and what is assigned.

    In a body, other than in a graph, order counts: a variable read after an assignment has the new value.
    """

    def __init__(self, outer: Graph, starts: dict[int, tuple]):
        super().__init__()
        own = {k: self.__dict__[k] for k in ("nodes", "variables", "assignments", "controls", "records", "_before",
                                             "_scopes", "_prefixes")}
        self.__dict__.update(outer.__dict__)
        self.__dict__.update(own)
        self.outer: Graph = outer
        self.starts = starts
        self.results: list[Tensor] = []
        self._latest: dict[int, Symbol] = {}

    def __enter__(self) -> GraphBody:
        Recording.__enter__(self)           # names go on in the scope it is made in
        return self

    def __exit__(self, *exc: Any) -> None:
        Recording.__exit__(self, *exc)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Record here; tapes outside do not listen."""
        recorders, state.recorders = state.recorders, []
        try:
            with self:
                yield
        finally:
            state.recorders = recorders

    def read(self, variable: Any, value: Tensor) -> Tensor:
        found = self._latest.get(id(variable))
        if found is None:
            found = self._depended_on(variable)
        if found is not None:
            return found
        if id(variable) not in self.starts:
            start = self.own(Symbol(value.spec), f"{variable.name[:-2]}/read")
            self.starts[id(variable)] = (variable, start)
        return self.starts[id(variable)][1]

    def _depended_on(self, variable: Any) -> Symbol | None:
        graph: Any = self
        while isinstance(graph, GraphBody):
            graph = graph.outer
            for symbol in reversed([s for scope in self._scopes for s in scope]):
                if graph.assignments.get(symbol.uid) is variable:
                    return symbol
        return None

    def assign(self, variable: Any, value: Tensor) -> Any:
        self.read(variable, variable.held)
        out = self._latest[id(variable)] = identity(value)
        self.assignments[out.uid] = variable
        return out

    def took(self, variable: Any, symbol: Symbol) -> None:
        super().took(variable, symbol)
        self._latest[id(variable)] = symbol

    def final(self, key: int) -> Tensor:
        """The value a variable has at the end, by its id."""
        return self._latest[key] if key in self._latest else self.starts[key][1]

    @property
    def assigns(self) -> bool:
        """Whether it assigns a variable."""
        return bool(self.assignments)

    def _take(self, node: Node, name: str | None = None) -> None:
        super()._take(node, name)
        self.within.update((o.uid, self) for o in node.outputs)

    def all_nodes(self) -> list[Node]:
        return self.outer.all_nodes() + self.nodes

    def all_records(self) -> list:
        return self.outer.all_records() + self.records

    def reached(self, sources: set, results: list) -> list[set]:
        """Which of the sources each result depends on through differentiable ops of this body."""
        return [connected(sources, [r], self.nodes, self.records) for r in results]


class Deferred(Control):
    """The op of a control node in a graph. Its inputs are `lead` predicates, then what stands for `formals`."""

    def __init__(self, name: str, formals: list[Symbol], bodies: tuple, carried: int, reach: list[set]):
        self.name, self.formals, self.bodies, self.carried, self.reach = name, formals, bodies, carried, reach

    def connected(self, inputs: tuple, from_source: dict[int, set]) -> list[set]:
        """What each result depends on, given that for uids of the inputs."""
        pairs = list(zip(self.formals, inputs[len(inputs) - len(self.formals):]))
        return [set().union(*(from_source.get(x.uid, set()) for f, x in pairs if f.uid in some))
                for some in self.reach]

    def again(self, inputs: tuple, walked: Callable[[Any, dict], list]) -> tuple:
        """Call cond or while_loop with these inputs; `walked(body, values)` gives the results of a body."""
        if self.name == "cond":
            values = {f.uid: x for f, x in zip(self.formals, inputs[1:])}
            no, yes = self.bodies
            return tuple(_again["cond"](inputs[0], lambda: walked(yes, values), lambda: walked(no, values)))
        fixed = {f.uid: x for f, x in zip(self.formals[self.carried:], inputs[self.carried:])}
        moving = [f.uid for f in self.formals[:self.carried]]
        test, body = self.bodies
        return tuple(_again["while_loop"](lambda *now: walked(test, {**fixed, **dict(zip(moving, now))})[0],
                                          lambda *now: walked(body, {**fixed, **dict(zip(moving, now))}),
                                          list(inputs[:self.carried]), return_same_structure=True))


class _DeferredRecord(Record):
    """What a tape in a graph keeps of a control node: its gradient is deferred, too."""

    __slots__ = ("node", "outs", "ins")

    def __init__(self, node: Node, outs: list[Symbol]):
        self.name, self.node = node.op.name, node
        self.outs = [o for o in outs if o.dtype.is_floating]
        self.ins = [x for x in node.inputs if isinstance(x, Tensor)]
        self.in_uids = tuple(x.uid if x.dtype.is_floating else 0 for x in self.ins)
        self.in_specs = tuple(x.spec for x in self.ins)
        self.out_uids, self.out_specs = tuple(o.uid for o in self.outs), tuple(o.spec for o in self.outs)

    def backward(self, gradients: tuple, wanted: tuple) -> list:
        graph = state.interpreter
        if not isinstance(graph, Graph):
            raise InternalError(f"{self.name}: recorded in a graph and differentiated outside")
        chosen = [x for x, want in zip(self.ins, wanted) if want]
        found = dict(zip((x.uid for x in chosen), graph.gradients(list(self.outs), chosen, list(gradients))))
        return [found.get(x.uid) if want else None for x, want in zip(self.ins, wanted)]


def new_body(outer: Any, starts: dict[int, tuple]) -> Any:
    """A body inside the recording that is active."""
    return GraphBody(outer, starts) if isinstance(outer, Graph) else Body(outer, starts)


def _outside(bodies: list, known: list[Symbol]) -> list[Symbol]:
    """Free symbols, those included that only a deferred gradient inside reads."""
    found = {s.uid: s for s in free(bodies, known)}
    for body in bodies:
        made = {s.uid for s in known} | {o.uid for n in body.nodes for o in n.outputs}
        for node in body.nodes:
            if node.op is GRADIENTS:
                found.update((x.uid, x) for x in (*node.attrs[0][1], *node.attrs[1][1])
                             if isinstance(x, Symbol) and x.uid not in made)
    return list(found.values())


def _place(graph: Graph, node: Node, specs: list[Spec], bodies: list, written: list, starts: dict,
           carried: tuple = ()) -> list[Symbol]:
    """Append the node; its last results are new values of variables."""
    graph.within.update((s.uid, bodies[-1]) for s in (*carried, *(start for _, start in starts.values())))
    node.outputs = tuple(Symbol(s, node, i) for i, s in enumerate(specs))
    graph.append(node)
    inner = {o.uid for b in bodies for n in b.nodes for o in n.outputs}
    graph.wait(node, [s for b in bodies for some in b.controls.values() for s in some if s.uid not in inner])
    count = len(specs) - len(written)
    for key, value in zip(written, node.outputs[count:]):
        graph.took(starts[key][0], value)
    record = _DeferredRecord(node, list(node.outputs[:count]))
    for recorder in state.recorders:
        recorder.record_custom(record)
    return list(node.outputs[:count])


def _written(bodies: list, starts: dict[int, tuple]) -> list[int]:
    assigned = {id(v) for b in bodies for v in b.assignments.values()}
    return [key for key in starts if key in assigned]


def _common(a: Spec, b: Spec) -> Spec:
    """What two results have in common; sizes that differ are open."""
    if a is b or a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return a if a is b else Spec(None, a.dtype)
    return Spec(tuple(m if m == n else None for m, n in zip(a.shape, b.shape)), a.dtype)


def defer_cond(pred: Symbol, bodies: list, outer: Graph) -> list[Symbol]:
    """The node of two branches (False, True)."""
    starts = bodies[0].starts
    written = _written(bodies, starts)
    for body in bodies:
        body.results += [body.final(key) for key in written]
    specs = [_common(a.spec, b.spec) for a, b in zip(bodies[0].results, bodies[1].results)]
    values = read_outside(outer, starts)
    symbols = [s for _, s in starts.values()]
    others = _outside(bodies, symbols)
    uids = {s.uid for s in symbols + others}
    count = len(specs) - len(written)
    reach = [a | b if i < count else set() for i, (a, b) in enumerate(zip(
        *(b.reached(uids, b.results) for b in bodies)))]
    op = Deferred("cond", symbols + others, tuple(bodies), 0, reach)
    node = Node(op, (pred, *values, *others), (), (), state.device)         # type: ignore[arg-type]
    return _place(outer, node, specs, bodies, written, starts)


def defer_loop(initial: list[Tensor], carried: list[Symbol], test: Any, body: Any, outer: Graph) -> list[Symbol]:
    """The node of a loop."""
    starts = body.starts
    written = _written([body], starts)
    values = dict(zip(starts, read_outside(outer, starts)))
    body.results += [body.final(key) for key in written]
    carried = carried + [starts[key][1] for key in written]
    fixed = [key for key in starts if key not in written]
    others = [starts[key][1] for key in fixed]
    outside = _outside([test, body], carried + others)
    formals = carried + others + outside
    reach = body.reached({f.uid for f in formals}, body.results)
    reach = [some | {f.uid} for some, f in zip(reach, carried)]         # with no turn at all it is what it was
    position = {f.uid: i for i, f in enumerate(carried)}
    for _ in carried:
        reach = [some.union(*(reach[position[uid]] for uid in some if uid in position)) for some in reach]
    count = len(carried) - len(written)
    op = Deferred("while_loop", formals, (test, body), len(carried), [
        some if i < count else set() for i, some in enumerate(reach)])
    node = Node(op, (*initial, *[values[key] for key in written + fixed], *outside), (), (),    # type: ignore
                state.device)
    return _place(outer, node, [f.spec for f in carried], [test, body], written, starts, tuple(carried))


