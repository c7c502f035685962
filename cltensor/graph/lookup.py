"""What a graph has under which name: its operations and tensors, found as TensorFlow 1.x's programs find them."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.core import scope
from cltensor.graph.names import Names, name_scope
from cltensor.graph.operation import Operation
from cltensor.interpret.record import Known, Symbol
from cltensor.ops.variable import Variable

__all__ = ["Lookup"]


class Lookup:
    """The part of a graph that is about names."""

    names: Names

    def unique_name(self, name: str, under: bool = True) -> str:
        """A name nothing else has, from now on taken; `under` the name scope."""
        return self.names.unique(scope.current() + name if under else name)

    def name_scope(self, name: str | None) -> Any:
        """`tf.name_scope`; None for the outermost."""
        return name_scope(name or "")

    def get_operations(self: Any) -> list[Operation]:
        """All operations, placeholders and reads of variables first named among them, in the order of their making."""
        return [Operation(self, list(symbols), name) for name, symbols in self.names.ops.items()]

    def get_operation_by_name(self: Any, name: str) -> Operation:
        """The operation of this name.

        Raises: KeyError when there is none; DTypeError (a TypeError) unless it is text.
        """
        found, symbols = self.names.find(_text("get_operation_by_name", name))
        return Operation(self, list(symbols), found)

    def get_tensor_by_name(self, name: str) -> Symbol:
        """The tensor of this name, "op:0".

        Raises: KeyError when there is none; InvalidArgumentError (a ValueError) for the name of an operation.
        """
        op, colon, index = _text("get_tensor_by_name", name).rpartition(":")
        if not colon or not index.isdigit():
            raise InvalidArgumentError(f"get_tensor_by_name: {name!r} names an operation; a tensor's name is like "
                                       f"'{name}:0'")
        _, symbols = self.names.find(op)
        if int(index) >= len(symbols):
            raise KeyError(f"The name {name!r} refers to a Tensor which does not exist: the operation has "
                           f"{len(symbols)} results.")
        return symbols[int(index)]

    def as_graph_element(self: Any, obj: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Any:
        """The tensor or operation that this is, or that has this name.

        Raises: KeyError; InvalidArgumentError for one of another graph; DTypeError for anything else.
        """
        if isinstance(obj, str):
            return self.get_tensor_by_name(obj) if ":" in obj and allow_tensor else self.get_operation_by_name(obj)
        if isinstance(obj, Variable):
            return self.read(obj, obj.held)
        if not (isinstance(obj, (Symbol, Known)) and allow_tensor or isinstance(obj, Operation) and allow_operation):
            raise DTypeError(f"as_graph_element: a {type(obj).__name__} is no tensor or operation of a graph")
        if obj.graph is not self:
            raise InvalidArgumentError(f"as_graph_element: {obj} belongs to another graph")
        return obj


def _text(what: str, name: Any) -> str:
    if not isinstance(name, str):
        raise DTypeError(f"{what}: a name is text, {name!r:.60} is a {type(name).__name__}")
    return name
