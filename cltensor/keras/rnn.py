"""tf.nn.dynamic_rnn and static_rnn: a cell run over a batch of sequences, in Python."""

from __future__ import annotations

from typing import Any

from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.array import reshape
from cltensor.ops.convert import to_int32
from cltensor.ops.creation import zeros_like
from cltensor.ops.join import stack, unstack
from cltensor.ops.math import less, where

__all__ = ["dynamic_rnn", "static_rnn"]


def dynamic_rnn(cell: Any, inputs: Any, sequence_length: Any = None, initial_state: Any = None, dtype: Any = None,
                parallel_iterations: Any = None, swap_memory: bool = False, time_major: bool = False,
                scope: Any = None) -> tuple:
    """Run a cell over the time steps of a batch.

    Args:
        cell: callable, (inputs, state) -> (output, state), with `zero_state(batch, dtype)`.
        inputs: tensor [batch, time, ...]; [time, batch, ...] with time_major.
        sequence_length: integers [batch]: past its length a sequence's outputs are 0 and its state stays.
        initial_state: state to start from; zeros unless given.
        dtype: of the zeros; that of the inputs unless given.

    Returns: (outputs [batch, time, ...] or time-major, last state).
    Raises: InvalidArgumentError for inputs of rank below 3 or without time steps, or lengths of another shape.

    Example:
        >>> import cltensor as tf
        >>> from cltensor.keras.rnn import dynamic_rnn
        >>> from cltensor.keras.rnn_cell import BasicLSTMCell
        >>> outputs, state = dynamic_rnn(BasicLSTMCell(3), tf.ones([2, 7, 5]), sequence_length=[7, 2])
        >>> outputs.shape, state.h.shape
        (TensorShape([2, 7, 3]), TensorShape([2, 3]))
    """
    x = convert(inputs)
    axis = 0 if time_major else 1
    if x.spec.rank is None or x.spec.rank < 3 or x.spec.shape[axis] == 0:
        raise InvalidArgumentError("dynamic_rnn: inputs must be [batch, time, ...] with at least one time step, their "
                                   f"shape is {show(x.spec.shape)}")
    outputs, state = _run("dynamic_rnn", cell, unstack(x, axis=axis), sequence_length, initial_state, dtype)
    return stack(outputs, axis), state


def static_rnn(cell: Any, inputs: Any, initial_state: Any = None, dtype: Any = None, sequence_length: Any = None,
               scope: Any = None) -> tuple:
    """Run a cell over a list of time steps; arguments as for `dynamic_rnn`.

    Args:
        inputs: list of tensors [batch, ...].

    Returns: (list of outputs, last state).
    Raises: InvalidArgumentError for an empty list.
    """
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise InvalidArgumentError("static_rnn: inputs must be a list of at least one tensor")
    return _run("static_rnn", cell, [convert(x) for x in inputs], sequence_length, initial_state, dtype)


def _run(op: str, cell: Any, steps: list, sequence_length: Any, state: Any, dtype: Any) -> tuple[list, Any]:
    batch = steps[0].spec.shape[0]
    if state is None:
        state = cell.zero_state(batch, dtype or steps[0].dtype)
    lengths = None if sequence_length is None else _lengths(op, sequence_length, batch)
    outputs: list = []
    for t, x in enumerate(steps):
        y, after = cell(x, state)
        if lengths is not None:
            valid = less(t, lengths)
            y = nest.map_structure(lambda v: where(valid, v, zeros_like(v)), y)
            after = nest.map_structure(lambda new, old: where(valid, new, old), after, state)
        outputs.append(y)
        state = after
    return outputs, state


def _lengths(op: str, given: Any, batch: int) -> Tensor:
    """Lengths as a column, to choose whole rows by."""
    lengths = to_int32(given)
    if lengths.spec.shape != (batch,):
        raise InvalidArgumentError(f"{op}: sequence_length must have one entry per sequence, {batch}; its shape is "
                                   f"{show(lengths.spec.shape)}")
    return reshape(lengths, (batch, 1))
