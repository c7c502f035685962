"""Asking for a gradient again: where everything waits in one block, the backward pass is one step along its trie.

A training step that fits a block (interpret/pending.py) appends the same ops at every turn: the forward ones because
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

from cltensor.core.dispatch import MEMO_LIMIT, state
from cltensor.core.tensor import Tensor
from cltensor.interpret.pending import Pending
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
    """What a backward pass did to a block: where it ended, the inputs it brought, the states of the gradients, and
    which of these is the gradient of each source."""

    __slots__ = ("end", "inputs", "states", "which")

    def __init__(self, end: State, inputs: list, found: list):
        self.end, self.inputs = end, inputs
        self.states = list(dict.fromkeys(found))
        self.which = None if len(self.states) == len(found) else [self.states.index(at) for at in found]


class Question:
    """What a gradient is asked of: a block, and which of its values are watched, targets and sources (`key`)."""

    __slots__ = ("block", "at", "key", "known", "inputs", "values")

    def __init__(self, block: Pending, key: tuple):
        self.block, self.at, self.key = block, block.state, key
        self.known: _Known | None = self.at.walks.get(key) if self.at.walks is not None else None

    def recall(self) -> list | None:
        """The gradients, if they were asked for before, appended to the block; else None."""
        known, block = self.known, self.block
        walk = known.walks.get(known.values(block)) if known is not None else None
        if walk is None:
            return None
        out = []
        for at in walk.states:              # nobody holds what lies between
            t = Tensor(at.sig)
            t.pending, t.state = block, at
            out.append(t)
        block.inputs += walk.inputs
        block.tensors += out
        block.state = walk.end
        if walk.which is not None:
            out = [out[i] for i in walk.which]
        if walk.end.stop:
            block.full(walk.end.stop)
        return out

    def prepare(self, log: list, records: list) -> None:
        """Look at the block before a walk, with the records made of the log; `remember` comes after it."""
        block = self.block
        if self.known is None:
            made = {r.out_uids[0]: r for r in records}
            numbers = [~o for entry in log if entry[3].uid in made
                       for i, o in enumerate(entry[3].state.operands) if o < 0 and i in made[entry[3].uid].xs]
            self.known = _Known(numbers)
        self.values = self.known.values(block)
        self.inputs = len(block.inputs)

    def remember(self, out: list) -> None:
        """Keep what the walk has done, if all of it is in the block still."""
        block, known = self.block, self.known
        if state.here.pending is not block or known is None:
            return
        inputs = block.inputs[self.inputs:]
        if any(type(x) is Tensor and x.host is None for x in inputs):
            return
        if any(type(g) is not Tensor or g.pending is not block or g.state.ops <= self.at.ops for g in out):
            return
        if self.at.walks is None:
            self.at.walks = {}
        for memo in (self.at.walks, known.walks):
            if len(memo) >= MEMO_LIMIT:
                memo.clear()            # type: ignore[attr-defined]
        self.at.walks[self.key] = known
        known.walks[self.values] = _Walk(block.state, inputs, [g.state for g in out])


def question(log: list, seen: list, counts: Callable, targets: list, sources: list) -> Question | None:
    """What a backward pass depends on; None where that is more than the structure of the current block.

    Args:
        log: (op, attributes, inputs, result) of all ops that a tape noted.
        seen: how many these were, variable (or None), value when something was read or watched.
        counts: tells whether the tape watches a variable.
        targets, sources: tensors and variables.
    """
    here = state.here
    block = here.pending
    if block is None or here.recorders or here.interpreter is not None or not log or len(here.blocks) > 1:
        return None
    first, last = log[0][3], log[-1][3]
    if first.pending is not block or last.pending is not block:
        return None
    if last.state.ops - first.state.ops + 1 != len(log):        # the tape did not see some of the ops between
        return None
    slots = block.slots
    key: list = [first.state.ops]
    read: dict[int, int] = {}               # variable -> the slot of what it held
    for at, variable, value in seen:
        if variable is None or counts(variable):
            slot = value.state.slot if value.pending is block else slots.get(value)
            if slot is not None:            # else no op of the block reads it
                key += at, slot
                if variable is not None and read.setdefault(id(variable), slot) != slot:
                    return None
    key.append(None)
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
