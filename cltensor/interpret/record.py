"""The recording interpreter: ops become nodes instead of running.

While one is active on a thread, `execute` appends (op, inputs, attributes) and returns symbols: tensors
with a spec, whose sizes may still be unknown, and without a value. The same rows, the same `infer`, the
same errors as in eager mode.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import FailedPreconditionError
from cltensor.core import dispatch
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec, sig_of
from cltensor.core.tensor import Tensor
from cltensor.interpret.eager import infer_specs, input_specs

__all__ = ["Symbol", "Node", "Recording"]


class Symbol(Tensor):
    """A tensor of a recording: a result of a node, or a placeholder (node None)."""

    __slots__ = ("node", "index")

    def __init__(self, spec: Spec, node: Any = None, index: int = 0):
        super().__init__(sig_of(spec, None))
        self.node, self.index = node, index

    @property
    def buffer(self) -> Any:
        raise FailedPreconditionError(f"{self!r} has no value: it was recorded, not computed; feed and run the "
                                      "recording to get one")

    def _scalar(self, what: str) -> Any:
        raise TypeError(f"{what}: {self!r} has no value while ops are recorded, so Python cannot branch on it; use "
                        "tf.where, or compute it eagerly")

    def __str__(self) -> str:
        return f"Tensor(shape={self.shape}, dtype={self.dtype.name})"

    __repr__ = __str__
    __hash__ = object.__hash__


class Node:
    """One recorded op; inputs are symbols, concrete tensors and Python scalars."""

    __slots__ = ("op", "inputs", "attrs", "outputs")

    def __init__(self, op: OpDef, inputs: tuple, attrs: tuple, specs: tuple):
        self.op, self.inputs, self.attrs = op, inputs, attrs
        self.outputs = tuple(Symbol(s, self, i) for i, s in enumerate(specs))


class Recording:
    """An interpreter that keeps what is executed inside its `with` block.

    Example:
        >>> from cltensor.core.spec import Spec
        >>> from cltensor.ops import math
        >>> x = Symbol(Spec((None, 3), "float32"))
        >>> with Recording() as recording:
        ...     y = math.add(x, 1.)
        >>> y, len(recording.nodes)
        (Tensor(shape=(?, 3), dtype=float32), 1)
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._before: list = []

    def __enter__(self) -> Recording:
        self._before.append(dispatch.state.interpreter)
        dispatch.state.interpreter = self
        return self

    def __exit__(self, *exc: Any) -> None:
        dispatch.state.interpreter = self._before.pop()

    def execute(self, op: OpDef, inputs: tuple, attrs: tuple) -> Any:
        """Append a node; raises what `infer` raises, and then nothing was appended."""
        inputs, _ = dispatch.prepare(op, inputs, attrs)
        inputs = dispatch.resolve_slots(op, inputs)
        node = Node(op, inputs, attrs, infer_specs(op, input_specs(op, inputs), attrs))
        self.nodes.append(node)
        out = node.outputs[0] if op.outputs == 1 and len(node.outputs) == 1 else node.outputs
        for recorder in dispatch.state.recorders:
            recorder.record(op, attrs, inputs, out)
        return out
