"""Notes: a recorder that keeps a record of every differentiable op, for a backward pass asked for later."""

from __future__ import annotations

from typing import Any

from cltensor.autodiff.backprop import OpRecord, Record
from cltensor.core.dispatch import state
from cltensor.core.tensor import Tensor

__all__ = ["Notes"]


class Notes:
    """Unlike a tape it watches nothing: every floating input counts, those of a backward pass included.

    Args:
        records: where records go, in the order the ops ran.
    """

    def __init__(self, records: list[Record]):
        self.records = records

    def record(self, op: Any, attrs: tuple, inputs: tuple, out: Any) -> None:
        """An op ran."""
        if op.vjps:
            floating = tuple(isinstance(x, Tensor) and x.dtype.is_floating and (op.variadic or op.vjps[i] is not None)
                             for i, x in enumerate(inputs))
            if any(floating):
                self.records.append(OpRecord(op, attrs, inputs, out if isinstance(out, tuple) else (out,), floating))

    def waits(self, entry: tuple) -> None:
        """An op was put off: (op, attributes, inputs, result)."""
        self.record(*entry)

    def record_custom(self, record: Record) -> None:
        """A custom gradient, or a control node."""
        self.records.append(record)

    def read(self, variable: Any, value: Tensor) -> None:
        """Which variable a value came from does not matter here."""

    def __enter__(self) -> Notes:
        state.recorders.append(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        state.recorders.remove(self)
