"""What goes into a layer: conversion to tensors, shapes for `build`, and InputSpec, what a built layer demands."""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.base import nest
from cltensor.base.dtypes import DType, as_dtype
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.variable import Variable

__all__ = ["InputSpec", "check_input", "as_inputs", "shape_of", "spec_of", "single"]


class InputSpec:
    """Rank, sizes and dtype a layer's input must have; what is None is not checked.

    Args:
        dtype: of the input.
        shape: sizes, None where any will do.
        ndim, min_ndim, max_ndim: the rank, or its bounds.
        axes: {axis: size}.
    """

    def __init__(self, dtype: Any = None, shape: Any = None, ndim: int | None = None, max_ndim: int | None = None,
                 min_ndim: int | None = None, axes: dict | None = None):
        self.dtype = None if dtype is None else as_dtype(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(k): v for k, v in (axes or {}).items() if v is not None}

    def check(self, layer: str, x: Any) -> None:
        """Raises InvalidArgumentError or DTypeError naming the layer, what it expects and what it got."""
        spec = x.spec
        shape = spec.shape
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            raise InvalidArgumentError(f"{layer}: the input must have rank {self.ndim}, it has rank {rank}: its shape "
                                       f"is {show(shape)}")
        if self.min_ndim is not None and rank < self.min_ndim:
            raise InvalidArgumentError(f"{layer}: the input must have rank {self.min_ndim} at least, it has rank "
                                       f"{rank}: its shape is {show(shape)}")
        if self.max_ndim is not None and rank > self.max_ndim:
            raise InvalidArgumentError(f"{layer}: the input must have rank {self.max_ndim} at most, it has rank "
                                       f"{rank}: its shape is {show(shape)}")
        for axis, size in self.axes.items():
            if -rank <= axis < rank and shape[axis] not in (size, None):
                raise InvalidArgumentError(f"{layer}: dimension {axis} of the input must have size {size}, it has size "
                                           f"{shape[axis]}: the input's shape is {show(shape)}")
        if self.shape is not None and any(want is not None and have is not None and want != have
                                          for want, have in zip(self.shape, shape)):
            raise InvalidArgumentError(f"{layer}: the input must have shape {show(self.shape)}, its shape is "
                                       f"{show(shape)}")
        if self.dtype is not None and spec.dtype is not self.dtype:
            raise DTypeError(f"{layer}: the input must have dtype {self.dtype.name}, it has {spec.dtype.name}; use "
                             "cast")


def check_input(layer: str, wanted: Any, inputs: Any) -> None:
    """Checks one input against a spec, or a list of inputs against a list of specs."""
    if isinstance(wanted, InputSpec):
        if isinstance(inputs, Tensor):
            wanted.check(layer, inputs)
        return
    if not isinstance(inputs, (list, tuple)) or len(inputs) != len(wanted):
        got = f"{len(inputs)} inputs" if isinstance(inputs, (list, tuple)) else "one input"
        raise InvalidArgumentError(f"{layer}: a list of {len(wanted)} inputs is wanted, there is {got}")
    for spec, x in zip(wanted, inputs):
        if spec is not None and isinstance(x, Tensor):
            spec.check(layer, x)


def spec_of(inputs: Any) -> Any:
    """Specs of tensors in their structure; None unless all leaves are tensors."""
    leaves = nest.flatten(inputs)
    if not all(isinstance(x, Tensor) for x in leaves):
        return None
    return nest.map_structure(lambda x: x.spec, inputs)


def shape_of(inputs: Any) -> Any:
    """TensorShape of each tensor in a structure; alone for a single tensor."""
    if isinstance(inputs, Tensor):
        return inputs.shape
    if isinstance(inputs, (list, tuple)):
        return [shape_of(x) for x in inputs]
    if isinstance(inputs, dict):
        return {k: shape_of(x) for k, x in inputs.items()}
    return None


def as_inputs(inputs: Any, dtype: DType) -> Any:
    """Tensors as they are; NumPy arrays, numbers and lists of numbers as tensors; lists of tensors stay lists."""
    if isinstance(inputs, Tensor) or inputs is None:
        return inputs
    if isinstance(inputs, (Variable, IndexedSlices)):
        return inputs.as_tensor()
    if isinstance(inputs, dict):
        return {k: as_inputs(x, dtype) for k, x in inputs.items()}
    if isinstance(inputs, (list, tuple)):
        if any(isinstance(x, (Tensor, Variable, np.ndarray, dict)) or x is None for x in nest.flatten(inputs)):
            return type(inputs)(as_inputs(x, dtype) for x in inputs) if type(inputs) in (list, tuple) else inputs
        return convert(inputs, op="layer input")
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind == "f" and dtype.is_floating:
        return convert(inputs, dtype, op="layer input")
    if isinstance(inputs, (np.ndarray, np.generic, int, float)):
        return convert(inputs, op="layer input")
    return inputs


def single(layer: str, inputs: Any) -> Tensor:
    """The one floating or integer tensor a layer expects.

    Raises: DTypeError for a list.
    """
    if not isinstance(inputs, Tensor):
        raise DTypeError(f"{layer}: one tensor is wanted as input, it is a {type(inputs).__name__}")
    return inputs
