"""Elementwise ops, comparisons, casts and choices in ONNX's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.onnx.builder import Call

__all__ = ["OPERATORS"]

# the same op under ONNX's name, inputs in the same order
SAME = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "add_n": "Sum", "asin": "Asin", "asinh": "Asinh",
    "atan": "Atan", "atanh": "Atanh", "bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr",
    "bitwise_xor": "BitwiseXor", "ceil": "Ceil", "cos": "Cos", "cosh": "Cosh", "elu": "Elu", "equal": "Equal",
    "erf": "Erf", "exp": "Exp", "floor": "Floor", "greater": "Greater", "greater_equal": "GreaterOrEqual",
    "invert": "BitwiseNot", "is_inf": "IsInf", "is_nan": "IsNaN", "less": "Less", "less_equal": "LessOrEqual",
    "log": "Log", "logical_and": "And", "logical_not": "Not", "logical_or": "Or", "logical_xor": "Xor",
    "maximum": "Max",
    "minimum": "Min", "multiply": "Mul", "negative": "Neg", "pow": "Pow", "realdiv": "Div", "reciprocal": "Reciprocal",
    "relu": "Relu", "selu": "Selu", "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin", "sinh": "Sinh",
    "softplus": "Softplus", "softsign": "Softsign", "sqrt": "Sqrt", "subtract": "Sub", "tan": "Tan", "tanh": "Tanh",
}


def _same(name: str) -> Callable[[Call], str]:
    return lambda c: c.builder(name, *c.inputs)


def _number(c: Call, value: float) -> str:
    return c.builder.constant(value, c.out.dtype)


def _alias(c: Call) -> str:
    return c.input(0)


def _cast(c: Call) -> str:
    have, want = c.specs[0].dtype, c.out.dtype
    if have.is_floating and have.size > 2 and want.is_integer and want.size <= 2:       # ours saturates
        limits = (c.builder.constant(n, have) for n in (want.min, want.max))
        return c.builder("Cast", c.builder("Clip", c.input(0), *limits), to=c.builder.kind(want))
    return c.builder("Cast", c.input(0), to=c.builder.kind(c.out.dtype))


def _square(c: Call) -> str:
    return c.builder("Mul", c.input(0), c.input(0))


def _squared_difference(c: Call) -> str:
    d = c.builder("Sub", *c.inputs)
    return c.builder("Mul", d, d)


def _floormod(c: Call) -> str:
    b, (x, y) = c.builder, c.inputs
    if not c.out.dtype.is_floating:
        return b("Mod", x, y)
    return b("Sub", x, b("Mul", b("Floor", b("Div", x, y)), y))


def _floordiv(c: Call) -> str:
    b, (x, y) = c.builder, c.inputs
    if c.out.dtype.is_floating:
        return b("Floor", b("Div", x, y))
    return b("Div", b("Sub", x, b("Mod", x, y)), y)         # what is divided is a multiple: nothing is rounded


def _truncatediv(c: Call) -> str:
    b = c.builder
    q = b("Div", *c.inputs)
    return b("Mul", b("Sign", q), b("Floor", b("Abs", q))) if c.out.dtype.is_floating else q


def _round(c: Call) -> str:
    return c.builder("Round", c.input(0)) if c.out.dtype.is_floating else c.input(0)


def _relu6(c: Call) -> str:
    return c.builder("Clip", c.input(0), _number(c, 0), _number(c, 6))


def _leaky_relu(c: Call) -> str:
    b, (x, slope) = c.builder, c.inputs
    return b("Where", b("Less", x, _number(c, 0)), b("Mul", x, slope), x)


def _gelu_erf(c: Call) -> str:
    b, x = c.builder, c.input(0)
    e = b("Erf", b("Mul", x, _number(c, 0.5 ** 0.5)))
    return b("Mul", b("Mul", x, _number(c, 0.5)), b("Add", e, _number(c, 1)))


def _gelu_tanh(c: Call) -> str:
    b, x = c.builder, c.input(0)
    cubed = b("Mul", b("Mul", b("Mul", x, x), x), _number(c, 0.044715))
    t = b("Tanh", b("Mul", b("Add", x, cubed), _number(c, (2 / np.pi) ** 0.5)))
    return b("Mul", b("Mul", x, _number(c, 0.5)), b("Add", t, _number(c, 1)))


def _where(c: Call) -> str:
    condition, x, y = c.inputs
    if not c.specs[0].dtype.is_bool:
        condition = c.builder("Cast", condition, to=c.builder.onnx.TensorProto.BOOL)
    return c.builder("Where", condition, x, y)


def _clip(c: Call) -> str:
    x, low, high = c.inputs
    return c.builder("Min", c.builder("Max", x, low), high)


def _is_finite(c: Call) -> str:
    b, x = c.builder, c.input(0)
    return b("Not", b("Or", b("IsNaN", x), b("IsInf", x)))


def _scale_shift(c: Call) -> str:
    x, factor, shift = c.inputs
    return c.builder("Add", c.builder("Mul", x, factor), shift)


def _sigmoid_cross_entropy(c: Call) -> str:
    b, (labels, x) = c.builder, c.inputs
    return b("Add", b("Sub", b("Relu", x), b("Mul", x, labels)), b("Softplus", b("Neg", b("Abs", x))))


OPERATORS: dict[str, Callable[[Call], Any]] = {
    **{op: _same(name) for op, name in SAME.items()},
    "identity": _alias, "stop_gradient": _alias, "cast": _cast, "square": _square, "round": _round, "relu6": _relu6,
    "squared_difference": _squared_difference, "mod": _floormod, "floordiv": _floordiv, "truncatediv": _truncatediv,
    "leaky_relu": _leaky_relu, "gelu_erf": _gelu_erf, "gelu_tanh": _gelu_tanh, "where": _where,
    "clip_by_value": _clip, "is_finite": _is_finite, "scale_shift": _scale_shift,
    "sigmoid_cross_entropy_with_logits": _sigmoid_cross_entropy,
    "not_equal": lambda c: c.builder("Not", c.builder("Equal", *c.inputs)),
    "rsqrt": lambda c: c.builder("Reciprocal", c.builder("Sqrt", c.input(0))),
    "expm1": lambda c: c.builder("Sub", c.builder("Exp", c.input(0)), _number(c, 1)),
    "log1p": lambda c: c.builder("Log", c.builder("Add", c.input(0), _number(c, 1))),
    "erfc": lambda c: c.builder("Sub", _number(c, 1), c.builder("Erf", c.input(0))),
}
