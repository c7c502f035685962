"""Pieces: elementwise kernels read their piece of an array where it lies, and the split that cut it out is dropped.

The gates of a recurrent cell are such pieces: four columns of one product.
"""

from __future__ import annotations

from math import prod

from cltensor.base.shapes import row_major_strides
from cltensor.graph.passes.fuse import FusedNode, as_fused
from cltensor.graph.program import Program, consumers
from cltensor.interpret.record import Node, Symbol
from cltensor.kernels.expression import Piece

__all__ = ["read_pieces"]

LEAST = 16          # adjacent elements of a piece: kernels walk vectors, and one element in a row is no vector at all


def _pieces(node: Node) -> dict[int, Piece]:
    """Where each result of a split lies in its input, by uid."""
    attrs, shape = dict(node.attrs), node.inputs[0].spec.shape
    axis, strides, at, found = attrs["axis"] % len(shape), row_major_strides(shape), 0, {}
    for o, n in zip(node.outputs, attrs["sizes"]):
        found[o.uid] = Piece(at * strides[axis], tuple(strides))
        at += n
    return found


def _reading(node: FusedNode, source: Symbol, pieces: dict[int, Piece]) -> FusedNode:
    """The node with those of its inputs that are pieces read from the array they are pieces of."""
    cut = dict(node.pieces)
    inputs = list(node.inputs)
    for i, x in enumerate(node.inputs):
        if isinstance(x, Symbol) and x.uid in pieces:
            inputs[i], cut[i] = source, pieces[x.uid]
    fresh = FusedNode(list(node.parts), inputs, list(node.outputs), node.expression, tuple(sorted(
        cut.items(), key=lambda pair: pair[0])))
    fresh.op = node.op
    return fresh


def read_pieces(program: Program) -> Program:
    """The program without splits that only elementwise kernels of the pieces' shape read."""
    readers = consumers(program)
    fetched = {f.uid for f in program.fetches if isinstance(f, Symbol)}
    nodes = {id(n): n for n in program.nodes}               # what stands in each node's place
    for node in program.nodes:
        if node.op.name != "split" or not isinstance(node.inputs[0], Symbol) or not prod(node.inputs[0].spec.shape):
            continue
        if min(dict(node.attrs)["sizes"]) * prod(node.inputs[0].spec.shape[dict(node.attrs)["axis"]:][1:]) < LEAST:
            continue
        reading = [(o, r) for o in node.outputs for r in readers.get(o.uid, ())]
        found = {id(r): fused for _, r in reading if (fused := as_fused(nodes[id(r)])) is not None}
        if any(o.uid in fetched for o in node.outputs) or not all(
                id(r) in found and r.device is node.device and found[id(r)].outputs[0].spec.shape == o.spec.shape
                for o, r in reading):
            continue
        pieces = _pieces(node)
        nodes.update((key, _reading(fused, node.inputs[0], pieces)) for key, fused in found.items())
    return program.with_nodes([nodes[id(n)] for n in program.nodes])
