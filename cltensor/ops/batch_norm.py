"""Batch normalisation (Ioffe and Szegedy 2015): with given statistics, and fused with computing them.

The fused row and its gradient are three launches each: statistics in one reading of x, then one pass; two sums
in one reading of x and the gradient, then one pass.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import float32
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import broadcast_many, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert
from cltensor.interpret.record import NoValue
from cltensor.kernels.batch_normalization import lower_batch_norm, lower_batch_norm_grad
from cltensor.ops.array import stop_gradient
from cltensor.ops.functions import rsqrt
from cltensor.ops.math import cast
from cltensor.ops.reduce import reduce_sum
from cltensor.ops.sized import sized
from cltensor.ops.window import layout, with_layout

__all__ = ["batch_normalization", "fused_batch_norm", "normalize_batch"]


# -- with given statistics
def _scale_infer(x: Spec, factor: Spec, shift: Spec) -> Spec:
    if not x.dtype.is_floating:
        raise DTypeError(f"batch_normalization: x must be floating, it has dtype {x.dtype.name} and shape "
                         f"{show(x.shape)}; use cast")
    return Spec(broadcast_many("batch_normalization", (x.shape, factor.shape, shift.shape),
                               ("x", "the factors", "the shifts")), x.dtype)


_SCALE_SHIFT = OpDef("scale_shift", ("x", "factor", "shift"), _scale_infer, expr="x0 * x1 + x2", slots=True,
                     vjps=(lambda g, x1: g * x1, lambda g, x0: g * x0, lambda g: g), doc="x * factor + shift.")


def batch_normalization(x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: Any,
                        name: str | None = None) -> Any:
    """(x - mean) / sqrt(variance + variance_epsilon) * scale + offset, in one pass over x.

    Args:
        x: floating tensor.
        mean, variance: tensors that broadcast to x.
        offset, scale: the same, or None for 0 and 1.
        variance_epsilon: a number that keeps the root from 0.

    Raises: DTypeError unless floating and of one dtype; InvalidArgumentError where shapes do not broadcast.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.batch_normalization([[1., 3.]], 2., 1., 10., None, 0.).numpy().tolist()
        [[9.0, 11.0]]
    """
    x = convert(x)
    mean, variance, scale, offset = (
        v if v is None or hasattr(type(v), "dtype") else convert(v, x.dtype) for v in (mean, variance, scale, offset))
    factor = rsqrt(variance + variance_epsilon)
    if scale is not None:
        factor = factor * scale
    shift = mean * factor
    return execute(_SCALE_SHIFT, (x, factor, -shift if offset is None else offset - shift))


# -- with the statistics of the batch
def _fused_infer(x: Spec, scale: Spec, offset: Spec, epsilon: float) -> tuple:
    _check("fused_batch_norm", x, scale=scale, offset=offset)
    channel = Spec((x.shape[-1],) if x.shape else (None,), x.dtype)
    return x, channel, channel


def _check(op: str, x: Spec, **channels: Spec) -> None:
    if not x.dtype.is_floating:
        raise DTypeError(f"{op}: x must be floating, it has dtype {x.dtype.name} and shape {show(x.shape)}; use cast")
    if x.shape is None:
        return
    if len(x.shape) < 2:
        raise InvalidArgumentError(f"{op}: x must have rank 2 or more, its shape is {show(x.shape)}")
    for name, s in channels.items():
        if s.shape is not None and (len(s.shape) != 1 or (s.shape[0] != x.shape[-1] and None not in (
                s.shape[0], x.shape[-1]))):
            raise InvalidArgumentError(f"{op}: {name} must be a vector with one entry per channel, its shape is "
                                       f"{show(s.shape)}: x has shape {show(x.shape)}")


def _fused_vjp(g0: Any, x0: Any, x1: Any, y1: Any, y2: Any, epsilon: float) -> list:
    return list(execute(_FUSED_GRAD, (x0, x1, y1, y2, g0), (("epsilon", epsilon),)))


def _grad_vjp(g0: Any, g1: Any, g2: Any, x0: Any, x1: Any, x2: Any, x3: Any, x4: Any, s0: Spec,
              epsilon: float) -> list:
    """Of A . dx + a . dscale + b . doffset with respect to x, scale and g; mean and variance are functions of x.

    With r = 1 / sqrt(variance + epsilon), u = (x - mean) r, n rows:
        doffset = sum g, dscale = sum g u, dx = scale r (g - doffset / n - u dscale / n).
    """
    axes = tuple(range(len(s0.shape) - 1))
    n = 1
    for d in s0.shape[:-1]:
        n *= d
    A, a, b, scale, g = g0, g1, g2, x1, x4

    def total(v: Any) -> Any:
        return reduce_sum(v, axes)

    r = rsqrt(x3 + epsilon)
    u = (x0 - x2) * r
    sg, sgu, sa, sau = total(g), total(g * u), total(A), total(A * u)
    by_g = (A - sa / n - u * (sau / n)) * (scale * r) + u * a + b
    inner = total(A * g) - sg * sa / n - sgu * sau / n
    by_scale = r * inner
    by_u = (g * sau + A * sgu) * (scale * r / -float(n)) + g * a
    by_r = scale * inner + total(by_u * u) / r
    by_variance = by_r * r * r * r * -0.5
    by_x = by_u * r - total(by_u) * r / n + u * (by_variance * 2.0 / (r * float(n)))
    return [by_x, by_scale, None, None, by_g]


_FUSED = OpDef("fused_batch_norm", ("x", "scale", "offset"), _fused_infer, lower=lower_batch_norm, types="*",
               vjps=_fused_vjp, identity=float("nan"), outputs=3, doc="Batch normalisation and its statistics.")
_FUSED_GRAD = OpDef("fused_batch_norm_grad", ("x", "scale", "mean", "variance", "grad"),
                    lambda x, scale, mean, variance, grad, epsilon: (x, scale, scale), lower=lower_batch_norm_grad,
                    types="*", vjps=_grad_vjp, identity=0, outputs=3, doc="Gradient of fused_batch_norm.")


def normalize_batch(x: Any, scale: Any, offset: Any, epsilon: float = 1e-3) -> tuple:
    """Batch normalisation by the batch's own statistics over all dimensions but the last.

    Args:
        x: float32 or float64 tensor of rank 2 or more.
        scale, offset: vectors with one entry per channel.
        epsilon: added to the variance.

    Returns: (y, mean, variance), the variance divided by the number of rows. Gradients flow through y alone.
    """
    y, mean, variance = execute(_FUSED, (x, scale, offset), (("epsilon", float(epsilon)),))
    return y, stop_gradient(mean), stop_gradient(variance)


@sized
def fused_batch_norm(x: Any, scale: Any, offset: Any, mean: Any = None, variance: Any = None, epsilon: float = 0.001,
                     data_format: str = "NHWC", is_training: bool = True, name: str | None = None) -> tuple:
    """Batch normalisation of images.

    Args:
        x: floating tensor [n, h, w, c]; [n, c, h, w] with data_format "NCHW". float16 is computed in float32.
        scale, offset: vectors of c; float32 where x is float16.
        mean, variance: vectors of c, used when is_training is False; else the batch's own are.
        epsilon: added to the variance.

    Returns: (y, mean, variance): what was used; while training the batch's variance comes divided by n - 1, as
        moving averages want it. Gradients flow through y alone.
    Raises: InvalidArgumentError for vectors of another length, or statistics missing; DTypeError unless floating.

    Example:
        >>> import cltensor as tf
        >>> y, mean, variance = tf.nn.fused_batch_norm(tf.reshape([1., 3.], [2, 1, 1, 1]), [1.], [0.], epsilon=0.)
        >>> y.numpy().ravel().tolist(), mean.numpy().tolist(), variance.numpy().tolist()
        ([-1.0, 1.0], [2.0], [2.0])
    """
    op = "fused_batch_norm"
    first = layout(op, data_format)
    x = convert(x)
    if x.spec.rank not in (4, None):
        raise InvalidArgumentError(f"{op}: x must have rank 4, its shape is {show(x.spec.shape)}")
    own = float32 if x.dtype.name == "float16" else x.dtype
    vectors = [v if v is None or hasattr(type(v), "dtype") else convert(v, own)
               for v in (scale, offset, mean, variance)]
    if not is_training and (mean is None or variance is None):
        raise InvalidArgumentError(f"{op}: mean and variance are needed when is_training is False")
    found: list = []

    def run(x: Tensor) -> Any:
        wide = cast(x, float32) if x.dtype.name == "float16" else x
        if is_training:
            y, m, v = normalize_batch(wide, vectors[0], vectors[1], epsilon)
            if x.spec.size is None:         # the factor of the variance needs the number of values
                raise NoValue(f"{op}: the sizes of x are open")
            n = x.spec.size // max(1, x.spec.shape[-1])
            found.extend((m, v * (n / (n - 1)) if n > 1 else v))
        else:
            names = ("scale", "offset", "mean", "variance")
            _check(op, wide.spec, **{k: convert(v).spec for k, v in zip(names, vectors)})
            y = batch_normalization(wide, vectors[2], vectors[3], vectors[1], vectors[0], epsilon)
            found.extend((convert(vectors[2]), convert(vectors[3])))
        return cast(y, x.dtype)
    return with_layout(first, run, x), *found
