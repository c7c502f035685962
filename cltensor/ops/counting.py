"""Counts and partitions by value: confusion_matrix, bincount, histograms, dynamic_partition and dynamic_stitch."""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.base.dtypes import as_dtype, float32, int32
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.tensor import convert, static_value
from cltensor.ops.array import reshape
from cltensor.ops.creation import fill
from cltensor.ops.gather import gather, scatter_nd, unsorted_segment_sum
from cltensor.ops.join import concat, stack
from cltensor.ops.math import cast, clip_by_value
from cltensor.ops.reduce import reduce_max
from cltensor.ops.sized import sized

__all__ = ["confusion_matrix", "bincount", "histogram_fixed_width", "dynamic_partition", "dynamic_stitch"]


def _whole(op: str, name: str, value: Any) -> Any:
    t = convert(value)
    if not t.dtype.is_integer:
        raise DTypeError(f"{op}: {name} must be integers, they have dtype {t.dtype.name}")
    return cast(reshape(t, (-1,)), int32)


@sized
def confusion_matrix(labels: Any, predictions: Any, num_classes: Any = None, dtype: Any = int32,
                     name: str | None = None, weights: Any = None) -> Any:
    """How often each label (row) was predicted as each class (column).

    Args:
        labels, predictions: integers of one shape, in [0, num_classes).
        num_classes: size of the square matrix; without it the largest number plus one, which reads the device.
        weights: counts for each pair, 1 without.

    Raises: InvalidArgumentError where the shapes differ or a number is out of range (at the next read of a value).

    Example:
        >>> import cltensor as tf
        >>> tf.confusion_matrix([1, 0], [1, 1]).numpy().tolist()
        [[0, 1], [0, 1]]
    """
    rows, columns = _whole("confusion_matrix", "labels", labels), _whole("confusion_matrix", "predictions", predictions)
    if rows.spec.shape != columns.spec.shape:
        raise InvalidArgumentError(f"confusion_matrix: there are {rows.spec.size} labels and {columns.spec.size} "
                                   "predictions")
    if num_classes is None:
        n = int(static_value(reduce_max(concat([rows, columns, fill((1,), -1)], 0)))) + 1
    else:
        n = int(static_value(num_classes))
    kind = as_dtype(dtype)
    ones = fill((rows.spec.size,), np.asarray(1, kind.np)[()]) if weights is None else \
        cast(reshape(convert(weights), (-1,)), kind)
    return scatter_nd(stack([rows, columns], 1), ones, (n, n))


@sized
def bincount(arr: Any, weights: Any = None, minlength: Any = None, maxlength: Any = None, dtype: Any = int32,
             name: str | None = None) -> Any:
    """How often each number 0, 1, ... occurs. The size of the result depends on the values: the device is read.

    Args:
        arr: integers of 0 or more, any shape.
        weights: summed in place of ones; the result has their dtype.
        minlength, maxlength: bounds of the result's size; numbers at or above maxlength are left out.

    Example:
        >>> import cltensor as tf
        >>> tf.bincount([1, 3, 1]).numpy().tolist()
        [0, 2, 0, 1]
    """
    values = np.asarray(static_value(_whole("bincount", "arr", arr)))
    if values.size and values.min() < 0:
        raise InvalidArgumentError(f"bincount: arr must not be negative, it holds {values.min()}")
    n = max(int(values.max()) + 1 if values.size else 0, int(static_value(minlength or 0)))
    n = min(n, int(static_value(maxlength))) if maxlength is not None else n
    weighed = convert(weights) if weights is not None else fill((values.size,), np.asarray(1, as_dtype(dtype).np)[()])
    keep = np.flatnonzero(values < n)
    return unsorted_segment_sum(gather(reshape(weighed, (-1,)), keep), values[keep], n)


@sized
def histogram_fixed_width(values: Any, value_range: Any, nbins: Any = 100, dtype: Any = int32,
                          name: str | None = None) -> Any:
    """Counts in nbins bins of equal width over [low, high]; values outside count in the first and last bin.

    Raises: InvalidArgumentError where value_range is not [low, high] with low < high.

    Example:
        >>> import cltensor as tf
        >>> tf.histogram_fixed_width([-1., 0., 1.5, 2., 5., 15.], [0., 5.], nbins=5).numpy().tolist()
        [2, 1, 1, 0, 2]
    """
    low, high = (float(v) for v in static_value(value_range))
    n = int(static_value(nbins))
    if not low < high or n < 1:
        raise InvalidArgumentError(f"histogram_fixed_width: needs low < high and nbins of 1 or more; value_range is "
                                   f"[{low}, {high}], nbins {n}")
    x = reshape(convert(values), (-1,))
    x = x if x.dtype.is_floating else cast(x, float32)
    bins = cast(clip_by_value((x - low) / (high - low) * n, 0.0, float(n - 1)), int32)
    return unsorted_segment_sum(fill((x.spec.size,), np.asarray(1, as_dtype(dtype).np)[()]), bins, n)


@sized
def dynamic_partition(data: Any, partitions: Any, num_partitions: int, name: str | None = None) -> list:
    """The slices of data in num_partitions tensors, by number; the order within each is kept. Reads the device.

    Args:
        data: its first dimensions are those of partitions.
        partitions: integers in [0, num_partitions).

    Raises: InvalidArgumentError for a number outside, or shapes that do not fit.

    Example:
        >>> import cltensor as tf
        >>> [p.numpy().tolist() for p in tf.dynamic_partition([7, 8, 9], [1, 0, 1], 2)]
        [[8], [7, 9]]
    """
    data, where = convert(data), np.asarray(static_value(partitions))
    if data.spec.shape[:where.ndim] != where.shape:
        raise InvalidArgumentError(f"dynamic_partition: partitions has shape {show(where.shape)}, data "
                                   f"{show(data.spec.shape)}: its first dimensions must be those of partitions")
    if where.size and not 0 <= where.min() <= where.max() < num_partitions:
        raise InvalidArgumentError(f"dynamic_partition: partitions must be in [0, {num_partitions}), they reach from "
                                   f"{where.min()} to {where.max()}")
    rows = reshape(data, (where.size, *data.spec.shape[where.ndim:]))
    return [gather(rows, np.flatnonzero(where == i)) for i in range(num_partitions)]


@sized
def dynamic_stitch(indices: Any, data: Any, name: str | None = None) -> Any:
    """The inverse of dynamic_partition: out[indices[m][i]] = data[m][i]; of equal indices the last counts.

    Raises: InvalidArgumentError where an index below the largest is missing, or shapes do not fit.

    Example:
        >>> import cltensor as tf
        >>> tf.dynamic_stitch([[1], [0, 2]], [[8], [7, 9]]).numpy().tolist()
        [7, 8, 9]
    """
    places = [np.asarray(static_value(i)) for i in indices]
    parts = [convert(d) for d in data]
    if len(places) != len(parts) or any(p.spec.shape[:i.ndim] != i.shape for i, p in zip(places, parts)):
        raise InvalidArgumentError("dynamic_stitch: each entry of data must begin with the dimensions of its indices; "
                                   f"they are {[show(p.spec.shape) for p in parts]} and "
                                   f"{[show(i.shape) for i in places]}")
    flat = np.concatenate([i.reshape(-1) for i in places]) if places else np.zeros(0, np.int64)
    rows = concat([reshape(p, (i.size, *p.spec.shape[i.ndim:])) for i, p in zip(places, parts)], 0)
    source = np.full(int(flat.max()) + 1 if flat.size else 0, -1, np.int64)
    source[flat] = np.arange(flat.size)
    if source.size and source.min() < 0:
        raise InvalidArgumentError(f"dynamic_stitch: no indices name row {int(np.argmin(source))} of the result")
    return gather(rows, source)
