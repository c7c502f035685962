"""RecordedGraph: a traced function's recording as a reader sees it: inputs, outputs, operations, text."""

from __future__ import annotations

from typing import Any, NamedTuple

from cltensor.core.tensor import Tensor
from cltensor.graph.program import Program
from cltensor.interpret.record import Symbol

__all__ = ["RecordedGraph", "RecordedOp"]


class RecordedOp(NamedTuple):
    """One op: its name in this graph, what it is, and the tensors it reads and makes."""

    name: str
    type: str
    inputs: tuple
    outputs: tuple


class RecordedGraph:
    """What a traced function recorded, before it was optimised.

    Attributes: `inputs`, the tensors of the arguments; `outputs`, those of the results; `variables`.

    Example:
        >>> import cltensor as tf
        >>> double = tf.function(lambda x: x * 2.)
        >>> graph = double.get_concrete_function(tf.zeros([3])).graph
        >>> print(graph)
        %0 = feed (3,) float32
        %1 = multiply(%0, 2.0) (3,) float32
        fetch %1
        >>> [op.name for op in graph.get_operations()], graph.outputs[0].shape
        (['multiply'], TensorShape([3]))
    """

    def __init__(self, program: Program):
        self._program = program
        starts = {s.start.uid for s in program.states}
        self.inputs = [s for s in program.feeds if s.uid not in starts]
        written = sum(s.written for s in program.states)
        self.outputs = list(program.fetches[:len(program.fetches) - written])
        self.variables = [s.variable for s in program.states]

    def get_operations(self) -> list[RecordedOp]:
        """Its ops in the order they were recorded; a second one of a kind is name_1."""
        met: dict[str, int] = {}
        found = []
        for n in self._program.nodes:
            count = met[n.op.name] = met.get(n.op.name, -1) + 1
            found.append(RecordedOp(f"{n.op.name}_{count}" if count else n.op.name, n.op.name,
                                    tuple(x for x in n.inputs if isinstance(x, Tensor)), n.outputs))
        return found

    def __contains__(self, tensor: Any) -> bool:
        """Whether a tensor is one of this graph."""
        return isinstance(tensor, Symbol) and any(
            tensor is x for x in (*self._program.feeds, *(o for n in self._program.nodes for o in n.outputs)))

    def __str__(self) -> str:
        return str(self._program)
