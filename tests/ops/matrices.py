"""Rows of diagonals, bands, rearrangements and factors of matrices, and of counts."""

from __future__ import annotations

from typing import Any

import numpy as np

import cltensor as tf
from tests.ops.row import Case, Input, Rounded, Row, Transposed, Ulps, below, case, cases, integers, uniform

_X = (Input(),)
_SQUARES = cases([[(1, 1)], [(3, 3)], [(7, 7)], [(2, 5, 5)], [(0, 3, 3)], [Transposed((4, 4))]])
_MATRICES = cases([[(1, 1)], [(3, 5)], [(5, 3)], [(2, 17, 16)], [(0, 2, 3)], [(3, 0)], [Transposed((4, 6))]])


def _regular(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
    x = rng.uniform(-1, 1, shape)
    return x + 3 * np.eye(shape[-1]) * shape[-1] ** 0.5


def _definite(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
    x = rng.uniform(-1, 1, shape)
    return (x + np.swapaxes(x, -1, -2)) / 2 + 2 * np.eye(shape[-1]) * shape[-1] * (1 + 0.3 * np.arange(shape[-1]))


def _symmetric(x: Any) -> Any:
    return (x + tf.matrix_transpose(x)) * 0.5


def _np_symmetric(x: np.ndarray) -> np.ndarray:
    return (x + np.swapaxes(x, -1, -2)) / 2


def _eye(x: np.ndarray) -> np.ndarray:
    return np.eye(x.shape[-1]) if x.shape[-1] else np.zeros((0, 0))


def _diag(x: np.ndarray) -> np.ndarray:
    return x[..., None] * np.eye(x.shape[-1], dtype=x.dtype)


def _set_diag(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    out = x.copy()
    i = np.arange(d.shape[-1])
    out[..., i, i] = d
    return out


def _band(x: np.ndarray, low: int, high: int) -> np.ndarray:
    i, j = np.indices(x.shape[-2:])
    return np.where(((i - j <= low) | (low < 0)) & ((j - i <= high) | (high < 0)), x, 0)


def _reverse_sequence(x: np.ndarray, n: np.ndarray, seq: int, batch: int) -> np.ndarray:
    out = np.moveaxis(x, (batch, seq), (0, 1)).copy()
    for row, k in zip(out, n):
        row[:k] = row[:k][::-1]
    return np.moveaxis(out, (0, 1), (batch, seq))


def _blocks(x: np.ndarray, s: int) -> np.ndarray:
    b, h, w, c = x.shape
    return np.concatenate([x[:, i::s, j::s] for i in range(s) for j in range(s)], 3)


def _unblocks(x: np.ndarray, s: int) -> np.ndarray:
    b, h, w, c = x.shape
    k = c // (s * s)
    out = np.zeros((b, h * s, w * s, k), x.dtype)
    for i in range(s):
        for j in range(s):
            out[:, i::s, j::s] = x[..., (i * s + j) * k:(i * s + j + 1) * k]
    return out


def _triangular(a: np.ndarray, b: np.ndarray, lower: bool, adjoint: bool) -> np.ndarray:
    a = np.tril(a) if lower else np.triu(a)
    return np.linalg.solve(np.swapaxes(a, -1, -2) if adjoint else a, b)


def _copy(name: str, call: Any, twin: Any, some: tuple[Case, ...], inputs: tuple = _X, **more: Any) -> Row:
    return Row(name, call, twin, inputs, some, **more)


_WHERE = ("where",)
_REARRANGED = (
    _copy("matrix_diag_part", lambda x: tf.matrix_diag_part(x), lambda x: np.diagonal(x, axis1=-2, axis2=-1), _MATRICES,
          covers=("strided_slice",)),
    _copy("matrix_diag", lambda x: tf.matrix_diag(x), _diag, cases([[(1,)], [(5,)], [(3, 17)], [(0,)], [(2, 0)]]),
          covers=("concat",)),
    _copy("matrix_set_diag", lambda x, d: tf.matrix_set_diag(x, d), _set_diag, cases(
        [[(3, 5), (3,)], [(5, 3), (3,)], [(2, 4, 4), (2, 4)], [(1, 1), (1,)]]), (Input(), Input()), covers=_WHERE),
    _copy("diag", lambda x: tf.diag(x), lambda x: np.diag(x.reshape(-1)).reshape(x.shape * 2),
          cases([[(3,)], [(2, 3)], [(1,)]]), covers=("concat",)),
    _copy("diag_part", lambda x: tf.diag_part(x), lambda x: np.diagonal(
        x.reshape(int(x.size ** 0.5), -1)).reshape(x.shape[:x.ndim // 2]), cases([[(3, 3)], [(2, 3, 2, 3)]]),
          covers=("strided_slice",)),
    _copy("trace", lambda x: tf.trace(x), lambda x: np.trace(x, axis1=-2, axis2=-1), _MATRICES, covers=("reduce_sum",),
          tolerance=Rounded(8)),
    *(_copy(f"matrix_band_part({low}, {high})", lambda x, low=low, high=high: tf.matrix_band_part(x, low, high),
            lambda x, low=low, high=high: _band(x, low, high), _MATRICES, covers=_WHERE)
      for low, high in ((-1, 0), (0, -1), (1, 2), (0, 0))),
    _copy("roll", lambda x, shift, axis: tf.roll(x, shift, axis), lambda x, shift, axis: np.roll(x, shift, axis), tuple(
        case(s, shift=n, axis=a) for s, n, a in (
            ((17,), 3, 0), ((17,), -20, 0), ((5, 7), 5, 0), ((5, 7), [1, -2], [0, 1]), ((0, 3), 1, 0),
            ((2, 3, 4), [2, 1], [-1, 0]))), covers=("concat",),
          dtypes=("float32", "int64")),
    _copy("repeat", lambda x, n, axis: tf.repeat(x, n, axis), lambda x, n, axis: np.repeat(x, n, axis), tuple(
        case(s, n=n, axis=a) for s, n, a in (((3,), 2, 0), ((3,), [0, 2, 1], 0), ((2, 3), 2, None), ((2, 3), [1, 3], 0),
                                             ((4,), 0, 0))), covers=("gather",)),
    _copy("sequence_mask", lambda x: tf.sequence_mask(x, 9), lambda x: np.arange(9) < x[..., None],
          cases([[()], [(5,)], [(0,)], [(2, 3)]]), (Input(None, integers(0, 11)),), dtypes=("int32", "int64"),
          covers=("less",), order=0, result="bool"),
    *(_copy(f"reverse_sequence({seq}, {batch})",
            lambda x, n, seq=seq, batch=batch: tf.reverse_sequence(x, n, seq_axis=seq, batch_axis=batch),
            lambda x, n, seq=seq, batch=batch: _reverse_sequence(x, n, seq, batch), cases([shapes]),
            (Input(), Input(None, integers(0, 6), dtype="int32", smooth=False)), covers=("gather",))
      for seq, batch, shapes in ((1, 0, ((4, 5, 3), (4,))), (0, 1, ((5, 4), (4,))), (2, 1, ((2, 3, 6), (3,))))),
    _copy("space_to_depth", lambda x, s: tf.space_to_depth(x, s), _blocks, tuple(
        case(shape, s=s) for shape, s in (((2, 4, 6, 3), 2), ((1, 3, 3, 1), 3), ((0, 2, 2, 1), 2))),
          covers=("transpose",)),
    _copy("depth_to_space", lambda x, s: tf.depth_to_space(x, s), _unblocks, tuple(
        case(shape, s=s) for shape, s in (((2, 2, 3, 12), 2), ((1, 1, 1, 9), 3))), covers=("transpose",)),
)

_FACTORS = dict(dtypes=("float64",), gradient=1e-5, symbolic=False)
_FACTORED = (
    Row("matrix_inverse", lambda x: tf.matrix_inverse(x), np.linalg.inv, (Input(_regular),), _SQUARES,
        tolerance=Ulps(8, 8), **_FACTORS),
    Row("matrix_determinant", lambda x: tf.matrix_determinant(x), np.linalg.det, (Input(_regular),), _SQUARES,
        tolerance=Ulps(8), **_FACTORS),
    Row("matrix_solve", lambda a, b: tf.matrix_solve(a, b), np.linalg.solve, (Input(_regular), Input()), cases(
        [[(3, 3), (3, 1)], [(2, 5, 5), (2, 5, 3)], [(1, 1), (1, 4)]]), tolerance=Ulps(8, 8), **_FACTORS),
    Row("matrix_solve(adjoint)", lambda a, b: tf.matrix_solve(a, b, adjoint=True), lambda a, b: np.linalg.solve(
        np.swapaxes(a, -1, -2), b), (Input(_regular), Input()), cases([[(3, 3), (3, 1)], [(2, 5, 5), (2, 5, 3)]]),
        covers=("matrix_solve",), tolerance=Ulps(8, 8), **_FACTORS),
    *(Row(f"matrix_triangular_solve({lower}, {adjoint})",
          lambda a, b, lower=lower, adjoint=adjoint: tf.matrix_triangular_solve(a, b, lower, adjoint),
          lambda a, b, lower=lower, adjoint=adjoint: _triangular(a, b, lower, adjoint), (Input(_regular), Input()),
          cases([[(4, 4), (4, 2)]]), covers=("matrix_solve",), tolerance=Ulps(8, 8), **_FACTORS)
      for lower in (True, False) for adjoint in (True, False)),
    Row("cholesky", lambda x: tf.cholesky(_symmetric(x)), lambda x: np.linalg.cholesky(_np_symmetric(x)),
        (Input(_definite),), _SQUARES, tolerance=Ulps(8, 8), **_FACTORS),
    Row("cholesky_solve", lambda x, b: tf.cholesky_solve(tf.cholesky(_symmetric(x)), b),
        lambda x, b: np.linalg.solve(_np_symmetric(x), b), (Input(_definite), Input()),
        cases([[(4, 4), (4, 2)]]), covers=("cholesky", "matrix_solve"), tolerance=Ulps(16, 16), **_FACTORS),
    Row("logdet", lambda x: tf.linalg.logdet(_symmetric(x)), lambda x: np.linalg.slogdet(_np_symmetric(x))[1],
        (Input(_definite),), _SQUARES, covers=("cholesky",), tolerance=Ulps(8, 8), **_FACTORS),
    Row("self_adjoint_eig", lambda x: tf.self_adjoint_eig(_symmetric(x)),
        lambda x: tuple(np.linalg.eigh(_np_symmetric(x))), (Input(_definite),), _SQUARES, order=1,
        tolerance=Ulps(8, 8), **_FACTORS),
    Row("svd", lambda x: tf.svd(x), lambda x: (lambda u, s, v: (s, u, np.swapaxes(v, -1, -2)))(
        *np.linalg.svd(x, full_matrices=False)), _X, cases([[(3, 5)], [(5, 3)], [(2, 4, 4)]]), order=0,
        tolerance=Ulps(8, 8), **_FACTORS),
    Row("qr", lambda x: tf.qr(x), lambda x: tuple(np.linalg.qr(x)), _X, cases([[(3, 5)], [(5, 3)], [(2, 4, 4)]]),
        order=0, tolerance=Ulps(8, 8), **_FACTORS),
)


def _confusion(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    out = np.zeros((7, 7), np.int64)
    np.add.at(out, (labels, predictions), 1)
    return out


_CLASSES = Input(None, below(7), dtype="int32", smooth=False)
_COUNTS = dict(order=0, result="int32", symbolic=False)
_COUNTED = (
    Row("confusion_matrix", lambda a, b: tf.confusion_matrix(a, b, 7), _confusion, (_CLASSES, _CLASSES),
        cases([[(), ()], [(0,), (0,)], [(1,), (1,)], [(1001,), (1001,)]]), covers=("scatter_nd",), dtypes=("int32",),
        order=0, result="int32"),
    Row("bincount", lambda x: tf.bincount(x, minlength=9), lambda x: np.bincount(x.reshape(-1), minlength=9),
        (_CLASSES,), cases([[(1,)], [(17, 3)], [(0,)]]), covers=("unsorted_segment_sum",), dtypes=("int32",),
        **_COUNTS),
    Row("histogram_fixed_width", lambda x: tf.histogram_fixed_width(x, [-1.0, 1.0], 8),
        lambda x: np.histogram(np.clip(x, -1, 1), 8, (-1, 1))[0], (Input(uniform(-2, 2)),), cases([[(1,)], [(1001,)]]),
        covers=("unsorted_segment_sum",), order=0, result="int32"),
    Row("dynamic_partition", lambda x, p: tf.dynamic_partition(x, p, 7),
        lambda x, p: tuple(x[p == i] for i in range(7)), (Input(), _CLASSES),
        cases([[(17,), (17,)], [(5, 3), (5,)], [(2, 3, 4), (2, 3)]]), covers=("gather",), order=2,
        symbolic=False),
    Row("dynamic_stitch", lambda x, y: tf.dynamic_stitch([[4, 1], [0, 2, 3, 1]], [x, y]),
        lambda x, y: np.stack([y[0], y[3], y[1], y[2], x[0]]), (Input(), Input()),
        cases([[(2,), (4,)], [(2, 3), (4, 3)]]), covers=("gather",)),
)

ROWS: tuple[Row, ...] = (*_REARRANGED, *_FACTORED, *_COUNTED)
