"""tf.data.Dataset: a pipeline of elements, built by methods, run by iterating."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base import nest
from cltensor.base.dtypes import DType, as_dtype
from cltensor.base.errors import DTypeError, InvalidArgumentError, UnimplementedError
from cltensor.base.shapes import TensorShape
from cltensor.core.dispatch import eagerly, state
from cltensor.core.generator import generator
from cltensor.core.tensor import Tensor, static_value
from cltensor.data import element as el
from cltensor.data import sources, stages
from cltensor.data.awaited import Awaited
from cltensor.data.batches import Batch, PaddedBatch
from cltensor.data.graph_iterator import GraphIterator
from cltensor.data.iterator import Iterator
from cltensor.data.prefetch import Prefetch
from cltensor.data.shuffle import Shuffle

__all__ = ["Dataset"]

_WINDOW = 2**62


def _count(value: Any, name: str, op: str) -> int | None:
    """A count where None and -1 mean without end."""
    if value is None:
        return None
    n = el.count_of(_scalar(value), name, -1, op)
    return None if n == -1 else n


def _scalar(value: Any) -> Any:
    return np.asarray(static_value(value))[()] if isinstance(value, Tensor) else value


def _function(value: Any, name: str, op: str) -> Callable:
    if not callable(value):
        raise DTypeError(f"{op}: {name} must be a function, {value!r:.80} is a {type(value).__name__}")
    return value


def _dtype(value: Any) -> DType | None:
    return None if value in (str, bytes, "string") else as_dtype(value)


def _may_wait(method: Callable) -> Callable:
    """A call with tensors of a graph is kept until a run knows them."""
    @functools.wraps(method)
    def made(*args: Any, **kwargs: Any) -> Dataset:
        awaited = Awaited.of(method, args, kwargs)
        return method(*args, **kwargs) if awaited is None else Dataset(awaited)
    return made


class Dataset:
    """A sequence of elements: tensors, or tuples and dicts of them.

    Methods return new datasets; iterating, as often as one likes, starts a fresh pass each time. Functions
    given to `map`, `filter` and `flat_map` see tensors, a tuple's parts as separate arguments.

    Example:
        >>> import cltensor as tf
        >>> ds = tf.data.Dataset.from_tensor_slices(([1, 2, 3], [True, False, True]))
        >>> ds = ds.filter(lambda x, keep: keep).map(lambda x, keep: x * 10).repeat(2).batch(3)
        >>> [batch.numpy().tolist() for batch in ds]
        [[10, 30, 10], [30]]
    """

    def __init__(self, stage: stages.Stage):
        self.stage = stage

    # -- sources
    @staticmethod
    @_may_wait
    def from_tensor_slices(tensors: Any) -> Dataset:
        """One element per row of the arrays, which are copied.

        Raises: InvalidArgumentError for a scalar, or for different numbers of rows.

        Example:
            >>> import cltensor as tf
            >>> [int(d["a"]) for d in tf.data.Dataset.from_tensor_slices({"a": [5, 6]})]
            [5, 6]
        """
        return Dataset(sources.Slices(tensors))

    @staticmethod
    @_may_wait
    def from_tensors(tensors: Any) -> Dataset:
        """One element: the arrays as they are."""
        return Dataset(sources.Single(tensors))

    @staticmethod
    @_may_wait
    def from_generator(generator: Callable, output_types: Any, output_shapes: Any = None,
                       args: Any = None) -> Dataset:
        """What `generator(*args)` yields, a new call for every pass; it is closed when a pass is dropped.

        Args:
            generator: a function that returns an iterable.
            output_types: dtypes in the structure of an element.
            output_shapes: shapes in that structure, None where unknown.

        Raises: DTypeError, and while iterating InvalidArgumentError for a value of another structure or shape.

        Example:
            >>> import cltensor as tf
            >>> ds = tf.data.Dataset.from_generator(lambda: ((i, [i] * i) for i in (1, 2)), (tf.int32, tf.int32))
            >>> [row.numpy().tolist() for i, row in ds]
            [[1], [2, 2]]
        """
        dtypes = nest.map_structure(_dtype, output_types, lists=False)
        values = tuple(el.present(el.as_element(tuple(args or ()), "from_generator")))
        return Dataset(sources.Generated(_function(generator, "generator", "from_generator"), dtypes,
                                         output_shapes, values))

    @staticmethod
    @_may_wait
    def range(*args: Any) -> Dataset:
        """The int64 numbers of Python's `range`."""
        if not 1 <= len(args) <= 3:
            raise InvalidArgumentError(f"range: 1 to 3 arguments are needed, not {len(args)}")
        return Dataset(sources.Numbers(*map(_scalar, args)))

    @staticmethod
    @_may_wait
    def zip(datasets: Any) -> Dataset:
        """Elements side by side, in the structure of `datasets`; as many as the shortest has.

        Example:
            >>> import cltensor as tf
            >>> a, b = tf.data.Dataset.range(3), tf.data.Dataset.range(10, 20)
            >>> [(int(x), int(y)) for x, y in tf.data.Dataset.zip((a, b))]
            [(0, 10), (1, 11), (2, 12)]
        """
        structure = tuple(datasets) if isinstance(datasets, list) else datasets
        leaves = el.flatten(structure)
        for d in leaves:
            if not isinstance(d, Dataset):
                raise DTypeError(f"zip: datasets are wanted, {d!r:.80} is a {type(d).__name__}")
        return Dataset(stages.Zip(structure, [d.stage for d in leaves]))

    # -- functions of elements
    @_may_wait
    def map(self, map_func: Callable, num_parallel_calls: Any = None) -> Dataset:
        """`map_func` of each element, in order. Calls follow each other: device work overlaps by itself."""
        if num_parallel_calls is not None:
            el.count_of(_scalar(num_parallel_calls), "num_parallel_calls", -1, "map")
        return Dataset(stages.Map(self.stage, _function(map_func, "map_func", "map")))

    @_may_wait
    def filter(self, predicate: Callable) -> Dataset:
        """The elements for which `predicate` is true."""
        return Dataset(stages.Filter(self.stage, _function(predicate, "predicate", "filter")))

    def flat_map(self, map_func: Callable) -> Dataset:
        """The elements of the dataset `map_func` makes of each element, one dataset after the other."""
        return self.interleave(map_func, 1, _WINDOW)

    @_may_wait
    def interleave(self, map_func: Callable, cycle_length: Any, block_length: Any = 1,
                   num_parallel_calls: Any = None) -> Dataset:
        """As `flat_map`, with `cycle_length` datasets taking turns of `block_length` elements."""
        function = _function(map_func, "map_func", "interleave")

        def inner(element: Any) -> stages.Stage:
            made = el.call(function, element)
            if not isinstance(made, Dataset):
                raise DTypeError(f"flat_map: map_func must return a Dataset, not a {type(made).__name__}")
            return made.stage

        return Dataset(stages.FlatMap(self.stage, inner, el.count_of(cycle_length, "cycle_length", 1, "interleave"),
                                      el.count_of(block_length, "block_length", 1, "interleave")))

    # -- order and number
    @_may_wait
    def shuffle(self, buffer_size: Any, seed: Any = None, reshuffle_each_iteration: bool | None = None) -> Dataset:
        """Random order within a window: the i-th element out was among the first i + buffer_size in.

        Args:
            buffer_size: elements held; as many as there are give every order the same chance.
            seed: together with `tf.set_random_seed` decides the orders; without either they differ per run.
            reshuffle_each_iteration: False gives the same order in every pass.
        """
        size = el.count_of(_scalar(buffer_size), "buffer_size", 1, "shuffle")
        return Dataset(Shuffle(self.stage, size, _seeds(_scalar(seed)), reshuffle_each_iteration is not False))

    @_may_wait
    def repeat(self, count: Any = None) -> Dataset:
        """`count` passes, one after the other; None or -1: without end."""
        return Dataset(stages.Repeat(self.stage, _count(count, "count", "repeat")))

    @_may_wait
    def take(self, count: Any) -> Dataset:
        """The first `count` elements; -1: all."""
        return Dataset(stages.Part(self.stage, 0, _count(count, "count", "take")))

    @_may_wait
    def skip(self, count: Any) -> Dataset:
        """All but the first `count` elements; -1: none."""
        n = _count(count, "count", "skip")
        return Dataset(stages.Part(self.stage, 0, 0) if n is None else stages.Part(self.stage, n, None))

    @_may_wait
    def shard(self, num_shards: Any, index: Any) -> Dataset:
        """Every `num_shards`-th element, from `index` on."""
        n, i = (el.count_of(_scalar(num_shards), "num_shards", 1, "shard"),
                el.count_of(_scalar(index), "index", 0, "shard"))
        if i >= n:
            raise InvalidArgumentError(f"shard: index = {i} is not less than num_shards = {n}")
        return Dataset(stages.Part(self.stage, i, None, n))

    @_may_wait
    def concatenate(self, dataset: Dataset) -> Dataset:
        """This dataset, then `dataset`, whose elements have the same structure."""
        if not isinstance(dataset, Dataset):
            raise DTypeError(f"concatenate: a Dataset is wanted, not a {type(dataset).__name__}")
        return Dataset(stages.Joined(self.stage, dataset.stage))

    @_may_wait
    def enumerate(self, start: Any = 0) -> Dataset:
        """(number, element) pairs."""
        return Dataset(stages.Numbered(self.stage, el.count_of(start, "start", -2**62, "enumerate")))

    # -- batches
    @_may_wait
    def batch(self, batch_size: Any, drop_remainder: Any = False) -> Dataset:
        """`batch_size` elements put together along a new first axis; the last batch may be short.

        Raises: while iterating, InvalidArgumentError for elements of different shapes.
        """
        size = el.count_of(_scalar(batch_size), "batch_size", 1, "batch")
        return Dataset(Batch(self.stage, size, bool(drop_remainder)))

    @_may_wait
    def padded_batch(self, batch_size: Any, padded_shapes: Any, padding_values: Any = None,
                     drop_remainder: Any = False) -> Dataset:
        """Batches of elements of different shapes, filled up at their ends.

        Args:
            padded_shapes: shapes in the structure of an element; None or -1: the longest of the batch.
            padding_values: values in that structure, 0 by default.

        Example:
            >>> import cltensor as tf
            >>> ds = tf.data.Dataset.range(3).map(lambda n: tf.fill([int(n)], n))
            >>> next(iter(ds.padded_batch(3, [None]))).numpy().tolist()
            [[0, 0], [1, 0], [2, 2]]
        """
        size = el.count_of(_scalar(batch_size), "batch_size", 1, "padded_batch")
        return Dataset(PaddedBatch(self.stage, size, bool(drop_remainder), padded_shapes, padding_values))

    # -- speed
    @_may_wait
    def prefetch(self, buffer_size: Any) -> Dataset:
        """A thread that works up to `buffer_size` elements ahead; it ends with the iterator."""
        n = el.count_of(_scalar(buffer_size), "buffer_size", -1, "prefetch")
        return self if n == 0 else Dataset(Prefetch(self.stage, n))

    @_may_wait
    def cache(self, filename: Any = "") -> Dataset:
        """Keeps the first complete pass in memory for those after it."""
        if filename:
            raise UnimplementedError(f"cache: a cache in a file ({filename!r}) is not offered; cache() keeps elements "
                                     "in memory")
        return Dataset(stages.Cache(self.stage))

    def apply(self, transformation_func: Callable) -> Dataset:
        """`transformation_func(self)`, which must be a Dataset."""
        made = _function(transformation_func, "transformation_func", "apply")(self)
        if not isinstance(made, Dataset):
            raise DTypeError(f"apply: the function must return a Dataset, not a {type(made).__name__}")
        return made

    # -- iterating
    def __iter__(self) -> Iterator:
        return Iterator(self)

    def make_one_shot_iterator(self) -> Any:
        """An iterator over one pass; in a graph each run that needs its element takes the next one."""
        if not getattr(state.interpreter, "symbolic", False):
            return Iterator(self)
        iterator = self.make_initializable_iterator()
        iterator.restart(self)
        return iterator

    def make_initializable_iterator(self, shared_name: str | None = None) -> GraphIterator:
        """An iterator of a graph that starts a new pass whenever its `initializer` is run.

        Raises: FailedPreconditionError (a RuntimeError) when ops execute eagerly: iterate over the dataset.
        """
        return GraphIterator(self.output_types, self.output_shapes, self)

    def _first(self) -> Any:
        with eagerly():         # functions of the pipeline run on values, whatever is being recorded
            for value in self.stage.elements((0,)):
                return el.present(value)
        raise InvalidArgumentError("Dataset: an empty dataset does not tell the type of its elements")

    @property
    def output_types(self) -> Any:
        """Dtypes of an element, found by making the first one; text is `bytes`."""
        if isinstance(self.stage, Awaited):
            return self.stage.kinds()[0]
        return nest.map_structure(lambda v: getattr(v, "dtype", bytes), self._first(), lists=False)

    @property
    def output_shapes(self) -> Any:
        """Shapes of elements, as far as they are one: a batch may be short, a padded one of any size.

        Example:
            >>> import cltensor as tf
            >>> ds = tf.data.Dataset.from_tensor_slices([[1., 2.], [3., 4.], [5., 6.]])
            >>> ds.batch(2).output_shapes, ds.batch(2, drop_remainder=True).output_shapes
            (TensorShape([None, 2]), TensorShape([2, 2]))
        """
        if isinstance(self.stage, Awaited):
            return self.stage.kinds()[1]
        kinds, stage = set(), self.stage
        while stage is not None:
            kinds.add(PaddedBatch if isinstance(stage, PaddedBatch) else
                      Batch if isinstance(stage, Batch) and not stage.drop_remainder else None)
            stage = stage.__dict__.get("source")        # type: ignore[assignment]

        def opened(value: Any) -> TensorShape:
            dims = el.leaf_shape(value)
            return TensorShape([None] * len(dims) if PaddedBatch in kinds
                               else [None, *dims[1:]] if Batch in kinds and dims else dims)
        return nest.map_structure(opened, self._first(), lists=False)

    @property
    def output_classes(self) -> Any:
        """Classes of the parts of an element."""
        return nest.map_structure(type, self._first(), lists=False)

    def __repr__(self) -> str:
        return f"<Dataset: {type(self.stage).__name__}>"


def _seeds(seed: Any) -> tuple:
    """What decides a shuffle's orders; drawn when the dataset is made, as TensorFlow does."""
    if seed is None:
        return tuple(generator.reserve(1))
    draw = generator.reserve(0, el.count_of(seed, "seed", -2**63, "shuffle"))
    return draw.key0, draw.key1, draw.stream
