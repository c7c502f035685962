"""Limiting the norm of gradients."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.tensor import Tensor, convert
from cltensor.ops import functions, math
from cltensor.ops.reduce import reduce_sum

__all__ = ["clip_by_norm", "clip_by_global_norm", "clip_by_average_norm", "global_norm"]


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Any:
    """t scaled down so that its 2-norm is at most `clip_norm`; smaller ones stay as they are.

    Args:
        t: floating tensor.
        clip_norm: the largest norm, a positive scalar.
        axes: dimensions the norm is taken over; all unless given.

    Example:
        >>> import cltensor as tf
        >>> tf.clip_by_norm([3., 4.], 2.5).numpy().tolist()
        [1.5, 2.0]
    """
    t = convert(t, op="clip_by_norm")
    norm = functions.sqrt(reduce_sum(math.square(t), axes, keepdims=True))
    return t * clip_norm / math.maximum(norm, clip_norm)


def clip_by_average_norm(t: Any, clip_norm: Any, name: str | None = None) -> Tensor:
    """t scaled down so that its 2-norm divided by its size is at most `clip_norm`."""
    t = convert(t, op="clip_by_average_norm")
    return clip_by_norm(t, clip_norm * float(max(t.spec.size, 1)))


def _values(op: str, tensors: Any) -> list:
    if isinstance(tensors, (Tensor, str)) or not hasattr(tensors, "__iter__"):
        raise InvalidArgumentError(f"{op}: t_list must be a list of tensors")
    return [t if t is None or isinstance(t, IndexedSlices) else convert(t, op=op) for t in tensors]


def global_norm(t_list: Any, name: str | None = None) -> Tensor:
    """Square root of the sum of squares of all elements of all tensors; None entries are skipped.

    Example:
        >>> import cltensor as tf
        >>> tf.global_norm([[3.], [4.]]).numpy()
        np.float32(5.0)
    """
    tensors = [t for t in _values("global_norm", t_list) if t is not None]
    if not tensors:
        raise InvalidArgumentError("global_norm: t_list holds no tensor")
    squares = [reduce_sum(math.square(t.values if isinstance(t, IndexedSlices) else t)) for t in tensors]
    return functions.sqrt(math.add_n(squares))


def clip_by_global_norm(t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None) -> tuple:
    """All tensors scaled by clip_norm / max(their global norm, clip_norm).

    Returns: (list of tensors, global norm); None entries stay None.

    Example:
        >>> import cltensor as tf
        >>> clipped, norm = tf.clip_by_global_norm([[3.], [4.]], 1.)
        >>> norm.numpy(), clipped[1].numpy().round(4)
        (np.float32(5.0), array([0.8], dtype=float32))
    """
    tensors = _values("clip_by_global_norm", t_list)
    norm = global_norm(tensors) if use_norm is None else convert(use_norm)
    scale = clip_norm / math.maximum(norm, clip_norm)
    out: list = []
    for t in tensors:
        if isinstance(t, IndexedSlices):
            out.append(IndexedSlices(t.values * scale, t.indices, t.dense_shape))
        else:
            out.append(None if t is None else t * scale)
    return out, norm
