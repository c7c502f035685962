"""NumPy helpers of tf.keras.utils: one-hot labels, normalised rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError

__all__ = ["to_categorical", "normalize"]


def to_categorical(y: Any, num_classes: int | None = None, dtype: str = "float32") -> np.ndarray:
    """Class numbers as rows of zeros with a one.

    Args:
        y: integers of any shape; a last dimension of 1 is dropped.
        num_classes: length of the rows; the largest number + 1 unless given.

    Returns: array of y's shape with num_classes as last dimension.
    Raises: InvalidArgumentError (a ValueError) for a number outside [0, num_classes).

    Example:
        >>> to_categorical([2, 0], 3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    labels = np.asarray(y).astype(np.int64)
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    flat = labels.ravel()
    n = num_classes or (int(flat.max()) + 1 if flat.size else 0)
    if flat.size and not 0 <= flat.min() <= flat.max() < n:
        raise InvalidArgumentError(f"to_categorical: labels must lie in [0, {n}), they go from {flat.min()} to "
                                   f"{flat.max()}")
    out = np.zeros((flat.size, n), dtype)
    out[np.arange(flat.size), flat] = 1
    return out.reshape(*shape, n)


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """The array divided by its norm along an axis; rows of zeros stay.

    Example:
        >>> normalize([[3., 4.]]).tolist()
        [[0.6, 0.8]]
    """
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)
