"""Picking rows by index and adding rows up by index: gather, gather_nd, scatter_nd, segment sums.

Gathering is scattering's gradient and the other way round. Along axis 0 the gradient of a gather stays
sparse (IndexedSlices). Indices the host knows are checked at once, others in the kernel, which reports
through the error word.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from cltensor.base import shapes
from cltensor.base.dtypes import int32, int64
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute
from cltensor.core.indexed_slices import IndexedSlices, install_densify
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import convert, host_value, static_value
from cltensor.kernels.indexed import gather_launch, scatter_plan
from cltensor.kernels.plan import Plan
from cltensor.ops.array import reshape, shape_argument
from cltensor.ops.sized import sized

__all__ = ["gather", "gather_nd", "scatter_nd", "unsorted_segment_sum", "segment_sum", "check_indices"]


def _integer(op: str, indices: Spec, name: str = "indices") -> None:
    if indices.dtype not in (int32, int64):
        raise DTypeError(f"{op}: {name} must be int32 or int64, they have dtype {indices.dtype.name}")


def check_indices(op: str, indices: Any, limits: tuple, name: str = "indices") -> None:
    """Raise for indices the host knows that are outside; along the last dimension if there are several limits."""
    known = host_value(indices)
    if known is None or not known.size:
        return
    for j, n in enumerate(limits):
        column = known if len(limits) == 1 else known[..., j]
        low, high = int(column.min()), int(column.max())
        if low < 0 or high >= n:
            raise InvalidArgumentError(f"{op}: {name} = {low if low < 0 else high} is not in [0, {n})")


def _gather_infer(params: Spec, indices: Spec, axis: int) -> Spec:
    _integer("gather", indices)
    at = shapes.normalize_axis("gather", axis, params.rank)
    if params.shape[at] == 0 and indices.size:
        raise InvalidArgumentError(f"gather: dimension {at} of params has size 0, nothing can be picked: params has "
                                   f"shape {show(params.shape)}, indices have shape {show(indices.shape)}")
    return Spec(params.shape[:at] + indices.shape + params.shape[at + 1:], params.dtype)


def _gather_lower(ins: tuple, outs: tuple, target: Any, axis: int, drop: bool = False) -> Plan:
    p, ix = ins
    axis %= p.rank
    inner = prod(p.shape[axis + 1:])
    return Plan((gather_launch(target, p.dtype.size, ix.dtype, drop, (p.shape[axis],), (inner,),
                                prod(p.shape[:axis]), ix.size, inner, p.shape[axis] * inner),))


def _gather_vjp(g: Any, x1: Any, s0: Spec, axis: int) -> Any:
    if axis % s0.rank == 0:
        return IndexedSlices(reshape(g, (-1, *s0.shape[1:]) if prod(s0.shape[1:]) else (x1.spec.size, *s0.shape[1:])),
                             reshape(x1, (x1.spec.size,)), s0.shape)
    return _segment(g, x1, s0.shape[axis], axis % s0.rank)


GATHER = OpDef("gather", ("params", "indices"), _gather_infer, lower=_gather_lower, types="PI",
               vjps=(_gather_vjp, None), may_fail=True, fails="indices")
# Rows of indices outside are zeros: what the gradient of a segment sum, which drops negative ids, needs.
GATHER_OR_ZERO = OpDef("gather_or_zero", ("params", "indices"), _gather_infer, types="PI", identity=0,
                       lower=lambda ins, outs, target, axis: _gather_lower(ins, outs, target, axis, True),
                       vjps=(lambda g, x1, s0, axis: _segment(g, x1, s0.shape[axis], axis), None))


def gather(params: Any, indices: Any, validate_indices: Any = None, name: str | None = None, axis: Any = 0) -> Any:
    """The slices of `params` along `axis` that `indices` names.

    Args:
        params: any dtype, rank at least 1.
        indices: int32 or int64 of any shape, each in [0, params.shape[axis]).

    Returns: tensor of shape params.shape[:axis] + indices.shape + params.shape[axis + 1:].
    Raises: InvalidArgumentError for an index outside: at once where the host knows the indices, else at the
        next read of a value; DTypeError for indices that are not integers.

    Example:
        >>> import cltensor as tf
        >>> tf.gather([[1, 2], [3, 4], [5, 6]], [2, 0]).numpy().tolist()
        [[5, 6], [1, 2]]
    """
    params, indices = convert(params), convert(indices)
    _integer("gather", indices.spec)
    at = shapes.normalize_axis("gather", int(static_value(axis)), params.spec.rank)
    check_indices("gather", indices, (params.spec.shape[at],))
    return execute(GATHER, (params, indices), (("axis", at),))


def _nd_parts(op: str, shape: tuple, indices: Spec) -> int:
    _integer(op, indices)
    if indices.rank == 0:
        raise InvalidArgumentError(f"{op}: indices must have at least one dimension, they are a scalar")
    parts = indices.shape[-1]
    if parts > len(shape):
        raise InvalidArgumentError(f"{op}: the last dimension of indices, {parts}, is more than the rank "
                                   f"{len(shape)}: indices have shape {show(indices.shape)}, the other shape is "
                                   f"{show(shape)}")
    return parts


def _gather_nd_infer(params: Spec, indices: Spec) -> Spec:
    parts = _nd_parts("gather_nd", params.shape, indices)
    if 0 in params.shape[:parts] and indices.size:
        raise InvalidArgumentError(f"gather_nd: params of shape {show(params.shape)} are empty, nothing can be picked")
    return Spec(indices.shape[:-1] + params.shape[parts:], params.dtype)


def _gather_nd_lower(ins: tuple, outs: tuple, target: Any) -> Plan:
    p, ix = ins
    parts = ix.shape[-1]
    return Plan((gather_launch(target, p.dtype.size, ix.dtype, False, p.shape[:parts],
                                shapes.row_major_strides(p.shape)[:parts], 1, prod(ix.shape[:-1]),
                                prod(p.shape[parts:]), 0),))


GATHER_ND = OpDef("gather_nd", ("params", "indices"), _gather_nd_infer, lower=_gather_nd_lower, types="PI",
                  vjps=(lambda g, x1, s0: scatter_nd(x1, g, s0.shape), None), may_fail=True, fails="indices")


@sized
def gather_nd(params: Any, indices: Any, name: str | None = None) -> Any:
    """The slices of `params` that the tuples along the last dimension of `indices` name.

    Args:
        params: any dtype.
        indices: int32 or int64; the last dimension holds one index per leading dimension of params.

    Returns: tensor of shape indices.shape[:-1] + params.shape[indices.shape[-1]:].
    Raises: InvalidArgumentError for an index outside (as gather does), or tuples longer than the rank.

    Example:
        >>> import cltensor as tf
        >>> tf.gather_nd([[1, 2], [3, 4]], [[0, 1], [1, 0]]).numpy().tolist()
        [2, 3]
    """
    params, indices = convert(params), convert(indices)
    parts = _nd_parts("gather_nd", params.spec.shape, indices.spec)
    if parts == 0:      # empty tuples name all of params, once each
        return gather(reshape(params, (1, *params.spec.shape)),
                      np.zeros(indices.spec.shape[:-1], np.int32))
    check_indices("gather_nd", indices, params.spec.shape[:parts])
    return execute(GATHER_ND, (params, indices))


def _summable(op: str, updates: Spec, name: str) -> None:
    if updates.dtype.is_bool:
        raise DTypeError(f"{op}: {name} have dtype bool, which does not add; use cast")


def _scatter_nd_infer(updates: Spec, indices: Spec, shape: tuple) -> Spec:
    parts = _nd_parts("scatter_nd", shape, indices)
    _summable("scatter_nd", updates, "updates")
    if updates.shape != indices.shape[:-1] + shape[parts:]:
        raise InvalidArgumentError(f"scatter_nd: updates have shape {show(updates.shape)}, indices of shape "
                                   f"{show(indices.shape)} and shape {show(shape)} ask for "
                                   f"{show(indices.shape[:-1] + shape[parts:])}")
    return Spec(shape, updates.dtype)


def _scatter_nd_lower(ins: tuple, outs: tuple, target: Any, shape: tuple) -> Plan:
    u, ix = ins
    parts = ix.shape[-1]
    return scatter_plan(target, u, ix.dtype, False, shape[:parts], shapes.row_major_strides(shape[:parts]), 1,
                         prod(ix.shape[:-1]), prod(shape[:parts]), prod(shape[parts:]))


SCATTER_ND = OpDef("scatter_nd", ("updates", "indices"), _scatter_nd_infer, lower=_scatter_nd_lower, types="UI",
                   vjps=(lambda g, x1: gather_nd(g, x1), None), identity=0, may_fail=True, fails="indices")


@sized
def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Any:
    """Zeros of `shape`, with `updates` added at the places that tuples of indices name; duplicates sum.

    Args:
        indices: int32 or int64; the last dimension holds one index per leading dimension of shape.
        updates: tensor of shape indices.shape[:-1] + shape[indices.shape[-1]:].
        shape: shape of the result.

    Raises: InvalidArgumentError for an index outside (as gather does) or updates of another shape.

    Example:
        >>> import cltensor as tf
        >>> tf.scatter_nd([[1], [3], [1]], [1., 2., 4.], [4]).numpy().tolist()
        [0.0, 5.0, 0.0, 2.0]
    """
    indices, updates = convert(indices), convert(updates)
    dims = shape_argument("scatter_nd", shape)
    parts = _nd_parts("scatter_nd", dims, indices.spec)
    if parts == 0:      # empty tuples name the whole result
        whole = _segment(reshape(updates, (-1, *dims) if prod(dims) else (0, *dims)),
                         np.zeros(prod(indices.spec.shape[:-1]), np.int32), 1)
        return reshape(whole, dims)
    check_indices("scatter_nd", indices, dims[:parts])
    return execute(SCATTER_ND, (updates, indices), (("shape", dims),))


def _segment_infer(data: Spec, ids: Spec, num_segments: int, axis: int) -> Spec:
    _integer("unsorted_segment_sum", ids, "segment_ids")
    _summable("unsorted_segment_sum", data, "data")
    if data.shape[axis:axis + ids.rank] != ids.shape:
        raise InvalidArgumentError(f"unsorted_segment_sum: segment_ids of shape {show(ids.shape)} are not a prefix of "
                                   f"data's shape {show(data.shape)}")
    return Spec(data.shape[:axis] + (num_segments,) + data.shape[axis + ids.rank:], data.dtype)


def _segment_lower(ins: tuple, outs: tuple, target: Any, num_segments: int, axis: int) -> Plan:
    d, ids = ins
    return scatter_plan(target, d, ids.dtype, True, (num_segments,), (1,), prod(d.shape[:axis]), ids.size,
                         num_segments, prod(d.shape[axis + ids.rank:]))


UNSORTED_SEGMENT_SUM = OpDef(
    "unsorted_segment_sum", ("data", "segment_ids"), _segment_infer, lower=_segment_lower, types="DI", identity=0,
    vjps=(lambda g, x1, axis: execute(GATHER_OR_ZERO, (g, x1), (("axis", axis),)), None))


def _segment(data: Any, ids: Any, n: int, axis: int = 0) -> Any:
    return execute(UNSORTED_SEGMENT_SUM, (data, ids), (("num_segments", n), ("axis", axis)))


@sized
def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
    """Sums of the rows of `data` that share a segment id; rows with a negative id are left out.

    Args:
        data: numbers; its shape begins with that of segment_ids.
        segment_ids: int32 or int64, below num_segments.
        num_segments: rows of the result.

    Raises: InvalidArgumentError for shapes that do not fit, or an id the host knows to be too large.

    Example:
        >>> import cltensor as tf
        >>> tf.unsorted_segment_sum([1., 2., 4.], [0, 1, 0], 3).numpy().tolist()
        [5.0, 2.0, 0.0]
    """
    ids = convert(segment_ids)
    n = int(static_value(num_segments))
    if n < 0:
        raise InvalidArgumentError(f"unsorted_segment_sum: num_segments = {n}, it must not be negative")
    known = host_value(ids)
    if known is not None and known.size and int(known.max()) >= n:
        raise InvalidArgumentError(f"unsorted_segment_sum: segment_ids = {int(known.max())} is not in [0, {n})")
    return _segment(data, ids, n)


@sized
def segment_sum(data: Any, segment_ids: Any, name: str | None = None) -> Any:
    """Sums of the rows of `data` that share a segment id; ids are sorted, the last one gives the number of rows.

    Raises: InvalidArgumentError for ids that are not sorted, not 1-D, negative, or not one per row.

    Example:
        >>> import cltensor as tf
        >>> tf.segment_sum([1., 2., 4.], [0, 0, 2]).numpy().tolist()
        [3.0, 0.0, 4.0]
    """
    ids = convert(segment_ids)
    values = static_value(ids)
    if values.ndim != 1 or (values.size and (np.any(np.diff(values) < 0) or values[0] < 0)):
        raise InvalidArgumentError("segment_sum: segment_ids must be 1-D, sorted and not negative, they are "
                                   f"{values.tolist()!r:.60} of shape {show(values.shape)}")
    data = convert(data)
    if data.spec.rank == 0 or data.spec.shape[0] != values.size:
        raise InvalidArgumentError(f"segment_sum: there must be one segment id per row, there are {values.size}: data "
                                   f"has shape {show(data.spec.shape)}")
    return _segment(data, ids, int(values[-1]) + 1 if values.size else 0)


def _densify(values: Any, indices: Any, dense_shape: tuple) -> Any:
    return _segment(values, indices, dense_shape[0])


install_densify(_densify)
