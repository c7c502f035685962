"""The losses of a graph: every tf.losses function adds its result to tf.GraphKeys.LOSSES, and here is their total.

Eagerly nothing is added, as the lists would hold on to every step's losses.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import state
from cltensor.core.tensor import Tensor, constant
from cltensor.graph.collections import GraphKeys, add_to_collection, get_collection
from cltensor.graph.deferred import GraphBody
from cltensor.graph.graph import Graph
from cltensor.ops.math import add_n

__all__ = ["add_loss", "get_losses", "get_regularization_losses", "get_regularization_loss", "get_total_loss"]


def add_loss(loss: Any, loss_collection: Any = GraphKeys.LOSSES) -> None:
    """Add a loss of the program's own to the losses of the graph.

    Args:
        loss: tensor.
        loss_collection: key of the collection; None for none.

    Eagerly, and for losses made in a branch or a loop, which cannot be used outside of it, nothing happens.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default(), tf.Session() as sess:
        ...     tf.losses.add_loss(tf.add(1., 2.))
        ...     loss = tf.losses.mean_squared_error([1.], [3.])
        ...     print(len(tf.losses.get_losses()), sess.run(tf.losses.get_total_loss()))
        2 7.0
    """
    here = state.interpreter
    if loss_collection is not None and isinstance(here, Graph) and not isinstance(here, GraphBody):
        add_to_collection(loss_collection, loss)


def get_losses(scope: str | None = None, loss_collection: Any = GraphKeys.LOSSES) -> list:
    """The losses of the graph; those whose name begins with the expression `scope`, if it is given."""
    return get_collection(loss_collection, scope)


def get_regularization_losses(scope: str | None = None) -> list:
    """Losses of regularizers of tf.get_variable and tf.layers in this graph."""
    return get_collection(GraphKeys.REGULARIZATION_LOSSES, scope)


def get_regularization_loss(scope: str | None = None, name: str = "total_regularization_loss") -> Tensor:
    """Their sum, 0.0 where there are none."""
    losses = get_regularization_losses(scope)
    return add_n(losses, name=name) if losses else constant(0.0)


def get_total_loss(add_regularization_losses: bool = True, name: str = "total_loss",
                   scope: str | None = None) -> Tensor:
    """The sum of the losses of the graph, what an optimizer is to minimize.

    Args:
        add_regularization_losses: whether those of regularizers count.
        scope: only losses whose name begins with this expression.

    Raises: InvalidArgumentError (a ValueError) where there is no loss, as eagerly, where none are kept.
    """
    losses = get_losses(scope) + (get_regularization_losses(scope) if add_regularization_losses else [])
    if not losses:
        raise InvalidArgumentError("get_total_loss: there are no losses; the functions of tf.losses add theirs in a "
                                   "graph only")
    return add_n(losses, name=name)
