"""Reductions: sum, mean, max, min, prod, any, all over any set of axes, and logsumexp.

One template does them all (kernels/reduce.cl.mako); a row says which operation, with what map before it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, prod
from typing import Any

from cltensor.base.dtypes import DType
from cltensor.base.errors import DTypeError
from cltensor.base.shapes import broadcast, normalize_axes, reduced, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import convert
from cltensor.interpret.shortcuts import unary
from cltensor.kernels.plan import Plan
from cltensor.kernels.reduction import lower_reduce
from cltensor.ops.array import broadcast_to, integers, reshape, squeeze, stop_gradient, transpose
from cltensor.ops.functions import exp, log
from cltensor.ops.math import cast, equal, is_finite, where
from cltensor.ops.scan import cumprod
from cltensor.ops.sized import sized

__all__ = ["reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "reduce_any", "reduce_all",
           "reduce_logsumexp", "sum_to"]

_NUMBER, _BOOL = ("float", "int"), ("bool",)


def _row(name: str, op: str, vjp: Callable | None, *, identity: Any, kinds: tuple = _NUMBER,
         scale: Callable = lambda n: 1, doc: str) -> OpDef:
    def infer(x: Spec, axis: tuple | None, keepdims: bool) -> Spec:
        if x.dtype.kind not in kinds:
            words = "boolean" if kinds is _BOOL else "floating or integer"
            raise DTypeError(f"{name}: input_tensor must be {words}, it has dtype {x.dtype.name} and shape "
                             f"{show(x.shape)}; use cast")
        if x.shape is None:
            return Spec(() if axis is None and not keepdims else None, x.dtype)
        return Spec(reduced(x.shape, normalize_axes(name, axis, len(x.shape)), keepdims), x.dtype)

    def lower(ins: tuple, outs: tuple, target: Any, axis: tuple | None, keepdims: bool, before: Any = None) -> Plan:
        axes = normalize_axes(name, axis, ins[0].rank)
        return lower_reduce(ins, outs, target, op=op, axes=axes, scale=scale(ins[0].size // outs[0].size),
                            before=before)

    def steps(ins: tuple, outs: tuple, axis: tuple | None, keepdims: bool) -> tuple | None:
        return full_fold(ins[0], outs[0], "mean" if scale(2) == 2 else "sum")

    return OpDef(name, ("input_tensor",), infer, lower=lower, vjps=(vjp,), identity=identity, doc=doc,
                 steps=steps if op == "sum" else None)


def full_fold(x: Spec, out: Spec, fold: str = "sum") -> tuple | None:
    """A sum (or mean) over everything as steps of a pending block (see interpret/tiers.py); None over some axes."""
    return (("", fold, (0,), out),) if out.size == 1 and x.dtype.is_floating else None


def _kept(s: Spec, axis: tuple | None) -> tuple:
    """The shape with reduced dimensions kept as 1: what broadcasts against the input."""
    return reduced(s.shape, normalize_axes("gradient", axis, len(s.shape)), True)


def _sum_vjp(g: Any, s0: Spec, axis: tuple | None) -> Any:
    return broadcast_to(g if axis is None else reshape(g, _kept(s0, axis)), s0.shape)


def _mean_vjp(g: Any, s0: Spec, axis: tuple | None) -> Any:
    kept = _kept(s0, axis)
    count = prod(s0.shape) // max(1, prod(kept))
    return broadcast_to((g if axis is None else reshape(g, kept)) / float(max(1, count)), s0.shape)


def _extreme_vjp(g: Any, x0: Any, y: Any, s0: Spec, axis: tuple | None) -> Any:
    kept = _kept(s0, axis)
    hit = cast(equal(x0, reshape(y, kept)), s0.dtype)       # equal extremes share the gradient equally
    return hit * (reshape(g, kept) / reduce_sum(hit, axis, keepdims=True))


def _prod_vjp(g: Any, x0: Any, s0: Spec, axis: tuple | None) -> Any:
    """g times the product of all the other elements: no division, so zeros are as good as any value."""
    axes = normalize_axes("reduce_prod", axis, len(s0.shape))
    if not axes:
        return g
    first, shape = axes[0], s0.shape
    after = tuple(i for i in range(first, len(shape)) if i not in axes)
    order = tuple(range(first)) + axes + after
    moved = transpose(x0, order)
    flat = reshape(moved, (prod(shape[:first]), prod(shape[a] for a in axes), prod(shape[i] for i in after)))
    others = cumprod(flat, 1, exclusive=True) * cumprod(flat, 1, exclusive=True, reverse=True)
    back = [0] * len(order)
    for i, p in enumerate(order):
        back[p] = i
    others = transpose(reshape(others, tuple(shape[p] for p in order)), tuple(back))
    return others * reshape(g, _kept(s0, axis))


def _lowest(dtype: DType) -> Any:
    return -inf if dtype.is_floating else dtype.min


def _highest(dtype: DType) -> Any:
    return inf if dtype.is_floating else dtype.max


_SUM = _row("reduce_sum", "sum", _sum_vjp, identity=0, doc="Sum.")
_MEAN = _row("reduce_mean", "sum", _mean_vjp, identity=lambda d: nan if d.is_floating else 0, scale=lambda n: n,
             doc="Mean.")
_MAX = _row("reduce_max", "max", _extreme_vjp, identity=_lowest, doc="Largest value.")
_MIN = _row("reduce_min", "min", _extreme_vjp, identity=_highest, doc="Smallest value.")
_PROD = _row("reduce_prod", "prod", _prod_vjp, identity=1, doc="Product.")
_ANY = _row("reduce_any", "max", None, identity=False, kinds=_BOOL, doc="Logical or.")
_ALL = _row("reduce_all", "min", None, identity=True, kinds=_BOOL, doc="Logical and.")
_whole = {op: unary(op, (("axis", None), ("keepdims", False)))          # over everything: these may wait
          for op in (_SUM, _MEAN, _MAX, _MIN, _PROD, _ANY, _ALL)}


def axes_argument(op: str, axis: Any) -> tuple | None:
    """An axis argument (None, int, list, tuple, ndarray, integer tensor) as a tuple or None."""
    if axis is None or type(axis) is tuple and all(type(a) is int for a in axis):
        return axis
    return (axis,) if type(axis) is int else integers(op, "axis", axis)


def _reduce(op: OpDef, x: Any, axis: Any, keepdims: Any, indices: Any, keep_dims: Any) -> Any:
    axis = indices if axis is None else axis
    keep = keep_dims if keepdims is None else keepdims
    if axis is None and not keep:
        return _whole[op](x)
    return execute(op, (x,), (("axis", axes_argument(op.name, axis)), ("keepdims", bool(keep))))


def reduce_sum(input_tensor: Any, axis: Any = None, keepdims: bool | None = None, name: str | None = None,
               reduction_indices: Any = None, keep_dims: bool | None = None) -> Any:
    """Sum over axes, in an order that depends on the shape alone: the same bits on every run.

    Args:
        input_tensor: floating or integer tensor; float16 is summed in float32, integers wrap around.
        axis: an integer, several, or None for all; negative ones count from the end (old name
            `reduction_indices`).
        keepdims: keep reduced dimensions as 1 (old name `keep_dims`).

    Returns: tensor of the input's dtype; of an empty input 0.
    Raises: InvalidArgumentError for an axis out of range or named twice; DTypeError for booleans.

    Example:
        >>> import cltensor as tf
        >>> tf.reduce_sum([[1., 2.], [3., 4.]], axis=0).numpy().tolist()
        [4.0, 6.0]
    """
    return _reduce(_SUM, input_tensor, axis, keepdims, reduction_indices, keep_dims)


def reduce_mean(input_tensor: Any, axis: Any = None, keepdims: bool | None = None, name: str | None = None,
                reduction_indices: Any = None, keep_dims: bool | None = None) -> Any:
    """Mean over axes; arguments as for `reduce_sum`. Integers are divided toward zero; of nothing nan.

    Example:
        >>> import cltensor as tf
        >>> tf.reduce_mean([1., 2.]).numpy(), tf.reduce_mean([1, 2]).numpy()
        (np.float32(1.5), np.int32(1))
    """
    return _reduce(_MEAN, input_tensor, axis, keepdims, reduction_indices, keep_dims)


def reduce_max(input_tensor: Any, axis: Any = None, keepdims: bool | None = None, name: str | None = None,
               reduction_indices: Any = None, keep_dims: bool | None = None) -> Any:
    """Largest value over axes, nan where there is one; of nothing -inf. Equal maxima share the gradient.

    Arguments as for `reduce_sum`.

    Example:
        >>> import cltensor as tf
        >>> tf.reduce_max([[1., 5.], [7., 2.]], axis=1).numpy().tolist()
        [5.0, 7.0]
    """
    return _reduce(_MAX, input_tensor, axis, keepdims, reduction_indices, keep_dims)


def reduce_min(input_tensor: Any, axis: Any = None, keepdims: bool | None = None, name: str | None = None,
               reduction_indices: Any = None, keep_dims: bool | None = None) -> Any:
    """Smallest value over axes, nan where there is one; of nothing inf. Equal minima share the gradient.

    Arguments as for `reduce_sum`.

    Example:
        >>> import cltensor as tf
        >>> tf.reduce_min([3, 1, 2]).numpy()
        np.int32(1)
    """
    return _reduce(_MIN, input_tensor, axis, keepdims, reduction_indices, keep_dims)


def reduce_prod(input_tensor: Any, axis: Any = None, keepdims: bool | None = None, name: str | None = None,
                reduction_indices: Any = None, keep_dims: bool | None = None) -> Any:
    """Product over axes; of nothing 1. The gradient holds at zeros. Arguments as for `reduce_sum`.

    Example:
        >>> import cltensor as tf
        >>> tf.reduce_prod([2., 3., 4.]).numpy()
        np.float32(24.0)
    """
    return _reduce(_PROD, input_tensor, axis, keepdims, reduction_indices, keep_dims)


def reduce_any(input_tensor: Any, axis: Any = None, keepdims: bool | None = None, name: str | None = None,
               reduction_indices: Any = None, keep_dims: bool | None = None) -> Any:
    """True where any boolean over the axes is; of nothing False. Arguments as for `reduce_sum`.

    Example:
        >>> import cltensor as tf
        >>> tf.reduce_any([[True, False], [False, False]], axis=1).numpy().tolist()
        [True, False]
    """
    return _reduce(_ANY, input_tensor, axis, keepdims, reduction_indices, keep_dims)


def reduce_all(input_tensor: Any, axis: Any = None, keepdims: bool | None = None, name: str | None = None,
               reduction_indices: Any = None, keep_dims: bool | None = None) -> Any:
    """True where all booleans over the axes are; of nothing True. Arguments as for `reduce_sum`.

    Example:
        >>> import cltensor as tf
        >>> tf.reduce_all([[True, False], [True, True]], axis=1).numpy().tolist()
        [False, True]
    """
    return _reduce(_ALL, input_tensor, axis, keepdims, reduction_indices, keep_dims)


def reduce_logsumexp(input_tensor: Any, axis: Any = None, keepdims: bool | None = None, name: str | None = None,
                     reduction_indices: Any = None, keep_dims: bool | None = None) -> Any:
    """log(sum(exp(x))) over axes without overflow: the maximum is taken out first; of nothing -inf.

    Arguments as for `reduce_sum`; floating tensors only.

    Example:
        >>> import cltensor as tf
        >>> round(float(tf.reduce_logsumexp([1000., 1000.])), 3)
        1000.693
    """
    x = convert(input_tensor)
    axis = axes_argument("reduce_logsumexp", reduction_indices if axis is None else axis)
    if not x.dtype.is_floating:
        raise DTypeError(f"reduce_logsumexp: input_tensor must be floating, it has dtype {x.dtype.name} and shape "
                         f"{show(x.spec.shape)}; use cast")
    top = reduce_max(x, axis, keepdims=True)
    top = stop_gradient(where(is_finite(top), top, 0.0))       # inf - inf would be nan
    out = log(reduce_sum(exp(x - top), axis, keepdims=True)) + top
    if keepdims or keep_dims or axis == ():
        return out
    return squeeze(out, axis)


# -- the inverse of broadcasting
def _sum_to_infer(x: Spec, shape: tuple) -> Spec:
    if x.shape is not None:
        broadcast("sum_to", x.shape, shape, ("x", "shape"))
    return Spec(shape, x.dtype)


def _sum_to_lower(ins: tuple, outs: tuple, target: Any, shape: tuple, before: Any = None) -> Plan:
    dims = ins[0].shape
    full = (1,) * (len(dims) - len(shape)) + shape
    axes = tuple(i for i, (d, f) in enumerate(zip(dims, full)) if f == 1)
    return lower_reduce(ins, outs, target, op="sum", axes=axes, before=before)


_SUM_TO = OpDef("sum_to", ("x",), _sum_to_infer, lower=_sum_to_lower, identity=0, doc="Sum down to a shape.",
                steps=lambda ins, outs, shape: full_fold(ins[0], outs[0]),
                vjps=(lambda g, s0: broadcast_to(g, s0.shape),))


@sized
def sum_to(x: Any, shape: tuple) -> Any:
    """`x` summed to a shape it could have been broadcast from: the gradient of broadcasting."""
    return x if x.spec.shape == shape else execute(_SUM_TO, (x,), (("shape", shape),))
