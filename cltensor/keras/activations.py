"""Activations by name, as the `activation=` argument of layers takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor, convert
from cltensor.ops import functions, nn
from cltensor.ops.math import clip_by_value, maximum, minimum, sign

__all__ = ["softmax", "elu", "selu", "softplus", "softsign", "relu", "tanh", "sigmoid", "exponential",
           "hard_sigmoid", "linear", "get"]

softplus, softsign, tanh, sigmoid = functions.softplus, functions.softsign, functions.tanh, functions.sigmoid
selu, exponential = functions.selu, functions.exp


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis.

    Raises: InvalidArgumentError for a scalar.
    """
    return nn.softmax(x, axis=axis)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha * (exp(x) - 1) below.

    Example:
        >>> elu([2., 0.]).numpy().tolist()
        [2.0, 0.0]
    """
    y = functions.elu(x)
    return y if alpha == 1.0 else maximum(y, 0.0) + minimum(y, 0.0) * float(alpha)


def relu(x: Any, alpha: float = 0.0, max_value: Any = None, threshold: float = 0.0) -> Tensor:
    """x above the threshold, at most max_value; alpha * (x - threshold) below.

    Example:
        >>> relu([-2., 1., 9.], alpha=0.5, max_value=6.).numpy().tolist()
        [-1.0, 1.0, 6.0]
    """
    x = convert(x)
    if threshold:
        inside = functions.relu(sign(x - float(threshold)))       # 1 above, 0 at and below
        y = x * inside
        below = minimum(x - float(threshold), 0.0) * float(alpha) if alpha else None
        y = y if below is None else y + below
    else:
        y = functions.leaky_relu(x, float(alpha)) if alpha else functions.relu(x)
    return y if max_value is None else minimum(y, float(max_value))


def hard_sigmoid(x: Any) -> Tensor:
    """0.2 x + 0.5, limited to [0, 1]."""
    return clip_by_value(convert(x) * 0.2 + 0.5, 0.0, 1.0)


def linear(x: Any) -> Any:
    """x."""
    return x


_BY_NAME: dict[str, Callable] = {
    "softmax": softmax, "elu": elu, "selu": selu, "softplus": softplus, "softsign": softsign, "relu": relu,
    "relu6": functions.relu6, "tanh": tanh, "sigmoid": sigmoid, "exponential": exponential,
    "hard_sigmoid": hard_sigmoid, "linear": linear, "leaky_relu": functions.leaky_relu,
}


def get(identifier: Any) -> Callable:
    """The function of a name; a callable as it is; `linear` for None.

    Raises: InvalidArgumentError (a ValueError) for another name.

    Example:
        >>> get(None)(3), get("relu") is relu
        (3, True)
    """
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier
    if identifier not in _BY_NAME:
        raise InvalidArgumentError(f"activations.get: there is no activation {identifier!r}; there are "
                                   + ", ".join(_BY_NAME))
    return _BY_NAME[identifier]
