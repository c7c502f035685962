"""The words templates are written with: OpenCL spellings of dtypes, vector loads, stores and literals.

Every template sees these names. `v` is the vector width: 16 under the cpu schedule, 4 under the gpu one.
Storage and compute types differ for float16 (stored half, computed float): loads and stores convert.
"""

from __future__ import annotations

import math
from typing import Any

from cltensor.base.dtypes import DType, as_dtype

__all__ = ["vec", "load", "store", "splat", "literal", "lowest", "highest", "load1", "store1", "NAMES"]


def vec(ctype: str, v: int) -> str:
    """`vec("float", 16)` is `float16`; width 1 is the scalar type itself."""
    return ctype if v == 1 else f"{ctype}{v}"


def load(dtype: Any, v: int, offset: str, pointer: str) -> str:
    """Load vector number `offset` (in units of v elements) from `pointer`, as the compute type."""
    d = as_dtype(dtype)
    if d.name == "float16":
        return f"vload_half{'' if v == 1 else v}({offset}, {pointer})"
    return f"({pointer})[{offset}]" if v == 1 else f"vload{v}({offset}, {pointer})"


def store(dtype: Any, v: int, value: str, offset: str, pointer: str) -> str:
    """Store `value` of the compute type as vector number `offset` of `pointer`."""
    d = as_dtype(dtype)
    if d.name == "float16":
        return f"vstore_half{'' if v == 1 else v}_rte({value}, {offset}, {pointer})"
    return f"({pointer})[{offset}] = {value}" if v == 1 else f"vstore{v}({value}, {offset}, {pointer})"


def load1(dtype: Any, pointer: str, index: str) -> str:
    """Load one element as the compute type."""
    return load(dtype, 1, index, pointer)


def store1(dtype: Any, value: str, pointer: str, index: str) -> str:
    """Store one element given in the compute type."""
    return store(dtype, 1, value, index, pointer)


def splat(dtype: Any, v: int, scalar: str) -> str:
    """A vector of the compute type with `scalar` in every lane."""
    return f"(({vec(as_dtype(dtype).compute, v)})({scalar}))"


def literal(dtype: Any, value: float | int | bool) -> str:
    """`value` as a literal of the dtype's compute type, infinities and the smallest integers included."""
    d = as_dtype(dtype)
    if d.is_floating:
        value = float(value)
        if math.isnan(value):
            return f"(({d.compute})NAN)"
        if math.isinf(value):
            return f"(({d.compute}){'-' if value < 0 else ''}INFINITY)"
        text = repr(value) if "e" in repr(value) or "." in repr(value) else repr(value) + ".0"
        return f"({text}f)" if d.compute == "float" else f"({text})"
    number = int(value)
    if d.compute == "long":
        return f"(-{2**63 - 1}L - 1L)" if number == -2**63 else f"({number}L)"
    return f"(-{2**31 - 1} - 1)" if number == -2**31 else f"(({d.compute})({number}))"


def lowest(dtype: Any) -> str:
    """The identity of max: -inf for floats, the smallest integer else."""
    d: DType = as_dtype(dtype)
    return literal(d, -math.inf if d.is_floating else d.min)


def highest(dtype: Any) -> str:
    """The identity of min."""
    d: DType = as_dtype(dtype)
    return literal(d, math.inf if d.is_floating else d.max)


NAMES = {"vec": vec, "load": load, "store": store, "load1": load1, "store1": store1, "splat": splat,
         "literal": literal, "lowest": lowest, "highest": highest, "dt": as_dtype}
