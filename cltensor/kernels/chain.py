"""Plans of kernels made for one block: its expressions fused, its sums taken in the walk that computes their elements.

Connected steps over one shape become one kernel. Where it sums, it is `chain.cl.mako`; else it is the
elementwise template with a longer expression. What is left are single numbers: sums of parts, and what is computed
from them; they are a block of their own, which the interpreter runs in one launch. Sizes are arguments: the programs
serve every shape that broadcasts alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cltensor.base.dtypes import DType, as_dtype
from cltensor.kernels.block import Block, Leaf, Step, connected, rounds, size
from cltensor.kernels.expression import Expression, Statement, lower_expression, single, statement_lines
from cltensor.kernels.plan import IN, OUT, SCALAR, SLOT, WORK, Launch, Plan, launch
from cltensor.kernels.reduction import lower_reduce, pieces
from cltensor.kernels.vm import lower_interpreted
from cltensor.kernels.vm_code import Beyond, walk_of

__all__ = ["lower_compiled", "lower_each"]

STATEMENTS = 48         # in one kernel: more spill registers and compile slowly
SUMMED = ("float32", "float64")


@dataclass(frozen=True)
class _Spec:
    """What `lower` functions read of a spec."""

    shape: tuple[int, ...]
    dtype: DType


def _spec(value: Leaf | Step) -> _Spec:
    return _Spec(value.shape, as_dtype(value.dtype))


def lower_compiled(block: Block, target: Any) -> Plan | None:
    """The plan that runs a block by kernels of its own: inputs are its leaves, results its outputs.

    None where something is empty, or a kernel would have too many statements or reads an operand that broadcasts
    along more than one run of axes into a sum.
    """
    known: tuple = (*block.leaves, *block.steps)
    if not block.outputs or not all(size(v) for v in known):
        return None
    try:
        return _Compiling(block, target).plan()
    except Beyond:
        return None


def lower_each(block: Block, target: Any) -> Plan:
    """The plan that runs a block step by step, each by the kernel an op of its own would get."""
    parts = _Parts(block)
    for k in range(len(block.leaves), len(block.leaves) + len(block.steps)):
        parts.each(k, target)
    return parts.done()


class _Parts:
    """A plan put together from plans of some of a block's steps; `places` says where a value lies."""

    def __init__(self, block: Block):
        self.block = block
        self.launches: list[Launch] = []
        self.workspace: list[int] = []
        self.places: dict[int, tuple] = {i: IN(i) for i, leaf in enumerate(block.leaves) if not leaf.slot}
        for i, v in enumerate(block.outputs):
            if v in self.places:
                raise Beyond
            self.places[v] = OUT(i)

    def work(self, nbytes: int) -> tuple:
        """Another workspace."""
        self.workspace.append(nbytes)
        return WORK(len(self.workspace) - 1)

    def room(self, value: int) -> tuple:
        """Where a value is to be written."""
        if value not in self.places:
            v = self.block.value(value)
            self.places[value] = self.work(size(v) * as_dtype(v.dtype).size)
        return self.places[value]

    def add(self, plan: Plan, ins: list[Any], outs: list[tuple]) -> None:
        """Append a plan whose i-th input is `ins[i]` (a value's number, or a place) and i-th result goes to a place."""
        base = len(self.workspace)
        self.workspace += plan.workspace

        def moved(arg: tuple) -> tuple:
            if arg[0] == "in":
                source = ins[arg[1]]
                return source if isinstance(source, tuple) else self.places[source]
            if arg[0] == "slot":
                source = ins[arg[1]]
                return SCALAR(arg[2], source[1]) if isinstance(source, tuple) else SLOT(source, arg[2])
            if arg[0] == "out":
                return outs[arg[1]]
            return WORK(base + arg[1]) if arg[0] == "work" else arg
        for one in plan.launches:
            args = tuple(map(moved, one.args))
            self.launches.append(Launch(one.template, one.params, one.kernel, args, one.global_size, one.local_size))

    def each(self, k: int, target: Any) -> None:
        """The step of a value number by the kernel of a single op."""
        step = self.block.step(k)
        values = [self.block.value(v) for v in step.operands]
        ins, outs = tuple(map(_spec, values)), (_spec(step),)
        if step.fold:
            plan = lower_reduce(ins, outs, target, op="sum", axes=tuple(range(len(ins[0].shape))),
                                scale=size(values[0]) if step.fold == "mean" else 1)
        else:
            slots = tuple(isinstance(v, Leaf) and v.slot for v in values)
            plan = lower_expression(single(step.text, ins, slots, outs), ins, outs, target)
        self.add(plan, list(step.operands), [self.room(k)])

    def done(self) -> Plan:
        return Plan(tuple(self.launches), tuple(self.workspace))


class _Compiling(_Parts):
    """A block on its way to a plan, round by round."""

    def __init__(self, block: Block, target: Any):
        super().__init__(block)
        self.target = target
        self.parts: dict[int, tuple[tuple, int]] = {}       # sum -> where its parts lie, their number
        self.rounds = rounds(block)
        self.readers: dict[int, set[int]] = {}
        for r in self.rounds:
            for k in (*r.singles, *(v for values in r.loops.values() for v in values)):
                for operand in block.step(k).operands:
                    self.readers.setdefault(operand, set()).add(k)

    def plan(self) -> Plan:
        for r in self.rounds:
            self.numbers(r.singles)
            for n, values in r.loops.items():
                for group in connected(values, lambda k: self.block.step(k).operands, lambda k: (k,)):
                    self.loop(n, group)
        return self.done()

    def numbers(self, singles: list[int]) -> None:
        """Single numbers and sums of parts, as a block of their own."""
        due, self.parts = self.parts, {}
        if not singles and not due:
            return
        inside = {*singles, *due}
        reads = [v for v in dict.fromkeys(v for k in singles for v in self.block.step(k).operands) if v not in inside]
        sources: list[Any] = [*reads, *(place for place, _ in due.values())]
        leaves = [v if isinstance(v, Leaf) else Leaf(v.shape, v.dtype) for v in map(self.block.value, reads)]
        leaves += [Leaf((count,), self.block.step(k).dtype) for k, (_, count) in due.items()]
        counts = [(k, size(self.block.value(self.block.step(k).operands[0]))) for k in due
                  if self.block.step(k).fold == "mean"]
        sources += [("number", float(n)) for _, n in counts]
        leaves += [Leaf((), self.block.step(k).dtype, True) for k, _ in counts]
        number = {v: i for i, v in enumerate(reads)}
        steps: list[Step] = []
        for i, k in enumerate(due):
            dtype = self.block.step(k).dtype
            steps.append(Step("", "sum", (len(reads) + i,), (), dtype))
            number[k] = len(leaves) + len(steps) - 1
        for i, (k, _) in enumerate(counts):
            at = len(reads) + len(due) + i
            steps.append(Step("x0 / x1", "", (number[k], at), (), self.block.step(k).dtype))
            number[k] = len(leaves) + len(steps) - 1
        for k in singles:
            step = self.block.step(k)
            steps.append(Step(step.text, step.fold, tuple(number[v] for v in step.operands), step.shape, step.dtype))
            number[k] = len(leaves) + len(steps) - 1
        wanted = [k for k in inside if k in self.places or not self.readers.get(k, set()) <= inside]
        small = Block(tuple(leaves), tuple(steps), tuple(number[k] for k in wanted))
        plan = lower_interpreted(small, self.target) or lower_each(small, self.target)
        self.add(plan, sources, [self.room(k) for k in wanted])

    def loop(self, n: int, values: list[int]) -> None:
        """Connected steps over n elements: one kernel, and what its sums need behind it."""
        folds = [k for k in values if self.block.step(k).fold]
        rest = [k for k in values if k not in folds]
        summed = [k for k in folds if self.block.step(k).operands[0] in rest and self.target.schedule == "cpu"
                  and self.block.step(k).dtype in SUMMED]
        alone = [k for k in folds if k not in summed]
        if len(rest) > STATEMENTS:
            raise Beyond
        if rest:
            inside = {*rest, *summed}
            reads = list(dict.fromkeys(v for k in rest for v in self.block.step(k).operands if v not in inside))
            number = {v: i for i, v in enumerate(reads)} | {k: len(reads) + i for i, k in enumerate(rest)}
            inputs = tuple((v.dtype, isinstance(v, Leaf) and v.slot) for v in map(self.block.value, reads))
            wanted = [k for k in rest if k in self.places or not self.readers.get(k, set()) <= inside]
            statements = tuple(Statement(s.text, tuple(number[v] for v in s.operands), s.dtype)
                               for s in map(self.block.step, rest))
            expression = Expression(inputs, statements, tuple(number[k] for k in wanted))
            if summed:
                self.chain(n, expression, reads, rest, wanted, summed)
            else:
                shape = max((self.block.step(k).shape for k in rest), key=len)      # others lack leading ones
                outs = tuple(_Spec(shape, as_dtype(self.block.step(k).dtype)) for k in wanted)
                plan = lower_expression(expression, tuple(_spec(self.block.value(v)) for v in reads), outs,
                                        self.target)
                self.add(plan, list(reads), [self.room(k) for k in wanted])
        for k in alone:
            self.each(k, self.target)

    def chain(self, n: int, expression: Expression, reads: list[int], rest: list[int], wanted: list[int],
              summed: list[int]) -> None:
        """The launch of an expression with sums."""
        groups, piece = pieces(1, n, 1, self.target.schedule)
        number = {k: len(reads) + i for i, k in enumerate(rest)}
        args: list[tuple] = [self.room(k) for k in wanted]
        for k in summed:
            step = self.block.step(k)
            scale = n if step.fold == "mean" and groups == 1 else 1
            if groups > 1:
                self.parts[k] = (self.work(groups * as_dtype(step.dtype).size), groups)
            place = self.parts[k][0] if groups > 1 else self.room(k)
            args += [place, SCALAR(as_dtype(step.dtype).compute, float(scale))]
        inputs = []
        for v in reads:
            value = self.block.value(v)
            reader = next(self.block.step(k) for k in rest if v in self.block.step(k).operands)
            if isinstance(value, Leaf) and value.slot:
                inputs.append((value.dtype, "slot"))
                args.append(SLOT(v, as_dtype(value.dtype).compute))
                continue
            args.append(self.places[v])
            kind = "same" if size(value) == n else "single" if size(value) == 1 else "walk"
            inputs.append((value.dtype, kind))
            if kind == "walk":
                args += [SCALAR("ulong", w) for w in walk_of(value.shape, reader.shape)]
        args += [SCALAR("ulong", n), SCALAR("ulong", piece)]
        self.launches.append(launch(
            "chain", "chain", args, (groups,), inputs=tuple(inputs), lines=statement_lines(expression, 16),
            outputs=tuple((number[k], self.block.step(k).dtype) for k in wanted),
            sums=tuple((number[self.block.step(k).operands[0]], self.block.step(k).dtype) for k in summed)))
