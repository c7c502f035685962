"""Sums of products: the gradient of weights that a loop uses again and again is one kernel.

In a loop written out, each turn adds a product of its own to the gradient: x0' g0 + x1' g1 + ... Their operands are
laid behind each other as they are made (`Composed.joined`), and one kernel adds up the products in the order in which
they would have been added one by one, so the bits stay, and none of them is ever written.

    A = [x0; x1; ...]        sum = ((x0' g0) + x1' g1) + ...
    B = [g0; g1; ...]
"""

from __future__ import annotations

from typing import Any

from cltensor.core.tensor import Tensor
from cltensor.graph.passes.fuse import FusedNode
from cltensor.graph.program import Composed, ComposedOp, Program, consumers
from cltensor.interpret.record import Node, Symbol
from cltensor.kernels.expression import Expression
from cltensor.kernels.matmul import Product, plan_sum
from cltensor.kernels.plan import IN, Launch, Plan

__all__ = ["sum_products", "SumNode"]

FEWEST = 4              # products that are worth it
LEAST = 4               # rows and columns of the sum: products with fewer have an order of their own
ALIGNED = 512           # bytes: a piece of a block that a kernel takes begins at a multiple, on every device
DEEPEST = 256           # of one product: deeper ones fill the device by themselves


class SumNode(Composed):
    """A sum of products of transposed first operands: inputs are all first operands, then all second ones."""

    __slots__ = ("count",)

    def __init__(self, products: list[Node], parts: list[Node], out: Symbol, inputs: list):
        op = ComposedOp(f"sum of {len(products)} products", 1)
        super().__init__(op, tuple(inputs), (), (out,), products[0].device)      # type: ignore[arg-type]
        self.parts, self.count = tuple(parts), len(products)

    def joined(self) -> tuple:
        return tuple(range(self.count)), tuple(range(self.count, 2 * self.count))

    def specs(self) -> tuple:
        return tuple(x.spec for x in self.inputs)

    def plan(self, target: Any) -> Plan | None:
        k, (m, n), count = self.inputs[0].spec.shape[0], self.outputs[0].spec.shape, self.count
        together = Product(self.outputs[0].spec.dtype, m, n, k * count, True, False, (), (), (), 1, 1, 1)
        plan = plan_sum(together, k, target)
        if plan is None:
            return None

        def moved(arg: tuple) -> tuple:
            return IN(arg[1] * count) if arg[0] == "in" else arg
        return Plan(tuple(Launch(one.template, one.params, one.kernel, tuple(map(moved, one.args)), one.global_size,
                                 one.local_size) for one in plan.launches), plan.workspace)


def _is_product(node: Node | None) -> bool:
    """Whether a node is a product that sums are made of."""
    if node is None or node.op.name != "matmul" or not all(isinstance(x, Tensor) for x in node.inputs):
        return False
    attrs, out = dict(node.attrs), node.outputs[0].spec
    a, b = (x.spec.shape for x in node.inputs)
    return (attrs["transpose_a"] and not attrs["transpose_b"] and len(a) == len(b) == 2 and min(out.shape) >= LEAST
            and 0 < a[0] <= DEEPEST and out.dtype.name in ("float32", "float64"))


def _copy(x: Tensor, device: Any) -> FusedNode:
    """A node that copies a tensor."""
    made = Symbol(x.spec)
    part = Node(ComposedOp("copy", 1), (x,), (), (made,), device)           # type: ignore[arg-type]
    return FusedNode([part], [x], [made], Expression(((x.spec.dtype.name, False),), (), (0,)))


class _Summing:
    """What the pass knows of a program."""

    def __init__(self, program: Program):
        self.readers = consumers(program)
        self.fetched = {f.uid for f in program.fetches if isinstance(f, Symbol)}
        self.maker = {o.uid: n for n in program.nodes for o in n.outputs}
        self.leaving = {self.root(f) for f in program.fetches}
        self.groups: dict[tuple, list] = {}     # values in an order -> what lies so
        self.taken: set[int | None] = set()     # values that lie in a group

    def only(self, x: Any, reader: Node) -> Node | None:
        """The node that makes a value which only this node reads."""
        if not isinstance(x, Symbol) or x.uid in self.fetched or any(r is not reader for r in self.readers[x.uid]):
            return None
        return self.maker.get(x.uid)

    def terms(self, total: Node) -> tuple[list[Node], list[Node]] | None:
        """(products, additions) of a sum, in the order in which they are added; None for another sum."""
        additions, products = [total], [self.only(x, total) for x in total.inputs]
        while products[0] is not None and products[0].op.name == "add_n":
            inner = products[0]
            additions.insert(0, inner)
            products[:1] = [self.only(x, inner) for x in inner.inputs]
        found = [p for p in products if p is not None and _is_product(p) and p.device is total.device]
        alike = len({tuple(x.spec for x in p.inputs) for p in found}) == 1
        return (found, additions) if alike and len(found) == len(products) >= FEWEST else None

    def operands(self, values: list, device: Any) -> tuple[list, list[Node]] | None:
        """Values that can lie behind each other, and the copies that takes; None where it takes too many."""
        key = tuple(x.uid for x in values)
        if key in self.groups:
            return self.groups[key], []
        roots = [self.root(x) for x in values]
        inputs, copies = list(values), []
        for i, (x, root) in enumerate(zip(values, roots)):
            if root is None or root in roots[:i] or root in self.leaving or root in self.taken:
                copies.append(_copy(x, device))
                inputs[i] = copies[-1].outputs[0]
        if len(copies) > max(1, len(values) // 4) or values[0].spec.nbytes % ALIGNED:
            return None
        self.taken.update(roots)
        self.groups[key] = inputs
        return inputs, list(copies)

    def root(self, x: Any) -> int | None:
        """The value of this program whose memory x is, None if it lies outside."""
        while isinstance(x, Symbol) and x.uid in self.maker:
            node = self.maker[x.uid]
            if not node.op.view:
                return x.uid
            x = node.inputs[0]
        return None


def sum_products(program: Program) -> Program:
    """The program with sums of products as single nodes."""
    known = _Summing(program)
    found: dict[int, list[Node]] = {}
    gone: set[int] = set()
    for node in program.nodes:
        terms = known.terms(node) if node.op.name == "add_n" and not any(
            r.op.name == "add_n" and r.inputs[0] is node.outputs[0]
            for r in known.readers.get(node.outputs[0].uid, ())) else None
        if terms is None:
            continue
        products, additions = terms
        a = known.operands([p.inputs[0] for p in products], node.device)
        b = known.operands([p.inputs[1] for p in products], node.device)
        if a is None or b is None:
            continue
        gone |= {id(n) for n in (*products, *additions)}
        found[id(node)] = [*a[1], *b[1], SumNode(products, [*products, *additions], node.outputs[0], [*a[0], *b[0]])]
    nodes: list[Node] = []
    for node in program.nodes:
        nodes += found.get(id(node), [] if id(node) in gone else [node])
    return program.with_nodes(nodes)
