"""Dropout (Srivastava et al. 2014): one random draw, one kernel that keeps or drops."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import broadcast, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.array import integers
from cltensor.ops.math import cast
from cltensor.ops.random import random_uniform
from cltensor.ops.sized import sized

__all__ = ["dropout"]

# x / keep where the uniform number lies below keep, else 0; its gradient is the same op on g
_KEEP: OpDef = OpDef("keep_scaled", ("x", "uniform", "keep_prob"), lambda x, u, k: x, slots=True,
              expr="T s = x0 / x2; select((($T)(K(0))), s, x1 < x2)",
              vjps=(lambda g, x1, x2: execute(_KEEP, (g, x1, x2)), None, None), doc="Dropout with given numbers.")


def _noise(x: Spec, noise_shape: Any) -> tuple:
    if noise_shape is None:
        return x.shape
    dims = list(noise_shape) if isinstance(noise_shape, (list, tuple)) else None
    if dims is not None and None in dims and len(dims) == len(x.shape):
        noise_shape = tuple(d if n is None else n for n, d in zip(dims, x.shape))
    shape = integers("dropout", "noise_shape", noise_shape)
    if broadcast("dropout", x.shape, shape, ("x", "noise_shape")) != x.shape:
        raise InvalidArgumentError(f"dropout: noise_shape {show(shape)} does not broadcast to x, which has shape "
                                   f"{show(x.shape)}")
    return shape


@sized
def dropout(x: Any, keep_prob: Any = None, noise_shape: Any = None, seed: Any = None, name: str | None = None,
            rate: Any = None) -> Tensor:
    """Each element is kept with probability keep_prob and divided by it, else set to 0.

    Args:
        x: floating tensor.
        keep_prob: number in (0, 1], or a scalar tensor; or give `rate` = 1 - keep_prob.
        noise_shape: shape of the random choices, broadcast to x (None entries are x's sizes): [n, 1] drops
            whole rows.
        seed: makes the draw reproducible, together with `set_random_seed`.

    Returns: tensor of x's shape and dtype; x itself when nothing is dropped.
    Raises: InvalidArgumentError for a probability out of range, none or both given, or a noise_shape that does
        not broadcast; DTypeError unless floating.

    Example:
        >>> import cltensor as tf
        >>> tf.nn.dropout(tf.ones([2, 2]), keep_prob=1.).numpy().tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    if (keep_prob is None) == (rate is None):
        raise InvalidArgumentError(f"dropout: give one of keep_prob and rate, they are {keep_prob!r} and {rate!r}")
    x = convert(x)
    if not x.dtype.is_floating:
        raise DTypeError(f"dropout: x must be floating, it has dtype {x.dtype.name} and shape {show(x.spec.shape)}; "
                         "use cast")
    keep = keep_prob if rate is None else 1 - rate
    if hasattr(type(keep), "as_tensor") or isinstance(keep, Tensor):
        keep = cast(keep, x.dtype)
    else:
        keep = float(keep)
        if not 0 < keep <= 1:
            raise InvalidArgumentError(f"dropout: keep_prob must lie in (0, 1], it is {keep}" if rate is None else
                                       f"dropout: rate must lie in [0, 1), it is {rate}")
        if keep == 1:
            return x
    uniform = random_uniform(_noise(x.spec, noise_shape), dtype=x.dtype, seed=seed)
    return execute(_KEEP, (x, uniform, keep))
