"""Drop what nothing wanted depends on. Rows with effects on the outside (host rows that are not pure) stay."""

from __future__ import annotations

from cltensor.graph.program import Program
from cltensor.interpret.record import Symbol

__all__ = ["prune"]


def prune(program: Program) -> Program:
    """The program without dead nodes."""
    wanted = {f.uid for f in program.fetches if isinstance(f, Symbol)}
    kept = []
    for node in reversed(program.nodes):
        effect = node.op.run is not None and not node.op.pure
        if effect or any(o.uid in wanted for o in node.outputs):
            kept.append(node)
            wanted.update(x.uid for x in node.inputs if isinstance(x, Symbol))
    return program.with_nodes(reversed(kept))
