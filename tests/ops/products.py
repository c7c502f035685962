"""Rows of matrix products: every form of kernel, flags, batches that broadcast, contractions."""

from __future__ import annotations

from typing import Any

import numpy as np

import cltensor as tf
from tests.ops.row import Case, Input, Row, Sums, case, integers

_TWO = (Input(ints=integers(-20, 20)), Input(ints=integers(-20, 20)))
# (m, k, n): tiny, odd, prime; few rows or columns; below, at and above register tiles; deep; empty
_SIZES = ((1, 1, 1), (2, 3, 2), (7, 5, 3), (16, 16, 16), (17, 9, 13), (1, 17, 33), (33, 17, 1), (3, 5, 0), (3, 0, 5),
          (1, 700, 300), (2, 257, 300), (300, 257, 2), (5, 100, 130), (40, 300, 48), (65, 130, 129), (31, 40, 100))


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    return (np.swapaxes(a, -1, -2) if transpose_a else a) @ (np.swapaxes(b, -1, -2) if transpose_b else b)


def _flags(ta: bool, tb: bool) -> tuple:
    return tuple(Case(((k, m) if ta else (m, k), (n, k) if tb else (k, n)),
                      {"transpose_a": ta, "transpose_b": tb}) for m, k, n in (_SIZES if not ta else _SIZES[3::2]))


_BATCHES = tuple(case(a, b) for a, b in (((3, 4, 5), (3, 5, 6)), ((3, 4, 5), (5, 6)), ((4, 5), (3, 5, 6)),
                                         ((2, 1, 4, 5), (3, 5, 2)),
                                         ((5, 1, 2, 3), (1, 4, 3, 7)), ((0, 4, 5), (0, 5, 6)),
                                         ((4, 30, 20), (4, 20, 40))))
ROWS = (
    Row("matmul", lambda a, b, **flags: tf.matmul(a, b, **flags), _matmul, _TWO,
        (*_flags(False, False), *_flags(False, True), *_flags(True, False), *_flags(True, True)),
        tolerance=Sums(), dtypes=("float32", "float16", "float64", "int32"), gradient=2e-5),
    Row("matmul of batches", lambda a, b: tf.matmul(a, b), _matmul, _TWO, _BATCHES, ("matmul",),
        tolerance=Sums(), dtypes=("float32", "int64"), gradient=2e-5),
    Row("matvec", lambda a, b: tf.linalg.matvec(a, b), lambda a, b: a @ b, _TWO, (case((5, 7), (7,)),), ("matmul",),
        tolerance=Sums()),
    Row("operator @", lambda a, b: a @ b, lambda a, b: a @ b, _TWO, (case((5, 7), (7, 2)),), ("matmul",),
        tolerance=Sums()),
    Row("tensordot", lambda a, b, axes: tf.tensordot(a, b, axes), lambda a, b, axes: np.tensordot(a, b, axes), _TWO,
        (case((5,), (5,), axes=1), case((3, 4, 5), (4, 5, 2), axes=2), case((3, 4, 5), (4, 6), axes=[[1], [0]]),
         case((3, 4, 5), (5, 3), axes=[[2, 0], [0, 1]]), case((3,), (4,), axes=0)), ("matmul", "reshape"),
        tolerance=Sums()),
)
