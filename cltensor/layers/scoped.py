"""Keras layers whose variables are `tf.get_variable`'s: what stands behind the functions of tf.layers.

A function has no object to own its variables, so they are found again by name. `call` opens the variable scope,
makes the Keras layer anew, whose `add_variable` asks the scope, and calls it; the layer is then dropped, and the
graph, or an EagerVariableStore, keeps the variables.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import as_dtype
from cltensor.core.dispatch import state
from cltensor.core.tensor import Tensor, convert
from cltensor.graph.collections import GraphKeys, add_to_collection
from cltensor.graph.control import cond
from cltensor.graph.deferred import GraphBody
from cltensor.graph.graph import Graph
from cltensor.interpret.record import Symbol
from cltensor.keras import backend
from cltensor.keras.layer import Layer
from cltensor.ops.variable import Variable
from cltensor.variable_scope import get_variable, variable_scope

__all__ = ["call"]


class _Scoped(Layer):
    """Before a layer's class in the order of classes: its variables come from the variable scope."""

    def add_variable(self, name: str, shape: Any = (), dtype: Any = None, initializer: Any = None,
                     regularizer: Any = None, trainable: bool = True, constraint: Any = None,
                     partitioner: Any = None, use_resource: Any = None) -> Variable:
        """`tf.get_variable` of this name; its regularisation loss is the graph's, as the layer does not stay."""
        variable = get_variable(name, shape, as_dtype(dtype or self.dtype or backend.floatx()), initializer,
                                regularizer, trainable and self.trainable, constraint=constraint)
        self._track(name, variable)
        return variable


_classes: dict[type, type] = {}


def _scoped(kind: type) -> type:
    """The layer's class with variables by name."""
    if kind not in _classes:
        _classes[kind] = type(kind.__name__, (_Scoped, kind), {})
    return _classes[kind]


def call(kind: type, default_name: str, inputs: Any, arguments: dict, name: str | None = None, reuse: Any = None,
         trainable: bool = True, training: Any = None) -> Tensor:
    """A layer of this class called on `inputs`, in the variable scope `name`.

    Args:
        kind: class of a Keras layer.
        default_name: of the scope, made unique, where name is None.
        arguments: of the class.
        training: reaches the layer; a tensor of a graph decides in each run.
    """
    # in a branch or a loop the lists of the graph stay as they are: what is made there cannot be used outside
    here = state.interpreter
    graph = here if isinstance(here, Graph) and not isinstance(here, GraphBody) else None
    with variable_scope(name, default_name, reuse=reuse) as scope:
        inputs = convert(inputs, op=f"tf.layers.{default_name}")
        layer = _scoped(kind)(name=scope.name, trainable=trainable, **arguments)
        if isinstance(training, (Tensor, Variable)):
            if not layer.built:
                layer._build_for(inputs)
            first = len(graph.nodes) if graph is not None else 0
            outputs = cond(training, lambda: layer(inputs, training=True), lambda: layer(inputs, training=False))
            # the layer's own updates are inside of the branch; outside, the branch's node assigns them
            updates = [] if graph is None else [graph.operation(first, f"{scope.name}/updates")]
        else:
            outputs = layer(inputs) if training is None else layer(inputs, training=bool(training))
            updates = layer.updates
    if graph is not None:
        for update in updates:
            if update.symbols:
                add_to_collection(GraphKeys.UPDATE_OPS, update)
        for loss in layer.losses:
            if isinstance(loss, Symbol):
                add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)
    return outputs
