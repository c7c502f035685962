"""Places: a kernel writes its results where a concatenation wants them, and the copy that made it is dropped.

The kernel is the elementwise one that makes the last of the parts. Parts that were there before are read by it and
written to their places, too: the step of a recurrent cell that makes `h` also puts the next input beside it.
"""

from __future__ import annotations

from math import prod

from cltensor.base.shapes import row_major_strides
from cltensor.graph.passes.fuse import INPUTS, FusedNode, as_fused
from cltensor.graph.program import Program, consumers
from cltensor.interpret.record import Node, Symbol
from cltensor.kernels.expression import Expression, Piece

__all__ = ["write_places"]

LEAST = 16          # adjacent elements of a part: kernels walk vectors
MOST = 24           # arrays that a kernel writes


def _parts(concat: Node) -> list[Piece] | None:
    """Where the parts of a concatenation lie in it; None where they differ in shape or have too little in a row."""
    if concat.op.name != "concat" or len(concat.inputs) < 2 or not concat.outputs[0].spec.size:
        return None
    out = concat.outputs[0].spec.shape
    shapes = {tuple(x.spec.shape) for x in concat.inputs}
    if len(shapes) > 1:
        return None
    shape, strides = shapes.pop(), tuple(row_major_strides(out))
    axis = dict(concat.attrs)["axis"] % len(shape)
    return [Piece(i * shape[axis] * strides[axis], strides) for i in range(len(concat.inputs))] \
        if prod(shape[axis:]) >= LEAST else None


def _writing(fused: FusedNode, concat: Node, parts: list[Piece], kept: set[int]) -> FusedNode | None:
    """The kernel with the parts of a concatenation at their places; `kept` are the uids of values that others read."""
    inputs, expression = list(fused.inputs), fused.expression
    cut = {i for i, _ in fused.pieces}
    own = {o.uid: k for k, o in enumerate(fused.made)}
    for x in concat.inputs:
        if x.uid not in own and not any(x is known for i, known in enumerate(inputs) if i not in cut):
            inputs.append(x)
    expression = expression.reading(tuple((x.spec.dtype.name, False) for x in inputs[len(fused.inputs):]))
    places = fused.places or tuple((k, None) for k in range(len(fused.made)))
    entries = [(fused.outputs[k], piece, v, o) for (k, piece), v, o in zip(places, expression.outputs, fused.made)
               if piece or o.uid in kept]
    for x, piece in zip(concat.inputs, parts):
        v = expression.outputs[own[x.uid]] if x.uid in own else next(
            i for i, known in enumerate(inputs) if known is x and i not in cut)
        entries.append((concat.outputs[0], piece, v, x))
    if len(inputs) > INPUTS or len(entries) > MOST:
        return None
    results = {result.uid: result for result, *_ in entries}
    wide = FusedNode(list(fused.parts), inputs, list(results.values()),
                     Expression(expression.inputs, expression.statements, tuple(v for _, _, v, _ in entries)),
                     fused.pieces, tuple((list(results).index(result.uid), piece) for result, piece, *_ in entries))
    wide.op.name, wide.made = f"{fused.op.name} in place", tuple(o for *_, o in entries)
    return wide


def write_places(program: Program) -> Program:
    """The program with kernels that write parts of concatenations where they belong."""
    fetched = {f.uid for f in program.fetches if isinstance(f, Symbol)}
    readers = {uid: {id(n) for n in nodes} for uid, nodes in consumers(program).items()}
    nodes: list[Node | None] = list(program.nodes)
    at = {o.uid: i for i, n in enumerate(program.nodes) for o in n.outputs}
    for i, concat in enumerate(program.nodes):
        parts = _parts(concat)
        last = max((at.get(x.uid, -1) for x in concat.inputs), default=-1) if parts else -1
        fused = as_fused(nodes[last]) if last >= 0 and nodes[last] is not None else None        # type: ignore[arg-type]
        if fused is None or fused.shape != concat.inputs[0].spec.shape or fused.device is not concat.device:
            continue
        kept = fetched | {uid for uid, them in readers.items() if them - {id(concat)}}
        wide = _writing(fused, concat, parts, kept)         # type: ignore[arg-type]
        if wide is None:
            continue
        for them in readers.values():
            them.discard(id(concat))
        nodes[last], nodes[i] = wide, None
        at[concat.outputs[0].uid] = last
    return program.with_nodes([n for n in nodes if n is not None])
