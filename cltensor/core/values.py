"""Python and NumPy values as arrays under TensorFlow's default dtypes; what cannot be one is told in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.base.dtypes import ALL, DType, float32, int32, int64
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show

__all__ = ["as_array"]


def _leaf(value: Any) -> Any:
    while isinstance(value, (list, tuple)) and len(value):
        value = value[0]
    return value


def as_array(value: Any, dtype: DType | None, op: str = "constant") -> np.ndarray:
    """NumPy array of a Python or NumPy value under TensorFlow's default dtypes; errors are sentences."""
    if isinstance(value, (str, bytes)) or isinstance(_leaf(value), (str, bytes)):
        raise DTypeError(f"{op}: {value!r} is text; tensors hold numbers and booleans (decode_raw reads bytes)")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(f"{op}: the value does not form a rectangular array ({error})") from None
    if array.dtype == object:
        raise InvalidArgumentError(f"{op}: the value {value!r:.80} does not convert to numbers"
                                   + (" (None)" if value is None else ""))
    if not array.dtype.isnative:        # numbers of a file in the other byte order
        array = array.astype(array.dtype.newbyteorder("="))
    leaf = _leaf(value)
    if dtype is None:
        if not isinstance(leaf, (np.ndarray, np.generic)) and not hasattr(leaf, "__array__"):
            if array.dtype.kind == "f" or (array.dtype.kind == "i" and array.size == 0):
                dtype = float32
            elif array.dtype.kind == "i":
                dtype = int32 if not array.size or (array.min() >= -2**31 and array.max() < 2**31) else int64
            elif array.dtype.kind == "u":
                raise InvalidArgumentError(f"{op}: {value!r:.80} does not fit int64")
        return _known(array, op) if dtype is None else array.astype(dtype.np)
    kind = array.dtype.kind
    if dtype.is_integer and kind == "f" and array.size:
        raise DTypeError(f"{op}: {_show(value)} is floating, dtype {dtype.name} holds integers; use cast")
    if dtype.is_bool != (kind == "b") and array.size:
        raise DTypeError(f"{op}: {_show(value)} is {'boolean' if kind == 'b' else 'not boolean'}, "
                         f"the dtype asked for is {dtype.name}; use cast")
    if dtype.is_integer and array.size and (array.min() < dtype.min or array.max() > dtype.max):
        raise InvalidArgumentError(f"{op}: {_show(value)} does not fit {dtype.name} "
                                   f"[{dtype.min}, {dtype.max}]")
    with np.errstate(over="ignore"):
        return array.astype(dtype.np)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"a value of shape {show(np.shape(value))}"


def _known(array: np.ndarray, op: str) -> np.ndarray:
    if not any(array.dtype == d.np for d in ALL):
        raise DTypeError(f"{op}: NumPy dtype {array.dtype} has no counterpart; there are "
                         + ", ".join(d.name for d in ALL))
    return array
