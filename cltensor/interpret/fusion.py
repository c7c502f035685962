"""Fusion: recorded expression rows become one expression, which the elementwise template renders like any other.

The grouping is left to the caller; this is the pure step from nodes to an Expression, with the same bits
as the ops one by one (see kernels/elementwise.cl.mako and kernels/common.cl.mako for what that takes).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from cltensor.core.late import Late
from cltensor.core.tensor import Tensor
from cltensor.interpret.eager import expression_text, input_specs
from cltensor.interpret.record import Node, Symbol
from cltensor.kernels.expression import Expression, compose, single
from cltensor.kernels.text import literal

__all__ = ["fuse", "LIMIT"]

LIMIT = 24          # statements in one kernel: more spill registers and compile slowly


def fuse(nodes: list[Node], leaves: list, results: list[Symbol]) -> Expression | None:
    """The expression of `nodes` over `leaves`; None if one of them is no expression row, or there are too many.

    Args:
        nodes: in the order they were recorded; Python scalars in their inputs become literals.
        leaves: tensors, symbols and late numbers the expression reads, in the order of its inputs.
        results: symbols it yields.
    """
    if len(nodes) > LIMIT or any(n.op.expr is None for n in nodes):
        return None
    n, count = len(leaves), 0
    values = {_name(x): i for i, x in enumerate(leaves)}
    dtypes = [x.dtype.name if isinstance(x, Tensor) else "" for x in leaves]
    parts = []
    for node in nodes:
        keep = [i for i, x in enumerate(node.inputs) if isinstance(x, (Tensor, Late))]
        if any(_name(node.inputs[i]) not in values for i in keep):
            return None
        ins = input_specs(node.op, node.inputs)
        if not keep or ins[keep[-1]].dtype is not ins[-1].dtype:
            return None         # the last operand decides the words of a text, so it must be there
        for i in keep:
            if isinstance(node.inputs[i], Late):
                at = values[_name(node.inputs[i])]
                if dtypes[at] not in ("", ins[i].dtype.name):
                    return None         # one number in two dtypes would need two arguments
                dtypes[at] = ins[i].dtype.name
        texts = expression_text(node.op, ins, node.attrs)
        texts = tuple(_inline(t, node.inputs, ins, keep) for t in ((texts,) if isinstance(texts, str) else texts))
        part = single(texts, tuple(ins[i] for i in keep), (False,) * len(keep), tuple(o.spec for o in node.outputs))
        parts.append((part, tuple(values[_name(node.inputs[i])] for i in keep)))
        for o in node.outputs:
            values[o.uid] = n + count
            count += 1
    if any(r.uid not in values for r in results):
        return None
    inputs = tuple((d, isinstance(x, Late)) for d, x in zip(dtypes, leaves))
    return compose(parts, n, inputs, tuple(values[r.uid] for r in results))


def _name(x: Any) -> int:
    """A number for what a node reads: a tensor's uid, or the identity of a late number (never a uid: negative)."""
    return x.uid if isinstance(x, Tensor) else -id(x)


def _inline(text: str, inputs: tuple, specs: tuple, keep: list) -> str:
    """A row's text with Python scalars written as vectors of their literal, the other inputs renumbered."""
    number = {i: k for k, i in enumerate(keep)}

    def word(match: re.Match) -> str:
        i = int(match[1])
        if i in number:
            return f"x{number[i]}"
        value = inputs[i]
        if specs[i].dtype.is_floating:
            with np.errstate(over="ignore"):
                value = float(specs[i].dtype.np.type(value))
        return f"(($T)({literal(specs[i].dtype, value)}))"
    return re.sub(r"\bx(\d+)\b", word, text)
