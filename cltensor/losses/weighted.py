"""Scalar losses of TensorFlow 1.x, each a weighted mean of per-example losses; a graph lists them (collected.py).

Losses are computed in the dtype of the predictions (integers: float32), to which labels are cast: NumPy labels
need no care. (TensorFlow 1.x computes all of them in float32.)
"""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import float32
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import normalize_axis, show
from cltensor.core.tensor import Tensor, convert, host_value
from cltensor.graph.collections import GraphKeys
from cltensor.losses.collected import add_loss
from cltensor.ops.array import reshape, squeeze, stop_gradient
from cltensor.ops.cross_entropy import (
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits_v2,
    sparse_softmax_cross_entropy_with_logits,
)
from cltensor.ops.functions import log, relu
from cltensor.ops.math import abs as absolute
from cltensor.ops.math import cast, minimum, multiply, not_equal, square, squared_difference, subtract
from cltensor.ops.reduce import reduce_mean, reduce_sum

__all__ = ["Reduction", "compute_weighted_loss", "absolute_difference", "cosine_distance", "hinge_loss", "huber_loss",
           "log_loss", "mean_squared_error", "sigmoid_cross_entropy", "softmax_cross_entropy",
           "sparse_softmax_cross_entropy"]


class Reduction:
    """How per-example losses become one: the `reduction` argument of every loss."""

    NONE = "none"
    SUM = "weighted_sum"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    MEAN = "weighted_mean"
    SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"
    SUM_OVER_NONZERO_WEIGHTS = SUM_BY_NONZERO_WEIGHTS

    @classmethod
    def all(cls) -> tuple:
        """The reductions there are."""
        return (cls.NONE, cls.SUM, cls.MEAN, cls.SUM_OVER_BATCH_SIZE, cls.SUM_BY_NONZERO_WEIGHTS)

    @classmethod
    def validate(cls, key: Any) -> None:
        """Raises InvalidArgumentError (a ValueError) for what is no reduction."""
        if key not in cls.all():
            raise InvalidArgumentError(f"Reduction: {key!r} is no reduction; there are {', '.join(cls.all())}")


_DEFAULT, _LOSSES = Reduction.SUM_BY_NONZERO_WEIGHTS, GraphKeys.LOSSES


def _weights_for(op: str, weights: Any, losses: Tensor) -> Any:
    """Weights as a number or a tensor of the losses' dtype that broadcasts to them."""
    if isinstance(weights, (int, float)):
        return float(weights)
    weights = convert(weights)
    known = host_value(weights)
    if known is not None and known.shape == () and not known.dtype.kind == "b":
        return float(known)
    if weights.dtype is not losses.dtype:
        weights = cast(weights, losses.dtype)
    have, want = weights.spec.shape, losses.spec.shape
    if len(have) == len(want) + 1 and have[-1] == 1:
        weights, have = reshape(weights, have[:-1]), have[:-1]
    elif have and len(have) + 1 == len(want) and want[-1] == 1:
        weights, have = reshape(weights, have + (1,)), have + (1,)
    if have and (len(have) != len(want) or any(h not in (1, w) for h, w in zip(have, want))):
        raise InvalidArgumentError(f"{op}: weights must be a scalar, or of the losses' rank with each dimension theirs "
                                   f"or 1: weights have shape {show(have)}, the losses {show(want)}")
    return weights


def compute_weighted_loss(losses: Any, weights: Any = 1.0, scope: str | None = None, loss_collection: Any = _LOSSES,
                          reduction: str = _DEFAULT, op: str = "compute_weighted_loss") -> Tensor:
    """Per-example losses times weights, reduced.

    Args:
        losses: floating tensor.
        weights: number, or a tensor of the losses' rank, each dimension theirs or 1.
        loss_collection: key of the collection of a graph that the result enters; None for none.
        reduction: SUM_BY_NONZERO_WEIGHTS divides the sum by the count of losses whose weight is not 0 (0 when
            there is none), MEAN by the sum of the weights, SUM_OVER_BATCH_SIZE by the count of losses.

    Returns: scalar of the losses' dtype; of their shape with Reduction.NONE.
    Raises: InvalidArgumentError when weights do not broadcast, or for an unknown reduction; DTypeError.

    Example:
        >>> import cltensor as tf
        >>> tf.losses.compute_weighted_loss([1., 2., 6.], [1., 0., 1.]).numpy()
        np.float32(3.5)
    """
    Reduction.validate(reduction)
    losses = convert(losses, op=op)
    if not losses.dtype.is_floating:
        losses = cast(losses, float32)
    result = _reduced(losses, _weights_for(op, weights, losses), reduction)
    add_loss(result, loss_collection)
    return result


def _reduced(losses: Tensor, weights: Any, reduction: str) -> Tensor:
    scalar = isinstance(weights, float)
    size = losses.spec.size
    means = (Reduction.SUM_BY_NONZERO_WEIGHTS, Reduction.SUM_OVER_BATCH_SIZE)
    if scalar and size != 0 and weights and reduction in means:
        mean = reduce_mean(losses)
        return mean if weights == 1.0 else multiply(mean, weights)
    weighted = losses if scalar and weights == 1.0 else multiply(losses, weights)
    if reduction == Reduction.NONE:
        return weighted
    total = reduce_sum(weighted)
    if reduction == Reduction.SUM:
        return total
    if reduction == Reduction.SUM_OVER_BATCH_SIZE:
        return total / float(size) if size else total
    if scalar:
        count = size * (weights if reduction == Reduction.MEAN else bool(weights))
        return total / float(count) if count else total * 0.0
    counted = weights if reduction == Reduction.MEAN else cast(not_equal(weights, 0.0), losses.dtype)
    repeats = size // weights.spec.size if weights.spec.size else 0
    return _safe_divide(total, reduce_sum(counted) * float(repeats))


def _safe_divide(total: Tensor, count: Tensor) -> Tensor:
    """total / count, and 0 where the count is 0 (the total is, too)."""
    from_below = cast(not_equal(count, 0.0), count.dtype)
    return total * from_below / (count + (1.0 - from_below))


def _pair(op: str, labels: Any, predictions: Any, names: tuple = ("labels", "predictions")) -> tuple[Tensor, Tensor]:
    """Both as floating tensors of one dtype and shape."""
    if labels is None or predictions is None:
        raise InvalidArgumentError(f"{op}: {names[0] if labels is None else names[1]} must not be None")
    predictions = convert(predictions, op=f"{op}: {names[1]}")
    if not predictions.dtype.is_floating:
        predictions = cast(predictions, float32)
    labels = cast(convert(labels, op=f"{op}: {names[0]}"), predictions.dtype)
    if not labels.shape.is_compatible_with(predictions.spec.shape):
        raise InvalidArgumentError(f"{op}: {names[0]} and {names[1]} must have one shape: {names[0]} have shape "
                                   f"{show(labels.spec.shape)}, {names[1]} have shape {show(predictions.spec.shape)}")
    return labels, predictions


def mean_squared_error(labels: Any, predictions: Any, weights: Any = 1.0, scope: str | None = None,
                       loss_collection: Any = _LOSSES, reduction: str = _DEFAULT) -> Tensor:
    """Mean of (predictions - labels) ** 2.

    Args:
        labels, predictions: tensors of one shape.
        weights, reduction: see `compute_weighted_loss`.

    Returns: scalar.
    Raises: InvalidArgumentError when shapes differ.

    Example:
        >>> import cltensor as tf
        >>> tf.losses.mean_squared_error([1., 2.], [1., 4.]).numpy()
        np.float32(2.0)
    """
    labels, predictions = _pair("mean_squared_error", labels, predictions)
    losses = squared_difference(predictions, labels)
    return compute_weighted_loss(losses, weights, scope, loss_collection, reduction, "mean_squared_error")


def absolute_difference(labels: Any, predictions: Any, weights: Any = 1.0, scope: str | None = None,
                        loss_collection: Any = _LOSSES, reduction: str = _DEFAULT) -> Tensor:
    """Mean of |predictions - labels|; arguments as for `mean_squared_error`.

    Example:
        >>> import cltensor as tf
        >>> tf.losses.absolute_difference([1., 2.], [1., 4.]).numpy()
        np.float32(1.0)
    """
    labels, predictions = _pair("absolute_difference", labels, predictions)
    losses = absolute(subtract(predictions, labels))
    return compute_weighted_loss(losses, weights, scope, loss_collection, reduction, "absolute_difference")


def huber_loss(labels: Any, predictions: Any, weights: Any = 1.0, delta: float = 1.0, scope: str | None = None,
               loss_collection: Any = _LOSSES, reduction: str = _DEFAULT) -> Tensor:
    """Mean of e ** 2 / 2 where the error e is at most delta, else of delta * |e| - delta ** 2 / 2 (Huber 1964).

    Arguments as for `mean_squared_error`.

    Example:
        >>> import cltensor as tf
        >>> tf.losses.huber_loss([0., 0.], [1., 3.]).numpy()
        np.float32(1.5)
    """
    labels, predictions = _pair("huber_loss", labels, predictions)
    size = absolute(subtract(predictions, labels))
    quadratic = minimum(size, float(delta))
    losses = square(quadratic) * 0.5 + (size - quadratic) * float(delta)
    return compute_weighted_loss(losses, weights, scope, loss_collection, reduction, "huber_loss")


def log_loss(labels: Any, predictions: Any, weights: Any = 1.0, epsilon: float = 1e-7, scope: str | None = None,
             loss_collection: Any = _LOSSES, reduction: str = _DEFAULT) -> Tensor:
    """Mean of -labels log(predictions + epsilon) - (1 - labels) log(1 - predictions + epsilon).

    Arguments as for `mean_squared_error`; predictions are probabilities.

    Example:
        >>> import cltensor as tf
        >>> round(float(tf.losses.log_loss([1., 0.], [0.5, 0.5])), 4)
        0.6931
    """
    labels, p = _pair("log_loss", labels, predictions)
    losses = -(labels * log(p + float(epsilon))) - (1.0 - labels) * log(1.0 - p + float(epsilon))
    return compute_weighted_loss(losses, weights, scope, loss_collection, reduction, "log_loss")


def hinge_loss(labels: Any, logits: Any, weights: Any = 1.0, scope: str | None = None, loss_collection: Any = _LOSSES,
               reduction: str = _DEFAULT) -> Tensor:
    """Mean of max(0, 1 - y * logits), y being -1 for label 0 and 1 for label 1.

    Arguments as for `mean_squared_error`.

    Example:
        >>> import cltensor as tf
        >>> tf.losses.hinge_loss([1., 0.], [0.5, 2.]).numpy()
        np.float32(1.75)
    """
    labels, logits = _pair("hinge_loss", labels, logits, ("labels", "logits"))
    losses = relu(1.0 - (labels * 2.0 - 1.0) * logits)
    return compute_weighted_loss(losses, weights, scope, loss_collection, reduction, "hinge_loss")


def cosine_distance(labels: Any, predictions: Any, axis: Any = None, weights: Any = 1.0, scope: str | None = None,
                    loss_collection: Any = _LOSSES, reduction: str = _DEFAULT, dim: Any = None) -> Tensor:
    """Mean of 1 - sum(labels * predictions) along an axis; both are taken to have length 1 along it.

    Args:
        axis: the dimension of the vectors (old name `dim`).

    Raises: InvalidArgumentError without axis, or when shapes differ.

    Example:
        >>> import cltensor as tf
        >>> tf.losses.cosine_distance([[1., 0.]], [[0., 1.]], axis=1).numpy()
        np.float32(1.0)
    """
    axis = dim if axis is None else axis
    if axis is None:
        raise InvalidArgumentError("cosine_distance: axis is missing")
    labels, predictions = _pair("cosine_distance", labels, predictions)
    at = normalize_axis("cosine_distance", axis, len(labels.spec.shape))
    losses = 1.0 - reduce_sum(multiply(predictions, labels), at, keepdims=True)
    return compute_weighted_loss(losses, weights, scope, loss_collection, reduction, "cosine_distance")


# -- cross entropies
def sigmoid_cross_entropy(multi_class_labels: Any, logits: Any, weights: Any = 1.0, label_smoothing: float = 0,
                          scope: str | None = None, loss_collection: Any = _LOSSES,
                          reduction: str = _DEFAULT) -> Tensor:
    """Mean sigmoid cross entropy of independent labels.

    Args:
        multi_class_labels: of the logits' shape, in [0, 1].
        logits: floating tensor, any finite values.
        label_smoothing: moves labels this part of the way to 1/2.

    Raises: InvalidArgumentError when shapes differ.

    Example:
        >>> import cltensor as tf
        >>> tf.losses.sigmoid_cross_entropy([[0., 1.]], [[1000., -1000.]]).numpy()
        np.float32(1000.0)
    """
    op = "sigmoid_cross_entropy"
    labels, logits = _pair(op, multi_class_labels, logits, ("multi_class_labels", "logits"))
    if label_smoothing:
        labels = labels * (1.0 - label_smoothing) + 0.5 * label_smoothing
    losses = sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    return compute_weighted_loss(losses, weights, scope, loss_collection, reduction, op)


def softmax_cross_entropy(onehot_labels: Any, logits: Any, weights: Any = 1.0, label_smoothing: float = 0,
                          scope: str | None = None, loss_collection: Any = _LOSSES,
                          reduction: str = _DEFAULT) -> Tensor:
    """Mean softmax cross entropy of one distribution per row; gradients flow into the logits only.

    Args:
        onehot_labels: of the logits' shape, each row a distribution.
        logits: floating tensor (..., classes), any finite values.
        weights: number, or a tensor of shape (...), or with dimensions 1.
        label_smoothing: moves labels this part of the way to 1 / classes.

    Raises: InvalidArgumentError when shapes differ.

    Example:
        >>> import cltensor as tf
        >>> tf.losses.softmax_cross_entropy([[0., 1.]], [[1000., -1000.]]).numpy()
        np.float32(2000.0)
    """
    op = "softmax_cross_entropy"
    labels, logits = _pair(op, onehot_labels, logits, ("onehot_labels", "logits"))
    if label_smoothing:
        labels = labels * (1.0 - label_smoothing) + label_smoothing / logits.spec.shape[-1]
    losses = softmax_cross_entropy_with_logits_v2(stop_gradient(labels), logits)
    return compute_weighted_loss(losses, weights, scope, loss_collection, reduction, op)


def sparse_softmax_cross_entropy(labels: Any, logits: Any, weights: Any = 1.0, scope: str | None = None,
                                 loss_collection: Any = _LOSSES, reduction: str = _DEFAULT) -> Tensor:
    """Mean softmax cross entropy of one class number per row.

    Args:
        labels: integers of shape (...), or (..., 1), each in [0, classes).
        logits: floating tensor (..., classes), any finite values.
        weights: number, or a tensor of shape (...), or with dimensions 1.

    Returns: scalar.
    Raises: InvalidArgumentError when shapes do not fit or a label is out of range; DTypeError for labels that
        are not integers.

    Example:
        >>> import cltensor as tf
        >>> round(float(tf.losses.sparse_softmax_cross_entropy(labels=[1, 0], logits=[[1., 1.], [1., 1.]])), 4)
        0.6931
    """
    if labels is None or logits is None:
        raise InvalidArgumentError("sparse_softmax_cross_entropy: labels and logits must not be None")
    labels, logits = convert(labels), convert(logits)
    rank = len(logits.spec.shape)
    if rank and len(labels.spec.shape) == rank and labels.spec.shape[-1] == 1:
        labels = squeeze(labels, -1)
    if labels.dtype.is_integer and labels.dtype.size < 4:       # bytes of an image file, as they are
        labels = cast(labels, "int32")
    losses = sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return compute_weighted_loss(losses, weights, scope, loss_collection, reduction, "sparse_softmax_cross_entropy")
