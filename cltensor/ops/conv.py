"""Convolutions of images: conv2d, its two gradients, its transpose.

Rows (conv_rows.py) compute NHWC with HWIO filters; other layouts are transposed around them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.array import integers, reshape, transpose
from cltensor.ops.conv_rows import FULL, by_channel
from cltensor.ops.join import concat, split
from cltensor.ops.window import TO_NHWC, layout, padding_argument, pair_argument, with_layout

__all__ = ["conv2d", "conv2d_backprop_input", "conv2d_backprop_filter", "conv2d_transpose", "How", "tensors_of",
           "check_rank"]


class How:
    """The arguments all public functions share, checked."""

    def __init__(self, op: str, strides: Any, padding: Any, data_format: Any, dilations: Any, rate: Any = None):
        self.first = layout(op, data_format)
        self.strides = pair_argument(op, "strides", 1 if strides is None else strides, self.first)
        rates = dilations if rate is None else rate
        self.dilations = pair_argument(op, "dilations" if rate is None else "rate", 1 if rates is None else rates,
                                       self.first)
        self.padding = padding_argument(op, padding, self.first)

    @property
    def rest(self) -> tuple:
        return self.strides, self.padding, self.dilations

    def nhwc(self, x: Any) -> Any:
        return transpose(x, TO_NHWC) if self.first else x

    def around(self, compute: Callable, x: Any) -> Any:
        return with_layout(self.first, compute, x)


def tensors_of(x: Any, f: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors; a Python value takes the dtype of the other."""
    if hasattr(type(f), "dtype") and not hasattr(type(x), "dtype"):
        f = convert(f)
        return convert(x, f.dtype), f
    x = convert(x)
    return x, convert(f, None if hasattr(type(f), "dtype") else x.dtype)


def check_rank(op: str, *tensors: tuple) -> None:
    """Raises InvalidArgumentError unless every (name, tensor) has rank 4: layouts are moved before a row looks."""
    for name, t in tensors:
        if t.spec.shape is not None and len(t.spec.shape) != 4:
            raise InvalidArgumentError(f"{op}: {name} must have rank 4, its shape is {show(t.spec.shape)}")


def conv2d(input: Any, filter: Any = None, strides: Any = None, padding: Any = None, use_cudnn_on_gpu: bool = True,
           data_format: str = "NHWC", dilations: Any = None, name: str | None = None, filters: Any = None) -> Any:
    """Cross-correlation of images with a bank of filters.

    Args:
        input: floating tensor [n, h, w, c]; [n, c, h, w] with data_format "NCHW" (transposed around the kernel).
        filter: tensor of the same dtype [kh, kw, c, o] (also `filters`). With [kh, kw, c / groups, o], o a multiple of
            groups, each group of input channels meets its own filters.
        strides, dilations: one integer, two, or one per dimension with 1 for batch and channels.
        padding: "SAME", "VALID", or four pairs of how many zeros lie before and after each dimension.
        use_cudnn_on_gpu: accepted for compatibility, without effect.

    Returns: tensor [n, oh, ow, o]. float16 is accumulated in float32.
    Raises: InvalidArgumentError for ranks other than 4, channels that do not fit, a window that does not fit;
        DTypeError unless floating.

    Source: tensorflow.org/api_docs/python/tf/nn/conv2d, of which this is a direct implementation.

    Example:
        >>> import cltensor as tf
        >>> x, f = tf.reshape(tf.range(16.), [1, 4, 4, 1]), tf.ones([3, 3, 1, 1])
        >>> tf.nn.conv2d(x, f, [1, 2, 2, 1], "SAME").numpy().ravel().tolist()
        [45.0, 39.0, 66.0, 50.0]
    """
    how = How("conv2d", strides, padding, data_format, dilations)
    x, f = tensors_of(input, filters if filter is None else filter)
    check_rank("conv2d", ("input", x), ("filter", f))
    return how.around(lambda x: _grouped(x, f, how), x)


def _grouped(x: Any, f: Any, how: How) -> Any:
    c: Any = x.spec.shape[3] if x.spec.shape else None
    own, o = (f.spec.shape or (None,) * 4)[2:]
    if None in (c, own, o) or c == own or own == 0 or c % own or o % (c // own):
        return FULL(x, f, *how.rest)
    if own == 1:
        return by_channel(x, reshape(f, (*f.spec.shape[:2], c, o // c)), *how.rest)
    groups = c // own
    return concat([FULL(part, bank, *how.rest) for part, bank in zip(split(x, groups, 3), split(f, groups, 3))], 3)


def conv2d_backprop_input(input_sizes: Any, filter: Any = None, out_backprop: Any = None, strides: Any = None,
                          padding: Any = None, use_cudnn_on_gpu: bool = True, data_format: str = "NHWC",
                          dilations: Any = None, name: str | None = None, filters: Any = None) -> Any:
    """Gradient of `conv2d` with respect to its input.

    Args:
        input_sizes: the four sizes of the input.
        filter: [kh, kw, c, o].
        out_backprop: gradient of the result.
        strides, padding, data_format, dilations: those of the convolution.

    Raises: InvalidArgumentError when the shapes are not those of one convolution.

    Example:
        >>> import cltensor as tf
        >>> g = tf.nn.conv2d_backprop_input([1, 3, 3, 1], tf.ones([2, 2, 1, 1]), tf.ones([1, 2, 2, 1]), 1, "VALID")
        >>> g.numpy().ravel().tolist()
        [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]
    """
    op = "conv2d_backprop_input"
    how = How(op, strides, padding, data_format, dilations)
    g, f = tensors_of(out_backprop, filters if filter is None else filter)
    check_rank(op, ("out_backprop", g), ("filter", f))
    sizes = _sizes(op, "input_sizes", input_sizes)
    n, h, w, c = (sizes[p] for p in TO_NHWC) if how.first else sizes
    known = (g.spec.shape[0], f.spec.shape[2])
    if any(p is not None and q is not None and p != q for p, q in zip((n, c), known)):
        raise InvalidArgumentError(f"{op}: input_sizes has batch and channels {(n, c)}, out_backprop and filter have "
                                   f"{known}: input_sizes {list(sizes)}, filter has shape {show(f.spec.shape)}")
    return how.around(lambda g: FULL.input_gradient(g, f, (h, w), *how.rest), g)


def _sizes(op: str, name: str, value: Any) -> tuple:
    sizes = integers(op, name, value)
    if len(sizes) != 4:
        raise InvalidArgumentError(f"{op}: {name} must have four entries, it is {value!r:.60}")
    return sizes


def conv2d_backprop_filter(input: Any, filter_sizes: Any, out_backprop: Any, strides: Any = None, padding: Any = None,
                           use_cudnn_on_gpu: bool = True, data_format: str = "NHWC", dilations: Any = None,
                           name: str | None = None) -> Any:
    """Gradient of `conv2d` with respect to its filter.

    Args:
        input: the convolution's input.
        filter_sizes: the four sizes of the filter.
        out_backprop: gradient of the result.
        strides, padding, data_format, dilations: those of the convolution.

    Raises: InvalidArgumentError when the shapes are not those of one convolution.

    Example:
        >>> import cltensor as tf
        >>> x = tf.reshape(tf.range(9.), [1, 3, 3, 1])
        >>> g = tf.nn.conv2d_backprop_filter(x, [2, 2, 1, 1], tf.ones([1, 2, 2, 1]), 1, "VALID")
        >>> g.numpy().ravel().tolist()
        [8.0, 12.0, 20.0, 24.0]
    """
    op = "conv2d_backprop_filter"
    how = How(op, strides, padding, data_format, dilations)
    x, g = tensors_of(input, out_backprop)
    check_rank(op, ("input", x), ("out_backprop", g))
    sizes = _sizes(op, "filter_sizes", filter_sizes)
    x, g = how.nhwc(x), how.nhwc(g)
    known = (x.spec.shape[3], g.spec.shape[3])
    if any(q is not None and p != q for p, q in zip(sizes[2:], known)):
        raise InvalidArgumentError(f"{op}: filter_sizes has channels {sizes[2:]}, input and out_backprop have {known}")
    return FULL.filter_gradient(x, g, sizes[:2], *how.rest)


def conv2d_transpose(value: Any, filter: Any = None, output_shape: Any = None, strides: Any = None,
                     padding: Any = "SAME", data_format: str = "NHWC", name: str | None = None,
                     input: Any = None, filters: Any = None, dilations: Any = None) -> Any:
    """The transpose of `conv2d` as a linear map: its input gradient, used forwards to enlarge images.

    Args:
        value: [n, h, w, c] (also `input`).
        filter: [kh, kw, o, c]: output channels before input channels (also `filters`).
        output_shape: the four sizes of the result.
        strides, padding, data_format, dilations: those of the convolution this transposes.

    Raises: InvalidArgumentError when a convolution of output_shape has not the shape of `value`.

    Example:
        >>> import cltensor as tf
        >>> y = tf.nn.conv2d_transpose(tf.ones([1, 1, 2, 1]), tf.ones([1, 2, 1, 1]), [1, 1, 4, 1], [1, 1, 2, 1])
        >>> y.numpy().ravel().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    return conv2d_backprop_input(output_shape, filters if filter is None else filter, input if value is None else value,
                                 strides, padding, True, data_format, dilations)
