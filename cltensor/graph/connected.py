"""Which tensors of a graph depend on which through ops with gradients: it decides where `tf.gradients` answers None."""

from __future__ import annotations

from typing import Any

from cltensor.core.tensor import Tensor
from cltensor.graph.nodes import GRADIENTS, LATER
from cltensor.interpret.record import Node

__all__ = ["connected"]


def connected(sources: set, ys: list, nodes: list[Node], records: list) -> set:
    """Which of the sources the ys depend on through ops with gradients."""
    from_source = {uid: {uid} for uid in sources}
    custom = {uid: r for r in records for uid in r.out_uids}
    for node in nodes:
        if hasattr(node.op, "connected"):           # control flow knows what its bodies connect
            for o, some in zip(node.outputs, node.op.connected(node.inputs, from_source)):
                if some and o.dtype.is_floating:
                    from_source[o.uid] = some
            continue
        if node.op is GRADIENTS:
            inputs: Any = node.attrs[0][1] + node.attrs[1][1]
            rules = [True] * len(inputs)
        elif node.op is LATER:
            inputs, rules = node.inputs, [True] * len(node.inputs)
        else:
            inputs = node.inputs
            rules = [node.op.variadic or i < len(node.op.vjps) and node.op.vjps[i] is not None
                     for i in range(len(inputs))] if node.op.vjps else [False] * len(inputs)
        found: set = set()
        for x, rule in zip(inputs, rules):
            if rule and isinstance(x, Tensor):
                found |= from_source.get(x.uid, set())
        for o in node.outputs:
            if o.uid in custom:
                found = set().union(*(from_source.get(u, set()) for u in custom[o.uid].in_uids))
            if found and o.dtype.is_floating:
                from_source[o.uid] = from_source.get(o.uid, set()) | found
    return set().union(*(from_source.get(y.uid, set()) for y in ys)) if ys else set()
