"""Layer: a function with variables, made when its first input shows their shapes.

What a layer knows of itself lives in one state object that `__new__` makes, so a subclass whose `__init__`
never calls `super().__init__()` works. Variables and inner layers are found by looking at the attributes
(core/trackable.py): nothing has to be registered, and the order is that in which attributes were set.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor import initializers
from cltensor.base import nest
from cltensor.base.dtypes import DType, as_dtype
from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core import dispatch
from cltensor.core.tensor import Tensor
from cltensor.core.trackable import Container, Trackable, identity
from cltensor.keras import backend
from cltensor.keras.functional import flow_through, flows_in
from cltensor.keras.inputs import as_inputs, check_input, shape_of, spec_of
from cltensor.keras.updates import call_recorded
from cltensor.ops.creation import zeros
from cltensor.ops.variable import Variable

__all__ = ["Layer", "gather_layers", "gather_variables"]


class _State:
    """What a layer knows besides its user's attributes; no part of the object graph."""

    __slots__ = ("name", "dtype", "input_shape", "output_shape", "built_for", "losses", "arguments",
                 "activity_regularizer", "call", "updates")

    def __init__(self, arguments: tuple) -> None:
        self.name: str | None = None
        self.dtype: DType | None = None
        self.input_shape: tuple | None = None       # with the batch, None where open
        self.output_shape: Any = None               # of the latest call, for summaries
        self.built_for: Any = None                  # specs of the first input, for saved models
        self.losses: list[Callable] = []
        self.arguments = arguments
        self.updates: list = []                     # operations of a graph
        self.activity_regularizer: Any = None
        self.call: Any = None                       # the latest on a model's inputs to come (functional.py)


@functools.lru_cache(maxsize=1024)
def _takes(function: Callable, name: str) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)


def gather_variables(node: Any, frozen: bool, seen: set, trainable: list, fixed: list) -> None:
    """All variables below a layer, each once, in attribute order; those of frozen layers count as fixed."""
    for child in node._children().values():
        if identity(child) in seen:
            continue
        if isinstance(child, Variable):
            seen.add(id(child))
            (fixed if frozen or not child.trainable else trainable).append(child)
        elif isinstance(child, Layer):
            seen.add(id(child))
            gather_variables(child, frozen or not child.trainable, seen, trainable, fixed)
        elif isinstance(child, Container):
            seen.add(identity(child))
            gather_variables(child, frozen, seen, trainable, fixed)


def gather_layers(node: Any, seen: set | None = None) -> list:
    """The layers a layer holds itself, in attributes, lists and dicts, each once; not those inside of them."""
    seen = {identity(node)} if seen is None else seen
    found: list = []
    for child in node._children().values():
        if identity(child) not in seen and isinstance(child, (Layer, Container)):
            seen.add(identity(child))
            found += [child] if isinstance(child, Layer) else gather_layers(child, seen)
    return found


class Layer(Trackable):
    """Base class of layers: subclass it, make variables in `build` or `__init__`, compute in `call`.

    Args:
        trainable: whether its variables are among `trainable_variables`.
        name: prefix of its variables' names; from the class's name unless given.
        dtype: of its variables; that of the first input unless given (float32 for integer inputs).
        input_shape, batch_input_shape: shape of the input without and with the batch: variables of a layer
            in a Sequential are made at once then.

    `build(input_shape)` gets a TensorShape (which also answers `.shape`); a list of them for a list of inputs.

    Example:
        >>> import cltensor as tf
        >>> class Scale(tf.keras.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_variable("factor", [input_shape[-1]], initializer="ones")
        ...     def call(self, x):
        ...         return x * self.factor
        >>> layer = Scale()
        >>> layer(tf.constant([[1., 2.]])).numpy().tolist(), [v.name for v in layer.variables]
        ([[1.0, 2.0]], ['scale/factor:0'])
    """

    _state: _State
    built = False
    trainable = True
    stateful = False
    input_spec: Any = None
    input_dtype: str | None = None      # of what it takes, where that is not the dtype of its variables
    _untracked: tuple = ("_state", "input_spec")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        self.__dict__["_state"] = _State((args, kwargs))
        return self

    def __init__(self, trainable: bool = True, name: str | None = None, dtype: Any = None, input_shape: Any = None,
                 batch_input_shape: Any = None, input_dtype: Any = None, batch_size: int | None = None,
                 weights: Any = None, activity_regularizer: Any = None, dynamic: bool = False):
        state = self._state
        self.trainable = trainable
        state.name = name or self._fresh_name()
        state.activity_regularizer = activity_regularizer
        if dtype is not None or input_dtype is not None:
            state.dtype = as_dtype(dtype if dtype is not None else input_dtype)
        if batch_input_shape is not None:
            state.input_shape = tuple(batch_input_shape)
        elif input_shape is not None:
            shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
            state.input_shape = (batch_size, *shape)
        if weights is not None:
            self._initial_weights = [np.asarray(w) for w in weights]

    def _fresh_name(self) -> str:
        return backend.unique_object_name(backend.snake_case(type(self).__name__))

    # -- what it is
    @property
    def name(self) -> str:
        """Name of the layer, e.g. "dense_1"."""
        state = self._state
        if state.name is None:
            state.name = self._fresh_name()
        return state.name

    @name.setter
    def name(self, value: str) -> None:
        self._state.name = value

    @property
    def dtype(self) -> DType | None:
        """Dtype of the variables; None before it is known."""
        return self._state.dtype

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self._state.dtype = None if value is None else as_dtype(value)

    @property
    def output(self) -> Any:
        """What the layer made when it was called on a model's inputs to come: where to cut a functional model.

        Raises: FailedPreconditionError for a layer that was called on values only.
        """
        return self._functional("output").outputs

    @property
    def input(self) -> Any:
        """What the layer was called on; see `output`."""
        return self._functional("input").inputs

    def _functional(self, what: str) -> Any:
        if self._state.call is None:
            raise FailedPreconditionError(f"{self.name}.{what}: the layer is not part of a model made of inputs and "
                                          "outputs")
        return self._state.call

    @property
    def trainable_variables(self) -> list:
        """Variables an optimizer may change, in attribute order."""
        return self._gather()[0]

    @property
    def non_trainable_variables(self) -> list:
        """The other variables: statistics, counters, all of a frozen layer."""
        return self._gather()[1]

    @property
    def variables(self) -> list:
        """Trainable variables, then the others; each once."""
        trainable, fixed = self._gather()
        return trainable + fixed

    weights, trainable_weights, non_trainable_weights = variables, trainable_variables, non_trainable_variables

    def _gather(self) -> tuple[list, list]:
        trainable: list = []
        fixed: list = []
        gather_variables(self, not self.trainable, {id(self)}, trainable, fixed)
        return trainable, fixed

    @property
    def losses(self) -> list:
        """Regularisation losses of the layer and those within, computed now; scalar tensors."""
        return [loss() for loss in self._state.losses] + [x for layer in gather_layers(self) for x in layer.losses]

    @property
    def updates(self) -> list:
        """In a graph, the operations that bring statistics up to date; empty eagerly, where `call` has done it."""
        return self._state.updates or [u for layer in gather_layers(self) for u in layer.updates]

    # -- variables
    def add_variable(self, name: str, shape: Any = (), dtype: Any = None, initializer: Any = None,
                     regularizer: Any = None, trainable: bool = True, constraint: Any = None,
                     partitioner: Any = None, use_resource: Any = None) -> Variable:
        """A new variable of the layer.

        Args:
            name: its name; printed as "layer/name:0".
            shape: list of sizes.
            dtype: the layer's unless given.
            initializer: name or callable; glorot uniform unless given (zeros for integers and booleans).
            regularizer: function of the variable that returns a scalar loss, collected in `losses`.
            constraint: function applied to the value after each optimizer step.

        Raises: InvalidArgumentError when the shape is not fully known.
        """
        kind = as_dtype(dtype or self._state.dtype or backend.floatx())
        dims = TensorShape(shape).as_list()
        if None in dims:
            raise InvalidArgumentError(f"{self.name}.add_variable: the shape of {name!r} must be fully known, it is "
                                       f"{show(dims)}")
        make = initializers.get(initializer) if initializer is not None else initializers.get("glorot_uniform") \
            if kind.is_floating else initializers.get("zeros")
        variable = Variable(lambda: make(dims, dtype=kind), trainable=trainable, name=f"{self.name}/{name}", dtype=kind,
                            constraint=constraint)
        if regularizer is not None:
            self._state.losses.append(lambda: regularizer(variable))
        taken = self.__dict__.get("_tracked_extra", {})
        edge, n = name, 0
        while edge in taken:        # two variables may share a name, in a checkpoint they may not
            edge, n = f"{name}_{n + 1}", n + 1
        self._track(edge, variable)
        return variable

    def add_weight(self, name: str = "weight", shape: Any = (), dtype: Any = None, initializer: Any = None,
                   regularizer: Any = None, trainable: bool = True, constraint: Any = None, **kwargs: Any) -> Variable:
        """`add_variable` under Keras' name."""
        return self.add_variable(name, shape, dtype, initializer, regularizer, trainable, constraint)

    def add_loss(self, losses: Any, inputs: Any = None) -> None:
        """Add functions (or values) to `losses`."""
        for loss in losses if isinstance(losses, (list, tuple)) else [losses]:
            self._state.losses.append(loss if callable(loss) else lambda value=loss: value)

    def add_update(self, updates: Any, inputs: Any = None) -> None:
        """Nothing to do: when executing eagerly, an update has happened."""

    # -- running
    def build(self, input_shape: Any) -> None:
        """Make the variables; called once, before the first `call`."""
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Compute the output."""
        return inputs

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Build the layer if this is its first input, check the input, and `call`.

        `training=` reaches `call` if it takes it. NumPy arrays and lists of numbers convert; floating ones to the
        layer's dtype, float32 unless it has another.
        """
        state = self._state
        if type(inputs) is not Tensor:
            if flows_in(inputs):
                return flow_through(self, inputs, args, kwargs)
            inputs = as_inputs(inputs, state.dtype or as_dtype(backend.floatx()))
        if not self.built:
            state.built_for = spec_of(inputs)
            self._build_for(inputs)
        if self.input_spec is not None:
            check_input(self.name, self.input_spec, inputs)
        for name in ("training", "mask"):
            if name in kwargs and not _takes(type(self).call, name):
                del kwargs[name]
        interpreter = dispatch.state.interpreter
        if interpreter is None:
            outputs = self.call(inputs, *args, **kwargs)
        else:
            outputs = call_recorded(self, interpreter, (inputs, *args), kwargs, state.updates)
        if type(outputs) is Tensor:
            state.output_shape = outputs.spec.shape
        if state.activity_regularizer is not None:
            self._regularize_activity(outputs)
        return outputs

    apply = __call__

    def _regularize_activity(self, outputs: Any) -> None:
        state, loss = self._state, self._state.activity_regularizer(outputs)
        state.losses = [f for f in state.losses if not getattr(f, "activity", False)]
        latest = functools.partial(lambda value: value, loss)
        latest.activity = True          # type: ignore[attr-defined]
        state.losses.append(latest)

    def _build_for(self, inputs: Any) -> None:
        state = self._state
        if state.dtype is None:
            first = next((x for x in nest.flatten(inputs) if isinstance(x, Tensor)), None)
            if first is not None and first.dtype.is_floating:
                state.dtype = first.dtype
        self._build_with(shape_of(inputs))

    def _build_with(self, shapes: Any) -> None:
        if self._state.dtype is None:
            self._state.dtype = as_dtype(backend.floatx())
        self.build(shapes)
        self.built = True
        given = self.__dict__.pop("_initial_weights", None)
        if given is not None:
            self.set_weights(given)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        """Shape of the output for a shape of the input, whose batch size may be None.

        Layers that do not say are run on one row of zeros.
        """
        dims = TensorShape(input_shape).as_list()
        if None in dims[1:]:
            return TensorShape(None)
        with dispatch.quietly():
            probe = self(zeros([1, *dims[1:]], self.dtype or backend.floatx()))
        return TensorShape([dims[0], *probe.spec.shape[1:]])

    # -- values
    def count_params(self) -> int:
        """Number of elements of all variables.

        Raises: FailedPreconditionError before the layer is built.
        """
        variables = self.variables
        if not variables and not self.built:
            raise FailedPreconditionError(f"{self.name}.count_params: the layer has no variables yet; call it, or "
                                          "`build` it with an input shape")
        return sum(v.spec.size for v in variables)

    def get_weights(self) -> list:
        """Values of `variables` as NumPy arrays."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Any) -> None:
        """Assign arrays to `variables`, in that order.

        Raises: InvalidArgumentError for another number of arrays or a shape that differs; nothing is assigned.
        """
        variables, arrays = self.variables, [np.asarray(w) for w in weights]
        if len(arrays) != len(variables):
            raise InvalidArgumentError(f"{self.name}.set_weights: {len(variables)} arrays are wanted, there are "
                                       f"{len(arrays)}")
        for v, a in zip(variables, arrays):
            if a.shape != v.spec.shape:
                raise InvalidArgumentError(f"{self.name}.set_weights: {v.name} has shape {show(v.spec.shape)}, the "
                                           f"array {show(a.shape)}")
        for v, a in zip(variables, arrays):
            v.load(a.astype(v.dtype.np))

    # -- configuration
    def get_config(self) -> dict:
        """Constructor arguments that make an equal layer, with its name."""
        args, kwargs = self._state.arguments
        bound = inspect.signature(type(self).__init__).bind_partial(self, *args, **kwargs)
        config: dict = {}
        for name, p in list(bound.signature.parameters.items())[1:]:
            if name in bound.arguments:
                config.update(bound.arguments[name] if p.kind is p.VAR_KEYWORD else {name: bound.arguments[name]})
        for name, value in (("name", self.name), ("trainable", self.trainable),
                            ("dtype", None if self.dtype is None else self.dtype.name)):
            if _takes(type(self).__init__, name):
                config[name] = value
        return config

    @classmethod
    def from_config(cls, config: dict) -> Any:
        """A layer from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
