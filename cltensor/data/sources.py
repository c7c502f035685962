"""Where elements come from: arrays, one value, numbers, a Python generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core.tensor import Tensor, as_array, convert
from cltensor.data import element as el
from cltensor.data.stages import Stage, Table

__all__ = ["Slices", "Single", "Numbers", "Generated"]


class Slices(Stage):
    """The rows of arrays."""

    def __init__(self, tensors: Any):
        leaves = [np.array(el.host_leaf(v)) for v in el.flatten(el.as_element(tensors, "from_tensor_slices"))]
        if not leaves:
            raise InvalidArgumentError("from_tensor_slices: the structure has no tensors")
        for v in leaves:
            if v.ndim == 0:
                raise InvalidArgumentError("from_tensor_slices: a tensor of shape () has no slices; "
                                           "from_tensors takes it as one element")
            v.flags.writeable = False
        self.count = len(leaves[0])
        for v in leaves:
            if len(v) != self.count:
                raise InvalidArgumentError(f"from_tensor_slices: numbers of slices differ, {self.count} != {len(v)}: "
                                           f"shapes are {', '.join(show(x.shape) for x in leaves)}")
        self.table = Table(tensors, leaves)

    def rows(self, key: tuple) -> Iterator[np.ndarray]:
        yield np.arange(self.count)


class Single(Stage):
    """One element."""

    def __init__(self, tensors: Any):
        self.element = el.as_element(tensors, "from_tensors")

    def elements(self, key: tuple) -> Iterator[Any]:
        yield self.element


class Numbers(Stage):
    """range(...) as int64."""

    def __init__(self, *args: Any):
        self.range = range(*(el.count_of(a, "an argument", -2**63, "range") for a in args))

    def elements(self, key: tuple) -> Iterator[Any]:
        return (np.array(i, np.int64) for i in self.range)


class Generated(Stage):
    """What a Python generator yields, checked against the promised dtypes and shapes."""

    def __init__(self, make: Callable, dtypes: Any, shapes: Any, args: tuple):
        self.make, self.dtypes, self.args = make, dtypes, args
        leaves = el.flatten(dtypes)
        self.specs = list(zip(leaves, [TensorShape(None)] * len(leaves) if shapes is None
                              else [TensorShape(s) for s in el.flatten_up_to(dtypes, shapes, "from_generator")]))

    def elements(self, key: tuple) -> Iterator[Any]:
        produced = iter(self.make(*self.args))
        try:
            for value in produced:
                yield self._checked(value)
        finally:
            # A pass that is dropped half-way must not leave the user's generator open.
            close = getattr(produced, "close", None)
            if close is not None:
                close()

    def _checked(self, value: Any) -> Any:
        parts = el.flatten_up_to(self.dtypes, value, "from_generator")
        leaves = []
        for part, (dtype, shape) in zip(parts, self.specs):
            if dtype is None:
                leaf = el.as_leaf(part, "from_generator")
            elif isinstance(part, Tensor):
                leaf = convert(part, dtype, op="from_generator")
            else:
                leaf = as_array(el.host_leaf(part), dtype, "from_generator")
            if not shape.is_compatible_with(el.leaf_shape(leaf)):
                raise InvalidArgumentError(f"from_generator: an element has shape {show(el.leaf_shape(leaf))}, "
                                           f"output_shapes says {shape}")
            leaves.append(leaf)
        return el.pack(self.dtypes, leaves)
