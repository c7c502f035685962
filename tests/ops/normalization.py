"""Rows of batch normalisation: with given statistics, and fused with computing them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.ops import batch_norm
from tests.ops.row import Input, Rounded, Row, case, uniform


def given(x: Any, mean: Any, variance: Any, offset: Any, scale: Any) -> Any:
    return (x - mean) / np.sqrt(variance + 1e-3) * scale + offset


def fused(x: Any, scale: Any, offset: Any) -> Any:
    rows = tuple(range(x.ndim - 1))
    return given(x, x.mean(rows), x.var(rows), offset, scale)


def statistics(x: Any, scale: Any, offset: Any) -> list:
    rows = tuple(range(x.ndim - 1))
    n = x[..., 0].size
    return [fused(x, scale, offset), x.mean(rows), x.var(rows) * (n / max(1, n - 1))]


def _scale(*_: Any, **__: Any) -> Any:
    return np.array(6.0)


_FIVE = (Input(), Input(), Input(uniform(0.5, 2)), Input(), Input())
_THREE = (Input(uniform(-2, 3)), Input(uniform(0.5, 2)), Input())
# channels around a vector, a strip, several pieces of rows
_SHAPES = ((2, 1, 1, 1), (3, 2, 2, 3), (2, 3, 3, 16), (2, 2, 3, 17), (2, 2, 2, 70), (3, 10, 10, 2))

ROWS = (
    Row("batch_normalization", lambda x, *rest: batch_norm.batch_normalization(x, *rest, 1e-3), given, _FIVE,
        (case((3, 5), (5,), (5,), (5,), (5,)), case((2, 3, 4), (3, 1), (3, 1), (3, 1), (3, 1)),
         case((2, 2), (), (), (), ())),
        ("scale_shift",), tolerance=Rounded(8, _scale), gradient=3e-5, dtypes=("float32", "float64")),
    Row("fused_batch_norm", lambda x, scale, offset: batch_norm.fused_batch_norm(x, scale, offset)[0], fused, _THREE,
        tuple(case(s, s[-1:], s[-1:]) for s in _SHAPES), ("fused_batch_norm", "fused_batch_norm_grad"),
        tolerance=Rounded(16, _scale), gradient=1e-4, dtypes=("float32", "float64")),
    Row("fused_batch_norm of channels first",
        lambda x, scale, offset: batch_norm.fused_batch_norm(x, scale, offset, data_format="NCHW")[0],
        lambda x, scale, offset: fused(x.transpose(0, 2, 3, 1), scale, offset).transpose(0, 3, 1, 2), _THREE,
        (case((2, 3, 4, 2), (3,), (3,)),), ("fused_batch_norm",), tolerance=Rounded(16, _scale), gradient=1e-4),
    Row("statistics of fused_batch_norm", batch_norm.fused_batch_norm, statistics, _THREE,
        (case((3, 5, 5, 17), (17,), (17,)), case((4, 30, 30, 3), (3,), (3,))), ("fused_batch_norm",),
        tolerance=Rounded(16, _scale), order=0),
    Row("fused_batch_norm with given statistics",
        lambda x, mean, variance, offset, scale: batch_norm.fused_batch_norm(x, scale, offset, mean, variance,
                                                                            is_training=False)[0],
        given, _FIVE, (case((2, 2, 3, 5), (5,), (5,), (5,), (5,)),), ("scale_shift",), tolerance=Rounded(8, _scale),
        gradient=3e-5),
)
