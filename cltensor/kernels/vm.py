"""Plans for the interpreter kernel: a block of pending ops becomes code that `vm.cl.mako` walks.

The program is the same for every block, so a device compiles it once, and finds it on its disk the next time. Small
arrays are one launch of one work-item, whatever the block: elementwise ops, full sums, and what is computed from them.
Larger ones take a launch per round (`block.rounds`), spread and cut like the kernels of single ops.

A section of code walks arrays of one size; its values live in a few registers of several vectors. Single numbers
(Python numbers, sums, 0-d values) are kept beside them, and spread into a register by the sections that read them.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import as_dtype
from cltensor.kernels.block import Block, Leaf, Round, Step, rounds, size
from cltensor.kernels.expression import groups_for
from cltensor.kernels.plan import IN, OUT, SCALAR, SLOT, TABLE, WORK, Launch, Plan, launch
from cltensor.kernels.reduction import pieces
from cltensor.kernels.vm_code import KEPT, NB, Beyond, Section, texts

__all__ = ["lower_interpreted", "BUFFERS", "NUMBERS"]

BUFFERS, NUMBERS = 18, 24       # the program takes; a second program of fewer would cost more to build than it gains


def lower_interpreted(block: Block, target: Any) -> Plan | None:
    """The plan that interprets a block: inputs are its leaves, results its outputs; None where it cannot.

    It cannot where a text is no instruction, a dtype is other than float32, float16 or bool (sums: float32), an
    operand broadcasts along more than one run of axes, something is empty, or a section takes too many registers or
    arguments. It does not under the gpu schedule.
    """
    known: tuple[Leaf | Step, ...] = (*block.leaves, *block.steps)
    if target.schedule != "cpu" or not block.outputs or not all(size(v) for v in known):
        return None
    try:
        return _Lowering(block, target).plan()
    except Beyond:
        return None


def _pieces(n: int, folds: bool, target: Any) -> tuple[int, int]:
    """Work-groups that walk n elements, and the elements of each; sums are cut as those of single ops."""
    if folds:
        return pieces(1, n, 1, target.schedule)
    wide = 16 * NB
    piece = -(-n // (groups_for(n, -(-n // 16), target) * wide)) * wide
    return -(-n // piece), piece


class _Lowering:
    """What the launches of a block share: where values lie, and what lies in workspace."""

    def __init__(self, block: Block, target: Any):
        self.block, self.rounds = block, rounds(block)
        self.first = len(block.leaves)
        self.cuts = {(k, n): _pieces(n, any(block.step(v).fold for v in values), target)
                     for k, r in enumerate(self.rounds) for n, values in r.loops.items()}
        self.alone = all(groups == 1 for groups, _ in self.cuts.values())
        self.places = {i: IN(i) for i, leaf in enumerate(block.leaves) if not leaf.slot}
        self.partial: dict[int, tuple[tuple, int, int]] = {}     # sum -> buffer of its parts, their number, elements
        self.workspace: list[int] = []
        self.readers: dict[int, set[tuple]] = {}                 # value -> the walks that read it
        for i, v in enumerate(block.outputs):
            if v in self.places:
                raise Beyond
            self.places[v] = OUT(i)
        self._store()

    def _store(self) -> None:
        """Give a place to what is read by another walk, and cannot be kept."""
        walks = [((k, n), v) for k, r in enumerate(self.rounds)
                 for n, values in [(1, r.singles), *r.loops.items()] for v in values]
        home = {v: walk for walk, v in walks}
        for walk, v in walks:
            for operand in self.block.step(v).operands:
                self.readers.setdefault(operand, set()).add(walk)
        for v, (k, n) in home.items():
            step = self.block.step(v)
            far = any(walk != (k, n) for walk in self.readers.get(v, ()))
            if step.fold and n > 1:
                if not self.alone:
                    groups = self.cuts[k, n][0]
                    self.partial[v] = (self._work(4 * groups), groups, n)
            elif v not in self.places and (
                    far if n > 1 else not self.alone and any(later != k for later, _ in self.readers.get(v, ()))):
                self.places[v] = self._work(size(step) * as_dtype(step.dtype).size)

    def _work(self, nbytes: int) -> tuple:
        self.workspace.append(nbytes)
        return WORK(len(self.workspace) - 1)

    def plan(self) -> Plan:
        launches: list[Launch] = []
        run, due = _Run(self), []
        for k, r in enumerate(self.rounds):
            run.numbers(k, r, due)
            for n, values in r.loops.items():
                run.walk(n, values, self.cuts[k, n][1])
            due = [v for n, values in r.loops.items() for v in values
                   if self.block.step(v).fold and v in self.places]
            if not self.alone:
                launches.append(run.launch(max([self.cuts[k, n][0] for n in r.loops], default=1)))
                run = _Run(self)
        if self.alone:
            launches.append(run.launch(1))
        return Plan(tuple(launches), tuple(self.workspace))


class _Run:
    """One launch while it is written: its code, its arguments, and the numbers it keeps."""

    def __init__(self, whole: _Lowering):
        self.whole = whole
        self.code: list[int] = []
        self.buffers: list[tuple] = []
        self.slots: list[int] = []
        self.kept: dict[int, int] = {}      # value -> which kept number

    def buffer(self, place: tuple) -> int:
        """The number of a buffer argument."""
        if place not in self.buffers:
            self.buffers.append(place)
        return self.buffers.index(place)

    def number(self, value: int) -> int | None:
        """Where a single number is, among the arguments or, behind them, those kept; None if it is not at hand."""
        leaf = self.whole.block.value(value)
        if isinstance(leaf, Leaf) and leaf.slot:
            if value not in self.slots:
                self.slots.append(value)
            return self.slots.index(value)
        return NUMBERS + self.kept[value] if value in self.kept else None

    def keep(self, value: int) -> int:
        """A place for one more number."""
        if len(self.kept) == KEPT:
            raise Beyond
        return NUMBERS + self.kept.setdefault(value, len(self.kept))

    def numbers(self, k: int, here: Round, due: list[int]) -> None:
        """A section of one element: sums that are `due` as results, the round's numbers, what its loops read."""
        block, partial = self.whole.block, self.whole.partial
        read = {v: True for values in here.loops.values() for s in values
                for v in block.step(s).operands if size(block.value(v)) == 1}
        later = [v for v in here.singles if v in read
                 or self.whole.alone and any(walk[0] > k for walk in self.whole.readers.get(v, ()))]
        fetched = [v for v in read if v not in here.singles and self.number(v) is None]
        wanted = [*due, *(v for s in here.singles for v in block.step(s).operands), *fetched]
        for v in dict.fromkeys(wanted):
            if v in partial and self.number(v) is None:
                self.finish(v)
        fetched = [v for v in fetched if v not in partial]
        section = Section(self, 1, here.singles, [*due, *later, *fetched])
        for v in due:
            section.register(v, ())
            section.store(v)
            section.done(v)
        for s in here.singles:
            section.compute(s)
        for v in fetched:
            section.register(v, ())
        for v in (*later, *fetched):
            section.keep(v)
            section.done(v)
        self.code += section.words(0)

    def finish(self, v: int) -> None:
        """A section that sums the parts of a sum, in the order of `rows` in reduce.cl.mako; every group does."""
        parts, count, n = self.whole.partial[v]
        section = Section(self, count, [], [])
        section.finish(v, parts, n)
        self.code += section.words(0)

    def walk(self, n: int, values: list[int], piece: int) -> None:
        """A section of n elements; its sums become kept numbers, or parts in a buffer."""
        section = Section(self, n, values, [])
        for v in values:
            if self.whole.block.step(v).fold:
                section.fold(v)
            else:
                section.compute(v)
        self.code += section.words(piece)

    def launch(self, groups: int) -> Launch:
        """The launch, if the program takes that many arguments."""
        if len(self.buffers) > BUFFERS or len(self.slots) > NUMBERS:
            raise Beyond
        args = [TABLE(self.code), SCALAR("ulong", len(self.code)),
                *self.buffers, *[("null",)] * (BUFFERS - len(self.buffers)),
                *[SLOT(i, "float") for i in self.slots], *[SCALAR("float", 0.0)] * (NUMBERS - len(self.slots))]
        return launch("vm", "vm", args, (groups,), texts=texts(), buffers=BUFFERS, numbers=NUMBERS)
