"""tf.keras.losses: functions of (y_true, y_pred) that give one loss per example (tf.losses gives means)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor, convert
from cltensor.keras.backend import epsilon
from cltensor.ops.array import squeeze
from cltensor.ops.cross_entropy import (
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits_v2,
    sparse_softmax_cross_entropy_with_logits,
)
from cltensor.ops.functions import log, relu
from cltensor.ops.math import abs as absolute
from cltensor.ops.math import cast, clip_by_value, multiply, squared_difference
from cltensor.ops.reduce import reduce_mean, reduce_sum

__all__ = ["mean_squared_error", "mean_absolute_error", "hinge", "binary_crossentropy", "categorical_crossentropy",
           "sparse_categorical_crossentropy", "kullback_leibler_divergence", "mse", "MSE", "mae", "MAE", "kld", "KLD",
           "get"]


def _both(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    y_pred = convert(y_pred)
    return cast(convert(y_true), y_pred.dtype), y_pred


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of squares over the last dimension.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.losses.mean_squared_error([[1., 2.]], [[1., 4.]]).numpy().tolist()
        [2.0]
    """
    return reduce_mean(squared_difference(*_both(y_true, y_pred)), -1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of absolute differences over the last dimension."""
    y_true, y_pred = _both(y_true, y_pred)
    return reduce_mean(absolute(y_pred - y_true), -1)


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Mean of max(0, 1 - y_true * y_pred) over the last dimension; labels are -1 and 1."""
    return reduce_mean(relu(1.0 - multiply(*_both(y_true, y_pred))), -1)


def _probabilities(p: Tensor) -> Tensor:
    return clip_by_value(p, epsilon(), 1.0 - epsilon())


def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Tensor:
    """Mean sigmoid cross entropy over the last dimension; y_pred are probabilities unless from_logits."""
    y_true, y_pred = _both(y_true, y_pred)
    if from_logits:
        return reduce_mean(sigmoid_cross_entropy_with_logits(labels=y_true, logits=y_pred), -1)
    p = _probabilities(y_pred)
    return reduce_mean(-(y_true * log(p)) - (1.0 - y_true) * log(1.0 - p), -1)


def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Tensor:
    """Cross entropy of distributions; y_pred are probabilities unless from_logits.

    Example:
        >>> import cltensor as tf
        >>> print(tf.keras.losses.categorical_crossentropy([[0., 1.]], [[.5, .5]]).numpy().round(4))
        [0.6931]
    """
    y_true, y_pred = _both(y_true, y_pred)
    if from_logits:
        return softmax_cross_entropy_with_logits_v2(labels=y_true, logits=y_pred)
    p = _probabilities(y_pred / reduce_sum(y_pred, -1, keepdims=True))
    return -reduce_sum(y_true * log(p), -1)


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Tensor:
    """Cross entropy of class numbers, of shape (...) or (..., 1); y_pred are probabilities unless from_logits."""
    y_true, y_pred = convert(y_true), convert(y_pred)
    if len(y_true.spec.shape) == len(y_pred.spec.shape) and y_true.spec.shape[-1] == 1:
        y_true = squeeze(y_true, -1)
    if y_true.dtype.name not in ("int32", "int64"):
        y_true = cast(y_true, "int32")
    logits = y_pred if from_logits else log(_probabilities(y_pred))
    return sparse_softmax_cross_entropy_with_logits(labels=y_true, logits=logits)


def kullback_leibler_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Sum of y_true * log(y_true / y_pred) over the last dimension."""
    y_true, y_pred = _both(y_true, y_pred)
    p, q = clip_by_value(y_true, epsilon(), 1.0), clip_by_value(y_pred, epsilon(), 1.0)
    return reduce_sum(p * log(p / q), -1)


mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
kld = KLD = kullback_leibler_divergence


def get(identifier: Any) -> Callable:
    """The loss of a name; a callable as it is.

    Raises: InvalidArgumentError (a ValueError) for another name.
    """
    if callable(identifier):
        return identifier
    if identifier not in __all__ or identifier == "get":
        raise InvalidArgumentError(f"losses.get: there is no loss {identifier!r}; there are "
                                   + ", ".join(n for n in __all__ if n != "get"))
    return globals()[identifier]
