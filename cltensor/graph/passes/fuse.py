"""Elementwise fusion: connected expression ops of one shape become one kernel, several results included.

Ops get a *stage*: an expression takes the largest stage of what it reads, any other op one more. A path from
one expression to another of the same stage thus passes through expressions only, so those of a stage that
are connected and have one shape may run as one, and stage after stage is an order in which all can run.

A group ends at LIMIT statements or INPUTS inputs. Results that only the group reads are never written.

A mask is computed where it is used, if that comes later and what it is made of is still there then: the sign of an
activation, which its gradient asks for, need not be kept beside the activation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.core.late import Late
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor
from cltensor.graph.program import Composed, ComposedOp, Program, consumers
from cltensor.interpret.fusion import LIMIT, fuse
from cltensor.interpret.record import Node, Symbol
from cltensor.kernels.block import connected
from cltensor.kernels.expression import lower_expression
from cltensor.kernels.plan import Plan

__all__ = ["fuse_elementwise", "FusedNode", "as_fused", "components", "INPUTS"]

INPUTS = 20         # tensors and late numbers a kernel reads at most


class FusedNode(Composed):
    """A group as one node; `expression` is what its kernel computes from its inputs.

    `made` are the symbols of the expression's outputs. `pieces` holds (input, Piece) of inputs of which the kernel
    reads a piece; `places` for each output (which of the node's results it is written to, the Piece it is of that or
    None), () if all are the results themselves.
    """

    __slots__ = ("expression", "size", "pieces", "places", "shape", "made")

    def __init__(self, nodes: list[Node], leaves: list, results: list[Symbol], expression: Any, pieces: tuple = (),
                 places: tuple = ()):
        op = ComposedOp("fused(" + ", ".join(n.op.name for n in nodes) + ")", len(results))
        super().__init__(op, tuple(leaves), (), tuple(results), nodes[0].device)      # type: ignore[arg-type]
        self.expression, self.size, self.parts = expression, len(nodes), tuple(nodes)
        self.pieces, self.places = pieces, places
        self.shape, self.made = nodes[0].outputs[0].spec.shape, tuple(results)

    def specs(self) -> tuple:
        found = [x.spec if isinstance(x, Tensor) else Spec((), dtype)
                 for x, (dtype, _) in zip(self.inputs, self.expression.inputs)]
        for i, _ in self.pieces:
            found[i] = Spec(self.shape, found[i].dtype)
        return tuple(found)

    def over(self, output: int) -> tuple:
        if any(k == output and piece for k, piece in self.places):
            return ()
        cut = {i for i, _ in self.pieces}
        return tuple(i for i in range(len(self.inputs)) if i not in cut)

    def plan(self, target: Any) -> Plan:
        outs = tuple(Spec(self.shape, self.expression.dtype_of(v)) for v in self.expression.outputs)
        return lower_expression(self.expression, self.specs(), outs, target, self.pieces, self.places)


def _stages(program: Program) -> dict[int, int]:
    """Stage of each node, by position; feeds and constants are at 0."""
    of_symbol: dict[int, int] = {}
    stages = {}
    effects = 0             # stage of the last effect: effects keep their order
    for i, node in enumerate(program.nodes):
        stage = max((of_symbol.get(x.uid, 0) for x in node.inputs if isinstance(x, Symbol)), default=0)
        stages[i] = stage if node.op.expr is not None else stage + 1
        if node.op.run is not None and not node.op.pure:
            stages[i] = effects = max(stages[i], effects)
        of_symbol.update((o.uid, stages[i]) for o in node.outputs)
    _late_masks(program, stages)
    return stages


def _late_masks(program: Program, stages: dict[int, int]) -> None:
    """Put masks off to the stage of their first reader, if something else reads what they are made of then or later."""
    place = {id(n): i for i, n in enumerate(program.nodes)}
    readers = consumers(program)
    fetched = {f.uid for f in program.fetches if isinstance(f, Symbol)}

    def reads_until(node: Node) -> int:
        """The last stage whose results this node may read."""
        return stages[place[id(node)]] - (node.op.expr is None)
    for i, node in enumerate(program.nodes):
        mask = node.outputs[0] if node.outputs else None
        if node.op.expr is None or mask is None or mask.spec.dtype.name != "bool" or mask.uid in fetched \
                or mask.uid not in readers:
            continue
        late = min(reads_until(r) for r in readers[mask.uid])
        if late > stages[i] and all(any(r.op.expr is None and stages[place[id(r)]] >= late for r in readers[x.uid])
                                    for x in node.inputs if isinstance(x, Symbol)):
            stages[i] = late


def components(nodes: list[Node], alike: Callable[[Node, Node], bool]) -> list[list[Node]]:
    """Groups of nodes that read each other, as far as they are alike, in order."""
    return connected(nodes, lambda n: [x.uid for x in n.inputs if isinstance(x, Symbol)],
                     lambda n: [o.uid for o in n.outputs], alike)


def _alike(a: Node, b: Node) -> bool:
    """Whether one kernel can do both: one result shape, one device."""
    return a.outputs[0].spec.shape == b.outputs[0].spec.shape and a.device is b.device


def _siblings(groups: list[list[Node]]) -> list[list[Node]]:
    """Groups that read an array of their shape in common as one, where that keeps to the limits: it is read once.

    They cannot read each other by way of a group of another shape: expressions make shapes larger, never smaller.
    """
    merged: list[list[Node]] = []
    reads: list[set[int]] = []
    for group in groups:
        shape = group[0].outputs[0].spec.shape
        arrays = {x.uid for n in group for x in n.inputs if isinstance(x, Symbol) and x.spec.shape == shape}
        for i, other in enumerate(merged):
            if _alike(other[0], group[0]) and arrays & reads[i] and len(_cut(other + group)) == 1:
                other += group
                reads[i] |= arrays
                break
        else:
            merged.append(list(group))
            reads.append(arrays)
    return _ordered(merged)


def _ordered(groups: list[list[Node]]) -> list[list[Node]]:
    """Groups after those they read."""
    made = {o.uid: i for i, g in enumerate(groups) for n in g for o in n.outputs}
    done: set[int] = set()
    out: list[list[Node]] = []

    def visit(i: int) -> None:
        if i in done:
            return
        done.add(i)
        for node in groups[i]:
            for x in node.inputs:
                if isinstance(x, Symbol) and made.get(x.uid, i) != i:
                    visit(made[x.uid])
        out.append(groups[i])
    for i in range(len(groups)):
        visit(i)
    return out


def _cut(group: list[Node]) -> list[list[Node]]:
    """A group cut in order so that each part keeps to the limits."""
    parts: list[list[Node]] = [[]]
    read: set[int] = set()
    for node in group:
        names = {x.uid if isinstance(x, Tensor) else id(x) for x in node.inputs if isinstance(x, (Tensor, Late))}
        if parts[-1] and (len(parts[-1]) + len(node.outputs) > LIMIT or len(read | names) > INPUTS):
            parts.append([])
            read = set()
        parts[-1].append(node)
        read |= names
    return parts


def _fused(part: list[Node], readers: dict[int, list[Node]], fetched: set[int]) -> list[Node]:
    if not part[0].outputs[0].spec.size:        # empty results take no kernel at all
        return part
    if len(part) == 1 and all(o.uid in fetched or o.uid in readers for o in part[0].outputs):
        return part
    inside = {id(n) for n in part}
    made = {o.uid for n in part for o in n.outputs}
    leaves: list = []
    for node in part:
        for x in node.inputs:
            if isinstance(x, (Tensor, Late)) and not (isinstance(x, Tensor) and x.uid in made) \
                    and not any(x is known for known in leaves):
                leaves.append(x)
    results = [o for n in part for o in n.outputs
               if o.uid in fetched or any(id(r) not in inside for r in readers.get(o.uid, ()))]
    expression = fuse(part, leaves, results)
    return part if expression is None or not results else [FusedNode(part, leaves, results, expression)]


def as_fused(node: Node) -> FusedNode | None:
    """An expression node as a group of its own; None for another node, or where its kernel would need a number."""
    if isinstance(node, FusedNode):
        return node
    if node.op.expr is None or not node.outputs[0].spec.size:
        return None
    leaves = [x for i, x in enumerate(node.inputs) if isinstance(x, (Tensor, Late))
              and not any(x is known for known in node.inputs[:i])]
    expression = fuse([node], leaves, list(node.outputs))
    return None if expression is None else FusedNode([node], leaves, list(node.outputs), expression)


def fuse_elementwise(program: Program) -> Program:
    """The program with groups of expression ops as single nodes, in stage order."""
    stages, readers = _stages(program), consumers(program)
    fetched = {f.uid for f in program.fetches if isinstance(f, Symbol)}
    nodes: list[Node] = []
    for stage in range(max(stages.values(), default=-1) + 1):
        here = [n for i, n in enumerate(program.nodes) if stages[i] == stage]
        nodes += [n for n in here if n.op.expr is None]
        for group in _siblings(components([n for n in here if n.op.expr is not None], _alike)):
            for part in _cut(group):
                nodes += _fused(part, readers, fetched)
    return program.with_nodes(nodes)
