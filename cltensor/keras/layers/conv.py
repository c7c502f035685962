"""Convolution layers: Conv2D, Conv1D, Conv2DTranspose, DepthwiseConv2D, SeparableConv2D."""

from __future__ import annotations

from typing import Any

from cltensor import initializers
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import TensorShape
from cltensor.core.tensor import Tensor
from cltensor.keras import activations, constraints, regularizers
from cltensor.keras.inputs import InputSpec, single
from cltensor.keras.layer import Layer
from cltensor.ops.array import expand_dims, squeeze
from cltensor.ops.conv import conv2d
from cltensor.ops.conv_rows import FULL
from cltensor.ops.depthwise import depthwise_conv2d
from cltensor.ops.nn import bias_add
from cltensor.ops.slicing import pad
from cltensor.ops.window import layout, padding_argument, pair_argument, slide, with_layout

__all__ = ["Conv1D", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D"]


class _Convolution(Layer):
    """What convolutions of images share: their geometry, and activation(filtered + bias)."""

    _spatial = 2
    _kernels: tuple = ("kernel",)
    kernel: Any
    depthwise_kernel: Any
    pointwise_kernel: Any
    bias: Any

    def __init__(self, filters: int | None, kernel_size: Any, strides: Any, padding: str, data_format: Any,
                 dilation_rate: Any, activation: Any, use_bias: bool, settings: dict, activity_regularizer: Any,
                 kwargs: dict):
        super().__init__(activity_regularizer=regularizers.get(activity_regularizer), **kwargs)
        kind = type(self).__name__
        if filters is not None and int(filters) < 1:
            raise InvalidArgumentError(f"{kind}: filters must be positive, they are {filters}")
        self.filters = None if filters is None else int(filters)
        self.kernel_size = self._places(kind, "kernel_size", kernel_size)
        self.strides = self._places(kind, "strides", strides)
        self.dilation_rate = self._places(kind, "dilation_rate", dilation_rate)
        self.data_format = data_format
        self._first = layout(kind, data_format)
        self.padding = str(padding).lower()
        self._padding = "VALID" if self.padding == "causal" and self._spatial == 1 else padding_argument(
            kind, padding, self._first, explicit=False)
        self.activation, self.use_bias = activations.get(activation), use_bias
        self._settings = settings

    _untracked = ("_settings", "kernel_size", "strides", "dilation_rate")

    def _places(self, kind: str, name: str, value: Any) -> tuple:
        if self._spatial == 1:
            given = (value,) if isinstance(value, int) else tuple(value)
            if len(given) != 1:
                raise InvalidArgumentError(f"{kind}: {name} must be one positive integer, it is {value!r}")
            return 1, pair_argument(kind, name, int(given[0]), False)[1]
        return pair_argument(kind, name, tuple(value) if isinstance(value, (list, tuple)) else value, False)

    @property
    def _channel_axis(self) -> int:
        return 1 if self._first else self._spatial + 1

    def _add(self, name: str, shape: tuple) -> Any:
        key = name.removesuffix("_kernel")
        return self.add_variable(name, list(shape), None, initializers.get(self._settings[f"{key}_initializer"]),
                                 regularizers.get(self._settings.get(f"{key}_regularizer")),
                                 constraint=constraints.get(self._settings.get(f"{key}_constraint")))

    def _shapes(self, channels: int) -> dict:
        """Shapes of the kernels for an input with so many channels."""
        return {"kernel": (*self.kernel_size, channels, self.filters)}

    def _outputs(self, channels: int) -> int:
        assert self.filters is not None
        return self.filters

    def build(self, input_shape: Any) -> None:
        shape, rank = TensorShape(input_shape), self._spatial + 2
        if shape.ndims != rank:
            raise InvalidArgumentError(f"{self.name}: the input must have rank {rank}, its shape is {shape}")
        if shape[self._channel_axis] is None:
            raise InvalidArgumentError(f"{self.name}: dimension {self._channel_axis} of the input, the channels, must "
                                       f"be known, its shape is {shape}")
        channels = int(shape[self._channel_axis])
        for name, wanted in self._shapes(channels).items():
            setattr(self, name, self._add(name, wanted[2 - self._spatial:]))
        self.bias = self._add("bias", (self._outputs(channels),)) if self.use_bias else None
        self.input_spec = InputSpec(ndim=rank, axes={self._channel_axis: channels})
        self.built = True

    def _filtered(self, x: Any) -> Any:
        return conv2d(x, self.kernel, self.strides, self._padding, True, "NCHW" if self._first else "NHWC",
                      self.dilation_rate)

    def call(self, inputs: Any) -> Tensor:
        x, own = single(self.name, inputs), getattr(self, self._kernels[0]).dtype
        if x.dtype is not own:
            raise DTypeError(f"{self.name}: the input has dtype {x.dtype.name}, the layer {own.name}; use cast, or "
                             "make the layer with dtype=")
        y = self._filtered(x)
        if self.use_bias:
            y = bias_add(y, self.bias, "NCHW" if self._first else "NHWC")
        return self.activation(y)

    def _output_size(self, size: Any, axis: int, shape: Any) -> Any:
        return slide(self.name, size, self.kernel_size[axis], self.strides[axis], self._padding,
                     self.dilation_rate[axis], axis, shape)[0]

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape).as_list()
        at = self._channel_axis
        sizes = shape[2:] if self._first else shape[1:-1]
        axes = range(2 - self._spatial, 2)
        out = [self._output_size(size, axis, shape) for axis, size in zip(axes, sizes)]
        channels = self._outputs(shape[at])
        return TensorShape([shape[0], channels, *out] if self._first else [shape[0], *out, channels])


class Conv2D(_Convolution):
    """activation(image convolved with the kernel + bias).

    Args:
        filters: number of output channels.
        kernel_size, strides, dilation_rate: an integer or a pair, along height and width.
        padding: "valid" or "same".
        data_format: "channels_last" (default) or "channels_first".
        activation: name or function; none unless given.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: names or callables; glorot uniform and zeros.
        *_regularizer, *_constraint: as for Dense.

    Input: floating tensor (n, h, w, c). Output: (n, oh, ow, filters).
    Raises: InvalidArgumentError for a rank other than 4, other channels than the first input had, a window that
        does not fit.

    Example:
        >>> import cltensor as tf
        >>> layer = tf.keras.layers.Conv2D(8, 3, activation="relu")
        >>> layer(tf.zeros([2, 28, 28, 1])).shape, [v.shape for v in layer.variables]
        (TensorShape([2, 26, 26, 8]), [TensorShape([3, 3, 1, 8]), TensorShape([8])])
    """

    def __init__(self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
                 data_format: Any = None, dilation_rate: Any = (1, 1), activation: Any = None, use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, bias_constraint: Any = None, **kwargs: Any):
        super().__init__(filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint}, activity_regularizer, kwargs)


class Conv1D(Conv2D):
    """activation(sequence convolved with the kernel + bias).

    Args:
        filters, kernel_size, strides, dilation_rate: integers.
        padding: "valid", "same", or "causal": step t of the output sees no later step of the input.
        All others: as for Conv2D.

    Input: floating tensor (n, steps, c). Output: (n, new steps, filters).

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Conv1D(4, 3, padding="causal")(tf.zeros([2, 7, 5])).shape
        TensorShape([2, 7, 4])
    """

    _spatial = 1

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                 data_format: Any = None, dilation_rate: Any = 1, **kwargs: Any):
        super().__init__(filters, kernel_size, strides, padding, data_format, dilation_rate, **kwargs)

    def _before(self) -> int:
        return (self.kernel_size[1] - 1) * self.dilation_rate[1] if self.padding == "causal" else 0

    def _filtered(self, x: Any) -> Any:
        before = self._before()
        if before:
            x = pad(x, [[0, 0], [0, 0], [before, 0]] if self._first else [[0, 0], [before, 0], [0, 0]])
        at = 2 if self._first else 1
        wide = conv2d(expand_dims(x, at), expand_dims(self.kernel, 0), self.strides, self._padding, True,
                      "NCHW" if self._first else "NHWC", self.dilation_rate)
        return squeeze(wide, at)

    def _output_size(self, size: Any, axis: int, shape: Any) -> Any:
        return super()._output_size(None if size is None else size + self._before(), axis, shape)


class Conv2DTranspose(Conv2D):
    """The transpose of a convolution, from the shape of its output to that of its input: enlarges images.

    Args: as for Conv2D; sizes become size * stride ("same"), or size * stride + max(kernel - stride, 0) ("valid").

    Example:
        >>> import cltensor as tf
        >>> layer = tf.keras.layers.Conv2DTranspose(3, 5, strides=2, padding="same")
        >>> layer(tf.zeros([2, 7, 7, 8])).shape, layer.kernel.shape
        (TensorShape([2, 14, 14, 3]), TensorShape([5, 5, 3, 8]))
    """

    def _shapes(self, channels: int) -> dict:
        return {"kernel": (*self.kernel_size, self.filters, channels)}

    def _output_size(self, size: Any, axis: int, shape: Any) -> Any:
        if size is None:
            return None
        kernel, stride = (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1, self.strides[axis]
        return size * stride + (max(kernel - stride, 0) if self._padding == "VALID" else 0)

    def _filtered(self, x: Any) -> Any:
        def grow(x: Any) -> Any:
            size = tuple(self._output_size(x.spec.shape[1 + axis], axis, x.spec.shape) for axis in (0, 1))
            return FULL.input_gradient(x, self.kernel, size, self.strides, self._padding, self.dilation_rate)
        return with_layout(self._first, grow, x)


class DepthwiseConv2D(_Convolution):
    """activation(each channel convolved with kernels of its own + bias).

    Args:
        kernel_size, strides, padding, data_format, activation, use_bias, dilation_rate: as for Conv2D.
        depth_multiplier: kernels for each channel.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: of the kernel.

    Input: (n, h, w, c). Output: (n, oh, ow, c * depth_multiplier).

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.DepthwiseConv2D(3, depth_multiplier=2)(tf.zeros([1, 5, 5, 4])).shape
        TensorShape([1, 3, 3, 8])
    """

    _kernels = ("depthwise_kernel",)

    def __init__(self, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid", depth_multiplier: int = 1,
                 data_format: Any = None, activation: Any = None, use_bias: bool = True,
                 depthwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 depthwise_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 depthwise_constraint: Any = None, bias_constraint: Any = None, dilation_rate: Any = (1, 1),
                 **kwargs: Any):
        super().__init__(None, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, {
            "depthwise_initializer": depthwise_initializer, "bias_initializer": bias_initializer,
            "depthwise_regularizer": depthwise_regularizer, "bias_regularizer": bias_regularizer,
            "depthwise_constraint": depthwise_constraint, "bias_constraint": bias_constraint}, activity_regularizer,
            kwargs)
        self.depth_multiplier = int(depth_multiplier)

    def _shapes(self, channels: int) -> dict:
        return {"depthwise_kernel": (*self.kernel_size, channels, self.depth_multiplier)}

    def _outputs(self, channels: int) -> int:
        return channels * self.depth_multiplier

    def _filtered(self, x: Any) -> Any:
        return depthwise_conv2d(x, self.depthwise_kernel, self.strides, self._padding, None, None,
                                "NCHW" if self._first else "NHWC", self.dilation_rate)


class SeparableConv2D(_Convolution):
    """A depthwise convolution, then a 1x1 convolution that mixes the channels, then bias and activation.

    Args: as for Conv2D, with depth_multiplier, and depthwise_* and pointwise_* in place of kernel_*.

    Example:
        >>> import cltensor as tf
        >>> layer = tf.keras.layers.SeparableConv2D(6, 3)
        >>> layer(tf.zeros([1, 5, 5, 4])).shape, [v.shape for v in layer.variables][:2]
        (TensorShape([1, 3, 3, 6]), [TensorShape([3, 3, 4, 1]), TensorShape([1, 1, 4, 6])])
    """

    _kernels = ("depthwise_kernel", "pointwise_kernel")

    def __init__(self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
                 data_format: Any = None, dilation_rate: Any = (1, 1), depth_multiplier: int = 1,
                 activation: Any = None, use_bias: bool = True, depthwise_initializer: Any = "glorot_uniform",
                 pointwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 depthwise_regularizer: Any = None, pointwise_regularizer: Any = None, bias_regularizer: Any = None,
                 activity_regularizer: Any = None, depthwise_constraint: Any = None, pointwise_constraint: Any = None,
                 bias_constraint: Any = None, **kwargs: Any):
        super().__init__(filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, {
            "depthwise_initializer": depthwise_initializer, "pointwise_initializer": pointwise_initializer,
            "bias_initializer": bias_initializer, "depthwise_regularizer": depthwise_regularizer,
            "pointwise_regularizer": pointwise_regularizer, "bias_regularizer": bias_regularizer,
            "depthwise_constraint": depthwise_constraint, "pointwise_constraint": pointwise_constraint,
            "bias_constraint": bias_constraint}, activity_regularizer, kwargs)
        self.depth_multiplier = int(depth_multiplier)

    def _shapes(self, channels: int) -> dict:
        between = channels * self.depth_multiplier
        return {"depthwise_kernel": (*self.kernel_size, channels, self.depth_multiplier),
                "pointwise_kernel": (1, 1, between, self.filters)}

    def _filtered(self, x: Any) -> Any:
        where = "NCHW" if self._first else "NHWC"
        between = depthwise_conv2d(x, self.depthwise_kernel, self.strides, self._padding, None, None, where,
                                   self.dilation_rate)
        return conv2d(between, self.pointwise_kernel, 1, "VALID", True, where)
