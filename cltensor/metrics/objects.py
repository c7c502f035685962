"""tfe.metrics: objects that gather a value over many batches; float64 state in host memory.

The state is in variables a Checkpoint saves under the names of the metric's attributes. Values of a batch
are read to the host, where float64 works whatever the device can do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base.dtypes import DType, as_dtype, float64
from cltensor.base.errors import DTypeError, FailedPreconditionError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import state
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, from_numpy, static_value
from cltensor.core.trackable import Trackable
from cltensor.graph.collections import GraphKeys
from cltensor.ops.variable import Variable
from cltensor.summary import ops as summary

__all__ = ["Metric", "Mean", "Accuracy", "CategoricalAccuracy", "BinaryAccuracy", "SparseAccuracy"]


class Metric(Trackable):
    """Base of metrics: `build` makes variables, `call` adds a batch, `result` tells.

    In a graph, calling it gives the operation that adds a batch, and `result` a tensor.

    Example:
        >>> import cltensor as tf
        >>> class Count(tf.contrib.eager.metrics.Metric):
        ...     def build(self, values):
        ...         self.seen = self.add_variable("seen", dtype=tf.int64)
        ...     def call(self, values):
        ...         self.seen.assign_add(tf.convert_to_tensor(values).shape.num_elements())
        ...     def result(self):
        ...         return self.seen.value()
        >>> count = Count(); count([1, 2]); count([3]); int(count.result())
        3
    """

    _untracked = ("_vars",)

    def __init__(self, name: str | None = None, use_global_variables: bool = False):
        if name is not None and not isinstance(name, str):
            raise DTypeError(f"Metric: name must be text, {name!r:.80} is a {type(name).__name__}")
        self._name = name or type(self).__name__
        self._built = self._building = False
        self._global = use_global_variables
        self._vars: list[tuple[Variable, np.ndarray]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._built:
            self._building = True
            try:
                self.build(*args, **kwargs)
            finally:
                self._building = False
            self._built = True
        if getattr(state.interpreter, "symbolic", False):
            return self._in_graph(args, kwargs)
        return self.call(*args, **kwargs)

    def _in_graph(self, args: tuple, kwargs: dict) -> Any:
        """The operation that adds the values these tensors have in a run."""
        names, tensors = list(kwargs), [*args, *kwargs.values()]
        given = [x for x in tensors if x is not None]

        def add(*values: Any) -> None:
            found = iter(values)
            made = [None if x is None else next(found) for x in tensors]
            self.call(*made[:len(args)], **dict(zip(names, made[len(args):])))
        return state.interpreter.report(add, given, f"{self.name}/update")

    @property
    def name(self) -> str:
        return self._name

    @property
    def variables(self) -> list[Variable]:
        return [v for v, _ in self._vars]

    def build(self, *args: Any, **kwargs: Any) -> None:
        """Makes the variables, by `add_variable`; called at the first batch, with its arguments."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a batch."""
        raise NotImplementedError("Metrics must define a call() member function")

    def result(self) -> Any:
        """The value over all batches since the start, or since `init_variables`."""
        raise NotImplementedError("Metrics must define a result() member function")

    def value(self) -> Any:
        """The value, as `result` tells it."""
        return self.result()

    def init_variables(self) -> Any:
        """Back to the start; in a graph the operation that does it."""
        if getattr(state.interpreter, "symbolic", False):
            return state.interpreter.report(self._start, (), f"{self.name}/init")
        for variable, initial in self._vars:
            variable.assign(initial)
        return None

    def _start(self) -> None:
        for variable, initial in self._vars:
            variable._restore_value(initial)

    def aggregate(self, metrics: Any) -> None:
        """Adds what other metrics of this kind have gathered.

        Raises: DTypeError for a metric of another class.
        """
        for other in metrics:
            if type(other) is not type(self):
                raise DTypeError(f"aggregate: a {type(self).__name__} is wanted, not a {type(other).__name__}")
            for mine, theirs in zip(self.variables, other.variables):
                mine.assign_add(theirs.numpy())

    def add_variable(self, name: str, shape: Any = None, dtype: Any = None, initializer: Callable | None = None,
                     ) -> Variable:
        """A variable of the metric's state, tracked under `name`; zero unless `initializer(shape, dtype)` says else.

        Raises: FailedPreconditionError outside of `build`.
        """
        if not self._building:
            raise FailedPreconditionError("add_variable: a metric makes its variables in build()")
        kind, dims = as_dtype(dtype or float64), tuple(shape or ())
        initial = np.zeros(dims, kind.np) if initializer is None else np.asarray(
            static_value(initializer(dims, dtype=kind)))
        keys = [GraphKeys.GLOBAL_VARIABLES if self._global else GraphKeys.LOCAL_VARIABLES]
        variable = Variable(initial, trainable=False, name=name, dtype=kind, host=True, collections=keys)
        self._vars.append((variable, initial))
        self._track(name, variable)
        return variable


class Mean(Metric):
    """The weighted mean of all values given.

    Args:
        name: tag of its summaries. dtype: dtype of state and result.

    Example:
        >>> import cltensor as tf
        >>> m = tf.contrib.eager.metrics.Mean("loss")
        >>> _ = m(0), m(5), m([8, 9])
        >>> float(m.result())
        5.5
    """

    def __init__(self, name: str | None = None, dtype: Any = float64, use_global_variables: bool = False):
        super().__init__(name, use_global_variables)
        self.dtype: DType = as_dtype(dtype)

    def build(self, *args: Any, **kwargs: Any) -> None:
        self.numer = self.add_variable("numer", shape=(), dtype=self.dtype)
        self.denom = self.add_variable("denom", shape=(), dtype=self.dtype)

    def call(self, values: Any, weights: Any = None) -> Any:
        """Adds values of any shape; `weights` broadcast to them.

        Returns: the arguments, so that a metric may stand in an expression.
        Raises: InvalidArgumentError when weights do not broadcast to values.
        """
        self._add(_read(values, "values", self.name), weights)
        return values if weights is None else (values, weights)

    def _add(self, values: np.ndarray, weights: Any) -> None:
        # Sums in float64 even of a float32 metric: a batch has no more digits than its sum needs.
        values = values.astype(np.float64)
        if weights is None:
            share = np.float64(values.size)
        else:
            w = _read(weights, "weights", self.name).astype(np.float64)
            try:
                w = np.broadcast_to(w, values.shape)
            except ValueError:
                raise InvalidArgumentError(f"{self.name}: weights of shape {show(w.shape)} do not broadcast to "
                                           f"values of shape {show(values.shape)}") from None
            values, share = values * w, w.sum()
        self.numer.assign(np.asarray(self.numer.numpy() + values.sum(), self.dtype.np))
        self.denom.assign(np.asarray(self.denom.numpy() + share, self.dtype.np))

    def result(self, write_summary: bool = True) -> Tensor:
        """The mean as a 0-d tensor, nan before the first value; recorded as a summary where one is due.

        In a graph a run sees the value before the updates it makes itself.

        Raises: FailedPreconditionError before the first call.
        """
        if not self._built:
            raise FailedPreconditionError(f"{self.name}: result() before the first batch")
        if getattr(state.interpreter, "symbolic", False):
            spec = Spec((), self.dtype)
            result = state.interpreter.pull(lambda: [self.result(False)], [spec], f"{self.name}/value")[0]
            if write_summary:
                summary.scalar(self.name, result)
            return result
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.asarray(self.numer.numpy() / self.denom.numpy(), self.dtype.np)
        t = from_numpy(mean)
        if write_summary:
            summary.scalar(self.name, t)
        return t


def _read(value: Any, what: str, op: str) -> np.ndarray:
    return np.asarray(static_value(convert(value, op=f"{op}: {what}")))


def _same_shape(op: str, labels: np.ndarray, predictions: np.ndarray) -> None:
    if labels.shape != predictions.shape:
        raise InvalidArgumentError(f"{op}: shapes differ, labels have shape {show(labels.shape)}, predictions "
                                   f"have shape {show(predictions.shape)}")


class Accuracy(Mean):
    """How often labels and predictions are equal.

    Example:
        >>> import cltensor as tf
        >>> m = tf.contrib.eager.metrics.Accuracy()
        >>> _ = m([0, 1, 2, 3], [0, 0, 2, 3])
        >>> float(m.result())
        0.75
    """

    def __init__(self, name: str | None = None, dtype: Any = float64):
        super().__init__(name, dtype)

    def call(self, labels: Any, predictions: Any, weights: Any = None) -> Any:      # type: ignore[override]
        """Adds a batch of labels and predictions of one shape.

        Returns: the arguments. Raises: InvalidArgumentError for different shapes.
        """
        self._add(self._matches(_read(labels, "labels", self.name), _read(predictions, "predictions", self.name)),
                  weights)
        return (labels, predictions) if weights is None else (labels, predictions, weights)

    def _matches(self, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        _same_shape(self.name, labels, predictions)
        return labels == predictions


class CategoricalAccuracy(Accuracy):
    """How often the largest prediction is where the one-hot label has its one; classes on the last axis."""

    def _matches(self, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        _same_shape(self.name, labels, predictions)
        _has_classes(self.name, predictions)
        return labels.argmax(-1) == predictions.argmax(-1)


class BinaryAccuracy(Accuracy):
    """How often a prediction lies above `threshold` where the label is 1, and not above it where it is 0."""

    def __init__(self, name: str | None = None, threshold: float = 0.5, dtype: Any = float64):
        super().__init__(name, dtype)
        self.threshold = threshold

    def _matches(self, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        _same_shape(self.name, labels, predictions)
        return labels.astype(bool) == (predictions > self.threshold)


class SparseAccuracy(Accuracy):
    """How often the largest prediction is at the label; predictions have one axis more, the classes."""

    def _matches(self, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        _has_classes(self.name, predictions)
        if labels.shape != predictions.shape[:-1]:
            raise InvalidArgumentError(f"{self.name}: shapes differ, labels have shape {show(labels.shape)}, "
                                       f"predictions have shape {show(predictions.shape)} with the classes last")
        return labels.astype(np.int64) == predictions.argmax(-1)


def _has_classes(op: str, predictions: np.ndarray) -> None:
    if predictions.ndim == 0 or predictions.shape[-1] == 0:
        raise InvalidArgumentError(f"{op}: predictions of shape {show(predictions.shape)} have no classes")
