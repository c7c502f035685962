"""Elementwise arithmetic, comparison, logic and cast: one row per op, its gradient beside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from cltensor.base.dtypes import DType, as_dtype, bool_, float32, float64
from cltensor.base.errors import DTypeError, InvalidArgumentError, PerformanceWarning
from cltensor.base.shapes import broadcast, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.elementwise import ANY, BOOL, NUMBER, elementwise

# rows below name each other in their gradients before they are defined
negative: Callable[..., Any]
sign: Callable[..., Any]
less: Callable[..., Any]
less_equal: Callable[..., Any]
greater: Callable[..., Any]
greater_equal: Callable[..., Any]
_ONE, _ZERO = "(($T)(K(1)))", "(($T)(K(0)))"


def _guarded(name: str) -> Any:
    """Integer quotients: dividing by 0 and MIN by -1 trap on CPUs, so neither reaches the divider; x / 0 is 0."""
    def text(*specs: Spec) -> Any:
        if specs[-1].dtype.is_floating:
            return _QUOTIENTS[name].replace("fmod", "fmod_lanes" if specs[-1].dtype.name == "float64" else "fmod")
        if specs[-1].dtype.name == "uint8":
            return f"I zero = x1 == K(0); T d = select(x1, {_ONE}, zero); select(x0 {_SIGN[name]} d, {_ZERO}, zero)"
        head = (f"I zero = x1 == K(0); I minus = x1 == K(-1); T d = select(x1, {_ONE}, zero | minus); "
                "T q = x0 / d; T r = x0 - q * d; ")
        low = "I low = (r != K(0)) & ((r < K(0)) != (d < K(0))); "
        return head + {
            "floordiv": low + f"select(select(select(q, q - K(1), low), -x0, minus), {_ZERO}, zero)",
            "truncatediv": f"select(select(q, -x0, minus), {_ZERO}, zero)",
            "mod": low + f"select(select(r, r + d, low), {_ZERO}, zero | minus)",
        }[name]
    return text


_SIGN = {"floordiv": "/", "truncatediv": "/", "mod": "%"}
_QUOTIENTS = {
    "floordiv": "floor(x0 / x1)",
    "truncatediv": "trunc(x0 / x1)",
    "mod": "T r = fmod(x0, x1); I low = (r != K(0)) & ((r < K(0)) != (x1 < K(0))); select(r, r + x1, low)",
}

# -- arithmetic
add = elementwise("add", "x0 + x1", lambda g: g, lambda g: g, kinds=NUMBER,
                  doc="Sum x + y; integers wrap around.", example=">>> tf.add([1, 2], 3).numpy().tolist()\n[4, 5]")
subtract = elementwise("subtract", "x0 - x1", lambda g: g, lambda g: negative(g), kinds=NUMBER,
                       doc="Difference x - y; integers wrap around.",
                       example=">>> tf.subtract(3., [1., 2.]).numpy().tolist()\n[2.0, 1.0]")
multiply = elementwise("multiply", "x0 * x1", lambda g, x1: g * x1, lambda g, x0: g * x0, kinds=NUMBER,
                       doc="Product x * y; integers wrap around.",
                       example=">>> tf.multiply([1, 2], [3, 4]).numpy().tolist()\n[3, 8]")
realdiv = elementwise("realdiv", "x0 / x1", lambda g, x1: g / x1, lambda g, x1, y: negative(g * (y / x1)),
                      doc="Quotient x / y of floating tensors.",
                      example=">>> tf.realdiv([1., 2.], 4.).numpy().tolist()\n[0.25, 0.5]")
floordiv = elementwise("floordiv", _guarded("floordiv"), args=("x", "y"), kinds=NUMBER,
                       doc="Quotient rounded toward minus infinity, as Python's //; an integer over 0 is 0.",
                       example=">>> tf.floordiv([-7, 7], 2).numpy().tolist()\n[-4, 3]")
truncatediv = elementwise("truncatediv", _guarded("truncatediv"), args=("x", "y"), kinds=NUMBER,
                          doc="Quotient rounded toward zero, as C's /; an integer over 0 is 0.",
                          example=">>> tf.truncatediv([-7, 7], 2).numpy().tolist()\n[-3, 3]")
mod = elementwise("mod", _guarded("mod"), lambda g: g, lambda g, x0, x1: negative(g * floordiv(x0, x1)),
                  args=("x", "y"), kinds=NUMBER,
                  doc="Remainder with the sign of y, as Python's %; an integer modulo 0 is 0.",
                  example=">>> tf.mod([-7, 7], 3).numpy().tolist()\n[2, 1]")
negative = elementwise("negative", "-x0", lambda g: negative(g), kinds=NUMBER, doc="-x.",
                       example=">>> tf.negative([1, -2]).numpy().tolist()\n[-1, 2]")
abs = elementwise("abs", {"float": "fabs(x0)", "int": "select(x0, -x0, x0 < K(0))"},
                  lambda g, x0: g * sign(x0), kinds=NUMBER, doc="Absolute value; the gradient at 0 is 0.",
                  example=">>> tf.abs([-1.5, 2.]).numpy().tolist()\n[1.5, 2.0]")
sign = elementwise("sign", {"float": "select(sign(x0), x0, isnan(x0))",
                            "int": "convert_$T((x0 < K(0)) - (x0 > K(0)))"}, lambda g: 0.0, kinds=NUMBER,
                   doc="-1, 0 or 1; nan of nan. The gradient is 0.",
                   example=">>> tf.sign([-3., 0., 2.]).numpy().tolist()\n[-1.0, 0.0, 1.0]")
square = elementwise("square", "x0 * x0", lambda g, x0: g * (x0 * 2), kinds=NUMBER, doc="x * x.",
                     example=">>> tf.square([2., -3.]).numpy().tolist()\n[4.0, 9.0]")
squared_difference = elementwise("squared_difference", "T d = x0 - x1; d * d",
                                 lambda g, x0, x1: g * ((x0 - x1) * 2), lambda g, x0, x1: g * ((x1 - x0) * 2),
                                 kinds=NUMBER, doc="(x - y) squared.",
                                 example=">>> tf.squared_difference([1., 5.], 2.).numpy().tolist()\n[1.0, 9.0]")
maximum = elementwise("maximum", {"float": "select(x1, x0, (x0 >= x1) | (x0 != x0))", "int": "max(x0, x1)"},
                      lambda g, x0, x1: where(greater_equal(x0, x1), g, 0.0),
                      lambda g, x0, x1: where(less(x0, x1), g, 0.0), kinds=NUMBER,
                      doc="The larger of x and y; nan where either is. On a tie x gets the gradient.",
                      example=">>> tf.maximum([1., 5.], 2.).numpy().tolist()\n[2.0, 5.0]")
minimum = elementwise("minimum", {"float": "select(x1, x0, (x0 <= x1) | (x0 != x0))", "int": "min(x0, x1)"},
                      lambda g, x0, x1: where(less_equal(x0, x1), g, 0.0),
                      lambda g, x0, x1: where(greater(x0, x1), g, 0.0), kinds=NUMBER,
                      doc="The smaller of x and y; nan where either is. On a tie x gets the gradient.",
                      example=">>> tf.minimum([1., 5.], 2.).numpy().tolist()\n[1.0, 2.0]")


def _power_text(*specs: Spec) -> str:
    if specs[-1].dtype.is_floating:
        return "pow_lanes(x0, x1)" if specs[-1].dtype.name == "float64" else "pow(x0, x1)"
    parts, bits = ["T b0 = x0", f"T r0 = {_ONE}"], 8 * specs[-1].dtype.size - 1
    for k in range(bits):       # by squaring: one bit of the exponent at a time
        parts.append(f"T r{k + 1} = select(r{k}, r{k} * b{k}, ((x1 >> K({k})) & K(1)) != K(0))")
        parts.append(f"T b{k + 1} = b{k} * b{k}")
    if specs[-1].dtype.name == "uint8":
        parts.append("T r8 = select(r7, r7 * b7, ((x1 >> K(7)) & K(1)) != K(0))")
        return "; ".join(parts) + "; r8"
    odd = f"select({_ONE}, -{_ONE}, (x1 & K(1)) != K(0))"
    below = f"select(select({_ZERO}, {odd}, x0 == K(-1)), {_ONE}, x0 == K(1))"
    return "; ".join(parts) + f"; select(r{bits}, {below}, x1 < K(0))"


def _pow_dx(g: Any, x0: Any, x1: Any) -> Any:
    if not isinstance(x1, Tensor):
        return 0.0 if x1 == 0 else g * (pow(x0, x1 - 1) * x1)
    return g * where(equal(x1, 0.0), 0.0, x1 * pow(x0, x1 - 1.0))


def _pow_dy(g: Any, x0: Any, y: Any) -> Any:
    safe = where(greater(x0, 0.0), x0, 1.0)       # log is kept from x <= 0, where the gradient is 0
    return g * (y * _log(safe))


_log = elementwise("log", "log(x0)", lambda g, x0: g / x0, doc="Natural logarithm.",
                   example=">>> tf.log([1.]).numpy().tolist()\n[0.0]")
_power = elementwise("pow", _power_text, _pow_dx, _pow_dy, args=("x", "y"), kinds=NUMBER, doc="x to the power y.")


def pow(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x to the power y.

    Args:
        x, y: floating or integer tensors of one dtype whose shapes broadcast. A negative integer exponent
            gives 0, but for the bases 1 and -1.

    Returns: tensor of the broadcast shape. The exponent's gradient is 0 where x <= 0.
    Raises: DTypeError for booleans or two dtypes; InvalidArgumentError where shapes do not broadcast.

    Example:
        >>> import cltensor as tf
        >>> tf.pow([2., 3.], 2.).numpy().tolist()
        [4.0, 9.0]
    """
    if type(y) in (int, float) and isinstance(x, Tensor) and y in (2, 3, 4):       # a few products, not a logarithm
        squared = square(x)
        return squared if y == 2 else squared * (x if y == 3 else squared)
    return _power(x, y)


# -- comparison and logic
def _compare(name: str, sign: str, doc: str, kinds: tuple = NUMBER) -> Any:
    return elementwise(name, f"BOOL(x0 {sign} x1)", kinds=kinds, result=bool_, doc=doc)


equal = _compare("equal", "==", "True where x == y; nan equals nothing.", ANY)
not_equal = _compare("not_equal", "!=", "True where x != y.", ANY)
less = _compare("less", "<", "True where x < y.")
less_equal = _compare("less_equal", "<=", "True where x <= y.")
greater = _compare("greater", ">", "True where x > y.")
greater_equal = _compare("greater_equal", ">=", "True where x >= y.")
logical_and = elementwise("logical_and", "x0 & x1", kinds=BOOL, doc="True where both are.")
logical_or = elementwise("logical_or", "x0 | x1", kinds=BOOL, doc="True where either is.")
logical_xor = elementwise("logical_xor", "x0 ^ x1", kinds=BOOL, doc="True where one of both is.")
logical_not = elementwise("logical_not", "x0 ^ K(1)", kinds=BOOL, doc="True where x is False.")
bitwise_and = elementwise("bitwise_and", "x0 & x1", kinds=("int",), doc="Bits set in both.")
bitwise_or = elementwise("bitwise_or", "x0 | x1", kinds=("int",), doc="Bits set in either.")
bitwise_xor = elementwise("bitwise_xor", "x0 ^ x1", kinds=("int",), doc="Bits set in one of both.")
invert = elementwise("invert", "~x0", kinds=("int",), doc="All bits flipped.")
is_nan = elementwise("is_nan", "BOOL(isnan(x0))", result=bool_, doc="True where x is nan.")
is_inf = elementwise("is_inf", "BOOL(isinf(x0))", result=bool_, doc="True where x is infinite.")
is_finite = elementwise("is_finite", "BOOL(isfinite(x0))", result=bool_,
                        doc="True where x is neither nan nor infinite.")

_WHERE = OpDef("where", ("condition", "x", "y"), lambda c, x, y: _where_spec(c, x, y), slots=True, types="bTT",
               expr="select(x2, x1, convert_$I(x0) != (($I)(0)))", doc="Choose per element.",
               vjps=(None, lambda g, x0: where(x0, g, 0.0), lambda g, x0: where(x0, 0.0, g)))


def _where_spec(c: Spec, x: Spec, y: Spec) -> Spec:
    if not c.dtype.is_bool:
        raise DTypeError(f"where: condition must be boolean, it has dtype {c.dtype.name} and shape {show(c.shape)}; "
                         "use cast")
    shape = broadcast("where", broadcast("where", x.shape, y.shape, ("x", "y")), c.shape, ("x and y", "condition"))
    return Spec(shape, y.dtype)


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """x where the condition holds, else y; the other branch gets no gradient.

    Args:
        condition: boolean; of x's shape, broadcastable, or a vector that chooses whole rows of x and y.
        x, y: tensors of one dtype.

    Example:
        >>> import cltensor as tf
        >>> tf.where([True, False], [1., 2.], [3., 4.]).numpy().tolist()
        [1.0, 4.0]
    """
    return execute(_WHERE, (condition, x, y))


_CLIP = OpDef("clip_by_value", ("t", "clip_value_min", "clip_value_max"),
              lambda t, lo, hi: _clip_spec(t, lo, hi), slots=True, doc="Limit to an interval.",
              expr="T a = select(x0, x1, x0 < x1); select(a, x2, a > x2)",
              vjps=(lambda g, x0, x1, x2: where(logical_or(less(x0, x1), greater(x0, x2)), 0.0, g),
                    lambda g, x0, x1: where(less(x0, x1), g, 0.0),
                    lambda g, x0, x2: where(greater(x0, x2), g, 0.0)))


def _clip_spec(t: Spec, lo: Spec, hi: Spec) -> Spec:
    if t.dtype.is_bool:
        raise DTypeError(f"clip_by_value: t must be floating or integer, it has dtype bool and shape {show(t.shape)}")
    shape = broadcast("clip_by_value", t.shape, lo.shape, ("t", "clip_value_min"))
    return Spec(broadcast("clip_by_value", shape, hi.shape, ("t", "clip_value_max")), t.dtype)


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Tensor:
    """t limited to [clip_value_min, clip_value_max]; nan stays nan.

    Example:
        >>> import cltensor as tf
        >>> tf.clip_by_value([-1., 0.5, 9.], 0., 1.).numpy().tolist()
        [0.0, 0.5, 1.0]
    """
    return execute(_CLIP, (t, clip_value_min, clip_value_max))


# -- cast
def _cast_text(spec: Spec, dtype: DType) -> str:
    if dtype.is_bool:
        return "BOOL(x0 != K(0))"
    return "convert_$O_sat(x0)" if spec.dtype.is_floating and not dtype.is_floating else "convert_$O(x0)"


_CAST = OpDef("cast", ("x",), lambda x, dtype: Spec(x.shape, dtype), expr=_cast_text, doc="Change the dtype.",
              vjps=(lambda g, s0: cast(g, s0.dtype) if s0.dtype.is_floating else None,))


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """x in another dtype; floats are cut toward zero and saturate (nan gives 0), integers wrap around.

    Example:
        >>> import cltensor as tf
        >>> tf.cast([-1.9, 2.5], tf.int32).numpy().tolist()
        [-1, 2]
    """
    x, want = convert(x), as_dtype(dtype)
    return x if x.dtype is want else execute(_CAST, (x,), (("dtype", want),))


def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Tensor:
    """Cast with values limited to the range of the dtype.

    Example:
        >>> import cltensor as tf
        >>> tf.saturate_cast([300, -1], tf.uint8).numpy().tolist()
        [255, 0]
    """
    x, want = convert(value), as_dtype(dtype)
    if x.dtype.is_integer and want.is_integer and (x.dtype.min < want.min or x.dtype.max > want.max):
        x = clip_by_value(x, max(want.min, x.dtype.min), min(want.max, x.dtype.max))
    return cast(x, want)


_warned: list = []


def truediv(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Quotient x / y as Python 3 means it: integers are divided as float64 (small ones as float32).

    Where the device has no float64, integers give float32, with one warning.

    Example:
        >>> import cltensor as tf
        >>> tf.truediv([1, 3], 2).dtype, tf.truediv([1, 3], 2).numpy().tolist()
        (tf.float64, [0.5, 1.5])
    """
    first = x if hasattr(type(x), "dtype") else y if hasattr(type(y), "dtype") else None
    if first is None:
        first = x = convert(x, op="truediv")
    dtype = as_dtype(first.dtype)
    if not dtype.is_integer:
        return realdiv(x, y)
    want = float32 if dtype.size < 4 else float64
    x, y = convert(x, dtype, op="truediv"), convert(y, dtype, op="truediv")
    if want is float64 and not x.placed_on.traits.fp64:
        want = float32
        if not _warned:
            _warned.append(True)
            warnings.warn(f"truediv: {x.placed_on.label} has no float64, integer / integer gives float32",
                          PerformanceWarning, stacklevel=3)
    return realdiv(cast(x, want), cast(y, want))


divide = truediv
floormod = mod


def div(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Quotient as Python 2 means it: integers round toward minus infinity.

    Example:
        >>> import cltensor as tf
        >>> tf.div(7, 2).numpy(), tf.div(7., 2.).numpy()
        (np.int32(3), np.float32(3.5))
    """
    x = convert(x) if not hasattr(type(y), "dtype") else x
    dtype = as_dtype((x if hasattr(type(x), "dtype") else y).dtype)
    return floordiv(x, y) if dtype.is_integer else realdiv(x, y)


# -- sums of many
def _add_n_spec(*specs: Spec) -> Spec:
    for i, s in enumerate(specs):
        if s.shape != specs[0].shape:
            raise InvalidArgumentError(f"add_n: all inputs must have one shape, {show(s.shape)} != "
                                       f"{show(specs[0].shape)}: inputs[{i}] and inputs[0]")
    return specs[0]


_ADD_N = OpDef("add_n", ("inputs",), _add_n_spec, types="*", expr=lambda *specs: " + ".join(
    f"x{i}" for i in range(len(specs))), vjps=lambda g, ss: [g for _ in ss], doc="Sum of many tensors.")


def add_n(inputs: Any, name: str | None = None) -> Tensor:
    """Sum of a list of tensors of one shape and dtype, in list order, in one kernel.

    Example:
        >>> import cltensor as tf
        >>> tf.add_n([[1., 2.], [3., 4.], [5., 6.]]).numpy().tolist()
        [9.0, 12.0]
    """
    tensors = [convert(t, op="add_n") for t in (inputs if isinstance(inputs, (list, tuple)) else [inputs])]
    if not tensors:
        raise InvalidArgumentError("add_n: inputs is empty, it must hold at least one tensor")
    while len(tensors) > 8:         # so that a long list does not make a kernel of its own
        tensors = [execute(_ADD_N, tuple(tensors[:8])), *tensors[8:]]
    return tensors[0] if len(tensors) == 1 else execute(_ADD_N, tuple(tensors))
