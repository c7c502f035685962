"""Shapes: reshape and its relatives, which share the buffer, and transpose and broadcast, which copy.

Example of how a view differs from a copy: `reshape(x, [-1])` costs no launch, `transpose(x)` one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from cltensor.base import shapes
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import convert, static_value
from cltensor.kernels.plan import IN, OUT, Plan
from cltensor.kernels.strided import copy_launch
from cltensor.ops.sized import sized

__all__ = ["reshape", "expand_dims", "squeeze", "identity", "stop_gradient", "transpose", "broadcast_to",
           "tile", "matrix_transpose", "integers", "shape_argument"]


def integers(op: str, name: str, value: Any) -> tuple:
    """An argument that lists integers (list, TensorShape, ndarray, tensor) as a tuple of int.

    Raises: DTypeError when they are not integers, InvalidArgumentError when the rank exceeds 1.
    """
    if isinstance(value, TensorShape):
        return tuple(value.as_list())
    if type(value) is tuple and all(type(v) is int for v in value):
        return value
    if isinstance(value, (list, tuple)) and any(v is None for v in value):
        raise InvalidArgumentError(f"{op}: {name} {show(tuple(value))} holds a size that is known only when values are "
                                   "fed; make it of tf.shape(x)")
    array = np.asarray(static_value(value))
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(f"{op}: {name} must hold integers, {value!r:.60} has dtype {array.dtype}")
    if array.ndim > 1:
        raise InvalidArgumentError(f"{op}: {name} must be a list of integers, it has shape {show(array.shape)}")
    return tuple(int(v) for v in array.reshape(-1))


def shape_argument(op: str, value: Any, name: str = "shape") -> tuple:
    """A shape argument as a tuple, none of its sizes negative."""
    dims = integers(op, name, value)
    if any(d is None or d < 0 for d in dims):
        raise InvalidArgumentError(f"{op}: {name} {show(dims)} holds a negative or unknown size")
    return dims


def _shape_of(spec: Spec, op: str) -> tuple:
    if spec.shape is None:
        raise InvalidArgumentError(f"{op}: the rank of the input is unknown")
    return spec.shape


# -- views
def _reshape_infer(x: Spec, shape: tuple) -> Spec:
    return Spec(shapes.resolve_reshape(x.shape, shape), x.dtype)


def _like(g: Any, s0: Spec) -> Any:
    return reshape(g, s0.shape)


def _same_elements(ins: tuple, outs: tuple, **attrs: Any) -> tuple:
    """As steps of a pending block: none, it is another name for its input."""
    return ()


RESHAPE = OpDef("reshape", ("tensor",), _reshape_infer, view=True, vjps=(_like,), steps=_same_elements)


@sized
def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    """The same elements in row-major order under another shape; shares the buffer.

    Args:
        tensor: any dtype and shape.
        shape: sizes, one of which may be -1: what is left.

    Raises: InvalidArgumentError when the elements do not fill the shape.

    Example:
        >>> import cltensor as tf
        >>> tf.reshape(tf.range(6), [2, -1]).shape
        TensorShape([2, 3])
    """
    return execute(RESHAPE, (tensor,), (("shape", integers("reshape", "shape", shape)),))


def _expand_infer(x: Spec, axis: int) -> Spec:
    dims = _shape_of(x, "expand_dims")
    at = shapes.normalize_axis("expand_dims", axis, len(dims) + 1, of=len(dims))
    return Spec(dims[:at] + (1,) + dims[at:], x.dtype)


EXPAND_DIMS = OpDef("expand_dims", ("input",), _expand_infer, view=True, vjps=(_like,), steps=_same_elements)


def expand_dims(input: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Any:
    """Insert a dimension of size 1 at `axis` (old name `dim`); shares the buffer.

    Raises: InvalidArgumentError when axis is outside [-rank - 1, rank].

    Example:
        >>> import cltensor as tf
        >>> tf.expand_dims([1, 2], -1).shape
        TensorShape([2, 1])
    """
    axis = dim if axis is None else axis
    if axis is None:
        raise InvalidArgumentError("expand_dims: axis is missing")
    return execute(EXPAND_DIMS, (input,), (("axis", int(static_value(axis))),))


def _squeeze_infer(x: Spec, axis: tuple | None) -> Spec:
    dims = _shape_of(x, "squeeze")
    if axis is None:
        return Spec(tuple(d for d in dims if d != 1), x.dtype)
    axes = shapes.normalize_axes("squeeze", axis, len(dims))
    for a in axes:
        if dims[a] not in (1, None):
            raise InvalidArgumentError(f"squeeze: dimension {a} has size {dims[a]}, it must be 1: input has shape "
                                       f"{show(dims)}")
    return Spec(tuple(d for i, d in enumerate(dims) if i not in axes), x.dtype)


SQUEEZE = OpDef("squeeze", ("input",), _squeeze_infer, view=True, vjps=(_like,), steps=_same_elements)


@sized
def squeeze(input: Any, axis: Any = None, name: str | None = None, squeeze_dims: Any = None) -> Any:
    """Drop dimensions of size 1: those in `axis` (old name `squeeze_dims`), or all; shares the buffer.

    Raises: InvalidArgumentError when a named dimension is not of size 1.

    Example:
        >>> import cltensor as tf
        >>> tf.squeeze(tf.zeros([1, 3, 1]), axis=0).shape
        TensorShape([3, 1])
    """
    axis = squeeze_dims if axis is None else axis
    chosen = None if axis is None else integers("squeeze", "axis", axis) or None
    return execute(SQUEEZE, (input,), (("axis", chosen),))


IDENTITY = OpDef("identity", ("input",), lambda x: x, view=True, vjps=(lambda g: g,), steps=_same_elements)
STOP_GRADIENT = OpDef("stop_gradient", ("input",), lambda x: x, view=True, vjps=(None,), steps=_same_elements)


def identity(input: Any, name: str | None = None) -> Any:
    """A tensor with the value of `input`; the gradient passes through.

    Example:
        >>> import cltensor as tf
        >>> tf.identity([1., 2.]).numpy().tolist()
        [1.0, 2.0]
    """
    return execute(IDENTITY, (input,))


def stop_gradient(input: Any, name: str | None = None) -> Any:
    """A tensor with the value of `input` that gradients do not flow through.

    Example:
        >>> import cltensor as tf
        >>> x = tf.constant(3.)
        >>> with tf.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * tf.stop_gradient(x)
        >>> float(tape.gradient(y, x))
        3.0
    """
    return execute(STOP_GRADIENT, (input,))


# -- copies
def _order(rank: int, perm: tuple | None) -> tuple:
    if perm is None:
        return tuple(reversed(range(rank)))
    found = tuple(p + rank if p < 0 else p for p in perm)
    if sorted(found) != list(range(rank)):
        raise InvalidArgumentError(f"transpose: perm {tuple(perm)} is not a permutation of the {rank} dimensions of "
                                   "the input")
    return found


def _transpose_infer(x: Spec, perm: tuple | None) -> Spec:
    dims = _shape_of(x, "transpose")
    return Spec(tuple(dims[p] for p in _order(len(dims), perm)), x.dtype)


def _transpose_lower(ins: tuple, outs: tuple, target: Any, perm: tuple | None) -> Plan:
    x, y = ins[0], outs[0]
    strides = shapes.row_major_strides(x.shape)
    order = _order(x.rank, perm)
    return Plan((copy_launch(target, x.dtype.size, y.shape, IN(0), [strides[p] for p in order], OUT(),
                             shapes.row_major_strides(y.shape)),))


def _transpose_vjp(g: Any, perm: tuple | None) -> Any:
    if perm is None:
        return transpose(g)
    back = [0] * len(perm)
    for i, p in enumerate(perm):
        back[p] = i
    return transpose(g, tuple(back))


TRANSPOSE = OpDef("transpose", ("a",), _transpose_infer, lower=_transpose_lower, vjps=(_transpose_vjp,))


@sized
def transpose(a: Any, perm: Any = None, name: str | None = None, conjugate: bool = False) -> Any:
    """Permute dimensions: dimension i of the result is dimension perm[i] of `a`; reverse them without perm.

    Args:
        a: any dtype and shape.
        perm: a permutation of range(rank).
        conjugate: without effect on real numbers.

    Raises: InvalidArgumentError when perm is not a permutation.

    Example:
        >>> import cltensor as tf
        >>> tf.transpose([[1, 2, 3], [4, 5, 6]]).numpy().tolist()
        [[1, 4], [2, 5], [3, 6]]
    """
    a = convert(a)
    order = None if perm is None else integers("transpose", "perm", perm)
    if a.spec.shape is not None:
        order, view = _settled(a.spec.shape, order)
        if view is not None:
            return reshape(a, view)
    return execute(TRANSPOSE, (a,), (("perm", order),))


@lru_cache(maxsize=1024)
def _settled(dims: tuple, perm: tuple | None) -> tuple:
    """The checked order; and the result's shape where only dimensions of size 1 move: a view, then."""
    order = _order(len(dims), perm)
    moved = [p for p in order if dims[p] != 1]
    return order, tuple(dims[p] for p in order) if None not in dims and moved == sorted(moved) else None


def matrix_transpose(a: Any, name: str | None = None) -> Any:
    """Swap the last two dimensions.

    Raises: InvalidArgumentError when the rank is below 2.
    """
    a = convert(a)
    rank = len(_shape_of(a.spec, "matrix_transpose"))
    if rank < 2:
        raise InvalidArgumentError(f"matrix_transpose: a has rank {rank}, it must be at least 2")
    return transpose(a, (*range(rank - 2), rank - 1, rank - 2))


def _broadcast_infer(x: Spec, shape: tuple) -> Spec:
    if x.shape is not None and shapes.broadcast("broadcast_to", x.shape, shape, ("input", "shape")) != shape:
        raise InvalidArgumentError(f"broadcast_to: input of shape {show(x.shape)} does not broadcast to {show(shape)}")
    return Spec(shape, x.dtype)


def _broadcast_lower(ins: tuple, outs: tuple, target: Any, shape: tuple) -> Plan:
    x, y = ins[0], outs[0]
    full = (1,) * (y.rank - x.rank) + x.shape
    strides = [0 if d == 1 else s for d, s in zip(full, shapes.row_major_strides(full))]
    return Plan((copy_launch(target, x.dtype.size, y.shape, IN(0), strides, OUT(),
                             shapes.row_major_strides(y.shape)),))


# The engine sums every gradient back to the input's shape, which is all that broadcasting needs.
BROADCAST_TO = OpDef("broadcast_to", ("input",), _broadcast_infer, lower=_broadcast_lower, vjps=(lambda g: g,),
                     steps=lambda ins, outs, shape: (("x0", "", (0,), outs[0]),))


@sized
def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Any:
    """`input` repeated along new dimensions and those of size 1, to exactly `shape` (NumPy's rule).

    Raises: InvalidArgumentError when it does not broadcast.

    Example:
        >>> import cltensor as tf
        >>> tf.broadcast_to([1, 2], [2, 2]).numpy().tolist()
        [[1, 2], [1, 2]]
    """
    input = convert(input)
    dims = shape_argument("broadcast_to", shape)
    if input.spec.shape == dims:
        return identity(input)
    return execute(BROADCAST_TO, (input,), (("shape", dims),))


@sized
def tile(input: Any, multiples: Any, name: str | None = None) -> Any:
    """`input` repeated multiples[d] times along dimension d.

    Args:
        input: any dtype and shape.
        multiples: one non-negative integer per dimension.

    Raises: InvalidArgumentError when multiples does not have one entry per dimension.

    Example:
        >>> import cltensor as tf
        >>> tf.tile([1, 2], [2]).numpy().tolist()
        [1, 2, 1, 2]
    """
    input = convert(input)
    dims = _shape_of(input.spec, "tile")
    times = shape_argument("tile", multiples, "multiples")
    if len(times) != len(dims):
        raise InvalidArgumentError(f"tile: multiples has {len(times)} entries, input has rank {len(dims)}: "
                                   f"multiples {times}, shape {show(dims)}")
    apart = tuple(v for d in dims for v in (1, d))
    repeated = tuple(v for m, d in zip(times, dims) for v in (m, d))
    spread = broadcast_to(reshape(input, apart), repeated)
    return reshape(spread, tuple(m * d for m, d in zip(times, dims)))
