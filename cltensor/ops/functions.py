"""Elementwise functions: exponentials, trigonometry, rounding, error function, activations.

Gradients are the textbook derivatives (Abramowitz & Stegun ch. 4 and 7), written so that they keep what
the result already holds: tanh's reads y, not x.
"""

from __future__ import annotations

import math as _math
from collections.abc import Callable
from typing import Any

from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor
from cltensor.ops.elementwise import NUMBER, elementwise
from cltensor.ops.math import _log as log
from cltensor.ops.math import abs as _abs
from cltensor.ops.math import greater, less, logical_and, negative, square, where

_TWO_OVER_SQRT_PI = 2 / _math.sqrt(_math.pi)
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

__all__ = ["log", "exp", "expm1", "log1p", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tan", "asin", "acos",
           "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sigmoid", "log_sigmoid", "erf",
           "erfc", "floor", "ceil", "round", "rint", "relu", "relu6", "gelu", "elu", "selu", "leaky_relu", "softplus",
           "softsign"]



def _by_dtype(single: str, double: str) -> Callable:
    """Text for the types calculated in float, and the one for float64."""
    return lambda *specs: double if specs[-1].dtype.name == "float64" else single


# rows below name each other in their gradients before they are defined
cos: Callable[..., Any]
cosh: Callable[..., Any]

# -- exponentials and roots
exp = elementwise("exp", "exp(x0)", lambda g, y: g * y, doc="e to the power x.",
                  example=">>> tf.exp(0.).numpy()\nnp.float32(1.0)")
expm1 = elementwise("expm1", "expm1(x0)", lambda g, y: g * (y + 1.0), doc="exp(x) - 1, accurate near 0.")
log1p = elementwise("log1p", "log1p(x0)", lambda g, x0: g / (x0 + 1.0), doc="log(1 + x), accurate near 0.")
sqrt = elementwise("sqrt", "sqrt(x0)", lambda g, y: g * 0.5 / y, doc="Square root; nan below 0.",
                   example=">>> tf.sqrt([4., 9.]).numpy().tolist()\n[2.0, 3.0]")
rsqrt = elementwise("rsqrt", "rsqrt(x0)", lambda g, y: g * -0.5 * (y * y * y), doc="1 / sqrt(x).")
reciprocal = elementwise("reciprocal", "K(1) / x0", lambda g, y: negative(g * (y * y)), doc="1 / x.")

# -- trigonometry
sin = elementwise("sin", _by_dtype("sin_fast(x0)", "sin(x0)"), lambda g, x0: g * cos(x0), doc="Sine, x in radians.")
cos = elementwise("cos", _by_dtype("cos_fast(x0)", "cos(x0)"), lambda g, x0: negative(g * sin(x0)),
                  doc="Cosine, x in radians.")
tan = elementwise("tan", _by_dtype("tan_fast(x0)", "tan(x0)"), lambda g, y: g * (y * y + 1.0),
                  doc="Tangent, x in radians.")
asin = elementwise("asin", "asin(x0)", lambda g, x0: g * rsqrt(1.0 - square(x0)), doc="Inverse sine, in radians.")
acos = elementwise("acos", "acos(x0)", lambda g, x0: negative(g * rsqrt(1.0 - square(x0))),
                   doc="Inverse cosine, in radians.")
atan = elementwise("atan", "atan(x0)", lambda g, x0: g / (square(x0) + 1.0), doc="Inverse tangent, in radians.")
atan2 = elementwise("atan2", "atan2(x0, x1)", lambda g, x0, x1: g * (x1 / (square(x0) + square(x1))),
                    lambda g, x0, x1: negative(g * (x0 / (square(x0) + square(x1)))), args=("y", "x"),
                    doc="Angle of the point (x, y), in radians.",
                    example=">>> round(float(tf.atan2(1., 1.)), 4)\n0.7854")
sinh = elementwise("sinh", "sinh(x0)", lambda g, x0: g * cosh(x0), doc="Hyperbolic sine.")
cosh = elementwise("cosh", "cosh(x0)", lambda g, x0: g * sinh(x0), doc="Hyperbolic cosine.")
tanh = elementwise("tanh", _by_dtype("tanh_fast(x0)", "tanh(x0)"), lambda g, y: g * (1.0 - y * y), args=("x",),
                   doc="Hyperbolic tangent.",
                   example=">>> tf.tanh(0.).numpy()\nnp.float32(0.0)")
asinh = elementwise("asinh", "asinh(x0)", lambda g, x0: g * rsqrt(square(x0) + 1.0), doc="Inverse hyperbolic sine.")
acosh = elementwise("acosh", "acosh(x0)", lambda g, x0: g * rsqrt(square(x0) - 1.0), doc="Inverse hyperbolic cosine.")
atanh = elementwise("atanh", "atanh(x0)", lambda g, x0: g / (1.0 - square(x0)), doc="Inverse hyperbolic tangent.")

# -- the error function, rounding
erf = elementwise("erf", _by_dtype("erf_fast(x0)", "erf(x0)"),
                  lambda g, x0: g * (exp(negative(square(x0))) * _TWO_OVER_SQRT_PI),
                  doc="Error function (Abramowitz & Stegun 7.1.1).")
erfc = elementwise("erfc", "erfc(x0)", lambda g, x0: g * (exp(negative(square(x0))) * -_TWO_OVER_SQRT_PI),
                   doc="1 - erf(x), accurate for large x.")
floor = elementwise("floor", "floor(x0)", doc="Largest integer not above x, as a float.")
ceil = elementwise("ceil", "ceil(x0)", doc="Smallest integer not below x, as a float.")
round = elementwise("round", {"float": "rint(x0)", "int": "x0"}, kinds=NUMBER,
                    doc="Nearest integer, halves to the even one.",
                    example=">>> tf.round([0.5, 1.5, 2.5]).numpy().tolist()\n[0.0, 2.0, 2.0]")
rint = round

# -- activations
sigmoid = elementwise("sigmoid", "T e = exp(-x0); K(1) / (K(1) + e)", lambda g, y: g * (y * (1.0 - y)),
                      doc="1 / (1 + exp(-x)).", example=">>> tf.sigmoid(0.).numpy()\nnp.float32(0.5)")
relu = elementwise("relu", "select(x0, (($T)(K(0))), x0 < K(0))", lambda g, y: where(greater(y, 0.0), g, 0.0),
                   args=("features",), kinds=NUMBER, doc="max(x, 0); nan stays nan. The gradient at 0 is 0.",
                   example=">>> tf.nn.relu([-1., 2.]).numpy().tolist()\n[0.0, 2.0]")
relu6 = elementwise("relu6", "T a = select(x0, (($T)(K(0))), x0 < K(0)); select(a, (($T)(K(6))), a > K(6))",
                    lambda g, y: where(logical_and(greater(y, 0.0), less(y, 6.0)), g, 0.0), args=("features",),
                    kinds=NUMBER, doc="min(max(x, 0), 6).")
elu = elementwise("elu", "T e = expm1(x0); select(x0, e, x0 < K(0))",
                  lambda g, y: where(less(y, 0.0), g * (y + 1.0), g), args=("features",),
                  doc="x above 0, exp(x) - 1 below (Clevert et al. 2015).")
selu = elementwise("selu", f"T e = expm1(x0) * K({_SELU_ALPHA}); T s = select(x0, e, x0 < K(0)); s * K({_SELU_SCALE})",
                   lambda g, y: where(less(y, 0.0), g * (y + _SELU_SCALE * _SELU_ALPHA), g * _SELU_SCALE),
                   args=("features",), doc="Scaled elu (Klambauer et al. 2017).")
softplus = elementwise("softplus", "T e = exp(-fabs(x0)); T l = log1p(e); "
                       "T m = select(x0, (($T)(K(0))), x0 < K(0)); m + l",
                       lambda g, x0: g * sigmoid(x0), args=("features",),
                       doc="log(1 + exp(x)) without overflow.",
                       example=">>> tf.nn.softplus(1000.).numpy()\nnp.float32(1000.0)")
_TANH_GELU = "T u = x0 * x0; T w = u * x0; T v = x0 + w * K(0.044715); T t = TANH(v * K(0.7978845608028654)); "
_gelu_tanh = elementwise("gelu_tanh", _by_dtype(*((_TANH_GELU + "x0 * K(0.5) * (K(1) + t)").replace("TANH", name)
                                                  for name in ("tanh_fast", "tanh"))),
                         lambda g, x0: g * _gelu_slope(x0), args=("features",), doc="gelu with tanh.")
_ERF_GELU = "T e = ERF(x0 * K(0.7071067811865476)); x0 * K(0.5) * (K(1) + e)"
_gelu_erf = elementwise("gelu_erf", _by_dtype(*(_ERF_GELU.replace("ERF", name) for name in ("erf_fast", "erf"))),
                        lambda g, x0: g * ((erf(x0 * 0.7071067811865476) + 1.0) * 0.5
                                           + x0 * (exp(square(x0) * -0.5) * 0.3989422804014327)),
                        args=("features",), doc="gelu with erf.")


def _gelu_slope(x: Any) -> Any:
    t = tanh((x + square(x) * x * 0.044715) * 0.7978845608028654)
    inner = (square(x) * (3 * 0.044715) + 1.0) * 0.7978845608028654
    return (t + 1.0) * 0.5 + x * 0.5 * ((1.0 - square(t)) * inner)


def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Tensor:
    """x times the normal distribution function of x (Hendrycks and Gimpel 2016).

    Args:
        features: floating tensor.
        approximate: use the form with tanh, which is within 1e-3 and faster.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.gelu([0., 1.]).numpy().round(4).tolist()
        [0.0, 0.8413000106811523]
    """
    return _gelu_tanh(features) if approximate else _gelu_erf(features)


softsign = elementwise("softsign", "x0 / (K(1) + fabs(x0))",
                       lambda g, x0: g / square(_abs(x0) + 1.0), args=("features",), doc="x / (1 + abs(x)).")

_LEAKY = OpDef("leaky_relu", ("features", "alpha"), lambda x, a: Spec(x.shape, x.dtype), slots=True,
               expr="select(x0, x0 * x1, x0 < K(0))", doc="Leaky rectifier.",
               vjps=(lambda g, x0, x1: where(greater(x0, 0.0), g, g * x1), None))


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """x above 0, alpha * x below (Maas et al. 2013).

    Example:
        >>> import cltensor as tf
        >>> tf.nn.leaky_relu([-10., 2.], alpha=0.5).numpy().tolist()
        [-5.0, 2.0]
    """
    return execute(_LEAKY, (features, alpha))


def log_sigmoid(x: Any, name: str | None = None) -> Tensor:
    """log(sigmoid(x)) without overflow.

    Example:
        >>> import cltensor as tf
        >>> tf.log_sigmoid(-1000.).numpy()
        np.float32(-1000.0)
    """
    return negative(softplus(negative(x)))


