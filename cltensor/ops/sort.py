"""Order along one axis: argsort, sort, top_k, in_top_k. Positions come from a kernel, values from a gather."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from cltensor.base.dtypes import int32
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import normalize_axis, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import convert, static_value
from cltensor.kernels.plan import Plan
from cltensor.kernels.sorting import FEW, lower_argsort, lower_first
from cltensor.ops.array import expand_dims, reshape, transpose
from cltensor.ops.creation import range as _range
from cltensor.ops.gather import gather
from cltensor.ops.math import cast, greater, is_finite, less, logical_and
from cltensor.ops.reduce import reduce_sum
from cltensor.ops.sized import sized
from cltensor.ops.slicing import slice as _slice

__all__ = ["argsort", "sort", "top_k", "in_top_k"]


def _argsort_infer(x: Spec, descending: bool, count: int | None = None) -> Spec:
    if x.shape is not None and not x.shape:
        raise InvalidArgumentError("argsort: values must have rank 1 or more, they are a scalar")
    if x.shape is not None and (x.shape[-1] or 0) >= 2**31:
        raise InvalidArgumentError(f"argsort: {x.shape[-1]} values along the axis; their positions must fit int32")
    return Spec(x.shape if count is None or x.shape is None else (*x.shape[:-1], count), int32)


def _argsort_lower(ins: tuple, outs: tuple, target: Any, descending: bool, count: int | None = None) -> Plan:
    if count is not None:
        return lower_first(ins, outs, target, descending, count)
    return lower_argsort(ins, outs, target, descending)


ARGSORT = OpDef("argsort", ("values",), _argsort_infer, lower=_argsort_lower, vjps=(None,))


def _descending(op: str, direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise InvalidArgumentError(f"{op}: direction must be 'ASCENDING' or 'DESCENDING', it is {direction!r}")
    return direction == "DESCENDING"


def _last(op: str, values: Any, axis: Any) -> tuple:
    """The tensor with the axis as its last dimension, and the permutation back (None where it was)."""
    x = convert(values)
    if x.spec.shape == ():
        raise InvalidArgumentError(f"{op}: values must have rank 1 or more, they are a scalar")
    at = normalize_axis(op, int(static_value(axis)), x.spec.rank)
    if at == x.spec.rank - 1:
        return x, None
    perm = [i for i in range(x.spec.rank) if i != at] + [at]
    return transpose(x, perm), [perm.index(i) for i in range(x.spec.rank)]


def _picked(x: Any, order: Any) -> Any:
    """x[..., order[..., i]]: rows of one flat gather, so that gradients flow back to their places."""
    *lead, n = x.spec.shape
    rows = prod(lead)
    k = order.spec.shape[-1]
    flat = reshape(order, (rows, k)) + reshape(_range(rows) * n, (rows, 1))
    return reshape(gather(reshape(x, (rows * n,)), reshape(flat, (rows * k,))), (*lead, k))


@sized
def argsort(values: Any, axis: Any = -1, direction: str = "ASCENDING", stable: bool = True,
            name: str | None = None) -> Any:
    """Positions that put values in order along an axis; equal values keep their order.

    Args:
        values: any dtype, rank at least 1. nan counts as larger than infinity.
        direction: "ASCENDING" or "DESCENDING".

    Returns: int32 tensor of the shape of values; not differentiable.
    Raises: InvalidArgumentError for a scalar, an axis out of range or another direction.

    Example:
        >>> import cltensor as tf
        >>> tf.argsort([3., 1., 2.]).numpy().tolist()
        [1, 2, 0]
    """
    descending = _descending("argsort", direction)
    x, back = _last("argsort", values, axis)
    order = execute(ARGSORT, (x,), (("descending", descending),))
    return order if back is None else transpose(order, back)


@sized
def sort(values: Any, axis: Any = -1, direction: str = "ASCENDING", name: str | None = None) -> Any:
    """Values in order along an axis.

    Args, and errors are those of `argsort`; gradients flow to the places the values came from.

    Example:
        >>> import cltensor as tf
        >>> tf.sort([3., 1., 2.], direction="DESCENDING").numpy().tolist()
        [3.0, 2.0, 1.0]
    """
    descending = _descending("sort", direction)
    x, back = _last("sort", values, axis)
    out = _picked(x, execute(ARGSORT, (x,), (("descending", descending),)))
    return out if back is None else transpose(out, back)


class TopK(NamedTuple):
    """The largest values and where they are."""

    values: Any
    indices: Any


@sized
def top_k(input: Any, k: Any = 1, sorted: bool = True, name: str | None = None) -> TopK:
    """The k largest values of each row (the last dimension) in descending order, and their positions.

    Of equal values the one that comes first is first.

    Returns: named tuple (values, indices) of shape input.shape[:-1] + (k,); indices are int32.
    Raises: InvalidArgumentError where k is negative or larger than a row.

    Example:
        >>> import cltensor as tf
        >>> values, indices = tf.nn.top_k([1., 5., 3.], 2)
        >>> values.numpy().tolist(), indices.numpy().tolist()
        ([5.0, 3.0], [1, 2])
    """
    x, count = convert(input), int(static_value(k))
    if not x.spec.shape or not 0 <= count <= x.spec.shape[-1]:
        raise InvalidArgumentError(f"top_k: k = {count} must be between 0 and the size of the last dimension; input "
                                   f"has shape {show(x.spec.shape)}")
    if count <= FEW:
        first = execute(ARGSORT, (x,), (("descending", True), ("count", count)))
    else:
        first = _slice(execute(ARGSORT, (x,), (("descending", True),)), [0] * x.spec.rank, [*x.spec.shape[:-1], count])
    return TopK(_picked(x, first), first)


@sized
def in_top_k(predictions: Any, targets: Any, k: Any, name: str | None = None) -> Any:
    """Whether the score of the target class is among the k best; ties at the border count as within.

    Args:
        predictions: floating scores [batch, classes].
        targets: int32 or int64 classes [batch].

    Returns: bool [batch]; False where the target's score is not finite.
    Raises: InvalidArgumentError for other ranks or sizes, DTypeError for scores that are not floating.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.in_top_k([[.1, .7, .2], [.5, .3, .2]], [2, 2], 2).numpy().tolist()
        [True, False]
    """
    scores, classes = convert(predictions), convert(targets)
    if not scores.dtype.is_floating:
        raise DTypeError(f"in_top_k: predictions must be floating, they have dtype {scores.dtype.name}")
    if scores.spec.rank != 2 or classes.spec.shape != scores.spec.shape[:1]:
        raise InvalidArgumentError(f"in_top_k: predictions must be [batch, classes] and targets [batch], their shapes "
                                   f"are {show(scores.spec.shape)} and {show(classes.spec.shape)}")
    own = _picked(scores, expand_dims(cast(classes, int32), 1))
    better = reduce_sum(cast(greater(scores, own), int32), axis=1)
    return logical_and(less(better, int(static_value(k))), is_finite(reshape(own, classes.spec.shape)))
