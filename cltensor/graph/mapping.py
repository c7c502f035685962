"""map_fn, scan, foldl, foldr: a function along the first dimension.

Eagerly they are Python loops over rows. While ops are recorded they are while_loops over TensorArrays: the function
is recorded once, whatever the number of rows, and that number may be open in a graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base import nest
from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import state
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert
from cltensor.graph.body import Leaves
from cltensor.graph.deferred import new_body
from cltensor.graph.loops import while_loop
from cltensor.interpret.record import Recording, Symbol
from cltensor.ops.join import stack
from cltensor.ops.tensor_array import TensorArray

__all__ = ["map_fn", "scan", "foldl", "foldr"]


def _columns(op: str, elems: Any) -> tuple[list[Tensor], int | None]:
    """The tensors of elems and their number of rows, None where it is open."""
    flat = [convert(e, op=op) for e in nest.flatten(elems)]
    counts = {None if e.spec.shape is None else e.spec.shape[0] if e.spec.shape else -1 for e in flat}
    if len(counts - {None}) > 1 or -1 in counts or not flat:
        raise InvalidArgumentError(f"{op}: elems must have one first dimension, their shapes are "
                                   f"{[e.spec.shape for e in flat]}")
    return flat, next(iter(counts - {None}), None)


def _rows(op: str, elems: Any) -> tuple[list, int]:
    flat, n = _columns(op, elems)
    assert n is not None
    return [nest.pack_sequence_as(elems, [e[i] for e in flat]) for i in range(n)], n


def _stacked(results: list) -> Any:
    parts = zip(*[nest.flatten(r) for r in results])
    return nest.pack_sequence_as(results[0], [stack([convert(x) for x in column]) for column in parts])


class _Elements:
    """The rows of elems in TensorArrays, while ops are recorded."""

    def __init__(self, op: str, elems: Any):
        self._elems = elems
        flat, n = _columns(op, elems)
        self._arrays = [TensorArray(e.dtype, size=0 if n is None else n).unstack(e) for e in flat]
        self.count: Any = self._arrays[0].size() if n is None else n
        self.rows = [Spec(None if e.spec.shape is None else e.spec.shape[1:], e.dtype) for e in flat]

    def __getitem__(self, index: Any) -> Any:
        return nest.pack_sequence_as(self._elems, [a.read(index) for a in self._arrays])

    def like_row(self) -> Any:
        """Symbols that stand for any row."""
        made = [Symbol(s) for s in self.rows]
        if state.interpreter.symbolic:
            made = [state.interpreter.own(s) for s in made]
        return nest.pack_sequence_as(self._elems, made)


def map_fn(fn: Callable, elems: Any, dtype: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
           swap_memory: bool = False, infer_shape: bool = True, name: str | None = None) -> Any:
    """`fn` of each row of `elems` (a tensor or a nest of them), stacked.

    Args:
        dtype: the dtypes of what `fn` returns, in its structure. They are found out where it is not given; while ops
            are recorded, by recording `fn` once more.

    Raises: InvalidArgumentError for empty elems, or first dimensions that differ.

    Example:
        >>> import cltensor as tf
        >>> tf.map_fn(lambda x: x * x, tf.constant([1., 2., 3.])).numpy().tolist()
        [1.0, 4.0, 9.0]
    """
    if not isinstance(state.interpreter, Recording):
        rows, n = _rows("map_fn", elems)
        if not n:
            raise InvalidArgumentError("map_fn: elems has no rows, so the shape of the result is not known")
        return _stacked([fn(row) for row in rows])
    elements = _Elements("map_fn", elems)
    if isinstance(elements.count, int) and not elements.count:
        raise InvalidArgumentError("map_fn: elems has no rows, so the shape of the result is not known")
    structure = dtype if dtype is not None else _dtypes_of(fn, elements)
    out = [TensorArray(as_dtype(d), size=elements.count, infer_shape=infer_shape) for d in nest.flatten(structure)]

    def turn(i: Any, arrays: list) -> tuple:
        flat = Leaves(fn(elements[i])).tensors()
        if len(flat) != len(arrays):
            raise InvalidArgumentError(f"map_fn: fn returns {len(flat)} tensors, dtype names {len(arrays)}")
        return i + 1, [a.write(i, x) for a, x in zip(arrays, flat)]

    arrays = while_loop(lambda i, arrays: i < elements.count, turn, (0, out))[1]
    return nest.pack_sequence_as(structure, [a.stack() for a in arrays])


def _dtypes_of(fn: Callable, elements: _Elements) -> Any:
    """What fn returns, as dtypes: it is recorded for any row, and the recording dropped."""
    with new_body(state.interpreter, {}).inside():
        leaves = Leaves(fn(elements.like_row()))
        return nest.pack_sequence_as(leaves.structure, [t.dtype for t in leaves.tensors()])


def scan(fn: Callable, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
         swap_memory: bool = False, infer_shape: bool = True, reverse: bool = False, name: str | None = None) -> Any:
    """All values of `a = fn(a, row)` over the rows of `elems`, stacked; `a` starts as the initializer or the first row.

    Raises: InvalidArgumentError for empty elems without an initializer, or where `a` changes shape or structure.

    Example:
        >>> import cltensor as tf
        >>> tf.scan(lambda a, x: a + x, tf.constant([1, 2, 3])).numpy().tolist()
        [1, 3, 6]
    """
    if not isinstance(state.interpreter, Recording):
        results = _fold("scan", fn, elems, initializer, reverse)
        return _stacked(results[::-1] if reverse else results)
    return _recorded_fold("scan", fn, elems, initializer, reverse, True)


def _fold(op: str, fn: Callable, elems: Any, initializer: Any, reverse: bool) -> list:
    rows, n = _rows(op, elems)
    rows = rows[::-1] if reverse else rows
    if not n and initializer is None:
        raise InvalidArgumentError(f"{op}: elems has no rows, and there is no initializer")
    results = []
    if initializer is None:
        now: Any = rows.pop(0)
        results.append(now)
    else:
        now = nest.map_structure(convert, initializer)
    for row in rows:
        now = fn(now, row)
        results.append(now)
    return results or [now]


def _recorded_fold(op: str, fn: Callable, elems: Any, initializer: Any, reverse: bool, keep: bool) -> Any:
    elements = _Elements(op, elems)
    if isinstance(elements.count, int) and not elements.count and initializer is None:
        raise InvalidArgumentError(f"{op}: elems has no rows, and there is no initializer")

    def at(i: Any) -> Any:
        return elements.count - 1 - i if reverse else i

    first = 0 if initializer is not None else 1
    now = elements[at(0)] if initializer is None else nest.map_structure(convert, initializer)
    kept = [TensorArray(t.dtype, size=elements.count, element_shape=t.spec.shape) for t in nest.flatten(now)] * keep
    if first:
        kept = [a.write(at(0), t) for a, t in zip(kept, nest.flatten(now))]

    def turn(i: Any, now: Any, kept: list) -> tuple:
        new = fn(now, elements[at(i)])
        return i + 1, new, [a.write(at(i), t) for a, t in zip(kept, Leaves(new).tensors(nest.flatten(now)))]

    _, last, kept = while_loop(lambda i, now, kept: i < elements.count, turn, (first, now, kept))
    return nest.pack_sequence_as(now, [a.stack() for a in kept]) if keep else last


def foldl(fn: Callable, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
          swap_memory: bool = False, name: str | None = None) -> Tensor:
    """The last value of `a = fn(a, row)` over the rows, first to last.

    Example:
        >>> import cltensor as tf
        >>> tf.foldl(lambda a, x: a * 10 + x, tf.constant([1, 2, 3])).numpy()
        np.int32(123)
    """
    return _last("foldl", fn, elems, initializer)


def foldr(fn: Callable, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
          swap_memory: bool = False, name: str | None = None) -> Tensor:
    """The last value of `a = fn(a, row)` over the rows, last to first.

    Example:
        >>> import cltensor as tf
        >>> tf.foldr(lambda a, x: a * 10 + x, tf.constant([1, 2, 3])).numpy()
        np.int32(321)
    """
    return _last("foldr", fn, elems, initializer)


def _last(op: str, fn: Callable, elems: Any, initializer: Any) -> Any:
    reverse = op == "foldr"
    if not isinstance(state.interpreter, Recording):
        return _fold(op, fn, elems, initializer, reverse)[-1]
    return _recorded_fold(op, fn, elems, initializer, reverse, False)
