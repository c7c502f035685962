"""Layers that move elements and change none: Flatten, Reshape, Permute, RepeatVector; and global pooling."""

from __future__ import annotations

from math import prod
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core.tensor import Tensor
from cltensor.keras.inputs import InputSpec, single
from cltensor.keras.layer import Layer
from cltensor.ops.array import expand_dims, reshape, tile, transpose
from cltensor.ops.reduce import reduce_max, reduce_mean

__all__ = ["Flatten", "Reshape", "Permute", "RepeatVector", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
           "GlobalMaxPooling1D", "GlobalMaxPooling2D"]


class Flatten(Layer):
    """All dimensions but the batch as one.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Flatten()(tf.zeros([2, 3, 4])).shape
        TensorShape([2, 12])
    """

    def __init__(self, data_format: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = data_format
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Tensor:
        shape = single(self.name, inputs).spec.shape
        if self.data_format == "channels_first" and len(shape) > 2:
            inputs = transpose(inputs, (0, *range(2, len(shape)), 1))
        return reshape(inputs, (shape[0], prod(shape[1:])))

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        return TensorShape([dims[0], None if None in dims[1:] else prod(dims[1:])])


class Reshape(Layer):
    """Another shape, the batch kept; one size may be -1.

    Args:
        target_shape: without the batch.

    Raises: InvalidArgumentError when the elements do not fill it.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Reshape((2, -1))(tf.zeros([3, 8])).shape
        TensorShape([3, 2, 4])
    """

    def __init__(self, target_shape: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.target_shape = tuple(int(d) for d in target_shape)
        if sum(d == -1 for d in self.target_shape) > 1:
            raise InvalidArgumentError(f"Reshape: target_shape {show(self.target_shape)} may hold one -1")

    def _target(self, shape: Any) -> tuple:
        known = prod(d for d in self.target_shape if d != -1)
        n = prod(shape)
        if (-1 in self.target_shape and (known == 0 or n % known)) or (-1 not in self.target_shape and n != known):
            raise InvalidArgumentError(f"{self.name}: {n} elements of shape {show(shape)} do not fill target_shape "
                                       f"{show(self.target_shape)}")
        return tuple(n // known if d == -1 else d for d in self.target_shape)

    def call(self, inputs: Any) -> Tensor:
        shape = single(self.name, inputs).spec.shape
        return reshape(inputs, (shape[0], *self._target(shape[1:])))

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        if None in dims[1:]:
            return TensorShape([dims[0], *(None if d == -1 else d for d in self.target_shape)])
        return TensorShape([dims[0], *self._target(tuple(dims[1:]))])


class Permute(Layer):
    """Dimensions in another order; the batch, number 0, stays.

    Args:
        dims: a permutation of 1, ..., rank - 1.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Permute((2, 1))(tf.zeros([5, 2, 3])).shape
        TensorShape([5, 3, 2])
    """

    def __init__(self, dims: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.dims = tuple(int(d) for d in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise InvalidArgumentError(f"Permute: dims must be a permutation of 1 to {len(self.dims)}, they are "
                                       f"{show(self.dims)}")
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Tensor:
        return transpose(single(self.name, inputs), (0, *self.dims))

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        return TensorShape([dims[0], *(dims[d] for d in self.dims)])


class RepeatVector(Layer):
    """(batch, n) to (batch, times, n).

    Args:
        n: how many times.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.RepeatVector(2)([[1., 2.]]).numpy().tolist()
        [[[1.0, 2.0], [1.0, 2.0]]]
    """

    def __init__(self, n: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.n = int(n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Tensor:
        return tile(expand_dims(inputs, 1), (1, self.n, 1))

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        batch, size = TensorShape(input_shape).as_list()
        return TensorShape([batch, self.n, size])


class _GlobalPooling(Layer):
    _rank = 0
    _reduce: Any = None

    def __init__(self, data_format: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        first = data_format == "channels_first"
        self.data_format = data_format
        self._axes = tuple(range(2, self._rank)) if first else tuple(range(1, self._rank - 1))
        self._channels = 1 if first else self._rank - 1
        self.input_spec = InputSpec(ndim=self._rank)

    def call(self, inputs: Any) -> Tensor:
        return type(self)._reduce(inputs, self._axes)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        return TensorShape([dims[0], dims[self._channels]])


class GlobalAveragePooling1D(_GlobalPooling):
    """Mean over the steps of (batch, steps, channels)."""

    _rank, _reduce = 3, staticmethod(reduce_mean)


class GlobalMaxPooling1D(_GlobalPooling):
    """Maximum over the steps of (batch, steps, channels)."""

    _rank, _reduce = 3, staticmethod(reduce_max)


class GlobalAveragePooling2D(_GlobalPooling):
    """Mean over the pixels of (batch, height, width, channels).

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.GlobalAveragePooling2D()(tf.ones([2, 4, 4, 3])).shape
        TensorShape([2, 3])
    """

    _rank, _reduce = 4, staticmethod(reduce_mean)


class GlobalMaxPooling2D(_GlobalPooling):
    """Maximum over the pixels of (batch, height, width, channels)."""

    _rank, _reduce = 4, staticmethod(reduce_max)
