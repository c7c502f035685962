"""while_loop in a traced function: a node whose body a replay runs for as long as the test holds.

The gradient is a loop that walks the turns backwards. What it reads of a turn's values the forward loop keeps in
lists, one element per turn: loop variables that are added to the recorded loop when a gradient asks for them. As lists
are values with gradients, and the gradient is a loop like any other, it has a gradient itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.autodiff.backprop import OpRecord, Record, backprop, zeros
from cltensor.core.dispatch import state
from cltensor.core.lists import empty_list, list_spec
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, from_numpy, to_array
from cltensor.graph.body import Body, Control, announce, free, read_outside, settled
from cltensor.graph.branches import actuals_of, dense
from cltensor.graph.inner import Inner
from cltensor.graph.passes.counters import COUNTER
from cltensor.interpret.record import Node, Recording, Symbol
from cltensor.ops import math
from cltensor.ops.tensor_list import LIST_READ, list_add, list_write

__all__ = ["Loop", "record_loop"]


class Loop(Control):
    """The op of a loop node. Its inputs are first values of what is `carried`, then what stays as it is."""

    name = "while_loop"

    def __init__(self, carried: list[Symbol], others: list[Symbol], test: Body, body: Body,
                 owner: Recording):
        self.carried, self.others, self.owner = carried, others, owner
        self.test, self.body = test, body
        self.pure = test.pure and body.pure
        self._turn: Symbol | None = None            # the number of the turn, inside
        self._turns: Symbol | None = None           # how many there were, outside
        self._saved: dict[int, Symbol] = {}

    @property
    def formals(self) -> list[Symbol]:
        """What the bodies read, in the order of the node's inputs."""
        return self.carried + self.others

    @property
    def bodies(self) -> tuple[Body, Body]:
        """The test and the body."""
        return self.test, self.body

    def bind(self, device: Any) -> Callable[[tuple], tuple]:
        feeds = self.formals
        test, body = (Inner(b.nodes, feeds, b.results, device) for b in self.bodies)
        counted = {x.uid for r in (test, body) for n in r.program.nodes if n.op is COUNTER for x in n.inputs
                   if isinstance(x, Symbol)}
        # numbers that the host calculates with are read once, before the first turn
        on_host = [i for i, f in enumerate(feeds) if f.uid in counted]
        count = len(self.carried)

        def run(inputs: tuple) -> tuple:
            values = settled(inputs, device)
            for i in on_host:
                if values[i].host is None:
                    values[i] = from_numpy(to_array(values[i]), device)
            while bool(to_array(test.values(values)[0])):
                values[:count] = settled(body.values(values), device)
            return tuple(values[:count])
        return run

    # -- what gradients ask for
    def carry(self, node: Node, initial: Tensor, update: Callable[[Symbol], Tensor]) -> tuple[Symbol, Symbol]:
        """One more loop variable: its symbols inside and, at the end, outside."""
        inside, outside = Symbol(initial.spec), Symbol(initial.spec, node, len(self.carried))
        with self.body.inside():
            self.body.results.append(update(inside))
        at = len(self.carried)
        self.carried.append(inside)
        node.inputs = (*node.inputs[:at], initial, *node.inputs[at:])
        node.outputs += (outside,)
        return inside, outside

    def turns(self, node: Node) -> tuple[Symbol, Symbol]:
        """The number of the turn, inside, and how many there were, outside."""
        if self._turn is None:
            self._turn, self._turns = self.carry(node, convert(0), lambda i: math.add(i, 1))
        assert self._turns is not None
        return self._turn, self._turns

    def saved(self, node: Node, symbol: Symbol) -> Symbol:
        """The list of what a symbol of the body is in each turn."""
        known = self._saved.get(symbol.uid)
        if known is None:
            turn, _ = self.turns(node)
            _, known = self.carry(node, empty_list(list_spec(symbol.spec)), lambda kept: list_write(
                kept, turn, symbol, True))
            self._saved[symbol.uid] = known
            announce(LoopRecord(node, [len(self.carried) - 1]), self.owner)
        return known


class LoopRecord(Record):
    """What a tape keeps of a loop: the node, and which of its results it is about."""

    __slots__ = ("node", "outs", "formals", "carried")

    def __init__(self, node: Node, outs: list[int]):
        loop: Loop = node.op        # type: ignore[assignment]
        self.name, self.node = "while_loop", node
        self.formals, self.carried = loop.formals, list(loop.carried)
        self.in_uids = tuple(x.uid if x.dtype.is_floating else 0 for x in node.inputs)
        self.in_specs = tuple(x.spec for x in node.inputs)
        self.outs = [i for i in outs if node.outputs[i].dtype.is_floating]
        self.out_uids = tuple(node.outputs[i].uid for i in self.outs)
        self.out_specs = tuple(node.outputs[i].spec for i in self.outs)

    def backward(self, gradients: tuple, wanted: tuple) -> list:
        loop: Loop = self.node.op       # type: ignore[assignment]
        outer, results = state.interpreter, loop.body.results
        known = {self.carried[i].uid: g for i, g in zip(self.outs, gradients)}
        active = list(self.outs)            # loop variables with a gradient
        sources = {f.uid for f, want in zip(self.formals, wanted) if want} | {
            f.uid for f in self.carried if f.dtype.is_floating}
        while True:
            body = Body(outer, {})
            slopes = {i: Symbol(results[i].spec) for i in active}
            seeds: dict[int, list] = {}
            for i, g in slopes.items():
                seeds.setdefault(results[i].uid, []).append(g)
            with body.inside():
                found = dense(backprop(loop.body.records, seeds, sources, consume=False))
            more = [i for i, f in enumerate(self.carried) if f.uid in found and i not in slopes]
            if not more:
                break
            active += more
        sums = {f.uid: Symbol(f.spec) for f in self.formals[len(self.carried):] if f.uid in found}
        turn = Symbol(Spec((), "int32"))
        carried = [turn, *slopes.values(), *sums.values()]
        with body.inside():
            body.results = [math.subtract(turn, 1)]
            body.results += [found[self.carried[i].uid] if self.carried[i].uid in found else zeros(g.spec, None)
                             for i, g in slopes.items()]
            body.results += [(list_add if s.dtype.kind == "list" else math.add)(s, found[uid])
                             for uid, s in sums.items()]
        others, actuals = self._outside(body, carried)
        test = Body(outer, {})
        with test.inside():
            test.results = [math.greater(turn, 0)]
        first = [loop.turns(self.node)[1], *[known.get(self.carried[i].uid) for i in slopes],
                 *[None] * len(sums)]
        inputs = [zeros(s.spec, None) if x is None else x for x, s in zip(first, carried)]
        node = Node(Loop(carried, others, test, body, outer), (*inputs, *actuals), (), (), self.node.device)  # type: ignore
        node.outputs = tuple(Symbol(s.spec, node, i) for i, s in enumerate(carried))
        outer.nodes.append(node)
        announce(LoopRecord(node, list(range(len(carried)))), outer)
        out = dict(zip([self.carried[i].uid for i in slopes] + list(sums), node.outputs[1:]))
        return [out.get(f.uid) if want else None for f, want in zip(self.formals, wanted)]

    def _outside(self, body: Body, carried: list[Symbol]) -> tuple[list, list]:
        """What the backward body reads besides its loop variables, and what that is outside.

        Values of a turn are read from the lists the forward loop keeps; these reads become the body's first nodes.
        """
        loop: Loop = self.node.op       # type: ignore[assignment]
        turn: Any = body.results[0]
        actual = actuals_of(loop, self.node)
        made = {o.uid for n in loop.body.nodes for o in n.outputs} | {f.uid for f in loop.carried}
        others: list[Symbol] = []
        outside: list = []
        reads = []
        for s in free([body], carried):
            if s.uid not in made:
                others.append(s)
                outside.append(actual.get(s.uid, s))
                continue
            kept = loop.saved(self.node, s)
            inside = Symbol(kept.spec)
            others.append(inside)
            outside.append(kept)
            attrs = (("fill", None),)
            reads.append(Node(LIST_READ, (inside, turn), attrs, (s,)))
            if s.dtype.is_floating:
                body.records.insert(0, OpRecord(LIST_READ, attrs, (inside, turn), (s,), (True, False)))
        first = [n for n in body.nodes if n is turn.node]
        body.nodes = first + reads + [n for n in body.nodes if n is not turn.node]
        return others, outside


def record_loop(initial: list[Tensor], carried: list[Symbol], test: Body, body: Body, outer: Recording) -> list[Symbol]:
    """The node of a recorded loop; its bodies fit the loop variables."""
    starts = body.starts
    written = [key for key in starts if key in body.variables and body.variables[key].written]
    values = dict(zip(starts, read_outside(outer, starts)))
    body.results += [body.final(key) for key in written]
    count = len(carried)
    carried = carried + [starts[key][1] for key in written]
    fixed = [key for key in starts if key not in written]
    others = [starts[key][1] for key in fixed]
    outside = free([test, body], carried + others)
    inputs = initial + [values[key] for key in written + fixed] + outside
    node = Node(Loop(carried, others + outside, test, body, outer), tuple(inputs), (), (), state.device)  # type: ignore
    node.outputs = tuple(Symbol(s.spec, node, i) for i, s in enumerate(carried))
    outer.nodes.append(node)
    announce(LoopRecord(node, list(range(count))), outer)          # no gradient passes through an assignment
    for key, value in zip(written, node.outputs[count:]):
        outer.assign(starts[key][0], value)
    return list(node.outputs[:count])


