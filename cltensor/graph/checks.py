"""Assertions about tensors, and printing them: eagerly at once, in a graph as operations other ops may depend on.

    with tf.control_dependencies([tf.assert_positive(x)]):
        y = tf.log(x)

A run whose assertion fails stops there: nothing is assigned.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute, state
from cltensor.core.tensor import Tensor, convert, to_array
from cltensor.graph.building import control_dependencies
from cltensor.graph.graph import Graph, Operation
from cltensor.graph.nodes import INSPECT
from cltensor.interpret.record import Symbol
from cltensor.ops import math
from cltensor.ops.array import identity
from cltensor.ops.creation import rank as rank_of
from cltensor.ops.reduce import reduce_all, reduce_any

__all__ = ["Assert", "Print", "print_tensors", "assert_equal", "assert_none_equal", "assert_less", "assert_less_equal",
           "assert_greater", "assert_greater_equal", "assert_near", "assert_positive", "assert_negative",
           "assert_non_negative", "assert_non_positive", "assert_integer", "assert_type", "assert_rank",
           "assert_rank_at_least", "assert_rank_in", "assert_scalar"]


def Assert(condition: Any, data: Any, summarize: int | None = None, name: str | None = None) -> Operation | None:
    """Check that a condition holds.

    Args:
        condition: boolean tensor; all of it must be True.
        data: tensors the error shows.
        summarize: how many elements of each; 3.

    Returns: None; in a graph the operation that checks.
    Raises: InvalidArgumentError (a ValueError) when it does not hold; in a graph when it is run.

    Example:
        >>> import cltensor as tf
        >>> tf.Assert(tf.constant(1) < 2, [1])
    """
    return _check(f"{name or 'Assert'}: the condition does not hold", convert(condition),
                  [convert(d) for d in data if not isinstance(d, str)], summarize)


def _check(sentence: str, condition: Tensor, data: list, summarize: int | None) -> Operation | None:
    def look(holds: np.ndarray, *values: np.ndarray) -> None:
        if not holds.all():
            shown = "; ".join(f"{_few(v, summarize)} of shape {show(v.shape)}" for v in values)
            raise InvalidArgumentError(f"{sentence}{': ' + shown if shown else ''}")
    return _looked_at(look, (condition, *data), "Assert")


def _looked_at(look: Callable, tensors: tuple, name: str) -> Operation | None:
    """Have Python look at the values: now, or in the middle of each run."""
    graph = state.interpreter
    if graph is None or not any(isinstance(t, Symbol) for t in tensors):
        look(*map(to_array, tensors))
        return Operation(graph, [], graph.unique_name(name)) if isinstance(graph, Graph) else None
    out = execute(INSPECT, tensors, (("look", look),))
    return Operation(graph, [out], out.label[:-2]) if isinstance(graph, Graph) else None


def _few(value: np.ndarray, summarize: int | None) -> str:
    """The first elements, as TensorFlow prints them: [1 2 3...]."""
    count = value.size if summarize == -1 else summarize or 3
    flat = value.reshape(-1)
    text = " ".join(str(v) for v in flat[:count])
    return text if value.ndim == 0 else f"[{text}{'...' if flat.size > count else ''}]"


def _compared(op: str, sign: str, relation: Callable) -> Callable:
    def check(x: Any, y: Any, data: Any = None, summarize: int | None = None, message: str | None = None,
              name: str | None = None) -> Operation | None:
        if hasattr(type(y), "dtype") and not hasattr(type(x), "dtype"):
            y = convert(y)
            x = convert(x, y.dtype)
        x = convert(x)
        y = convert(y, None if hasattr(type(y), "dtype") else x.dtype)
        sentence = f"{op}: x {sign} y does not hold for every element{'; ' + message if message else ''}"
        return _check(sentence, reduce_all(relation(x, y)), [x, y, *map(convert, data or ())], summarize)
    check.__name__ = check.__qualname__ = op
    check.__doc__ = f"""Check that x {sign} y for every pair of elements, after broadcasting.

    Returns: None; in a graph the operation that checks.
    Raises: InvalidArgumentError (a ValueError) with the values; in a graph when it is run.
    """
    return check


assert_equal = _compared("assert_equal", "==", math.equal)
assert_none_equal = _compared("assert_none_equal", "!=", math.not_equal)
assert_less = _compared("assert_less", "<", math.less)
assert_less_equal = _compared("assert_less_equal", "<=", math.less_equal)
assert_greater = _compared("assert_greater", ">", math.greater)
assert_greater_equal = _compared("assert_greater_equal", ">=", math.greater_equal)


def assert_near(x: Any, y: Any, rtol: Any = None, atol: Any = None, data: Any = None, summarize: int | None = None,
                message: str | None = None, name: str | None = None) -> Operation | None:
    """Check that |x - y| <= atol + rtol |y| everywhere; both are 10 units of the dtype's precision unless given.

    Raises: InvalidArgumentError (a ValueError) with the values; in a graph when it is run.
    """
    x = convert(x)
    y = convert(y, None if hasattr(type(y), "dtype") else x.dtype)
    step = 10.0 * float(np.finfo(x.dtype.np).eps)
    bound = math.add(step if atol is None else atol, math.multiply(math.abs(y), step if rtol is None else rtol))
    sentence = f"assert_near: x and y are not as close as asked{'; ' + message if message else ''}"
    return _check(sentence, reduce_all(math.less_equal(math.abs(x - y), bound)), [x, y, *map(convert, data or ())],
                  summarize)


def _signed(op: str, words: str, relation: Callable) -> Callable:
    def check(x: Any, data: Any = None, summarize: int | None = None, message: str | None = None,
              name: str | None = None) -> Operation | None:
        x = convert(x)
        return _check(f"{op}: x must be {words} everywhere{'; ' + message if message else ''}",
                      reduce_all(relation(x, 0)), [x, *map(convert, data or ())], summarize)
    check.__name__ = check.__qualname__ = op
    check.__doc__ = f"""Check that every element is {words}.

    Raises: InvalidArgumentError (a ValueError) with the values; in a graph when it is run.
    """
    return check


def _as_zero(relation: Callable) -> Callable:
    return lambda x, zero: relation(x, 0.0 if x.dtype.is_floating else zero)


assert_positive = _signed("assert_positive", "positive", _as_zero(math.greater))
assert_negative = _signed("assert_negative", "negative", _as_zero(math.less))
assert_non_negative = _signed("assert_non_negative", "0 or more", _as_zero(math.greater_equal))
assert_non_positive = _signed("assert_non_positive", "0 or less", _as_zero(math.less_equal))


# -- dtypes and ranks: known when a graph is built, but for ranks that are left open
def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> None:
    """Check the dtype. Raises: DTypeError (a TypeError)."""
    have, want = convert(tensor).dtype, as_dtype(tf_type)
    if have is not want:
        raise DTypeError(f"assert_type: the tensor must have dtype {want.name}, it has {have.name}"
                         f"{'; ' + message if message else ''}")


def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> None:
    """Check that the dtype is an integer one. Raises: DTypeError (a TypeError)."""
    have = convert(x).dtype
    if not have.is_integer:
        raise DTypeError(f"assert_integer: x must hold integers, it has dtype {have.name}"
                         f"{'; ' + message if message else ''}")


def _ranked(op: str, x: Any, words: str, fits: Callable, message: str | None) -> Operation | None:
    x = convert(x)
    end = f"{'; ' + message if message else ''}"
    if x.spec.shape is None:                # a run will tell
        return _check(f"{op}: x must have rank {words}{end}", fits(rank_of(x)), [], None)
    if not fits(x.spec.rank):
        raise InvalidArgumentError(f"{op}: x must have rank {words}, it has shape {show(x.spec.shape)}{end}")
    return None


def assert_rank(x: Any, rank: int, data: Any = None, summarize: int | None = None, message: str | None = None,
                name: str | None = None) -> Operation | None:
    """Check the number of dimensions. Raises: InvalidArgumentError (a ValueError)."""
    return _ranked("assert_rank", x, str(rank), lambda r: r == rank, message)


def assert_rank_at_least(x: Any, rank: int, data: Any = None, summarize: int | None = None,
                         message: str | None = None, name: str | None = None) -> Operation | None:
    """Check that there are `rank` dimensions or more. Raises: InvalidArgumentError (a ValueError)."""
    return _ranked("assert_rank_at_least", x, f"{rank} or more", lambda r: r >= rank, message)


def assert_rank_in(x: Any, ranks: Any, data: Any = None, summarize: int | None = None, message: str | None = None,
                   name: str | None = None) -> Operation | None:
    """Check that the number of dimensions is one of these. Raises: InvalidArgumentError (a ValueError)."""
    def fits(r: Any) -> Any:
        return r in ranks if isinstance(r, int) else reduce_any(math.equal(r, list(ranks)))
    return _ranked("assert_rank_in", x, f"in {tuple(ranks)}", fits, message)


def assert_scalar(tensor: Any, name: str | None = None) -> Any:
    """The tensor, which must have no dimensions. Raises: InvalidArgumentError (a ValueError)."""
    assert_rank(tensor, 0, message=name)
    return tensor


# -- printing
def Print(input_: Any, data: Any, message: str | None = None, first_n: int | None = None,
          summarize: int | None = None, name: str | None = None) -> Tensor:
    """`input_`, and a line with `data` on the standard error stream whenever it is computed.

    Args:
        message: the line's beginning.
        first_n: print so many times only.
        summarize: how many elements of each tensor; 3.
    """
    x, left = convert(input_), [-1 if first_n is None else first_n]

    def look(*values: np.ndarray) -> None:
        if left[0]:
            left[0] -= 1
            shown = "".join(_few(v, summarize) if v.ndim else f"[{v}]" for v in values)
            sys.stderr.write(f"{message or ''}{shown}\n")
    given = tuple(convert(d) for d in data)
    if isinstance(x, Symbol) and given and not any(isinstance(d, Symbol) for d in given):
        given = (identity(given[0]), *given[1:])        # printed when the graph runs, not now
    printed = _looked_at(look, given, "Print")
    with control_dependencies([printed] if printed is not None else []):
        return identity(x)


def print_tensors(*inputs: Any, **kwargs: Any) -> Operation | None:
    """Print tensors and other values in a line on the standard error stream: eagerly now, in a graph when run.

    Args:
        output_stream: a file object; sys.stderr. sep, end: as Python's print. summarize: 3, -1 for all.
    """
    stream, end, sep = kwargs.get("output_stream"), kwargs.get("end", "\n"), kwargs.get("sep", " ")
    tensors = tuple(convert(x) for x in inputs if not isinstance(x, str))

    def look(*values: np.ndarray) -> None:
        given = iter(values)
        words = [x if isinstance(x, str) else _few(next(given), kwargs.get("summarize")) for x in inputs]
        (stream or sys.stderr).write(sep.join(words) + end)
    return _looked_at(look, tensors, "print")
