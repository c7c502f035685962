"""Writing code for the interpreter kernel: opcodes, and a section with its registers. See vm.cl.mako.

An instruction is a tuple (opcode, d, operands...) until its section is written out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from cltensor.base.dtypes import as_dtype
from cltensor.base.shapes import merge_broadcast
from cltensor.kernels.block import size
from cltensor.kernels.expression import Expression, Statement, statement_lines

__all__ = ["install", "texts", "Beyond", "Section", "Instruction", "uneven", "OPCODES", "NR", "NB", "NA",
           "KEPT"]

NR, NB, NA, KEPT = 16, 16, 4, 32      # registers, vectors in one, sums of a section, numbers kept
OPCODES = ("load", "store", "walk", "round", "plus", "keep", "sum", "spread", "total", "part")
_OP = {name: i for i, name in enumerate(OPCODES)}
_KINDS = {"float32": 0, "float16": 1, "bool": 2}

Instruction = tuple[str, tuple[str, ...], str]      # text, dtype of each operand, dtype of the result
_collect: Callable[[], tuple[Instruction, ...]] = tuple


class Beyond(Exception):
    """The interpreter has no instruction, register, argument or walk for this block."""


def install(collect: Callable[[], tuple[Instruction, ...]]) -> None:
    """Name the function that gives the instructions; it is called at the first block."""
    global _collect
    _collect = collect
    texts.cache_clear()
    _numbers.cache_clear()


@lru_cache(maxsize=1)
def texts() -> tuple:
    """The instructions as the template takes them."""
    found = []
    for text, operands, result in _collect():
        n = len(operands)
        one = Expression(tuple((d, False) for d in operands), (Statement(text, tuple(range(n)), result),), (n,))
        found.append((statement_lines(one, 16), tuple(as_dtype(d).compute for d in operands),
                      as_dtype(result).compute))
    return tuple(found)


@lru_cache(maxsize=1)
def _numbers() -> dict[Instruction, int]:
    return {instruction: len(OPCODES) + i for i, instruction in enumerate(_collect())}


def opcode(text: str, operands: tuple[str, ...], result: str) -> int:
    """The number of a text; halves are computed as floats."""
    wide = tuple("float32" if d == "float16" else d for d in operands)
    found = _numbers().get((text, wide, "float32" if result == "float16" else result))
    if found is None:
        raise Beyond
    return found


def kind_of(dtype: str) -> int:
    """How elements of this dtype are loaded and stored."""
    if dtype not in _KINDS:
        raise Beyond
    return _KINDS[dtype]


def _encode(instruction: Any) -> int:
    """An instruction as its word: a byte for each part. Words stay what they are."""
    return sum(part << 8 * i for i, part in enumerate(instruction)) if type(instruction) is tuple else instruction


def walk_of(shape: tuple, out: tuple) -> tuple[int, int]:
    """(run, cycle): element e of `out` reads element (e // run) % cycle of an array of `shape`.

    Example:
        >>> walk_of((6,), (4, 6)), walk_of((4, 1), (4, 6)), walk_of((5, 1), (4, 5, 6))
        ((1, 6), (6, 4), (6, 5))
    """
    dims, (strides,) = merge_broadcast(out, [shape])
    moving = [i for i, s in enumerate(strides) if s]
    if len(moving) != 1:
        raise Beyond
    run = 1
    for d in dims[moving[0] + 1:]:
        run *= d
    return run, dims[moving[0]]


def uneven(shape: tuple, out: tuple) -> float:
    """The share of a walk's vectors that are put together element by element: those in which it turns.

    Example:
        >>> uneven((32,), (4, 32)), uneven((4, 1), (4, 32)), uneven((40,), (4, 40)), uneven((6,), (4, 6))
        (0.0, 0.0, 0.4, 1.0)
    """
    try:
        run, cycle = walk_of(shape, out)
    except Beyond:
        return 1.0
    lasts = cycle if run == 1 else run
    return 0.0 if lasts % 16 == 0 else min(1.0, 16 / lasts)


class Section:
    """A walk over n elements by the steps `values`, while it is written: which value is in which register.

    `run` is the launch it belongs to; it knows where buffers and single numbers are.
    """

    def __init__(self, run: Any, n: int, values: list[int], extra: list[int]):
        self.run, self.n = run, n
        self.block = run.whole.block
        self.heads: list[tuple] = []
        self.body: list[Any] = []           # instructions, and plain numbers for words
        self.feet: list[Any] = []
        self.sums = 0
        self.at: dict[int, int] = {}
        self.spread: set[int] = set()
        self.free = list(range(NR))[::-1]
        self.left = Counter(extra)          # readers still to come
        for k in values:
            self.left.update(set(self.block.step(k).operands))
        for value in self.left:             # before all others: nothing else may ever use these registers
            number = run.number(value) if size(self.block.value(value)) == 1 else None
            if number is not None:
                d = self.at[value] = self.take()
                self.heads.append((_OP["spread"], d, number))
                self.spread.add(value)

    def take(self) -> int:
        if not self.free:
            raise Beyond
        return self.free.pop()

    def register(self, value: int, shape: tuple) -> int:
        """The register of a value as an operand of a result of this shape."""
        if value not in self.at:
            v = self.block.value(value)
            place, kind = self.run.buffer(self.run.whole.places[value]), kind_of(v.dtype)
            d = self.at[value] = self.take()
            if size(v) == self.n:
                self.body.append((_OP["load"], d, place, kind))
            else:
                self.body += [(_OP["walk"], d, place, kind), *walk_of(v.shape, shape)]
        return self.at[value]

    def done(self, value: int) -> None:
        """One reader less; a register nobody reads any more is free, if the next piece does not want it as it is."""
        self.left[value] -= 1
        if self.left[value] <= 0 and value not in self.spread:
            self.free.append(self.at.pop(value))

    def compute(self, k: int) -> None:
        """The step of this value number, stored where it has a place."""
        step = self.block.step(k)
        registers = [self.register(v, step.shape) for v in step.operands]
        if step.fold:       # of one element
            if step.dtype != "float32":
                raise Beyond
            code = _OP["plus"]
        else:
            code = opcode(step.text, tuple(self.block.value(v).dtype for v in step.operands), step.dtype)
        for v in set(step.operands):
            self.done(v)
        d = self.at[k] = self.take()
        self.body.append((code, d, *registers))
        if step.dtype == "float16":
            self.body.append((_OP["round"], d, d))
        self.store(k)
        if not self.left[k]:
            self.free.append(self.at.pop(k))

    def store(self, k: int) -> None:
        """Write a value that is in a register to its place, if it has one."""
        place = self.run.whole.places.get(k)
        if place is not None:
            kind = kind_of(self.block.value(k).dtype)
            self.body.append((_OP["store"], self.run.buffer(place), self.at[k], kind))

    def keep(self, k: int) -> None:
        """Keep a single number for the sections behind."""
        self.body.append((_OP["keep"], self.run.keep(k), self.at[k]))

    def fold(self, k: int) -> None:
        """Sum a register: a kept number, or where groups share the work, parts in a buffer."""
        step, partial = self.block.step(k), self.run.whole.partial.get(k)
        if step.dtype != "float32":
            raise Beyond
        self._sum(self.register(step.operands[0], step.shape))
        self.done(step.operands[0])
        if partial:
            self.feet += [(_OP["part"], self.run.buffer(partial[0]), self.sums), 0]
        else:
            self._total(k, self.n)
        self.sums += 1

    def finish(self, k: int, parts: tuple, n: int) -> None:
        """Sum the parts of a sum of n elements."""
        d = self.take()
        self.body.append((_OP["load"], d, self.run.buffer(parts), 0))
        self._sum(d)
        self.free.append(d)
        self._total(k, n)
        self.sums += 1

    def _sum(self, register: int) -> None:
        if self.sums == NA:
            raise Beyond
        self.body.append((_OP["sum"], self.sums, register))

    def _total(self, k: int, n: int) -> None:
        divisor = np.float32(n if self.block.step(k).fold == "mean" else 1)
        self.feet += [(_OP["total"], self.run.keep(k), self.sums), int(divisor.view(np.int32))]

    def words(self, piece: int) -> list[int]:
        """The section's code; nothing if it does nothing."""
        if not self.body:
            return []
        counts = len(self.heads) + (len(self.body) << 16) + (len(self.feet) << 32)
        return [self.n, piece, counts, *map(_encode, (*self.heads, *self.body, *self.feet))]
