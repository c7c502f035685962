"""Activations that have parameters, as layers: LeakyReLU, PReLU, ELU, ReLU, ThresholdedReLU, Softmax."""

from __future__ import annotations

from typing import Any

from cltensor import initializers
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import TensorShape
from cltensor.core.tensor import Tensor
from cltensor.keras import activations, constraints, regularizers
from cltensor.keras.layer import Layer
from cltensor.ops.functions import leaky_relu, relu
from cltensor.ops.math import minimum

__all__ = ["LeakyReLU", "PReLU", "ELU", "ReLU", "ThresholdedReLU", "Softmax"]


class _SameShape(Layer):
    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)


class LeakyReLU(_SameShape):
    """x above 0, alpha * x below.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.LeakyReLU(alpha=0.5)([-2., 3.]).numpy().tolist()
        [-1.0, 3.0]
    """

    def __init__(self, alpha: float = 0.3, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha = float(alpha)

    def call(self, inputs: Any) -> Tensor:
        return leaky_relu(inputs, self.alpha)


class PReLU(_SameShape):
    """x above 0, alpha * x below, alpha being learned (He et al. 2015).

    Args:
        alpha_initializer: zeros unless given.
        shared_axes: dimensions along which alpha is the same; the batch, number 0, always is.
    """

    def __init__(self, alpha_initializer: Any = "zeros", alpha_regularizer: Any = None, alpha_constraint: Any = None,
                 shared_axes: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or ())

    def build(self, input_shape: Any) -> None:
        dims = TensorShape(input_shape).as_list()[1:]
        for axis in self.shared_axes:
            dims[axis - 1] = 1
        self.alpha = self.add_variable("alpha", dims, None, self.alpha_initializer, self.alpha_regularizer,
                                       constraint=self.alpha_constraint)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return relu(inputs) + minimum(inputs, 0.0) * self.alpha


class ELU(_SameShape):
    """x above 0, alpha * (exp(x) - 1) below."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha = float(alpha)

    def call(self, inputs: Any) -> Tensor:
        return activations.elu(inputs, self.alpha)


class ReLU(_SameShape):
    """max(x, 0), at most max_value.

    Raises: InvalidArgumentError for a negative max_value or slope.
    """

    def __init__(self, max_value: Any = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        if (max_value is not None and max_value < 0) or negative_slope < 0:
            raise InvalidArgumentError(f"ReLU: max_value and negative_slope must not be negative, they are {max_value} "
                                       f"and {negative_slope}")
        self.max_value, self.negative_slope, self.threshold = max_value, float(negative_slope), float(threshold)

    def call(self, inputs: Any) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class ThresholdedReLU(_SameShape):
    """x above theta, else 0."""

    def __init__(self, theta: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.theta = float(theta)

    def call(self, inputs: Any) -> Tensor:
        return activations.relu(inputs, threshold=self.theta)


class Softmax(_SameShape):
    """exp(x) / sum(exp(x)) along an axis, the last unless given."""

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Tensor:
        return activations.softmax(inputs, self.axis)
