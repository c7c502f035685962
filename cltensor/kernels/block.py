"""A block: a handful of ops that wait to run together, as plain data; what `vm` interprets and `chain` compiles.

Values are numbered, the leaves first, then the steps in the order in which they were asked for, so that every
operand's number is smaller than its reader's. Only the values named in `outputs` are written anywhere: a step nobody
needs is never computed, and a step only other steps need lives in registers.
"""

from dataclasses import dataclass


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
