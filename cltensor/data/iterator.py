"""Iterator: one pass over a dataset, as TensorFlow's eager iterators behave."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import OutOfRangeError
from cltensor.core.dispatch import state
from cltensor.data import element as el
from cltensor.data.graph_iterator import GraphIterator

__all__ = ["Iterator"]


class Iterator:
    """Yields the elements of a dataset once; each iterator is independent of all others.

    `next(iterator)` and `iterator.next()` raise StopIteration at the end, `get_next()` OutOfRangeError.
    Tapes do not record what a dataset's functions do.

    Example:
        >>> import cltensor as tf
        >>> it = tf.contrib.eager.Iterator(tf.data.Dataset.range(2))
        >>> int(it.next()), int(it.get_next()), next(it, "end")
        (0, 1, 'end')
    """

    def __init__(self, dataset: Any):
        stage = dataset.stage
        self._elements = stage.elements((next(stage.passes),))

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if not state.recorders:
            return el.present(next(self._elements))
        recorders, state.recorders = state.recorders, []
        try:
            return el.present(next(self._elements))
        finally:
            state.recorders = recorders

    next = __next__

    @staticmethod
    def from_structure(output_types: Any, output_shapes: Any = None, shared_name: str | None = None,
                       output_classes: Any = None) -> GraphIterator:
        """An iterator of a graph over datasets to be named later, by `make_initializer`.

        Args:
            output_types: dtypes of an element; output_shapes: shapes in that structure, None where open.
        """
        return GraphIterator(output_types, output_shapes)

    def get_next(self, name: str | None = None) -> Any:
        """The next element.

        Raises: OutOfRangeError at the end.
        """
        try:
            return self.__next__()
        except StopIteration:
            raise OutOfRangeError("Iterator.get_next: end of sequence") from None
