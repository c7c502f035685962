"""Regularizers: scalar losses of a variable, collected in a layer's `losses`."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor
from cltensor.ops.math import abs as absolute
from cltensor.ops.nn import l2_loss
from cltensor.ops.reduce import reduce_sum

__all__ = ["Regularizer", "L1L2", "l1", "l2", "l1_l2", "l2_regularizer", "get"]


class Regularizer:
    """Base class: a function of a variable that returns a scalar."""

    def __call__(self, x: Any) -> Tensor:
        raise NotImplementedError


class L1L2(Regularizer):
    """l1 * sum |x| + l2 * sum x ** 2.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.regularizers.L1L2(l2=0.5)(tf.ones([3])).numpy()
        np.float32(1.5)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1, self.l2 = float(l1), float(l2)

    def __call__(self, x: Any) -> Tensor:
        if not self.l1:
            return l2_loss(x) * (2.0 * self.l2)
        first = reduce_sum(absolute(x)) * self.l1
        return first + l2_loss(x) * (2.0 * self.l2) if self.l2 else first

    def get_config(self) -> dict:
        """Arguments that make an equal regularizer."""
        return {"l1": self.l1, "l2": self.l2}


def l1(l: float = 0.01) -> L1L2:
    """l * sum |x|."""
    return L1L2(l1=l)


def l2(l: float = 0.01) -> L1L2:
    """l * sum x ** 2 (no half)."""
    return L1L2(l2=l)


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Both."""
    return L1L2(l1, l2)


def l2_regularizer(scale: float, scope: Any = None) -> L1L2:
    """scale * sum x ** 2 / 2: tf.contrib.layers has the half."""
    return L1L2(l2=0.5 * scale)


def get(identifier: Any) -> Any:
    """The regularizer of a name ("l1", "l2", "l1_l2"); a callable or None as it is.

    Raises: InvalidArgumentError (a ValueError) for another name.
    """
    if identifier is None or callable(identifier):
        return identifier
    named: dict = {"l1": l1, "l2": l2, "l1_l2": l1_l2}
    if identifier not in named:
        raise InvalidArgumentError(f"regularizers.get: there is no regularizer {identifier!r}; there are "
                                   + ", ".join(named))
    return named[identifier]()
