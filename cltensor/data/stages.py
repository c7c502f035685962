"""Stages of a pipeline: each a small object whose `elements(key)` starts a fresh, independent pass.

A stage whose elements are rows of one table (slices of arrays, and shuffles, repeats, parts of them)
sets `table` and yields row numbers from `rows(key)`, in chunks; a batch of it then is one `take` per array
instead of n rows put together. Stages never change: a pass keeps its state in its generator, so dropping
the generator drops the pass.

The key is what makes one pass differ from another: the number of the iterator, which counts those over the
same source, then the number of the pass within each `repeat`. A shuffle draws its order from it, so orders
do not depend on which of two threads comes first.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from cltensor.base import nest
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.data import element as el

__all__ = ["Table", "Stage", "Repeat", "Part", "Zip", "Joined", "Map", "Filter", "FlatMap", "Cache",
           "Numbered"]


class Table(NamedTuple):
    """Arrays of equally many rows, and the structure a row has."""

    structure: Any
    columns: list

    def row(self, i: int) -> Any:
        return el.pack(self.structure, [c[i] if c.dtype == object else np.asarray(c[i]) for c in self.columns])


class Stage:
    """Base: a source of elements."""

    table: Table | None = None
    source: Stage

    @property
    def passes(self) -> Iterator[int]:
        """Numbers iterators; one counter for all pipelines over a source."""
        own = self.__dict__.get("_passes_made")
        if own is None:
            source = self.__dict__.get("source")
            own = self.__dict__["_passes_made"] = itertools.count() if source is None else source.passes
        return own

    def elements(self, key: tuple) -> Iterator[Any]:
        """A fresh pass. The default serves stages of a table."""
        assert self.table is not None
        for chunk in self.rows(key):
            for i in chunk:
                yield self.table.row(i)

    def rows(self, key: tuple) -> Iterator[np.ndarray]:
        """Row numbers of a fresh pass, in chunks; for stages with a table."""
        raise NotImplementedError


class Repeat(Stage):
    """The input again and again: `count` passes, or without end."""

    def __init__(self, source: Stage, count: int | None):
        self.source, self.table = source, source.table
        self.count = None if count is None or count < 0 else count

    def _passes(self, start: Callable, key: tuple) -> Iterator[Any]:
        for number in itertools.count() if self.count is None else range(self.count):
            some = False
            for item in start((*key, number)):
                some = True
                yield item
            if not some:        # or an endless repeat of nothing would never return
                return

    def elements(self, key: tuple) -> Iterator[Any]:
        return self._passes(self.source.elements, key)

    def rows(self, key: tuple) -> Iterator[np.ndarray]:
        return self._passes(lambda inner: (c for c in self.source.rows(inner) if len(c)), key)


class Part(Stage):
    """Elements start, start + step, ... before stop: take, skip and shard."""

    def __init__(self, source: Stage, start: int, stop: int | None, step: int = 1):
        self.source, self.table = source, source.table
        self.start, self.stop, self.step = start, stop, step

    def elements(self, key: tuple) -> Iterator[Any]:
        return itertools.islice(self.source.elements(key), self.start, self.stop, self.step)

    def rows(self, key: tuple) -> Iterator[np.ndarray]:
        at, wanted = 0, self.start
        if self.stop is not None and self.stop <= self.start:
            return
        for chunk in self.source.rows(key):
            end = at + len(chunk)
            if wanted < end:
                last = len(chunk) if self.stop is None else min(len(chunk), self.stop - at)
                part = chunk[wanted - at:last:self.step]
                wanted += len(part) * self.step
                if len(part):
                    yield part
            at = end
            if self.stop is not None and at >= self.stop:
                return


class Zip(Stage):
    """Elements of several datasets side by side; ends with the shortest."""

    def __init__(self, structure: Any, sources: list[Stage]):
        self.structure, self.sources = structure, sources

    def elements(self, key: tuple) -> Iterator[Any]:
        for parts in zip(*(s.elements(key) for s in self.sources)):
            yield el.pack(self.structure, list(parts))


class Joined(Stage):
    """One dataset after the other."""

    def __init__(self, first: Stage, second: Stage):
        self.first, self.second = first, second

    def elements(self, key: tuple) -> Iterator[Any]:
        started = False
        for value in self.first.elements(key):
            if not started:
                started, like = True, value
            yield value
        for i, value in enumerate(self.second.elements(key)):
            if started and i == 0:
                try:
                    nest.assert_same_structure(like, value, lists=False)
                except InvalidArgumentError as error:
                    raise DTypeError(f"concatenate: {error}") from None
            yield value


class Map(Stage):
    """A user's function of each element, which it sees as tensors."""

    def __init__(self, source: Stage, function: Callable):
        self.source, self.function = source, function

    def elements(self, key: tuple) -> Iterator[Any]:
        for value in self.source.elements(key):
            result = el.call(self.function, value)
            if result is None:
                raise DTypeError("map: the function returned None")
            yield el.as_element(result, "map")


class Filter(Stage):
    """The elements for which a user's predicate holds."""

    def __init__(self, source: Stage, predicate: Callable):
        self.source, self.predicate = source, predicate

    def elements(self, key: tuple) -> Iterator[Any]:
        return (v for v in self.source.elements(key) if bool(el.call(self.predicate, v)))


class FlatMap(Stage):
    """The elements of the datasets a function makes, `cycle` of them taking turns of `block` elements."""

    def __init__(self, source: Stage, function: Callable, cycle: int = 1, block: int = 1):
        self.source, self.function, self.cycle, self.block = source, function, cycle, block

    def elements(self, key: tuple) -> Iterator[Any]:
        inputs = enumerate(self.source.elements(key))
        turns: deque = deque()
        more = True
        while True:
            while more and len(turns) < self.cycle:
                try:
                    number, value = next(inputs)
                    turns.append(self.function(value).elements((*key, number)))
                except StopIteration:
                    more = False
            if not turns:
                return
            current = turns.popleft()
            taken = 0
            for value in itertools.islice(current, self.block):
                taken += 1
                yield value
            if taken == self.block:
                turns.append(current)


class Cache(Stage):
    """The first complete pass, kept in memory for the later ones."""

    def __init__(self, source: Stage):
        self.source = source
        self.kept: list | None = None

    def elements(self, key: tuple) -> Iterator[Any]:
        if self.kept is not None:
            yield from self.kept
            return
        kept = []
        for value in self.source.elements(key):
            kept.append(value)
            yield value
        self.kept = kept


class Numbered(Stage):
    """(number, element) pairs."""

    def __init__(self, source: Stage, start: int):
        self.source, self.start = source, start

    def elements(self, key: tuple) -> Iterator[Any]:
        return ((np.array(i, np.int64), v) for i, v in enumerate(self.source.elements(key), self.start))
