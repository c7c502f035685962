"""Cells of recurrent layers: what happens in one time step.

A cell is a layer with `call(inputs, states)` -> (output, new states), `state_size` and `output_size`. The cells here
also take a sequence apart into what needs no state and what does:

    project(x)                  the products with the inputs, for all time steps at once: a tuple of tensors
    weights_of_steps()          what every step multiplies the state with
    step(parts, states, ...)    one time step, from one slice of each projected tensor

so that a step of LSTM is one matrix product and one kernel (ops/recurrent.py).
"""

from __future__ import annotations

from math import prod
from typing import Any

from cltensor import initializers
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import TensorShape
from cltensor.core.tensor import Tensor, convert
from cltensor.keras import activations, backend, constraints, regularizers
from cltensor.keras.inputs import InputSpec, single
from cltensor.keras.layer import Layer
from cltensor.ops.array import reshape
from cltensor.ops.creation import ones, zeros
from cltensor.ops.dropout import dropout
from cltensor.ops.join import concat, split
from cltensor.ops.linalg import matmul
from cltensor.ops.nn import bias_add
from cltensor.ops.recurrent import gru_cell, gru_mix, gru_reset, lstm_cell

__all__ = ["SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells", "zero_states", "as_states"]

_SIGMOIDS = {activations.sigmoid: False, activations.hard_sigmoid: True}


def zero_states(sizes: Any, batch: int, dtype: Any) -> list:
    """One tensor [batch, size] of zeros per state; a size may also be a shape without the batch."""
    flat = sizes if isinstance(sizes, (list, tuple)) else [sizes]
    return [zeros([batch, *TensorShape(n if isinstance(n, (list, tuple, TensorShape)) else [n]).as_list()], dtype)
            for n in flat]


def as_states(states: Any) -> list:
    """States as a list of tensors; a single one may come alone."""
    return [convert(s) for s in states] if isinstance(states, (list, tuple)) else [convert(states)]


class _Cell(Layer):
    """What the cells share: a kernel and a recurrent kernel with one strip of `units` columns per gate."""

    strips = 1
    recurrent_activation: Any = None

    def __init__(self, units: int, activation: Any = "tanh", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
                 bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0, **kwargs: Any):
        kwargs.pop("implementation", None)      # how Keras spreads the products; here there is one way
        super().__init__(**kwargs)
        self.units = int(units)
        if self.units < 1:
            raise InvalidArgumentError(f"{type(self).__name__}: units must be positive, they are {units}")
        for what, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not 0 <= rate < 1:
                raise InvalidArgumentError(f"{type(self).__name__}: {what} must lie in [0, 1), it is {rate}")
        self.activation, self.use_bias = activations.get(activation), use_bias
        self.dropout, self.recurrent_dropout = float(dropout), float(recurrent_dropout)
        self._make = {
            "kernel": (initializers.get(kernel_initializer), regularizers.get(kernel_regularizer),
                       constraints.get(kernel_constraint)),
            "recurrent_kernel": (initializers.get(recurrent_initializer), regularizers.get(recurrent_regularizer),
                                 constraints.get(recurrent_constraint)),
            "bias": (initializers.get(bias_initializer), regularizers.get(bias_regularizer),
                     constraints.get(bias_constraint))}

    _untracked = ("_make",)

    @property
    def state_size(self) -> Any:
        """Number of units of the state, or a list of them."""
        return self.units

    @property
    def output_size(self) -> int:
        """Number of units of the output."""
        return self.units

    def _add(self, name: str, shape: list, initializer: Any = None) -> Any:
        default, regularizer, constraint = self._make[name]
        return self.add_variable(name, shape, None, initializer or default, regularizer, constraint=constraint)

    def build(self, input_shape: Any) -> None:
        shape = TensorShape(input_shape)
        if not shape.ndims or shape[-1] is None:
            raise InvalidArgumentError(f"{self.name}: the last dimension of the input must be known, its shape is "
                                       f"{shape}")
        last = int(shape[-1])
        self.kernel = self._add("kernel", [last, self.strips * self.units])
        self.recurrent_kernel = self._add("recurrent_kernel", [self.units, self.strips * self.units])
        self.bias = self._add("bias", *self._bias()) if self.use_bias else None
        self.input_spec = InputSpec(axes={-1: last})
        self.built = True

    def _bias(self) -> tuple:
        return ([self.strips * self.units],)

    # -- a sequence
    def project(self, x: Tensor) -> tuple:
        """x @ kernel + bias along the last dimension."""
        return (self._product(x, self.kernel, self.bias),)

    def _product(self, x: Tensor, kernel: Any, bias: Any) -> Tensor:
        if x.dtype is not kernel.dtype:
            raise DTypeError(f"{self.name}: the input has dtype {x.dtype.name}, the layer {kernel.dtype.name}; use "
                             "cast, or make the layer with dtype=")
        shape = x.spec.shape
        rows = x if len(shape) == 2 else reshape(x, (prod(shape[:-1]), shape[-1]))
        y = matmul(rows, kernel)
        y = y if bias is None else bias_add(y, bias)
        return y if len(shape) == 2 else reshape(y, (*shape[:-1], y.spec.shape[-1]))

    def weights_of_steps(self) -> Any:
        """What every step multiplies the state with."""
        return self.recurrent_kernel.as_tensor()

    def drop_input(self, x: Tensor, training: Any) -> Tensor:
        """The input with `dropout`: of a sequence, the same features are dropped at every time step."""
        if not (self.dropout and training is not None and bool(training)):
            return x
        shape = x.spec.shape
        return dropout(x, rate=self.dropout, noise_shape=(shape[0], 1, shape[2]) if len(shape) == 3 else None)

    def state_mask(self, batch: int, training: Any) -> Any:
        """Factors of the state in the products, or None: the same at every time step."""
        if not (self.recurrent_dropout and training is not None and bool(training)):
            return None
        return dropout(ones([batch, self.units], self.dtype), rate=self.recurrent_dropout)

    def _fused(self) -> bool:
        """Whether a row of ops/recurrent.py computes the activations."""
        return self.activation is activations.tanh and self.recurrent_activation in _SIGMOIDS

    def step(self, parts: tuple, states: list, weights: Any, mask: Any = None) -> tuple:
        """(output, new states) from one slice of each projected tensor."""
        raise NotImplementedError

    def call(self, inputs: Any, states: Any, training: Any = None) -> tuple:    # type: ignore[override]
        x = single(self.name, inputs)
        return self.step(self.project(self.drop_input(x, training)), as_states(states), self.weights_of_steps(),
                         self.state_mask(x.spec.shape[0], training))

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> list:
        """States of zeros."""
        batch = batch_size if inputs is None else inputs.spec.shape[0]
        return zero_states(self.state_size, batch, dtype or self.dtype or backend.floatx())


class SimpleRNNCell(_Cell):
    """h' = activation(x @ kernel + h @ recurrent_kernel + bias); arguments as for `SimpleRNN`.

    Example:
        >>> import cltensor as tf
        >>> cell = tf.keras.layers.SimpleRNNCell(3)
        >>> output, states = cell(tf.ones([2, 5]), [tf.zeros([2, 3])])
        >>> output.shape, len(states)
        (TensorShape([2, 3]), 1)
    """

    def step(self, parts: tuple, states: list, weights: Any, mask: Any = None) -> tuple:
        h = states[0] if mask is None else states[0] * mask
        y = self.activation(parts[0] + matmul(h, weights))
        return y, [y]


class LSTMCell(_Cell):
    """One step of a long short-term memory; arguments as for `LSTM`.

    Example:
        >>> import cltensor as tf
        >>> cell = tf.keras.layers.LSTMCell(3)
        >>> output, (h, c) = cell(tf.ones([2, 5]), cell.get_initial_state(batch_size=2))
        >>> output.shape, c.shape
        (TensorShape([2, 3]), TensorShape([2, 3]))
    """

    strips = 4

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "hard_sigmoid",
                 use_bias: bool = True, unit_forget_bias: bool = True, **kwargs: Any):
        super().__init__(units, activation, use_bias, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    @property
    def state_size(self) -> Any:
        """Units of h and of c."""
        return [self.units, self.units]

    def _bias(self) -> tuple:
        return [4 * self.units], self._forgetting if self.unit_forget_bias else None

    def _forgetting(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """The bias as initialised, but ones for the forget gate (Jozefowicz et al. 2015)."""
        make, n = self._make["bias"][0], self.units
        return concat([make([n], dtype=dtype), ones([n], dtype), make([2 * n], dtype=dtype)], 0)

    def step(self, parts: tuple, states: list, weights: Any, mask: Any = None) -> tuple:
        h, c = states
        product = matmul(h if mask is None else h * mask, weights)
        if self._fused():
            h, c = lstm_cell(parts[0], product, c, hard=_SIGMOIDS[self.recurrent_activation])
            return h, [h, c]
        i, f, g, o = split(parts[0] + product, 4, 1)
        s, t = self.recurrent_activation, self.activation
        c = s(f) * c + s(i) * t(g)
        h = s(o) * t(c)
        return h, [h, c]


class GRUCell(_Cell):
    """One step of a gated recurrent unit; arguments as for `GRU`.

    Example:
        >>> import cltensor as tf
        >>> cell = tf.keras.layers.GRUCell(3)
        >>> output, states = cell(tf.ones([2, 5]), [tf.zeros([2, 3])])
        >>> output.shape
        TensorShape([2, 3])
    """

    strips = 3

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "hard_sigmoid",
                 use_bias: bool = True, reset_after: bool = False, **kwargs: Any):
        super().__init__(units, activation, use_bias, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after

    def _bias(self) -> tuple:
        # with the reset gate after the product, that product has a bias of its own
        return ([2, 3 * self.units] if self.reset_after else [3 * self.units],)

    def project(self, x: Tensor) -> tuple:
        if self.reset_after:
            return (self._product(x, self.kernel, self._bias_of(0)),)
        return tuple(split(self._product(x, self.kernel, self.bias), 3, -1))

    def _bias_of(self, product: int) -> Any:
        bias: Any = self.bias
        return None if bias is None else bias[product]

    def weights_of_steps(self) -> Any:
        if self.reset_after:
            bias = self._bias_of(1) if self.use_bias else zeros([3 * self.units], self.dtype)
            return self.recurrent_kernel.as_tensor(), bias
        return split(self.recurrent_kernel, 3, 1)

    def step(self, parts: tuple, states: list, weights: Any, mask: Any = None) -> tuple:
        h = states[0]
        seen = h if mask is None else h * mask
        s, t = self.recurrent_activation, self.activation
        if self.reset_after:
            product = matmul(seen, weights[0])
            if self._fused():
                h = gru_cell(parts[0], product, weights[1], h, hard=_SIGMOIDS[s])
                return h, [h]
            z, r, n = split(parts[0], 3, 1)
            hz, hr, hn = split(bias_add(product, weights[1]), 3, 1)
            z, r = s(z + hz), s(r + hr)
            h = z * h + (1.0 - z) * t(n + r * hn)
            return h, [h]
        xz, xr, xn = parts
        uz, ur, un = weights
        hz, hr = matmul(seen, uz), matmul(seen, ur)
        if self._fused():
            hard = _SIGMOIDS[s]
            h = gru_mix(xz, hz, xn, matmul(gru_reset(xr, hr, seen, hard), un), h, hard)
            return h, [h]
        z = s(xz + hz)
        h = z * h + (1.0 - z) * t(xn + matmul(s(xr + hr) * seen, un))
        return h, [h]


class StackedRNNCells(Layer):
    """Cells one above the other, as one cell: each gets the output of the one below.

    Args:
        cells: list of cells; the states are those of the first cell, then of the second, ...

    Raises: InvalidArgumentError for an empty list.
    """

    def __init__(self, cells: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.cells = list(cells)
        if not self.cells:
            raise InvalidArgumentError("StackedRNNCells: cells is empty, it must hold at least one cell")

    @property
    def state_size(self) -> list:
        """Units of each state."""
        return [n for cell in self.cells for n in _sizes(cell)]

    @property
    def output_size(self) -> Any:
        """Units of the last cell's output."""
        return self.cells[-1].output_size

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> list:
        """States of zeros."""
        batch = batch_size if inputs is None else inputs.spec.shape[0]
        return zero_states(self.state_size, batch, dtype or self.dtype or backend.floatx())

    def call(self, inputs: Any, states: Any, training: Any = None) -> tuple:    # type: ignore[override]
        x, rest, new = inputs, as_states(states), []
        for cell in self.cells:
            n = len(_sizes(cell))
            x, after = cell(x, rest[:n], training=training)
            rest, new = rest[n:], new + list(after)
        return x, new


def _sizes(cell: Any) -> list:
    size = cell.state_size
    return list(size) if isinstance(size, (list, tuple)) else [size]
