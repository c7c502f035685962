"""Several tensors into one and back: concat and split, stack and unstack, each pair the other's gradient.

Small parts are copied together in one launch; else every part is one strided copy into, or out of, the whole.
"""

from __future__ import annotations

from math import prod
from typing import Any

from cltensor.base import shapes
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, static_value
from cltensor.kernels.plan import IN, OUT, Plan
from cltensor.kernels.strided import copy_launch, parts_launch
from cltensor.ops.array import expand_dims, identity, integers, reshape
from cltensor.ops.sized import sized

__all__ = ["concat", "split", "stack", "unstack"]


def _parts(target: Any, whole: Spec, parts: tuple, axis: int, joining: bool) -> Plan:
    """Copies of the parts into (joining) or out of their places along `axis` of the whole."""
    strides = shapes.row_major_strides(whole.shape)
    rows = prod(whole.shape[:axis])
    if whole.size:
        together = parts_launch(target, whole.dtype.size, rows, [p.size // rows for p in parts], joining)
        if together is not None:
            return Plan((together,))
    launches = []
    at = 0
    for i, p in enumerate(parts):
        # A part of stack or unstack lacks the axis: it takes one place there.
        dims = p.shape if p.rank == whole.rank else p.shape[:axis] + (1,) + p.shape[axis:]
        dense = shapes.row_major_strides(dims)
        if p.size and joining:
            launches.append(copy_launch(target, p.dtype.size, dims, IN(i), dense, OUT(), strides, 0, at))
        elif p.size:
            launches.append(copy_launch(target, p.dtype.size, dims, IN(0), strides, OUT(i), dense, at))
        at += dims[axis] * strides[axis]
    return Plan(tuple(launches))


def _concat_infer(*values: Spec, axis: int) -> Spec:
    first = values[0]
    if first.rank == 0:
        raise InvalidArgumentError("concat: values must have at least one dimension, values[0] is a scalar; use stack")
    at = shapes.normalize_axis("concat", axis, first.rank)
    total: Any = 0
    dims = list(first.shape)
    for i, v in enumerate(values):
        if v.rank != first.rank:
            raise InvalidArgumentError(f"concat: ranks differ, {v.rank} != {first.rank}: values[0] has shape "
                                       f"{show(first.shape)}, values[{i}] has shape {show(v.shape)}")
        for d, n in enumerate(v.shape):
            if d == at:
                total = None if total is None or n is None else total + n
            elif dims[d] is None:
                dims[d] = n
            elif n not in (None, dims[d]):
                raise InvalidArgumentError(f"concat: sizes of dimension {d} differ, {n} != {dims[d]}, and axis is "
                                           f"{axis}: values[0] has shape {show(first.shape)}, values[{i}] has shape "
                                           f"{show(v.shape)}")
    dims[at] = total
    return Spec(tuple(dims), first.dtype)


def _concat_lower(ins: tuple, outs: tuple, target: Any, axis: int) -> Plan:
    return _parts(target, outs[0], ins, axis % outs[0].rank, True)


def _concat_vjp(g: Any, ss: tuple, axis: int) -> list:
    return split(g, [s.shape[axis] for s in ss], axis)


CONCAT = OpDef("concat", ("values",), _concat_infer, lower=_concat_lower, types="*", vjps=(_concat_vjp,))


def concat(values: Any, axis: Any, name: str | None = None) -> Any:
    """The tensors one after the other along `axis`.

    Args:
        values: a list of tensors of one dtype whose shapes agree but along axis; or one tensor.
        axis: from -rank to rank - 1.

    Raises: InvalidArgumentError when shapes or axis do not fit, DTypeError when dtypes differ.

    Example:
        >>> import cltensor as tf
        >>> tf.concat([[[1, 2]], [[3, 4]]], axis=1).numpy().tolist()
        [[1, 2, 3, 4]]
    """
    at = int(static_value(axis))
    parts = [values] if isinstance(values, Tensor) else list(values)
    if not parts:
        raise InvalidArgumentError("concat: values is empty, it must hold at least one tensor")
    if len(parts) == 1:
        only = convert(parts[0])
        _concat_infer(only.spec, axis=at)
        return identity(only)
    return execute(CONCAT, tuple(parts), (("axis", at),))


def _stack_infer(*values: Spec, axis: int) -> Spec:
    first = values[0]
    for i, v in enumerate(values):
        if v.shape != first.shape:
            raise InvalidArgumentError(f"stack: shapes differ, {show(v.shape)} != {show(first.shape)}: values[{i}] and "
                                       "values[0]")
    at = shapes.normalize_axis("stack", axis, first.rank + 1)
    return Spec(first.shape[:at] + (len(values),) + first.shape[at:], first.dtype)


def _stack_lower(ins: tuple, outs: tuple, target: Any, axis: int) -> Plan:
    return _parts(target, outs[0], ins, axis % outs[0].rank, True)


STACK = OpDef("stack", ("values",), _stack_infer, lower=_stack_lower, types="*",
              vjps=(lambda g, axis: unstack(g, axis=axis),))


def stack(values: Any, axis: Any = 0, name: str = "stack") -> Any:
    """Tensors of one shape and dtype side by side along a new dimension `axis`.

    Raises: InvalidArgumentError when shapes differ or axis is outside [-rank - 1, rank].

    Example:
        >>> import cltensor as tf
        >>> tf.stack([[1, 2], [3, 4]], axis=1).numpy().tolist()
        [[1, 3], [2, 4]]
    """
    at = int(static_value(axis))
    parts = unstack(values) if isinstance(values, Tensor) else list(values)
    if not parts:
        raise InvalidArgumentError("stack: values is empty, it must hold at least one tensor")
    if len(parts) == 1:
        return expand_dims(convert(parts[0]), at)
    return execute(STACK, tuple(parts), (("axis", at),))


def _split_infer(value: Spec, sizes: tuple, axis: int) -> tuple:
    at = shapes.normalize_axis("split", axis, value.rank)
    return tuple(Spec(value.shape[:at] + (n,) + value.shape[at + 1:], value.dtype) for n in sizes)


def _split_lower(ins: tuple, outs: tuple, target: Any, sizes: tuple, axis: int) -> Plan:
    return _parts(target, ins[0], outs, axis % ins[0].rank, False)


SPLIT = OpDef("split", ("value",), _split_infer, lower=_split_lower, outputs=0,
              vjps=(lambda gs, axis: concat(gs, axis),))


@sized
def split(value: Any, num_or_size_splits: Any, axis: Any = 0, num: int | None = None, name: str = "split") -> list:
    """Cut `value` along `axis`: into equal parts (an integer) or parts of given sizes (a list; one may be -1).

    Returns: list of tensors.
    Raises: InvalidArgumentError when the size is not divisible, or the sizes do not add up to it.

    Example:
        >>> import cltensor as tf
        >>> [t.numpy().tolist() for t in tf.split([1, 2, 3], [1, 2])]
        [[1], [2, 3]]
    """
    value = convert(value)
    at = shapes.normalize_axis("split", int(static_value(axis)), value.spec.rank)
    n = value.spec.shape[at]
    asked = static_value(num_or_size_splits)
    if asked.ndim == 0:
        count = int(asked)
        if count < 1 or n is None or n % count:
            raise InvalidArgumentError(f"split: size {n} of dimension {at} is not divisible into {count} parts: value "
                                       f"has shape {show(value.spec.shape)}")
        sizes: tuple = (n // count,) * count
    else:
        sizes = integers("split", "num_or_size_splits", asked)
        if sizes.count(-1) == 1:
            rest = n - sum(s for s in sizes if s != -1)
            sizes = tuple(rest if s == -1 else s for s in sizes)
        if not sizes or min(sizes) < 0 or sum(sizes) != n:
            raise InvalidArgumentError(f"split: sizes {sizes} do not add up to size {n} of dimension {at}: value has "
                                       f"shape {show(value.spec.shape)}")
    if len(sizes) == 1:
        return [identity(value)]
    return list(execute(SPLIT, (value,), (("sizes", sizes), ("axis", at))))


def _unstack_infer(value: Spec, num: int, axis: int) -> tuple:
    return tuple([Spec(value.shape[:axis] + value.shape[axis + 1:], value.dtype)] * num)


def _unstack_lower(ins: tuple, outs: tuple, target: Any, num: int, axis: int) -> Plan:
    return _parts(target, ins[0], outs, axis, False)


UNSTACK = OpDef("unstack", ("value",), _unstack_infer, lower=_unstack_lower, outputs=0,
                vjps=(lambda gs, axis: stack(gs, axis),))


@sized
def unstack(value: Any, num: int | None = None, axis: Any = 0, name: str = "unstack") -> list:
    """The slices of `value` along `axis`, without that dimension.

    Args:
        num: their number, checked if given.

    Returns: list of tensors.
    Raises: InvalidArgumentError when axis is outside the rank, or num is not the size.

    Example:
        >>> import cltensor as tf
        >>> [t.numpy().tolist() for t in tf.unstack([[1, 2], [3, 4]], axis=1)]
        [[1, 3], [2, 4]]
    """
    value = convert(value)
    if value.spec.rank == 0:
        raise InvalidArgumentError("unstack: value is a scalar, it must have at least one dimension")
    at = shapes.normalize_axis("unstack", int(static_value(axis)), value.spec.rank)
    count = value.spec.shape[at] if value.spec.shape[at] is not None else num
    if count is None or num not in (None, count):
        raise InvalidArgumentError(f"unstack: num = {num}, but dimension {at} has size {count}: value has shape "
                                   f"{show(value.spec.shape)}")
    if count == 0:
        return []
    if count == 1:
        from_dims = value.spec.shape
        return [reshape(value, from_dims[:at] + from_dims[at + 1:])]
    return list(execute(UNSTACK, (value,), (("num", count), ("axis", at))))
