"""Constraints: functions applied to a variable's value after each optimizer step."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor
from cltensor.keras.backend import epsilon
from cltensor.ops.functions import relu, sqrt
from cltensor.ops.math import clip_by_value, square
from cltensor.ops.reduce import reduce_sum

__all__ = ["Constraint", "MaxNorm", "NonNeg", "UnitNorm", "max_norm", "non_neg", "unit_norm", "get"]


class Constraint:
    """Base class: a function of a value that returns the value allowed."""

    def __call__(self, w: Any) -> Tensor:
        raise NotImplementedError


class NonNeg(Constraint):
    """No value below 0."""

    def __call__(self, w: Any) -> Tensor:
        return relu(w)


class MaxNorm(Constraint):
    """Vectors along `axis` no longer than max_value.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.constraints.MaxNorm(1.)(tf.constant([[3.], [4.]])).numpy().round(3).T
        array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(self, max_value: float = 2, axis: Any = 0):
        self.max_value, self.axis = float(max_value), axis

    def __call__(self, w: Any) -> Tensor:
        norms = sqrt(reduce_sum(square(w), self.axis, keepdims=True))
        return w * (clip_by_value(norms, 0.0, self.max_value) / (norms + epsilon()))


class UnitNorm(Constraint):
    """Vectors along `axis` of length 1."""

    def __init__(self, axis: Any = 0):
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        return w / (sqrt(reduce_sum(square(w), self.axis, keepdims=True)) + epsilon())


max_norm, non_neg, unit_norm = MaxNorm, NonNeg, UnitNorm


def get(identifier: Any) -> Any:
    """The constraint of a name ("max_norm", "non_neg", "unit_norm"); a callable or None as it is.

    Raises: InvalidArgumentError (a ValueError) for another name.
    """
    if identifier is None or callable(identifier):
        return identifier
    named: dict = {"max_norm": MaxNorm, "MaxNorm": MaxNorm, "non_neg": NonNeg, "NonNeg": NonNeg,
                   "unit_norm": UnitNorm, "UnitNorm": UnitNorm}
    if identifier not in named:
        raise InvalidArgumentError(f"constraints.get: there is no constraint {identifier!r}; there are "
                                   + ", ".join(named))
    return named[identifier]()
