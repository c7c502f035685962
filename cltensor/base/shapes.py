"""Functions on shapes (tuples of int, None for an unknown size), and TensorShape, their public face.

Raises everywhere: InvalidArgumentError with the op's name, the rule and both values.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from cltensor.base.errors import InvalidArgumentError

__all__ = ["TensorShape", "Dimension", "broadcast", "broadcast_many", "normalize_axis", "normalize_axes",
           "reduced", "merge_broadcast", "merge_strides", "broadcast_strides", "resolve_reshape", "row_major_strides",
           "show"]


def show(shape: Any) -> str:
    """A shape for a sentence: `(2, ?)`; `unknown` when not even the rank is known."""
    if shape is None:
        return "unknown"
    return "(" + ", ".join("?" if d is None else str(d) for d in shape) + ("," if len(shape) == 1 else "") + ")"


def broadcast(op: str, a: tuple | None, b: tuple | None, names: tuple = ("x", "y")) -> tuple | None:
    """The shape two shapes broadcast to (NumPy's rule)."""
    if a == b:
        return a
    if a is None or b is None:
        return None
    n = max(len(a), len(b))
    out = []
    for p, q in zip((1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b):
        if p == q or q == 1:
            out.append(p)
        elif p == 1:
            out.append(q)
        elif p is None or q is None:
            out.append(q if p is None else p)
        else:
            raise InvalidArgumentError(f"{op}: shapes do not broadcast, {p} != {q}: {names[0]} has shape "
                                       f"{show(a)}, {names[1]} has shape {show(b)}")
    return tuple(out)


def broadcast_many(op: str, shapes: Any, names: Any = ()) -> tuple | None:
    """The shape several shapes broadcast to."""
    shapes = list(shapes)
    names = tuple(names) or tuple(f"x{i}" for i in range(len(shapes)))
    out = shapes[0]
    for i, s in enumerate(shapes[1:], 1):
        out = broadcast(op, out, s, (names[0] if i == 1 else "the inputs before", names[i]))
    return out


def normalize_axis(op: str, axis: Any, rank: int, name: str = "axis", of: int | None = None) -> int:
    """`axis` counted from the front, checked against the rank; `of` is the input's where the result's counts."""
    try:
        a = axis.__index__()
    except (AttributeError, TypeError):
        raise InvalidArgumentError(f"{op}: {name} must be an integer, {axis!r} is a "
                                   f"{type(axis).__name__}") from None
    if not -rank <= a < rank:
        raise InvalidArgumentError(f"{op}: {name} = {a} is not in [{-rank}, {rank}) for an input of rank "
                                   f"{rank if of is None else of}")
    return a + rank if a < 0 else a


def normalize_axes(op: str, axis: Any, rank: int) -> tuple:
    """Axes as a sorted tuple counted from the front; None means all of them."""
    if axis is None:
        return tuple(range(rank))
    axes = [axis] if not isinstance(axis, (list, tuple)) else list(axis)
    found = [normalize_axis(op, a, rank) for a in axes]
    if len(set(found)) != len(found):
        raise InvalidArgumentError(f"{op}: axis {tuple(axes)} names a dimension twice for an input of rank {rank}")
    return tuple(sorted(found))


def reduced(shape: tuple, axes: tuple, keepdims: bool) -> tuple:
    """The shape after reducing `axes`."""
    if keepdims:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


def row_major_strides(shape: tuple) -> tuple:
    """Strides in elements of a dense row-major array."""
    out, step = [], 1
    for d in reversed(shape):
        out.append(step)
        step *= d
    return tuple(reversed(out))


def merge_broadcast(out: tuple, ins: Any) -> tuple[tuple, tuple]:
    """Collapse adjacent dimensions that every input walks alike.

    Returns (dims, strides): the merged result shape, at least one dimension, and for each input its
    element strides over those dimensions (0 where it broadcasts). Inputs are dense row-major.

    Example:
        >>> merge_broadcast((4, 5, 6), [(4, 5, 6), (6,)])
        ((20, 6), ((6, 1), (0, 1)))
        >>> merge_broadcast((4, 5), [(4, 5), ()])
        ((20,), ((1,), (0,)))
    """
    return merge_strides(out, [broadcast_strides(out, s) for s in ins])


def broadcast_strides(out: tuple, shape: tuple) -> list[int]:
    """Element strides of a dense array over the dimensions it broadcasts to, 0 where it repeats."""
    full = (1,) * (len(out) - len(shape)) + tuple(shape)
    return [0 if d == 1 else st for d, st in zip(full, row_major_strides(full))]


def merge_strides(out: tuple, strides: Any) -> tuple[tuple, tuple]:
    """`merge_broadcast` of inputs given by their strides over the dimensions of the result.

    Example:
        >>> merge_strides((2, 3, 4), [(12, 4, 1), (100, 4, 1)])
        ((2, 12), ((12, 1), (100, 1)))
    """
    n = len(out)
    dims: list[int] = []
    kept: list[list[int]] = [[] for _ in strides]
    for i in reversed(range(n)):
        if out[i] == 1:
            continue
        if dims and all(st[i] == k[0] * dims[0] for st, k in zip(strides, kept)):
            dims[0] *= out[i]
        else:
            dims.insert(0, out[i])
            for st, k in zip(strides, kept):
                k.insert(0, st[i])
    if not dims:
        return (1,), tuple((0,) for _ in kept)
    return tuple(dims), tuple(tuple(k) for k in kept)


def resolve_reshape(shape: tuple, wanted: Any) -> tuple:
    """`wanted` with its one -1 filled in, checked against the number of elements."""
    want = tuple(int(d) for d in wanted)
    size = None if shape is None or None in shape else prod(shape)
    if sum(d == -1 for d in want) > 1 or any(d < -1 for d in want):
        raise InvalidArgumentError(f"reshape: shape {want} may hold one -1 and no other negative size")
    if size is None:
        return tuple(None if d == -1 else d for d in want)
    if -1 in want:
        rest = prod(d for d in want if d != -1)
        if rest == 0 and size == 0:
            return tuple(0 if d == -1 else d for d in want)
        if rest == 0 or size % rest:
            raise InvalidArgumentError(f"reshape: {size} elements of shape {show(shape)} do not fill shape {want}")
        return tuple(size // rest if d == -1 else d for d in want)
    if prod(want) != size:
        raise InvalidArgumentError(f"reshape: {size} elements of shape {show(shape)} do not fill shape "
                                   f"{show(want)} of {prod(want)} elements")
    return want


class Dimension(int):
    """A size that also answers `.value`, as TensorFlow 1.x code expects."""

    @property
    def value(self) -> int:
        return int(self)


class TensorShape:
    """A shape: prints like a tuple, is indexed like one, and answers TensorFlow's questions.

    Dimensions are ints (with `.value`), or None where unknown. Compares equal to tuples and lists.

    Raises: InvalidArgumentError (a ValueError) where a question needs a known rank or size.

    Example:
        >>> s = TensorShape([1, 1, 784]); s, s[-1], s.ndims, s.num_elements()
        (TensorShape([1, 1, 784]), 784, 3, 784)
        >>> print(s)
        (1, 1, 784)
    """

    __slots__ = ("_dims",)
    _dims: tuple | None

    def __init__(self, dims: Any = None):
        if isinstance(dims, TensorShape):
            dims = dims._dims
        elif isinstance(dims, int):
            dims = (dims,)
        self._dims = None if dims is None else tuple(
            None if d is None or d == -1 else Dimension(d) for d in dims)

    @property
    def shape(self) -> TensorShape:
        """Itself: `build(self, input)` may read `input.shape[-1]` of the shape it is given."""
        return self

    @property
    def dims(self) -> list | None:
        return None if self._dims is None else list(self._dims)

    @property
    def ndims(self) -> int | None:
        return None if self._dims is None else len(self._dims)

    @property
    def rank(self) -> int | None:
        return self.ndims

    def _known_rank(self) -> tuple:
        if self._dims is None:
            raise InvalidArgumentError("TensorShape: the rank is unknown")
        return self._dims

    def as_list(self) -> list:
        """The dimensions as a list of int or None."""
        return [None if d is None else int(d) for d in self._known_rank()]

    def num_elements(self) -> int | None:
        """Product of the dimensions, None when one is unknown."""
        return prod(self._dims) if self.is_fully_defined() else None    # type: ignore[arg-type]

    def is_fully_defined(self) -> bool:
        return self._dims is not None and None not in self._dims

    def is_compatible_with(self, other: Any) -> bool:
        """True when some concrete shape fits both."""
        o = TensorShape(other)._dims
        if self._dims is None or o is None:
            return True
        return len(o) == len(self._dims) and all(p is None or q is None or p == q
                                                 for p, q in zip(self._dims, o))

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raises InvalidArgumentError unless compatible."""
        if not self.is_compatible_with(other):
            raise InvalidArgumentError(f"TensorShape: shapes {self} and {TensorShape(other)} are incompatible")

    def merge_with(self, other: Any) -> TensorShape:
        """The shape that knows what either of two compatible shapes knows."""
        self.assert_is_compatible_with(other)
        o = TensorShape(other)._dims
        if self._dims is None or o is None:
            return TensorShape(o if self._dims is None else self._dims)
        return TensorShape([q if p is None else p for p, q in zip(self._dims, o)])

    def concatenate(self, other: Any) -> TensorShape:
        o = TensorShape(other)._dims
        return TensorShape(None if self._dims is None or o is None else self._dims + o)

    def with_rank(self, rank: int) -> TensorShape:
        if self._dims is not None and len(self._dims) != rank:
            raise InvalidArgumentError(f"TensorShape: shape {self} does not have rank {rank}")
        return self if self._dims is not None else TensorShape([None] * rank)

    def __len__(self) -> int:
        return len(self._known_rank())

    def __iter__(self) -> Iterator:
        return iter(self._known_rank())

    def __getitem__(self, index: Any) -> Any:
        dims = self._known_rank()
        return TensorShape(dims[index]) if isinstance(index, slice) else dims[index]

    def __add__(self, other: Any) -> TensorShape:
        return self.concatenate(other)

    def __radd__(self, other: Any) -> TensorShape:
        return TensorShape(other).concatenate(self)

    def __bool__(self) -> bool:
        return self._dims is not None

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, (TensorShape, tuple, list, type(None))):
            return NotImplemented
        return self._dims == TensorShape(other)._dims

    def __hash__(self) -> int:
        return hash(self._dims)

    def __str__(self) -> str:
        return "<unknown>" if self._dims is None else show(self._dims)

    def __repr__(self) -> str:
        return f"TensorShape({None if self._dims is None else list(self.as_list())})"

    def __reduce__(self) -> tuple:
        return TensorShape, (None if self._dims is None else self.as_list(),)
