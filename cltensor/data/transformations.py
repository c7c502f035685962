"""Functions for `Dataset.apply`, as tf.contrib.data has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.data.dataset import Dataset

__all__ = ["batch_and_drop_remainder", "map_and_batch", "shuffle_and_repeat", "enumerate_dataset"]


def batch_and_drop_remainder(batch_size: Any) -> Callable[[Dataset], Dataset]:
    """Batches of exactly `batch_size`.

    Example:
        >>> import cltensor as tf
        >>> ds = tf.data.Dataset.range(5).apply(tf.contrib.data.batch_and_drop_remainder(2))
        >>> [b.numpy().tolist() for b in ds]
        [[0, 1], [2, 3]]
    """
    return lambda dataset: dataset.batch(batch_size, drop_remainder=True)


def map_and_batch(map_func: Callable, batch_size: Any, num_parallel_batches: Any = None,
                  drop_remainder: bool = False) -> Callable[[Dataset], Dataset]:
    """`map`, then `batch`."""
    return lambda dataset: dataset.map(map_func).batch(batch_size, drop_remainder)


def shuffle_and_repeat(buffer_size: Any, count: Any = None, seed: Any = None) -> Callable[[Dataset], Dataset]:
    """`shuffle`, then `repeat`."""
    return lambda dataset: dataset.shuffle(buffer_size, seed).repeat(count)


def enumerate_dataset(start: Any = 0) -> Callable[[Dataset], Dataset]:
    """(number, element) pairs."""
    return lambda dataset: dataset.enumerate(start)
