"""Elements of a dataset: nests whose leaves are host arrays, device tensors, or bytes.

Inside a pipeline a leaf stays what it is cheapest as: rows of an array are views of it, and become a Tensor
when a user's function or loop sees them. Such a Tensor keeps its host copy and is uploaded when a kernel
asks for it, so a label that is only compared on the host never travels. Text is Python `bytes`, and a batch of
it an object array, as there are no text tensors.

Lists are leaves here, as in tf.data: `[1, 2, 3]` is one tensor; tuples and dicts are structure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base import nest
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import current_device
from cltensor.core.spec import Spec, sig_of
from cltensor.core.tensor import Tensor, as_array, convert, static_value
from cltensor.ops.join import stack

__all__ = ["flatten", "pack", "is_text", "as_leaf", "as_element", "present", "stack_leaves", "host_leaf",
           "call", "leaf_shape", "count_of", "flatten_up_to"]


def flatten(structure: Any) -> list:
    """Leaves of an element."""
    return nest.flatten(structure, lists=False)


def pack(structure: Any, leaves: list) -> Any:
    """Leaves in the shape of an element."""
    return nest.pack_sequence_as(structure, leaves, lists=False)


def is_text(value: Any) -> bool:
    """True for str, bytes, and arrays of them."""
    if isinstance(value, (list, tuple)) and value:
        return is_text(value[0])
    return isinstance(value, (str, bytes)) or (isinstance(value, np.ndarray) and value.dtype.kind in "SUO")


def _encoded(text: Any) -> Any:
    return text.encode() if isinstance(text, str) else text


def as_leaf(value: Any, op: str) -> Any:
    """A leaf of whatever a user gave: tensors stay where they are, values become host arrays.

    Raises: DTypeError, InvalidArgumentError as `constant` does.
    """
    if isinstance(value, Tensor):
        return value
    if hasattr(type(value), "as_tensor"):
        return value.as_tensor()
    if is_text(value):
        if isinstance(value, (str, bytes)):
            return _encoded(value)
        given = np.asarray(value, dtype=object)
        out = np.empty(given.shape, object)
        out.reshape(-1)[:] = [_encoded(t) for t in given.reshape(-1)]
        return out
    if isinstance(value, list) and any(isinstance(v, Tensor) for v in value):
        return convert(value)
    return as_array(value, None, op)


def as_element(structure: Any, op: str) -> Any:
    """Every leaf of a user's structure by `as_leaf`."""
    return nest.map_structure(lambda v: as_leaf(v, op), structure, lists=False)


def _tensor(leaf: Any) -> Any:
    """What a user sees of a leaf; an array becomes a tensor without a copy, and is frozen."""
    if type(leaf) is np.ndarray or isinstance(leaf, np.generic):
        array = np.asarray(leaf)
        if array.dtype == object:
            return leaf
        if not array.flags.c_contiguous:
            array = np.array(array, order="C")
        array.flags.writeable = False
        return Tensor(sig_of(Spec(array.shape, array.dtype), current_device()), None, array)
    return leaf


def present(element: Any) -> Any:
    """The element as a user sees it."""
    if type(element) is tuple:
        return tuple([_tensor(v) if type(v) is np.ndarray else present(v) for v in element])
    if not nest.is_sequence(element, lists=False):
        return _tensor(element)
    return nest.map_structure(_tensor, element, lists=False)


def call(function: Callable, element: Any) -> Any:
    """`function` of an element: a tuple's parts are its arguments."""
    shown = present(element)
    if isinstance(shown, tuple) and not nest.is_namedtuple(shown):
        return function(*shown)
    return function(shown)


def host_leaf(leaf: Any) -> Any:
    """The leaf as host array or bytes; reads the device if it lives there."""
    return static_value(leaf) if isinstance(leaf, Tensor) else leaf


def leaf_shape(leaf: Any) -> tuple:
    """Shape of a leaf of any kind."""
    if isinstance(leaf, Tensor):
        return leaf.spec.shape
    return np.shape(leaf) if isinstance(leaf, (np.ndarray, np.generic)) else ()


def stack_leaves(leaves: list, op: str) -> Any:
    """One leaf with a new first axis; on the host if all values are there.

    Raises: InvalidArgumentError for different shapes, DTypeError for different dtypes.
    """
    shapes = {leaf_shape(v) for v in leaves}
    if len(shapes) > 1:
        raise InvalidArgumentError(f"{op}: elements of one batch differ in shape, "
                                   + " and ".join(show(s) for s in sorted(shapes)[:2]))
    if any(isinstance(v, Tensor) and v.host is None for v in leaves):
        return stack(leaves)
    arrays: list[Any] = [v.host if isinstance(v, Tensor) else v for v in leaves]
    if isinstance(arrays[0], bytes) or (isinstance(arrays[0], np.ndarray) and arrays[0].dtype == object):
        out = np.empty((len(arrays), *shapes.pop()), object)
        for i, text in enumerate(arrays):
            out[i] = text
        return out
    dtypes = {np.asarray(a).dtype for a in arrays}
    if len(dtypes) > 1:
        raise DTypeError(f"{op}: elements of one batch differ in dtype, " + " and ".join(sorted(map(str, dtypes))))
    return np.stack(arrays)


def count_of(value: Any, name: str, least: int, op: str) -> int:
    """`value` as an int of at least `least`.

    Raises: InvalidArgumentError.
    """
    try:
        number = value.__index__()
    except (AttributeError, TypeError):
        raise InvalidArgumentError(f"{op}: {name} must be an integer, {value!r} is a "
                                   f"{type(value).__name__}") from None
    if number < least:
        raise InvalidArgumentError(f"{op}: {name} = {number} is less than {least}")
    return int(number)


def flatten_up_to(like: Any, value: Any, op: str) -> list:
    """The parts of `value` that stand where `like` has leaves; lists may stand for tuples.

    Raises: InvalidArgumentError where `value` has not that structure.
    """
    if not nest.is_sequence(like, lists=False):
        return [value]
    keyed = isinstance(like, dict)
    fits = isinstance(value, dict) and set(value) == set(like) if keyed else (
        isinstance(value, (tuple, list)) and len(value) == len(like))
    if not fits:
        raise InvalidArgumentError(f"{op}: {value!r:.80} does not have the structure {like!r:.80}")
    keys = sorted(like) if keyed else range(len(like))
    return [leaf for k in keys for leaf in flatten_up_to(like[k], value[k], op)]
