"""The record of a call of a traced function, for tapes outside: one op, whose gradient comes in one of two ways.

    halves      the backward program of the call's own trace, on what the call kept; where nobody records the gradient
    backward    a traced function of its own, which computes the forward pass again; it has a gradient, too
"""

from __future__ import annotations

from typing import Any

from cltensor.autodiff.custom import CustomRecord
from cltensor.core.dispatch import state
from cltensor.core.late import Draws
from cltensor.graph.halves import Halves

__all__ = ["CallRecord"]


class CallRecord(CustomRecord):
    """What a tape outside keeps of a call: its inputs, the values the variables had, those the gradient reads."""

    __slots__ = ("function", "traced", "tensors", "values", "between", "draws", "flat", "args", "kwargs", "halves")

    def __init__(self, function: Any, traced: Any, tensors: list, values: list, outs: list,
                 draws: Draws | None, flat: list, args: tuple, kwargs: dict, halves: Halves | None):
        floating = [(v, t) for v, t in zip(traced.variables, values) if v.dtype.is_floating]
        count = sum(traced.kinds)
        super().__init__(function.name, tensors, outs[:count], lambda *g: None, floating)
        self.function, self.traced, self.tensors, self.values = function, traced, tensors, values
        self.between, self.halves = outs[count:] if halves else [], halves
        self.draws, self.flat, self.args, self.kwargs = draws, flat, args, kwargs

    def backward(self, gradients: tuple, wanted: tuple) -> list:
        if self.halves is not None and not state.recorders and state.interpreter is None:
            return self.halves.gradients(self.tensors, self.values, self.between, gradients, wanted)
        function = self.function.backward(self.traced, self.flat, self.args, self.kwargs)
        return function.call((list(self.tensors), list(self.values), list(gradients)), {}, self.draws)
