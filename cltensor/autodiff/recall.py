"""Asking for a gradient again: where everything waits in one block, the backward pass is one step along its trie.

A training step that fits a block (interpret/defer.py) appends the same ops at every turn: the forward ones because
the program asks for them, the backward ones because the rules do. The state of the block, with the states its
recorded ops left behind, says all that the rules depend on; so what the walk appended the first time, it would append
again. It is remembered: the state it ended in, the numbers and constants it brought, and where the gradients are.

Nothing is remembered that depends on more than structure: numbers that rules read are part of the key.
"""

from __future__ import annotations

from typing import Any

from cltensor.core.dispatch import MEMO_LIMIT, state
from cltensor.core.tensor import Tensor
from cltensor.interpret.defer import Pending
from cltensor.interpret.trie import State

__all__ = ["key_of", "recall", "remember", "Mark"]

_memo: dict[tuple, _Walk] = {}


class _Walk:
    """What a backward pass did to a block: where it ended, the inputs it brought, the states of its ops, and which
    of these are the gradients."""

    __slots__ = ("end", "inputs", "steps", "found")

    def __init__(self, end: State, inputs: list, steps: list, found: list):
        self.end, self.inputs, self.steps, self.found = end, inputs, steps, found


class Mark:
    """A block as it is before a backward pass."""

    __slots__ = ("block", "inputs", "ops")

    def __init__(self) -> None:
        self.block: Pending = state.here.pending
        self.inputs, self.ops = len(self.block.inputs), len(self.block.tensors)


def key_of(trail: list | None, records: list, targets: list, sources: list, uids: list) -> tuple | None:
    """What a backward pass depends on; None where that is more than the structure of the current block.

    Args:
        trail: the block of all records, then for each the state of its result and the inputs it tracks; None if
            there is no such block.
        targets, sources: tensors and variables; `uids` those of the sources' reads.
    """
    here = state.here
    block = here.pending
    if not trail or trail[0] is not block or here.recorders or here.interpreter is not None:
        return None
    key: list = [block.state]
    for t in targets:
        if type(t) is not Tensor or t.pending is not block:
            return None
        key.append(t.state)
    key.append(None)
    for s, some in zip(sources, uids):
        t = s if type(s) is Tensor else s.held
        slot = t.state.slot if t.pending is block else block.slots.get(t)
        if slot is None or some != [t.uid]:
            return None
        key.append(slot)
    key.append(None)
    for r in records:
        for x in r.xs.values():
            if type(x) is not Tensor:
                key.append(x)
    key += trail[1:]
    return tuple(key)


def recall(key: tuple | None) -> list | None:
    """The gradients of a backward pass asked for before, appended to the block; None if it was not."""
    walk = _memo.get(key) if key is not None else None
    if walk is None:
        return None
    block = state.here.pending
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


def remember(key: tuple, mark: Mark, out: list) -> None:
    """Keep what the walk since `mark` has done, if all of it is in the block still."""
    block = mark.block
    if state.here.pending is not block:
        return
    steps = [t.state for t in block.tensors[mark.ops:]]
    inputs = block.inputs[mark.inputs:]
    if any(type(x) is Tensor and x.host is None for x in inputs):
        return
    place = {at: i for i, at in enumerate(steps)}
    if any(type(g) is not Tensor or g.pending is not block or g.state not in place for g in out):
        return
    if len(_memo) >= MEMO_LIMIT:
        _memo.clear()
    _memo[key] = _Walk(block.state, inputs, steps, [place[g.state] for g in out])
