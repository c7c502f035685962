"""Order: in which order the nodes of a program are replayed, for the sake of memory.

Updates of variables are what can be moved: nothing of the program reads what they make. An update comes as soon as
nothing else reads the old value, so that it may be written over it, and the gradient's memory is free for the next
one. But the gradient of a large matrix, made in the middle of the backward pass, may be the largest array of all just
when most others are alive: such a product waits, with its update, until the others are gone.
"""

from __future__ import annotations

from cltensor.core.tensor import Tensor
from cltensor.graph.program import Composed, Program, consumers
from cltensor.interpret.record import Node, Symbol

__all__ = ["ordered"]

MOST = 32               # gradients that are tried


def ordered(program: Program) -> list[Node]:
    """The nodes of a program in an order in which less memory is needed at once."""
    nodes, updates = _updates_in_time(program)
    leaving = {f.uid for f in program.fetches if isinstance(f, Symbol)}
    best = _peak(nodes, leaving)
    for gradient, update in _pairs(nodes, updates, consumers(program), leaving)[:MOST]:
        late = [n for n in nodes if n is not gradient and n is not update] + [gradient, update]
        peak = _peak(late, leaving)
        if peak < best:
            nodes, best = late, peak
    return nodes


def _pairs(nodes: list[Node], updates: set[int], readers: dict[int, list[Node]], leaving: set[int]) -> list[tuple]:
    """(gradient, update) of nodes that make what one update reads and nobody else, the largest first."""
    maker = {n.outputs[0].uid: n for n in nodes if len(n.outputs) == 1 and n.op.pure and not n.op.view}
    found = []
    for update in nodes:
        own = [x for x in update.inputs if isinstance(x, Symbol) and x.uid in maker] if id(update) in updates else []
        if len(own) == 1 and len(readers[own[0].uid]) == 1 and own[0].uid not in leaving:
            found.append((maker[own[0].uid], update))
    return sorted(found, key=lambda pair: -pair[0].outputs[0].spec.nbytes)


def _peak(nodes: list[Node], leaving: set[int]) -> int:
    """Bytes alive at once at most: what the nodes make, but for what leaves. An elementwise result may be written over
    what dies there."""
    root: dict[int, int] = {}
    death: dict[int, int] = {}
    for i, node in enumerate(nodes):
        if node.op.view and isinstance(node.inputs[0], Symbol):
            root[node.outputs[0].uid] = root.get(node.inputs[0].uid, node.inputs[0].uid)
        for x in node.inputs:
            if isinstance(x, Symbol):
                death[root.get(x.uid, x.uid)] = i
    alive: dict[int, int] = {}
    now = most = 0
    for i, node in enumerate(nodes):
        dying = sum(alive.pop(uid) for uid in {root.get(x.uid, x.uid) for x in node.inputs if isinstance(x, Symbol)}
                    if death[uid] == i and uid in alive)
        if node.op.expr is not None or isinstance(node, Composed):
            now -= dying
            dying = 0
        for o in node.outputs:
            if o.uid not in leaving and o.uid not in root and o.uid in death:
                alive[o.uid] = o.spec.nbytes
                now += o.spec.nbytes
        most = max(most, now)
        now -= dying
    return most


def _updates_in_time(program: Program) -> tuple[list[Node], set[int]]:
    """The nodes, each update of variables right after the last reader of their old values; and which are updates."""
    count = len(program.fetches) - sum(s.written for s in program.states)
    kept = {f.uid for f in program.fetches[count:]}
    starts = {s.start.uid for s in program.states if s.written}
    readers = consumers(program)
    at = {id(n): i for i, n in enumerate(program.nodes)}
    updates = {id(n) for n in program.nodes if n.op.expr is not None or isinstance(n, Composed)
               if all(o.uid in kept and o.uid not in readers for o in n.outputs)}

    def last(node: Node) -> int:
        if id(node) not in updates:
            return at[id(node)]
        return max([at[id(node)]] + [at[id(r)] for x in node.inputs if isinstance(x, Tensor) and x.uid in starts
                                     for r in readers[x.uid] if id(r) not in updates])
    return sorted(program.nodes, key=lambda n: (last(n), id(n) in updates)), updates
