"""Recurrent layers: RNN over any cell, and SimpleRNN, LSTM, GRU with TF 1.x's defaults."""

from __future__ import annotations

import inspect
from typing import Any

from cltensor.base.errors import InvalidArgumentError, UnimplementedError
from cltensor.base.shapes import TensorShape, show
from cltensor.core.tensor import Tensor, convert
from cltensor.keras.inputs import InputSpec
from cltensor.keras.layer import Layer
from cltensor.keras.layers.recurrent_cells import (
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    as_states,
    zero_states,
)
from cltensor.ops.array import reshape
from cltensor.ops.creation import zeros_like
from cltensor.ops.join import stack, unstack
from cltensor.ops.math import cast, where

__all__ = ["RNN", "SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU"]


class RNN(Layer):
    """A cell run over the time steps of a sequence, one after the other.

    Args:
        cell: layer with `call(inputs, states)` -> (output, new states) and `state_size` (and `output_size`);
            or a list of them, one above the other.
        return_sequences: give the outputs of all time steps instead of the last one.
        return_state: give the last states, too.
        go_backwards: from the last time step to the first; outputs are in the order they were computed.
        stateful: start each batch from the last states of the batch before.

    Input: tensor [batch, time, ...]; or a list of it and initial states.
    Arguments of the call: `initial_state`, one tensor [batch, size] or a list; `mask`, booleans [batch, time]:
        where False, output and states stay what they were; `training`.
    Output: [batch, units], with return_sequences [batch, time, units]; with return_state a list of output and
        states.
    Raises: InvalidArgumentError for an input of another rank or without time steps, or a wrong number of states.

    Example:
        >>> import cltensor as tf
        >>> layer = tf.keras.layers.LSTM(4, return_sequences=True, return_state=True)
        >>> output, h, c = layer(tf.zeros([2, 7, 3]))
        >>> output.shape, h.shape
        (TensorShape([2, 7, 4]), TensorShape([2, 4]))
    """

    _untracked: tuple = ("states",)

    def __init__(self, cell: Any, return_sequences: bool = False, return_state: bool = False,
                 go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
                 input_dim: int | None = None, input_length: int | None = None, **kwargs: Any):
        if input_dim is not None and "input_shape" not in kwargs:
            kwargs["input_shape"] = (input_length, input_dim)
        super().__init__(**kwargs)
        cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        if not callable(getattr(cell, "call", None)) or not hasattr(cell, "state_size"):
            raise InvalidArgumentError(f"{self.name}: a cell must have `call` and `state_size`, {cell!r:.60} has not")
        self.cell: Any = cell
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll = go_backwards, stateful, unroll
        self.states: list | None = None

    def build(self, input_shape: Any) -> None:
        first = input_shape[0] if isinstance(input_shape, list) and isinstance(input_shape[0], TensorShape) \
            else input_shape
        dims = TensorShape(first).as_list()
        if len(dims) < 3:
            raise InvalidArgumentError(f"{self.name}: the input must be [batch, time, ...], its shape is "
                                       f"{show(dims)}")
        if isinstance(self.cell, Layer) and not self.cell.built and hasattr(self.cell, "project"):
            if self.cell.dtype is None:
                self.cell.dtype = self.dtype
            self.cell._build_with(TensorShape([dims[0], *dims[2:]]))
        self.input_spec = None if isinstance(input_shape, list) else InputSpec(ndim=len(dims))
        self.built = True

    def call(self, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None) -> Any:
        if isinstance(inputs, (list, tuple)):
            if initial_state is None and len(inputs) > 1:
                initial_state = list(inputs[1:])
            inputs = inputs[0]
        states = self._first_states(inputs, initial_state)
        outputs, states = self._steps(inputs, states, mask, training)
        if self.stateful:
            self.states = states
        y = stack(outputs, 1) if self.return_sequences else outputs[-1]
        return [y, *states] if self.return_state else y

    def _first_states(self, x: Tensor, given: Any) -> list:
        count = len(self._sizes())
        if given is None and self.stateful and self.states is not None:
            given = self.states
        if given is None:
            make = getattr(self.cell, "get_initial_state", None)
            dtype = getattr(self.cell, "dtype", None) or x.dtype
            given = make(inputs=x, batch_size=x.spec.shape[0], dtype=dtype) if make else \
                zero_states(self.cell.state_size, x.spec.shape[0], dtype)
        states = as_states(given)
        if len(states) != count:
            raise InvalidArgumentError(f"{self.name}: the cell has {count} states, {len(states)} initial states are "
                                       "given")
        for s in states:
            if s.spec.shape[0] != x.spec.shape[0]:
                raise InvalidArgumentError(f"{self.name}: the input has {x.spec.shape[0]} sequences, a state is for "
                                           f"{s.spec.shape[0]}" + ("; call reset_states()" if self.stateful else ""))
        return states

    def _sizes(self) -> list:
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    def _steps(self, x: Tensor, states: list, mask: Any, training: Any) -> tuple[list, list]:
        cell, shape = self.cell, x.spec.shape
        if shape[1] == 0:
            raise InvalidArgumentError(f"{self.name}: the input must have at least one time step, its shape is "
                                       f"{show(shape)}")
        ours = hasattr(cell, "project")
        if ours:
            sequences = cell.project(cell.drop_input(x, training))
            weights, drop = cell.weights_of_steps(), cell.state_mask(shape[0], training)
        else:
            sequences = (x,)
        steps = list(zip(*(unstack(s, axis=1) for s in sequences)))
        keep: list = [None] * len(steps) if mask is None else _columns(mask, shape[:2], self.name)
        if self.go_backwards:
            steps, keep = steps[::-1], keep[::-1]
        outputs: list = []
        extra = {"training": training} if training is not None and _takes_training(cell) else {}
        for parts, valid in zip(steps, keep):
            if ours:
                y, after = cell.step(parts, states, weights, drop)
            else:
                y, after = cell(parts[0], states, **extra)
                after = list(after) if isinstance(after, (list, tuple)) else [after]
            if valid is not None:
                y = where(valid, y, outputs[-1] if outputs else zeros_like(y))
                after = [where(valid, new, old) for new, old in zip(after, states)]
            outputs.append(y)
            states = after
        return outputs, states

    def reset_states(self, states: Any = None) -> None:
        """Start the next batch of a stateful layer from zeros, or from these states."""
        self.states = None if states is None else as_states(states)

    def compute_output_shape(self, input_shape: Any) -> Any:
        dims = TensorShape(input_shape).as_list()
        size = getattr(self.cell, "output_size", None) or self._sizes()[0]
        y = TensorShape([dims[0], *([dims[1]] if self.return_sequences else []), size])
        return [y, *(TensorShape([dims[0], n]) for n in self._sizes())] if self.return_state else y


def _takes_training(cell: Any) -> bool:
    return "training" in inspect.signature(type(cell).call).parameters


def _columns(mask: Any, shape: tuple, layer: str) -> list:
    """The mask as one boolean [batch, 1] per time step."""
    m = convert(mask)
    if m.spec.shape != tuple(shape):
        raise InvalidArgumentError(f"{layer}: mask must have shape {show(shape)}, it has shape {show(m.spec.shape)}")
    m = m if m.dtype.is_bool else cast(m, "bool")
    return [reshape(c, (shape[0], 1)) for c in unstack(m, axis=1)]


_LAYER = {"return_sequences", "return_state", "go_backwards", "stateful", "unroll", "input_dim", "input_length",
          "trainable", "name", "dtype", "input_shape", "batch_input_shape", "input_dtype", "batch_size", "weights",
          "activity_regularizer", "dynamic"}


class _Ready(RNN):
    """An RNN over a cell of ours, whose arguments it takes among its own."""

    _cell: Any = None

    def __init__(self, units: int, *args: Any, **kwargs: Any):
        own = {k: kwargs.pop(k) for k in list(kwargs) if k in _LAYER}
        Layer.__init__(self, name=own.get("name"))
        if "dtype" in own:
            kwargs["dtype"] = own["dtype"]
        super().__init__(self._cell(units, *args, name=self.name, **kwargs), **{**own, "name": self.name})

    @property
    def units(self) -> int:
        """Number of units."""
        return self.cell.units


class SimpleRNN(_Ready):
    """Fully connected recurrence: h' = activation(x @ kernel + h @ recurrent_kernel + bias).

    Args:
        units: size of the state and the output.
        activation: name or function, tanh unless given.
        use_bias: whether there is a bias.
        others: {kernel, recurrent, bias}_{initializer, regularizer, constraint}, by default glorot uniform,
            orthogonal, zeros, none; `dropout` and `recurrent_dropout`, rates for input and state, the same mask
            at all time steps; and those of `RNN`.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.SimpleRNN(4)(tf.ones([2, 7, 3])).shape
        TensorShape([2, 4])
    """

    _cell = SimpleRNNCell

    def __init__(self, units: int, activation: Any = "tanh", use_bias: bool = True, **kwargs: Any):
        super().__init__(units, activation, use_bias, **kwargs)


class LSTM(_Ready):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), strips of the kernels in the order i, f, c, o.

    One time step is one matrix product and one kernel while `activation` is tanh and `recurrent_activation`
    "sigmoid" or "hard_sigmoid".

    Args:
        units: size of the states h and c, and of the output h.
        activation: tanh unless given.
        recurrent_activation: of the gates, "hard_sigmoid" unless given, as in TensorFlow 1.x.
        unit_forget_bias: start the forget gate's bias from 1.
        others: as for `SimpleRNN`.

    Example:
        >>> import cltensor as tf
        >>> layer = tf.keras.layers.LSTM(4)
        >>> layer(tf.ones([2, 7, 3])).shape, [tuple(v.shape) for v in layer.variables]
        (TensorShape([2, 4]), [(3, 16), (4, 16), (16,)])
    """

    _cell = LSTMCell

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "hard_sigmoid",
                 use_bias: bool = True, unit_forget_bias: bool = True, **kwargs: Any):
        super().__init__(units, activation, recurrent_activation, use_bias, unit_forget_bias, **kwargs)


class GRU(_Ready):
    """Gated recurrent unit (Cho et al. 2014), strips of the kernels in the order z, r, h.

    Args:
        units: size of the state and the output.
        activation: tanh unless given.
        recurrent_activation: of the gates, "hard_sigmoid" unless given, as in TensorFlow 1.x.
        reset_after: apply the reset gate after the product with the state, not before: then a time step is one
            product and one kernel (and the bias has shape [2, 3 * units]).
        others: as for `SimpleRNN`.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.GRU(4, return_sequences=True)(tf.ones([2, 7, 3])).shape
        TensorShape([2, 7, 4])
    """

    _cell = GRUCell

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "hard_sigmoid",
                 use_bias: bool = True, reset_after: bool = False, **kwargs: Any):
        super().__init__(units, activation, recurrent_activation, use_bias, reset_after, **kwargs)


class CuDNNLSTM(LSTM):
    """LSTM with sigmoid gates: TensorFlow's name for a fused one, kept so that programs that ask for it run.

    Raises: UnimplementedError for activations and dropout, which the original lacks as well.
    """

    def __init__(self, units: int, unit_forget_bias: bool = True, **kwargs: Any):
        _refuse("CuDNNLSTM", kwargs)
        super().__init__(units, "tanh", "sigmoid", True, unit_forget_bias, **kwargs)


class CuDNNGRU(GRU):
    """GRU with sigmoid gates and the reset gate after the product; see CuDNNLSTM."""

    def __init__(self, units: int, **kwargs: Any):
        _refuse("CuDNNGRU", kwargs)
        super().__init__(units, "tanh", "sigmoid", True, True, **kwargs)


def _refuse(layer: str, kwargs: dict) -> None:
    wrong = [k for k in ("activation", "recurrent_activation", "use_bias", "dropout", "recurrent_dropout")
             if k in kwargs]
    if wrong:
        raise UnimplementedError(f"{layer}: {', '.join(wrong)} cannot be chosen; use {layer[5:]}")
