"""The block of ops that wait: one thread's, on one device, as a place in the trie; and how it is run.

What is still held at a flush is found by counting references; without CPython's counts everything is computed. A block
that is not full goes on over the end of a loop's step, if the step is small (`pause`): a launch costs more than what
is in it. See defer.py for how ops get here.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from threading import get_ident
from typing import Any

from cltensor.core.dispatch import catch_up, state
from cltensor.core.tensor import Tensor
from cltensor.interpret.tiers import Way
from cltensor.interpret.trie import FULL, HEAVY, HELD, LEAVES, MOST_NUMBERS, OPS, STEPS, root_of
from cltensor.interpret.trie import SLOTS as VALUES

__all__ = ["Pending", "NEVER", "REST", "LIGHT"]

NEVER = 1 << 62                 # ops to run at once: all
WINDOW, PROBE = 64, 16          # flushes looked at; as many after a rest
REST, LONGEST = 1024, 1 << 16   # ops that run at once when most of them gained nothing; twice as many each time
LIGHT = 1 << 16                 # bytes of leaves up to which several steps may be one block


class Pending:
    """The ops of one thread that wait on one device, as a place in the trie and the inputs of the path to it.

    `inputs` are leaf tensors and Python numbers in the order of the path, `slots` the numbers of the leaves,
    `tensors` those results that somebody got. All three are emptied at the end: dead tensors still point here, and a
    cycle would keep every buffer until the garbage collector comes.
    """

    __slots__ = ("device", "state", "begun", "inputs", "slots", "tensors", "owner", "history", "__weakref__")

    def __init__(self, device: Any, history: list | None = None):
        self.device, self.owner = device, get_ident()
        self.state = self.begun = root_of(device)       # now, and at the last pause
        self.inputs: list = []
        self.slots: dict[Tensor, int] = {}
        self.tensors: list[Tensor] = []
        # flushes, those without gain, rest, ops of a block of several steps that did no good
        self.history = [0, 0, REST, NEVER] if history is None else history

    def resolve(self, t: Tensor) -> None:
        """Give a tensor that waits here its buffer."""
        if self.owner == get_ident():
            self.flush()
        if t.pending is self:
            self._compute(t)

    def leave(self) -> None:
        """The thread has ended; what is still wanted will be computed by those who read it."""
        self.owner = 0
        self.tensors.clear()

    def flush(self) -> None:
        """Run the block; a fresh one takes its place."""
        tensors, inputs, at = self.tensors, self.inputs, self.state
        self._renew()
        if not tensors:
            return
        catch_up(state.here)
        self.history[0] += 1
        held = _held(tensors)
        live = tuple([t.state.ops - 1 for t in held])
        try:
            way = at.plans.get(live)
            if way is None:
                way = at.plans.setdefault(live, Way(at, live))
                self.history[1] += 1
            elif at.ops == 1:
                self.history[1] += 1
            if way.beyond and self.begun.ops:
                self.history[3] = min(self.history[3], at.ops)
            if held:
                for t, buffer in zip(held, way.run(inputs)):
                    t.settle(buffer)
        except BaseException as error:
            _fail(held, error)
            raise
        finally:
            held.clear()
            tensors.clear()
            inputs.clear()
            self.slots.clear()

    def _renew(self) -> None:
        here, history = state.here, self.history
        if here.blocks.get(self.device) is not self:
            return
        fresh = here.blocks[self.device] = Pending(self.device, history)
        if here.pending is self:
            here.pending = fresh
        if history[0] >= (WINDOW if history[2] == REST else PROBE):
            useless = 2 * history[1] > history[0]
            if useless:
                here.immediate, here.pending = history[2], None
            history[:] = 0, 0, min(2 * history[2], LONGEST) if useless else REST, NEVER

    def _compute(self, t: Tensor) -> None:
        """The value of one tensor, for a thread that is not the owner. Nothing of the block is changed."""
        at = t.state
        inputs = self.inputs[:at.inputs]
        if len(inputs) < at.inputs:         # run by its owner since
            return
        live = (at.ops - 1,)
        way = at.plans.get(live) or at.plans.setdefault(live, Way(at, live))
        t.settle(way.run(inputs)[0])

    def full(self, why: int) -> None:
        """A limit is reached: run, unless it is the bytes of leaves and they are held elsewhere too, or a further step
        of a loop began in this block, and that one is not full."""
        at, begun = self.state, self.begun
        if why == FULL and begun.ops and at.ops - begun.ops < OPS and _fits(at.ops, at.slot, at.leaves, at.numbers):
            return
        if why == HEAVY and sum(x.sig.spec.nbytes for x in self.inputs
                                if type(x) is Tensor and sys.getrefcount(x) <= 4) <= HELD:
            return
        self.cut()

    def cut(self) -> None:
        """Run in the middle of a step; where that follows another step, blocks are smaller for a while, or no two of
        them would be alike."""
        if self.begun.ops:
            self.history[3] = min(self.history[3], self.state.ops)
        self.flush()

    def pause(self) -> None:
        """A step of a loop ends here, perhaps: run, unless there is room for another such step, and it is small."""
        at, begun = self.state, self.begun
        if at is begun:
            return
        leaves = at.leaves - begun.leaves if begun.ops else 1       # the first step brings what all of them read
        if (at.held <= LIGHT and 2 * at.ops - begun.ops < self.history[3]
                and _fits(2 * at.ops - begun.ops, 2 * at.slot - begun.slot, at.leaves + leaves,
                          2 * at.numbers - begun.numbers)):
            self.begun = at
        else:
            self.flush()


def _fits(ops: int, slot: int, leaves: int, numbers: int) -> bool:
    return ops <= STEPS * OPS and slot < STEPS * VALUES and leaves < LEAVES and numbers < MOST_NUMBERS


class Failed:
    """Stands for the block of tensors that could not be computed: reading one raises what went wrong."""

    def __init__(self, error: BaseException):
        self.error = error

    def resolve(self, t: Tensor) -> None:
        raise self.error.with_traceback(None)


def _fail(tensors: list, error: BaseException) -> None:
    failed = Failed(error)
    for t in tensors:
        t.pending = failed


def _holding() -> Callable[[list], list]:
    """The function that finds those tensors of a list that something else holds: by their number of references."""
    if platform.python_implementation() != "CPython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return list
    counts = sys.getrefcount
    only, = [counts(t) for t in [object()]]
    return lambda tensors: [t for t in tensors if counts(t) > only]


_held = _holding()
