"""What a row of the op table says: the call, its NumPy twin, the inputs, the shapes, how exact it must be.

A twin computes in float64 (integers: int64) from NumPy and SciPy alone; tests/host/test_op_table.py checks
that it never calls cltensor. Inputs come from a generator seeded by the row's name, so a failure repeats.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

__all__ = ["Row", "Case", "Input", "Transposed", "case", "cases", "draw", "uniform", "away", "distinct", "integers",
           "below", "booleans", "special", "Ulps", "Rounded", "Sums", "EXACT",
           "UNARY", "BINARY", "wide"]

EPS = {"float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


# -- inputs
class Transposed(tuple):
    """A shape whose array reaches the call as a transposed view: not in row-major order."""


Generator = Callable[[np.random.Generator, tuple, str], np.ndarray]


def uniform(low: float, high: float) -> Generator:
    """Numbers in [low, high)."""
    return lambda rng, shape, dtype: rng.uniform(low, high, shape)


def away(low: float, high: float, gap: float = 0.1) -> Generator:
    """Numbers in [low, high) with |x| >= gap: no kink or pole at 0 within reach of a finite difference."""
    def draw(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
        x = rng.uniform(low, high, shape)
        return np.where(np.abs(x) < gap, np.copysign(gap, x) + x, x)
    return draw


def distinct(gap: float = 0.1, offset: float = 0.0) -> Generator:
    """All elements at least `gap` apart: a finite difference does not change which is the largest."""
    def draw(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
        n = prod(shape)
        return (rng.permutation(n).reshape(shape) - n // 2 + 0.5) * gap + offset
    return draw


def integers(low: int, high: int) -> Generator:
    """Whole numbers in [low, high); from 0 on where the dtype is unsigned."""
    return lambda rng, shape, dtype: rng.integers(max(low, 0) if dtype.startswith("u") else low, high, shape)


def below(n: int) -> Generator:
    """Indices in [0, n)."""
    return lambda rng, shape, dtype: rng.integers(0, n, shape)


def booleans(p: float = 0.5) -> Generator:
    """True with probability p."""
    return lambda rng, shape, dtype: rng.random(shape) < p


@dataclass(frozen=True)
class Input:
    """One tensor input: its numbers for floating and for integer dtypes; a fixed dtype unless the row's."""

    floats: Generator | None = uniform(-2, 2)
    ints: Generator | None = integers(-50, 50)
    dtype: str = ""
    smooth: bool = True           # False: not differentiated (labels, indices, a slope that has no gradient)


@dataclass(frozen=True)
class Case:
    """Shapes of the inputs and keyword arguments of both calls."""

    shapes: tuple
    attrs: dict = field(default_factory=dict)

    @property
    def size(self) -> int:
        return max((prod(s) for s in self.shapes), default=0)

    def __str__(self) -> str:
        said = [*(str(tuple(s)) for s in self.shapes), *(f"{k}={v}" for k, v in self.attrs.items())]
        return ", ".join(said)


def case(*shapes: tuple, **attrs: Any) -> Case:
    """`case((2, 3), axis=0)`"""
    return Case(shapes, attrs)


def cases(shapes: Any, **attrs: Any) -> tuple:
    """One case per entry; an entry is a tuple of shapes."""
    return tuple(Case(tuple(s), attrs) for s in shapes)


# 0-d, empty, one element, around one vector of 16, odd, prime, not in row-major order, several work-groups
UNARY = cases([[()], [(0,)], [(1,)], [(15,)], [(16,)], [(17,)], [(3, 0, 2)], [(7, 13)], [Transposed((13, 5))],
               [(100_003,)]])
BINARY = cases([[(), ()], [(0, 3), (1, 3)], [(1,), (17,)], [(16,), (16,)], [(7, 1), (1, 13)], [(31, 17), (17,)],
                [(5, 1, 3), (4, 1)], [Transposed((7, 5)), (7, 5)], [(), (33,)], [(100_003,), (100_003,)],
                [(257, 129), (129,)]])


# -- how exact
class Ulps:
    """At most n units in the last place of the true value, as the OpenCL specification counts (table in 7.4)."""

    def __init__(self, n: float, absolute: float = 0.0):
        self.n, self.absolute = n, absolute

    def bound(self, want: np.ndarray, inputs: list, row: Row, one: Case, dtype: str) -> np.ndarray:
        with np.errstate(all="ignore"):
            work = np.float64 if dtype == "float64" else np.float32
            bound = self.n * np.spacing(np.abs(want).astype(work)).astype(np.float64)
            if dtype == "float16":          # computed in float, rounded once
                bound = bound + np.spacing(np.abs(want).astype(np.float16)).astype(np.float64) * 0.5
            if dtype == "float64":          # the twin errs, too
                bound = bound * 2 + np.spacing(np.abs(want))
        return bound + self.absolute * EPS[dtype]


class Rounded:
    """k * eps * magnitude: sums and what is built on them. `magnitude` is the twin on absolute inputs unless given.

    `k` is a number or a function of the case. A sum of n terms in a tree errs by log2(n) eps at most.
    """

    def __init__(self, k: Any = 4, magnitude: Callable | None = None):
        self.k, self.magnitude = k, magnitude

    def bound(self, want: np.ndarray, inputs: list, row: Row, one: Case, dtype: str) -> np.ndarray:
        k = self.k(one) if callable(self.k) else self.k
        size = (self.magnitude or row.twin)(*[np.abs(x) if x.dtype.kind == "f" else x for x in inputs], **one.attrs)
        size = np.abs(np.asarray(size, np.float64))
        bound = k * (EPS["float32"] if dtype == "float16" else EPS[dtype]) * size
        if dtype == "float16":
            bound = bound + EPS["float16"] * 0.5 * np.abs(want) + 1e-7
        return np.broadcast_to(bound, np.shape(want))


class Sums:
    """k * eps * (|result| + root of the sum of squared terms): sums whose roundings are independent.

    Far sharper than a bound by absolutes: in a sum of 100,000 terms one that is missing shows. `squares` is the twin
    on squared inputs unless given; `k` a number or a function of the case.
    """

    def __init__(self, k: Any = 24, squares: Callable | None = None):
        self.k, self.squares = k, squares

    def bound(self, want: np.ndarray, inputs: list, row: Row, one: Case, dtype: str) -> np.ndarray:
        k = self.k(one) if callable(self.k) else self.k
        squared = [x * x if x.dtype.kind == "f" else x for x in inputs]
        terms = np.sqrt(np.asarray((self.squares or row.twin)(*squared, **one.attrs), np.float64))
        bound = k * (EPS["float32"] if dtype == "float16" else EPS[dtype]) * (terms + np.abs(want))
        if dtype == "float16":
            bound = bound + EPS["float16"] * 0.5 * np.abs(want) + 1e-7
        return bound


class _Exact:
    """The same bits (copies, comparisons, integers)."""

    def bound(self, want: np.ndarray, inputs: list, row: Row, one: Case, dtype: str) -> np.ndarray:
        return np.zeros(np.shape(want))


EXACT = _Exact()


# -- the row
@dataclass(frozen=True)
class Row:
    """One public op.

    Attributes:
        name: unique; the public name, and what the row is about where an op has several.
        call, twin: functions of the inputs and the case's keyword arguments, with the same results.
        inputs: one Input per tensor.
        cases: shapes and keyword arguments.
        covers: registered ops the row reaches, by name; `name` alone unless given.
        order: how often it is differentiated: 0, 1 or 2.
        tolerance: of values.
        dtypes: the sample of dtypes values are compared in; the first one also in gradients.
        result: dtype of the results, the input's unless given.
        gradient: relative tolerance of gradients (of the sum of absolute contributions).
        specials: values (0, -0, inf, nan, ...) compared besides; for elementwise rows.
        symbolic: False where the call needs values (host ops), so it cannot be recorded.
    """

    name: str
    call: Callable
    twin: Callable
    inputs: tuple = (Input(),)
    cases: tuple = UNARY
    covers: tuple = ()
    order: int = 2
    tolerance: Any = EXACT
    dtypes: tuple = ("float32",)
    result: Any = None
    gradient: float = 1e-5
    specials: tuple = ()
    symbolic: bool = True

    @property
    def ops(self) -> tuple:
        return self.covers or (self.name,)


def draw(row: Row, one: Case, dtype: str) -> list:
    """The inputs of a case as arrays of their dtypes; the same at every call."""
    out = []
    for i, (spec, shape) in enumerate(zip(row.inputs, one.shapes)):
        kind = spec.dtype or dtype
        rng = np.random.default_rng(zlib.crc32(f"{row.name} {i} {tuple(shape)}".encode()))
        source = booleans() if kind == "bool" and spec.dtype == "" else spec.floats if kind[0] == "f" else spec.ints
        assert source is not None, f"{row.name}: input {i} has no numbers for dtype {kind}"
        flipped = isinstance(shape, Transposed)
        value = np.asarray(source(rng, tuple(reversed(shape)) if flipped else tuple(shape), kind)).astype(kind)
        out.append(value.T if flipped else value)
    return out


def wide(arrays: list) -> list:
    """The inputs as the twin takes them: float64 or int64, booleans as they are."""
    return [a.astype({"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}[a.dtype.kind]) for a in arrays]


def special(count: int) -> tuple:
    """The awkward numbers, as every combination of `count` inputs: one long vector each."""
    values = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, np.inf, -np.inf, np.nan]
    return tuple(a.ravel() for a in np.meshgrid(*[np.array(values)] * count))
