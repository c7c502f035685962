"""Sums: full sums and means run in one kernel with the elementwise ops around them, whose values need not be written.

As for elementwise fusion, ops get a stage; here a full sum counts as an expression. Connected ops of a stage are a
block (`kernels/block.py`) if there is a sum among them and arrays of one shape only, beside single numbers: the chain
before the sum, the sums of several values in one walk, and what is computed from them. Small blocks are one launch.
"""

from __future__ import annotations

from typing import Any

from cltensor.core.late import Late
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor
from cltensor.graph.passes.fuse import components
from cltensor.graph.program import Composed, ComposedOp, Program, consumers
from cltensor.interpret.eager import expression_text, input_specs
from cltensor.interpret.record import Node, Symbol
from cltensor.kernels.block import Block, Leaf, Step, size
from cltensor.kernels.chain import lower_compiled, lower_each
from cltensor.kernels.plan import Plan
from cltensor.kernels.vm import lower_interpreted

__all__ = ["fuse_sums", "BlockNode"]

SMALL = 4096            # elements up to which a launch less is worth more than a program of its own
STEPS, INPUTS = 40, 20


class BlockNode(Composed):
    """Ops that run together, sums among them."""

    __slots__ = ("block",)

    def __init__(self, nodes: list[Node], leaves: list, results: list[Symbol], block: Block):
        op = ComposedOp("block(" + ", ".join(n.op.name for n in nodes) + ")", len(results))
        super().__init__(op, tuple(leaves), (), tuple(results), nodes[0].device)      # type: ignore[arg-type]
        self.block, self.parts = block, tuple(nodes)

    def specs(self) -> tuple:
        return tuple(Spec(leaf.shape, leaf.dtype) for leaf in self.block.leaves)

    def plan(self, target: Any) -> Plan:
        compiled = lower_compiled(self.block, target)
        values: tuple[Leaf | Step, ...] = (*self.block.leaves, *self.block.steps)
        if max(map(size, values)) <= SMALL:
            interpreted = lower_interpreted(self.block, target)
            if interpreted is not None and (compiled is None or len(interpreted.launches) < len(compiled.launches)):
                return interpreted
        return compiled or lower_each(self.block, target)


def _steps(node: Node) -> tuple | None:
    """(text, fold, operands, spec) of an op's steps over its inputs and earlier steps; None where it cannot."""
    if isinstance(node, Composed) or any(not o.spec.size for o in node.outputs):
        return None
    op, outs = node.op, tuple(o.spec for o in node.outputs)
    if op.expr is not None:
        ins = input_specs(op, node.inputs)
        texts = expression_text(op, ins, node.attrs)
        operands = tuple(range(len(ins)))
        return tuple((t, "", operands, o) for t, o in zip((texts,) if isinstance(texts, str) else texts, outs))
    if op.steps is not None and len(outs) == 1 and all(isinstance(x, Tensor) and x.spec.size for x in node.inputs):
        found = op.steps(tuple(x.spec for x in node.inputs), outs, **dict(node.attrs))
        # a full sum of an array; of one element, and a reshape of one, it is another matter
        return found if found and all(s[1] for s in found) and node.inputs[0].spec.size > 1 else None
    return None


def _fits(group: list[Node]) -> bool:
    """One shape beside single numbers, and few enough of everything."""
    specs = [s for n in group for s in (*(x.spec for x in n.inputs if isinstance(x, Tensor)),
                                        *(o.spec for o in n.outputs))]
    arrays = {s.shape for s in specs if s.size > 1}
    inputs = {x.uid if isinstance(x, Tensor) else id(x) for n in group for x in n.inputs}
    return (any(n.op.expr is None for n in group) and len(group) > 1 and len(arrays) == 1
            and sum(len(n.outputs) for n in group) <= STEPS and len(inputs) <= STEPS + INPUTS)


def _block(group: list[Node], wanted: set[int]) -> BlockNode | None:
    """A group as one node; `wanted` are the uids of values that others read."""
    leaves: list[Leaf] = []
    sources: list = []
    known: dict[Any, int] = {}
    made = {o.uid for n in group for o in n.outputs}

    def leaf(x: Any, dtype: str) -> Any:
        name = x.uid if isinstance(x, Tensor) else (id(x) if isinstance(x, Late) else (type(x), repr(x)), dtype)
        if name not in known:
            known[name] = len(leaves)
            sources.append(x)
            leaves.append(Leaf(tuple(x.spec.shape), x.dtype.name) if isinstance(x, Tensor) else Leaf((), dtype, True))
        return name
    for node in group:          # leaves come before all steps
        specs = input_specs(node.op, node.inputs)
        for x, s in zip(node.inputs, specs):
            if not (isinstance(x, Tensor) and x.uid in made):
                leaf(x, s.dtype.name)
    if len(leaves) > INPUTS:
        return None
    steps: list[Step] = []
    for node in group:
        specs = input_specs(node.op, node.inputs)
        values = [known[x.uid if isinstance(x, Tensor) and x.uid in made else leaf(x, s.dtype.name)]
                  for x, s in zip(node.inputs, specs)]
        parts = _steps(node) or ()
        fold = node.op.expr is None
        for text, how, operands, spec in parts:
            steps.append(Step(text, how, tuple(values[i] for i in operands), tuple(spec.shape), spec.dtype.name))
            if fold:                        # its later steps read its earlier ones
                values.append(len(leaves) + len(steps) - 1)
        for k, o in enumerate(node.outputs):
            known[o.uid] = len(leaves) + len(steps) - (1 if fold else len(parts) - k)
    results = [o for n in group for o in n.outputs if o.uid in wanted]
    if not results or len(results) > INPUTS or len(steps) > STEPS:
        return None
    return BlockNode(group, sources, results, Block(tuple(leaves), tuple(steps), tuple(known[o.uid] for o in results)))


def fuse_sums(program: Program) -> Program:
    """The program with full sums and what surrounds them as single nodes."""
    able = {id(n): _steps(n) is not None for n in program.nodes}
    stage_of: dict[int, int] = {}
    stages: dict[int, list[Node]] = {}
    for node in program.nodes:
        at = max((stage_of.get(x.uid, 0) for x in node.inputs if isinstance(x, Symbol)), default=0)
        at += not able[id(node)]
        stages.setdefault(at, []).append(node)
        stage_of.update((o.uid, at) for o in node.outputs)
    readers = consumers(program)
    wanted = {f.uid for f in program.fetches if isinstance(f, Symbol)}
    nodes: list[Node] = []
    for at in sorted(stages):
        nodes += [n for n in stages[at] if not able[id(n)]]
        for group in components([n for n in stages[at] if able[id(n)]], lambda a, b: a.device is b.device):
            inside = {id(n) for n in group}
            block = _block(group, wanted | {uid for uid, them in readers.items()
                                            if any(id(r) not in inside for r in them)}) if _fits(group) else None
            nodes += group if block is None else [block]
    return program.with_nodes(nodes)
