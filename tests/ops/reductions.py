"""Rows of reductions over axes, positions of extremes and running results."""

from __future__ import annotations

from typing import Any

import numpy as np

import cltensor as tf
from cltensor.ops import scan
from cltensor.ops.reduce import sum_to
from tests.ops.row import (
    EXACT,
    Case,
    Input,
    Rounded,
    Row,
    Sums,
    Transposed,
    booleans,
    case,
    distinct,
    integers,
    uniform,
)

# shape, axis: one and several axes, apart and adjacent, front and back; sizes around lanes, rows and columns
SHAPES: tuple = (((), None), ((1,), 0), ((13,), 0), ((16,), None), ((17,), -1), ((7, 13), 0), ((7, 13), 1),
                 ((33, 5), 1), ((33, 5), 0), (Transposed((5, 9)), 1), ((3, 4, 5, 6), (0, 2)), ((3, 4, 5, 3), [1, 3]),
                 ((3, 1, 4), 1), ((4, 5), ()), ((5, 3, 20), 1), ((2, 3, 1, 5), None), ((0, 3), 0), ((3, 0), 1),
                 ((0, 3), 1), ((100_003,), 0), ((300, 333), 0), ((333, 300), 1), ((20_000, 5), 0), ((5, 20_000), 1))
CASES = tuple(Case((shape,), {"axis": axis, "keepdims": i % 3 == 0}) for i, (shape, axis) in enumerate(SHAPES))
NONEMPTY = tuple(c for c in CASES if 0 not in c.shapes[0])


def _axis(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _over(function: Any) -> Any:
    return lambda x, axis, keepdims: function(x, axis=_axis(axis), keepdims=keepdims)


def _count(x: Any, axis: Any, keepdims: bool) -> Any:
    return max(x.size, 1) / max(np.sum(x, axis=_axis(axis)).size, 1)


def _mean(x: Any, axis: Any, keepdims: bool) -> Any:
    with np.errstate(all="ignore"):
        if x.dtype.kind == "f":
            total = np.sum(x, axis=_axis(axis), keepdims=keepdims)
            return total / (_count(x, axis, keepdims) if x.size else 0.0)
        total = np.sum(x, axis=_axis(axis), keepdims=keepdims)
        count = x.size // total.size
        return np.sign(total) * (np.abs(total) // count)


def _extreme(function: Any, start: float) -> Any:
    return lambda x, axis, keepdims: function(x, axis=_axis(axis), keepdims=keepdims,
                                              **({} if x.dtype.kind != "f" else {"initial": start}))


def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    top = np.max(x, axis=_axis(axis), keepdims=True)
    total = np.log(np.sum(np.exp(x - top), axis=_axis(axis), keepdims=True)) + top
    return total if keepdims else np.sum(total, axis=_axis(axis))


def _reduction(name: str, twin: Any, tolerance: Any, domain: Any = uniform(-2, 2), over: tuple = CASES,
               **more: Any) -> Row:
    def call(x: Any, axis: Any, keepdims: bool, f: Any = getattr(tf, name)) -> Any:
        return f(x, axis, keepdims)
    return Row(name, call, twin, (Input(domain, **more.pop("input", {})),), over, tolerance=tolerance, **more)


_NEAR_ONE = uniform(0.5, 1.5)
_REDUCE = (
    _reduction("reduce_sum", _over(np.sum), Sums(),
               dtypes=("float32", "float16", "float64", "int32", "int8")),
    _reduction("reduce_mean", _mean, Sums(squares=lambda x, **how: _mean(x, **how) / _count(x, **how)),
        dtypes=("float32", "float16")),
    Row("reduce_mean of integers", lambda x, axis, keepdims: tf.reduce_mean(x, axis, keepdims), _mean,
        (Input(ints=integers(-50, 50)),), NONEMPTY, ("reduce_mean",), 0, dtypes=("int32",)),
    _reduction("reduce_max", _extreme(np.max, -np.inf), EXACT, distinct(), dtypes=("float32", "float16")),
    _reduction("reduce_min", _extreme(np.min, np.inf), EXACT, distinct()),
    Row("reduce_max of integers", lambda x, axis, keepdims: tf.reduce_max(x, axis, keepdims), _over(np.max),
        (Input(),), NONEMPTY, ("reduce_max",), 0, dtypes=("uint8", "int64")),
    Row("reduce_min of integers", lambda x, axis, keepdims: tf.reduce_min(x, axis, keepdims), _over(np.min),
        (Input(),), NONEMPTY, ("reduce_min",), 0, dtypes=("int32",)),
    # each factor adds a rounding; the large cases would leave the range
    _reduction("reduce_prod", _over(np.prod), Rounded(lambda c: min(c.size, 400)), _NEAR_ONE,
               tuple(c for c in CASES if c.size < 2000), gradient=3e-5),
    Row("reduce_prod of integers", lambda x, axis, keepdims: tf.reduce_prod(x, axis, keepdims), _over(np.prod),
        (Input(ints=integers(-3, 4)),), CASES[:9], ("reduce_prod",), 0, dtypes=("int32",)),
    Row("reduce_prod with zeros", lambda x: tf.reduce_prod(x, 1), lambda x: np.prod(x, 1),
        (Input(lambda rng, shape, d: rng.uniform(0.5, 1.5, shape) * (rng.random(shape) < 0.8)),),
        (case((7, 3)), case((5, 4, 3))), ("reduce_prod", "cumprod", "linear_recurrence"), tolerance=Rounded(8),
        gradient=3e-5),
    Row("reduce_any", lambda x, axis, keepdims: tf.reduce_any(x, axis, keepdims), _over(np.any),
        (Input(ints=booleans(0.2), dtype="bool"),), CASES, order=0, result="bool"),
    Row("reduce_all", lambda x, axis, keepdims: tf.reduce_all(x, axis, keepdims), _over(np.all),
        (Input(ints=booleans(0.8), dtype="bool"),), CASES, order=0, result="bool"),
    # an error in the exponent is one of e; the logarithm turns it into an absolute one
    _reduction("reduce_logsumexp", _logsumexp, Rounded(16, lambda x, axis, keepdims: np.abs(
        _logsumexp(x, axis, keepdims)) + 1), uniform(-9, 9), NONEMPTY, covers=("reduce_sum", "exp", "log"),
               gradient=3e-5),
    Row("sum_to", lambda x, to: sum_to(x, to), lambda x, to: np.sum(np.sum(x, axis=tuple(
        range(x.ndim - len(to)))), axis=tuple(i for i, d in enumerate(to) if d == 1), keepdims=True).reshape(to),
        (Input(),), tuple(case(s, to=to) for s, to in (((7, 13), (13,)), ((7, 13), (7, 1)), ((2, 5, 7), (5, 1)),
                                                        ((9,), ()), ((0, 3), (3,)))), tolerance=Sums()),
)

_ARG = tuple(
    Row(name, lambda x, axis, output_type, f=getattr(tf, name): f(x, axis, output_type=output_type),
        lambda x, axis, output_type, f=getattr(np, name): f(x, axis=axis),
        (Input(integers(-9, 10), integers(-9, 10)),), tuple(case(s, axis=a, output_type="int64") for s, a in (
            ((1,), 0), ((15,), 0), ((16,), 0), ((17,), 0), ((7, 13), 0), ((7, 13), 1), ((3, 33, 5), 1), ((40, 3), -1),
            (Transposed((5, 9)), 1), ((0, 3), 1), ((100_003,), 0), ((300, 333), 0), ((333, 300), 1))), order=0,
        dtypes=("float32", "int32", "float16") if name == "argmax" else ("float32",), result="int64")
    for name in ("argmax", "argmin")) + (
    Row("argmax as int32", lambda x: tf.argmax(x, 1, output_type=tf.int32), lambda x: np.argmax(x, 1), (Input(),),
        (case((7, 13)), case((5, 20))), ("argmax",), 0, result="int32"),)

_SCANS = tuple(case(s, axis=a, exclusive=e, reverse=r) for s, a, e, r in (
    ((1,), 0, False, False), ((15,), 0, True, False), ((17,), 0, False, True), ((7, 13), 0, True, True),
    ((7, 13), 1, False, False), ((3, 5, 17), 1, True, False), (Transposed((5, 9)), -1, False, True),
    ((0, 3), 0, False, False),
    ((3, 0), 0, True, False), ((3001,), 0, False, False), ((40, 1001), 0, True, True)))


def _scan(function: Any, start: float) -> Any:
    def twin(x: Any, axis: int, exclusive: bool, reverse: bool) -> Any:
        x = np.flip(x, axis) if reverse else x
        if exclusive and x.shape[axis]:
            head = np.take(x, [0], axis) * 0 + start
            x = np.concatenate([head, np.take(x, range(x.shape[axis] - 1), axis)], axis)
        y = function(x, axis=axis)
        return np.flip(y, axis) if reverse else y
    return twin


def _recurrence(a: Any, b: Any) -> Any:
    out, s = np.zeros_like(b), np.zeros_like(b[:, 0])
    for i in range(b.shape[1]):
        out[:, i] = s
        s = b[:, i] + a[:, i] * s
    return out


_RUNNING = (
    Row("cumsum", lambda x, **how: tf.cumsum(x, **how), _scan(np.cumsum, 0), (Input(),), _SCANS,
        tolerance=Sums(), dtypes=("float32", "int32", "float16")),
    Row("cumprod", lambda x, **how: tf.cumprod(x, **how), _scan(np.cumprod, 1), (Input(_NEAR_ONE, integers(-2, 3)),),
        _SCANS[:9], tolerance=Rounded(20), dtypes=("float32", "int32"), covers=("cumprod", "linear_recurrence"),
        gradient=3e-5),
    Row("linear_recurrence", lambda a, b: scan._recurrence(a, b, 1, False), _recurrence,
        (Input(uniform(-1, 1)), Input()), (case((3, 5), (3, 5)), case((2, 17, 3), (2, 17, 3))), tolerance=Rounded(40),
        gradient=3e-5),
)

ROWS = (*_REDUCE, *_ARG, *_RUNNING)
