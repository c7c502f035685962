"""Rows of elementwise functions. Limits are OpenCL's table of ulps (specification 1.2, section 7.4).

Composed functions get the sum of what their parts may err, in the place it has in the formula.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special as sc

import cltensor as tf
from tests.ops.row import BINARY, UNARY, Input, Row, Ulps, away, special, uniform

_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805
_ONE = special(1)


def _function(name: str, twin: Any, ulps: float, domain: Any = uniform(-2, 2), absolute: float = 0.0,
              dtypes: tuple = ("float32",), call: Any = None, order: int = 2, gradient: float = 1e-5,
              specials: tuple = _ONE, covers: tuple = (), **more: Any) -> Row:
    call = call or (lambda x, f=getattr(tf, name, None) or getattr(tf.nn, name): f(x))
    return Row(name, call, twin, (Input(domain),), UNARY, covers, order, Ulps(ulps, absolute), dtypes,
               gradient=gradient, specials=specials, **more)


_ALL = ("float32", "float16", "float64")
ROWS: tuple[Row, ...] = (
    _function("exp", np.exp, 3, uniform(-20, 20), dtypes=_ALL, gradient=2e-5),
    _function("expm1", np.expm1, 3, uniform(-9, 9)),
    _function("log1p", np.log1p, 2, uniform(-0.9, 9)),
    _function("sqrt", np.sqrt, 3, uniform(0.1, 90), dtypes=_ALL),
    _function("rsqrt", lambda x: 1 / np.sqrt(x), 2, uniform(0.1, 90)),
    _function("reciprocal", lambda x: 1 / x, 2.5, away(-9, 9, 0.3)),
    _function("sin", np.sin, 4, uniform(-30, 30), dtypes=("float32", "float64")),
    _function("cos", np.cos, 4, uniform(-30, 30)),
    _function("tan", np.tan, 5, uniform(-1.2, 1.2), gradient=3e-5),
    _function("asin", np.arcsin, 4, uniform(-0.9, 0.9), gradient=3e-5),
    _function("acos", np.arccos, 4, uniform(-0.9, 0.9), gradient=3e-5),
    _function("atan", np.arctan, 5, uniform(-9, 9)),
    Row("atan2", lambda y, x: tf.atan2(y, x), np.arctan2, (Input(away(-2, 2, 0.3)), Input(away(-2, 2, 0.3))), BINARY,
        tolerance=Ulps(6), specials=special(2)),
    _function("sinh", np.sinh, 4, uniform(-9, 9)),
    _function("cosh", np.cosh, 4, uniform(-9, 9)),
    _function("tanh", np.tanh, 5, uniform(-4, 4), dtypes=("float32", "float16"), gradient=3e-5),
    _function("asinh", np.arcsinh, 4, uniform(-9, 9)),
    _function("acosh", np.arccosh, 4, uniform(1.3, 9), gradient=3e-5),
    _function("atanh", np.arctanh, 5, uniform(-0.9, 0.9), gradient=3e-5),
    _function("erf", sc.erf, 2, uniform(-4, 4), dtypes=("float32", "float16")),
    _function("erfc", sc.erfc, 16, uniform(-3, 5)),
    _function("floor", np.floor, 0, uniform(-9, 9), order=0),
    _function("ceil", np.ceil, 0, uniform(-9, 9), order=0),
    _function("round", np.rint, 0, lambda rng, shape, dtype: rng.integers(-9, 9, shape) / 2, order=0,
              dtypes=("float32", "int32")),
    # 1 / (1 + e): exp's 3 ulp shrink by e / (1 + e), then an addition and a division
    _function("sigmoid", sc.expit, 8, uniform(-20, 20), dtypes=("float32", "float16"), gradient=2e-5),
    _function("relu", lambda x: np.where(x < 0, 0, x), 0, away(-2, 2), dtypes=("float32", "int32", "float16")),
    _function("relu6", lambda x: np.minimum(np.maximum(x, 0), 6), 0, lambda rng, shape, dtype: rng.integers(
        -3, 10, shape) + rng.uniform(0.2, 0.8, shape)),
    _function("elu", lambda x: np.where(x < 0, np.expm1(x), x), 3, away(-5, 5)),
    _function("selu", lambda x: _SCALE * np.where(x < 0, _ALPHA * np.expm1(x), x), 6, away(-5, 5), gradient=2e-5),
    _function("softplus", lambda x: np.logaddexp(x, 0), 6, uniform(-30, 30), gradient=2e-5),
    _function("softsign", lambda x: x / (1 + np.abs(x)), 4, away(-5, 5), specials=()),
    _function("log_sigmoid", lambda x: -np.logaddexp(-x, 0), 6, uniform(-30, 30), gradient=2e-5,
              covers=("negative", "softplus")),
    # both gelus end in 1 + (a value near -1): what erf or tanh err stays, times x / 2
    _function("gelu", lambda x: x * 0.5 * (1 + sc.erf(x / np.sqrt(2))), 20, uniform(-4, 4), absolute=40,
              gradient=3e-5, covers=("gelu_erf",)),
    _function("gelu with tanh", lambda x: x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), 20,
              uniform(-4, 4), absolute=40, gradient=3e-5, call=lambda x: tf.nn.gelu(x, approximate=True),
              covers=("gelu_tanh",)),
    _function("leaky_relu", lambda x: np.where(x > 0, x, x * 0.2), 2, away(-5, 5)),
    Row("leaky_relu with slope 0.5", lambda x: tf.nn.leaky_relu(x, alpha=0.5), lambda x: np.where(x > 0, x, x * 0.5),
        (Input(away(-5, 5)),), UNARY[1:6], ("leaky_relu",)),
)
