"""Pooling over windows of images: max_pool, avg_pool, pool.

Rows compute NHWC. The gradient of max_pool goes to the first largest element of a window and needs the forward
result; its own gradient picks from those places, so any order follows. avg_pool and its gradient are each
other's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError, UnimplementedError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import convert
from cltensor.kernels.plan import Plan
from cltensor.kernels.pooling import lower_pool
from cltensor.ops.window import Padding, layout, padding_argument, pair_argument, slide, with_layout

__all__ = ["max_pool", "avg_pool", "pool"]


def _pooled(op: str, x: Spec, window: tuple, strides: tuple, padding: Padding) -> Spec:
    if not x.dtype.is_floating:
        raise DTypeError(f"{op}: value must be floating, it has dtype {x.dtype.name} and shape {show(x.shape)}; "
                         "use cast")
    if x.shape is None:
        return Spec((None,) * 4, x.dtype)
    if len(x.shape) != 4:
        raise InvalidArgumentError(f"{op}: value must have rank 4, its shape is {show(x.shape)}")
    oh, ow = (slide(op, x.shape[1 + i], window[i], strides[i], padding, 1, i, x.shape)[0] for i in (0, 1))
    return Spec((x.shape[0], oh, ow, x.shape[3]), x.dtype)


def _lower(kernel: str, image_of: Callable, pooled_of: Callable) -> Callable:
    def lower(ins: tuple, outs: tuple, target: Any, window: tuple, strides: tuple, padding: Padding, size: Any = None,
              ) -> Plan:
        image, pooled = image_of(ins, outs), pooled_of(ins, outs)
        before = tuple(slide(kernel, image.shape[1 + i], window[i], strides[i], padding, 1, i, image.shape)[1]
                       for i in (0, 1))
        return lower_pool(kernel, image.dtype, image.shape, pooled.shape, window, strides, before, len(ins), target)
    return lower


def _attrs(window: tuple, strides: tuple, padding: Padding) -> tuple:
    return ("window", window), ("strides", strides), ("padding", padding)


def _max_grad(x: Any, y: Any, g: Any, *how: Any) -> Any:
    return execute(_MAX_GRAD, (x, y, g), _attrs(*how))


def _max_pick(x: Any, y: Any, v: Any, *how: Any) -> Any:
    return execute(_MAX_PICK, (x, y, v), _attrs(*how))


def _avg(x: Any, *how: Any) -> Any:
    return execute(_AVG, (x,), _attrs(*how))


def _avg_grad(g: Any, size: tuple, *how: Any) -> Any:
    return execute(_AVG_GRAD, (g,), (*_attrs(*how), ("size", size)))


def _infer(op: str) -> Callable:
    return lambda x, window, strides, padding: _pooled(op, x, window, strides, padding)


_MAX = OpDef("max_pool", ("value",), _infer("max_pool"),
             lower=_lower("max_pool", lambda i, o: i[0], lambda i, o: o[0]), doc="Largest element under each window.",
             vjps=(lambda g, x0, y, window, strides, padding: _max_grad(x0, y, g, window, strides, padding),))
_MAX_GRAD = OpDef("max_pool_grad", ("orig_input", "orig_output", "grad"),
                  lambda x, y, g, window, strides, padding: x,
                  lower=_lower("max_pool_grad", lambda i, o: i[0], lambda i, o: i[1]), doc="Gradient of max_pool.",
                  vjps=(None, None, lambda g, x0, x1, window, strides, padding: _max_pick(
                      x0, x1, g, window, strides, padding)), identity=0)
_MAX_PICK = OpDef("max_pool_pick", ("orig_input", "orig_output", "values"),
                  lambda x, y, v, window, strides, padding: y,
                  lower=_lower("max_pool_pick", lambda i, o: i[0], lambda i, o: i[1]),
                  doc="The values where each window's first largest element is.",
                  vjps=(None, None, lambda g, x0, x1, window, strides, padding: _max_grad(
                      x0, x1, g, window, strides, padding)))
_AVG = OpDef("avg_pool", ("value",), _infer("avg_pool"),
             lower=_lower("avg_pool", lambda i, o: i[0], lambda i, o: o[0]), doc="Mean under each window.",
             vjps=(lambda g, s0, window, strides, padding: _avg_grad(g, s0.shape[1:3], window, strides, padding),))
_AVG_GRAD = OpDef("avg_pool_grad", ("grad",),
                  lambda g, window, strides, padding, size: Spec((g.shape[0], *size, g.shape[3]), g.dtype),
                  lower=_lower("avg_pool_grad", lambda i, o: o[0], lambda i, o: i[0]), doc="Gradient of avg_pool.",
                  vjps=(lambda g, window, strides, padding: _avg(g, window, strides, padding),), identity=0)


def _run(op: OpDef, value: Any, ksize: Any, strides: Any, padding: Any, data_format: Any) -> Any:
    first = layout(op.name, data_format)
    window = pair_argument(op.name, "ksize", ksize, first)
    steps = pair_argument(op.name, "strides", strides, first)
    attrs = _attrs(window, steps, padding_argument(op.name, padding, first, explicit=False))
    x = convert(value)
    if first and x.spec.rank not in (4, None):
        raise InvalidArgumentError(f"{op.name}: value must have rank 4, its shape is {show(x.spec.shape)}")
    return with_layout(first, lambda x: execute(op, (x,), attrs), x)


def max_pool(value: Any = None, ksize: Any = None, strides: Any = None, padding: Any = None, data_format: str = "NHWC",
             name: str | None = None, input: Any = None) -> Any:
    """The largest element under each window.

    Args:
        value: floating tensor [n, h, w, c] (also `input`); [n, c, h, w] with data_format "NCHW".
        ksize, strides: one integer, two, or one per dimension with 1 for batch and channels.
        padding: "SAME" (the border is never the largest) or "VALID".

    Returns: tensor [n, oh, ow, c]; nan where a window holds one. Among equals the gradient goes to the first.
    Raises: InvalidArgumentError for a rank other than 4, a window that does not fit; DTypeError unless floating.

    Example:
        >>> import cltensor as tf
        >>> x = tf.reshape(tf.range(16.), [1, 4, 4, 1])
        >>> tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "VALID").numpy().ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """
    return _run(_MAX, input if value is None else value, ksize, strides, padding, data_format)


def avg_pool(value: Any = None, ksize: Any = None, strides: Any = None, padding: Any = None, data_format: str = "NHWC",
             name: str | None = None, input: Any = None) -> Any:
    """The mean of the elements under each window; with "SAME" those outside the image do not count.

    Arguments, result and errors as for `max_pool`.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.avg_pool(tf.reshape(tf.range(9.), [1, 3, 3, 1]), 2, 2, "SAME").numpy().ravel().tolist()
        [2.0, 3.5, 6.5, 8.0]
    """
    return _run(_AVG, input if value is None else value, ksize, strides, padding, data_format)


def pool(input: Any, window_shape: Any, pooling_type: str, padding: Any, dilation_rate: Any = None, strides: Any = None,
         name: str | None = None, data_format: Any = None) -> Any:
    """`max_pool` or `avg_pool` by name: pooling_type is "MAX" or "AVG"; strides are 1 unless given.

    Raises: InvalidArgumentError for another name; UnimplementedError for a dilation; else as `max_pool`.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.pool([[[[1.], [3.]]]], [1, 2], "AVG", "VALID").numpy().ravel().tolist()
        [2.0]
    """
    kinds = {"MAX": _MAX, "AVG": _AVG}
    if pooling_type not in kinds:
        raise InvalidArgumentError(f"pool: pooling_type must be 'MAX' or 'AVG', it is {pooling_type!r}")
    if dilation_rate is not None and any(r != 1 for r in ([dilation_rate] if isinstance(dilation_rate, int)
                                                          else dilation_rate)):
        raise UnimplementedError(f"pool: dilation_rate {dilation_rate!r} is not offered, only 1")
    return _run(kinds[pooling_type], input, window_shape, 1 if strides is None else strides, padding, data_format)
