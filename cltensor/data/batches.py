"""Batches: elements put together along a new first axis, plain or padded to a common shape."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from cltensor.base import nest
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.data import element as el
from cltensor.data.stages import Stage

__all__ = ["Batch", "PaddedBatch"]


class Batch(Stage):
    """`size` elements at a time; the last batch may be short."""

    def __init__(self, source: Stage, size: int, drop_remainder: bool):
        self.source, self.size, self.drop_remainder = source, size, drop_remainder

    def elements(self, key: tuple) -> Iterator[Any]:
        return self._from_table(key) if self.source.table is not None else self._from_elements(key)

    def _from_table(self, key: tuple) -> Iterator[Any]:
        table = self.source.table
        assert table is not None
        for numbers in self._row_groups(key):
            yield el.pack(table.structure, [column.take(numbers, axis=0) for column in table.columns])

    def _row_groups(self, key: tuple) -> Iterator[np.ndarray]:
        waiting: list[np.ndarray] = []
        count = 0
        for chunk in self.source.rows(key):
            while count + len(chunk) >= self.size:
                cut = self.size - count
                yield np.concatenate([*waiting, chunk[:cut]]) if waiting else chunk[:cut]
                waiting, count, chunk = [], 0, chunk[cut:]
            if len(chunk):
                waiting.append(chunk)
                count += len(chunk)
        if count and not self.drop_remainder:
            yield np.concatenate(waiting)

    def _from_elements(self, key: tuple) -> Iterator[Any]:
        values = self.source.elements(key)
        while True:
            group = list(itertools.islice(values, self.size))
            if not group or (self.drop_remainder and len(group) < self.size):
                return
            yield self._put_together(group)

    def _put_together(self, group: list) -> Any:
        first = group[0]
        columns = zip(*(el.flatten(v) for v in group))
        if any(len(el.flatten(v)) != len(el.flatten(first)) for v in group):
            raise InvalidArgumentError("batch: elements of one batch differ in structure")
        return el.pack(first, [el.stack_leaves(list(c), "batch") for c in columns])


class PaddedBatch(Batch):
    """Batches of elements of different shapes, each filled up at its ends."""

    def __init__(self, source: Stage, size: int, drop_remainder: bool, shapes: Any, values: Any):
        super().__init__(source, size, drop_remainder)
        self.shapes, self.values = shapes, values

    def elements(self, key: tuple) -> Iterator[Any]:
        return self._from_elements(key)

    def _put_together(self, group: list) -> Any:
        first = group[0]
        shapes = _shapes_up_to(first, self.shapes)
        values = [None] * len(shapes) if self.values is None else (
            [self.values] * len(shapes) if not nest.is_sequence(self.values, lists=False)
            else el.flatten_up_to(first, self.values, "padded_batch"))
        columns = zip(*(el.flatten(v) for v in group))
        return el.pack(first, [_padded([el.host_leaf(v) for v in column], shape, value)
                               for column, shape, value in zip(columns, shapes, values)])


def _shapes_up_to(like: Any, shapes: Any) -> list[TensorShape]:
    """The shape for each leaf; one for all is not allowed, as in TensorFlow, unless there is one leaf."""
    if not nest.is_sequence(like, lists=False):
        return [TensorShape(shapes)]
    if isinstance(shapes, TensorShape):
        raise DTypeError("padded_batch: padded_shapes must have the structure of an element")
    return [TensorShape(s) for s in el.flatten_up_to(like, shapes, "padded_batch")]


def _padded(arrays: list, shape: TensorShape, value: Any) -> np.ndarray:
    arrays = [np.asarray(a) for a in arrays]
    if arrays[0].dtype.kind in "SO":
        raise DTypeError("padded_batch: text has no shape to pad")
    ranks = {a.ndim for a in arrays} | ({shape.ndims} if shape.ndims is not None else set())
    if len(ranks) > 1:
        raise InvalidArgumentError(f"padded_batch: ranks differ, padded_shapes has {shape}, an element has shape "
                                   f"{show(next(a.shape for a in arrays if a.ndim != shape.ndims))}")
    wanted = shape.as_list() if shape.ndims is not None else [None] * arrays[0].ndim
    full = [max(a.shape[i] for a in arrays) if d is None else d for i, d in enumerate(wanted)]
    for a in arrays:
        if any(have > room for have, room in zip(a.shape, full)):
            raise InvalidArgumentError(f"padded_batch: an element of shape {show(a.shape)} does not fit "
                                       f"padded_shapes {shape}")
    filler = 0 if value is None else np.asarray(el.host_leaf(el.as_leaf(value, "padded_batch")))
    out = np.full((len(arrays), *full), filler, arrays[0].dtype)
    for i, a in enumerate(arrays):
        room: Any = (i,) + tuple(slice(n) for n in a.shape)
        out[room] = a
    return out
