"""Choosing and coding by value: one_hot, where(condition), boolean_mask, unique, and bytes to numbers.

Where the shape of the result depends on data, the host computes it: these ops wait for the device.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from cltensor.base import shapes
from cltensor.base.dtypes import DType, as_dtype, bool_, float32, int32, int64, uint8
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, from_numpy, static_value, to_array
from cltensor.kernels.indexed import one_hot_launch
from cltensor.kernels.plan import Plan
from cltensor.ops.array import broadcast_to, reshape
from cltensor.ops.gather import gather
from cltensor.ops.join import stack
from cltensor.ops.sized import sized

__all__ = ["one_hot", "where_indices", "boolean_mask", "unique", "invert_permutation", "meshgrid", "decode_raw"]


def _one_hot_infer(indices: Spec, depth: int, on: int, off: int, axis: int, dtype: DType) -> Spec:
    if indices.dtype not in (uint8, int32, int64):
        raise DTypeError(f"one_hot: indices must be uint8, int32 or int64, they have dtype {indices.dtype.name}")
    at = shapes.normalize_axis("one_hot", axis, indices.rank + 1)
    return Spec(indices.shape[:at] + (depth,) + indices.shape[at:], dtype)


def _one_hot_lower(ins: tuple, outs: tuple, target: Any, depth: int, on: int, off: int, axis: int,
                   dtype: DType) -> Plan:
    dims = ins[0].shape
    at = axis % (len(dims) + 1)
    return Plan((one_hot_launch(target, dtype.size, ins[0].dtype, prod(dims[:at]), depth, prod(dims[at:]), on, off),))


ONE_HOT = OpDef("one_hot", ("indices",), _one_hot_infer, lower=_one_hot_lower, vjps=(None,))


def _bits(value: Any, dtype: DType) -> int:
    return int(np.asarray(value, dtype.np).view(f"u{dtype.size}"))


@sized
def one_hot(indices: Any, depth: Any, on_value: Any = None, off_value: Any = None, axis: Any = None,
            dtype: Any = None, name: str | None = None) -> Any:
    """`on_value` at each index along a new dimension of size `depth`, `off_value` elsewhere.

    Args:
        indices: uint8, int32 or int64 of any shape; one outside [0, depth) gives a row of off_value.
        depth: size of the new dimension.
        on_value, off_value: scalars, 1 and 0 without.
        axis: place of the new dimension, the last without.
        dtype: dtype of the result; else that of on_value or off_value, else float32.

    Raises: DTypeError for other indices, InvalidArgumentError for a negative depth or an axis outside.

    Example:
        >>> import cltensor as tf
        >>> tf.one_hot([2, 0], 3).numpy().tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    count = int(static_value(depth))
    if count < 0:
        raise InvalidArgumentError(f"one_hot: depth = {count}, it must not be negative")
    given = on_value if on_value is not None else off_value
    kind = as_dtype(dtype) if dtype is not None else float32 if given is None else convert(given).dtype
    on = 1 if on_value is None else static_value(on_value)
    off = 0 if off_value is None else static_value(off_value)
    attrs = (("depth", count), ("on", _bits(on, kind)), ("off", _bits(off, kind)),
             ("axis", -1 if axis is None else int(static_value(axis))), ("dtype", kind))
    return execute(ONE_HOT, (indices,), attrs)


def _where_run(condition: Tensor) -> Tensor:
    return from_numpy(np.argwhere(to_array(condition)).astype(np.int64))


WHERE_INDICES = OpDef("where_indices", ("condition",), lambda c: Spec((None, c.rank), int64), run=_where_run)


def where_indices(condition: Any, name: str | None = None) -> Any:
    """The indices of the true elements, as rows of an int64 tensor of shape (count, rank): tf.where(condition).

    Waits for the device, as the shape depends on the value.

    Example:
        >>> import cltensor as tf
        >>> tf.where([[True, False], [False, True]]).numpy().tolist()
        [[0, 0], [1, 1]]
    """
    return execute(WHERE_INDICES, (condition,))


@sized
def boolean_mask(tensor: Any, mask: Any, name: str = "boolean_mask", axis: Any = None) -> Any:
    """The slices of `tensor` where `mask` is true, along the dimensions from `axis` on that the mask covers.

    Args:
        tensor: any dtype.
        mask: boolean, rank at least 1, its shape that of the tensor's dimensions from axis (0) on.

    Returns: tensor of shape tensor.shape[:axis] + (count,) + tensor.shape[axis + mask rank:].
    Raises: DTypeError for a mask that is not boolean, InvalidArgumentError when shapes do not fit.

    Example:
        >>> import cltensor as tf
        >>> tf.boolean_mask([1, 2, 3], [True, False, True]).numpy().tolist()
        [1, 3]
    """
    tensor, flags = convert(tensor), np.asarray(static_value(mask))
    if flags.dtype != np.bool_:
        raise DTypeError(f"boolean_mask: mask must be boolean, it has dtype {flags.dtype}")
    dims = tensor.spec.shape
    at = 0 if axis is None else shapes.normalize_axis("boolean_mask", int(static_value(axis)), len(dims))
    if flags.ndim == 0 or dims[at:at + flags.ndim] != flags.shape:
        raise InvalidArgumentError(f"boolean_mask: mask of shape {show(flags.shape)} does not fit the dimensions of "
                                   f"tensor from {at} on: tensor has shape {show(dims)}")
    merged = reshape(tensor, (*dims[:at], flags.size, *dims[at + flags.ndim:]))
    return gather(merged, np.flatnonzero(flags), axis=at)


def _unique_run(x: Tensor, out_idx: DType) -> tuple:
    values, first, inverse = np.unique(to_array(x), return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return from_numpy(values[order]), from_numpy(rank[inverse.reshape(-1)].astype(out_idx.np))


def _unique_infer(x: Spec, out_idx: DType) -> tuple:
    if x.rank != 1:
        raise InvalidArgumentError(f"unique: x must be 1-D, it has shape {show(x.shape)}")
    return Spec((None,), x.dtype), Spec(x.shape, out_idx)


UNIQUE = OpDef("unique", ("x",), _unique_infer, run=_unique_run, outputs=2)


def unique(x: Any, out_idx: Any = int32, name: str | None = None) -> tuple:
    """The distinct values of a 1-D tensor in order of first appearance, and each element's number among them.

    Raises: InvalidArgumentError when x is not 1-D.

    Example:
        >>> import cltensor as tf
        >>> y, idx = tf.unique([7, 3, 7])
        >>> y.numpy().tolist(), idx.numpy().tolist()
        ([7, 3], [0, 1, 0])
    """
    x = convert(x)
    _unique_infer(x.spec, int32)
    return execute(UNIQUE, (x,), (("out_idx", as_dtype(out_idx)),))


@sized
def invert_permutation(x: Any, name: str | None = None) -> Any:
    """The permutation y with y[x[i]] = i; on the host.

    Raises: InvalidArgumentError when x is not a permutation of range(n).

    Example:
        >>> import cltensor as tf
        >>> tf.invert_permutation([2, 0, 1]).numpy().tolist()
        [1, 2, 0]
    """
    p = np.asarray(static_value(convert(x)))
    if p.ndim != 1 or p.dtype.kind not in "iu" or not np.array_equal(np.sort(p), np.arange(p.size)):
        raise InvalidArgumentError(f"invert_permutation: x is not a permutation of range({p.size}): {p.tolist()!r:.60}")
    back = np.empty_like(p)
    back[p] = np.arange(p.size)
    return from_numpy(back)


@sized
def meshgrid(*args: Any, indexing: str = "xy", name: str | None = None) -> list:
    """One grid of coordinates per 1-D argument; "xy" swaps the first two dimensions, "ij" does not.

    Raises: InvalidArgumentError for another `indexing`, or an argument that is not 1-D.

    Example:
        >>> import cltensor as tf
        >>> [g.numpy().tolist() for g in tf.meshgrid([1, 2], [3])]
        [[[1, 2]], [[3, 3]]]
    """
    if indexing not in ("xy", "ij"):
        raise InvalidArgumentError(f"meshgrid: indexing {indexing!r} is not one of xy, ij")
    axes = [convert(a) for a in args]
    for i, a in enumerate(axes):
        if a.spec.rank > 1:
            raise InvalidArgumentError(f"meshgrid: argument {i} has shape {show(a.spec.shape)}, it must be 1-D")
    order = list(range(len(axes)))
    if indexing == "xy" and len(axes) > 1:
        order[:2] = [1, 0]
    full = tuple(axes[i].spec.size for i in order)
    return [broadcast_to(reshape(a, tuple(a.spec.size if i == j else 1 for j in order)), full)
            for i, a in enumerate(axes)]


def decode_raw(bytes: Any, out_type: Any, little_endian: bool = True, name: str | None = None) -> Any:
    """Bytes reinterpreted as numbers of `out_type`.

    Args:
        bytes: a bytes object, or a list of them of one length.
        out_type: dtype of the numbers.
        little_endian: byte order of the data.

    Returns: 1-D tensor of len / size numbers; for a list, one row each.
    Raises: InvalidArgumentError when a length is no multiple of the size, or lengths differ.

    Example:
        >>> import cltensor as tf
        >>> tf.decode_raw(b"\\x01\\x00\\x02\\x00", tf.int16).numpy().tolist()
        [1, 2]
    """
    kind = as_dtype(out_type)
    if isinstance(bytes, (list, tuple, np.ndarray)):
        rows = [decode_raw(b, kind, little_endian) for b in bytes]
        if len({r.spec.shape for r in rows}) > 1:
            raise InvalidArgumentError("decode_raw: the byte strings differ in length")
        return stack(rows) if rows else from_numpy(np.zeros((0, 0), kind.np))
    try:
        data = memoryview(bytes).cast("B")
    except TypeError:
        raise DTypeError(f"decode_raw: bytes must be a bytes object, it is a {type(bytes).__name__}") from None
    if len(data) % kind.size:
        raise InvalidArgumentError(f"decode_raw: {len(data)} bytes are not a multiple of {kind.size}, the size of "
                                   f"{kind.name}")
    if kind is bool_:
        return from_numpy(np.frombuffer(data, np.uint8) != 0)
    return from_numpy(np.frombuffer(data, kind.np.newbyteorder("<" if little_endian else ">")).astype(kind.np))
