"""tf.where in its two forms: choose between two tensors, or list the places where a condition holds."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor, convert
from cltensor.ops import math
from cltensor.ops.array import reshape
from cltensor.ops.selection import where_indices

__all__ = ["where"]


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """x where the condition holds, else y; with the condition alone, the indices where it holds.

    Args:
        condition: boolean tensor; of x's shape, broadcastable, or a vector as long as x's first dimension,
            which then chooses whole rows.
        x, y: tensors of one dtype, or both left out.

    Returns: tensor like x; or int64 tensor (hits, rank of the condition).
    Raises: DTypeError when the condition is not boolean; InvalidArgumentError when one of x and y is missing
        or shapes do not fit. The branch not chosen gets no gradient.

    Example:
        >>> import cltensor as tf
        >>> tf.where([True, False], [1., 2.], [3., 4.]).numpy().tolist()
        [1.0, 4.0]
        >>> tf.where([False, True, True]).numpy().tolist()
        [[1], [2]]
    """
    if x is None and y is None:
        return where_indices(condition)
    if x is None or y is None:
        raise InvalidArgumentError("where: x and y must both be given or both be left out")
    c = convert(condition, op="where: condition")
    rows = getattr(x, "ndim", None)
    if c.ndim == 1 and isinstance(rows, int) and rows > 1 and (c.spec.shape[0] == x.shape[0]
                                                               or None in (c.spec.shape[0], x.shape[0])):
        c = reshape(c, [-1] + [1] * (rows - 1))
    return math.where(c, x, y)
