"""tf.math: elementwise functions, reductions and scans."""

from cltensor.ops.functions import (
    acos, acosh, asin, asinh, atan, atan2, atanh, ceil, cos, cosh, erf, erfc, exp, expm1, floor,
    log, log1p, log_sigmoid, reciprocal, rint, round, rsqrt, sigmoid, sin, sinh, softplus, softsign,
    sqrt, tan, tanh,
)
from cltensor.ops.gather import segment_sum, unsorted_segment_sum
from cltensor.ops.math import (
    abs, add, add_n, divide, equal, floordiv, floormod, greater, greater_equal, is_finite, is_inf,
    is_nan, less, less_equal, logical_and, logical_not, logical_or, logical_xor, maximum, minimum,
    mod, multiply, negative, not_equal, pow, sign, square, squared_difference, subtract, truediv,
)
from cltensor.ops.nn import l2_normalize
from cltensor.ops.reduce import (
    reduce_all, reduce_any, reduce_logsumexp, reduce_max, reduce_mean, reduce_min, reduce_prod,
    reduce_sum,
)
from cltensor.ops.scan import argmax, argmin, cumprod, cumsum

__all__ = [
    "abs", "acos", "acosh", "add", "add_n", "argmax", "argmin", "asin", "asinh", "atan", "atan2",
    "atanh", "ceil", "cos", "cosh", "cumprod", "cumsum", "divide", "equal", "erf", "erfc", "exp",
    "expm1", "floor", "floordiv", "floormod", "greater", "greater_equal", "is_finite", "is_inf",
    "is_nan", "l2_normalize", "less", "less_equal", "log", "log1p", "log_sigmoid", "logical_and",
    "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply", "negative",
    "not_equal", "pow", "reciprocal", "reduce_all", "reduce_any", "reduce_logsumexp", "reduce_max",
    "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "rint", "round", "rsqrt",
    "segment_sum", "sigmoid", "sign", "sin", "sinh", "softplus", "softsign", "sqrt", "square",
    "squared_difference", "subtract", "tan", "tanh", "truediv", "unsorted_segment_sum",
]
