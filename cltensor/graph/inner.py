"""Inner replays: the bodies of control nodes, run inside the replay of the program around them.

A body is cut in two: counters that follow from what comes in are computed on the host first, then the rest runs, as
a planned replay where it is kernels only. So what a loop counts keeps its other work from nothing. What a body only
passes on, lists for example, goes past both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.core.tensor import Tensor
from cltensor.graph.passes.counters import COUNTER
from cltensor.graph.planned import Planned, fits
from cltensor.graph.program import Program
from cltensor.graph.replay import optimize
from cltensor.graph.stepwise import Stepwise
from cltensor.interpret.eager import bind_host
from cltensor.interpret.record import EFFECT, Node, Symbol

__all__ = ["Inner"]


class Inner:
    """A body compiled for a device.

    Args:
        nodes, feeds, fetches: of the body; feeds are on the device when it runs, or lists.

    Attributes: `program`, optimised.
    """

    def __init__(self, nodes: list[Node], feeds: list[Symbol], fetches: list[Tensor], device: Any):
        here = [Node(n.op, n.inputs, n.attrs, n.outputs, None) if n.device is device else n for n in nodes]
        self.program = optimize(Program(tuple(here), tuple(feeds), tuple(fetches), inner=True))
        names = {s.uid: i for i, s in enumerate(feeds)}
        self._counts: list[tuple[Callable, list]] = []      # what computes a counter, and from what
        rest: list[Node] = []
        for node in self.program.nodes:
            if node.op is COUNTER and all(not isinstance(x, Symbol) or x.uid in names for x in node.inputs):
                self._counts.append((bind_host(node.op, device, node.attrs),
                                     [(None, x) if not isinstance(x, Symbol) else (names[x.uid], None)
                                      for x in node.inputs]))
                names[node.outputs[0].uid] = len(names)
            else:
                rest.append(node)
        made = {o.uid: o for n in rest for o in n.outputs}
        read = {x.uid: x for n in rest for x in n.inputs if isinstance(x, Symbol) and x.uid in names}
        self._reads = [names[uid] for uid in read]
        wanted = {f.uid: f for f in self.program.fetches if f.uid in made}
        at = {uid: len(names) + i for i, uid in enumerate(wanted)}
        self._fetches = [(names.get(f.uid, at.get(f.uid)), f) for f in self.program.fetches]
        self._rest = self._compiled(Program(tuple(rest), tuple(read.values()), tuple(wanted.values())), device)

    @staticmethod
    def _compiled(rest: Program, device: Any) -> Callable | None:
        if not rest.nodes:
            return None
        if fits(rest, device) and not any(n.op is EFFECT for n in rest.nodes):
            return Planned(rest, device)
        return Stepwise(rest, device).values

    def values(self, feeds: list[Tensor]) -> list[Tensor]:
        """Run once."""
        values = list(feeds)
        for run, inputs in self._counts:
            values.append(run(tuple([x if at is None else values[at] for at, x in inputs])))
        if self._rest is not None:
            values += self._rest([values[at] for at in self._reads])
        return [f if at is None else values[at] for at, f in self._fetches]


