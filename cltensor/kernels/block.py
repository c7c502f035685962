"""A block: a handful of ops that wait to run together, as plain data; what `vm` interprets and `chain` compiles.

Values are numbered, the leaves first, then the steps in the order in which they were asked for, so that every
operand's number is smaller than its reader's. Only the values named in `outputs` are written anywhere: a step nobody
needs is never computed, and a step only other steps need lives in registers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any


@dataclass(frozen=True)
class Leaf:
    """What a block reads: an array, or a Python number (`slot`), whose value is an argument of each run."""

    shape: tuple[int, ...]
    dtype: str
    slot: bool = False


@dataclass(frozen=True)
class Step:
    """One op of a block: an expression over its operands, or a fold of its only operand to one number."""

    text: str  # an expression over x0, x1, ... as in `expression.Statement`; "" for a fold
    fold: str  # "", or the full reduction: "sum"
    operands: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Block:
    """Leaves, steps, and the numbers of those steps whose results someone still holds."""

    leaves: tuple[Leaf, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def value(self, number: int) -> Leaf | Step:
        """The leaf or step of a value number."""
        first = len(self.leaves)
        return self.leaves[number] if number < first else self.steps[number - first]

    def step(self, number: int) -> Step:
        """The step of a value number that is no leaf's."""
        return self.steps[number - len(self.leaves)]


def size(value: Leaf | Step) -> int:
    """Number of elements."""
    return prod(value.shape)


def connected(items: Sequence[Any], reads: Callable[[Any], Iterable], makes: Callable[[Any], Iterable],
              alike: Callable[[Any, Any], bool] = lambda a, b: True) -> list[list[Any]]:
    """Groups of items of which one reads what another makes, each in the order given.

    Args:
        reads, makes: names of what an item reads, and of what it makes.
        alike: whether an item may join the group of another.

    Example:
        >>> connected([1, 2, 3, 4, 6], reads=lambda n: [n - 1], makes=lambda n: [n])
        [[1, 2, 3, 4], [6]]
    """
    groups: list[list[int]] = []
    of: dict[Any, list[int]] = {}
    for i, item in enumerate(items):
        near = {id(g): g for name in reads(item) if (g := of.get(name)) is not None and alike(items[g[0]], item)}
        first, *rest = near.values() if near else ([],)
        if not near:
            groups.append(first)
        for other in rest:
            first += other
            groups = [g for g in groups if g is not other]
            of.update((name, first) for member in other for name in makes(items[member]))
        first.append(i)
        of.update((name, first) for name in makes(item))
    return [[items[i] for i in sorted(g)] for g in groups]


@dataclass
class Round:
    """What can run together: numbers first (`singles`), then loops over arrays, by their number of elements.

    Numbers of a round read sums and numbers of earlier rounds; its loops read these too, and each other's values
    within one loop. So a round is one launch, if every group computes its few numbers for itself.
    """

    singles: list[int] = field(default_factory=list)
    loops: dict[int, list[int]] = field(default_factory=dict)


def rounds(block: Block) -> list[Round]:
    """The needed steps of a block, as value numbers, in rounds; the last round may have numbers only."""
    first = len(block.leaves)
    needed = set(block.outputs)
    for k in reversed(range(len(block.steps))):
        if first + k in needed:
            needed.update(block.steps[k].operands)
    ready: dict[int, tuple[int, int]] = {}      # value -> the round it is known in, elements of its loop (1: none)
    found: list[Round] = []
    for k, step in enumerate(block.steps):
        number = first + k
        if number not in needed:
            continue
        n = size(block.value(step.operands[0])) if step.fold else size(step)
        at = 0
        for v in step.operands:
            if v >= first:
                when, walked = ready[v]
                same = walked == 1 or walked == n and not block.steps[v - first].fold
                at = max(at, when if same else when + 1)
        while len(found) <= at:
            found.append(Round())
        if n == 1:
            found[at].singles.append(number)
        else:
            found[at].loops.setdefault(n, []).append(number)
        ready[number] = (at, n)
    if found and any(block.step(v).fold for values in found[-1].loops.values() for v in values):
        found.append(Round())
    return found
