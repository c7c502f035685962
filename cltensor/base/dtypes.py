"""Data types: one row per dtype, with its NumPy type and its OpenCL storage and compute types.

Storage and compute differ for two rows: float16 is stored as `half` and computed in `float`
(vload_half / vstore_half work on every device, half arithmetic does not), and bool is stored
as one byte of 0 or 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.base.errors import DTypeError

__all__ = ["DType", "as_dtype", "of_python", "float16", "float32", "float64", "int8", "int16", "int32",
           "int64", "uint8", "bool_", "ALL"]


class DType:
    """The type of a tensor's elements.

    Attributes: `name`, `size` (bytes), `as_numpy_dtype`, `cl` (storage type in OpenCL C), `compute`
    (type kernels calculate in), `mask` (signed integer type as wide as `compute`, what a vector
    comparison yields), `is_floating`, `is_integer`, `is_bool`, `min`, `max`.

    Example:
        >>> import cltensor as tf
        >>> tf.float32 == np.float32, tf.float32.name, tf.int8.max
        (True, 'float32', 127)
    """

    __slots__ = ("name", "size", "np", "cl", "compute", "mask", "kind", "min", "max", "rank")

    def __init__(self, name: str, numpy: Any, cl: str, compute: str, mask: str, kind: str, rank: int):
        self.name, self.np, self.cl, self.compute = name, np.dtype(numpy), cl, compute
        self.mask, self.kind, self.rank, self.size = mask, kind, rank, np.dtype(numpy).itemsize
        info = np.finfo(numpy) if kind == "float" else None if kind == "bool" else np.iinfo(numpy)
        self.min = False if info is None else info.min if kind == "int" else float(info.min)
        self.max = True if info is None else info.max if kind == "int" else float(info.max)

    @property
    def as_numpy_dtype(self) -> type:
        """The NumPy scalar type, as TensorFlow names it."""
        return self.np.type

    @property
    def is_floating(self) -> bool:
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        return self.kind == "int"

    @property
    def is_bool(self) -> bool:
        return self.kind == "bool"

    @property
    def is_numpy_compatible(self) -> bool:
        return True

    @property
    def base_dtype(self) -> DType:
        return self

    @property
    def real_dtype(self) -> DType:
        return self

    @property
    def as_datatype_enum(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"tf.{self.name}"

    def __str__(self) -> str:
        return f"<dtype: '{self.name}'>"

    def __eq__(self, other: Any) -> bool:
        if self is other:
            return True
        if other is None or isinstance(other, DType):
            return False
        try:
            return np.dtype(other) == self.np
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.np)

    def __reduce__(self) -> tuple:
        return as_dtype, (self.name,)


float16 = DType("float16", np.float16, "half", "float", "int", "float", 5)
float32 = DType("float32", np.float32, "float", "float", "int", "float", 6)
float64 = DType("float64", np.float64, "double", "double", "long", "float", 7)
int8 = DType("int8", np.int8, "char", "char", "char", "int", 1)
int16 = DType("int16", np.int16, "short", "short", "short", "int", 2)
int32 = DType("int32", np.int32, "int", "int", "int", "int", 3)
int64 = DType("int64", np.int64, "long", "long", "long", "int", 4)
uint8 = DType("uint8", np.uint8, "uchar", "uchar", "char", "int", 1)
bool_ = DType("bool", np.bool_, "uchar", "uchar", "char", "bool", 0)

ALL = (float16, float32, float64, int8, int16, int32, int64, uint8, bool_)
_BY_NAME = {d.name: d for d in ALL}
_BY_NUMPY = {d.np: d for d in ALL}


_CALLED = {"float": float32, "double": float64, "half": float16}     # as in TensorFlow; for NumPy "float" is float64


def as_dtype(value: Any) -> DType:
    """The DType of a DType, a name, a NumPy dtype or a Python type.

    Raises: DTypeError (a TypeError) when there is none.

    Example:
        >>> as_dtype("int64"), as_dtype(np.float16), as_dtype(float), as_dtype("float")
        (tf.int64, tf.float16, tf.float32, tf.float32)
    """
    if isinstance(value, DType):
        return value
    if value is float:
        return float32
    if value is int:
        return int32
    found = (_BY_NAME.get(value) or _CALLED.get(value)) if isinstance(value, str) else None
    if found is None:
        try:
            found = _BY_NUMPY.get(np.dtype(value))
        except TypeError:
            found = None
    if found is None:
        raise DTypeError(f"dtype: {value!r} is not a dtype of cltensor; there are "
                         + ", ".join(d.name for d in ALL))
    return found


def of_python(value: bool | int | float) -> DType:
    """The dtype a Python number gets when nothing else decides: bool, int32 (int64 past 2**31), float32."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int32 if -2**31 <= value < 2**31 else int64
    return float32
