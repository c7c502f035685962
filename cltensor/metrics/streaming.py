"""tf.metrics as functions: values gathered over the runs of a graph, in local variables.

    accuracy, update = tf.metrics.accuracy(labels, predictions)
    sess.run(tf.local_variables_initializer())
    for ...: sess.run(update, ...)
    sess.run(accuracy)

Each gives (value, update): the value so far, and the value after this run's batch is added. Eager programs use
`tf.contrib.eager.metrics`, objects that do the same.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import FailedPreconditionError
from cltensor.core.tensor import convert
from cltensor.graph.collections import GraphKeys, add_to_collections
from cltensor.graph.graph import graph_for
from cltensor.interpret.record import Symbol
from cltensor.ops import math
from cltensor.ops.creation import ones_like
from cltensor.ops.functions import sqrt
from cltensor.ops.reduce import reduce_sum
from cltensor.ops.variable import Variable
from cltensor.variable_scope import variable_scope

__all__ = ["accuracy", "mean", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "precision",
           "recall", "true_positives", "true_negatives", "false_positives", "false_negatives"]


def _local(name: str) -> Variable:
    return Variable(0.0, trainable=False, name=name,
                    collections=[GraphKeys.LOCAL_VARIABLES, GraphKeys.METRIC_VARIABLES])


def _divided(total: Any, count: Any) -> Any:
    """The quotient, 0 where nothing was counted."""
    return math.where(math.greater(count, 0.0), math.divide(total, math.maximum(count, 1e-30)), 0.0 * count)


def _weighted(values: Any, weights: Any) -> tuple:
    """Sums of the values and of their weights."""
    values = math.cast(convert(values), "float32")
    if weights is None:
        return reduce_sum(values), reduce_sum(ones_like(values))
    weights = math.cast(convert(weights), "float32")
    return reduce_sum(values * weights), reduce_sum(ones_like(values) * weights)


def _result(value: Any, update: Any, metrics_collections: Any, updates_collections: Any) -> tuple[Symbol, Symbol]:
    add_to_collections(metrics_collections, value)
    add_to_collections(updates_collections, update)
    return value, update


def _graph(what: str) -> None:
    try:
        graph_for(f"tf.metrics.{what}")
    except ValueError as error:
        raise FailedPreconditionError(f"{error}; eagerly tf.contrib.eager.metrics has objects that do this") from None


def mean(values: Any, weights: Any = None, metrics_collections: Any = None, updates_collections: Any = None,
         name: str | None = None) -> tuple:
    """The mean of all values so far.

    Args:
        values: tensor of any shape.
        weights: tensor that broadcasts to it.
        metrics_collections, updates_collections: keys of collections the results are added to.

    Returns: (value, update), float32 scalars.
    Raises: FailedPreconditionError (a RuntimeError) when ops execute eagerly.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default(), tf.Session() as sess:
        ...     x = tf.placeholder(tf.float32, [None])
        ...     value, update = tf.metrics.mean(x)
        ...     sess.run(tf.local_variables_initializer())
        ...     print(sess.run(update, {x: [1., 2.]}), sess.run(update, {x: [6.]}), sess.run(value))
        1.5 3.0 3.0
    """
    _graph("mean")
    return _mean(values, weights, metrics_collections, updates_collections, name, "mean")


def _mean(values: Any, weights: Any, metrics_collections: Any, updates_collections: Any, name: str | None,
          default: str, finish: Any = lambda x: x) -> tuple:
    with variable_scope(name, default):
        total, count = _local("total"), _local("count")
        more, number = _weighted(values, weights)
        value = finish(_divided(total.value(), count.value()))
        update = finish(_divided(total.assign_add(more), count.assign_add(number)))
    return _result(value, update, metrics_collections, updates_collections)


def accuracy(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
             updates_collections: Any = None, name: str | None = None) -> tuple:
    """How often predictions are the labels; arguments and results as those of `mean`."""
    _graph("accuracy")
    labels = convert(labels)
    same = math.equal(math.cast(convert(predictions), labels.dtype), labels)
    return _mean(same, weights, metrics_collections, updates_collections, name, "accuracy")


def mean_absolute_error(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                        updates_collections: Any = None, name: str | None = None) -> tuple:
    """The mean of |predictions - labels|; arguments and results as those of `mean`."""
    _graph("mean_absolute_error")
    return _mean(math.abs(_difference(labels, predictions)), weights, metrics_collections, updates_collections, name,
                 "mean_absolute_error")


def mean_squared_error(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                       updates_collections: Any = None, name: str | None = None) -> tuple:
    """The mean of (predictions - labels)^2; arguments and results as those of `mean`."""
    _graph("mean_squared_error")
    return _mean(math.square(_difference(labels, predictions)), weights, metrics_collections, updates_collections,
                 name, "mean_squared_error")


def root_mean_squared_error(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                            updates_collections: Any = None, name: str | None = None) -> tuple:
    """The root of `mean_squared_error`."""
    _graph("root_mean_squared_error")
    return _mean(math.square(_difference(labels, predictions)), weights, metrics_collections, updates_collections,
                 name, "root_mean_squared_error", sqrt)


def _difference(labels: Any, predictions: Any) -> Any:
    return math.cast(convert(predictions), "float32") - math.cast(convert(labels), "float32")


# -- counts of a yes or no
def _cell(which: str, labels: Any, predictions: Any) -> Any:
    """1 where a prediction is of this cell of the table, else 0."""
    label, said = (math.cast(convert(x), "bool") for x in (labels, predictions))
    right = math.equal(said, label) if which.startswith("true") else math.not_equal(said, label)
    return math.cast(math.logical_and(right, said if which.endswith("positives") else math.logical_not(said)),
                     "float32")


def _counted(which: str, labels: Any, predictions: Any, weights: Any) -> tuple:
    with variable_scope(None, which):
        count = _local("count")
        more, _ = _weighted(_cell(which, labels, predictions), weights)
        return count.value(), count.assign_add(more)


def _counter(which: str, meaning: str) -> Any:
    def counter(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                updates_collections: Any = None, name: str | None = None) -> tuple:
        _graph(which)
        with variable_scope(name, which):
            found = _counted(which, labels, predictions, weights)
        return _result(found[0], found[1], metrics_collections, updates_collections)
    counter.__name__ = counter.__qualname__ = which
    counter.__doc__ = f"How many predictions (true or not) were {meaning}; arguments and results as those of `mean`."
    return counter


true_positives = _counter("true_positives", "true, as their labels")
true_negatives = _counter("true_negatives", "false, as their labels")
false_positives = _counter("false_positives", "true, and their labels false")
false_negatives = _counter("false_negatives", "false, and their labels true")


def _share(which: str, meaning: str) -> Any:
    other = {"precision": "false_positives", "recall": "false_negatives"}[which]

    def share(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
              updates_collections: Any = None, name: str | None = None) -> tuple:
        _graph(which)
        with variable_scope(name, which):
            hits, misses = (_counted(cell, labels, predictions, weights) for cell in ("true_positives", other))
            value, update = (_divided(h, h + m) for h, m in zip(hits, misses))
        return _result(value, update, metrics_collections, updates_collections)
    share.__name__ = share.__qualname__ = which
    share.__doc__ = f"The share of {meaning}; arguments and results as those of `mean`."
    return share


precision = _share("precision", "true predictions whose label is true")
recall = _share("recall", "true labels that were predicted")
