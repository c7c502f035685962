"""Rows of shapes and copies: views, transposes, slices, padding, joining, and tensors from nothing but a shape."""

from __future__ import annotations

from typing import Any

import numpy as np

import cltensor as tf
from cltensor.ops import creation
from cltensor.ops.array import identity as _identity
from tests.ops.row import Case, Input, Row, Transposed, Ulps, case, cases, integers

SIZES = ("float32", "int8", "int16", "int64")      # copies know the bytes of an element only
_X = (Input(),)


def _copy(name: str, call: Any, twin: Any, some: tuple, covers: tuple = (), inputs: tuple = _X,
          dtypes: tuple = ("float32",), **more: Any) -> Row:
    return Row(name, call, twin, inputs, some, covers, dtypes=dtypes, **more)


_VIEWS = (
    _copy("reshape", lambda x, to: tf.reshape(x, to), lambda x, to: np.reshape(x, to),
          tuple(case(s, to=to) for s, to in (((6,), (2, 3)), ((2, 3), (-1,)), ((), (1, 1)), ((1,), ()),
                                             ((0, 3), (3, -1)), (Transposed((4, 5)), (2, 10)), ((7, 13), (13, 7))))),
    _copy("expand_dims", lambda x, axis: tf.expand_dims(x, axis), lambda x, axis: np.expand_dims(x, axis),
          tuple(case(s, axis=a) for s, a in (((), 0), ((3,), -1), ((2, 5), 1), ((0,), 0)))),
    _copy("squeeze", lambda x, axis: tf.squeeze(x, axis), lambda x, axis: np.squeeze(x, axis),
          tuple(case(s, axis=a) for s, a in (((1,), None), ((1, 3, 1), 0), ((1, 3, 1), (-1, 0)), ((2, 3), None)))),
    _copy("identity", lambda x: _identity(x), lambda x: x, cases([[()], [(5,)], [Transposed((3, 4))]])),
    _copy("stop_gradient", lambda x: x * tf.stop_gradient(x), lambda x: x * x, cases([[()], [(17,)]]), order=0,
          covers=("stop_gradient", "multiply"), tolerance=Ulps(0.5)),
)

_TRANSPOSE = tuple(case(s, perm=p) for s, p in (
    ((), None), ((5,), None), ((7, 13), None), ((16, 16), (1, 0)), ((17, 33), (1, 0)), ((3, 5, 4), (2, 0, 1)),
    ((3, 5, 4), (0, 2, 1)), ((2, 3, 4, 5), (3, 1, 0, 2)), ((2, 3, 4, 5), (0, 2, 3, 1)), ((0, 3), None),
    ((1, 7, 1), (2, 1, 0)), ((311, 333), (1, 0)), ((40, 50, 60), (2, 1, 0))))
_COPIES = (
    _copy("transpose", lambda x, perm: tf.transpose(x, perm), lambda x, perm: np.transpose(x, perm), _TRANSPOSE,
          dtypes=SIZES, covers=("transpose",)),
    _copy("matrix_transpose", lambda x: tf.matrix_transpose(x), lambda x: np.swapaxes(x, -1, -2), cases([[(2, 3, 4)]]),
          ("transpose",)),
    _copy("broadcast_to", lambda x, to: tf.broadcast_to(x, to), lambda x, to: np.broadcast_to(x, to) + 0 * x,
          tuple(case(s, to=to) for s, to in (((), (3,)), ((1,), (17,)), ((3, 1), (3, 5)), ((4,), (2, 3, 4)),
                                             ((1, 5, 1), (4, 5, 6)),
                                             ((1,), (0,)), ((5,), (5,)), ((1, 300), (301, 300))))),
    _copy("tile", lambda x, times: tf.tile(x, times), lambda x, times: np.tile(x, times), tuple(
        case(s, times=t) for s, t in (((3,), (4,)), ((2, 5), (3, 1)), ((2, 5), (2, 3)), ((), ()), ((4,), (0,)))),
          ("broadcast_to", "reshape")),
    _copy("reverse", lambda x, axis: tf.reverse(x, axis), lambda x, axis: np.flip(x, axis), tuple(
        case(s, axis=a) for s, a in (((17,), [0]), ((3, 5), [1]), ((3, 5, 2), [0, 2]), ((1,), [0]), ((0, 2), [1]),
                                     ((7, 3001), [-1]))), ("strided_slice", "place"), dtypes=("float32", "uint8")),
)

_WINDOWS = (((17,), (slice(3, 9),)), ((5, 17), (slice(1, 4), slice(2, None))),
            ((5, 17), (slice(None), slice(1, None, 3))),
            ((5, 17), (2,)), ((5, 17), (Ellipsis, -1)), ((3, 4, 5), (slice(0, 2), None, 1)), ((5,), (slice(9, 12),)),
            ((5, 7), (slice(None, None, -2), slice(4, 1, -1))), ((3, 4, 5), (slice(None), slice(2, 0, -1), 3)),
            ((301, 333), (slice(1, -1), slice(5, 300))))
_REGIONS = (
    _copy("index", lambda x, key: x[key], lambda x, key: x[key],
          tuple(Case((s,), {"key": k}) for s, k in _WINDOWS), ("take_at", "place_at", "strided_slice", "place"),
          dtypes=("float32", "int8", "bool", "int64")),
    _copy("slice", lambda x, begin, size: tf.slice(x, begin, size),
          lambda x, begin, size: x[tuple(slice(b, None if n < 0 else b + n) for b, n in zip(begin, size))],
          (case((5, 17), begin=[1, 3], size=[2, -1]), case((6,), begin=[0], size=[6])), ("take_at", "place_at")),
    _copy("strided_slice", lambda x, **key: tf.strided_slice(x, **key),
          lambda x, begin, end, strides, begin_mask=0: x[tuple(
              slice(None if begin_mask >> i & 1 else b, e, h) for i, (b, e, h) in enumerate(zip(begin, end, strides)))],
          (case((9,), begin=[7], end=[1], strides=[-2]), case((5, 6), begin=[1, 0], end=[4, 6], strides=[2, 1]),
           case((5, 6), begin=[1, 3], end=[4, 6], strides=[1, 1], begin_mask=2)),
          ("strided_slice", "place", "take_at", "place_at")),
    _copy("pad", lambda x, paddings, value: tf.pad(x, paddings, constant_values=value),
          lambda x, paddings, value: np.pad(x, paddings, constant_values=value), tuple(
              case(s, paddings=p, value=v) for s, p, v in (((3,), [[1, 2]], 0), ((2, 5), [[0, 0], [3, 1]], 7),
                                                           ((), [], 0), ((0, 2), [[1, 0], [0, 0]], 1),
                                                           ((40, 333), [[1, 1], [5, 7]], 0)) if s),
          dtypes=("float32", "int8", "int64"), covers=("pad",)),
    _copy("pad by mirrors", lambda x, paddings, mode: tf.pad(x, paddings, mode),
          lambda x, paddings, mode: np.pad(x, paddings, mode.lower()), tuple(
              case(s, paddings=p, mode=m) for s, p, m in (((5,), [[2, 3]], "REFLECT"),
                                                          ((3, 4), [[1, 2], [3, 0]], "REFLECT"),
                                                          ((5,), [[5, 2]], "SYMMETRIC"),
                                                          ((3, 4), [[3, 1], [0, 2]], "SYMMETRIC"))),
          ("concat", "strided_slice", "place")),
)

_THREE = tuple(Case(tuple(s), {"axis": a}) for s, a in (
    (((3,), (1,), (17,)), 0), (((2, 3), (5, 3), (1, 3)), 0), (((2, 3), (2, 16), (2, 1)), 1),
    (((2, 3), (0, 3), (1, 3)), -2),
    (((2, 1, 4), (2, 5, 4), (2, 2, 4)), 1), (((3, 2001), (3, 1000), (3, 7)), 1)))
_SAME = tuple(Case((s, s, s), {"axis": a}) for s, a in (((), 0), ((17,), 0), ((17,), 1), ((3, 5), -1), ((0, 2), 1),
                                                     ((2, 3, 4), 2), ((5, 2003), 1)))
_JOINS = (
    _copy("concat", lambda a, b, c, axis: tf.concat([a, b, c], axis),
          lambda a, b, c, axis: np.concatenate([a, b, c], axis),
          _THREE, ("concat", "split"), (*_X, *_X, *_X), SIZES),
    _copy("stack", lambda a, b, c, axis: tf.stack([a, b, c], axis), lambda a, b, c, axis: np.stack([a, b, c], axis),
          _SAME, ("stack", "unstack"), (*_X, *_X, *_X), ("float32", "int16")),
    _copy("split", lambda x, how, axis: tf.split(x, how, axis),
          lambda x, how, axis: np.split(x, how if isinstance(how, int) else np.cumsum(how)[:-1], axis), tuple(
              case(s, how=h, axis=a) for s, h, a in (((6,), 3, 0), ((2, 9), [2, 3, 4], 1), ((4, 5), [0, 4], 0),
                                                     ((4, 6), 2, -1))),
          ("split", "concat"), dtypes=("float32", "uint8")),
    _copy("unstack", lambda x, axis: tf.unstack(x, axis=axis),
          lambda x, axis: [np.take(x, i, axis) for i in range(x.shape[axis])],
          tuple(case(s, axis=a) for s, a in (((3,), 0), ((3, 17), 0), ((3, 5), 1), ((2, 3, 4), -1))),
          ("unstack", "stack")),
    _copy("meshgrid", lambda x, y: tf.meshgrid(x, y), lambda x, y: np.meshgrid(x, y), cases([[(3,), (4,)]]),
          ("broadcast_to", "reshape"), (*_X, *_X)),
)

# -- from a shape
_NONE: tuple = ()
_SHAPES = tuple(Case((), {"to": to}) for to in ((), (0,), (1,), (17,), (3, 5), (100_003,)))
_FILLS = tuple(
    Row(f"fill of {dtype}", lambda to, value=value, dtype=dtype: creation._filled("fill", to, value, dtype),
        lambda to, value=value, dtype=dtype: np.full(to, value).astype(dtype), _NONE, _SHAPES, ("fill",), 0,
        result=dtype)
    for dtype, value in (("float32", 1.5), ("float16", -2.0), ("int8", -7), ("int64", 2**40), ("bool", True),
                         ("float64", 1e300), ("uint8", 255), ("int16", -30_000)))
_MADE = (
    Row("fill with a tensor", lambda x: tf.fill([3, 5], x), lambda x: np.full((3, 5), 1.0) * x, _X, cases([[()]]),
        ("broadcast_to",)),
    Row("zeros", lambda to: tf.zeros(to), lambda to: np.zeros(to), _NONE, _SHAPES, ("fill",), 0),
    Row("ones", lambda to: tf.ones(to, tf.int32), lambda to: np.ones(to), _NONE, _SHAPES, ("fill",), 0, result="int32"),
    Row("zeros_like", lambda x: tf.zeros_like(x), np.zeros_like, _X, cases([[()], [(17,)], [(0, 2)]]), ("full_like",),
        0, dtypes=("float32", "int64")),
    Row("ones_like", lambda x: tf.ones_like(x, tf.int32), np.ones_like, _X, cases([[(3, 4)]]), ("full_like",), 0,
        result="int32"),
    Row("eye", lambda rows, columns: tf.eye(rows, columns), lambda rows, columns: np.eye(rows, columns), _NONE,
        tuple(case(rows=r, columns=c) for r, c in ((1, 1), (3, 5), (17, 4), (0, 2), (300, 301))), order=0),
    Row("eye in batches", lambda: tf.eye(3, batch_shape=[2, 1]), lambda: np.broadcast_to(np.eye(3), (2, 1, 3, 3)),
        _NONE, (case(),), ("eye", "broadcast_to"), 0),
    Row("range", lambda start, stop, step: tf.range(start, stop, step), lambda start, stop, step: np.arange(
        start, stop, step), _NONE, (case(start=0, stop=5, step=1), case(start=9, stop=0, step=-2),
                                    case(start=3, stop=3, step=1)),
        ("fill",), 0, result="int32", symbolic=False),
    Row("linspace", lambda n: tf.linspace(0., 1., n), lambda n: np.linspace(0, 1, n).astype(np.float32), _NONE,
        tuple(case(n=n) for n in (1, 2, 17)), ("fill",), 0, symbolic=False),
    Row("shape, size, rank", lambda x: [tf.shape(x), tf.size(x), tf.rank(x)],
        lambda x: [np.array(x.shape), np.array(x.size), np.array(x.ndim)], _X,
        cases([[()], [(3, 0)], [(2, 3, 4)]]), ("identity",), 0, result="int32", symbolic=False),
    Row("invert_permutation", lambda x: tf.invert_permutation(x), lambda x: np.argsort(x),
        (Input(ints=lambda rng, shape, d: rng.permutation(shape[0])),), cases([[(1,)], [(17,)]]), ("identity",), 0,
        dtypes=("int32",), symbolic=False),
    Row("decode_raw", lambda data: tf.decode_raw(data, tf.int16), lambda data: np.frombuffer(data, "<i2"), _NONE,
        (case(data=b"\x01\x00\xff\xff"), case(data=b"")), ("identity",), 0, result="int16", symbolic=False),
    Row("unique", lambda x: tf.unique(x), lambda x: _unique(x), (Input(ints=integers(0, 5)),),
        cases([[(0,)], [(1,)], [(30,)]]), order=0, dtypes=("int32",), symbolic=False, result=("", "int32")),
    Row("where_indices", lambda x: tf.where(x > 0), lambda x: np.argwhere(x > 0), _X,
        cases([[(17,)], [(3, 5)], [(0, 2)]]),
        ("where_indices", "greater"), 0, result="int64", symbolic=False),
    Row("boolean_mask", lambda x, m: tf.boolean_mask(x, m), lambda x, m: x[m],
        (Input(), Input(ints=lambda rng, s, d: rng.random(s) < 0.5, dtype="bool")),
        cases([[(7,), (7,)], [(7, 3), (7,)], [(4, 5), (4, 5)]]),
        ("gather",), symbolic=False),
)


def _unique(x: Any) -> list:
    values, first, inverse = np.unique(x, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return [values[order], np.argsort(order)[inverse.ravel()]]


ROWS = (*_VIEWS, *_COPIES, *_REGIONS, *_JOINS, *_FILLS, *_MADE)
