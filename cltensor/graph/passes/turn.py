"""Turn: a matrix that several products take transposed is transposed once, and each product gets it as it likes it.

In a loop written out, as that of a recurrent layer, the backward pass takes the same weights transposed at every
step. The bits stay: an element of a product is one chain of additions over k, however its operands lie.
"""

from __future__ import annotations

from cltensor.graph.program import Program
from cltensor.interpret.record import Node, Recording, Symbol
from cltensor.ops.array import transpose

__all__ = ["turn_shared"]

LEAST = 4               # rows of a product: with fewer it has an order of its own, by how the operands lie
SHARED = 3              # products from which a transposition pays


def _turned(node: Node) -> Symbol | None:
    """The matrix a product takes transposed, if it is worth a look."""
    if node.op.name != "matmul" or not dict(node.attrs).get("transpose_b") or len(node.inputs) != 2:
        return None
    b, out = node.inputs[1], node.outputs[0].spec
    if not isinstance(b, Symbol) or len(b.spec.shape) != 2 or len(out.shape) != 2 or min(out.shape) < LEAST:
        return None
    return b


def turn_shared(program: Program) -> Program:
    """The program with matrices transposed once that SHARED or more products take transposed."""
    count: dict[tuple, int] = {}
    for node in program.nodes:
        b = _turned(node)
        if b is not None:
            count[b.uid, id(node.device)] = count.get((b.uid, id(node.device)), 0) + 1
    made: dict[tuple, Symbol] = {}
    nodes: list[Node] = []
    for node in program.nodes:
        b = _turned(node)
        if b is not None and count[b.uid, id(node.device)] >= SHARED:
            key = b.uid, id(node.device)
            if key not in made:
                with Recording() as recording:
                    made[key] = transpose(b)
                nodes += [Node(n.op, n.inputs, n.attrs, n.outputs, node.device) for n in recording.nodes]
            attrs = tuple((k, False if k == "transpose_b" else v) for k, v in node.attrs)
            node = Node(node.op, (node.inputs[0], made[key]), attrs, node.outputs, node.device)
        nodes.append(node)
    return program.with_nodes(nodes)
