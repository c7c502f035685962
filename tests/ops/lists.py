"""Rows of TensorArray: elements go in one way and come out another; the gradient of each way is another of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import cltensor as tf
from tests.ops.row import Input, Rounded, Row, case

_SHAPES = tuple(case(s) for s in ((1,), (3,), (4, 1), (3, 17), (2, 3, 5), (7, 0)))


def _array(x: Any, n: Any) -> Any:
    return tf.TensorArray(x.dtype, size=n)


def _read(x: Any) -> Any:
    """Row 0, twice, and the last one; the others nobody reads."""
    n = tf.shape(x)[0]
    rows = _array(x, n).unstack(x)
    return rows.read(0) * rows.read(0) + rows.read(n - 1)


def _written(x: Any) -> Any:
    """Two elements, written in the other order."""
    return _array(x, 2).write(1, x).write(0, x * x).stack()


def _scattered(x: Any) -> Any:
    n = tf.shape(x)[0]
    rows = _array(x, n).scatter(tf.reverse(tf.range(n), [0]), x * x)
    return rows.gather(tf.stack([0, 0, n - 1]))


def _split(x: Any) -> Any:
    """Two halves, one squared, together again the other way round."""
    half = tf.shape(x)[0] // 2
    parts = _array(x, 2).split(x, tf.stack([half, half]))
    return _array(x, 2).write(1, parts.read(0)).write(0, parts.read(1) * parts.read(1)).concat()


ROWS = (
    Row("TensorArray.read", _read, lambda x: x[0] * x[0] + x[-1], (Input(),), _SHAPES,
        ("list_read", "list_unstack", "list_write", "list_add"), tolerance=Rounded()),
    Row("TensorArray.write", _written, lambda x: np.stack([x * x, x]), (Input(),), _SHAPES,
        ("list_write", "list_stack", "list_new"), tolerance=Rounded()),
    Row("TensorArray.gather", _scattered, lambda x: (x * x)[::-1][[0, 0, -1]], (Input(),), _SHAPES,
        ("list_scatter", "list_gather"), tolerance=Rounded()),
    Row("TensorArray.concat", _split, lambda x: np.concatenate([x[len(x) // 2:]**2, x[:len(x) // 2]]), (Input(),),
        tuple(case(s) for s in ((2,), (4, 17), (6, 2, 3), (2, 0))),
        ("list_split", "list_concat", "list_lengths", "list_size"), tolerance=Rounded()),
)
