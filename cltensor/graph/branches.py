"""cond in a traced function: a node with two bodies, of which a replay runs the one the predicate asks for.

Its gradient is a cond by the same predicate, whose bodies walk the branches backwards. Values of the forward pass
that they read become further results of the forward node, made when a gradient asks for them; where the other
branch was taken, nothing stands for them, and nothing reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.autodiff.backprop import Record, backprop, zeros
from cltensor.base.shapes import show
from cltensor.core.dispatch import state
from cltensor.core.lists import NOTHING
from cltensor.core.tensor import Tensor, to_array
from cltensor.graph.body import Body, Control, announce, free, read_outside, settled
from cltensor.graph.inner import Inner
from cltensor.interpret.record import Node, OpenShape, Recording, Symbol

__all__ = ["Cond", "record_cond", "actuals_of", "dense"]


class Cond(Control):
    """The op of a cond node. Its inputs are the predicate and what stands for `formals` this time."""

    name = "cond"

    def __init__(self, formals: list[Symbol], bodies: tuple[Body, Body], owner: Recording):
        self.formals, self.bodies, self.owner = formals, bodies, owner      # bodies: for False, for True
        self.pure = bodies[0].pure and bodies[1].pure
        self._saved: dict[int, Symbol] = {}

    def bind(self, device: Any) -> Callable[[tuple], tuple]:
        replays = [Inner(b.nodes, self.formals, b.results, device) for b in self.bodies]

        def run(inputs: tuple) -> tuple:
            pred, *values = inputs
            taken = replays[int(bool(to_array(pred)))]
            return tuple(settled(taken.values(settled(values, device)), device))
        return run

    def saved(self, node: Node, which: int, symbol: Symbol) -> Symbol:
        """A value inside a body as a result of the node; tapes that watch the node watch it, too."""
        known = self._saved.get(symbol.uid)
        if known is None:
            known = self._saved[symbol.uid] = Symbol(symbol.spec, node, len(node.outputs))
            node.outputs += (known,)
            for i, body in enumerate(self.bodies):
                body.results.append(symbol if i == which else NOTHING)
            announce(CondRecord(node, [len(node.outputs) - 1]), self.owner)
        return known


class CondRecord(Record):
    """What a tape keeps of a cond: the node, and which of its results it is about."""

    __slots__ = ("node", "outs", "formals")

    def __init__(self, node: Node, outs: list[int]):
        self.name, self.node = "cond", node
        pairs = list(zip(node.op.formals, node.inputs[1:]))         # type: ignore[attr-defined]
        self.formals = [f for f, _ in pairs]
        self.in_uids = tuple(x.uid if x.dtype.is_floating else 0 for _, x in pairs)
        self.in_specs = tuple(x.spec for _, x in pairs)
        self.outs = [i for i in outs if node.outputs[i].dtype.is_floating]
        self.out_uids = tuple(node.outputs[i].uid for i in self.outs)
        self.out_specs = tuple(node.outputs[i].spec for i in self.outs)

    def backward(self, gradients: tuple, wanted: tuple) -> list:
        cond: Cond = self.node.op       # type: ignore[assignment]
        outer = state.interpreter
        sources = {f.uid for f, want in zip(self.formals, wanted) if want}
        bodies, found = [], []
        for forward in cond.bodies:
            body = Body(outer, {})
            seeds: dict[int, list] = {}
            for i, g in zip(self.outs, gradients):
                if forward.results[i] is not NOTHING:
                    seeds.setdefault(forward.results[i].uid, []).append(g)
            with body.inside():
                found.append(dense(backprop(forward.records, seeds, sources, consume=False)))
            bodies.append(body)
        reached = [f for f in self.formals if any(f.uid in some for some in found)]
        if not reached:
            return [None] * len(self.formals)
        for body, some in zip(bodies, found):
            with body.inside():
                body.results = [some[f.uid] if f.uid in some else zeros(f.spec, None) for f in reached]
        actual = actuals_of(cond, self.node)
        formals = free(bodies, [])
        for which, forward in enumerate(cond.bodies):
            made = {o.uid for n in forward.nodes for o in n.outputs}
            for s in formals:
                if s.uid in made:
                    actual[s.uid] = cond.saved(self.node, which, s)
        op = Cond(formals, (bodies[0], bodies[1]), outer)
        node = Node(op, (self.node.inputs[0], *[actual.get(s.uid, s) for s in formals]),        # type: ignore[arg-type]
                    (), (), self.node.device)
        node.outputs = tuple(Symbol(f.spec, node, i) for i, f in enumerate(reached))
        outer.nodes.append(node)
        announce(CondRecord(node, list(range(len(reached)))), outer)
        out = dict(zip((f.uid for f in reached), node.outputs))
        return [out.get(f.uid) if want else None for f, want in zip(self.formals, wanted)]


def dense(found: dict) -> dict[int, Tensor]:
    """Gradients as tensors, sparse ones summed."""
    return {uid: g if isinstance(g, Tensor) else g.as_tensor() for uid, g in found.items()}


def actuals_of(op: Any, node: Node) -> dict[int, Tensor]:
    """uid of a formal -> what the node has for it."""
    return {f.uid: x for f, x in zip(op.formals, node.inputs[len(node.inputs) - len(op.formals):])}


def record_cond(pred: Symbol, bodies: list[Body], outer: Recording) -> list[Symbol]:
    """The node of two recorded branches (False, True), their results checked to be of one kind.

    Raises: OpenShape where shapes differ.
    """
    no, yes = bodies
    for i, (a, b) in enumerate(zip(no.results, yes.results)):
        if a.spec.shape != b.spec.shape and a.dtype.kind != "list":
            raise OpenShape(f"cond: result {i} has shape {show(b.spec.shape)} from true_fn and {show(a.spec.shape)} "
                            "from false_fn; a traced function needs one shape")
    starts = no.starts
    count = len(no.results)
    specs = [r.spec for r in no.results]
    written = [key for key in starts if any(key in b.variables and b.variables[key].written for b in bodies)]
    for body in bodies:
        body.results += [body.final(key) for key in written]
    values = read_outside(outer, starts)
    symbols = [s for _, s in starts.values()]
    others = free(bodies, symbols)
    node = Node(Cond(symbols + others, (no, yes), outer), (pred, *values, *others), (), (), state.device)  # type: ignore
    node.outputs = tuple(Symbol(s, node, i) for i, s in enumerate(
        specs + [starts[key][0].spec for key in written]))
    outer.nodes.append(node)
    announce(CondRecord(node, list(range(count))), outer)          # no gradient passes through an assignment
    for key, value in zip(written, node.outputs[count:]):
        outer.assign(starts[key][0], value)
    return list(node.outputs[:count])
