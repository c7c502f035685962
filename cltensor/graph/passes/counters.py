"""Counters stay on the host: whole numbers that decide, or say which element of a list is meant, never go to a device.

A replay waits for the device when a control node reads its predicate. Scalars computed from scalars (`i + 1`,
`i < n`) need no device: where their inputs have a host copy, NumPy computes them, with the wrapping of the device's
integers, and where not, their kernel runs as ever. So a counted loop never waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec, sig_of
from cltensor.core.tensor import Tensor
from cltensor.graph.program import Program
from cltensor.interpret.record import Node, Symbol

__all__ = ["count_on_host", "COUNTER"]


def _divided(divide: Callable) -> Callable:
    """Division by zero gives zero, as the kernels do."""
    return lambda x, y: divide(x, y) if y != 0 else np.zeros_like(x)


_ON_HOST: dict[str, Callable] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "floordiv": _divided(np.floor_divide),
    "mod": _divided(np.mod), "negative": np.negative, "maximum": np.maximum, "minimum": np.minimum, "less": np.less,
    "less_equal": np.less_equal, "greater": np.greater, "greater_equal": np.greater_equal, "equal": np.equal,
    "not_equal": np.not_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_xor": np.logical_xor, "logical_not": np.logical_not, "cast": lambda x: x}


def _count(*inputs: Any, op: OpDef, attrs: tuple, out: Spec) -> Any:
    first = next((x for x in inputs if isinstance(x, Tensor)), None)
    if first is None or any(isinstance(x, Tensor) and x.host is None for x in inputs):
        return execute(op, inputs, attrs)
    number = first.spec.dtype.np.type
    with np.errstate(all="ignore"):
        value = _ON_HOST[op.name](*[x.host if isinstance(x, Tensor) else number(x) for x in inputs])
    return Tensor(sig_of(out, first.sig.device), None, np.asarray(value, out.dtype.np))


COUNTER = OpDef("counter", ("values",), lambda *specs, op, attrs, out: out, run=_count, types="*",
                doc="A whole number computed on the host where that needs no waiting.")


def _whole(x: Any) -> bool:
    return isinstance(x, Tensor) and x.spec.shape == () and x.dtype.kind in ("int", "bool")


def count_on_host(program: Program) -> Program:
    """The program with the numbers that control nodes and lists read computed on the host."""
    wanted = {f.uid for f in program.fetches if _whole(f)} if program.inner else set()
    kept = []
    for node in reversed(program.nodes):
        if node.op.run is not None:
            wanted.update(x.uid for x in node.inputs if _whole(x))
        elif node.op.name in _ON_HOST and len(node.outputs) == 1 and node.outputs[0].uid in wanted \
                and all(_whole(x) or isinstance(x, (bool, int)) for x in node.inputs):
            wanted.update(x.uid for x in node.inputs if isinstance(x, Symbol))
            node = Node(COUNTER, node.inputs, (("op", node.op), ("attrs", node.attrs), ("out", node.outputs[0].spec)),
                        node.outputs, node.device)
        kept.append(node)
    return program.with_nodes(reversed(kept))
