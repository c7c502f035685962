"""Why a gradient is None: a recorder that notes every op, differentiable or not, and where the program asked for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import state
from cltensor.core.op import OpDef
from cltensor.core.tensor import Tensor
from cltensor.ops.variable import Variable

__all__ = ["explain_none"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Step(NamedTuple):
    """An op that ran: its inputs, those among them it has a gradient by, its results, those that may carry one."""

    op: str
    ins: tuple
    smooth: tuple
    outs: tuple
    floating: tuple
    where: str

    def __str__(self) -> str:
        return f"{self.op} at {self.where}"


def _where() -> str:
    """File and line of the program, outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


class _Everything:
    """Notes all ops and all readings of variables while a function runs."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self.reads: dict[int, list[int]] = {}

    def record(self, op: OpDef, attrs: tuple, inputs: tuple, out: Any) -> None:
        """An op ran."""
        outs = out if isinstance(out, tuple) else (out,)
        rules = (op.vjps[0],) * len(inputs) if op.variadic and op.vjps else op.vjps or (None,) * len(inputs)
        ins = tuple(x.uid if isinstance(x, Tensor) else 0 for x in inputs)
        smooth = tuple(i for i, rule in zip(ins, rules) if rule is not None)
        floating = tuple(y.uid for y in outs if y.dtype.is_floating)
        self.steps.append(_Step(op.name, ins, smooth, tuple(y.uid for y in outs), floating, _where()))

    def waits(self, entry: tuple) -> None:
        """An op was put off."""
        self.record(*entry)

    def record_custom(self, record: Any) -> None:
        """A function with its own gradient ran, or a traced one."""
        ins, outs = record.in_uids, record.out_uids
        self.steps.append(_Step(record.name, ins, ins, outs, outs, _where()))

    def read(self, variable: Variable, value: Tensor) -> None:
        """A variable was read."""
        self.reads.setdefault(id(variable), []).append(value.uid)

    def reached(self, uids: set, smooth: bool) -> set:
        """What depends on these tensors; with `smooth` through gradients only."""
        found = set(uids)
        for s in self.steps:
            if not found.isdisjoint(s.smooth if smooth else s.ins):
                found.update(s.floating if smooth else s.outs)
        return found

    def leading_to(self, uids: set) -> set:
        """What these tensors depend on."""
        found = set(uids)
        for s in reversed(self.steps):
            if not found.isdisjoint(s.outs):
                found.update(s.ins)
        return found


def explain_none(function: Callable[[], Any], source: Any) -> str:
    """Why `tape.gradient` of what a function returns by a source is None, in a sentence; "" where it is not.

    Args:
        function: takes nothing, and computes the target (a tensor or a nest of them); it is called once.
        source: the variable or tensor whose gradient is missing.

    Returns: what cuts the way from the source to the target, with the line of the program; "" where nothing does.
    Raises: InvalidArgumentError for a source that is neither a tensor nor a variable.

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable([1., 3., 2.])
        >>> print(tf.contrib.eager.explain_none(lambda: tf.cast(tf.argmax(w), tf.float32) * 2., w).partition(" at ")[0])
        argmax
        >>> tf.contrib.eager.explain_none(lambda: tf.reduce_sum(w * w), w)
        ''
    """
    if not isinstance(source, (Tensor, Variable)):
        raise InvalidArgumentError(f"explain_none: source must be a tensor or a variable, {source!r:.60} is a "
                                   f"{type(source).__name__}")
    name = f"variable {source.name}" if isinstance(source, Variable) else f"the tensor of shape {source.shape}"
    notes = _Everything()
    state.recorders.append(notes)
    try:
        targets = nest.flatten(function())
    finally:
        state.recorders.remove(notes)
    wanted = {(t.current() if isinstance(t, Variable) else t).uid for t in targets if isinstance(t, (Tensor, Variable))}
    if not source.dtype.is_floating:
        return f"{name} has dtype {source.dtype.name}; only floating tensors have gradients"
    if any(t is source for t in targets):
        return ""
    if not wanted:
        return "the function returns no tensor; a value that has been read (numpy(), float()) has no gradient"
    starts = set(notes.reads.get(id(source), [])) if isinstance(source, Variable) else {source.uid}
    if not starts:
        return f"the function never reads {name}"
    smooth, related = notes.reached(starts, smooth=True), notes.leading_to(wanted)
    if not wanted.isdisjoint(smooth):
        if isinstance(source, Variable) and not source.trainable:
            return f"{name} is not trainable, so a tape watches it only after tape.watch(variable)"
        return ""
    for s in notes.steps:
        if not smooth.isdisjoint(s.ins) and smooth.isdisjoint(s.outs) and not related.isdisjoint(s.outs):
            if smooth.isdisjoint(s.smooth):
                return f"{s} has no gradient by what {name} leads to"
            return f"{s} gives integers or booleans, which have no gradient"
    last = [s for s in notes.steps if not smooth.isdisjoint(s.ins)]
    led = f"the last op that it leads to is {last[-1]}" if last else "no op takes it"
    return (f"no ops lead from {name} to the target: {led}; a value that went through numpy(), float() or a Python "
            "number, or was computed before, has no gradient")
