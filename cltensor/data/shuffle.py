"""Shuffling through a window: the i-th element out was among the first i + buffer_size in.

Each pass draws its order from a counter-based generator keyed by seed and pass (see stages.py), so that
passes differ, iterators do not disturb each other, and a seed gives the same orders in every run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cltensor.data.stages import Stage

__all__ = ["Shuffle"]

_DRAWS = 4096       # random numbers drawn at a time
_ROWS = 1024        # rows of a table handed on at a time


class Shuffle(Stage):
    """The input in random order, as far as a window of `buffer_size` allows."""

    def __init__(self, source: Stage, buffer_size: int, seed: tuple, reshuffle_each_iteration: bool):
        self.source, self.table = source, source.table
        self.size, self.seed, self.reshuffle = buffer_size, seed, reshuffle_each_iteration

    def _generator(self, key: tuple) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(
            [*self.seed, *(key if self.reshuffle else ())])))

    def elements(self, key: tuple) -> Iterator[Any]:
        if self.table is not None:
            return super().elements(key)
        return _window(self.source.elements(key), self.size, self._generator(key))

    def rows(self, key: tuple) -> Iterator[np.ndarray]:
        random = self._generator(key)
        chunks, held, count = self.source.rows(key), [], 0
        for chunk in chunks:
            held.append(chunk)
            count += len(chunk)
            if count > self.size:
                break
        else:                           # the window holds all: one permutation
            if count:
                yield random.permutation(np.concatenate(held))
            return
        numbers = itertools.chain.from_iterable(c.tolist() for c in itertools.chain(held, chunks))
        mixed = _window(numbers, self.size, random)
        while True:
            part = np.fromiter(itertools.islice(mixed, _ROWS), np.int64)
            if not len(part):
                return
            yield part


def _window(values: Iterable, size: int, random: np.random.Generator) -> Iterator[Any]:
    values = iter(values)
    held = list(itertools.islice(values, size))
    if len(held) == size:
        draws: Iterator[int] = iter(())
        for value in values:
            at = next(draws, None)
            if at is None:
                draws = iter(random.integers(size, size=_DRAWS).tolist())
                at = next(draws)
            out, held[at] = held[at], value
            yield out
    for at in random.permutation(len(held)):
        yield held[at]
