"""Control flow as functions: cond, case, while_loop, map_fn, scan, foldl, foldr.

Executed eagerly they are Python's own `if` and `while`: each turn's ops run and are differentiated like any
others. In a graph or a traced function they may branch on Python values; branching on a tensor raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.join import stack

__all__ = ["cond", "case", "while_loop", "map_fn", "scan", "foldl", "foldr"]


def cond(pred: Any, true_fn: Callable | None = None, false_fn: Callable | None = None, strict: bool = False,
         name: str | None = None, fn1: Callable | None = None, fn2: Callable | None = None) -> Any:
    """`true_fn()` if the condition holds, else `false_fn()`; the other is not called.

    Args:
        pred: boolean scalar: tensor or Python value.
        true_fn, false_fn: functions without arguments (old names fn1, fn2).

    Raises: DTypeError / InvalidArgumentError for functions that are none; TypeError for a tensor without a value.

    Example:
        >>> import cltensor as tf
        >>> tf.cond(tf.constant(2.) > 1., lambda: tf.constant("yes" == "yes"), lambda: tf.constant(False)).numpy()
        np.True_
    """
    yes, no = true_fn or fn1, false_fn or fn2
    if not callable(yes) or not callable(no):
        raise InvalidArgumentError("cond: true_fn and false_fn must be functions without arguments")
    return yes() if bool(pred) else no()


def case(pred_fn_pairs: Any, default: Callable | None = None, exclusive: bool = False, strict: bool = False,
         name: str | None = None) -> Any:
    """The first function whose condition holds; `default` if none does.

    Args:
        pred_fn_pairs: list of (condition, function), or dict.
        exclusive: raise if more than one condition holds.

    Raises: InvalidArgumentError when none holds and there is no default, or several hold with `exclusive`.

    Example:
        >>> import cltensor as tf
        >>> tf.case([(tf.constant(False), lambda: 1), (tf.constant(True), lambda: 2)])
        2
    """
    pairs = list(pred_fn_pairs.items()) if isinstance(pred_fn_pairs, dict) else list(pred_fn_pairs)
    holding = []
    for pred, function in pairs:
        if bool(pred):
            holding.append(function)
            if not exclusive:
                break
    if len(holding) > 1:
        raise InvalidArgumentError(f"case: {len(holding)} conditions hold, exclusive=True allows one")
    if not holding and default is None:
        raise InvalidArgumentError("case: no condition holds, and there is no default")
    chosen = holding[0] if holding else default
    assert chosen is not None
    return chosen()


def while_loop(cond: Callable, body: Callable, loop_vars: Any, shape_invariants: Any = None,
               parallel_iterations: int = 10, back_prop: bool = True, swap_memory: bool = False,
               name: str | None = None, maximum_iterations: Any = None, return_same_structure: bool = False) -> Any:
    """Call `body(*loop_vars)` for new loop variables while `cond(*loop_vars)` holds.

    Waits for the device once per turn, for the condition.

    Args:
        loop_vars: list or tuple of nests.
        maximum_iterations: a bound on the turns.

    Returns: the last loop variables; a single one by itself unless return_same_structure.

    Example:
        >>> import cltensor as tf
        >>> tf.while_loop(lambda i: i < 10, lambda i: i + 3, [tf.constant(0)]).numpy()
        np.int32(12)
    """
    if not callable(cond) or not callable(body):
        raise InvalidArgumentError("while_loop: cond and body must be functions of the loop variables")
    if not isinstance(loop_vars, (list, tuple)) or not loop_vars:
        raise InvalidArgumentError("while_loop: loop_vars must be a list or tuple with at least one entry")
    now = list(loop_vars)
    turns = 0
    while (maximum_iterations is None or turns < int(maximum_iterations)) and bool(cond(*now)):
        new = body(*now)
        now = list(new) if isinstance(new, (list, tuple)) else [new]
        if len(now) != len(loop_vars):
            raise InvalidArgumentError(f"while_loop: body returned {len(now)} values for {len(loop_vars)} loop "
                                       "variables")
        turns += 1
    if len(now) == 1 and not return_same_structure:
        return now[0]
    return type(loop_vars)(now) if type(loop_vars) in (list, tuple) else now


def _rows(op: str, elems: Any) -> tuple[list, int]:
    flat = [convert(e, op=op) for e in nest.flatten(elems)]
    counts = {e.spec.shape[0] if e.spec.shape else None for e in flat}
    if len(counts) != 1 or None in counts:
        raise InvalidArgumentError(f"{op}: elems must have one first dimension, their shapes are "
                                   f"{[e.spec.shape for e in flat]}")
    n = flat[0].spec.shape[0]
    return [nest.pack_sequence_as(elems, [e[i] for e in flat]) for i in range(n)], n


def _stacked(results: list) -> Any:
    parts = zip(*[nest.flatten(r) for r in results])
    return nest.pack_sequence_as(results[0], [stack([convert(x) for x in column]) for column in parts])


def map_fn(fn: Callable, elems: Any, dtype: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
           swap_memory: bool = False, infer_shape: bool = True, name: str | None = None) -> Any:
    """`fn` of each row of `elems` (a tensor or a nest of them), stacked.

    Raises: InvalidArgumentError for empty elems, or first dimensions that differ.

    Example:
        >>> import cltensor as tf
        >>> tf.map_fn(lambda x: x * x, tf.constant([1., 2., 3.])).numpy().tolist()
        [1.0, 4.0, 9.0]
    """
    rows, n = _rows("map_fn", elems)
    if not n:
        raise InvalidArgumentError("map_fn: elems has no rows, so the shape of the result is not known")
    return _stacked([fn(row) for row in rows])


def scan(fn: Callable, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
         swap_memory: bool = False, infer_shape: bool = True, reverse: bool = False, name: str | None = None) -> Any:
    """All values of `a = fn(a, row)` over the rows of `elems`, stacked; `a` starts as the initializer or the first row.

    Example:
        >>> import cltensor as tf
        >>> tf.scan(lambda a, x: a + x, tf.constant([1, 2, 3])).numpy().tolist()
        [1, 3, 6]
    """
    results = _fold("scan", fn, elems, initializer, reverse)
    return _stacked(results[::-1] if reverse else results)


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


def foldl(fn: Callable, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
          swap_memory: bool = False, name: str | None = None) -> Tensor:
    """The last value of `a = fn(a, row)` over the rows, first to last.

    Example:
        >>> import cltensor as tf
        >>> tf.foldl(lambda a, x: a * 10 + x, tf.constant([1, 2, 3])).numpy()
        np.int32(123)
    """
    return _fold("foldl", fn, elems, initializer, False)[-1]


def foldr(fn: Callable, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
          swap_memory: bool = False, name: str | None = None) -> Tensor:
    """The last value of `a = fn(a, row)` over the rows, last to first.

    Example:
        >>> import cltensor as tf
        >>> tf.foldr(lambda a, x: a * 10 + x, tf.constant([1, 2, 3])).numpy()
        np.int32(321)
    """
    return _fold("foldr", fn, elems, initializer, True)[-1]
