"""Nested structures: lists, tuples, namedtuples and mappings of leaves, taken apart and put together.

A leaf is anything else, `None` and strings included. Mappings are walked in the order of their sorted
keys, as TensorFlow does, so two dicts of equal keys flatten alike whatever the order they were filled in;
putting one together keeps the order of the structure's own keys. With `lists=False` a list is a leaf:
tf.data reads `[1, 2, 3]` as one tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError

__all__ = ["is_sequence", "is_namedtuple", "flatten", "flatten_with_paths", "pack_sequence_as",
           "map_structure", "assert_same_structure"]


def is_namedtuple(value: Any) -> bool:
    """True for an instance of a namedtuple class."""
    return isinstance(value, tuple) and hasattr(value, "_fields")


def is_sequence(value: Any, lists: bool = True) -> bool:
    """True for what has parts: a list (unless `lists=False`), a tuple, a mapping.

    Example:
        >>> is_sequence([1]), is_sequence({"a": 1}), is_sequence("text"), is_sequence(None)
        (True, True, False, False)
    """
    return isinstance(value, (tuple, Mapping)) or (lists and isinstance(value, list))


def _sorted_keys(mapping: Mapping) -> list:
    try:
        return sorted(mapping)
    except TypeError:
        raise DTypeError("nest: the keys of a dict must be sortable, they are of types "
                         + ", ".join(sorted({type(k).__name__ for k in mapping}))) from None


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """(key, part) pairs in the order leaves are counted."""
    if isinstance(value, Mapping):
        for key in _sorted_keys(value):
            yield key, value[key]
    elif is_namedtuple(value):
        yield from zip(value._fields, value)
    else:
        yield from enumerate(value)


def flatten(structure: Any, lists: bool = True) -> list:
    """The leaves of a structure, in order; a leaf alone gives a list of one.

    Raises: DTypeError for a dict whose keys cannot be sorted.

    Example:
        >>> flatten({"b": [1, (2, None)], "a": "x"})
        ['x', 1, 2, None]
    """
    out: list = []
    _flatten(structure, lists, out)
    return out


def _flatten(structure: Any, lists: bool, out: list) -> None:
    if not is_sequence(structure, lists):
        out.append(structure)
    elif isinstance(structure, Mapping):
        for key in _sorted_keys(structure):
            _flatten(structure[key], lists, out)
    else:
        for part in structure:
            _flatten(part, lists, out)


def flatten_with_paths(structure: Any, lists: bool = True) -> list[tuple[tuple, Any]]:
    """The leaves with the keys that lead to each.

    Example:
        >>> flatten_with_paths({"a": [5, 6]})
        [(('a', 0), 5), (('a', 1), 6)]
    """
    if not is_sequence(structure, lists):
        return [((), structure)]
    return [((key, *path), leaf) for key, part in _parts(structure)
            for path, leaf in flatten_with_paths(part, lists)]


def _rebuild(like: Any, parts: list) -> Any:
    """A container as `like` with these parts, given in the order of `_parts`."""
    if isinstance(like, Mapping):
        by_key = dict(zip(_sorted_keys(like), parts))
        ordered = [(key, by_key[key]) for key in like]
        kind = type(like)
        if kind is dict:
            return dict(ordered)
        try:
            return kind(ordered)        # type: ignore[call-arg]
        except TypeError:               # defaultdict and others whose constructor takes more
            return dict(ordered)
    if is_namedtuple(like):
        return type(like)(*parts)
    if isinstance(like, tuple):
        return tuple(parts)
    return list(parts)


def _pack(structure: Any, leaves: Iterator, lists: bool) -> Any:
    if not is_sequence(structure, lists):
        return next(leaves)
    return _rebuild(structure, [_pack(part, leaves, lists) for _, part in _parts(structure)])


def pack_sequence_as(structure: Any, flat_sequence: Any, lists: bool = True) -> Any:
    """The leaves of `flat_sequence` in the shape of `structure`; the inverse of `flatten`.

    Raises: InvalidArgumentError (a ValueError) when the number of leaves differs.

    Example:
        >>> pack_sequence_as({"b": (0, 0), "a": 0}, [1, 2, 3])
        {'b': (2, 3), 'a': 1}
    """
    leaves = list(flat_sequence)
    wanted = len(flatten(structure, lists))
    if wanted != len(leaves):
        raise InvalidArgumentError(f"pack_sequence_as: the structure has {wanted} leaves, "
                                   f"flat_sequence has {len(leaves)}")
    return _pack(structure, iter(leaves), lists)


def _kind(value: Any, lists: bool) -> str:
    if not is_sequence(value, lists):
        return "a leaf"
    if isinstance(value, Mapping):
        return "a dict"
    if is_namedtuple(value):
        return "a " + type(value).__name__
    return "a tuple" if isinstance(value, tuple) else "a list"


def _check_same(a: Any, b: Any, check_types: bool, lists: bool, path: str) -> None:
    first, second = is_sequence(a, lists), is_sequence(b, lists)
    if not first and not second:
        return
    where = f" at {path}" if path else ""
    if first != second:
        raise InvalidArgumentError(f"nest: the structures differ{where}, {_kind(a, lists)} != "
                                   f"{_kind(b, lists)}")
    keyed = isinstance(a, Mapping), isinstance(b, Mapping)
    if keyed[0] != keyed[1] or (check_types and _kind(a, lists) != _kind(b, lists)):
        raise DTypeError(f"nest: the structures differ{where}, {_kind(a, lists)} != {_kind(b, lists)}")
    if keyed[0] and set(a) != set(b):
        raise InvalidArgumentError(f"nest: the keys differ{where}, {_sorted_keys(a)} != "
                                   f"{_sorted_keys(b)}")
    if len(a) != len(b):
        raise InvalidArgumentError(f"nest: the lengths differ{where}, {len(a)} != {len(b)}")
    for (key, part), (_, other) in zip(_parts(a), _parts(b)):
        _check_same(part, other, check_types, lists, f"{path}[{key!r}]")


def assert_same_structure(nest1: Any, nest2: Any, check_types: bool = True, lists: bool = True) -> None:
    """Checks that two structures have their leaves at the same places.

    Raises: InvalidArgumentError (a ValueError) where one has a leaf and the other parts, or numbers of
    parts or keys differ; DTypeError (a TypeError) where the kinds of container differ (with `check_types`).

    Example:
        >>> assert_same_structure((1, [2]), ("a", ["b"]))
    """
    _check_same(nest1, nest2, check_types, lists, "")


def map_structure(func: Callable, *structure: Any, check_types: bool = True, lists: bool = True) -> Any:
    """`func` of the corresponding leaves of equally built structures, in the shape of the first.

    Raises: as `assert_same_structure`; InvalidArgumentError without a structure.

    Example:
        >>> map_structure(lambda a, b: a + b, {"k": (1, 2)}, {"k": (10, 20)})
        {'k': (11, 22)}
    """
    if not structure:
        raise InvalidArgumentError("map_structure: at least one structure is needed")
    for other in structure[1:]:
        assert_same_structure(structure[0], other, check_types, lists)
    columns = [flatten(s, lists) for s in structure]
    return pack_sequence_as(structure[0], [func(*leaves) for leaves in zip(*columns)], lists)
