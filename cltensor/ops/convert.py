"""Conversion to tensors and between dtypes, under TensorFlow's names."""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import as_dtype, float32, float64, int32, int64
from cltensor.base.errors import DTypeError
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.math import cast
from cltensor.ops.variable import Variable

__all__ = ["convert_to_tensor", "is_tensor", "to_float", "to_double", "to_int32", "to_int64"]


def convert_to_tensor(value: Any, dtype: Any = None, name: str | None = None, preferred_dtype: Any = None) -> Tensor:
    """The value as a Tensor; tensors come back as they are, IndexedSlices are made dense.

    Args:
        value: Tensor, Variable, IndexedSlices, number, list (of tensors, too) or ndarray.
        dtype: the dtype it must have; Python values take it.
        preferred_dtype: the dtype Python values take where they can.

    Raises: DTypeError for a tensor of another dtype; InvalidArgumentError for ragged lists.

    Example:
        >>> import cltensor as tf
        >>> tf.convert_to_tensor([1, 2], dtype=tf.float32).numpy().tolist()
        [1.0, 2.0]
    """
    if dtype is None and preferred_dtype is not None and not is_tensor(value):
        try:
            return convert(value, as_dtype(preferred_dtype))
        except DTypeError:
            return convert(value)
    return convert(value, dtype)


def is_tensor(x: Any) -> bool:
    """True for a Tensor or a Variable.

    Example:
        >>> import cltensor as tf
        >>> tf.is_tensor(tf.zeros([1])), tf.is_tensor(1.)
        (True, False)
    """
    return isinstance(x, (Tensor, Variable))


def to_float(x: Any, name: str | None = None) -> Tensor:
    """`cast(x, float32)`."""
    return cast(x, float32)


def to_double(x: Any, name: str | None = None) -> Tensor:
    """`cast(x, float64)`."""
    return cast(x, float64)


def to_int32(x: Any, name: str | None = None) -> Tensor:
    """`cast(x, int32)`."""
    return cast(x, int32)


def to_int64(x: Any, name: str | None = None) -> Tensor:
    """`cast(x, int64)`."""
    return cast(x, int64)
