"""Rows of arithmetic, comparison, logic, choice and cast. Twins of integer ops are NumPy's on int64, cast back."""

from __future__ import annotations

from typing import Any

import numpy as np

import cltensor as tf
from cltensor.ops import math as _hidden
from tests.ops.row import (
    BINARY,
    UNARY,
    Input,
    Row,
    Ulps,
    away,
    booleans,
    case,
    cases,
    distinct,
    integers,
    special,
    uniform,
)

TWO = (Input(), Input())
NUMBERS = ("float32", "int32", "float16")


def _floor_quotient(x: Any, y: Any) -> Any:
    return np.floor(x / y) if x.dtype.kind == "f" else np.where(y == 0, 0, np.floor_divide(x, np.where(y == 0, 1, y)))


def _cut_quotient(x: Any, y: Any) -> Any:
    if x.dtype.kind == "f":
        return np.trunc(x / y)
    safe = np.where(y == 0, 1, y)
    return np.where(y == 0, 0, np.sign(x) * np.sign(safe) * (np.abs(x) // np.abs(safe)))


def _remainder(x: Any, y: Any) -> Any:
    return np.mod(x, y) if x.dtype.kind == "f" else np.where(y == 0, 0, np.mod(x, np.where(y == 0, 1, y)))


def _power(x: Any, y: Any) -> Any:
    if x.dtype.kind == "f":
        return np.power(x, y)
    return np.where(y < 0, np.where(x == 1, 1, np.where(x == -1, np.where(y % 2, -1, 1), 0)), np.power(x, np.abs(y)))


# dividends away from whole multiples of the divisor: no jump of floor within reach of a difference
_FAR = (Input(lambda rng, shape, dtype: rng.integers(-9, 9, shape) * 3 + rng.uniform(0.5, 2.5, shape)),
        Input(lambda rng, shape, dtype: np.full(shape, 3.0), integers(-4, 5)))
_APART = (Input(distinct(0.2)), Input(distinct(0.2, 0.1)))
_POSITIVE = (Input(uniform(0.3, 3), integers(-4, 5)), Input(uniform(-2, 2), integers(-2, 7)))
_EQUAL = (Input(integers(-2, 3), integers(-2, 3)), Input(integers(-2, 3), integers(-2, 3)))
_PAIR = special(2)
_ONE = special(1)

_BINARY = (
    Row("add", lambda x, y: tf.add(x, y), np.add, TWO, BINARY, tolerance=Ulps(0.5), specials=_PAIR,
        dtypes=("float32", "float16", "float64", "int8", "int16", "int32", "int64", "uint8")),
    Row("subtract", lambda x, y: tf.subtract(x, y), np.subtract, TWO, BINARY, tolerance=Ulps(0.5), dtypes=NUMBERS),
    Row("multiply", lambda x, y: tf.multiply(x, y), np.multiply, TWO, BINARY, tolerance=Ulps(0.5), specials=_PAIR,
        dtypes=(*NUMBERS, "int8", "int64", "uint8")),
    Row("realdiv", lambda x, y: tf.realdiv(x, y), np.divide, (Input(), Input(away(-3, 3, 0.4))), BINARY,
        tolerance=Ulps(2.5), dtypes=("float32", "float16", "float64"), specials=_PAIR),
    Row("truediv of integers", lambda x, y: tf.truediv(x, y), lambda x, y: x / y,
        (Input(dtype="int32"), Input(ints=integers(1, 40), dtype="int32")), BINARY[1:6], ("cast", "realdiv"), order=0,
        tolerance=Ulps(1), dtypes=("int32",), result="float64", symbolic=False),
    Row("floordiv", lambda x, y: tf.floordiv(x, y), _floor_quotient, _FAR, BINARY, order=0,
        dtypes=("float32", "int32", "int8", "uint8", "int64"), specials=(np.array([7., -7., -0., 5.]),
                                                                         np.array([2., 2., 3., -5.]))),
    Row("truncatediv", lambda x, y: tf.truncatediv(x, y), _cut_quotient, _FAR, BINARY, order=0,
        dtypes=("float32", "int32", "uint8")),
    Row("mod", lambda x, y: tf.mod(x, y), _remainder, _FAR, BINARY, tolerance=Ulps(1, 4),
        dtypes=("float32", "int32", "int8", "uint8", "int64")),
    Row("squared_difference", lambda x, y: tf.squared_difference(x, y), lambda x, y: (x - y) ** 2, TWO, BINARY,
        tolerance=Ulps(3), dtypes=NUMBERS),
    Row("maximum", lambda x, y: tf.maximum(x, y), np.maximum, _APART, BINARY, dtypes=NUMBERS,
        specials=(np.array([np.nan, 1., np.inf, -np.inf, np.nan, 2.]), np.array([1., np.nan, 2., 2., np.nan, 2.]))),
    Row("minimum", lambda x, y: tf.minimum(x, y), np.minimum, _APART, BINARY, dtypes=NUMBERS,
        specials=(np.array([np.nan, 1., np.inf, -np.inf, np.nan, 2.]), np.array([1., np.nan, 2., 2., np.nan, 2.]))),
    Row("pow", lambda x, y: tf.pow(x, y), _power, _POSITIVE, BINARY, tolerance=Ulps(16), gradient=3e-5,
        dtypes=("float32", "int32", "int8", "uint8", "float16"), specials=_PAIR),
)

# Python numbers stay scalars: they take the tensor's dtype and reach the kernel as arguments
_SLOTS = tuple(
    Row(f"{name} with a number", call, twin, (Input(away(-3, 3, 0.4)),), UNARY[1:8], covers, order,
        Ulps(ulps), dtypes, gradient=3e-5)
    for name, call, twin, covers, ulps, order, dtypes in (
        ("add", lambda x: tf.add(x, 3), lambda x: x + 3, ("add",), 0.5, 2, ("float32", "int32")),
        ("subtract", lambda x: 2 - x, lambda x: 2 - x, ("subtract",), 0.5, 2, ("float32", "int32")),
        ("multiply", lambda x: x * 1.5, lambda x: x * 1.5, ("multiply",), 0.5, 2, ("float32",)),
        ("realdiv", lambda x: 1.5 / x, lambda x: 1.5 / x, ("realdiv",), 2.5, 2, ("float32",)),
        ("pow", lambda x: x ** 3, lambda x: x ** 3, ("pow",), 16, 2, ("float32",)),
        ("pow of a number", lambda x: 2.0 ** x, lambda x: 2.0 ** x, ("pow",), 16, 2, ("float32",)),
        ("maximum", lambda x: tf.maximum(x, 0.1), lambda x: np.maximum(x, np.float32(0.1)), ("maximum",), 0, 2,
         ("float32",)),
        ("greater", lambda x: tf.cast(x > 1, tf.int32), lambda x: (x > 1) * 1, ("greater", "cast"), 0, 0, ()),
    ) if dtypes)

_SIMPLE = (
    Row("negative", lambda x: tf.negative(x), np.negative, dtypes=("float32", "int32", "int8"), specials=_ONE),
    Row("abs", lambda x: tf.abs(x), np.abs, (Input(away(-2, 2)),), dtypes=("float32", "int32", "int8", "uint8"),
        specials=_ONE),
    Row("sign", lambda x: tf.sign(x), np.sign, (Input(away(-2, 2)),), dtypes=("float32", "int32", "uint8"),
        specials=_ONE),
    Row("square", lambda x: tf.square(x), np.square, tolerance=Ulps(0.5), dtypes=("float32", "int32", "float16")),
    Row("log", lambda x: tf.log(x), np.log, (Input(uniform(0.1, 9)),), tolerance=Ulps(3),
        dtypes=("float32", "float16", "float64"), specials=_ONE),
    Row("is_nan", lambda x: tf.is_nan(x), np.isnan, order=0, result="bool", specials=_ONE),
    Row("is_inf", lambda x: tf.is_inf(x), np.isinf, order=0, result="bool", specials=_ONE),
    Row("is_finite", lambda x: tf.is_finite(x), np.isfinite, order=0, result="bool", specials=_ONE,
        dtypes=("float32", "float16")),
    Row("logical_not", lambda x: tf.logical_not(x), np.logical_not, order=0, dtypes=("bool",)),
    Row("invert", lambda x: _hidden.invert(x), np.invert, order=0, dtypes=("int32", "uint8")),
)

_COMPARE = tuple(
    Row(name, lambda x, y, f=getattr(tf, name): f(x, y), twin, _EQUAL, BINARY, order=0, result="bool",
        dtypes=("float32", "int32", "float16") if name in ("less", "equal") else ("float32",), specials=_PAIR)
    for name, twin in (("equal", np.equal), ("not_equal", np.not_equal), ("less", np.less),
                       ("less_equal", np.less_equal), ("greater", np.greater), ("greater_equal", np.greater_equal)))
_LOGIC = tuple(
    Row(name, lambda x, y, f=getattr(tf, name): f(x, y), twin, TWO, BINARY, order=0, dtypes=("bool",))
    for name, twin in (("logical_and", np.logical_and), ("logical_or", np.logical_or),
                       ("logical_xor", np.logical_xor)))
_BITS = tuple(
    Row(name, lambda x, y, f=getattr(_hidden, name): f(x, y), twin, TWO, BINARY, order=0, dtypes=("int32", "uint8"))
    for name, twin in (("bitwise_and", np.bitwise_and), ("bitwise_or", np.bitwise_or),
                       ("bitwise_xor", np.bitwise_xor)))

_WHERE = cases([[(), (), ()], [(0, 3), (0, 3), (0, 3)], [(17,), (17,), (17,)], [(7, 13), (7, 13), (7, 13)],
                [(7, 1), (7, 13), (13,)], [(40_003,), (40_003,), (40_003,)]])
_CHOICE = (
    Row("where", lambda c, x, y: tf.where(c, x, y), np.where, (Input(ints=booleans(), dtype="bool"), Input(), Input()),
        _WHERE, dtypes=("float32", "int32", "float16", "int8")),
    Row("where by rows", lambda c, x, y: tf.where(c, x, y), lambda c, x, y: np.where(c[:, None], x, y),
        (Input(ints=booleans(), dtype="bool"), Input(), Input()), (case((5,), (5, 7), (5, 7)),), ("where",)),
    Row("clip_by_value", lambda x: tf.clip_by_value(x, -1.5, 1.5), lambda x: np.clip(x, -1.5, 1.5),
        (Input(distinct(0.25)),), specials=_ONE),
    Row("clip_by_value between tensors", lambda x, lo, hi: tf.clip_by_value(x, lo, hi),
        lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi),
        (Input(distinct(0.25)), Input(lambda rng, s, d: np.full(s, -1.0), integers(-9, -3)),
         Input(lambda rng, s, d: np.full(s, 1.0), integers(4, 9))),
        cases([[(), (), ()], [(17,), (), (1,)], [(5, 7), (7,), (5, 1)]]), ("clip_by_value",),
        dtypes=("float32", "int32")),
    Row("add_n", lambda a, b, c: tf.add_n([a, b, c]), lambda a, b, c: a + b + c, (Input(), Input(), Input()),
        cases([[s, s, s] for s in ((), (0,), (17,), (7, 13), (9_001,))]), tolerance=Ulps(4, 4),
        dtypes=("float32", "int32")),
    Row("add_n of many", lambda x: tf.add_n([x * float(i) for i in range(20)]), lambda x: x * 190.0,
        cases=UNARY[2:6], covers=("add_n", "multiply"), tolerance=Ulps(12), gradient=3e-5),
)

# -- cast: floats are cut and saturate, integers wrap; a sample of the 81 pairs
def _cast(to: str) -> Any:
    def twin(x: Any) -> Any:
        if to == "bool":
            return x != 0
        if to.startswith("float") or x.dtype.kind != "f":
            return x * 1
        info = np.iinfo(to)
        # bounds that float64 can hold: 2**63 itself is one too large
        high = float(info.max) if info.bits < 64 else float(2**63 - 1024)
        return np.where(np.isnan(x), 0, np.clip(np.trunc(x), float(info.min), high)).astype(np.int64)
    return twin


_CAST = tuple(
    Row(f"cast {source} to {to}", lambda x, to=to: tf.cast(x, to), _cast(to),
        (Input(uniform(-300, 300), integers(-120, 120) if source in ("int8", "uint8") else integers(-300, 300)),),
        UNARY if (source, to) == ("float32", "int32") else UNARY[:8], ("cast",),
        2 if source.startswith("float") and to.startswith("float") else 0,
        Ulps(0.5), (source,), to, gradient=2e-3 if "float16" in (source, to) else 1e-5)
    for source, to in (("float32", "int32"), ("float32", "float64"), ("float64", "float32"), ("float32", "float16"),
                       ("float16", "float32"), ("float32", "int8"), ("float32", "uint8"), ("float32", "int64"),
                       ("float32", "bool"), ("int32", "float32"), ("int64", "float32"), ("int32", "int8"),
                       ("int32", "uint8"), ("int32", "int64"), ("int64", "int32"), ("int16", "float32"),
                       ("int8", "int32"), ("uint8", "float32"), ("bool", "float32"), ("bool", "int32"),
                       ("float16", "int16"), ("int32", "bool"), ("float64", "int64")))

ROWS = (*_BINARY, *_SLOTS, *_SIMPLE, *_COMPARE, *_LOGIC, *_BITS, *_CHOICE, *_CAST)
