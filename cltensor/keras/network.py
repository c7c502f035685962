"""Model, a layer made of layers, and Sequential, a list of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base import nest
from cltensor.base.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnimplementedError,
)
from cltensor.base.shapes import TensorShape
from cltensor.keras.functional import Network
from cltensor.keras.layer import Layer, gather_layers
from cltensor.keras.training import Trainable
from cltensor.train.checkpoint import Checkpoint

__all__ = ["Model", "Sequential"]


class Model(Trainable, Layer):
    """A layer that holds layers: subclass it, set layers as attributes, compute in `call`.

    Layers and variables in attributes, also in lists and dicts, are found by themselves; `variables` has them in
    the order the attributes were set, each once. Models nest. `model(x, training=True)` reaches `call` if that
    takes `training`.

    Args:
        inputs, outputs: what tf.keras.Input gave, and what layers called on it gave; lists of them, or dicts. The
            model is the way between them, and needs no `call`. A model may be cut out of another by `layer.output`.
        name: of the model.

    Example:
        >>> import cltensor as tf
        >>> class Two(tf.keras.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.first = tf.keras.layers.Dense(4, activation="relu")
        ...         self.second = tf.keras.layers.Dense(1)
        ...     def call(self, x):
        ...         return self.second(self.first(x))
        >>> model = Two()
        >>> model(tf.zeros([3, 2])).shape, [tuple(v.shape) for v in model.variables]
        (TensorShape([3, 1]), [(2, 4), (4,), (4, 1), (1,)])
        >>> x = tf.keras.Input((2,))
        >>> y = tf.keras.layers.Dense(4)(x)
        >>> tf.keras.Model(x, tf.keras.layers.concatenate([x, y]))(tf.zeros([3, 2])).shape
        TensorShape([3, 6])
    """

    _network: Network | None = None
    _untracked: tuple = ("_network",)

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if (inputs is None) != (outputs is None):
            raise InvalidArgumentError("Model: inputs and outputs go together; give both or neither")
        if inputs is not None:
            self._network = Network(self.name, inputs, outputs)
            for layer in self._network.layers[len(self._network.begins):]:      # inputs hold nothing
                self._track(layer.name, layer)
            self.built = True

    @property
    def layers(self) -> list:
        """The layers the model holds itself, each once: in attribute order, or in that of their calls."""
        return gather_layers(self) if self._network is None else self._network.layers

    @property
    def inputs(self) -> list:
        """The inputs of a model made of inputs and outputs; else empty."""
        return [] if self._network is None else self._network.begins

    @property
    def outputs(self) -> list:
        """The outputs of a model made of inputs and outputs; else empty."""
        return [] if self._network is None else nest.flatten(self._network.outputs)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name, or at an index of `layers`.

        Raises: NotFoundError for a name or an index there is not; InvalidArgumentError without either.
        """
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise NotFoundError(f"{self.name}.get_layer: index {index} is out of range, there are {len(layers)} "
                                    "layers")
            return layers[index]
        if name is None:
            raise InvalidArgumentError(f"{self.name}.get_layer: give a name or an index")
        for layer in layers:
            if layer.name == name:
                return layer
        raise NotFoundError(f"{self.name}.get_layer: there is no layer {name!r}; there are "
                            + ", ".join(layer.name for layer in layers))

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Compute the output; subclasses define it, unless they are made of inputs and outputs."""
        if self._network is not None:
            return self._network.run(inputs, training)
        raise UnimplementedError(f"{type(self).__name__}.call: a subclass of Model must define it")

    # -- text
    def summary(self, line_length: int = 65, positions: Any = None, print_fn: Callable | None = None) -> None:
        """Print a table of the layers with their output shapes (of the latest call) and numbers of parameters.

        Raises: FailedPreconditionError before the model is built.
        """
        if not self.built:
            raise FailedPreconditionError(f"{self.name}.summary: the model has no variables yet; call it, or `build` "
                                          "it with an input shape")
        show_line = print_fn or print
        widths = (line_length * 45 // 100, line_length * 33 // 100)

        def row(*cells: str) -> None:
            line = ""
            for cell, width in zip(cells, (*widths, 0)):
                line = (line + cell).ljust(len(line) + max(width, len(cell) + 1) if width else 0)
            show_line(line.rstrip())
        show_line("_" * line_length)
        row("Layer (type)", "Output Shape", "Param #")
        show_line("=" * line_length)
        for i, layer in enumerate(self.layers):
            if i:
                show_line("_" * line_length)
            row(f"{layer.name} ({type(layer).__name__})", _shown_shape(layer), str(sum(
                v.spec.size for v in layer.variables)))
        show_line("=" * line_length)
        trainable = sum(v.spec.size for v in self.trainable_variables)
        fixed = sum(v.spec.size for v in self.non_trainable_variables)
        show_line(f"Total params: {trainable + fixed:,}")
        show_line(f"Trainable params: {trainable:,}")
        show_line(f"Non-trainable params: {fixed:,}")
        show_line("_" * line_length)

    # -- files
    def save_weights(self, filepath: Any, overwrite: bool = True, save_format: str | None = None) -> None:
        """Write all variables to a checkpoint file, named by attributes.

        Raises: OSError when the file cannot be written.
        """
        Checkpoint(model=self).write(filepath)

    def load_weights(self, filepath: Any, by_name: bool = False) -> Any:
        """Restore what `save_weights` wrote; variables not made yet get their values when they are.

        Returns: a status, whose `assert_consumed()` checks that all was used.
        Raises: NotFoundError; InvalidArgumentError where a shape differs.
        """
        if by_name:
            raise UnimplementedError("Model.load_weights: by_name is not offered; values are matched by attributes")
        return Checkpoint(model=self).read(filepath)


def _shown_shape(layer: Layer) -> str:
    shape = layer._state.output_shape
    return "multiple" if shape is None else str((None, *shape[1:]) if shape else shape)


class Sequential(Model):
    """Layers one after the other.

    Args:
        layers: list of layers; more by `add`.
        name: of the model.

    Where the first layer says its `input_shape`, variables are made at once, else by the first input.

    Example:
        >>> import cltensor as tf
        >>> model = tf.keras.Sequential([
        ...     tf.keras.layers.Dense(10, input_shape=(784,)),
        ...     tf.keras.layers.Dense(10)])
        >>> [tuple(v.shape) for v in model.variables]
        [(784, 10), (10,), (10, 10), (10,)]
        >>> model(tf.zeros([1, 1, 784])).shape
        TensorShape([1, 1, 10])
    """

    _stack: list
    _shapes: list       # of the output after each layer, as far as known
    _untracked: tuple = ("_stack", "_shapes")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.__dict__["_stack"] = []
        self.__dict__["_shapes"] = []
        return self

    def __init__(self, layers: Any = None, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        for layer in layers if layers is not None else ():
            self.add(layer)

    @property
    def layers(self) -> list:
        """The layers, in order."""
        return list(self._stack)

    def add(self, layer: Layer) -> None:
        """Put a layer at the end.

        Raises: InvalidArgumentError (a TypeError, too) for what is no layer.
        """
        if isinstance(layer, type) or not isinstance(layer, Layer):
            raise _NoLayer(f"{self.name}.add: a layer is wanted, {layer!r:.60} is a {type(layer).__name__}")
        self._track(f"layer-{len(self._stack)}", layer)
        self._stack.append(layer)
        if not self._extend(layer):
            self.built = False

    def pop(self) -> Layer:
        """Take the last layer away and return it.

        Raises: InvalidArgumentError (a TypeError, too) when there is none.
        """
        if not self._stack:
            raise _NoLayer(f"{self.name}.pop: there are no layers")
        layer = self._stack.pop()
        delattr(self, f"layer-{len(self._stack)}")
        del self._shapes[len(self._stack):]
        return layer

    def _extend(self, layer: Layer) -> bool:
        """Build the newest layer if the shape it gets is known."""
        before = len(self._stack) - 1
        if len(self._shapes) < before:
            return False
        given = layer._state.input_shape or _first_shape(layer)
        shape = TensorShape(self._shapes[-1] if before else given)
        if shape.ndims is None or None in shape.as_list()[1:]:
            return False
        if not layer.built:
            layer._build_with(shape)
        self._shapes.append(layer.compute_output_shape(shape))
        self.built = True
        return True

    def build(self, input_shape: Any = None) -> None:
        """Make the variables of all layers for a shape of the input, with the batch.

        Raises: InvalidArgumentError where a layer cannot take its input.
        """
        shape = TensorShape(input_shape)
        for layer in self._stack:
            if shape.ndims is None or None in shape.as_list()[1:]:
                break
            if not layer.built:
                layer._build_with(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def _build_for(self, inputs: Any) -> None:
        # The layers build themselves as the first input passes through.
        self.built = True

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        x = inputs
        for layer in self._stack:
            x = layer(x) if training is None else layer(x, training=training)
        return x

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape)
        for layer in self._stack:
            shape = layer.compute_output_shape(shape)
        return shape


class _NoLayer(InvalidArgumentError, TypeError):
    """A layer was wanted."""


def _first_shape(layer: Layer) -> tuple | None:
    """The input shape a model takes from its own first layer."""
    layers = layer.layers if isinstance(layer, Sequential) else []
    if not layers:
        return None
    return layers[0]._state.input_shape or _first_shape(layers[0])
