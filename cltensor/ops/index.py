"""`x[key]`: basic indices are one strided copy (or a view), arrays of indices and masks a gather.

Semantics are NumPy's, with one exception: an index that is a tensor on a device is checked by the kernel,
so its error appears at the next read of a value.
"""

from __future__ import annotations

import operator
from math import prod
from typing import Any

import numpy as np

from cltensor.base.dtypes import int32, int64
from cltensor.base.errors import DTypeError, InvalidArgumentError, OutOfRangeError
from cltensor.base.shapes import show
from cltensor.base.slices import ALL
from cltensor.core.tensor import Tensor, convert, host_value, static_value
from cltensor.ops.array import broadcast_to, reshape, transpose
from cltensor.ops.gather import gather, gather_nd
from cltensor.ops.join import stack
from cltensor.ops.math import add, cast, less, multiply, where
from cltensor.ops.slicing import take_element, take_region

__all__ = ["getitem", "newaxis"]

newaxis = None


def getitem(tensor: Any, key: Any) -> Tensor:
    """`tensor[key]` with NumPy's semantics.

    Args:
        tensor: Tensor or Variable, any dtype.
        key: an integer, slice, `...`, None (tf.newaxis), integer or boolean array (ndarray, list or
            tensor), or a tuple of them. Scalar tensors count as integers. Slices clamp.

    Raises: OutOfRangeError (also an IndexError) for an integer outside, InvalidArgumentError for too many
        indices, a zero step, or a mask or arrays whose shapes do not fit; DTypeError for any other key.

    Example:
        >>> import cltensor as tf
        >>> x = tf.constant([[1, 2, 3], [4, 5, 6]])
        >>> x[-1, ::2].numpy().tolist(), x[:, [2, 0]].numpy().tolist(), x[x > 4].numpy().tolist()
        ([4, 6], [[3, 1], [6, 4]], [5, 6])
    """
    x = convert(tensor)
    if type(key) is int:
        return take_element(x, key)
    if any(_is_open(k) for k in (key if type(key) is tuple else (key,))):
        return _at_runtime(x, list(key) if type(key) is tuple else [key])
    items = [_item(k) for k in (key if type(key) is tuple else (key,))]
    if all(type(i) is tuple for i in items):
        return take_region(x, tuple(items))
    return _advanced(x, items)


def _is_open(k: Any) -> bool:
    """Whether a key item is a number that only a run of what is recorded will know: a loop's counter."""
    return isinstance(k, Tensor) and k.sig.device is None and k.spec.shape == () and k.dtype.is_integer


def _at_runtime(x: Tensor, key: list) -> Tensor:
    """All of the dimensions that such numbers pick from, then one gather each, the last dimension first."""
    out = getitem(x, tuple(slice(None) if _is_open(k) else k for k in key))
    leaves = [0 if type(k) is int or isinstance(k, np.integer) else 1 for k in key]     # dimensions an item leaves
    rest = next((i for i, k in enumerate(key) if k is Ellipsis), len(key))
    for i in reversed(range(len(key))):
        if _is_open(key[i]):
            axis = sum(leaves[:i]) if i < rest else -sum(leaves[i:])
            n = out.spec.shape and out.spec.shape[axis]
            if n is None:           # a graph then keeps the call for a run
                raise InvalidArgumentError("index: the size of the dimension that a tensor picks from is unknown")
            out = gather(out, add(key[i], multiply(cast(less(key[i], 0), key[i].dtype), n)), axis=axis)
            leaves[i] = 0
    return out


def _item(k: Any) -> Any:
    """A key item as base/slices.py writes it, or an index array: an ndarray or a tensor of rank 1 or more."""
    if type(k) is int:
        return ("at", k)
    if isinstance(k, slice):
        return ("cut", _bound(k.start), _bound(k.stop), _bound(k.step))
    if k is None:
        return ("new",)
    if k is Ellipsis:
        return ("rest",)
    if isinstance(k, (bool, np.bool_)):
        raise DTypeError(f"index: {k!r} is no index; masks have at least one dimension")
    if isinstance(k, np.integer):
        return ("at", int(k))
    if isinstance(k, (list, tuple, np.ndarray)) or hasattr(k, "__array__") or hasattr(type(k), "as_tensor"):
        return _array(k)
    try:
        return ("at", operator.index(k))
    except TypeError:
        raise DTypeError(f"index: {k!r:.60} is no index: integers, slices, ..., None and arrays of integers or "
                         "booleans are") from None


def _bound(v: Any) -> int | None:
    if v is None or type(v) is int:
        return v
    try:
        return operator.index(v.as_tensor() if hasattr(type(v), "as_tensor") else v)
    except TypeError:
        raise DTypeError(f"index: {v!r:.60} does not bound a slice, it must be an integer") from None


def _array(k: Any) -> Any:
    if isinstance(k, (list, tuple)) and not len(k):
        return np.zeros(0, np.int32)
    value: Any = k if isinstance(k, np.ndarray) else convert(k)
    kind = value.dtype.kind if isinstance(value, np.ndarray) else value.dtype.np.kind
    if kind not in "iub":
        raise DTypeError(f"index: an index array must hold integers or booleans, this one has dtype {value.dtype}")
    rank = len(value.shape)
    if kind == "b":
        if rank == 0:
            raise DTypeError("index: a boolean scalar is no index; masks have at least one dimension")
        return np.asarray(static_value(value))       # the shape of the result depends on it: the device is read
    if rank == 0:
        return ("at", int(static_value(value)))
    known = host_value(value)
    if known is not None:
        return known
    return value if value.dtype in (int32, int64) else cast(value, int32)


def _advanced(x: Tensor, items: list) -> Tensor:
    """Index arrays: first the basic items by one copy, then the arrays by one gather."""
    dims = x.spec.shape
    entries = _expanded(dims, items)
    basic: list = []           # the basic key, with all of a dimension where an array picks
    arrays: list = []          # (dimension of the sliced tensor, array)
    runs = 0                   # how often a run of array entries begins: more than once, they are apart
    inside = False
    at = place = 0
    for e in entries:
        if type(e) is tuple and e[0] != "at":
            basic.append(e)
            place += 1
            at += e[0] != "new"
            inside = False
            continue
        runs += not inside
        inside = True
        for index in (np.asarray(e[1]),) if type(e) is tuple else _integers(e, dims, at):
            arrays.append((place, _checked(index, dims[at], at, dims)))
            basic.append(ALL)
            place += 1
            at += 1
    sliced = take_region(x, tuple(basic))
    places = [p for p, _ in arrays]
    picks = _broadcast([a for _, a in arrays])
    if runs > 1:               # as in NumPy: arrays that stand apart bring their dimensions to the front
        rest = [d for d in range(place) if d not in places]
        sliced, first = transpose(sliced, (*places, *rest)), 0
    else:
        first = places[0]
    return _pick(sliced, picks, first)


def _expanded(dims: tuple, items: list) -> list:
    """The items with the ellipsis, given or implied, written out as whole dimensions."""
    taken = 0
    for i in items:
        if type(i) is not tuple:
            taken += i.ndim if isinstance(i, np.ndarray) and i.dtype == np.bool_ else 1
        elif i[0] in ("at", "cut"):
            taken += 1
    if taken > len(dims):
        raise InvalidArgumentError(f"index: {taken} indices for an input of rank {len(dims)}, shape {show(dims)}")
    left = len(dims) - taken
    out: list = []
    for i in items:
        if type(i) is tuple and i[0] == "rest":
            out += [ALL] * left
            # an ellipsis that stands for no dimension still separates arrays, as in NumPy
            left = 0
        else:
            out.append(i)
    return out + [ALL] * left


def _integers(index: Any, dims: tuple, at: int) -> tuple:
    """A mask as the integer arrays it stands for, anything else as it is."""
    if not (isinstance(index, np.ndarray) and index.dtype == np.bool_):
        return (index,)
    if dims[at:at + index.ndim] != index.shape:
        raise InvalidArgumentError(f"index: a mask of shape {show(index.shape)} does not fit the dimensions from {at} "
                                   f"on of an input of shape {show(dims)}")
    return index.nonzero()


def _checked(index: Any, n: int, d: int, dims: tuple) -> Any:
    """Indices counted from the front; those the host knows are checked."""
    if not isinstance(index, np.ndarray):
        return where(less(index, 0), add(index, n), index)
    if index.size:
        low, high = int(index.min()), int(index.max())
        if low < -n or high >= n:
            raise OutOfRangeError(f"index: {low if low < -n else high} is not in [{-n}, {n}), dimension {d} of an "
                                  f"input of shape {show(dims)}")
    index = index.astype(np.int64 if n > 2**31 - 1 else np.int32)
    return np.where(index < 0, index + index.dtype.type(n), index)


def _broadcast(arrays: list) -> list:
    try:
        common = np.broadcast_shapes(*[tuple(a.shape) for a in arrays])
    except ValueError:
        raise InvalidArgumentError("index: index arrays do not broadcast together, they have shapes "
                                   + ", ".join(show(a.shape) for a in arrays)) from None
    return [np.broadcast_to(a, common) if isinstance(a, np.ndarray) else broadcast_to(a, common) for a in arrays]


def _pick(x: Tensor, picks: list, first: int) -> Tensor:
    """Gather by arrays of one shape over the dimensions first, first + 1, ..., one each."""
    dims, k = x.spec.shape, len(picks)
    if k == 1:
        return gather(x, picks[0], axis=first)
    over = dims[first:first + k]
    if all(isinstance(p, np.ndarray) for p in picks):
        # several dimensions as one: still a single gather, without a transpose
        total = prod(over)
        wide = np.int64 if total > 2**31 - 1 else np.int32
        flat = np.zeros(picks[0].shape, wide)
        for p, n in zip(picks, over):
            flat = flat * wide(n) + p.astype(wide)
        return gather(reshape(x, (*dims[:first], total, *dims[first + k:])), flat, axis=first)
    rank = len(dims)
    front = (*range(first, first + k), *range(first), *range(first + k, rank))
    same = int64 if any(not isinstance(p, np.ndarray) and p.dtype is int64 for p in picks) else int32
    indices = stack([convert(p.astype(same.np)) if isinstance(p, np.ndarray) else cast(p, same) for p in picks],
                    axis=-1)
    picked = gather_nd(transpose(x, front), indices)
    b = indices.spec.rank - 1
    return transpose(picked, (*range(b, b + first), *range(b), *range(b + first, b + rank - k)))
