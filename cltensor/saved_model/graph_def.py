"""A saved function as data: nodes that name ops, what they read, and what is fed and returned.

It is what format.py writes and reads, what load.py runs, what show.py prints and what the ONNX export walks.
Nothing in it is code: an op is a name in the registry of rows, an attribute is plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cltensor.base.dtypes import DType, as_dtype
from cltensor.core.lists import list_of
from cltensor.core.spec import Spec
from cltensor.saved_model.sizes import Sized, value_of

__all__ = ["Ref", "Draw", "SizedConstant", "EmptyList", "ListKind", "Value", "Feed", "NodeDef", "Block", "CustomDef",
           "GraphDef", "VariableDef", "Bundle"]


@dataclass(frozen=True)
class Ref:
    """What a node reads: kind "feed", "variable", "constant" or "node", its number, and which of its outputs."""

    kind: str
    index: int
    output: int = 0


@dataclass(frozen=True)
class Draw:
    """First input of a random node, in place of the numbers that each run draws anew."""

    seed: int | None


@dataclass(frozen=True)
class SizedConstant:
    """A small constant whose elements follow from open sizes: the value of tf.shape(x)."""

    elements: tuple
    shape: tuple
    dtype: DType


@dataclass(frozen=True)
class ListKind(Sized):
    """Dtype of a list of tensors: of its elements, and their number, None where it varies."""

    element: DType
    length: Any

    @property
    def name(self) -> str:
        """As ListType calls it."""
        return f"list of {self.element.name}"

    def value(self, known: Mapping[str, Any]) -> Any:
        return list_of(self.element, value_of(self.length, known))


@dataclass(frozen=True)
class Value(Sized):
    """Dtype and shape of a tensor, or of a list's elements.

    A dimension is a number, a Size, or None: rounded quotients are not written down. The shape of elements may be
    None, if their rank is not known.
    """

    shape: Any
    dtype: Any

    def value(self, known: Mapping[str, Any]) -> Spec:
        """The spec."""
        return Spec(value_of(self.shape, known), value_of(self.dtype, known))

    def __str__(self) -> str:
        dims = "..." if self.shape is None else ", ".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.dtype.name}[{dims}]"


@dataclass(frozen=True)
class EmptyList:
    """A constant list in which nothing is written."""

    like: Value


@dataclass(frozen=True)
class Feed:
    """A tensor argument."""

    name: str
    value: Value


@dataclass(frozen=True)
class NodeDef:
    """One op: inputs are Refs, numbers, Sizes, SizedConstants, a Draw; attributes pairs of name and plain data.

    The ops "cond" and "while_loop" have an attribute `bodies`, two Blocks: for False and for True, or test and body.
    The inputs of a cond are the predicate and what its blocks are fed; those of a loop are the first values of the
    loop variables, `carried` of them, and what stays as it is, all of which its blocks are fed.
    """

    op: str
    inputs: tuple
    attrs: tuple
    outputs: tuple[Value, ...]


@dataclass(frozen=True)
class Block:
    """A branch, or the test or body of a loop: nodes that read `feeds`, which the control node gives, and constants."""

    feeds: tuple[Value, ...]
    nodes: tuple[NodeDef, ...]
    results: tuple


@dataclass(frozen=True)
class CustomDef:
    """A function with its own gradient, which was Python code and is not saved: no gradient passes its results."""

    name: str
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]


@dataclass(frozen=True)
class GraphDef:
    """One function.

    Attributes:
        name: of the function.
        arguments: pairs of a parameter's name and a structure whose leaves are numbers of feeds.
        feeds, nodes: in order; a node reads only what comes before it.
        result: a structure whose leaves are Refs or plain data.
        writes: pairs of a variable's number and the Ref of its new value.
        sizes: the open sizes, each with one that the function was traced with.
        customs: functions with gradients of their own, in the order of their results.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...]
    feeds: tuple[Feed, ...]
    nodes: tuple[NodeDef, ...]
    result: Any
    writes: tuple[tuple[int, Ref], ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    customs: tuple[CustomDef, ...] = ()


@dataclass(frozen=True)
class VariableDef:
    """A variable: its unique name, and what it is made with."""

    name: str
    value: Value
    trainable: bool = True
    host: bool = False


@dataclass(frozen=True)
class Bundle:
    """The functions of a saved model, by name, and what they share: variables, their values, constants."""

    functions: dict[str, GraphDef]
    variables: tuple[VariableDef, ...]
    values: tuple[np.ndarray, ...]
    constants: tuple[np.ndarray, ...]

    def value_of(self, function: GraphDef, ref: Ref) -> Value:
        """Shape and dtype of what a reference stands for."""
        if ref.kind == "feed":
            return function.feeds[ref.index].value
        if ref.kind == "node":
            return function.nodes[ref.index].outputs[ref.output]
        if ref.kind == "variable":
            return self.variables[ref.index].value
        array = self.constants[ref.index]
        return Value(array.shape, as_dtype(array.dtype))
