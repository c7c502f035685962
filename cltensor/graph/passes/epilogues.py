"""Epilogues: what is done to each element of a product is done where the product stores it.

A bias, an activation, the mask of a gradient: an elementwise node of one result that is the only reader of a product,
of a convolution, of the gradient of its input, or of a batch normalisation becomes part of its kernel
(`kernels/epilogue.py`), each op rounded by itself as before. Updates of variables stay: they write over the old value,
which a product cannot.
"""

from __future__ import annotations

from typing import Any

from cltensor.core.tensor import Tensor
from cltensor.graph.passes.fuse import FusedNode, as_fused
from cltensor.graph.program import Composed, ComposedOp, Program, consumers
from cltensor.interpret.record import Node, Symbol
from cltensor.kernels.epilogue import Epilogue, epilogue_of
from cltensor.kernels.expression import Expression, Statement
from cltensor.kernels.plan import Plan

__all__ = ["absorb_epilogues", "EpilogueNode"]

# rows whose lowering takes an epilogue
ROWS = ("matmul", "conv2d", "conv2d_backprop_input", "depthwise_conv2d_native",
        "depthwise_conv2d_native_backprop_input", "fused_batch_norm")
STATEMENTS = 8              # in an epilogue: more would press the tile out of its registers


class EpilogueNode(Composed):
    """A product, or what is made of products, and what is done to its elements; first come the product's own inputs."""

    __slots__ = ("product", "epilogue", "others")

    def __init__(self, product: Node, fused: FusedNode, others: list, epilogue: Epilogue):
        outputs = (*fused.outputs, *product.outputs[1:])
        op = ComposedOp(f"{product.op.name} + {fused.op.name}", len(outputs))
        super().__init__(op, (*product.inputs, *others), product.attrs, outputs,       # type: ignore[arg-type]
                         product.device)
        self.product, self.epilogue, self.others = product, epilogue, others
        self.parts = (product, *fused.parts)

    def specs(self) -> tuple:
        own = [x.spec for x in self.product.inputs]
        return (*own, *(x.spec if isinstance(x, Tensor) else self.outputs[0].spec for x in self.others))

    def plan(self, target: Any) -> Plan:
        lower: Any = self.product.op.lower
        return lower(self.specs()[:len(self.product.inputs)], tuple(o.spec for o in self.outputs), target,
                     **dict(self.attrs), epilogue=self.epilogue)


def _first(fused: FusedNode, at: int) -> Expression:
    """The expression with input `at` as its first."""
    old = fused.expression
    order = [at, *(i for i in range(len(old.inputs)) if i != at)]
    place = {v: k for k, v in enumerate(order)} | {v: v for v in range(len(old.inputs),
                                                                       len(old.inputs) + len(old.statements))}
    statements = tuple(Statement(s.text, tuple(place[v] for v in s.operands), s.dtype) for s in old.statements)
    return Expression(tuple(old.inputs[i] for i in order), statements, tuple(place[v] for v in old.outputs))


def _absorbed(product: Node, reader: Node) -> EpilogueNode | None:
    result = product.outputs[0]
    fused = as_fused(reader)
    if fused is None or fused.pieces or len(fused.outputs) != 1 or len(fused.expression.statements) > STATEMENTS:
        return None
    out = fused.outputs[0].spec
    where = [i for i, x in enumerate(fused.inputs) if x is result]
    if len(where) != 1 or out is not result.spec or any(not isinstance(x, Tensor) for x in product.inputs):
        return None
    others = [x for i, x in enumerate(fused.inputs) if i != where[0]]
    shapes = tuple(tuple(x.spec.shape) if isinstance(x, Tensor) else () for x in others)
    epilogue = epilogue_of(_first(fused, where[0]), shapes, tuple(out.shape), out.dtype)
    return None if epilogue is None else EpilogueNode(product, fused, others, epilogue)


def absorb_epilogues(program: Program) -> Program:
    """The program with elementwise nodes that are the only readers of products inside these."""
    readers = consumers(program)
    fetched = {f.uid for f in program.fetches if isinstance(f, Symbol)}
    kept = {f.uid for f in program.fetches[len(program.fetches) - sum(s.written for s in program.states):]}
    made = {o.uid: i for i, n in enumerate(program.nodes) for o in n.outputs}
    place: dict[int, Node] = {}             # reader, or what it reads -> what stands there
    gone: set[int] = set()
    for i, node in enumerate(program.nodes):
        if node.op.name not in ROWS or node.outputs[0].uid in fetched or not node.outputs[0].spec.size:
            continue
        reading = readers.get(node.outputs[0].uid, [])
        if len(reading) != 1 or id(reading[0]) in place or reading[0].device is not node.device or any(
                o.uid in kept for o in reading[0].outputs):
            continue
        absorbed = _absorbed(node, reading[0])
        if absorbed is None or id(reading[0]) in gone:
            continue
        if len(node.outputs) == 1:
            place[id(reading[0])] = absorbed
            gone.add(id(node))
        elif "full" not in absorbed.epilogue.kinds and all(made.get(x.uid, -1) < i for x in absorbed.others
                                                           if isinstance(x, Tensor)):
            # Its other results may be read before the reader stands: it stays where it is. It walks down columns, 64
            # bytes wide: one more array is read faster on its own
            place[id(node)] = absorbed
            gone.add(id(reading[0]))
    return program.with_nodes([place.get(id(n), n) for n in program.nodes if id(n) not in gone])
