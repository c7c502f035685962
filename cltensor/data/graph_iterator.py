"""GraphIterator: the elements of a dataset as tensors of a graph.

`get_next()` gives tensors without a value; a run that needs one of them takes the next element, once, and feeds
it to the compiled plan. So a run with input is as fast as one that is fed, and the pipeline's threads go on
meanwhile.
"""

from __future__ import annotations

from typing import Any

from cltensor.base import nest
from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import DTypeError, FailedPreconditionError, InvalidArgumentError, OutOfRangeError
from cltensor.base.shapes import TensorShape
from cltensor.core.dispatch import state
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor
from cltensor.data import element as el
from cltensor.data.awaited import Awaited

__all__ = ["GraphIterator"]


class GraphIterator:
    """Elements for the runs of a graph.

    Attributes: `initializer`, the operation that starts a pass; `output_types`, `output_shapes`.

    Raises: OutOfRangeError from a run after the last element; FailedPreconditionError before a pass was started.

    Example:
        >>> import cltensor as tf
        >>> with tf.Session(graph=tf.Graph()) as sess:
        ...     iterator = tf.data.Dataset.range(5).batch(3).make_initializable_iterator()
        ...     total = tf.reduce_sum(iterator.get_next())
        ...     sess.run(iterator.initializer)
        ...     print(sess.run(total), sess.run(total))
        3 7
    """

    def __init__(self, output_types: Any, output_shapes: Any = None, dataset: Any = None):
        self._graph = state.interpreter
        if not getattr(self._graph, "symbolic", False):
            raise FailedPreconditionError("make_initializable_iterator: ops execute eagerly here, iterate over the "
                                          "dataset; or use it inside `with tf.Graph().as_default():`")
        self.output_types = output_types
        self.output_shapes = nest.map_structure(lambda t: None, output_types, lists=False) \
            if output_shapes is None else output_shapes
        self._dataset = dataset
        self._pass: Any = None
        for kind in el.flatten(output_types):
            if kind in (str, bytes):
                raise DTypeError("get_next: elements that hold text cannot be tensors; map them to numbers first")
        shapes = map(TensorShape, el.flatten_up_to(output_types, self.output_shapes, "Iterator"))
        self._specs = [Spec(None if shape.dims is None else tuple(shape.as_list()), as_dtype(kind))
                       for kind, shape in zip(el.flatten(output_types), shapes)]

    @property
    def initializer(self) -> Any:
        """The operation that starts a new pass.

        Raises: InvalidArgumentError (a ValueError) for an iterator without a dataset of its own.
        """
        if self._dataset is None:
            raise InvalidArgumentError("Iterator.initializer: no dataset belongs to the iterator; use make_initializer")
        return self.make_initializer(self._dataset)

    def make_initializer(self, dataset: Any, name: str | None = None) -> Any:
        """The operation that starts a pass over this dataset.

        Raises: DTypeError when its elements are of other types.
        """
        have = [as_dtype(t) for t in el.flatten(dataset.output_types)]
        if have != [s.dtype for s in self._specs]:
            raise DTypeError("make_initializer: elements of the dataset have dtypes "
                             f"{', '.join(d.name for d in have)}, the iterator's "
                             f"{', '.join(s.dtype.name for s in self._specs)}")
        stage = dataset.stage
        if not isinstance(stage, Awaited):
            return self._graph.report(lambda: self.restart(dataset), (), "MakeIterator")
        uids = [s.uid for s in stage.symbols]
        return self._graph.report(lambda *values: self.restart(stage.make(dict(zip(uids, values)))), stage.symbols,
                                  "MakeIterator")

    def restart(self, dataset: Any) -> None:
        """Start a pass now."""
        self._pass = iter(dataset)

    def get_next(self, name: str | None = None) -> Any:
        """Tensors in the structure of an element."""
        return el.pack(self.output_types, self._graph.pull(self._next, self._specs, "IteratorGetNext"))

    def _next(self) -> list[Tensor]:
        if self._pass is None:
            raise FailedPreconditionError("Iterator.get_next: no pass was started; run iterator.initializer first")
        try:
            return el.flatten(next(self._pass))
        except StopIteration:
            raise OutOfRangeError("Iterator.get_next: end of sequence") from None
