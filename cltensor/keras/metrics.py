"""tf.keras.metrics: functions of (y_true, y_pred) that give one number per example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor, convert
from cltensor.keras import losses
from cltensor.ops.array import squeeze
from cltensor.ops.math import cast, equal, greater
from cltensor.ops.reduce import reduce_mean
from cltensor.ops.scan import argmax

__all__ = ["binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy", "get"]


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """Share of entries where y_pred is above the threshold exactly if y_true is 1, over the last dimension."""
    y_pred = convert(y_pred)
    said = cast(greater(y_pred, float(threshold)), y_pred.dtype)
    return reduce_mean(cast(equal(cast(convert(y_true), y_pred.dtype), said), y_pred.dtype), -1)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest entry is the one-hot label's, else 0.

    Example:
        >>> import cltensor as tf
        >>> categorical_accuracy([[0., 1.]], [[.2, .8]]).numpy().tolist()
        [1.0]
    """
    y_pred = convert(y_pred)
    return cast(equal(argmax(convert(y_true), -1), argmax(y_pred, -1)), y_pred.dtype)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest entry is at the label, of shape (...) or (..., 1), else 0."""
    y_true, y_pred = convert(y_true), convert(y_pred)
    if len(y_true.spec.shape) == len(y_pred.spec.shape) and y_true.spec.shape[-1] == 1:
        y_true = squeeze(y_true, -1)
    return cast(equal(cast(y_true, "int64"), argmax(y_pred, -1)), y_pred.dtype)


def get(identifier: Any, loss: Any = None, width: int | None = None) -> Callable:
    """The metric of a name; "accuracy" is the kind that goes with the loss and the number of outputs.

    Raises: InvalidArgumentError (a ValueError) for another name.
    """
    if callable(identifier):
        return identifier
    if identifier in ("accuracy", "acc"):
        if loss is losses.binary_crossentropy or width == 1:
            return binary_accuracy
        return sparse_categorical_accuracy if loss is losses.sparse_categorical_crossentropy else categorical_accuracy
    if identifier in __all__ and identifier != "get":
        return globals()[identifier]
    try:
        return losses.get(identifier)
    except InvalidArgumentError:
        raise InvalidArgumentError(f"metrics.get: there is no metric {identifier!r}; there are accuracy, "
                                   + ", ".join(n for n in __all__ if n != "get") + " and the losses") from None
