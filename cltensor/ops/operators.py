"""Operators and op-like methods, installed on Tensor and Variable from one table.

The two classes stay free of ops, so that they can lie below them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cltensor.core.dispatch import device_scope
from cltensor.core.tensor import Tensor, convert, set_pack, to_array
from cltensor.interpret.record import Symbol
from cltensor.ops import functions, index, join, linalg, math
from cltensor.ops.array import identity
from cltensor.ops.sized import sized
from cltensor.ops.variable import Variable
from cltensor.runtime import device as devices

BINARY: dict[str, Callable] = {
    "add": math.add, "sub": math.subtract, "mul": math.multiply, "truediv": math.truediv,
    "floordiv": math.floordiv, "mod": math.mod, "pow": math.pow, "matmul": linalg.matmul,
}
COMPARE: dict[str, Callable] = {
    "lt": math.less, "le": math.less_equal, "gt": math.greater, "ge": math.greater_equal,
}
LOGIC = {"and": (math.logical_and, math.bitwise_and), "or": (math.logical_or, math.bitwise_or),
         "xor": (math.logical_xor, math.bitwise_xor)}


def _forward(op: Callable) -> Callable:
    return lambda self, other: op(self, other)


def _reflected(op: Callable) -> Callable:
    return lambda self, other: op(other, self)


def _logic(pair: tuple, reflected: bool) -> Callable:
    def method(self: Any, other: Any) -> Any:
        op = pair[0] if self.dtype.is_bool else pair[1]
        return op(other, self) if reflected else op(self, other)
    return method


def _equal(op: Callable, otherwise: bool) -> Callable:
    def method(self: Any, other: Any) -> Any:
        # comparing with what is no number answers as Python does, so `t == None` and `t in list` work
        if other is None or isinstance(other, (str, bytes, type)):
            return otherwise
        if not isinstance(other, (Tensor, Variable, bool, int, float, list, tuple, np.ndarray, np.generic)):
            return NotImplemented
        return op(self, other)
    return method


def _iterate(self: Any) -> Iterator:
    if not self.spec.shape:
        raise TypeError("iteration over a scalar tensor: it has no first dimension")
    for i in range(self.spec.shape[0]):
        yield index.getitem(self, i)


def _contains(self: Any, value: Any) -> bool:
    return bool(np.any(to_array(self if isinstance(self, Tensor) else self.as_tensor()) == np.asarray(value)))


def _gpu(self: Any, gpu_index: int = 0) -> Tensor:
    with device_scope(devices.find(f"gpu:{int(gpu_index)}")):
        return identity(self)


def _cpu(self: Any) -> Tensor:
    with device_scope(devices.find("cpu:0")):
        return identity(self)


def _pack(value: Any, dtype: Any) -> Tensor:
    """A nested list that holds tensors, as one tensor; differentiable."""
    parts = [_pack(v, dtype) if isinstance(v, (list, tuple)) else v for v in value]
    known = next((p.dtype for p in parts if isinstance(p, (Tensor, Variable))), dtype)
    return join.stack([convert(p, dtype or known, op="stack") for p in parts])


def _no_item_assignment(self: Any, key: Any, value: Any) -> None:
    raise TypeError("a Tensor cannot be changed; use tf.Variable and assign, or tf.where / tf.scatter_nd")


def _in_place(name: str) -> Callable:
    def method(self: Any, other: Any) -> Any:
        raise RuntimeError(f"Variable {self.name}: `variable {name}= value` would replace the variable by a tensor; "
                           f"use variable.assign{'_add' if name == '+' else '_sub' if name == '-' else ''}(...)")
    return method


def install() -> None:
    """Put the operators on both classes."""
    for cls in (Tensor, Variable):
        for name, op in BINARY.items():
            setattr(cls, f"__{name}__", _forward(op) if name == "pow" else op)      # pow(x, y, z) is none of ours
            setattr(cls, f"__r{name}__", _reflected(op))
        for name, op in COMPARE.items():
            setattr(cls, f"__{name}__", _forward(op))
        for name, pair in LOGIC.items():
            setattr(cls, f"__{name}__", _logic(pair, False))
            setattr(cls, f"__r{name}__", _logic(pair, True))
        methods: dict[str, Callable] = {
            "__div__": _forward(math.div), "__divmod__": lambda self, other: (math.floordiv(self, other),
                                                                             math.mod(self, other)),
            "__neg__": lambda self: math.negative(self), "__pos__": lambda self: self,
            "__abs__": lambda self: math.abs(self), "__round__": lambda self, n=None: functions.round(self),
            "__invert__": lambda self: math.logical_not(self) if self.dtype.is_bool else math.invert(self),
            "__eq__": _equal(math.equal, False), "__ne__": _equal(math.not_equal, True),
            "__getitem__": index.getitem, "__iter__": _iterate, "__contains__": _contains,
            "gpu": _gpu, "cpu": _cpu, "__hash__": object.__hash__,      # defining __eq__ would drop it
        }
        if cls is Tensor:
            methods["__setitem__"] = _no_item_assignment
        for name, method in methods.items():
            setattr(cls, name, method)
    Symbol.__getitem__ = sized(index.getitem)           # type: ignore[method-assign]
    for name, sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"), ("floordiv", "//"), ("mod", "%"),
                       ("pow", "**"), ("matmul", "@")):
        setattr(Variable, f"__i{name}__", _in_place(sign))
    set_pack(_pack)


__all__ = ["install"]
