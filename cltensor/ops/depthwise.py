"""Convolutions made of conv2d or of one filter per channel: depthwise, separable, atrous, over sequences."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.ops.array import expand_dims, squeeze
from cltensor.ops.conv import How, check_rank, conv2d, tensors_of
from cltensor.ops.conv_rows import by_channel
from cltensor.ops.sized import sized
from cltensor.ops.window import layout

__all__ = ["depthwise_conv2d", "depthwise_conv2d_native", "separable_conv2d", "atrous_conv2d", "conv1d"]


@sized
def depthwise_conv2d(input: Any, filter: Any, strides: Any, padding: Any, rate: Any = None, name: str | None = None,
                     data_format: str | None = None, dilations: Any = None) -> Any:
    """Cross-correlation of each channel with filters of its own.

    Args:
        input: floating tensor [n, h, w, c]; [n, c, h, w] with data_format "NCHW".
        filter: [kh, kw, c, m]: m filters for each channel.
        strides: one integer, two, or one per dimension.
        padding: as for `conv2d`.
        rate, dilations: one integer or two.

    Returns: tensor [n, oh, ow, c * m]; channel c's m results lie side by side.
    Raises: as `conv2d`.

    Example:
        >>> import cltensor as tf
        >>> y = tf.nn.depthwise_conv2d(tf.ones([1, 1, 1, 2]), [[[[1., 2.], [3., 4.]]]], [1, 1, 1, 1], "SAME")
        >>> y.numpy().ravel().tolist()
        [1.0, 2.0, 3.0, 4.0]
    """
    op = "depthwise_conv2d"
    how = How(op, strides, padding, data_format, dilations, rate)
    x, f = tensors_of(input, filter)
    check_rank(op, ("input", x), ("filter", f))
    channels = x.spec.shape[1 if how.first else 3], f.spec.shape[2]
    if None not in channels and channels[0] != channels[1]:
        raise InvalidArgumentError(f"{op}: input and filter differ in channels, {channels[0]} != {channels[1]}: "
                                   f"input has shape {show(x.spec.shape)}, filter has shape {show(f.spec.shape)}")
    return how.around(lambda x: by_channel(x, f, *how.rest), x)


def depthwise_conv2d_native(input: Any, filter: Any, strides: Any, padding: Any, data_format: str | None = "NHWC",
                            dilations: Any = None, name: str | None = None) -> Any:
    """`depthwise_conv2d` with its arguments in another order."""
    return depthwise_conv2d(input, filter, strides, padding, None, name, data_format, dilations)


def separable_conv2d(input: Any, depthwise_filter: Any, pointwise_filter: Any, strides: Any, padding: Any,
                     rate: Any = None, name: str | None = None, data_format: str | None = None) -> Any:
    """A depthwise convolution, then a 1x1 convolution that mixes the channels.

    Args:
        input, strides, padding, rate, data_format: as for `depthwise_conv2d`.
        depthwise_filter: [kh, kw, c, m].
        pointwise_filter: [1, 1, c * m, o].

    Raises: as `conv2d`.

    Example:
        >>> import cltensor as tf
        >>> x = tf.ones([1, 2, 2, 3])
        >>> tf.nn.separable_conv2d(x, tf.ones([2, 2, 3, 1]), tf.ones([1, 1, 3, 5]), [1, 1, 1, 1], "VALID").shape
        TensorShape([1, 1, 1, 5])
    """
    between = depthwise_conv2d(input, depthwise_filter, strides, padding, rate, name, data_format)
    return conv2d(between, pointwise_filter, 1, "VALID", True, data_format or "NHWC")


def atrous_conv2d(value: Any, filters: Any, rate: int, padding: Any, name: str | None = None) -> Any:
    """`conv2d` whose window skips rate - 1 places between its taps.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.atrous_conv2d(tf.ones([1, 5, 5, 1]), tf.ones([3, 3, 1, 1]), 2, "VALID").numpy().ravel().tolist()
        [9.0]
    """
    return conv2d(value, filters, 1, padding, dilations=int(rate))


def conv1d(value: Any, filters: Any = None, stride: Any = None, padding: Any = None, use_cudnn_on_gpu: bool = True,
           data_format: str | None = None, name: str | None = None, input: Any = None, dilations: Any = None) -> Any:
    """Cross-correlation of sequences with a bank of filters.

    Args:
        value: floating tensor [n, w, c] (also `input`); [n, c, w] with data_format "NCW".
        filters: [kw, c, o].
        stride, dilations: an integer.
        padding: "SAME" or "VALID".

    Returns: tensor [n, ow, o].
    Raises: InvalidArgumentError for ranks other than 3, and as `conv2d`.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.conv1d([[[1.], [2.], [3.]]], [[[1.]], [[1.]]], 1, "VALID").numpy().ravel().tolist()
        [3.0, 5.0]
    """
    names = {"NWC": "NHWC", "NCW": "NCHW", "NHWC": "NHWC", "NCHW": "NCHW", None: "NHWC"}
    if data_format not in names:
        raise InvalidArgumentError(f"conv1d: data_format must be 'NWC' or 'NCW', it is {data_format!r}")
    where = names[data_format]
    x, f = tensors_of(input if value is None else value, filters)
    for name_of, t in (("value", x), ("filters", f)):
        if t.spec.rank not in (3, None):
            raise InvalidArgumentError(f"conv1d: {name_of} must have rank 3, its shape is {show(t.spec.shape)}")
    at = 2 if layout("conv1d", where) else 1
    step, rate = (1 if s is None else s if isinstance(s, int) else max(s) for s in (stride, dilations))
    wide = conv2d(expand_dims(x, at), expand_dims(f, 0), (1, int(step)), padding, True, where, (1, int(rate)))
    return squeeze(wide, at)
