"""tf.nn.rnn_cell: cells of TensorFlow 1.x, called as `cell(inputs, state)` -> (output, state)."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from cltensor import initializers
from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import TensorShape
from cltensor.core.tensor import Tensor, convert, static_value
from cltensor.keras import activations, backend
from cltensor.keras.inputs import InputSpec, single
from cltensor.keras.layer import Layer
from cltensor.ops.creation import zeros
from cltensor.ops.dropout import dropout
from cltensor.ops.functions import sigmoid
from cltensor.ops.join import concat, split
from cltensor.ops.linalg import matmul
from cltensor.ops.nn import bias_add
from cltensor.ops.recurrent import lstm_cell

__all__ = ["RNNCell", "BasicRNNCell", "BasicLSTMCell", "LSTMCell", "GRUCell", "MultiRNNCell", "DropoutWrapper",
           "LSTMStateTuple"]

#: The state of an LSTM: c, then h.
LSTMStateTuple = namedtuple("LSTMStateTuple", ("c", "h"))


class RNNCell(Layer):
    """Base of cells: `call(inputs, state)` -> (output, new state), `state_size`, `output_size`.

    Raises: InvalidArgumentError for units below 1.
    """

    def __init__(self, num_units: int = 1, activation: Any = None, reuse: Any = None, name: str | None = None,
                 dtype: Any = None, **kwargs: Any):
        super().__init__(name=name, dtype=dtype, **kwargs)
        self._num_units = int(num_units)
        if self._num_units < 1:
            raise InvalidArgumentError(f"{self.name}: num_units must be positive, they are {num_units}")
        self._activation = activations.get(activation if activation is not None else "tanh")

    @property
    def state_size(self) -> Any:
        """Units of the state, or a nest of them."""
        return self._num_units

    @property
    def output_size(self) -> int:
        """Units of the output."""
        return self._num_units

    def zero_state(self, batch_size: Any, dtype: Any = None) -> Any:
        """A state of zeros, of the structure of `state_size`.

        Example:
            >>> import cltensor as tf
            >>> from cltensor.keras.rnn_cell import BasicLSTMCell
            >>> BasicLSTMCell(3).zero_state(2, tf.float32).h.shape
            TensorShape([2, 3])
        """
        batch = int(static_value(batch_size))
        return nest.map_structure(lambda n: zeros([batch, n], dtype or self.dtype or backend.floatx()),
                                  self.state_size)

    def _last(self, input_shape: Any) -> int:
        shape = TensorShape(input_shape[0] if isinstance(input_shape, list) and not isinstance(
            input_shape[0], (int, type(None))) else input_shape)
        if shape.ndims != 2 or shape[-1] is None:
            raise InvalidArgumentError(f"{self.name}: the input must be [batch, features], its shape is {shape}")
        last = int(shape[-1])
        self.input_spec = InputSpec(ndim=2, axes={-1: last})
        return last


class BasicRNNCell(RNNCell):
    """h' = activation([x, h] @ kernel + bias); output and state are h'."""

    def build(self, input_shape: Any) -> None:
        n = self._last(input_shape) + self._num_units
        self._kernel = self.add_variable("kernel", [n, self._num_units])
        self._bias = self.add_variable("bias", [self._num_units], initializer=initializers.get("zeros"))
        self.built = True

    def call(self, inputs: Any, state: Any) -> tuple:          # type: ignore[override]
        x = concat([single(self.name, inputs), state], 1)
        y = self._activation(bias_add(matmul(x, self._kernel), self._bias))
        return y, y


class BasicLSTMCell(RNNCell):
    """One step of an LSTM (Zaremba et al. 2014): one matrix product of [x, h], one kernel.

    Strips of the kernel are in the order i, j, f, o; `forget_bias` is added to f.

    Args:
        num_units: size of h and c.
        forget_bias: a number.
        state_is_tuple: the state is an LSTMStateTuple (c, h), else both in one tensor.
        activation: tanh unless given.

    Example:
        >>> import cltensor as tf
        >>> from cltensor.keras.rnn_cell import BasicLSTMCell
        >>> cell = BasicLSTMCell(3)
        >>> output, state = cell(tf.ones([2, 5]), cell.zero_state(2, tf.float32))
        >>> output.shape, state.c.shape, [tuple(v.shape) for v in cell.variables]
        (TensorShape([2, 3]), TensorShape([2, 3]), [(8, 12), (12,)])
    """

    def __init__(self, num_units: int, forget_bias: float = 1.0, state_is_tuple: bool = True, activation: Any = None,
                 reuse: Any = None, name: str | None = None, dtype: Any = None, **kwargs: Any):
        super().__init__(num_units, activation, reuse, name, dtype, **kwargs)
        self._forget_bias, self._state_is_tuple = float(forget_bias), state_is_tuple

    @property
    def state_size(self) -> Any:
        """Units of c and h."""
        n = self._num_units
        return LSTMStateTuple(n, n) if self._state_is_tuple else 2 * n

    def build(self, input_shape: Any) -> None:
        n = self._last(input_shape) + self._num_units
        self._kernel = self.add_variable("kernel", [n, 4 * self._num_units])
        self._bias = self.add_variable("bias", [4 * self._num_units], initializer=initializers.get("zeros"))
        self.built = True

    def call(self, inputs: Any, state: Any) -> tuple:          # type: ignore[override]
        c, h = state if self._state_is_tuple else split(state, 2, 1)
        gates = matmul(concat([single(self.name, inputs), h], 1), self._kernel)
        if self._activation is activations.tanh:
            h, c = lstm_cell(gates, self._bias, c, order="igfo", forget_bias=self._forget_bias)
        else:
            i, j, f, o = split(bias_add(gates, self._bias), 4, 1)
            c = c * sigmoid(f + self._forget_bias) + sigmoid(i) * self._activation(j)
            h = self._activation(c) * sigmoid(o)
        return h, LSTMStateTuple(c, h) if self._state_is_tuple else concat([c, h], 1)


class LSTMCell(BasicLSTMCell):
    """BasicLSTMCell with an initializer for its kernel; peepholes and projections are not offered."""

    def __init__(self, num_units: int, initializer: Any = None, forget_bias: float = 1.0,
                 state_is_tuple: bool = True, activation: Any = None, reuse: Any = None, name: str | None = None,
                 dtype: Any = None, **kwargs: Any):
        super().__init__(num_units, forget_bias, state_is_tuple, activation, reuse, name, dtype, **kwargs)
        self._initializer = initializers.get(initializer)

    def add_variable(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A variable; the kernel starts from this cell's initializer."""
        if name == "kernel":
            kwargs["initializer"] = self._initializer
        return super().add_variable(name, *args, **kwargs)


class GRUCell(RNNCell):
    """One step of a GRU (Cho et al. 2014), reset gate before the product; biases of the gates start from 1.

    Args:
        num_units: size of the state.
        activation: tanh unless given.
        kernel_initializer, bias_initializer: of both products.
    """

    def __init__(self, num_units: int, activation: Any = None, reuse: Any = None, kernel_initializer: Any = None,
                 bias_initializer: Any = None, name: str | None = None, dtype: Any = None, **kwargs: Any):
        super().__init__(num_units, activation, reuse, name, dtype, **kwargs)
        self._starts = initializers.get(kernel_initializer), initializers.get(bias_initializer)

    _untracked = ("_starts",)

    def build(self, input_shape: Any) -> None:
        units = self._num_units
        n = self._last(input_shape) + units
        kernel, bias = self._starts
        self._gate_kernel = self.add_variable("gates/kernel", [n, 2 * units], initializer=kernel)
        self._gate_bias = self.add_variable("gates/bias", [2 * units], initializer=bias or initializers.get("ones"))
        self._candidate_kernel = self.add_variable("candidate/kernel", [n, units], initializer=kernel)
        self._candidate_bias = self.add_variable("candidate/bias", [units],
                                                 initializer=bias or initializers.get("zeros"))
        self.built = True

    def call(self, inputs: Any, state: Any) -> tuple:          # type: ignore[override]
        x = single(self.name, inputs)
        gates = sigmoid(bias_add(matmul(concat([x, state], 1), self._gate_kernel), self._gate_bias))
        r, u = split(gates, 2, 1)
        new = matmul(concat([x, r * state], 1), self._candidate_kernel)
        new = self._activation(bias_add(new, self._candidate_bias))
        h = u * state + (1.0 - u) * new
        return h, h


class MultiRNNCell(RNNCell):
    """Cells one above the other; the state is a tuple of theirs.

    Args:
        cells: list of cells.

    Raises: InvalidArgumentError for an empty list.

    Example:
        >>> import cltensor as tf
        >>> from cltensor.keras.rnn_cell import BasicLSTMCell, MultiRNNCell
        >>> cell = MultiRNNCell([BasicLSTMCell(3), BasicLSTMCell(2)])
        >>> output, state = cell(tf.ones([2, 5]), cell.zero_state(2, tf.float32))
        >>> output.shape, state[0].h.shape
        (TensorShape([2, 2]), TensorShape([2, 3]))
    """

    def __init__(self, cells: Any, state_is_tuple: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self._cells = list(cells)
        if not self._cells:
            raise InvalidArgumentError("MultiRNNCell: cells is empty, it must hold at least one cell")
        if not state_is_tuple:
            raise InvalidArgumentError("MultiRNNCell: state_is_tuple=False is not offered")

    @property
    def state_size(self) -> tuple:
        """Sizes of the cells' states."""
        return tuple(cell.state_size for cell in self._cells)

    @property
    def output_size(self) -> Any:
        """Units of the last cell's output."""
        return self._cells[-1].output_size

    def call(self, inputs: Any, state: Any) -> tuple:          # type: ignore[override]
        if len(state) != len(self._cells):
            raise InvalidArgumentError(f"{self.name}: there are {len(self._cells)} cells, the state has {len(state)} "
                                       "parts")
        x, after = inputs, []
        for cell, own in zip(self._cells, state):
            x, new = cell(x, own)
            after.append(new)
        return x, tuple(after)


class DropoutWrapper(RNNCell):
    """A cell whose inputs, outputs or states are dropped with a fresh mask at every step.

    Args:
        cell: the cell.
        input_keep_prob, output_keep_prob, state_keep_prob: numbers in (0, 1].
    """

    def __init__(self, cell: Any, input_keep_prob: float = 1.0, output_keep_prob: float = 1.0,
                 state_keep_prob: float = 1.0, seed: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._cell = cell
        self._keep, self._seed = (input_keep_prob, output_keep_prob, state_keep_prob), seed

    @property
    def state_size(self) -> Any:
        """Units of the cell's state."""
        return self._cell.state_size

    @property
    def output_size(self) -> Any:
        """Units of the cell's output."""
        return self._cell.output_size

    def call(self, inputs: Any, state: Any) -> tuple:          # type: ignore[override]
        before, after, between = self._keep
        y, new = self._cell(self._drop(convert(inputs), before), state)
        if between != 1:
            new = LSTMStateTuple(new.c, self._drop(new.h, between)) if isinstance(new, LSTMStateTuple) else \
                nest.map_structure(lambda s: self._drop(s, between), new)
        return self._drop(y, after), new

    def _drop(self, x: Tensor, keep: float) -> Tensor:
        return x if keep == 1 else dropout(x, keep_prob=keep, seed=self._seed)
