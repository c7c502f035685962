"""Asking for a gradient again: where everything waits in one block, the backward pass is one step along its trie.

A training step that fits a block (interpret/defer.py) appends the same ops at every turn: the forward ones because
the program asks for them, the backward ones because the rules do. The path of the block says all that the rules depend
on; so what the walk appended the first time, it would append again. It is remembered where the path ends, as an edge
that leads over many ops: the state it ended in, the numbers and constants it brought, and where the gradients are.

    ... -- square 4 -- mean 5 ==========================> ... multiply 12, number
                              the backward pass of `mean 5` by leaves 0 and 3

So a step that was seen before needs no records, and no rule is called. Nothing is remembered that depends on more
than structure: numbers that rules read (of `x ** 3.0` the 3.0) are looked at as well.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign
from typing import Any

from cltensor.core.dispatch import MEMO_LIMIT, state
from cltensor.core.tensor import Tensor
from cltensor.interpret.defer import Pending
from cltensor.interpret.trie import State

__all__ = ["Question", "question"]


class _Known:
    """The answers to a question: which numbers of the block's inputs matter, and a walk for each of their values."""

    __slots__ = ("numbers", "walks")

    def __init__(self, numbers: list[int]):
        self.numbers = numbers
        self.walks: dict[tuple, _Walk] = {}

    def values(self, block: Pending) -> tuple:
        """The numbers as they are now; zeros of both signs are equal, and not the same."""
        values = tuple(map(block.inputs.__getitem__, self.numbers))
        return values if 0.0 not in values else (*values, *(copysign(1.0, v) for v in values))


class _Walk:
    """What a backward pass did to a block: where it ended, the inputs it brought, the states of its ops, and which
    of these are the gradients."""

    __slots__ = ("end", "inputs", "steps", "found")

    def __init__(self, end: State, inputs: list, steps: list, found: list):
        self.end, self.inputs, self.steps, self.found = end, inputs, steps, found


class Question:
    """What a gradient is asked of: a block, and a key that tells which of its values are watched, targets and sources."""

    __slots__ = ("block", "at", "key", "known", "inputs", "ops", "values")

    def __init__(self, block: Pending, key: tuple):
        self.block, self.at, self.key = block, block.state, key
        self.known: _Known | None = self.at.walks.get(key) if self.at.walks is not None else None

    def recall(self) -> list | None:
        """The gradients, if they were asked for before, appended to the block; else None."""
        known, block = self.known, self.block
        walk = known.walks.get(known.values(block)) if known is not None else None
        if walk is None:
            return None
        made: list[Any] = [object() for _ in walk.steps]        # nobody holds what lies between
        for i in walk.found:
            if type(made[i]) is not Tensor:
                at = walk.steps[i]
                t = made[i] = Tensor(at.sig)
                t.pending, t.state = block, at
        out = [made[i] for i in walk.found]
        block.inputs += walk.inputs
        block.tensors += made
        block.state = walk.end
        del made
        if walk.end.stop:
            block.full(walk.end.stop)
        return out

    def prepare(self, log: list, records: list) -> None:
        """Look at the block before a walk, with the records made of the log; `remember` comes after it."""
        block = self.block
        if self.known is None:
            made = {r.out_uids[0]: r for r in records}
            numbers = [~o for entry in log if len(entry) == 4 and entry[3].uid in made
                       for i, o in enumerate(entry[3].state.operands) if o < 0 and i in made[entry[3].uid].xs]
            self.known = _Known(numbers)
        self.values = self.known.values(block)
        self.inputs, self.ops = len(block.inputs), len(block.tensors)

    def remember(self, out: list) -> None:
        """Keep what the walk has done, if all of it is in the block still."""
        block, known = self.block, self.known
        if state.here.pending is not block or known is None:
            return
        steps = [t.state for t in block.tensors[self.ops:]]
        inputs = block.inputs[self.inputs:]
        if any(type(x) is Tensor and x.host is None for x in inputs):
            return
        place = {at: i for i, at in enumerate(steps)}
        if any(type(g) is not Tensor or g.pending is not block or g.state not in place for g in out):
            return
        if self.at.walks is None:
            self.at.walks = {}
        for memo in (self.at.walks, known.walks):
            if len(memo) >= MEMO_LIMIT:
                memo.clear()            # type: ignore[attr-defined]
        self.at.walks[self.key] = known
        known.walks[self.values] = _Walk(block.state, inputs, steps, [place[g.state] for g in out])


def question(log: list, counts: Callable, targets: list, sources: list) -> Question | None:
    """What a backward pass depends on; None where that is more than the structure of the current block.

    Args:
        log: all that a tape noted: (op, attributes, inputs, result), and (variable or None, value) of what was read or
            watched.
        counts: tells whether the tape watches a variable.
        targets, sources: tensors and variables.
    """
    here = state.here
    block = here.pending
    if block is None or here.recorders or here.interpreter is not None:
        return None
    slots, ops, first, last = block.slots, 0, 0, 0
    key: list = []
    read: dict[int, int] = {}               # variable -> the slot of what it held
    for entry in log:
        if len(entry) == 4:
            out = entry[3]
            if out.pending is not block:
                return None
            last = out.state.ops
            first = first or last
            ops += 1
        else:
            variable, value = entry
            if variable is None or counts(variable):
                slot = value.state.slot if value.pending is block else slots.get(value)
                if slot is not None:        # else no op of the block reads it
                    key += ops, slot
                    if variable is not None and read.setdefault(id(variable), slot) != slot:
                        return None
    if last - first + 1 != ops:             # the tape did not see some of the ops between
        return None
    key += first, None
    for t in targets:
        if type(t) is not Tensor or t.pending is not block:
            return None
        key.append(t.state.slot)
    key.append(None)
    for s in sources:
        slot = read.get(id(s)) if type(s) is not Tensor else s.state.slot if s.pending is block else slots.get(s)
        if slot is None:
            return None
        key.append(slot)
    return Question(block, tuple(key))
