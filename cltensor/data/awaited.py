"""Datasets made of tensors of a graph: the calls that make them, kept until a run knows the values.

    features = tf.placeholder(tf.float32, [None, 4])
    iterator = tf.data.Dataset.from_tensor_slices(features).batch(32).make_initializable_iterator()
    sess.run(iterator.initializer, {features: data})

What is called on such a dataset is kept, too. The types and shapes of its elements are found by example, as those of
open sizes are (graph/example.py): the calls are made with zeros of two sizes, and what differs then is open.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import TensorShape
from cltensor.core.dispatch import eagerly
from cltensor.data import element as el
from cltensor.data.stages import Stage
from cltensor.interpret.record import Symbol

__all__ = ["Awaited"]

SIZES = (2, 3)              # of an example: one more dimension for the second, where the rank is open, too
_ALIKE = ("filter", "shuffle", "repeat", "take", "skip", "shard", "prefetch", "cache")     # elements stay what they are


class Awaited(Stage):
    """The dataset that a method will make.

    Args:
        method: function that returns a Dataset; args, kwargs: hold tensors of a graph, or datasets that await some.

    Attributes: `symbols`, what it awaits.
    """

    def __init__(self, method: Callable, args: tuple, kwargs: dict):
        self.method, self.args, self.kwargs = method, args, kwargs
        found: dict[int, Symbol] = {}
        for x in _leaves((args, kwargs)):
            awaited = _stage(x)
            found.update((s.uid, s) for s in ([x] if isinstance(x, Symbol) else awaited.symbols if awaited else ()))
        self.symbols: list[Symbol] = list(found.values())

    @staticmethod
    def of(method: Callable, args: tuple, kwargs: dict) -> Awaited | None:
        """The stage for a call that has to wait, None if it need not."""
        return Awaited(method, args, kwargs) if any(map(_waits, _leaves((args, kwargs)))) else None

    def make(self, values: dict[int, Any]) -> Any:
        """The dataset, with these values (by uid) for the symbols."""
        return self._called(lambda stage: stage.make(values), lambda symbol: values[symbol.uid])

    def _called(self, made: Callable[[Awaited], Any], value: Callable[[Symbol], Any], **other: Any) -> Any:
        """Make the call, with datasets and values in place of what awaits some, and with some other arguments."""
        def put(x: Any) -> Any:
            if isinstance(x, list):
                return [put(part) for part in x] if any(map(_waits, x)) else x
            awaited = _stage(x)
            return made(awaited) if awaited is not None else value(x) if isinstance(x, Symbol) else x
        args, kwargs = nest.map_structure(put, (self.args, self.kwargs), lists=False)
        given = inspect.signature(self.method).bind(*args, **kwargs)
        given.arguments.update(other)
        return self.method(*given.args, **given.kwargs)

    # -- by example
    def example(self, size: int) -> Any:
        """A dataset with elements of the same types, endless; open sizes are this number."""
        before: Any
        name, before = self.method.__name__, (*self.args, None)[0]
        awaited = _stage(before)
        if name in _ALIKE:
            return before.repeat() if awaited is None else awaited.example(size)
        given = inspect.signature(self.method).bind(*self.args, **self.kwargs).arguments
        short = "batch_size" in given and not given.get("drop_remainder")       # the last batch may be
        made = self._called(lambda stage: stage.example(size), lambda symbol: _zeros(symbol, size),
                            **{"batch_size": size} if short else {})
        return made if awaited is not None else made.repeat()

    def kinds(self) -> tuple[Any, Any]:
        """(dtypes, shapes) of an element, in its structure."""
        known = sorted({d for x in self.symbols for d in x.spec.shape or () if d is not None} - set(SIZES))
        elements: list = []
        failed, alone = None, None
        with eagerly():
            for size in (*SIZES, *known):
                try:
                    elements.append(el.present(next(self.example(size).stage.elements((0,)))))
                except InvalidArgumentError as error:       # another tensor has a known size there: try that
                    failed = failed or error
                if elements and size >= SIZES[-1]:
                    alone = size if len(elements) == 1 else None
                    break
        if failed is not None and not elements:
            raise failed
        dtypes = nest.map_structure(lambda v: getattr(v, "dtype", bytes), elements[0], lists=False)
        shapes = [[[None if d == alone else d for d in el.leaf_shape(v)] for v in el.flatten(e)] for e in elements]
        return dtypes, el.pack(dtypes, [functools.reduce(_common, map(TensorShape, same)) for same in zip(*shapes)])

    # -- there are no elements yet
    @property
    def passes(self) -> Iterator[int]:
        raise InvalidArgumentError(f"Dataset: it is made of {self.symbols[0]}, which has a value only in a run; use "
                                   "make_initializable_iterator, and run its initializer")


def _leaves(structure: Any) -> Iterator[Any]:
    """What may be a tensor or a dataset; a list is looked into once only, as it may be long data."""
    for x in el.flatten(structure):
        yield from x if isinstance(x, list) else (x,)


def _stage(x: Any) -> Awaited | None:
    stage = getattr(x, "stage", None)
    return stage if isinstance(stage, Awaited) else None


def _waits(x: Any) -> bool:
    return isinstance(x, Symbol) or _stage(x) is not None


def _zeros(symbol: Symbol, size: int) -> np.ndarray:
    """An example of a tensor; a whole number may say how many, so it is the size."""
    shape = symbol.spec.shape
    dims = (size,) * (1 + (size == SIZES[1])) if shape is None else tuple(size if d is None else d for d in shape)
    number = size if dims == () and symbol.dtype.is_integer else 0
    return np.full(dims, number, symbol.dtype.np)


def _common(a: TensorShape, b: TensorShape) -> TensorShape:
    if a.ndims != b.ndims:
        return TensorShape(None)
    return TensorShape([m if m == n else None for m, n in zip(a.as_list(), b.as_list())])
