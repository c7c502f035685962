"""Regions of a tensor: slice, strided_slice, reverse, pad, and what basic indexing is made of.

Rows come in pairs, each the other's gradient: one copies a region out, one copies it into zeros.
`take_at` and `place_at` know the region's form and take its offset as a late-bound number, so a loop over
x[i] or over batches x[i:i + n] binds one plan. `strided_slice` and `place` take the region as a key
(base/slices.py) that is resolved when the shape is known: for negative steps, and for open shapes.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from cltensor.base import shapes
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.base.slices import ALL, Region, key_of_masks, resolve_key
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import convert, static_value
from cltensor.kernels.plan import IN, OUT, SCALAR, SLOT, Plan
from cltensor.kernels.strided import copy_launch, fill_launch, number_type
from cltensor.ops.array import identity, integers, reshape
from cltensor.ops.join import concat
from cltensor.ops.sized import sized

__all__ = ["slice", "strided_slice", "reverse", "reverse_v2", "pad", "take_region", "take_element"]


def _walk(region: Region, shape: tuple) -> tuple:
    """Offset and strides at which a region walks a dense array of this shape."""
    strides = shapes.row_major_strides(shape)
    return (sum(b * s for b, s in zip(region.begin, strides)),
            tuple(h * s for h, s in zip(region.step, strides)))


def _take_infer(x: Spec, key: tuple, what: str) -> Spec:
    if x.shape is None:
        raise InvalidArgumentError(f"{what}: the rank of the input is unknown")
    return Spec(resolve_key(what, x.shape, key).shape, x.dtype)


def _take_lower(ins: tuple, outs: tuple, target: Any, key: tuple, what: str) -> Plan:
    x = ins[0]
    region = resolve_key(what, x.shape, key)
    at, strides = _walk(region, x.shape)
    return Plan((copy_launch(target, x.dtype.size, region.size, IN(0), strides, OUT(),
                             shapes.row_major_strides(region.size), at),))


STRIDED_SLICE = OpDef("strided_slice", ("input",), _take_infer, lower=_take_lower,
                      vjps=(lambda g, s0, key, what: _place(g, key, what, s0.shape),))


def _place_lower(ins: tuple, outs: tuple, target: Any, key: tuple, what: str, shape: tuple) -> Plan:
    x, y = ins[0], outs[0]
    region = resolve_key(what, shape, key)
    at, strides = _walk(region, shape)
    copy = copy_launch(target, x.dtype.size, region.size, IN(0), shapes.row_major_strides(region.size), OUT(),
                       strides, 0, at)
    if x.size == y.size:
        return Plan((copy,))
    return Plan((fill_launch(target, x.dtype, y.size, SCALAR(number_type(x.dtype), 0), OUT()), copy))


PLACE = OpDef("place", ("values",), lambda x, key, what, shape: Spec(shape, x.dtype), lower=_place_lower, identity=0,
              vjps=(lambda g, key, what: _by_key(g, key, what),))


def _form_take_lower(ins: tuple, outs: tuple, target: Any, step: tuple, size: tuple, shape: tuple) -> Plan:
    x = ins[0]
    strides = [h * s for h, s in zip(step, shapes.row_major_strides(x.shape))]
    return Plan((copy_launch(target, x.dtype.size, size, IN(0), strides, OUT(), shapes.row_major_strides(size),
                             source_slot=SLOT(1, "ulong")),))


def _form_place_lower(ins: tuple, outs: tuple, target: Any, step: tuple, size: tuple, shape: tuple) -> Plan:
    x, y = ins[0], outs[0]
    strides = [h * s for h, s in zip(step, shapes.row_major_strides(shape))]
    copy = copy_launch(target, x.dtype.size, size, IN(0), shapes.row_major_strides(size), OUT(), strides,
                       dest_slot=SLOT(1, "ulong"))
    return Plan((fill_launch(target, x.dtype, y.size, SCALAR(number_type(x.dtype), 0), OUT()), copy))


def _take_at(x: Any, offset: int, step: tuple, size: tuple, shape: tuple) -> Any:
    return execute(TAKE_AT, (x, offset), (("step", step), ("size", size), ("shape", shape)))


def _place_at(x: Any, offset: int, step: tuple, size: tuple, shape: tuple) -> Any:
    return execute(PLACE_AT, (x, offset), (("step", step), ("size", size), ("shape", shape)))


TAKE_AT = OpDef("take_at", ("input", "offset"), lambda x, at, step, size, shape: Spec(shape, x.dtype),
                lower=_form_take_lower, types="xo", slots=(None, "ulong"),
                vjps=(lambda g, x1, s0, step, size: _place_at(g, x1, step, size, s0.shape), None))
PLACE_AT = OpDef("place_at", ("values", "offset"), lambda x, at, step, size, shape: Spec(shape, x.dtype),
                 lower=_form_place_lower, types="xo", slots=(None, "ulong"), identity=0,
                 vjps=(lambda g, x1, s0, step, size: _take_at(g, x1, step, size, s0.shape), None))


def take_region(x: Any, key: tuple, what: str = "index") -> Any:
    """The region of `x` that `key` selects; `what` names the caller in error sentences."""
    x = convert(x)
    form = _form(x.spec.shape, key, what)
    if form is None:
        return _by_key(x, key, what)
    offset, attrs = form
    return execute(TAKE_AT, (x, offset), attrs) if offset >= 0 else reshape(x, attrs)


@lru_cache(maxsize=4096)
def _form(dims: tuple | None, key: tuple, what: str) -> tuple | None:
    """(offset, take_at's attributes) of a region; (-1, shape) when it is the whole; None where take_at cannot."""
    if dims is None or None in dims:
        return None
    region = resolve_key(what, dims, key)
    if any(h < 0 for h in region.step):
        return None
    if region.size == dims and all(h == 1 for h in region.step):
        return -1, region.shape
    return _walk(region, dims)[0], (("step", region.step), ("size", region.size), ("shape", region.shape))


def take_element(x: Any, i: int) -> Any:
    """x[i], as take_region gives it, for the loops that ask for one after the other."""
    dims = x.spec.shape
    if not dims or None in dims or not -dims[0] <= i < dims[0] or dims[0] == 1:
        return take_region(x, (("at", i),))
    inner, attrs = _element(dims)
    return execute(TAKE_AT, (x, (i + dims[0] if i < 0 else i) * inner), attrs)


@lru_cache(maxsize=1024)
def _element(dims: tuple) -> tuple:
    return prod(dims[1:]), (("step", (1,) * len(dims)), ("size", (1, *dims[1:])), ("shape", dims[1:]))


def _by_key(x: Any, key: tuple, what: str) -> Any:
    return execute(STRIDED_SLICE, (x,), (("key", key), ("what", what)))


def _place(values: Any, key: tuple, what: str, shape: tuple) -> Any:
    return execute(PLACE, (values,), (("key", key), ("what", what), ("shape", shape)))


@sized
def slice(input_: Any, begin: Any, size: Any, name: str | None = None) -> Any:
    """The block of shape `size` (-1: all that is left) that starts at `begin`.

    Args:
        input_: any dtype and shape.
        begin, size: one integer per dimension.

    Raises: InvalidArgumentError when the block does not lie inside.

    Example:
        >>> import cltensor as tf
        >>> tf.slice([[1, 2, 3], [4, 5, 6]], [0, 1], [2, -1]).numpy().tolist()
        [[2, 3], [5, 6]]
    """
    input_ = convert(input_)
    first, count = integers("slice", "begin", begin), integers("slice", "size", size)
    if len(first) != len(count) or len(first) != input_.spec.rank:
        raise InvalidArgumentError(f"slice: begin {first} and size {count} must have one entry per dimension, input_ "
                                   f"has shape {show(input_.spec.shape)}")
    return take_region(input_, tuple(("window", b, n) for b, n in zip(first, count)), "slice")


@sized
def strided_slice(input_: Any, begin: Any, end: Any, strides: Any = None, begin_mask: int = 0, end_mask: int = 0,
                  ellipsis_mask: int = 0, new_axis_mask: int = 0, shrink_axis_mask: int = 0, var: Any = None,
                  name: str | None = None) -> Any:
    """Elements begin, begin + stride, ... before end along each dimension, as Python slices them.

    Args:
        input_: any dtype and shape.
        begin, end, strides: integers, one per entry; at most one per dimension.
        begin_mask, end_mask: bit i: ignore entry i, take from the first, to the last.
        ellipsis_mask, new_axis_mask, shrink_axis_mask: bit i: entry i is `...`, a new dimension, one element.

    Raises: InvalidArgumentError for a zero stride or lists of different length; OutOfRangeError for an
        element that is not there.

    Example:
        >>> import cltensor as tf
        >>> tf.strided_slice([1, 2, 3, 4, 5], [4], [0], [-2]).numpy().tolist()
        [5, 3]
    """
    lo, hi = integers("strided_slice", "begin", begin), integers("strided_slice", "end", end)
    hop = (1,) * len(lo) if strides is None else integers("strided_slice", "strides", strides)
    if not len(lo) == len(hi) == len(hop):
        raise InvalidArgumentError(f"strided_slice: begin {lo}, end {hi} and strides {hop} differ in length")
    key = key_of_masks(lo, hi, hop, begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    return take_region(input_, key, "strided_slice")


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Any:
    """The elements in opposite order along each dimension in `axis`.

    Raises: InvalidArgumentError when axis is outside the rank or names a dimension twice.

    Example:
        >>> import cltensor as tf
        >>> tf.reverse([[1, 2], [3, 4]], [1]).numpy().tolist()
        [[2, 1], [4, 3]]
    """
    tensor = convert(tensor)
    axes = shapes.normalize_axes("reverse", integers("reverse", "axis", axis), tensor.spec.rank)
    key = tuple(("cut", None, None, -1) if d in axes else ALL for d in range(tensor.spec.rank))
    return take_region(tensor, key, "reverse")


reverse_v2 = reverse


def _pad_infer(x: Spec, paddings: tuple, value: Any) -> Spec:
    return Spec(tuple(None if n is None else a + n + b for n, (a, b) in zip(x.shape, paddings)), x.dtype)


def _window(shape: tuple, paddings: tuple) -> tuple:
    return tuple(("window", a, n) for n, (a, _) in zip(shape, paddings))


def _pad_lower(ins: tuple, outs: tuple, target: Any, paddings: tuple, value: Any) -> Plan:
    x, y = ins[0], outs[0]
    fill = fill_launch(target, x.dtype, y.size, SCALAR(number_type(x.dtype), value), OUT())
    if not x.size:
        return Plan((fill,))
    at, strides = _walk(resolve_key("pad", y.shape, _window(x.shape, paddings)), y.shape)
    return Plan((fill, copy_launch(target, x.dtype.size, x.shape, IN(0), shapes.row_major_strides(x.shape), OUT(),
                                   strides, 0, at)))


PAD = OpDef("pad", ("tensor",), _pad_infer, lower=_pad_lower,
            vjps=(lambda g, s0, paddings: take_region(g, _window(s0.shape, paddings), "pad"),))


@sized
def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", name: str | None = None, constant_values: Any = 0) -> Any:
    """Add elements before and after each dimension.

    Args:
        tensor: any dtype and shape.
        paddings: [rank, 2] non-negative integers: how many before, how many after.
        mode: "CONSTANT" adds constant_values; "REFLECT" mirrors without the edge (at most size - 1),
            "SYMMETRIC" with it (at most size).

    Raises: InvalidArgumentError for paddings of another shape, negative, or more than the mode can mirror.

    Example:
        >>> import cltensor as tf
        >>> tf.pad([1, 2, 3], [[2, 1]], "REFLECT").numpy().tolist()
        [3, 2, 1, 2, 3, 2]
    """
    tensor = convert(tensor)
    dims = tensor.spec.shape
    array = np.asarray(static_value(paddings))
    if array.shape != (len(dims), 2) or array.dtype.kind not in "iu" and array.size:
        raise InvalidArgumentError(f"pad: paddings must be integers of shape {(len(dims), 2)}, one pair per dimension, "
                                   f"they have shape {show(array.shape)}: tensor has shape {show(dims)}")
    pairs = tuple((int(a), int(b)) for a, b in array.reshape(-1, 2))
    if any(a < 0 or b < 0 for a, b in pairs):
        raise InvalidArgumentError(f"pad: paddings {pairs} must not be negative")
    kind = str(mode).upper()
    if kind == "CONSTANT":
        value = static_value(constant_values).item()
        value = float(value) if tensor.dtype.is_floating else int(value)
        return execute(PAD, (tensor,), (("paddings", pairs), ("value", value)))
    if kind not in ("REFLECT", "SYMMETRIC"):
        raise InvalidArgumentError(f"pad: mode {mode!r} is not one of CONSTANT, REFLECT, SYMMETRIC")
    return _mirrored(tensor, pairs, kind)


def _mirrored(x: Any, pairs: tuple, mode: str) -> Any:
    """Mirror one dimension after the other: the corners come out right by themselves."""
    edge = 1 if mode == "REFLECT" else 0
    dims = x.spec.shape
    for d, (before, after) in enumerate(pairs):
        n = dims[d]
        if max(before, after) > n - edge:
            raise InvalidArgumentError(f"pad: {mode} of dimension {d} of size {n} adds at most {n - edge} on a side, "
                                       f"paddings are {(before, after)}")
        lead = (ALL,) * d
        parts = []
        if before:
            stop = edge - 1
            parts.append(take_region(x, (*lead, ("cut", before + edge - 1, stop if stop >= 0 else None, -1)), "pad"))
        parts.append(x)
        if after:
            stop = n - edge - after - 1
            parts.append(take_region(x, (*lead, ("cut", n - edge - 1, stop if stop >= 0 else None, -1)), "pad"))
        if len(parts) > 1:
            x = concat(parts, d)
    return identity(x) if not any(a or b for a, b in pairs) else x
