"""What `fit`, `evaluate` and `predict` iterate over: batches of (x, y, weights) from arrays, datasets or generators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor, static_value
from cltensor.data.dataset import Dataset
from cltensor.keras.backend import floatx

__all__ = ["Batches"]


def _arrays(value: Any) -> Any:
    """Arrays on the host, where batches are cut: several in a dict or, from a list or tuple of arrays, in a tuple.

    A dataset takes a list for one tensor. Floating ones come in float64 by default only.
    """
    if isinstance(value, dict):
        return {k: _arrays(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and any(isinstance(v, (np.ndarray, Tensor)) for v in value):
        return tuple(_arrays(v) for v in value)
    array = np.asarray(static_value(value) if hasattr(type(value), "as_tensor") or isinstance(value, Tensor) else value)
    return array.astype(floatx()) if array.dtype == np.float64 else array


class Batches:
    """Batches of (x, y, weights), y and weights None where there are none; iterate once per epoch.

    Args:
        op: name for errors.
        x: array, list or dict of arrays; or a Dataset or iterable of (x, y), (x, y, weights) or x.
        y, weights: arrays.
        batch_size: for arrays, 32 unless given.
        shuffle: arrays in a new order each epoch.
        steps: batches per epoch; needed where the data have no end.

    Raises: InvalidArgumentError when arrays differ in length, or for arguments that do not go together.
    """

    def __init__(self, op: str, x: Any, y: Any, weights: Any, batch_size: Any, shuffle: bool, steps: Any,
                 labelled: bool = True):
        self.op, self.labelled = op, labelled
        self.steps: int | None = None if steps is None else int(steps)
        self.size: int | None = None
        self._resume: Iterator | None = None
        given = isinstance(x, Dataset) or (isinstance(x, Iterable) and not isinstance(
            x, (np.ndarray, list, tuple, dict, Tensor)) and not hasattr(type(x), "as_tensor"))
        if given:
            if y is not None or weights is not None or batch_size is not None:
                raise InvalidArgumentError(f"{op}: with a dataset, y, sample_weight and batch_size must be left out")
            self._source: Any = x
            return
        if labelled and y is None:
            raise InvalidArgumentError(f"{op}: y is missing")
        parts = tuple(_arrays(v) for v in (x, y, weights) if v is not None)
        lengths = sorted({len(a) if a.ndim else 0 for a in nest.flatten(parts)})
        if len(lengths) != 1 or not lengths[0]:
            raise InvalidArgumentError(f"{op}: x, y and sample_weight must have one number of examples above 0, they "
                                       f"have {', '.join(map(str, lengths))}")
        self.size = lengths[0]
        size = 32 if batch_size is None else int(batch_size)
        if size < 1:
            raise InvalidArgumentError(f"{op}: batch_size must be positive, it is {batch_size}")
        if self.steps is None:
            self.steps = -(-self.size // size)
        source = Dataset.from_tensor_slices(parts)
        self._source = (source.shuffle(self.size) if shuffle else source).batch(size)

    def __iter__(self) -> Iterator:
        """(x, y, weights) of an epoch; a dataset or generator that is longer goes on there in the next."""
        resume = None if self.size is not None else self._resume
        resume = iter(self._source) if resume is None else resume
        done = 0
        while self.steps is None or done < self.steps:
            batch = next(resume, None)
            if batch is None:
                resume = None
                break
            done += 1
            yield self._split(batch)
        self._resume = resume

    def _split(self, batch: Any) -> tuple:
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        if self.labelled and len(parts) not in (2, 3):
            raise InvalidArgumentError(f"{self.op}: elements must be (x, y) or (x, y, weights), one has {len(parts)} "
                                       "parts")
        return (*parts, None, None)[:3]

