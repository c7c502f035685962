"""Late: a number that is known only when a recording is replayed.

A learning rate that decays, Adam's bias correction, the counter of a random draw: while ops are recorded
they are Late, may be calculated with, and enter kernels as scalar arguments at each replay, so that no
value is baked into a plan.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

__all__ = ["Late", "LateInt", "Source"]


_order = itertools.count().__next__


class Source:
    """What must happen once per replay before late numbers have a value: a draw, a look at the learning rate.

    `seed` holds the seed of a random draw, in a tuple; so a saved function can draw again elsewhere.
    """

    __slots__ = ("begin", "order", "seed")

    def __init__(self, begin: Callable[[], Any], seed: tuple = ()):
        self.begin, self.order, self.seed = begin, _order(), seed


class Late:
    """A float to come, from a source that begins once per replay. Arithmetic gives another Late.

    Example:
        >>> rate = [0.1]
        >>> late = 1.0 - Late(lambda: rate[0]) * 2
        >>> rate[0] = 0.25
        >>> late.value()
        0.5
    """

    __slots__ = ("compute", "sources")

    def __init__(self, compute: Callable[[], Any], sources: tuple = ()):
        self.compute, self.sources = compute, sources

    def value(self) -> Any:
        """The number now."""
        return self.compute()

    def _with(self, other: Any, op: Callable[[Any, Any], Any]) -> Any:
        if isinstance(other, Late):
            return type(self)(lambda: op(self.value(), other.value()), self.sources + other.sources)
        if isinstance(other, (bool, int, float)):
            return type(self)(lambda: op(self.value(), other), self.sources)
        return NotImplemented

    def __add__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a + b)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a / b)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b / a)

    def __neg__(self) -> Any:
        return type(self)(lambda: -self.value(), self.sources)

    def __bool__(self) -> bool:
        raise TypeError("bool: this number is known only when the recording is replayed; use tf.where, or compute it "
                        "outside the function")

    def __float__(self) -> float:
        raise TypeError("float: this number is known only when the recording is replayed")


class LateInt(Late):
    """An integer to come."""

    __slots__ = ()
