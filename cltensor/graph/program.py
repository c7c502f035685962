"""Program: a recording made ready for the passes: nodes in order, what is fed, what is fetched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cltensor.core.tensor import Tensor
from cltensor.graph.dot import draw
from cltensor.interpret.record import Node, State, Symbol
from cltensor.kernels.plan import Plan

__all__ = ["Program", "Composed", "ComposedOp", "verify", "consumers"]


@dataclass(frozen=True)
class Program:
    """Nodes in an order in which they can run; passes return changed copies.

    `feeds` are symbols whose values come from outside, `fetches` symbols or tensors wanted in the end.
    `states` are the variables: their `start` symbols are fed too, and the new values of those `written` are the
    last of the fetches. `inner` tells the body of a control node.
    """

    nodes: tuple[Node, ...]
    feeds: tuple[Symbol, ...]
    fetches: tuple[Any, ...]
    states: tuple[State, ...] = ()
    inner: bool = False

    def with_nodes(self, nodes: Any, renamed: dict[int, Any] | None = None) -> Program:
        """Other nodes; `renamed` maps uids of symbols that went to what takes their place."""
        renamed = renamed or {}
        return replace(self, nodes=tuple(nodes),
                       fetches=tuple(renamed.get(f.uid, f) if isinstance(f, Symbol) else f for f in self.fetches))

    def to_dot(self, name: str = "program") -> str:
        """A picture for Graphviz; see graph/dot.py."""
        count = len(self.fetches) - sum(s.written for s in self.states)
        results = {f"result {i}" if count > 1 else "result": f for i, f in enumerate(self.fetches[:count])}
        written = [s.variable.name for s in self.states if s.written]
        results |= {f"assign {v}": f for v, f in zip(written, self.fetches[count:])}
        return draw(name, self.nodes, self.feeds, results, {s.start.uid: s.variable.name for s in self.states})

    def __str__(self) -> str:
        names: dict[int, str] = {s.uid: f"%{i}" for i, s in enumerate(self.feeds)}
        lines = [f"{names[s.uid]} = feed {s.shape} {s.dtype.name}" for s in self.feeds]
        for n in self.nodes:
            for o in n.outputs:
                names[o.uid] = f"%{len(names)}"
            reads = ", ".join(names.get(x.uid, "constant") if isinstance(x, Tensor) else repr(x)
                              if isinstance(x, (bool, int, float)) else "late" for x in n.inputs)
            kept = ", ".join(f"{k}={v}" for k, v in n.attrs)
            made = ", ".join(names[o.uid] for o in n.outputs)
            lines.append(f"{made} = {n.op.name}({reads}{'; ' + kept if kept else ''}) "
                         + ", ".join(f"{o.shape} {o.dtype.name}" for o in n.outputs))
        if self.fetches:
            lines.append("fetch " + ", ".join(names.get(f.uid, "constant") for f in self.fetches))
        return "\n".join(lines)


class Composed(Node):
    """A node that a pass made of several: its inputs are tensors and late numbers, and it brings a plan of its own.

    `parts` are those it was made of, for pictures.
    """

    __slots__ = ("parts",)
    parts: tuple[Node, ...]

    def over(self, output: int) -> tuple:
        """Inputs, by position, that a result of their shape may be written over: read element by element before."""
        return ()

    def joined(self) -> tuple:
        """Groups of inputs, by position, that lie behind each other: the plan's first of a group stands for all."""
        return ()

    def specs(self) -> tuple:
        """Specs of the inputs, a late number's with the dtype it enters in."""
        raise NotImplementedError

    def plan(self, target: Any) -> Plan | None:
        """What to launch on a device with these traits; None: what the node was made of, `parts`, one by one."""
        raise NotImplementedError


class ComposedOp:
    """Lends a composed node what the passes and the binding ask of a row."""

    pure, run, view, expr, lower = True, None, False, None, None
    slots, identity, may_fail, fails = True, None, False, ""

    def __init__(self, name: str, outputs: int):
        self.name, self.outputs = name, outputs


def consumers(program: Program) -> dict[int, list[Node]]:
    """Nodes that read each symbol, by uid."""
    out: dict[int, list[Node]] = {}
    for node in program.nodes:
        for x in node.inputs:
            if isinstance(x, Symbol):
                out.setdefault(x.uid, []).append(node)
    return out


def verify(program: Program) -> None:
    """Every symbol is defined once, and before it is read; run after each pass in tests.

    Raises: AssertionError.
    """
    known = {s.uid for s in program.feeds}
    for node in program.nodes:
        for x in node.inputs:
            assert not isinstance(x, Symbol) or x.uid in known, f"{node} reads {x} before it is defined"
        for o in node.outputs:
            assert o.uid not in known, f"{o} is defined twice"
            known.add(o.uid)
    for f in program.fetches:
        assert not isinstance(f, Symbol) or f.uid in known, f"{f} is fetched and nothing defines it"
