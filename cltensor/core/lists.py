"""Lists of tensors as one value: what a TensorArray holds, and what a loop keeps of its turns for its gradient.

A list travels through ops, recordings and gradients like any tensor. Its spec says what its elements have in
common: the dtype is a `ListType` (their dtype, and their number where it is fixed), the shape is theirs. The
elements stay where they are: writing one makes a new list of references, and no element moves.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import DType
from cltensor.core.spec import Spec, sig_of
from cltensor.core.tensor import Tensor

__all__ = ["ListType", "ListTensor", "list_of", "list_spec", "merged", "fits", "empty_list", "NOTHING"]

_TYPES: dict[tuple, ListType] = {}


class ListType(DType):
    """The dtype of a list: `element`, the dtype of its elements, and `length`, None where it varies."""

    __slots__ = ("element", "length")
    element: DType
    length: int | None

    def __init__(self, element: DType, length: int | None):
        self.element, self.length = element, length
        self.name, self.np, self.size, self.kind = f"list of {element.name}", element.np, 0, "list"

    @property
    def is_floating(self) -> bool:
        return self.element.is_floating

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: Any) -> bool:
        return self is other

    __hash__ = object.__hash__


def list_of(element: DType, length: int | None = None) -> ListType:
    """The one type of lists of this dtype and length."""
    key = (id(element), length)             # dtypes live as long as the program
    return _TYPES.get(key) or _TYPES.setdefault(key, ListType(element, length))


def list_spec(element: Spec, length: int | None = None) -> Spec:
    """The spec of lists of such elements."""
    return Spec(element.shape, list_of(element.dtype, length))


def merged(a: tuple | None, b: tuple | None) -> tuple | None:
    """What two shapes that fit have in common, the sizes known to either.

    Example:
        >>> merged((None, 3), (2, None)), merged(None, (2,))
        ((2, 3), (2,))
    """
    if a is None or b is None:
        return b if a is None else a
    return tuple(n if m is None else m for m, n in zip(a, b))


def fits(a: tuple | None, b: tuple | None) -> bool:
    """Whether two shapes can be one, unknown sizes fitting any."""
    return a is None or b is None or len(a) == len(b) and all(m is None or n is None or m == n for m, n in zip(a, b))


class ListTensor(Tensor):
    """A list that exists: `items`, tensors or None where nothing was written."""

    __slots__ = ("items",)

    def __init__(self, spec: Spec, items: list):
        super().__init__(sig_of(spec, None))
        self.items = items

    @property
    def buffer(self) -> Any:
        raise TypeError(f"{self!r} holds tensors and is none; stack or read it")

    def __copy__(self) -> ListTensor:
        return ListTensor(self.spec, self.items)

    def __repr__(self) -> str:
        return f"<{self.dtype.name}, {len(self.items)} elements>"

    __str__ = __repr__
    __hash__ = object.__hash__


def empty_list(spec: Spec) -> ListTensor:
    """A list in which nothing was written: also the zero of gradients of lists."""
    return ListTensor(spec, [None] * (spec.dtype.length or 0))       # type: ignore[attr-defined]


# what stands for the results of a branch that was not taken; nothing reads it
NOTHING = ListTensor(list_spec(Spec((), "bool")), [])
