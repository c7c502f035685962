"""Constant folding: a pure op on constants alone runs now, once, instead of at each replay."""

from __future__ import annotations

from typing import Any

from cltensor.core.dispatch import device_scope, eagerly, execute
from cltensor.core.late import Late
from cltensor.core.tensor import Tensor
from cltensor.graph.program import Program
from cltensor.interpret.record import Symbol

__all__ = ["fold", "LARGEST"]

LARGEST = 1 << 20           # bytes of a folded result: a bigger constant would hold memory for little gain


def fold(program: Program) -> Program:
    """The program with constant sub-expressions replaced by their values."""
    known: dict[int, Tensor] = {}
    nodes = []
    for node in program.nodes:
        inputs = tuple(known.get(x.uid, x) if isinstance(x, Symbol) else x for x in node.inputs)
        constant = node.op.pure and not any(isinstance(x, (Symbol, Late)) for x in inputs)
        if constant and node.op.run is None and sum(o.spec.nbytes for o in node.outputs) <= LARGEST:
            with eagerly(), device_scope(node.device):
                out: Any = execute(node.op, inputs, node.attrs)
            for symbol, value in zip(node.outputs, out if isinstance(out, tuple) else (out,)):
                known[symbol.uid] = value
        else:
            nodes.append(node.with_inputs(inputs))
    return program.with_nodes(nodes, known)
