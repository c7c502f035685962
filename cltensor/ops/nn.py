"""Neural network ops built on softmax, and small compositions: moments, bias_add, l2_loss, l2_normalize.

Softmax and the cross entropies are one kernel each, forwards and backwards; the rows of the gradients have
gradients themselves, so any order follows. Activations are expression rows and live in functions.py.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import float32
from cltensor.base.errors import DTypeError, InvalidArgumentError, UnimplementedError
from cltensor.base.shapes import normalize_axis, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, static_value
from cltensor.kernels.plan import Plan
from cltensor.kernels.reduction import lower_reduce
from cltensor.kernels.rowwise import lower_softmax
from cltensor.ops.array import reshape, squeeze, transpose
from cltensor.ops.functions import exp, rsqrt
from cltensor.ops.gather import gather
from cltensor.ops.join import concat
from cltensor.ops.math import cast, maximum, square, squared_difference
from cltensor.ops.reduce import reduce_mean, reduce_sum

__all__ = ["softmax", "log_softmax", "l2_loss", "moments", "bias_add", "l2_normalize", "embedding_lookup"]


def float_rows(op: str, arg: str, x: Spec) -> Spec:
    """Checks what every softmax needs: floating, at least one dimension, at least one class."""
    if not x.dtype.is_floating:
        raise DTypeError(f"{op}: {arg} must be floating, it has dtype {x.dtype.name} and shape {show(x.shape)}; "
                         "use cast")
    if x.shape is not None and (not x.shape or x.shape[-1] == 0):
        raise InvalidArgumentError(f"{op}: {arg} must have at least one class along a dimension, its shape is "
                                   f"{show(x.shape)}")
    return x


def _softmax_row(name: str, vjp: Any, doc: str) -> OpDef:
    def lower(ins: tuple, outs: tuple, target: Any) -> Plan:
        return lower_softmax(ins, outs, target, kind=name)
    return OpDef(name, ("logits",), lambda x: float_rows(name, "logits", x), lower=lower, vjps=(vjp,), doc=doc)


_SOFTMAX = _softmax_row("softmax", lambda g, y: (g - reduce_sum(g * y, -1, keepdims=True)) * y, "exp(x) / sum exp(x).")
_LOG_SOFTMAX = _softmax_row("log_softmax", lambda g, y: g - exp(y) * reduce_sum(g, -1, keepdims=True),
                            "x - log(sum exp(x)).")


def last_axis(op: str, x: Any, axis: Any) -> tuple:
    """`x` with dimension `axis` moved to the end, and the permutation that moves it back (None: it was there)."""
    rank = x.spec.rank
    if axis is None or rank is None or rank == 0:
        return x, None
    at = normalize_axis(op, axis if type(axis) is int else int(static_value(axis)), rank)
    if at == rank - 1:
        return x, None
    others = [i for i in range(rank) if i != at]
    return transpose(x, (*others, at)), (*range(at), rank - 1, *range(at, rank - 1))


def _along(op: OpDef, logits: Any, axis: Any) -> Tensor:
    x, back = last_axis(op.name, convert(logits), axis)
    y = execute(op, (x,))
    return y if back is None else transpose(y, back)


def softmax(logits: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Tensor:
    """exp(logits) / sum(exp(logits)) along an axis; finite for any finite logits.

    Args:
        logits: floating tensor, rank at least 1.
        axis: the dimension of the classes, the last unless given (old name `dim`).

    Returns: tensor of the same shape and dtype.
    Raises: DTypeError unless floating; InvalidArgumentError for an axis out of range or without classes.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.softmax([1000., 1000.]).numpy().tolist()
        [0.5, 0.5]
    """
    return _along(_SOFTMAX, logits, dim if axis is None else axis)


def log_softmax(logits: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Tensor:
    """logits - log(sum(exp(logits))) along an axis, without taking the log of a small number.

    Arguments, result and errors as for `softmax`.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.log_softmax([1000., 0.]).numpy().tolist()
        [0.0, -1000.0]
    """
    return _along(_LOG_SOFTMAX, logits, dim if axis is None else axis)


# -- squares
def _l2_infer(t: Spec) -> Spec:
    if not t.dtype.is_floating:
        raise DTypeError(f"l2_loss: t must be floating, it has dtype {t.dtype.name} and shape {show(t.shape)}; "
                         "use cast")
    return Spec((), t.dtype)


def _l2_lower(ins: tuple, outs: tuple, target: Any) -> Plan:
    return lower_reduce(ins, outs, target, op="sum", axes=tuple(range(ins[0].rank)), map="x * x", scale=2)


_L2_LOSS = OpDef("l2_loss", ("t",), _l2_infer, lower=_l2_lower, identity=0, vjps=(lambda g, x0: x0 * g,),
                 doc="Half the sum of squares.")


def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """sum(t ** 2) / 2 over all elements, in one launch.

    Raises: DTypeError unless floating.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.l2_loss([3., 4.]).numpy()
        np.float32(12.5)
    """
    return execute(_L2_LOSS, (t,))


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None,
                 dim: Any = None) -> Any:
    """x / sqrt(max(sum(x ** 2), epsilon)) along one or several axes (old name `dim`).

    Example:
        >>> import cltensor as tf
        >>> [round(v, 4) for v in tf.nn.l2_normalize([3., 4.]).numpy().tolist()]
        [0.6, 0.8]
    """
    x = convert(x)
    total = reduce_sum(square(x), dim if axis is None else axis, keepdims=True)
    return x * rsqrt(maximum(total, float(epsilon)))


def moments(x: Any, axes: Any, shift: Any = None, name: str | None = None, keep_dims: bool = False) -> tuple:
    """Mean and variance (of the population: divided by n) over axes; float16 is computed in float32.

    Args:
        x: floating tensor.
        axes: which dimensions to average over.
        shift: unused, as in TensorFlow.
        keep_dims: keep reduced dimensions as 1.

    Returns: (mean, variance).

    Example:
        >>> import cltensor as tf
        >>> mean, variance = tf.nn.moments(tf.constant([1., 3.]), [0])
        >>> float(mean), float(variance)
        (2.0, 1.0)
    """
    x = convert(x)
    wide = cast(x, float32) if x.dtype.name == "float16" else x
    mean = reduce_mean(wide, axes, keepdims=True)
    variance = reduce_mean(squared_difference(wide, mean), axes, keepdims=keep_dims)
    if not keep_dims:
        mean = reshape(mean, variance.spec.shape) if variance.spec.known else squeeze(mean, axes)
    return cast(mean, x.dtype), cast(variance, x.dtype)


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Any:
    """value + bias, one bias per channel.

    Args:
        value: tensor of rank at least 2.
        bias: vector of value's dtype, as long as value has channels.
        data_format: "NHWC" (or None: channels last) or "NCHW" (channels second).

    Raises: InvalidArgumentError when the sizes differ or the format has another name.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.bias_add([[1., 2.]], [10., 20.]).numpy().tolist()
        [[11.0, 22.0]]
    """
    if data_format not in (None, "NHWC", "NCHW"):
        raise InvalidArgumentError(f"bias_add: data_format must be 'NHWC' or 'NCHW', it is {data_format!r}")
    tensor: Any = convert(value)
    bias = convert(bias, None if hasattr(type(bias), "dtype") else tensor.dtype)
    shape, own = tensor.spec.shape, bias.spec.shape
    if shape is None or own is None:
        return tensor + bias
    at = 1 if data_format == "NCHW" else len(shape) - 1
    if len(shape) < 2 or len(own) != 1 or (own[0] != shape[at] and None not in (own[0], shape[at])):
        raise InvalidArgumentError("bias_add: bias must be a vector with one entry per channel: value has shape "
                                   f"{show(shape)}, bias has shape {show(own)}, data_format is {data_format or 'NHWC'}")
    return tensor + (bias if at == len(shape) - 1 else reshape(bias, (-1,) + (1,) * (len(shape) - 2)))


def embedding_lookup(params: Any, ids: Any, partition_strategy: str = "mod", name: str | None = None,
                     validate_indices: bool = True, max_norm: Any = None) -> Any:
    """Rows of `params` by `ids`: `gather` along the first axis; its gradient is sparse.

    Args:
        params: tensor or variable; or a list of partitions, which are looked up as one.
        ids: int32 or int64, any shape.
        partition_strategy: "mod": id i is row i // n of partition i % n; "div": partitions are consecutive rows.

    Raises: InvalidArgumentError for an id out of range, or another strategy; UnimplementedError for max_norm.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.embedding_lookup([[1., 2.], [3., 4.]], [1, 1]).numpy().tolist()
        [[3.0, 4.0], [3.0, 4.0]]
    """
    if max_norm is not None:
        raise UnimplementedError("embedding_lookup: max_norm is not offered; use clip_by_norm on the result")
    if isinstance(params, (list, tuple)) and params and hasattr(type(params[0]), "dtype"):
        if len(params) > 1:
            return _partitioned(params, convert(ids), partition_strategy)
        params = params[0]
    return gather(params, ids)


def _partitioned(params: Any, ids: Any, strategy: str) -> Any:
    whole = concat(list(params), 0)
    if strategy == "div":
        return gather(whole, ids)
    if strategy != "mod":
        raise InvalidArgumentError(f"embedding_lookup: partition_strategy must be 'mod' or 'div', it is {strategy!r}")
    sizes, n = [p.shape.as_list()[0] for p in params], len(params)
    if sizes != sorted(sizes, reverse=True) or sizes[0] - sizes[-1] > 1:
        raise InvalidArgumentError(f"embedding_lookup: with 'mod' the partitions must be equally long, the first ones "
                                   f"one row longer at most; they have {sizes} rows")
    # a table rather than arithmetic on ids: an id out of range is seen by the gather
    rows = [sum(sizes[:i % n]) + i // n for i in range(sum(sizes))]
    return gather(whole, gather(rows, ids))
