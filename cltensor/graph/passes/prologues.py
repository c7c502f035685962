"""Prologues: an array that is only made to be reduced is never written, its elements are made where they are reduced.

So it is for sums, means, products and extremes over any axes of an elementwise chain over one array of the same shape
and dtype. The kernel is the one that reduces an array which is there, so every sum has its tree, and its bits. Full
sums of several arrays are blocks (`sums.py`).
"""

from __future__ import annotations

from typing import Any

from cltensor.core.tensor import Tensor
from cltensor.graph.passes.fuse import FusedNode, as_fused
from cltensor.graph.program import Composed, ComposedOp, Program, consumers
from cltensor.interpret.record import Node, Symbol
from cltensor.kernels.plan import Plan

__all__ = ["absorb_prologues"]

ROWS = ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "sum_to")   # their lowering takes one
DTYPES = ("float32", "float64")     # others are accumulated in another type than they are stored in


class PrologueNode(Composed):
    """A reduction, and what makes the elements that it reduces."""

    __slots__ = ("reduction", "expression")

    def __init__(self, reduction: Node, fused: FusedNode):
        op = ComposedOp(f"{reduction.op.name} of {fused.op.name}", 1)
        super().__init__(op, fused.inputs, reduction.attrs, reduction.outputs, reduction.device)   # type: ignore[arg-type]
        self.reduction, self.expression, self.parts = reduction, fused.expression, (*fused.parts, reduction)

    def specs(self) -> tuple:
        return tuple(x.spec for x in self.inputs)

    def plan(self, target: Any) -> Plan:
        lower: Any = self.reduction.op.lower
        return lower(self.specs(), (self.outputs[0].spec,), target, **dict(self.attrs), before=self.expression)


def _absorbed(maker: Node, reduction: Node) -> PrologueNode | None:
    fused = as_fused(maker)
    if fused is None or fused.pieces or fused.places or len(fused.outputs) != 1 or len(fused.inputs) != 1:
        return None
    x, made = fused.inputs[0], fused.outputs[0].spec
    fits = isinstance(x, Tensor) and x.spec is made and made.dtype.name in DTYPES and reduction.outputs[0].spec.size
    return PrologueNode(reduction, fused) if fits else None


def absorb_prologues(program: Program) -> Program:
    """The program with elementwise nodes that are only reduced inside the reductions."""
    readers = consumers(program)
    fetched = {f.uid for f in program.fetches if isinstance(f, Symbol)}
    maker = {o.uid: n for n in program.nodes for o in n.outputs}
    place: dict[int, Node] = {}             # reduction -> what stands there
    gone: set[int] = set()
    for node in program.nodes:
        x = node.inputs[0] if node.op.name in ROWS else None
        if not isinstance(x, Symbol) or x.uid not in maker or x.uid in fetched or len(readers[x.uid]) > 1:
            continue
        before = maker[x.uid]
        absorbed = _absorbed(before, node) if before.device is node.device else None
        if absorbed is not None:
            place[id(node)] = absorbed
            gone.add(id(before))
    return program.with_nodes([place.get(id(n), n) for n in program.nodes if id(n) not in gone])
