"""Spec: what is known of a tensor without its value: shape and dtype, interned so that it is a cheap key.

Two equal specs are one object, hence `is` compares them and hashing costs nothing. A dimension is None
while a graph is recorded and its size is not yet known; a shape is None when even the rank is unknown.
"""

from __future__ import annotations

from math import prod
from typing import Any

from cltensor.base.dtypes import DType, as_dtype

__all__ = ["Spec", "Sig", "sig_of"]

_SPECS: dict[tuple, Spec] = {}


class Spec:
    """Shape and dtype of a tensor, interned.

    Attributes: `shape` (tuple of int), `dtype`, `size` (elements), `nbytes`, `rank`; the last three are
    None where the shape is not fully known.

    Example:
        >>> from cltensor.base.dtypes import float32
        >>> Spec((2, 3), float32) is Spec((2, 3), float32), Spec((2, 3), float32).nbytes
        (True, 24)
    """

    __slots__ = ("shape", "dtype", "size", "nbytes", "rank", "sigs", "__weakref__")
    shape: Any
    dtype: DType
    size: Any
    nbytes: Any
    rank: Any
    sigs: dict

    def __new__(cls, shape: tuple | None, dtype: Any) -> Spec:
        found = _SPECS.get((shape, dtype))
        if found is not None:
            return found
        self = object.__new__(cls)
        self.shape = None if shape is None else tuple(shape)
        self.dtype = as_dtype(dtype)
        known = shape is not None and None not in shape
        self.rank = None if shape is None else len(shape)
        self.size = prod(shape) if known else None          # type: ignore[arg-type]
        self.nbytes = self.size * self.dtype.size if known else None
        self.sigs = {}
        return _SPECS.setdefault((self.shape, self.dtype), self)

    @property
    def known(self) -> bool:
        """True when every dimension is known."""
        return self.size is not None

    def __repr__(self) -> str:
        return f"Spec({self.shape}, {self.dtype.name})"

    def __reduce__(self) -> tuple:
        return Spec, (self.shape, self.dtype)


class Sig:
    """A spec on a device, interned like the spec: what a memo key holds for one tensor."""

    __slots__ = ("spec", "device", "slot")

    def __init__(self, spec: Spec, device: Any):
        self.spec, self.device, self.slot = spec, device, None

    def __repr__(self) -> str:
        return f"Sig({self.spec}, {self.device})"


def sig_of(spec: Spec, device: Any) -> Sig:
    """The one Sig of this spec on this device."""
    found = spec.sigs.get(device)
    return found if found is not None else spec.sigs.setdefault(device, Sig(spec, device))
