"""Layers of several inputs: Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate; and their functions."""

from __future__ import annotations

import functools
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import TensorShape, broadcast_many
from cltensor.core.tensor import Tensor
from cltensor.keras.layer import Layer
from cltensor.ops import join, math

__all__ = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "add", "subtract",
           "multiply", "average", "maximum", "minimum", "concatenate"]


class _Merge(Layer):
    """Inputs of shapes that broadcast, combined element by element."""

    def call(self, inputs: Any) -> Tensor:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise InvalidArgumentError(f"{self.name}: a list of two inputs at least is wanted, it is "
                                       f"{type(inputs).__name__ if isinstance(inputs, Tensor) else inputs!r:.60}")
        return self._merge(list(inputs))

    def _merge(self, inputs: list) -> Tensor:
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(broadcast_many(self.name, [tuple(TensorShape(s).as_list()) for s in input_shape]))


class Add(_Merge):
    """Sum of a list of inputs.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Add()([tf.constant([1., 2.]), tf.constant([3., 4.])]).numpy().tolist()
        [4.0, 6.0]
    """

    def _merge(self, inputs: list) -> Tensor:
        if len({x.spec for x in inputs}) == 1:
            return math.add_n(inputs)
        return functools.reduce(math.add, inputs)


class Subtract(_Merge):
    """Difference of two inputs."""

    def _merge(self, inputs: list) -> Tensor:
        if len(inputs) != 2:
            raise InvalidArgumentError(f"{self.name}: two inputs are wanted, there are {len(inputs)}")
        return math.subtract(*inputs)


class Multiply(_Merge):
    """Product of a list of inputs."""

    def _merge(self, inputs: list) -> Tensor:
        return functools.reduce(math.multiply, inputs)


class Average(_Merge):
    """Mean of a list of inputs."""

    def _merge(self, inputs: list) -> Tensor:
        return math.multiply(functools.reduce(math.add, inputs), 1.0 / len(inputs))


class Maximum(_Merge):
    """The largest of the inputs, element by element."""

    def _merge(self, inputs: list) -> Tensor:
        return functools.reduce(math.maximum, inputs)


class Minimum(_Merge):
    """The smallest of the inputs, element by element."""

    def _merge(self, inputs: list) -> Tensor:
        return functools.reduce(math.minimum, inputs)


class Concatenate(_Merge):
    """Inputs one after the other along an axis, the last unless given.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Concatenate()([tf.zeros([2, 3]), tf.zeros([2, 4])]).shape
        TensorShape([2, 7])
    """

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def _merge(self, inputs: list) -> Tensor:
        return join.concat(inputs, self.axis)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shapes = [TensorShape(s).as_list() for s in input_shape]
        out = shapes[0]
        sizes = [s[self.axis] for s in shapes]
        out[self.axis] = None if None in sizes else sum(sizes)
        return TensorShape(out)


def add(inputs: Any, **kwargs: Any) -> Tensor:
    """`Add()(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Tensor:
    """`Subtract()(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Tensor:
    """`Multiply()(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Tensor:
    """`Average()(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Tensor:
    """`Maximum()(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Tensor:
    """`Minimum()(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Tensor:
    """`Concatenate(axis)(inputs)`."""
    return Concatenate(axis, **kwargs)(inputs)
