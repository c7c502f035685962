"""TensorSpec: shape and dtype of an argument, with open dimensions, for input signatures."""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import DType, as_dtype, float32
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import TensorShape, show

__all__ = ["TensorSpec", "as_tensor_spec", "is_spec_like"]


class TensorSpec:
    """What an argument of a function must look like.

    Args:
        shape: its sizes, None (or -1) where any will do.
        dtype: its dtype.
        name: of the argument, for saved functions; that of the parameter unless given.

    Example:
        >>> import cltensor as tf
        >>> tf.TensorSpec([None, 3], tf.float32, "x")
        TensorSpec(shape=(?, 3), dtype=float32, name='x')
    """

    __slots__ = ("dims", "dtype", "name")

    def __init__(self, shape: Any = None, dtype: Any = float32, name: str | None = None):
        if shape is not None and not isinstance(shape, (int, list, tuple, TensorShape)):
            raise DTypeError(f"TensorSpec: shape must be a list of sizes, {shape!r:.60} is a {type(shape).__name__}")
        dims = TensorShape(shape)
        self.dims = None if dims.ndims is None else tuple(None if d is None else int(d) for d in dims.as_list())
        self.dtype: DType = as_dtype(dtype)
        self.name = name

    @property
    def shape(self) -> TensorShape:
        """The sizes."""
        return TensorShape(self.dims)

    def is_compatible_with(self, value: Any) -> bool:
        """True for a tensor, or a spec, that fits."""
        return value.dtype == self.dtype and self.shape.is_compatible_with(value.shape)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, TensorSpec) and (self.dims, self.dtype) == (other.dims, other.dtype)

    def __hash__(self) -> int:
        return hash((self.dims, self.dtype))

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        return f"TensorSpec(shape={show(self.dims)}, dtype={self.dtype.name}{name})"


def is_spec_like(value: Any) -> bool:
    """True for a TensorSpec, a tensor or array, or a pair of shape and dtype."""
    if isinstance(value, (list, tuple)):
        return (len(value) == 2 and (value[0] is None or isinstance(value[0], TensorShape) or (
            isinstance(value[0], (list, tuple)) and all(d is None or isinstance(d, int) for d in value[0])))
            and (isinstance(value[1], (str, type, DType))))
    return hasattr(value, "shape") and hasattr(value, "dtype")


def as_tensor_spec(value: Any, op: str = "input_signature") -> TensorSpec:
    """A TensorSpec of one, of a tensor or array, or of a pair of shape and dtype.

    Raises: InvalidArgumentError for anything else.
    """
    if isinstance(value, TensorSpec):
        return value
    if not is_spec_like(value):
        raise InvalidArgumentError(f"{op}: a TensorSpec or a pair (shape, dtype) is wanted, {value!r:.60} is a "
                                   f"{type(value).__name__}")
    if isinstance(value, (list, tuple)):
        return TensorSpec(value[0], value[1])
    return TensorSpec(value.shape, value.dtype, getattr(value, "name", None) if not hasattr(value, "uid") else None)
