"""Rows of tf.nn beyond activations: softmax, cross entropies, norms, moments, biases."""

from __future__ import annotations

from typing import Any

import numpy as np

import cltensor as tf
from tests.ops.row import (
    UNARY,
    Case,
    Input,
    Rounded,
    Row,
    Sums,
    Transposed,
    Ulps,
    below,
    case,
    cases,
    distinct,
    uniform,
)

# classes below, at and above the widths of lanes and vectors; one row and many
_ROWS = cases([[(1,)], [(3,)], [(5, 10)], [(17, 10)], [(3, 16)], [(4, 17)], [(2, 3, 31)], [Transposed((7, 13))],
               [(0, 5)], [(129, 100)], [(7, 1009)], [(2000, 10)]])


def _soft(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
    return e / e.sum(axis, keepdims=True)


def _log_soft(x: Any, axis: int = -1) -> Any:
    z = x - x.max(axis, keepdims=True, initial=-np.inf)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


def _sparse(labels: Any, x: Any) -> Any:
    return -np.take_along_axis(_log_soft(x), labels[..., None], -1)[..., 0]


def _sigmoid(labels: Any, x: Any) -> Any:
    return np.maximum(x, 0) - x * labels + np.log1p(np.exp(-np.abs(x)))


def _scale(*arrays: Any, **attrs: Any) -> Any:
    """Logarithms of sums: the error is one of the largest logit."""
    return np.ones(()) * (np.max(np.abs(arrays[-1]), initial=0) + 2)


_LOGITS = Input(uniform(-5, 5))
_LABELS = Input(lambda rng, shape, dtype: _soft(rng.uniform(-2, 2, shape)) if shape[-1] else np.zeros(shape))
_TWO = tuple(Case((c.shapes[0], c.shapes[0])) for c in _ROWS)
_PICKED = tuple(Case((tuple(c.shapes[0])[:-1], tuple(c.shapes[0]))) for c in _ROWS if c.shapes[0][-1] >= 3)

ROWS = (
    Row("softmax", lambda x: tf.nn.softmax(x), _soft, (_LOGITS,), _ROWS, tolerance=Ulps(24),
        dtypes=("float32", "float16", "float64"), gradient=2e-5),
    Row("softmax along another axis", lambda x, axis: tf.nn.softmax(x, axis), _soft, (_LOGITS,),
        (case((5, 7), axis=0), case((2, 3, 4), axis=1)), ("softmax", "transpose"), tolerance=Ulps(24)),
    Row("log_softmax", lambda x: tf.nn.log_softmax(x), _log_soft, (_LOGITS,), _ROWS, tolerance=Rounded(8, _scale),
        gradient=2e-5, dtypes=("float32", "float16")),
    Row("softmax_cross_entropy_with_logits", lambda y, x: tf.nn.softmax_cross_entropy_with_logits_v2(y, x),
        lambda y, x: -(y * _log_soft(x)).sum(-1), (_LABELS, _LOGITS), _TWO,
        tolerance=Rounded(12, _scale), gradient=1e-5, dtypes=("float32", "float16"),
        covers=("softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits_grad")),
    Row("softmax_cross_entropy_with_logits of fixed labels",
        lambda y, x: tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=x),
        lambda y, x: -(y * _log_soft(x)).sum(-1),
        (Input(_LABELS.floats, smooth=False), _LOGITS), _TWO[:8], ("softmax_cross_entropy_with_logits",
                                                                   "softmax_cross_entropy_with_logits_grad"),
        tolerance=Rounded(12, _scale)),
    Row("sparse_softmax_cross_entropy_with_logits",
        lambda y, x: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x), _sparse,
        (Input(ints=below(3), dtype="int32", smooth=False), _LOGITS), _PICKED, tolerance=Rounded(12, _scale),
        dtypes=("float32", "float16"),
        covers=("sparse_softmax_cross_entropy_with_logits", "sparse_softmax_cross_entropy_with_logits_grad")),
    Row("sparse_softmax_cross_entropy_with_logits by int64",
        lambda y, x: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x), _sparse,
        (Input(ints=below(3), dtype="int64", smooth=False), _LOGITS), _PICKED[1:3], tolerance=Rounded(12, _scale),
        gradient=3e-5, covers=("sparse_softmax_cross_entropy_with_logits",)),
    Row("sigmoid_cross_entropy_with_logits", lambda y, x: tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x),
        _sigmoid, (Input(uniform(0, 1)), _LOGITS), tuple(Case((c.shapes[0],) * 2) for c in UNARY),
        tolerance=Rounded(6, _scale), gradient=3e-5),
    Row("l2_loss", lambda x: tf.nn.l2_loss(x), lambda x: np.sum(x * x) / 2, cases=UNARY, tolerance=Sums(),
        dtypes=("float32", "float16")),
    Row("l2_normalize", lambda x, axis: tf.nn.l2_normalize(x, axis),
        lambda x, axis: x / np.sqrt(np.sum(x * x, axis=axis, keepdims=True)), (Input(uniform(0.3, 2)),),
        (case((7,), axis=0), case((5, 17), axis=1), case((5, 3), axis=None)), ("multiply", "rsqrt", "reduce_sum"),
        tolerance=Ulps(16), gradient=3e-5),
    Row("moments", lambda x, axes: tf.nn.moments(x, axes),
        lambda x, axes: [np.mean(x, tuple(axes)), np.var(x, tuple(axes))],
        cases=(case((7,), axes=[0]), case((5, 17), axes=[0]), case((3, 4, 5), axes=[0, 1])),
        covers=("reduce_mean", "squared_difference"),
        tolerance=Rounded(8, lambda x, axes: np.array(2.0)), gradient=3e-5, dtypes=("float32", "float16")),
    Row("bias_add", lambda x, b: tf.nn.bias_add(x, b), np.add, (Input(), Input()),
        (case((5, 7), (7,)), case((2, 3, 4, 5), (5,))), ("add",), tolerance=Ulps(0.5)),
    Row("bias_add of channels first", lambda x, b: tf.nn.bias_add(x, b, "NCHW"), lambda x, b: x + b[:, None, None],
        (Input(), Input()), (case((2, 3, 4, 5), (3,)),), ("add",), tolerance=Ulps(0.5)),
    Row("clip_by_norm", lambda x: tf.clip_by_norm(x, 1.0), lambda x: x / max(np.sqrt(np.sum(x * x)), 1.0),
        (Input(uniform(0.5, 2)),), cases([[(7,)], [(3, 5)]]), ("sqrt", "maximum", "reduce_sum"), tolerance=Ulps(12),
        gradient=3e-5),
    Row("clip_by_global_norm", lambda x, y: tf.clip_by_global_norm([x, y], 1.0)[0],
        lambda x, y: [v / np.sqrt(np.sum(x * x) + np.sum(y * y)) for v in (x, y)],
        (Input(uniform(0.5, 2)), Input(uniform(0.5, 2))), cases([[(7,), (3, 5)]]), ("sqrt", "maximum", "add_n"),
        tolerance=Ulps(12), gradient=3e-5),
    Row("norm", lambda x, **how: tf.norm(x, **how), lambda x, ord=None, axis=None: np.linalg.norm(
        x.ravel() if axis is None else x, ord, axis), (Input(distinct(0.1)),), (
                case((5, 7)), case((5, 7), ord=1, axis=1), case((5, 7), ord=np.inf, axis=0),
                case((5, 7), ord=1, axis=(0, 1)),
            case((5, 7), ord=3, axis=0)), ("reduce_sum", "sqrt"), tolerance=Ulps(40), gradient=3e-5),
)
