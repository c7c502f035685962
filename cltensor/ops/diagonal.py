"""Diagonals and bands of matrices, and other rearrangements made of copies and one comparison.

All are built from ops below, so they run on the device, fuse, and have gradients of any order.
"""

from __future__ import annotations

from math import prod
from typing import Any

from cltensor.base.dtypes import as_dtype, bool_, int32
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import normalize_axis, show
from cltensor.core.tensor import convert, static_value
from cltensor.ops.array import broadcast_to, expand_dims, reshape, transpose
from cltensor.ops.creation import range as _range
from cltensor.ops.creation import zeros
from cltensor.ops.gather import gather
from cltensor.ops.join import concat
from cltensor.ops.math import cast, greater_equal, less, less_equal, logical_and
from cltensor.ops.reduce import reduce_max, reduce_sum
from cltensor.ops.sized import sized
from cltensor.ops.slicing import slice as _slice
from cltensor.ops.slicing import strided_slice
from cltensor.ops.where import where

__all__ = ["diag", "diag_part", "matrix_diag", "matrix_diag_part", "matrix_set_diag", "matrix_band_part", "trace",
           "roll", "repeat", "sequence_mask", "reverse_sequence", "space_to_depth", "depth_to_space"]


def _matrices(op: str, x: Any) -> Any:
    x = convert(x)
    if x.spec.rank is None or x.spec.rank < 2 or None in x.spec.shape[-2:]:
        raise InvalidArgumentError(f"{op}: input must hold matrices of known size, it has shape {show(x.spec.shape)}")
    return x


def _offsets(m: int, n: int) -> Any:
    """Column minus row for each place of an m x n matrix."""
    return _range(n) - reshape(_range(m), (m, 1))


@sized
def matrix_diag_part(input: Any, name: str | None = None) -> Any:
    """The main diagonal of each matrix: [..., m, n] to [..., min(m, n)].

    Raises: InvalidArgumentError for a rank below 2.

    Example:
        >>> import cltensor as tf
        >>> tf.matrix_diag_part([[1, 2, 3], [4, 5, 6]]).numpy().tolist()
        [1, 5]
    """
    x = _matrices("matrix_diag_part", input)
    *batch, m, n = x.spec.shape
    k = min(m, n)
    square = x if m == n == k else _slice(x, [0] * (len(batch) + 2), [*batch, k, k])
    flat = reshape(square, (*batch, k * k))
    return strided_slice(flat, [0] * len(batch) + [0], [*batch, k * k], [1] * len(batch) + [k + 1]) if k else flat


@sized
def matrix_diag(diagonal: Any, name: str | None = None) -> Any:
    """Matrices with these main diagonals and zeros elsewhere: [..., n] to [..., n, n].

    Raises: InvalidArgumentError for a scalar.

    Example:
        >>> import cltensor as tf
        >>> tf.matrix_diag([1, 2]).numpy().tolist()
        [[1, 0], [0, 2]]
    """
    d = convert(diagonal)
    if not d.spec.rank:
        raise InvalidArgumentError(f"matrix_diag: diagonal must have rank 1 or more, it has shape {show(d.spec.shape)}")
    *batch, n = d.spec.shape
    # n values, each followed by n zeros, are the rows of the matrix: the last n zeros are too many
    spaced = concat([expand_dims(d, -1), zeros((*batch, n, n), d.dtype)], -1)
    flat = reshape(spaced, (*batch, n * (n + 1)))
    return reshape(_slice(flat, [0] * len(batch) + [0], [*batch, n * n]), (*batch, n, n))


@sized
def matrix_set_diag(input: Any, diagonal: Any, name: str | None = None) -> Any:
    """The matrices with their main diagonals replaced.

    Raises: InvalidArgumentError where the diagonal's shape is not [..., min(m, n)].

    Example:
        >>> import cltensor as tf
        >>> tf.matrix_set_diag([[1, 2], [3, 4]], [7, 8]).numpy().tolist()
        [[7, 2], [3, 8]]
    """
    x = _matrices("matrix_set_diag", input)
    d = convert(diagonal, x.dtype)
    *batch, m, n = x.spec.shape
    k = min(m, n)
    if d.spec.shape != (*batch, k):
        raise InvalidArgumentError(f"matrix_set_diag: diagonal must have shape {show((*batch, k))}, it has shape "
                                   f"{show(d.spec.shape)}; input has shape {show(x.spec.shape)}")
    wide = concat([d, zeros((*batch, n - k), d.dtype)], -1) if n > k else d     # its places in each column
    return where(broadcast_to(_offsets(m, n) == 0, x.spec.shape), broadcast_to(expand_dims(wide, -2), x.spec.shape), x)


@sized
def diag(diagonal: Any, name: str | None = None) -> Any:
    """A tensor of twice the rank with the values on its diagonal: out[i, ..., i, ...] = diagonal[i, ...].

    Example:
        >>> import cltensor as tf
        >>> tf.diag([1, 2]).numpy().tolist()
        [[1, 0], [0, 2]]
    """
    d = convert(diagonal)
    return reshape(matrix_diag(reshape(d, (d.spec.size,))), (*d.spec.shape, *d.spec.shape))


@sized
def diag_part(input: Any, name: str | None = None) -> Any:
    """The inverse of diag: out[i, ...] = input[i, ..., i, ...].

    Raises: InvalidArgumentError where the first half of the dimensions differs from the second.

    Example:
        >>> import cltensor as tf
        >>> tf.diag_part([[1, 2], [3, 4]]).numpy().tolist()
        [1, 4]
    """
    x = convert(input)
    half = (x.spec.rank or 0) // 2
    dims = x.spec.shape[:half]
    if not half or x.spec.shape != dims * 2:
        raise InvalidArgumentError(f"diag_part: input has shape {show(x.spec.shape)}, its dimensions must be some "
                                   "dimensions twice")
    n = prod(dims)
    return reshape(matrix_diag_part(reshape(x, (n, n))), dims)


@sized
def trace(x: Any, name: str | None = None) -> Any:
    """Sum of the main diagonal of each matrix.

    Example:
        >>> import cltensor as tf
        >>> tf.trace([[1, 2], [3, 4]]).numpy().item()
        5
    """
    return reduce_sum(matrix_diag_part(_matrices("trace", x)), -1)


@sized
def matrix_band_part(input: Any, num_lower: Any, num_upper: Any, name: str | None = None) -> Any:
    """The matrices with zeros outside a band around the main diagonal.

    Args:
        input: [..., m, n].
        num_lower, num_upper: diagonals kept below and above the main one; negative: all of them.

    Example:
        >>> import cltensor as tf
        >>> tf.matrix_band_part([[1, 2], [3, 4]], -1, 0).numpy().tolist()
        [[1, 0], [3, 4]]
    """
    x = _matrices("matrix_band_part", input)
    m, n = x.spec.shape[-2:]
    low, high = int(static_value(num_lower)), int(static_value(num_upper))
    offsets = _offsets(m, n)
    inside = logical_and(greater_equal(offsets, -low if low >= 0 else -m),
                         less_equal(offsets, high if high >= 0 else n))
    return where(broadcast_to(inside, x.spec.shape), x, zeros(x.spec.shape, x.dtype))


@sized
def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Any:
    """The elements moved along axes, those pushed out coming back at the other end.

    Args:
        shift: integer, or one per axis; positive moves towards larger indices.
        axis: integer, or several.

    Raises: InvalidArgumentError where shift and axis differ in number.

    Example:
        >>> import cltensor as tf
        >>> tf.roll([0, 1, 2, 3], 1, 0).numpy().tolist()
        [3, 0, 1, 2]
    """
    x = convert(input)
    shifts, axes = _integers(shift), _integers(axis)
    if len(shifts) != len(axes):
        raise InvalidArgumentError(f"roll: there are {len(shifts)} shifts and {len(axes)} axes")
    for s, a in zip(shifts, axes):
        at = normalize_axis("roll", a, x.spec.rank)
        n = x.spec.shape[at]
        if n != 0 and s % n:            # an open size raises here: the call is for the runs
            begin, rest = [0] * x.spec.rank, list(x.spec.shape)
            begin[at] = n - s % n
            rest[at] = s % n
            first = list(x.spec.shape)
            first[at] = n - s % n
            x = concat([_slice(x, begin, rest), _slice(x, [0] * x.spec.rank, first)], at)
    return x


def _integers(value: Any) -> list:
    return [int(v) for v in static_value(value).reshape(-1)]


@sized
def repeat(input: Any, repeats: Any, axis: Any = None, name: str | None = None) -> Any:
    """Each element several times in a row along an axis (of the flattened tensor without one).

    Args:
        repeats: integer, or one per element of the axis.

    Raises: InvalidArgumentError for negative counts or a wrong number of them.

    Example:
        >>> import cltensor as tf
        >>> tf.repeat([1, 2], [1, 3]).numpy().tolist()
        [1, 2, 2, 2]
    """
    x = convert(input)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    at = normalize_axis("repeat", int(axis), x.spec.rank)
    n, counts = x.spec.shape[at], _integers(repeats)
    counts = counts * n if len(counts) == 1 else counts
    if len(counts) != n or any(c < 0 for c in counts):
        raise InvalidArgumentError(f"repeat: repeats must be {n} counts of 0 or more (or one for all), it is "
                                   f"{counts!r:.60}")
    return gather(x, [i for i, c in enumerate(counts) for _ in range(c)] or zeros((0,), int32), axis=at)


@sized
def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = bool_, name: str | None = None) -> Any:
    """True for the first lengths[i] of maxlen places: shape lengths.shape + [maxlen].

    Args:
        lengths: integers of any shape.
        maxlen: number of places; without it the largest length, which reads the device.
        dtype: bool, or the dtype of ones and zeros.

    Raises: DTypeError for lengths that are no integers.

    Example:
        >>> import cltensor as tf
        >>> tf.sequence_mask([1, 3], 3, tf.int32).numpy().tolist()
        [[1, 0, 0], [1, 1, 1]]
    """
    counts = convert(lengths)
    if not counts.dtype.is_integer:
        raise DTypeError(f"sequence_mask: lengths must be integers, they have dtype {counts.dtype.name}")
    n = int(static_value(maxlen if maxlen is not None else reduce_max(counts)))
    mask = less(cast(_range(n), counts.dtype), expand_dims(counts, -1))
    return mask if as_dtype(dtype) is bool_ else cast(mask, dtype)


@sized
def reverse_sequence(input: Any, seq_lengths: Any, seq_axis: Any = None, batch_axis: Any = None,
                     name: str | None = None, seq_dim: Any = None, batch_dim: Any = None) -> Any:
    """The first seq_lengths[b] slices along seq_axis in reverse order, for each entry b of the batch.

    Args:
        seq_lengths: integers, one per entry of batch_axis (default 0), at most the size of seq_axis.

    Raises: InvalidArgumentError where the number of lengths differs from the batch, or the axes are equal.

    Example:
        >>> import cltensor as tf
        >>> tf.reverse_sequence([[1, 2, 3], [4, 5, 6]], [2, 3], seq_axis=1).numpy().tolist()
        [[2, 1, 3], [6, 5, 4]]
    """
    x, lengths = convert(input), cast(convert(seq_lengths), int32)
    along = normalize_axis("reverse_sequence", seq_dim if seq_axis is None else seq_axis, x.spec.rank)
    batch = normalize_axis("reverse_sequence", (batch_dim or 0) if batch_axis is None else batch_axis, x.spec.rank)
    if along == batch or lengths.spec.shape != (x.spec.shape[batch],):
        raise InvalidArgumentError(f"reverse_sequence: seq_lengths has shape {show(lengths.spec.shape)}; it needs one "
                                   f"length per entry of axis {batch} of input, which has shape {show(x.spec.shape)}, "
                                   f"and another seq_axis than {batch}, it is {along}")
    perm = [batch, along, *(i for i in range(x.spec.rank) if i not in (batch, along))]
    front = transpose(x, perm)
    b, n, *rest = front.spec.shape
    at, count = _range(n), reshape(lengths, (b, 1))
    source = where(less(at, count), count - 1 - at, broadcast_to(at, (b, n)))
    rows = gather(reshape(front, (b * n, *rest)), reshape(source + reshape(_range(b), (b, 1)) * n, (b * n,)))
    return transpose(reshape(rows, front.spec.shape), [perm.index(i) for i in range(x.spec.rank)])


def _blocks(op: str, x: Any, block_size: Any, data_format: str) -> tuple:
    x, s = convert(x), int(block_size)
    if x.spec.rank != 4 or s < 1 or data_format not in ("NHWC", "NCHW"):
        raise InvalidArgumentError(f"{op}: input must have rank 4, block_size be 1 or more and data_format NHWC or "
                                   f"NCHW; they are {show(x.spec.shape)}, {s} and {data_format!r}")
    return (x if data_format == "NHWC" else transpose(x, (0, 2, 3, 1))), s


@sized
def space_to_depth(input: Any, block_size: Any, name: str | None = None, data_format: str = "NHWC") -> Any:
    """Blocks of pixels become channels: [b, h, w, c] to [b, h / s, w / s, c * s * s].

    Raises: InvalidArgumentError where s does not divide h and w.

    Example:
        >>> import cltensor as tf
        >>> tf.space_to_depth([[[[1], [2]], [[3], [4]]]], 2).numpy().tolist()
        [[[[1, 2, 3, 4]]]]
    """
    x, s = _blocks("space_to_depth", input, block_size, data_format)
    b, h, w, c = x.spec.shape
    if h % s or w % s:
        raise InvalidArgumentError(f"space_to_depth: block_size {s} does not divide height {h} and width {w}")
    parts = transpose(reshape(x, (b, h // s, s, w // s, s, c)), (0, 1, 3, 2, 4, 5))
    out = reshape(parts, (b, h // s, w // s, s * s * c))
    return out if data_format == "NHWC" else transpose(out, (0, 3, 1, 2))


@sized
def depth_to_space(input: Any, block_size: Any, name: str | None = None, data_format: str = "NHWC") -> Any:
    """Channels become blocks of pixels, the inverse of space_to_depth.

    Raises: InvalidArgumentError where the square of block_size does not divide the channels.

    Example:
        >>> import cltensor as tf
        >>> tf.depth_to_space([[[[1, 2, 3, 4]]]], 2).numpy().tolist()
        [[[[1], [2]], [[3], [4]]]]
    """
    x, s = _blocks("depth_to_space", input, block_size, data_format)
    b, h, w, c = x.spec.shape
    if c % (s * s):
        raise InvalidArgumentError(f"depth_to_space: the square of block_size {s} does not divide {c} channels")
    parts = transpose(reshape(x, (b, h, w, s, s, c // (s * s))), (0, 1, 3, 2, 4, 5))
    out = reshape(parts, (b, h * s, w * s, c // (s * s)))
    return out if data_format == "NHWC" else transpose(out, (0, 3, 1, 2))
