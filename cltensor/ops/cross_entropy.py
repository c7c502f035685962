"""Cross entropies of logits: dense and sparse softmax, and sigmoid; one kernel each way, any order of gradient."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert
from cltensor.kernels.plan import Plan
from cltensor.kernels.rowwise import lower_softmax
from cltensor.ops.array import expand_dims, stop_gradient
from cltensor.ops.creation import ones_like
from cltensor.ops.functions import sigmoid
from cltensor.ops.gather import check_indices
from cltensor.ops.math import negative
from cltensor.ops.nn import float_rows, last_axis, log_softmax, softmax
from cltensor.ops.reduce import reduce_sum

__all__ = ["softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits_v2",
           "sparse_softmax_cross_entropy_with_logits", "sigmoid_cross_entropy_with_logits"]


def _lower(kind: str) -> Any:
    def lower(ins: tuple, outs: tuple, target: Any) -> Plan:
        return lower_softmax(ins, outs, target, kind=kind)
    return lower


def _column(g: Any) -> Any:
    return expand_dims(g, -1)


def _row_sum(x: Any) -> Any:
    return reduce_sum(x, -1, keepdims=True)


def _same_shape(op: str, labels: Spec, logits: Spec) -> None:
    if not TensorShape(labels.shape).is_compatible_with(logits.shape):
        raise InvalidArgumentError(f"{op}: labels and logits must have one shape: labels have shape "
                                   f"{show(labels.shape)}, logits have shape {show(logits.shape)}")


# -- dense labels
_DENSE_NAME = "softmax_cross_entropy_with_logits"


def _dense_infer(labels: Spec, logits: Spec) -> Spec:
    float_rows(_DENSE_NAME, "logits", logits)
    _same_shape(_DENSE_NAME, labels, logits)
    return Spec(logits.shape and logits.shape[:-1], logits.dtype)


# The gradient's row, with p = softmax(logits) and S = sum(labels): g * (p * S - labels). TensorFlow takes S for 1.
_DENSE_GRAD: OpDef = OpDef(
    _DENSE_NAME + "_grad", ("labels", "logits", "g"), lambda y, x, g: x, lower=_lower("dense_grad"),
    vjps=(lambda g, x1, x2: _column(x2) * (_row_sum(g * softmax(x1)) - g),
          lambda g, x0, x1, x2: _softmax_pull(softmax(x1), g) * (_column(x2) * _row_sum(x0)),
          lambda g, x0, x1, x2: reduce_sum(g * execute(_DENSE_GRAD, (x0, x1, ones_like(x2))), -1)),
    doc="Gradient of softmax cross entropy by the logits.")


def _softmax_pull(p: Any, u: Any) -> Any:
    """u pulled back through a softmax whose value is p."""
    return p * (u - _row_sum(u * p))


_DENSE = OpDef(_DENSE_NAME, ("labels", "logits"), _dense_infer, lower=_lower("dense"),
               vjps=(lambda g, x1: negative(_column(g) * log_softmax(x1)),
                     lambda g, x0, x1: execute(_DENSE_GRAD, (x0, x1, g))), doc="Softmax cross entropy.")


def _named(op: str, sentinel: Any, labels: Any, logits: Any) -> None:
    if sentinel is not None or labels is None or logits is None:
        raise InvalidArgumentError(f"{op}: give labels and logits by name: {op}(labels=..., logits=...)")


def softmax_cross_entropy_with_logits_v2(labels: Any, logits: Any, axis: Any = None, name: str | None = None,
                                         dim: Any = None) -> Tensor:
    """-sum(labels * log_softmax(logits)) along the class axis; gradients flow into both.

    Args:
        labels: floating tensor of the logits' shape and dtype; each row a probability distribution.
        logits: floating tensor, rank at least 1, any finite values.
        axis: the dimension of the classes, the last unless given (old name `dim`).

    Returns: tensor of the logits' shape without the class dimension.
    Raises: InvalidArgumentError when the shapes differ; DTypeError unless floating.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.softmax_cross_entropy_with_logits_v2([[0., 1.]], [[1000., -1000.]]).numpy().tolist()
        [2000.0]
    """
    axis = dim if axis is None else axis
    logits = convert(logits)
    labels = convert(labels, None if hasattr(type(labels), "dtype") else logits.dtype)
    if axis is not None:
        _same_shape(_DENSE_NAME, labels.spec, logits.spec)
        (labels, _), (logits, _) = last_axis(_DENSE_NAME, labels, axis), last_axis(_DENSE_NAME, logits, axis)
    return execute(_DENSE, (labels, logits))


def softmax_cross_entropy_with_logits(_sentinel: Any = None, labels: Any = None, logits: Any = None, dim: Any = -1,
                                      name: str | None = None) -> Tensor:
    """-sum(labels * log_softmax(logits)) along the class axis; gradients flow into the logits only.

    Arguments by name; they, the result and the errors are those of softmax_cross_entropy_with_logits_v2.

    Example:
        >>> import cltensor as tf
        >>> loss = tf.nn.softmax_cross_entropy_with_logits(labels=[[1., 0.]], logits=[[0., 0.]])
        >>> round(float(loss[0]), 4)
        0.6931
    """
    _named(_DENSE_NAME, _sentinel, labels, logits)
    logits = convert(logits)
    labels = convert(labels, None if hasattr(type(labels), "dtype") else logits.dtype)
    return softmax_cross_entropy_with_logits_v2(stop_gradient(labels), logits, dim)


# -- integer labels
_SPARSE_NAME = "sparse_softmax_cross_entropy_with_logits"


def _sparse_infer(labels: Spec, logits: Spec) -> Spec:
    float_rows(_SPARSE_NAME, "logits", logits)
    if labels.dtype.name not in ("int32", "int64"):
        raise DTypeError(f"{_SPARSE_NAME}: labels must be int32 or int64, they have dtype {labels.dtype.name} and "
                         f"shape {show(labels.shape)}; use cast")
    if logits.shape is not None and not TensorShape(labels.shape).is_compatible_with(logits.shape[:-1]):
        raise InvalidArgumentError(f"{_SPARSE_NAME}: labels must have the logits' shape without the classes: labels "
                                   f"have shape {show(labels.shape)}, logits have shape {show(logits.shape)}")
    return Spec(logits.shape and logits.shape[:-1], logits.dtype)


# g * (softmax(logits) - one_hot(labels))
_SPARSE_GRAD: OpDef = OpDef(
    _SPARSE_NAME + "_grad", ("labels", "logits", "g"), lambda y, x, g: x, lower=_lower("sparse_grad"), types="LTT",
    vjps=(None, lambda g, x1, x2: _softmax_pull(softmax(x1), g) * _column(x2),
          lambda g, x0, x1, x2: reduce_sum(g * execute(_SPARSE_GRAD, (x0, x1, ones_like(x2))), -1)),
    may_fail=True, fails="labels", doc="Gradient of sparse softmax cross entropy by the logits.")
_SPARSE = OpDef(_SPARSE_NAME, ("labels", "logits"), _sparse_infer, lower=_lower("sparse"), types="LT",
                vjps=(None, lambda g, x0, x1: execute(_SPARSE_GRAD, (x0, x1, g))), may_fail=True, fails="labels",
                doc="Softmax cross entropy with integer labels.")


def sparse_softmax_cross_entropy_with_logits(_sentinel: Any = None, labels: Any = None, logits: Any = None,
                                             name: str | None = None) -> Tensor:
    """-log_softmax(logits)[label] for each label. Arguments by name.

    Args:
        labels: int32 or int64 of shape [...], each in [0, C).
        logits: floating tensor of shape [..., C], any finite values.

    Returns: tensor of the labels' shape and the logits' dtype.
    Raises: InvalidArgumentError when shapes do not fit, or for a label outside [0, C): at once where the
        host knows the labels, else at the next read of a value; DTypeError.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1], logits=[[1000., -1000.]]).numpy().tolist()
        [2000.0]
    """
    _named(_SPARSE_NAME, _sentinel, labels, logits)
    labels, logits = convert(labels), convert(logits)
    _sparse_infer(labels.spec, logits.spec)
    if logits.spec.shape is not None and logits.spec.shape[-1] is not None:
        check_indices(_SPARSE_NAME, labels, (logits.spec.shape[-1],), "labels")
    return execute(_SPARSE, (labels, logits))


# -- independent labels
_SIGMOID_NAME = "sigmoid_cross_entropy_with_logits"


def _sigmoid_infer(labels: Spec, logits: Spec) -> Spec:
    if not logits.dtype.is_floating:
        raise DTypeError(f"{_SIGMOID_NAME}: logits must be floating, they have dtype {logits.dtype.name} and shape "
                         f"{show(logits.shape)}; use cast")
    _same_shape(_SIGMOID_NAME, labels, logits)
    return logits


_SIGMOID = OpDef(_SIGMOID_NAME, ("labels", "logits"), _sigmoid_infer, slots=True,
                 expr="T e = exp(-fabs(x1)); T l = log1p(e); T m = select(x1, (($T)(K(0))), x1 < K(0)); "
                      "T p = x1 * x0; T d = m - p; d + l",
                 vjps=(lambda g, x1: negative(g * x1), lambda g, x0, x1: g * (sigmoid(x1) - x0)),
                 doc="Sigmoid cross entropy.")


def sigmoid_cross_entropy_with_logits(_sentinel: Any = None, labels: Any = None, logits: Any = None,
                                      name: str | None = None) -> Tensor:
    """max(x, 0) - x * z + log(1 + exp(-|x|)) for logits x and labels z, elementwise. Arguments by name.

    Args:
        labels, logits: floating tensors of one shape and dtype; labels in [0, 1].

    Raises: InvalidArgumentError when the shapes differ; DTypeError unless floating.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.sigmoid_cross_entropy_with_logits(labels=[0., 1.], logits=[1000., 1000.]).numpy().tolist()
        [1000.0, 0.0]
    """
    _named(_SIGMOID_NAME, _sentinel, labels, logits)
    return execute(_SIGMOID, (labels, logits))
