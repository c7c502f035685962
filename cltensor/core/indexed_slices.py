"""IndexedSlices: a gradient that touches few rows, as the rows and their numbers.

What gather's gradient is: `values[k]` belongs to row `indices[k]` of a tensor of shape `dense_shape`;
rows named twice add up, all others are zero. Optimizers take it as it is, everything else gets the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base.dtypes import DType
from cltensor.base.shapes import TensorShape
from cltensor.core.tensor import to_array

__all__ = ["IndexedSlices", "install_densify"]

_hooks: dict[str, Callable] = {}


def install_densify(densify: Callable) -> None:
    """Install the op that sums slices into a dense tensor: `densify(values, indices, dense_shape)`."""
    _hooks["densify"] = densify


class IndexedSlices:
    """Rows of a sparse gradient.

    Attributes: `values` (tensor of shape (n, *dense_shape[1:])), `indices` (integer tensor of shape (n,),
    duplicates allowed), `dense_shape` (tuple of int), `dtype`, `device`, `shape`.
    `convert_to_tensor`, arithmetic and `numpy()` give the dense tensor, duplicates summed.

    Example:
        >>> import cltensor as tf
        >>> s = tf.IndexedSlices(tf.constant([1., 2., 4.]), tf.constant([2, 0, 2]), (3,))
        >>> tf.convert_to_tensor(s).numpy().tolist()
        [2.0, 0.0, 5.0]
    """

    __slots__ = ("values", "indices", "dense_shape", "_dense")
    __array_priority__ = 100

    def __init__(self, values: Any, indices: Any, dense_shape: Any = None):
        self.values, self.indices = values, indices
        self.dense_shape = None if dense_shape is None else tuple(int(d) for d in dense_shape)
        self._dense: Any = None

    @property
    def dtype(self) -> DType:
        return self.values.dtype

    @property
    def placed_on(self) -> Any:
        """The device the values live on."""
        return self.values.placed_on

    @property
    def device(self) -> str:
        return self.values.device

    @property
    def shape(self) -> TensorShape:
        """The dense shape."""
        return TensorShape(self.dense_shape)

    def as_tensor(self) -> Any:
        """The dense tensor, duplicates summed; made once."""
        if self._dense is None:
            self._dense = _hooks["densify"](self.values, self.indices, self.dense_shape)
        return self._dense

    def numpy(self) -> np.ndarray:
        """The dense value; waits for the device."""
        return self.as_tensor().numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.as_tensor().__array__(dtype, copy)

    def __repr__(self) -> str:
        return (f"IndexedSlices(indices={to_array(self.indices)}, values={to_array(self.values)}, "
                f"dense_shape={self.dense_shape})")

    __hash__ = object.__hash__
