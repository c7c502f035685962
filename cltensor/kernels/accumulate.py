"""How values are accumulated: accumulator types, combining expressions and identities of reductions.

Reductions, scans and arg-reductions are written with these words, so that a sum of int8, a maximum with a
NaN in it or a float16 product is spelled in one place.

    float16 -> float, int8 int16 uint8 bool -> int, all others accumulate in their own type
"""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import DType, as_dtype, float32, int32
from cltensor.kernels.text import highest, literal, load, lowest, store, vec

__all__ = ["accumulator", "combine", "better", "identity", "load_acc", "store_acc", "LANES"]

LANES = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15"
_UNSIGNED = {"int": "uint", "long": "ulong"}


def accumulator(dtype: Any) -> DType:
    """The dtype partial results are kept in."""
    d = as_dtype(dtype)
    if d.name == "float16":
        return float32
    return int32 if d.size < 4 else d


def combine(op: str, dtype: Any, v: int, a: str, b: str) -> str:
    """`a op b` for accumulators of width v: integers wrap, max and min keep a NaN."""
    d = as_dtype(dtype)
    if op in ("sum", "prod"):
        sign = "+" if op == "sum" else "*"
        if d.is_floating:
            return f"({a} {sign} {b})"
        wide = vec(_UNSIGNED[d.compute], v)     # signed overflow is undefined in C, unsigned wraps
        return f"as_{vec(d.compute, v)}(as_{wide}({a}) {sign} as_{wide}({b}))"
    if not d.is_floating:
        return f"{op}({a}, {b})"
    mask = f"({b} {'>' if op == 'max' else '<'} {a}) | ({b} != {b})"
    return f"select({a}, {b}, {mask})" if v > 1 else f"(({mask}) ? {b} : {a})"


def better(op: str, dtype: Any, a: str, b: str) -> str:
    """Mask, or 0 / 1 for scalars: b replaces a as the extreme value; the first NaN beats everything, as in NumPy."""
    d = as_dtype(dtype)
    if not d.is_floating:
        return f"({b} {'>' if op == 'max' else '<'} {a})"
    return f"(!({b} {'<=' if op == 'max' else '>='} {a}) & ({a} == {a}))"


def identity(op: str, dtype: Any) -> str:
    """The value that changes nothing, as a literal of the accumulator type."""
    d = accumulator(dtype)
    return {"sum": literal(d, 0), "prod": literal(d, 1), "max": lowest(d), "min": highest(d)}[op]


def load_acc(dtype: Any, v: int, offset: str, pointer: str) -> str:
    """Load `v` elements at element offset `offset * v` as the accumulator type."""
    d, acc = as_dtype(dtype), accumulator(dtype)
    text = load(d, v, offset, pointer)
    return text if d.compute == acc.compute else f"convert_{vec(acc.compute, v)}({text})"


def store_acc(dtype: Any, v: int, value: str, offset: str, pointer: str) -> str:
    """Store accumulators as `dtype`; small integers keep their low bits, that is they wrap."""
    d, acc = as_dtype(dtype), accumulator(dtype)
    if d.compute != acc.compute:
        value = f"convert_{vec(d.compute, v)}({value})"
    return store(d, v, value, offset, pointer)
