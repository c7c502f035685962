"""Pooling layers over windows: MaxPooling2D, AveragePooling2D, and over sequences; global ones are in shaping.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.shapes import TensorShape
from cltensor.core.tensor import Tensor
from cltensor.keras.inputs import InputSpec, single
from cltensor.keras.layer import Layer
from cltensor.ops.array import expand_dims, squeeze
from cltensor.ops.pool import avg_pool, max_pool
from cltensor.ops.window import layout, padding_argument, pair_argument, slide

__all__ = ["AveragePooling1D", "AveragePooling2D", "AvgPool2D", "MaxPool2D", "MaxPooling1D", "MaxPooling2D"]


class _Pooling(Layer):
    _spatial = 2
    _pool: Callable

    def __init__(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: Any = None,
                 **kwargs: Any):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self._first = layout(kind, data_format)
        self.data_format = data_format
        self.pool_size = self._pair(kind, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else self._pair(kind, "strides", strides)
        self.padding = str(padding).lower()
        self._padding = padding_argument(kind, padding, self._first, explicit=False)
        self.input_spec = InputSpec(ndim=self._spatial + 2)

    _untracked = ("pool_size", "strides")

    def _pair(self, kind: str, name: str, value: Any) -> tuple:
        if self._spatial == 2:
            return pair_argument(kind, name, tuple(value) if isinstance(value, (list, tuple)) else value, False)
        one = value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
        return 1, pair_argument(kind, name, one, False)[1]

    def call(self, inputs: Any) -> Tensor:
        x = single(self.name, inputs)
        how = (self.pool_size, self.strides, self._padding, "NCHW" if self._first else "NHWC")
        if self._spatial == 2:
            return type(self)._pool(x, *how)
        at = 2 if self._first else 1
        return squeeze(type(self)._pool(expand_dims(x, at), *how), at)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape).as_list()
        start = 2 if self._first else 1
        for i, axis in enumerate(range(2 - self._spatial, 2)):
            shape[start + i] = slide(self.name, shape[start + i], self.pool_size[axis], self.strides[axis],
                                     self._padding, 1, axis, tuple(shape))[0]
        return TensorShape(shape)


class MaxPooling2D(_Pooling):
    """The largest element under each window.

    Args:
        pool_size: an integer or a pair.
        strides: the same; pool_size unless given.
        padding: "valid" or "same".
        data_format: "channels_last" (default) or "channels_first".

    Input: floating tensor (n, h, w, c). Output: (n, oh, ow, c).

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.MaxPooling2D()(tf.zeros([1, 5, 4, 3])).shape
        TensorShape([1, 2, 2, 3])
    """

    _pool = staticmethod(max_pool)


class AveragePooling2D(_Pooling):
    """The mean under each window; with "same" the border does not count. Arguments as for MaxPooling2D.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.AveragePooling2D(2, padding="same")(tf.ones([1, 3, 3, 1])).numpy().ravel().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    _pool = staticmethod(avg_pool)


class MaxPooling1D(_Pooling):
    """The largest of each `pool_size` steps of (n, steps, c). Arguments as for MaxPooling2D, integers.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.MaxPooling1D(2)([[[1.], [5.], [3.], [2.]]]).numpy().ravel().tolist()
        [5.0, 3.0]
    """

    _spatial, _pool = 1, staticmethod(max_pool)


class AveragePooling1D(_Pooling):
    """The mean of each `pool_size` steps of (n, steps, c). Arguments as for MaxPooling2D, integers."""

    _spatial, _pool = 1, staticmethod(avg_pool)


MaxPool2D, AvgPool2D = MaxPooling2D, AveragePooling2D
