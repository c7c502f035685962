"""Narrow: of a product only the columns that somebody reads are computed.

The gradient of `matmul(concat([x, h], 1), w)` by its first operand is cut in two; where `x` is data, nobody reads the
first half. An element of a product is one chain of additions over k, whatever other columns there are: the bits stay.
"""

from __future__ import annotations

from cltensor.core.spec import Spec
from cltensor.graph.program import Program, consumers
from cltensor.interpret.record import Node, Recording, Symbol
from cltensor.ops import slicing

__all__ = ["narrow_products"]

LEAST = 4               # rows and columns of a product: with fewer it has an order of its own, by its sizes
ROWS = 256              # of all products with the same columns: with fewer, cutting the matrix costs what it saves


class _Cut:
    """A product whose only reader is a split of its columns, and those of the split's results that are read."""

    def __init__(self, product: Node, split: Node, used: list[int]):
        self.product, self.split = product, split
        sizes, kept = dict(split.attrs)["sizes"], slice(used[0], used[-1] + 1)
        self.sizes, self.outputs = tuple(sizes[kept]), split.outputs[kept]
        self.first, self.number = sum(sizes[:used[0]]), sum(self.sizes)
        self.turned = dict(product.attrs)["transpose_b"]
        # equal for those that can share the cut matrix
        self.key = product.inputs[1].uid, self.first, self.number, self.turned, id(product.device)

    def matrix(self) -> list[Node]:
        """Nodes that make the columns of the second operand."""
        first, number = [0, self.first], [-1, self.number]
        with Recording() as recording:
            slicing.slice(self.product.inputs[1], first[::-1] if self.turned else first,
                          number[::-1] if self.turned else number)
        return [Node(n.op, n.inputs, n.attrs, n.outputs, self.product.device) for n in recording.nodes]

    def nodes(self, matrix: Symbol) -> list[Node]:
        """What takes the place of both."""
        product, split, old = self.product, self.split, self.product.outputs[0].spec
        whole = self.outputs[0] if len(self.outputs) == 1 else Symbol(Spec((old.shape[0], self.number), old.dtype))
        narrow = Node(product.op, (product.inputs[0], matrix), product.attrs, (whole,), product.device)
        attrs = tuple((k, self.sizes if k == "sizes" else v) for k, v in split.attrs)
        return [narrow] if len(self.outputs) == 1 else [narrow, Node(split.op, (whole,), attrs, self.outputs,
                                                                     split.device)]


def _found(program: Program) -> list[_Cut]:
    """Products of which only some columns are read, where that is worth cutting their matrix."""
    readers = consumers(program)
    fetched = {f.uid for f in program.fetches if isinstance(f, Symbol)}
    products = {n.outputs[0].uid: n for n in program.nodes if n.op.name == "matmul" and isinstance(n.inputs[1], Symbol)
                and len(n.inputs[1].spec.shape) == len(n.outputs[0].spec.shape) == 2}
    found = []
    for node in program.nodes:
        source = node.inputs[0].uid if node.op.name == "split" and isinstance(node.inputs[0], Symbol) else -1
        if source not in products or source in fetched or len(readers[source]) > 1:
            continue
        used = [i for i, o in enumerate(node.outputs) if o.uid in fetched or o.uid in readers]
        if not used or used[-1] - used[0] + 1 == len(node.outputs) or dict(node.attrs)["axis"] % 2 == 0:
            continue
        cut = _Cut(products[source], node, used)
        if cut.product.device is node.device and min(node.inputs[0].spec.shape[0], cut.number) >= LEAST:
            found.append(cut)
    rows: dict[tuple, int] = {}
    for cut in found:
        rows[cut.key] = rows.get(cut.key, 0) + cut.product.outputs[0].spec.shape[0]
    return [cut for cut in found if rows[cut.key] >= ROWS]


def narrow_products(program: Program) -> Program:
    """The program with products cut to the columns that are read."""
    cuts = {id(cut.split): cut for cut in _found(program)}
    gone = {id(cut.product) for cut in cuts.values()}
    matrices: dict[tuple, Symbol] = {}
    nodes: list[Node] = []
    for node in program.nodes:
        cut = cuts.get(id(node))
        if cut is None:
            nodes += [] if id(node) in gone else [node]
            continue
        if cut.key not in matrices:
            made = cut.matrix()
            nodes += made
            matrices[cut.key] = made[-1].outputs[0]
        nodes += cut.nodes(matrices[cut.key])
    return program.with_nodes(nodes)
