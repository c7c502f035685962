"""Basic indexing as data: what `x[1:, ..., None, 0]`, slice and strided_slice ask of a shape.

A key is a hashable tuple of items, so it can be an op's attribute and a memo's key:

    ("at", i)                  element i of a dimension, which goes away
    ("cut", start, stop, step) a Python slice (entries may be None): negative counts from the end, clamps
    ("window", begin, size)    exactly size elements from begin; -1: all that are left; does not clamp
    ("new",)                   a new dimension of size 1
    ("rest",)                  all dimensions the other items leave over (...)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cltensor.base.errors import InvalidArgumentError, OutOfRangeError
from cltensor.base.shapes import show

__all__ = ["Region", "resolve_key", "key_of_masks", "ALL"]

ALL = ("cut", None, None, None)


class Region(NamedTuple):
    """Per dimension of the input: first element, step, number of elements; and the shape of the result."""

    begin: tuple
    step: tuple
    size: tuple
    shape: tuple


def resolve_key(op: str, shape: tuple, key: tuple) -> Region:
    """What `key` selects from `shape`; sizes are None where a dimension is.

    Raises: InvalidArgumentError for too many items, a zero step or a window outside; OutOfRangeError
    (also an IndexError, which ends Python's iteration protocol) for an element that is not there.

    Example:
        >>> resolve_key("index", (5, 7), (("at", -1), ("cut", None, None, -2)))
        Region(begin=(4, 6), step=(1, -2), size=(1, 4), shape=(4,))
    """
    taken = sum(item[0] not in ("new", "rest") for item in key)
    if taken > len(shape):
        raise InvalidArgumentError(f"{op}: {taken} indices for an input of rank {len(shape)}, shape {show(shape)}")
    left = len(shape) - taken
    if not any(item[0] == "rest" for item in key):
        key = (*key, ("rest",))
    begin: list = []
    step: list = []
    size: list = []
    out: list = []
    d = 0
    for item in key:
        kind = item[0]
        if kind == "new":
            out.append(1)
            continue
        if kind == "rest":
            for n in shape[d:d + left]:
                begin.append(0)
                step.append(1)
                size.append(n)
                out.append(n)
            d += left
            left = 0                  # a second ellipsis is an empty one
            continue
        n = shape[d]
        if kind == "at":
            first, hop, count = _element(op, item[1], n, d, shape), 1, 1
        elif kind == "cut":
            first, hop, count = _cut(op, item, n)
        else:
            first, hop, count = _window(op, item, n, d, shape)
        begin.append(first)
        step.append(hop)
        size.append(count)
        if kind != "at":
            out.append(count)
        d += 1
    return Region(tuple(begin), tuple(step), tuple(size), tuple(out))


def _element(op: str, i: int, n: int | None, d: int, shape: tuple) -> int:
    if n is None:
        return i
    if not -n <= i < n:
        raise OutOfRangeError(f"{op}: {i} along dimension {d} is not in [{-n}, {n}) for an input of shape "
                              f"{show(shape)}")
    return i + n if i < 0 else i


def _cut(op: str, item: tuple, n: int | None) -> tuple:
    _, start, stop, step = item
    if step == 0:
        raise InvalidArgumentError(f"{op}: the step of a slice is 0, it must not be")
    if n is None:
        whole = start is None and stop is None and step in (None, 1, -1)
        return start or 0, step or 1, None if whole or not _fixed(start, stop, step) else 0
    lo, hi, hop = slice(start, stop, step).indices(n)
    return lo, hop, len(range(lo, hi, hop))


def _fixed(start: Any, stop: Any, step: Any) -> bool:
    """True when a slice is empty whatever the size of the dimension."""
    return (step or 1) > 0 and start is not None and stop is not None and 0 <= stop <= start


def _window(op: str, item: tuple, n: int | None, d: int, shape: tuple) -> tuple:
    _, begin, size = item
    if n is None:
        return begin, 1, None if size == -1 else size
    count = n - begin if size == -1 else size
    if begin < 0 or count < 0 or begin + count > n:
        raise InvalidArgumentError(f"{op}: begin {begin} and size {size} of dimension {d} leave [0, {n}): input has "
                                   f"shape {show(shape)}")
    return begin, 1, count


def key_of_masks(begin: tuple, end: tuple, strides: tuple, begin_mask: int, end_mask: int, ellipsis_mask: int,
                 new_axis_mask: int, shrink_axis_mask: int) -> tuple:
    """The key that strided_slice's five bit masks spell; bit i belongs to entry i.

    Example:
        >>> key_of_masks((0, 1), (0, 3), (1, 2), 1, 1, 0, 0, 0)
        (('cut', None, None, 1), ('cut', 1, 3, 2))
    """
    key: list[tuple] = []
    for i, (b, e, s) in enumerate(zip(begin, end, strides)):
        bit = 1 << i
        if ellipsis_mask & bit:
            key.append(("rest",))
        elif new_axis_mask & bit:
            key.append(("new",))
        elif shrink_axis_mask & bit:
            key.append(("at", b))
        else:
            key.append(("cut", None if begin_mask & bit else b, None if end_mask & bit else e, s))
    return tuple(key)
