"""Updates: what an optimizer does to its many small variables becomes one launch, or few.

Merged are nodes that only make new values of variables, by one and the same expression: nothing reads what they make,
so they may run together whenever all their gradients are there. Large ones stay alone: a launch more costs them
nothing, and the sooner they run the sooner their gradient's memory is free.
"""

from __future__ import annotations

from typing import Any

from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor
from cltensor.graph.passes.fuse import FusedNode, as_fused
from cltensor.graph.program import Composed, ComposedOp, Program, consumers
from cltensor.interpret.record import Node
from cltensor.kernels.expression import Expression
from cltensor.kernels.groups import lower_groups, most_sets
from cltensor.kernels.plan import Plan

__all__ = ["merge_updates", "MergedNode"]

SMALL = 16384           # elements of a variable that is worth merging


class MergedNode(Composed):
    """Several nodes of one expression; `sets` says which inputs are whose."""

    __slots__ = ("expression", "sets")

    def __init__(self, nodes: list[FusedNode]):
        inputs: list = []
        sets = []
        for node in nodes:
            own = []
            for x in node.inputs:
                at = next((i for i, known in enumerate(inputs) if known is x), len(inputs))
                if at == len(inputs):
                    inputs.append(x)
                own.append(at)
            sets.append(tuple(own))
        outputs = tuple(o for node in nodes for o in node.outputs)
        super().__init__(ComposedOp(f"{len(nodes)} x {nodes[0].op.name}", len(outputs)),       # type: ignore[arg-type]
                         tuple(inputs), (), outputs, nodes[0].device)
        self.expression, self.sets = nodes[0].expression, tuple(sets)
        self.parts = tuple(part for node in nodes for part in node.parts)

    def specs(self) -> tuple:
        dtypes = {at: d for own in self.sets for at, (d, _) in zip(own, self.expression.inputs)}
        return tuple(x.spec if isinstance(x, Tensor) else Spec((), dtypes[i]) for i, x in enumerate(self.inputs))

    def plan(self, target: Any) -> Plan:
        count = len(self.expression.outputs)
        sizes = tuple(self.outputs[k * count].spec.size for k in range(len(self.sets)))
        return lower_groups(self.expression, sizes, self.sets, target)

    def over(self, output: int) -> tuple:
        return self.sets[output // len(self.expression.outputs)]


def _alone(node: Node) -> FusedNode | None:
    """A node as a fused one, if it is elementwise, small, and broadcasts nothing."""
    shape = node.outputs[0].spec.shape
    if not 0 < (node.outputs[0].spec.size or 0) <= SMALL or any(
            isinstance(x, Tensor) and x.spec.shape != shape for x in node.inputs):
        return None
    return as_fused(node)


def merge_updates(program: Program) -> Program:
    """The program with small updates of variables merged; they come last."""
    kept = {f.uid for f in program.fetches[len(program.fetches) - sum(s.written for s in program.states):]}
    readers = consumers(program)
    found: dict[tuple[Expression, int], list[tuple[Node, FusedNode]]] = {}
    for node in program.nodes:
        if node.outputs and all(o.uid in kept and o.uid not in readers for o in node.outputs):
            fused = _alone(node)
            if fused is not None and not fused.pieces and not fused.places:
                found.setdefault((fused.expression, id(node.device)), []).append((node, fused))
    gone: set[int] = set()
    merged: list[Node] = []
    for (expression, _), pairs in found.items():
        most = most_sets(expression)
        for i in range(0, len(pairs), most):
            some = pairs[i:i + most]
            if len(some) > 1:
                gone |= {id(node) for node, _ in some}
                merged.append(MergedNode([fused for _, fused in some]))
    return program.with_nodes([n for n in program.nodes if id(n) not in gone] + merged)
