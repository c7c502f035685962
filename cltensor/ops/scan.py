"""Along one axis: the position of the extreme value (argmax, argmin) and running results (cumsum, cumprod)."""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import DType, as_dtype, int32, int64
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import normalize_axis, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import static_value
from cltensor.kernels.plan import Plan
from cltensor.kernels.reduction import lower_argreduce
from cltensor.kernels.rowwise import lower_scan

__all__ = ["argmax", "argmin", "cumsum", "cumprod"]


def _axis(axis: Any) -> int:
    return axis if type(axis) is int else int(static_value(axis))


def _no_bool(op: str, x: Spec, arg: str) -> None:
    if x.dtype.is_bool:
        raise DTypeError(f"{op}: {arg} must be floating or integer, it has dtype bool and shape {show(x.shape)}; "
                         "use cast")


# -- positions
def _arg_row(name: str, op: str) -> OpDef:
    def infer(x: Spec, axis: int, output_type: DType) -> Spec:
        _no_bool(name, x, "input")
        if output_type not in (int32, int64):
            raise DTypeError(f"{name}: output_type must be int32 or int64, it is {output_type.name}")
        if x.shape is None:
            return Spec(None, output_type)
        at = normalize_axis(name, axis, len(x.shape))
        if x.shape[at] == 0:
            raise InvalidArgumentError(f"{name}: dimension {at} has size 0, there is nothing to choose from: input has "
                                       f"shape {show(x.shape)}")
        return Spec(x.shape[:at] + x.shape[at + 1:], output_type)

    def lower(ins: tuple, outs: tuple, target: Any, axis: int, output_type: DType) -> Plan:
        return lower_argreduce(ins, outs, target, op=op, axis=normalize_axis(name, axis, ins[0].rank))

    return OpDef(name, ("input",), infer, lower=lower, vjps=(None,), doc=f"Position of the {op}imum.")


_ARGMAX, _ARGMIN = _arg_row("argmax", "max"), _arg_row("argmin", "min")


def _arg(op: OpDef, x: Any, axis: Any, dimension: Any, output_type: Any) -> Any:
    axis = dimension if axis is None else axis
    return execute(op, (x,), (("axis", 0 if axis is None else _axis(axis)), ("output_type", as_dtype(output_type))))


def argmax(input: Any, axis: Any = None, name: str | None = None, dimension: Any = None,
           output_type: Any = int64) -> Any:
    """Index of the largest value along an axis; of equal values the first, and the first nan before all.

    Args:
        input: floating or integer tensor, rank at least 1.
        axis: which dimension (old name `dimension`); 0 unless given.
        output_type: int64 or int32.

    Returns: tensor of the input's shape without that dimension; not differentiable.
    Raises: InvalidArgumentError for an axis out of range or of size 0; DTypeError for booleans.

    Example:
        >>> import cltensor as tf
        >>> tf.argmax([[1., 9., 3.], [7., 5., 7.]], axis=1).numpy().tolist()
        [1, 0]
    """
    return _arg(_ARGMAX, input, axis, dimension, output_type)


def argmin(input: Any, axis: Any = None, name: str | None = None, dimension: Any = None,
           output_type: Any = int64) -> Any:
    """Index of the smallest value along an axis; of equal values the first, and the first nan before all.

    Args, returns and errors are those of `argmax`.

    Example:
        >>> import cltensor as tf
        >>> tf.argmin([[1., 9., 3.], [7., 5., 5.]], axis=1).numpy().tolist()
        [0, 1]
    """
    return _arg(_ARGMIN, input, axis, dimension, output_type)


# -- running results
def _scan_row(name: str, kind: str, vjps: tuple, doc: str) -> OpDef:
    def infer(x: Spec, *more: Spec, axis: int, exclusive: bool, reverse: bool) -> Spec:
        _no_bool(name, x, "x")
        if x.shape is not None:
            normalize_axis(name, axis, len(x.shape))
        return x

    def lower(ins: tuple, outs: tuple, target: Any, axis: int, exclusive: bool, reverse: bool) -> Plan:
        return lower_scan(ins, outs, target, kind=kind, axis=normalize_axis(name, axis, ins[0].rank),
                          exclusive=exclusive, reverse=reverse)

    args = ("a", "b") if kind == "linear" else ("x",)
    return OpDef(name, args, infer, lower=lower, vjps=vjps, doc=doc)


def _cumprod_vjp(g: Any, x0: Any, axis: int, exclusive: bool, reverse: bool) -> Any:
    """Without dividing by x, so that zeros are as good as any value.

    d y[j] / d x[i] is the product of all x up to j but x[i]: what comes before i (an exclusive cumprod)
    times a sum over j of g[j] and what lies between, which is a linear recurrence walked the other way.
    """
    before = cumprod(x0, axis, exclusive=True, reverse=reverse)
    if exclusive:
        return before * _recurrence(x0, g, axis, not reverse)
    return before * (g + _recurrence(x0, x0 * g, axis, not reverse))


_CUMSUM = _scan_row("cumsum", "sum", (lambda g, axis, exclusive, reverse: cumsum(g, axis, exclusive, not reverse),),
                    "Running sum.")
_CUMPROD = _scan_row("cumprod", "prod", (_cumprod_vjp,), "Running product.")
# s = b[i] + a[i] * s from s = 0, each result being s before element i; its gradient is one of its own kind
_RECURRENCE = _scan_row(
    "linear_recurrence", "linear",
    (lambda g, x0, y, axis, reverse: _recurrence(x0, g, axis, not reverse) * y,
     lambda g, x0, axis, reverse: _recurrence(x0, g, axis, not reverse)), "Linear recurrence, exclusive.")


def _scan(op: OpDef, inputs: tuple, axis: Any, exclusive: Any, reverse: Any) -> Any:
    return execute(op, inputs, (("axis", _axis(axis)), ("exclusive", bool(exclusive)), ("reverse", bool(reverse))))


def _recurrence(a: Any, b: Any, axis: int, reverse: bool) -> Any:
    return _scan(_RECURRENCE, (a, b), axis, True, reverse)


def cumsum(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Any:
    """Running sum along an axis.

    Args:
        x: floating or integer tensor, rank at least 1; float16 is summed in float32.
        axis: which dimension.
        exclusive: leave the element itself out: [a, b, c] -> [0, a, a + b].
        reverse: start from the end: [a, b, c] -> [a + b + c, b + c, c].

    Returns: tensor of x's shape and dtype.
    Raises: InvalidArgumentError for an axis out of range; DTypeError for booleans.

    Example:
        >>> import cltensor as tf
        >>> tf.cumsum([1., 2., 3.]).numpy().tolist()
        [1.0, 3.0, 6.0]
    """
    return _scan(_CUMSUM, (x,), axis, exclusive, reverse)


def cumprod(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Any:
    """Running product along an axis; arguments as for `cumsum`, exclusive starts with 1.

    The gradient holds at zeros, to any order.

    Example:
        >>> import cltensor as tf
        >>> tf.cumprod([2., 3., 4.], exclusive=True).numpy().tolist()
        [1.0, 2.0, 6.0]
    """
    return _scan(_CUMPROD, (x,), axis, exclusive, reverse)
