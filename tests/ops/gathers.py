"""Rows of picking and adding up by index; the gradient of each is another of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import cltensor as tf
from tests.ops.row import Input, Row, Sums, below, case, integers

_AT = Input(ints=below(5), dtype="int32", smooth=False)
_AT64 = Input(ints=below(5), dtype="int64", smooth=False)


def _add_at(shape: tuple, where: Any, values: Any) -> Any:
    out = np.zeros(shape, values.dtype)
    np.add.at(out, where, values)
    return out


def _nd(x: Any, i: Any) -> Any:
    return x[tuple(np.moveaxis(i, -1, 0))]


def _scatter(i: Any, x: Any, to: tuple) -> Any:
    return _add_at(to, tuple(np.moveaxis(i, -1, 0)), x)


def _segments(x: Any, ids: Any, n: int) -> Any:
    keep = ids >= 0
    return _add_at((n, *x.shape[ids.ndim:]), ids[keep], x[keep])


_GATHER = tuple(case(s, p, axis=a) for s, p, a in (
    ((5,), (), 0), ((5,), (17,), 0), ((5, 16), (4,), 0), ((3, 5), (2, 3), 1), ((3, 5, 17), (4,), 1),
    ((2, 3, 5), (7,), -1),
    ((5, 3), (0,), 0), ((5, 0), (3,), 0), ((5, 3001), (40,), 0), ((300, 5), (333,), 1)))
_INDEX_ND = tuple(case(s, p) for s, p in (((5,), (3, 1)), ((5, 7), (4, 1)), ((5, 5, 3), (2, 4, 2)),
                                          ((5, 5, 5), (17, 3)), ((5, 5, 40), (500, 2))))
ROWS = (
    Row("gather", lambda x, i, axis: tf.gather(x, i, axis=axis), lambda x, i, axis: np.take(x, i, axis), (Input(), _AT),
        _GATHER, ("gather", "unsorted_segment_sum"), dtypes=("float32", "int64", "int8", "int16")),
    Row("gather by int64", lambda x, i: tf.gather(x, i), lambda x, i: np.take(x, i, 0), (Input(), _AT64),
        (case((5, 3), (4,)), case((5,), (2, 9))), ("gather",)),
    Row("embedding_lookup", lambda x, i: tf.nn.embedding_lookup(x, i), lambda x, i: x[i], (Input(), _AT),
        (case((5, 8), (3, 4)),), ("gather",)),
    Row("index by arrays", lambda x, i: x[:, i], lambda x, i: x[:, i], (Input(), _AT), (case((3, 5, 2), (4,)),),
        ("gather",)),
    Row("index by arrays of two dimensions", lambda x, i, j: x[i, j], lambda x, i, j: x[i, j], (Input(), _AT, _AT),
        (case((5, 5, 3), (4,), (4,)),), ("gather",)),
    Row("gather_nd", lambda x, i: tf.gather_nd(x, i), _nd, (Input(), _AT), _INDEX_ND, ("gather_nd", "scatter_nd"),
        dtypes=("float32", "uint8")),
    Row("scatter_nd", lambda i, x, to: tf.scatter_nd(i, x, to), _scatter, (_AT, Input()), tuple(
        case(i, x, to=to) for i, x, to in (((3, 1), (3,), (5,)), ((7, 1), (7, 4), (6, 4)),
                                           ((2, 3, 2), (2, 3, 5), (5, 5, 5)),
                                           ((17, 2), (17,), (5, 9)), ((40, 1), (40, 3001), (5, 3001)))),
        ("scatter_nd", "gather_nd"), tolerance=Sums(), dtypes=("float32", "int32", "float16")),
    Row("unsorted_segment_sum", lambda x, ids, n: tf.unsorted_segment_sum(x, ids, n), _segments,
        (Input(), Input(ints=integers(-1, 5), dtype="int32", smooth=False)), tuple(
            case(x, i, n=n) for x, i, n in (((7,), (7,), 5), ((7, 3), (7,), 6), ((4, 5, 2), (4, 5), 5),
                                            ((0, 3), (0,), 5), ((300, 17), (300,), 7), ((3000, 40), (3000,), 5))),
        ("unsorted_segment_sum", "gather_or_zero"), tolerance=Sums(), dtypes=("float32", "int64", "int8")),
    Row("segment_sum", lambda x, ids: tf.segment_sum(x, np.sort(np.array(ids))),
        lambda x, ids: _segments(x, np.sort(ids), int(ids.max()) + 1), (Input(), _AT), (case((7, 3), (7,)),),
        ("unsorted_segment_sum",), tolerance=Sums(), symbolic=False),
    Row("one_hot", lambda i, axis: tf.one_hot(i, 5, axis=axis), lambda i, axis: np.moveaxis(
        (i[..., None] == np.arange(5)) * 1, -1, axis), (Input(ints=integers(-1, 6), dtype="int32", smooth=False),),
        tuple(case(s, axis=a) for s, a in (
            ((), -1), ((17,), -1), ((3, 4), 0), ((3, 4), 1), ((0,), -1), ((30_001,), -1))),
        order=0),
    Row("one_hot of other values", lambda i: tf.one_hot(i, 4, on_value=7, off_value=-1, dtype=tf.int16),
        lambda i: np.where(i[..., None] == np.arange(4), 7, -1), (Input(ints=below(4), dtype="uint8", smooth=False),),
        (case((9,)),), ("one_hot",), 0, result="int16"),
)
