"""tf.keras.optimizers: Keras' names and defaults for the optimizers of tf.train."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.train.optimizer import Optimizer
from cltensor.train.optimizers import (
    AdadeltaOptimizer,
    AdagradOptimizer,
    AdamOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    RMSPropOptimizer,
)

__all__ = ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "get"]


def SGD(lr: Any = 0.01, momentum: float = 0.0, nesterov: bool = False) -> Optimizer:
    """Gradient descent, with momentum if it is not 0."""
    if not momentum:
        return GradientDescentOptimizer(lr)
    return MomentumOptimizer(lr, momentum, use_nesterov=nesterov)


def RMSprop(lr: Any = 0.001, rho: float = 0.9, epsilon: float = 1e-7) -> Optimizer:
    """tf.train.RMSPropOptimizer."""
    return RMSPropOptimizer(lr, rho, epsilon=epsilon)


def Adagrad(lr: Any = 0.01) -> Optimizer:
    """tf.train.AdagradOptimizer."""
    return AdagradOptimizer(lr)


def Adadelta(lr: Any = 1.0, rho: float = 0.95, epsilon: float = 1e-7) -> Optimizer:
    """tf.train.AdadeltaOptimizer."""
    return AdadeltaOptimizer(lr, rho, epsilon)


def Adam(lr: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7) -> Optimizer:
    """tf.train.AdamOptimizer.

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable(1.)
        >>> Adam(lr=0.5).minimize(lambda: w * w)
        >>> round(float(w), 3)
        0.5
    """
    return AdamOptimizer(lr, beta_1, beta_2, epsilon)


_BY_NAME = {"sgd": SGD, "rmsprop": RMSprop, "adagrad": Adagrad, "adadelta": Adadelta, "adam": Adam}


def get(identifier: Any) -> Optimizer:
    """The optimizer of a name, with Keras' defaults; an optimizer as it is.

    Raises: InvalidArgumentError (a ValueError) for another name.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    make = _BY_NAME.get(identifier.lower()) if isinstance(identifier, str) else None
    if make is None:
        raise InvalidArgumentError(f"optimizers.get: there is no optimizer {identifier!r}; there are "
                                   + ", ".join(_BY_NAME))
    return make()
