"""Operation: what a session can run that has no value, and what a graph finds by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cltensor.core.tensor import Tensor
from cltensor.interpret.record import Known, find_session

if TYPE_CHECKING:
    from cltensor.graph.graph import Graph

__all__ = ["Operation"]


class Operation:
    """Something a Session can run that has no value: an op of the graph, or a group of symbols to reach.

    Attributes: `name`, `graph`; `outputs`, the tensors it makes, and `inputs`, those it reads; `type`.
    """

    def __init__(self, graph: Graph, symbols: list, name: str = "group", answer: Callable | None = None):
        self.graph, self.symbols, self.name = graph, symbols, name
        self.answer = answer        # what a session gives for it, asked after the run

    @property
    def outputs(self) -> list:
        return list(self.symbols)

    @property
    def node(self) -> Any:
        """The recorded op, None of a placeholder or a group."""
        nodes = {id(s.node): s.node for s in self.symbols}
        return next(iter(nodes.values())) if len(nodes) == 1 else None

    @property
    def type(self) -> str:
        if not self.symbols or self.node is not None:
            return self.node.op.name if self.symbols else "Group"
        return "Const" if isinstance(self.symbols[0], Known) else "Placeholder"

    @property
    def inputs(self) -> list:
        return [x for x in self.node.inputs if isinstance(x, Tensor)] if self.node is not None else []

    @property
    def control_inputs(self) -> list:
        """Operations that run before it."""
        return [s.op for s in self.graph.controls.get(id(self.node), ())]

    def run(self, feed_dict: Any = None, session: Any = None) -> None:
        """Run it in a session (the default one)."""
        (session or find_session[0](self.graph)).run(self, feed_dict)

    def __repr__(self) -> str:
        return f"<tf.Operation '{self.name}'>"
