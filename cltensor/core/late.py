"""Late: a number that is known only when a recording is replayed.

A learning rate that decays, Adam's bias correction, the counter of a random draw: while ops are recorded
they are Late, may be calculated with, and enter kernels as scalar arguments at each replay, so that no
value is baked into a plan.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.base.errors import UnimplementedError

__all__ = ["Late", "LateInt", "Source", "Draws", "drawn", "collecting", "fixed"]


_order = itertools.count().__next__


class Source:
    """What must happen once per replay before late numbers have a value: a draw, a look at the learning rate.

    `seed` holds the seed of a random draw, in a tuple; so a saved function can draw again elsewhere.
    """

    __slots__ = ("begin", "order", "seed")

    def __init__(self, begin: Callable[[], Any], seed: tuple = ()):
        self.begin, self.order, self.seed = begin, _order(), seed
        if seed and _here.sources is not None:
            _here.sources.append(self)


class _Here(threading.local):
    """Of one thread: where draws come from and go to."""

    def __init__(self) -> None:
        self.sources: list[Source] | None = None            # draws met while a function is traced
        self.kept: dict[Source, list] = {}
        self.again: dict[Source, Iterator] = {}
        self.fixed: Iterator | None = None


_here = _Here()


@contextmanager
def collecting() -> Iterator[list[Source]]:
    """Gives the list of the draws that are recorded inside, in the order of the program."""
    before, _here.sources = _here.sources, []
    try:
        yield _here.sources
    finally:
        _here.sources = before


class Draws:
    """The random draws of one call of a traced function: its gradient, another trace of the function, makes them again.

    As both traces run the same program, a draw is told by its number; in a loop it happens once per turn.
    """

    def __init__(self) -> None:
        self._made: list[list] = []

    @contextmanager
    def during(self, sources: list[Source], again: Draws | None) -> Iterator[None]:
        """Keeps what these sources draw inside; with `again`, they draw what was drawn there."""
        self._made = [[] for _ in sources]
        before = _here.kept, _here.again
        _here.kept = dict(zip(sources, self._made))
        _here.again = {} if again is None else {s: iter(made) for s, made in zip(sources, again._made)}
        try:
            yield
        finally:
            _here.kept, _here.again = before

    @contextmanager
    def fixed(self) -> Iterator[None]:
        """Inside, what is recorded draws these numbers at each replay."""
        before, _here.fixed = _here.fixed, iter(self._made)
        try:
            yield
        finally:
            _here.fixed = before


def fixed() -> Any:
    """The draw that is to be recorded as it is; None where each replay draws anew.

    Raises: UnimplementedError for one that happened several times, in a loop.
    """
    made = None if _here.fixed is None else next(_here.fixed, None)
    if not made:                # one that no result of the call depends on
        return None
    if len(made) != 1:
        raise UnimplementedError("tape.gradient: the draws of a traced function's loop cannot be repeated inside "
                                 "another traced function; take the gradient where the function was called")
    return made[0]


def drawn(source: Source, draw: Callable[[], Any]) -> Any:
    """What a source draws now: something new, or what the call drew whose gradient this is."""
    again = _here.again.get(source)
    made = None if again is None else next(again, None)
    if made is None:
        made = draw()
    if source in _here.kept:
        _here.kept[source].append(made)
    return made


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
