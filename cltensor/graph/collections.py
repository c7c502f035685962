"""Collections: lists a graph keeps by name, as TensorFlow 1.x's programs find variables, losses and updates.

Eagerly there is one set of lists for the process, which `reset_default_graph` empties. Variables enter a
graph's lists only: an eager variable lives as long as it is referred to.
"""

from __future__ import annotations

import re
from typing import Any

from cltensor.core.dispatch import state

__all__ = ["GraphKeys", "add_to_collection", "add_to_collections", "get_collection", "get_collection_ref",
           "Collections", "keys_for", "forget"]


class GraphKeys:
    """Names of the collections that the library itself fills or reads."""

    GLOBAL_VARIABLES = "variables"
    LOCAL_VARIABLES = "local_variables"
    MODEL_VARIABLES = "model_variables"
    TRAINABLE_VARIABLES = "trainable_variables"
    METRIC_VARIABLES = "metric_variables"
    MOVING_AVERAGE_VARIABLES = "moving_average_variables"
    REGULARIZATION_LOSSES = "regularization_losses"
    LOSSES = "losses"
    UPDATE_OPS = "update_ops"
    SUMMARIES = "summaries"
    SUMMARY_OP = "summary_op"
    GLOBAL_STEP = "global_step"
    TRAIN_OP = "train_op"
    INIT_OP = "init_op"
    LOCAL_INIT_OP = "local_init_op"
    TABLE_INITIALIZERS = "table_initializer"
    WEIGHTS = "weights"
    BIASES = "biases"
    ACTIVATIONS = "activations"
    EVAL_STEP = "eval_step"


_eager: dict[Any, list] = {}


def _lists() -> dict[Any, list]:
    return state.interpreter.collections if getattr(state.interpreter, "symbolic", False) else _eager


def add_to_collection(name: Any, value: Any) -> None:
    """Append a value to the list of this name.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default():
        ...     tf.add_to_collection("mine", 1)
        ...     print(tf.get_collection("mine"))
        [1]
    """
    _lists().setdefault(name, []).append(value)


def add_to_collections(names: Any, value: Any) -> None:
    """Append a value to several lists."""
    for name in dict.fromkeys([names] if isinstance(names, str) else names or ()):
        add_to_collection(name, value)


def get_collection_ref(key: Any) -> list:
    """The list itself: what is done to it stays done."""
    return _lists().setdefault(key, [])


def get_collection(key: Any, scope: str | None = None) -> list:
    """A copy of the list of this name.

    Args:
        scope: keep only what has a name that begins with this regular expression.
    """
    return _chosen(_lists(), key, scope)


def _chosen(lists: dict[Any, list], key: Any, scope: str | None) -> list:
    """A copy of one of these lists, as `get_collection` gives it."""
    found = list(lists.get(key, ()))
    if scope is None:
        return found
    begins = re.compile(scope)
    return [x for x in found if begins.match(getattr(x, "name", None) or "")]


class Collections:
    """What a graph offers of its lists, whether or not it is the default one."""

    collections: dict[Any, list]

    def get_collection(self, name: Any, scope: str | None = None) -> list:
        """`tf.get_collection` of this graph."""
        return _chosen(self.collections, name, scope)

    def get_collection_ref(self, name: Any) -> list:
        """The list itself: what is done to it stays done."""
        return self.collections.setdefault(name, [])

    def add_to_collection(self, name: Any, value: Any) -> None:
        """`tf.add_to_collection` of this graph."""
        self.get_collection_ref(name).append(value)

    def get_all_collection_keys(self) -> list:
        """Names of the collections that are not empty."""
        return [key for key, values in self.collections.items() if values]


def keys_for(variable: Any) -> list:
    """The collections a new variable of a graph belongs to."""
    keys = list(dict.fromkeys(variable.collections if variable.collections is not None
                              else [GraphKeys.GLOBAL_VARIABLES]))
    if variable.trainable and GraphKeys.TRAINABLE_VARIABLES not in keys:
        keys.append(GraphKeys.TRAINABLE_VARIABLES)
    return keys


def forget() -> None:
    """Empty the lists of eager programs."""
    _eager.clear()
