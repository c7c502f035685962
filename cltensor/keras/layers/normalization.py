"""BatchNormalization and LayerNormalization."""

from __future__ import annotations

from typing import Any

from cltensor import initializers
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import TensorShape, normalize_axis
from cltensor.core.tensor import Tensor
from cltensor.keras import constraints, regularizers
from cltensor.keras.inputs import InputSpec, single
from cltensor.keras.layer import Layer
from cltensor.ops.array import reshape
from cltensor.ops.functions import rsqrt
from cltensor.ops.nn import moments
from cltensor.train.moving_averages import assign_moving_average

__all__ = ["BatchNormalization", "LayerNormalization"]


class BatchNormalization(Layer):
    """Each channel shifted and scaled to mean 0 and variance 1, then by gamma and beta (Ioffe and Szegedy 2015).

    With `training=True` mean and variance (divided by n) are those of the batch, and the moving statistics
    follow them: moving = momentum * moving + (1 - momentum) * batch. Else the moving statistics are used.

    Args:
        axis: the dimension of the channels.
        momentum, epsilon: numbers.
        center, scale: whether there is a beta, a gamma.

    Raises: InvalidArgumentError for an axis out of range, or another number of channels than before.

    Example:
        >>> import cltensor as tf
        >>> layer = tf.keras.layers.BatchNormalization()
        >>> print(layer(tf.constant([[1.], [3.]]), training=True).numpy().round(4).T)
        [[-0.9995  0.9995]]
        >>> [v.name for v in layer.non_trainable_variables]
        ['batch_normalization/moving_mean:0', 'batch_normalization/moving_variance:0']
    """

    def __init__(self, axis: Any = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True,
                 scale: bool = True, beta_initializer: Any = "zeros", gamma_initializer: Any = "ones",
                 moving_mean_initializer: Any = "zeros", moving_variance_initializer: Any = "ones",
                 beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
                 gamma_constraint: Any = None, fused: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = int(axis[0] if isinstance(axis, (list, tuple)) else axis)
        self.momentum, self.epsilon, self.center, self.scale = float(momentum), float(epsilon), center, scale
        self._make = {
            "gamma": (gamma_initializer, regularizers.get(gamma_regularizer), constraints.get(gamma_constraint)),
            "beta": (beta_initializer, regularizers.get(beta_regularizer), constraints.get(beta_constraint)),
            "moving_mean": (moving_mean_initializer, None, None),
            "moving_variance": (moving_variance_initializer, None, None)}

    _untracked = ("_make",)

    def build(self, input_shape: Any) -> None:
        shape = TensorShape(input_shape)
        at = normalize_axis(self.name, self.axis, len(shape))
        if shape[at] is None:
            raise InvalidArgumentError(f"{self.name}: dimension {at} of the input, the channels, must be known, its "
                                       f"shape is {shape}")
        n = int(shape[at])

        def add(name: str, trainable: bool) -> Any:
            initializer, regularizer, constraint = self._make[name]
            return self.add_variable(name, [n], None, initializers.get(initializer), regularizer, trainable, constraint)
        self.gamma = add("gamma", True) if self.scale else None
        self.beta = add("beta", True) if self.center else None
        self.moving_mean = add("moving_mean", False)
        self.moving_variance = add("moving_variance", False)
        self.input_spec = InputSpec(ndim=shape.ndims, axes={at: n})
        self.built = True

    def call(self, inputs: Any, training: Any = None) -> Tensor:
        x = single(self.name, inputs)
        rank = len(x.spec.shape)
        at = self.axis % rank
        if training is not None and bool(training):
            mean, variance = moments(x, [i for i in range(rank) if i != at])
            if x.spec.size != 0:            # None while it is open
                assign_moving_average(self.moving_mean, mean, self.momentum)
                assign_moving_average(self.moving_variance, variance, self.momentum)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        factor = rsqrt(variance + self.epsilon)
        if self.scale:
            factor = factor * self.gamma
        shift = mean * factor
        shift = self.beta - shift if self.center else -shift
        if at != rank - 1:
            column = (x.spec.shape[at],) + (1,) * (rank - 1 - at)
            factor, shift = reshape(factor, column), reshape(shift, column)
        return x * factor + shift

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)


class LayerNormalization(Layer):
    """Each example shifted and scaled to mean 0 and variance 1 along an axis, then by gamma and beta (Ba et al. 2016).

    Args:
        axis: the dimension to normalise, the last unless given.
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.

    Example:
        >>> import cltensor as tf
        >>> print(tf.keras.layers.LayerNormalization()([[1., 3.]]).numpy().round(2))
        [[-1.  1.]]
    """

    def __init__(self, axis: int = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", **kwargs: Any):
        super().__init__(**kwargs)
        self.axis, self.epsilon, self.center, self.scale = int(axis), float(epsilon), center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)

    def build(self, input_shape: Any) -> None:
        shape = TensorShape(input_shape)
        at = normalize_axis(self.name, self.axis, len(shape))
        n = int(shape[at])
        self.gamma = self.add_variable("gamma", [n], None, self.gamma_initializer) if self.scale else None
        self.beta = self.add_variable("beta", [n], None, self.beta_initializer) if self.center else None
        self.input_spec = InputSpec(ndim=shape.ndims, axes={at: n})
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        x = single(self.name, inputs)
        rank = len(x.spec.shape)
        at = self.axis % rank
        mean, variance = moments(x, [at], keep_dims=True)
        y = (x - mean) * rsqrt(variance + self.epsilon)
        column = (x.spec.shape[at],) + (1,) * (rank - 1 - at)
        if self.scale:
            y = y * reshape(self.gamma, column)
        return y + reshape(self.beta, column) if self.center else y

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)
