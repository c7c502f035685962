"""Layers that change the size of images without weights: ZeroPadding2D, Cropping2D, UpSampling2D."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import InvalidArgumentError, UnimplementedError
from cltensor.base.shapes import TensorShape
from cltensor.core.tensor import Tensor
from cltensor.keras.inputs import InputSpec, single
from cltensor.keras.layer import Layer
from cltensor.ops.array import broadcast_to, reshape
from cltensor.ops.slicing import pad, slice
from cltensor.ops.window import layout, pair_argument, with_layout

__all__ = ["Cropping2D", "UpSampling2D", "ZeroPadding2D"]


def _borders(kind: str, name: str, value: Any) -> tuple:
    """((top, bottom), (left, right)) from a number, a pair of numbers, or a pair of pairs."""
    if isinstance(value, int):
        value = (value, value)
    value = tuple(value)
    if len(value) == 2:
        pairs = tuple((v, v) if isinstance(v, int) else tuple(v) for v in value)
        if all(len(p) == 2 and all(isinstance(n, int) and n >= 0 for n in p) for p in pairs):
            return pairs
    raise InvalidArgumentError(f"{kind}: {name} must be a non-negative integer, a pair, or a pair of pairs, it is "
                               f"{value!r}")


class _Border(Layer):
    """Adds to or takes from the four sides of images."""

    _sign = 1
    _argument = "padding"
    _untracked = ("_sides",)

    def __init__(self, value: Any, data_format: Any, kwargs: dict):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self._sides = _borders(kind, self._argument, value)
        self._first, self.data_format = layout(kind, data_format), data_format
        self.input_spec = InputSpec(ndim=4)

    @property
    def _all(self) -> list:
        return [(0, 0), (0, 0), *self._sides] if self._first else [(0, 0), *self._sides, (0, 0)]

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape([None if d is None else d + self._sign * (a + b)
                            for d, (a, b) in zip(TensorShape(input_shape).as_list(), self._all)])


class ZeroPadding2D(_Border):
    """Zeros around images.

    Args:
        padding: an integer; a pair, for height and width; or ((top, bottom), (left, right)).
        data_format: "channels_last" (default) or "channels_first".

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.ZeroPadding2D(((1, 0), (2, 2)))(tf.ones([1, 3, 3, 2])).shape
        TensorShape([1, 4, 7, 2])
    """

    def __init__(self, padding: Any = (1, 1), data_format: Any = None, **kwargs: Any):
        super().__init__(padding, data_format, kwargs)

    def call(self, inputs: Any) -> Tensor:
        return pad(single(self.name, inputs), self._all)


class Cropping2D(_Border):
    """Images without rows and columns at their sides.

    Args:
        cropping: an integer; a pair, for height and width; or ((top, bottom), (left, right)).
        data_format: "channels_last" (default) or "channels_first".

    Raises: InvalidArgumentError when more is cropped than there is.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Cropping2D(1)(tf.ones([1, 3, 4, 2])).shape
        TensorShape([1, 1, 2, 2])
    """

    _sign, _argument = -1, "cropping"

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: Any = None, **kwargs: Any):
        super().__init__(cropping, data_format, kwargs)

    def call(self, inputs: Any) -> Tensor:
        x = single(self.name, inputs)
        sizes = [None if d is None else d - a - b for d, (a, b) in zip(x.spec.shape, self._all)]
        if any(d is not None and d < 0 for d in sizes):
            raise InvalidArgumentError(f"{self.name}: cropping {self._sides} takes more than there is: the input has "
                                       f"shape {x.shape}")
        return slice(x, [a for a, _ in self._all], [-1 if d is None else d for d in sizes])


class UpSampling2D(Layer):
    """Every pixel repeated: size[0] times downwards, size[1] times across.

    Args:
        size: an integer or a pair.
        data_format: "channels_last" (default) or "channels_first".
        interpolation: "nearest".

    Raises: UnimplementedError for another interpolation.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.UpSampling2D((1, 2))([[[[1.], [2.]]]]).numpy().ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    _untracked = ("size",)

    def __init__(self, size: Any = (2, 2), data_format: Any = None, interpolation: str = "nearest", **kwargs: Any):
        super().__init__(**kwargs)
        if interpolation != "nearest":
            raise UnimplementedError(f"UpSampling2D: interpolation {interpolation!r} is not offered, only 'nearest'")
        pair = tuple(size) if isinstance(size, (list, tuple)) else size
        self.size = pair_argument("UpSampling2D", "size", pair, False)
        self._first = layout("UpSampling2D", data_format)
        self.data_format, self.interpolation = data_format, interpolation
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: Any) -> Tensor:
        down, across = self.size

        def grow(x: Any) -> Any:
            n, h, w, c = x.spec.shape
            wide = broadcast_to(reshape(x, (n, h, 1, w, 1, c)), (n, h, down, w, across, c))
            return reshape(wide, (n, h * down, w * across, c))
        return with_layout(self._first, grow, single(self.name, inputs))

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape).as_list()
        at = 2 if self._first else 1
        for i in (0, 1):
            shape[at + i] = None if shape[at + i] is None else shape[at + i] * self.size[i]
        return TensorShape(shape)
