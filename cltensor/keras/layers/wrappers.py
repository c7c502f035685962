"""Layers around a layer: TimeDistributed applies it to each time step, Bidirectional runs it both ways."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core.tensor import Tensor
from cltensor.keras.inputs import InputSpec, single
from cltensor.keras.layer import Layer
from cltensor.keras.layers.recurrent import RNN
from cltensor.ops.array import reshape
from cltensor.ops.join import concat
from cltensor.ops.slicing import reverse

__all__ = ["Wrapper", "TimeDistributed", "Bidirectional"]


class Wrapper(Layer):
    """Base of layers around a layer."""

    def __init__(self, layer: Any, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise InvalidArgumentError(f"{self.name}: a layer is wanted, {layer!r:.60} is a {type(layer).__name__}")
        self.layer = layer


class TimeDistributed(Wrapper):
    """A layer applied to every time step of [batch, time, ...] by itself.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.TimeDistributed(tf.keras.layers.Dense(5))(tf.zeros([2, 7, 3])).shape
        TensorShape([2, 7, 5])
    """

    def build(self, input_shape: Any) -> None:
        dims = TensorShape(input_shape).as_list()
        if len(dims) < 3:
            raise InvalidArgumentError(f"{self.name}: the input must be [batch, time, ...], its shape is {show(dims)}")
        if not self.layer.built:
            self.layer._build_with(TensorShape([None, *dims[2:]]))
        self.input_spec = InputSpec(min_ndim=3)
        self.built = True

    def call(self, inputs: Any, training: Any = None) -> Tensor:
        batch, time, *rest = single(self.name, inputs).spec.shape
        x = reshape(inputs, (batch * time, *rest))
        y = self.layer(x) if training is None else self.layer(x, training=training)
        return reshape(y, (batch, time, *y.spec.shape[1:]))

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        inner = self.layer.compute_output_shape(TensorShape([dims[0], *dims[2:]])).as_list()
        return TensorShape([dims[0], dims[1], *inner[1:]])


class Bidirectional(Wrapper):
    """A recurrent layer and its twin that runs from the last time step to the first.

    Args:
        layer: recurrent layer; the twin is made from its configuration, with variables of its own.
        merge_mode: how outputs are combined: "concat", "sum", "mul", "ave", or None for a list of both.

    With `return_state` of the layer the states of both follow the output. `initial_state` holds the states of
    the layer, then those of its twin.
    Raises: InvalidArgumentError for another mode, or what is no recurrent layer.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Bidirectional(tf.keras.layers.GRU(4))(tf.zeros([2, 7, 3])).shape
        TensorShape([2, 8])
    """

    _MODES = ("concat", "sum", "mul", "ave", None)
    _untracked = ("layer",)         # it is forward_layer

    def __init__(self, layer: Any, merge_mode: Any = "concat", weights: Any = None, **kwargs: Any):
        super().__init__(layer, **kwargs)
        if not isinstance(layer, RNN):
            raise InvalidArgumentError(f"{self.name}: a recurrent layer is wanted, it is a {type(layer).__name__}")
        if merge_mode not in self._MODES:
            raise InvalidArgumentError(f"{self.name}: merge_mode must be one of {', '.join(map(str, self._MODES))}, it "
                                       f"is {merge_mode!r}")
        self.merge_mode = merge_mode
        self.forward_layer, self.backward_layer = layer, _twin(layer)
        self._state.input_shape = self._state.input_shape or layer._state.input_shape
        if weights is not None:
            self._initial_weights = list(weights)

    def build(self, input_shape: Any) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                if layer.dtype is None:
                    layer.dtype = self.dtype
                layer._build_with(input_shape)
        self.built = True

    def call(self, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None) -> Any:
        first, second = self.forward_layer, self.backward_layer
        if isinstance(inputs, (list, tuple)):
            inputs, initial_state = inputs[0], initial_state or list(inputs[1:]) or None
        given: list = list(initial_state) if initial_state is not None else []
        n = len(given) // 2
        y = first(inputs, mask=mask, training=training, initial_state=given[:n] or None)
        back = second(inputs, mask=mask, training=training, initial_state=given[n:] or None)
        states: list = []
        if first.return_state:
            y, back, states = y[0], back[0], [*y[1:], *back[1:]]
        if first.return_sequences:
            back = reverse(back, [1])
        y = self._merge(y, back)
        if not states:
            return y
        return [*(y if isinstance(y, list) else [y]), *states]

    def _merge(self, a: Any, b: Any) -> Any:
        if self.merge_mode == "concat":
            return concat([a, b], -1)
        if self.merge_mode == "mul":
            return a * b
        if self.merge_mode is None:
            return [a, b]
        return (a + b) * 0.5 if self.merge_mode == "ave" else a + b

    def reset_states(self) -> None:
        """Start the next batch of stateful layers from zeros."""
        self.forward_layer.reset_states()
        self.backward_layer.reset_states()

    def compute_output_shape(self, input_shape: Any) -> Any:
        one = self.forward_layer.compute_output_shape(input_shape)
        y = one[0] if isinstance(one, list) else one
        if self.merge_mode == "concat":
            dims = y.as_list()
            y = TensorShape([*dims[:-1], 2 * dims[-1]])
        out = [y, y] if self.merge_mode is None else [y]
        states = one[1:] * 2 if isinstance(one, list) else []
        return [*out, *states] if len(out) + len(states) > 1 else y


def _twin(layer: RNN) -> RNN:
    """A layer like this one, of the other direction; both get names that say theirs."""
    config = layer.get_config()
    if "cell" in config:
        cell = config["cell"]
        config["cell"] = [type(c).from_config(c.get_config()) for c in cell] if isinstance(cell, (list, tuple)) \
            else type(cell).from_config(cell.get_config())
    name = layer.name
    config.update(go_backwards=not layer.go_backwards, name=f"backward_{name}")
    config.pop("weights", None)
    twin = type(layer).from_config(config)
    if not layer.built:
        layer.name = f"forward_{name}"
        if isinstance(layer.cell, Layer) and layer.cell.name == name:
            layer.cell.name = layer.name
    return twin
