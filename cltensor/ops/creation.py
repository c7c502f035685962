"""Tensors from nothing but a shape: fill, zeros, ones, eye, range, linspace; and shape, size, rank.

Constant fills are one kernel launch. Sequences and shapes are made on the host: they are small, keep
their host copy and so stay visible to shape inference without a sync.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.base.dtypes import DType, as_dtype, float32, float64, int32, int64, of_python
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, from_numpy, static_value
from cltensor.kernels.plan import OUT, SCALAR, SLOT, Plan
from cltensor.kernels.strided import fill_launch, number_type, strided_fill_launch
from cltensor.ops.array import broadcast_to, shape_argument
from cltensor.ops.sized import sized

__all__ = ["fill", "zeros", "ones", "zeros_like", "ones_like", "full_like", "eye", "range", "linspace",
           "lin_space", "shape", "shape_n", "size", "rank"]


def _fill_lower(ins: tuple, outs: tuple, target: Any, shape: tuple, dtype: DType) -> Plan:
    return Plan((fill_launch(target, dtype, outs[0].size, SLOT(0, number_type(dtype)), OUT()),))


# The value is a late-bound scalar argument: filling with ever new values makes no new plans.
FILL = OpDef("fill", ("value",), lambda value, shape, dtype: Spec(shape, dtype), lower=_fill_lower,
             slots=("float",))


def _number(op: str, value: Any, dtype: DType) -> Any:
    if dtype.is_floating:
        return float(value)
    number = int(value)
    if not dtype.is_bool and not dtype.min <= number <= dtype.max:
        raise InvalidArgumentError(f"{op}: {number} does not fit {dtype.name} [{dtype.min}, {dtype.max}]")
    return int(bool(value)) if dtype.is_bool else number


def _filled(op: str, dims: Any, value: Any, dtype: Any) -> Any:
    kind = as_dtype(dtype)
    return execute(FILL, (_number(op, value, kind),), (("shape", shape_argument(op, dims)), ("dtype", kind)))


@sized
def fill(dims: Any, value: Any, name: str | None = None) -> Any:
    """A tensor of shape `dims` with `value` everywhere, in the dtype of the value.

    Args:
        dims: list of integers.
        value: a Python or NumPy number, or a 0-d tensor (to which gradients flow).

    Raises: InvalidArgumentError when value is not a scalar.

    Example:
        >>> import cltensor as tf
        >>> tf.fill([2, 2], 7).numpy().tolist()
        [[7, 7], [7, 7]]
    """
    if isinstance(value, (bool, int, float)):
        return _filled("fill", dims, value, of_python(value))
    value = convert(value)
    if value.spec.shape != ():
        raise InvalidArgumentError(f"fill: value must be a scalar, it has shape {show(value.spec.shape)}")
    return broadcast_to(value, shape_argument("fill", dims, "dims"))


@sized
def zeros(shape: Any, dtype: Any = float32, name: str | None = None) -> Any:
    """A tensor of zeros (False for bool).

    Example:
        >>> import cltensor as tf
        >>> tf.zeros([2], tf.int32).numpy().tolist()
        [0, 0]
    """
    return _filled("zeros", shape, 0, dtype)


@sized
def ones(shape: Any, dtype: Any = float32, name: str | None = None) -> Any:
    """A tensor of ones (True for bool).

    Example:
        >>> import cltensor as tf
        >>> tf.ones([1, 2]).numpy().tolist()
        [[1.0, 1.0]]
    """
    return _filled("ones", shape, 1, dtype)


def _full_like_lower(ins: tuple, outs: tuple, target: Any, value: Any, dtype: DType) -> Plan:
    ctype = number_type(dtype)
    return Plan((fill_launch(target, dtype, outs[0].size, SCALAR(ctype, value), OUT()),))


# The input gives shape and device only, so a graph whose shapes are open can have zeros, too.
FULL_LIKE = OpDef("full_like", ("tensor",), lambda x, value, dtype: Spec(x.shape, dtype), lower=_full_like_lower,
                  vjps=(None,))


def full_like(tensor: Any, value: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A tensor of the shape of `tensor`, on its device, with `value` everywhere."""
    tensor = convert(tensor)
    kind = tensor.dtype if dtype is None else as_dtype(dtype)
    return execute(FULL_LIKE, (tensor,), (("value", _number("full_like", value, kind)), ("dtype", kind)))


def zeros_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Any:
    """Zeros of the shape of `tensor`, in its dtype unless another is given.

    Example:
        >>> import cltensor as tf
        >>> tf.zeros_like([1., 2.]).numpy().tolist()
        [0.0, 0.0]
    """
    return full_like(tensor, 0, dtype)


def ones_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Any:
    """Ones of the shape of `tensor`, in its dtype unless another is given.

    Example:
        >>> import cltensor as tf
        >>> tf.ones_like([3, 4]).numpy().tolist()
        [1, 1]
    """
    return full_like(tensor, 1, dtype)


def _eye_lower(ins: tuple, outs: tuple, target: Any, rows: int, columns: int, dtype: DType) -> Plan:
    ctype = number_type(dtype)
    return Plan((fill_launch(target, dtype, rows * columns, SCALAR(ctype, 0), OUT()),
                 strided_fill_launch(target, dtype, min(rows, columns), columns + 1, 0, SCALAR(ctype, 1), OUT())))


EYE = OpDef("eye", (), lambda rows, columns, dtype: Spec((rows, columns), dtype), lower=_eye_lower)


@sized
def eye(num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = float32,
        name: str | None = None) -> Any:
    """Identity matrix of num_rows x num_columns (square without the latter), repeated over batch_shape.

    Raises: InvalidArgumentError for a negative size.

    Example:
        >>> import cltensor as tf
        >>> tf.eye(2).numpy().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    columns = num_rows if num_columns is None else num_columns
    rows, columns = shape_argument("eye", [int(static_value(num_rows)), int(static_value(columns))])
    one = execute(EYE, (), (("rows", rows), ("columns", columns), ("dtype", as_dtype(dtype))))
    return one if batch_shape is None else broadcast_to(one, (*shape_argument("eye", batch_shape), rows, columns))


def _common(op: str, values: tuple) -> DType:
    """The dtype of a sequence's bounds: the widest of int32, int64, float32, float64 among them."""
    order = (int32, int64, float32, float64)
    found = [v.dtype if isinstance(v, (Tensor,)) or hasattr(type(v), "as_tensor")
             else as_dtype(v.dtype) if isinstance(v, (np.ndarray, np.generic)) else of_python(v) for v in values]
    for d in found:
        if d not in order:
            raise DTypeError(f"{op}: bounds of dtype {d.name} are not offered; there are "
                             + ", ".join(o.name for o in order))
    return max(found, key=order.index)


@sized
def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str = "range") -> Any:
    """The numbers start, start + delta, ... before `limit`; `range(n)` counts from 0.

    Args:
        start, limit, delta: scalars; delta must not be 0.
        dtype: dtype of the result; else int32, int64, float32 or float64 by the arguments.

    Raises: InvalidArgumentError when delta is 0 or leads away from limit.

    Example:
        >>> import cltensor as tf
        >>> tf.range(2, 10, 3).numpy().tolist()
        [2, 5, 8]
    """
    if limit is None:
        start, limit = 0, start
    kind = _common("range", (start, limit, delta)) if dtype is None else as_dtype(dtype)
    lo, hi, step = (static_value(v).item() for v in (start, limit, delta))
    if step == 0:
        raise InvalidArgumentError("range: delta is 0, it must not be")
    if (hi - lo) * step < 0:
        raise InvalidArgumentError(f"range: delta {step} leads away from limit {hi} when starting at {lo}")
    return from_numpy(np.arange(lo, hi, step).astype(kind.np))


@sized
def linspace(start: Any, stop: Any, num: Any, name: str | None = None) -> Any:
    """`num` evenly spaced numbers from start to stop, both included; float32 or float64.

    Raises: InvalidArgumentError when num is below 1, DTypeError for integer tensors.

    Example:
        >>> import cltensor as tf
        >>> tf.linspace(0., 1., 3).numpy().tolist()
        [0.0, 0.5, 1.0]
    """
    count = int(static_value(num))
    if count < 1:
        raise InvalidArgumentError(f"linspace: num = {count}, it must be at least 1")
    kind = _common("linspace", (start, stop))
    if not kind.is_floating:
        raise DTypeError(f"linspace: start and stop must be floating, they have dtype {kind.name}")
    return from_numpy(np.linspace(static_value(start).item(), static_value(stop).item(), count).astype(kind.np))


lin_space = linspace


@sized
def shape(input: Any, name: str | None = None, out_type: Any = int32) -> Any:
    """The shape as a 1-D integer tensor, known to the host.

    Example:
        >>> import cltensor as tf
        >>> tf.shape(tf.zeros([2, 3])).numpy().tolist()
        [2, 3]
    """
    return from_numpy(np.array(convert(input).spec.shape, as_dtype(out_type).np))


def shape_n(input: Any, out_type: Any = int32, name: str | None = None) -> list:
    """The shapes of several tensors."""
    return [shape(x, out_type=out_type) for x in input]


@sized
def size(input: Any, name: str | None = None, out_type: Any = int32) -> Any:
    """The number of elements as a 0-d integer tensor, known to the host.

    Example:
        >>> import cltensor as tf
        >>> int(tf.size(tf.zeros([2, 3])))
        6
    """
    return from_numpy(np.array(convert(input).spec.size, as_dtype(out_type).np))


@sized
def _rank(input: Any, out_type: Any) -> Any:
    return from_numpy(np.array(convert(input).spec.rank, out_type.np))


def rank(input: Any, name: str | None = None) -> Any:
    """The number of dimensions as a 0-d int32 tensor, known to the host.

    Example:
        >>> import cltensor as tf
        >>> int(tf.rank(tf.zeros([2, 3])))
        2
    """
    return _rank(input, int32)
