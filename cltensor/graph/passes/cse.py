"""Common subexpressions: of two equal calls of a pure op the second takes the first one's results."""

from __future__ import annotations

from typing import Any

from cltensor.core.late import Late
from cltensor.core.tensor import Tensor
from cltensor.graph.program import Program
from cltensor.interpret.record import Node, Symbol

__all__ = ["cse"]


def _read(x: Any) -> Any:
    """What tells an input apart: tensors by identity, numbers by type and text (0.0 is not -0.0, 1 not True)."""
    if isinstance(x, Tensor):
        return x.uid
    return ("late", id(x)) if isinstance(x, Late) else (type(x), repr(x))


def cse(program: Program) -> Program:
    """The program without repeated calls."""
    first: dict[tuple, Node] = {}
    renamed: dict[int, Symbol] = {}
    nodes = []
    for node in program.nodes:
        node = node.with_inputs(tuple(renamed.get(x.uid, x) if isinstance(x, Symbol) else x for x in node.inputs))
        if node.op.pure and node.op.run is None:
            key = (node.op.name, node.attrs, node.device, tuple(_read(x) for x in node.inputs))
            known = first.setdefault(key, node)
            if known is not node:
                renamed.update((o.uid, k) for o, k in zip(node.outputs, known.outputs))
                continue
        nodes.append(node)
    return program.with_nodes(nodes, renamed)
