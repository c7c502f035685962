"""Deferred eager execution: ops wait in a block (pending.py), and run together when a value is asked for.

    y = x * 0.5 + b         two steps along the trie (trie.py), two tensors without a buffer
    print(y)                reads y.buffer: the block runs, in one launch if it can (tiers.py); x * 0.5 is not
                            written, as nobody holds it

`append` stands in the gate before the immediate path; shortcuts.py has the same for the public functions that take
one or two arguments. Shapes, dtypes and users' errors come at the call: all is
looked up first, and the block is changed last. A block runs (`flush`) when it is full, when a value of it is read,
when a tape begins (so that the steps of a loop are cut alike) and after an optimizer's update, unless steps are so
small that several go into one block (`pause`).

A block belongs to one thread and device, and no other thread touches it: one that reads a pending tensor computes
that value for itself, from the same path and inputs, which only grow. So there is no lock.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.base import config
from cltensor.base.dtypes import bool_, float16, float32
from cltensor.core import dispatch
from cltensor.core.dispatch import SLOTS, Here, readers, state
from cltensor.core.late import Late
from cltensor.core.op import OpDef
from cltensor.core.spec import sig_of
from cltensor.core.tensor import Tensor
from cltensor.interpret.eager import infer_specs, input_specs, place
from cltensor.interpret.pending import NEVER, Pending
from cltensor.interpret.trie import LEAVES, REFUSED, REPEATS, SHAPED, State, key_of, marks_of
from cltensor.runtime import device as devices

__all__ = ["flush", "pause", "code_of", "active", "using", "restart"]

DTYPES = (float32, float16, bool_)
_NUMBERS = frozenset(kind for kind, sig in SLOTS.items() if sig.slot != "bool" and not issubclass(kind, Late))
_codes: dict[tuple, int] = {}   # (op, attributes) -> what edges call it; 0: it never waits
_next_code = itertools.count(1).__next__


# -- the gate's way in
def _open(here: Here, inputs: tuple) -> Pending | None:
    """The thread's block on the device of these inputs; None where ops run at once."""
    if not here.blocks and not _enabled():
        here.immediate = NEVER
        return None
    device = place(inputs)
    block = here.blocks.get(device)
    if block is None:
        block = here.blocks[device] = Pending(device)
    here.pending = block
    return block


def _enabled() -> bool:
    mode = config.get("DEFER")
    if mode == "auto":
        return devices.default().traits.schedule == "cpu" and not config.get("SYNC")
    return bool(mode != "0")


def code_of(op: OpDef, attrs: tuple = ()) -> int:
    """What edges of the trie call an op."""
    return _codes.setdefault((op, attrs), _next_code() << 20)


def append(here: Here, op: OpDef, inputs: tuple, attrs: tuple) -> Tensor | None:
    """Put an op off: its result, pending; None where it cannot wait, and then nothing has changed.

    Raises: what `infer` raises; nothing has changed then either.
    """
    block = here.pending
    if block is None:
        block = _open(here, inputs)
        if block is None:
            return None
    code = _codes.get((op, attrs))
    if code is None:
        code = code_of(op, attrs)
    if not code:
        return None
    x = inputs[0]
    if len(inputs) == 1 and type(x) is Tensor and x.pending is block and not op.variadic:
        after = block.state.next.get(code + x.state.left)
        if after is not None:
            return None if after is REFUSED else _appended(here, block, after, op, attrs, inputs)
    at, slots = block.state, block.slots
    operands: list = []
    numbers: list = []
    leaves: dict[Tensor, int] = {}
    for x in inputs:
        kind = type(x)
        if kind is Tensor:
            if x.pending is block:
                operands.append(x.state.slot)
                continue
            slot = slots.get(x)
            if slot is None:
                slot = leaves.get(x)
            if slot is None:
                spec = x.sig.spec
                if op.view or spec.dtype not in DTYPES or not spec.size:
                    return None
                if x.sig.device is not block.device:
                    return _elsewhere(here, block, op, inputs, attrs)
                at = at.leaf(x.sig)
                slot = leaves[x] = at.slot
            operands.append(slot)
        elif op.slots is True and kind in _NUMBERS:
            numbers.append(float(x))
            operands.append(None)
        elif kind in readers:
            return append(here, op, tuple([x.as_tensor() if type(x) in readers else x for x in inputs]), attrs)
        else:
            return None
    if numbers and not _typed(op, operands):
        return None
    if leaves and block.state.leaves + len(leaves) > LEAVES and block.tensors:
        block.cut()
        return append(here, op, inputs, attrs)
    edge = (code, *operands) if op.variadic else key_of(code, operands)
    after = at.next.get(edge)
    if after is None:
        after = _infer(at, edge, block, op, inputs, attrs, operands)
    if after is None:
        block.cut()
        return append(here, op, inputs, attrs)
    if after is REFUSED:
        return None
    for x in leaves:
        if x.pending is not None:           # of another thread, or of this one on another device
            x.buffer                        # noqa: B018
    if state.here.pending is not block:     # computing it opened another
        return append(here, op, inputs, attrs)
    block.inputs += leaves
    block.inputs += numbers
    slots.update(leaves)
    return _appended(here, block, after, op, attrs, inputs)


def _typed(op: OpDef, operands: list) -> bool:
    """True if beside every number stands a tensor whose dtype it takes."""
    names = dispatch.letters(op, len(operands))
    return {n for n, o in zip(names, operands) if o is None} <= {n for n, o in zip(names, operands) if o is not None}


def _appended(here: Here, block: Pending, after: State, op: OpDef, attrs: tuple, inputs: tuple) -> Tensor:
    block.state = after
    t = Tensor(after.sig)
    t.pending, t.state = block, after
    block.tensors.append(t)
    for r in here.recorders:
        r.waits((op, attrs, inputs, t))
    if after.stop:
        block.full(after.stop)
    return t


def _elsewhere(here: Here, block: Pending, op: OpDef, inputs: tuple, attrs: tuple) -> Tensor | None:
    """On another device than the current block: in the block there, if all inputs are."""
    device = place(inputs)
    if device is block.device or any(type(x) is Tensor and x.sig.device is not device for x in inputs):
        return None
    here.pending = None
    return append(here, op, inputs, attrs)


def _infer(at: State, edge: Any, block: Pending, op: OpDef, inputs: tuple, attrs: tuple,
           operands: list) -> State | None:
    """A step never taken before: its result's spec, or the finding that this op does not wait; None: not in one
    block with what is there."""
    ins = input_specs(op, inputs)
    spec, = infer_specs(op, ins, attrs)
    if spec.dtype not in DTYPES or not spec.size:
        _codes[op, attrs] = 0
        return REFUSED
    if op.steps is not None and op.steps(tuple(x.sig.spec for x in inputs), (spec,), **dict(attrs)) is None:
        at.refuse(edge)
        return REFUSED
    marks = marks_of(op, ins, spec)
    if marks == REPEATS and at.marks & SHAPED:
        return None
    if marks == SHAPED and (at.marks & REPEATS or inputs[0].pending is not block):     # a leaf's buffer is there
        at.refuse(edge)
        return REFUSED
    return at.step(edge, sig_of(spec, block.device), op, attrs, tuple(operands), marks)


def flush() -> None:
    """Run what this thread has pending, on all devices."""
    for block in list(state.here.blocks.values()):
        block.flush()


def pause() -> None:
    """Between the steps of a loop: run what is pending, unless the next step may be in the same block."""
    for block in list(state.here.blocks.values()):
        block.pause()


def active() -> bool:
    """True where an expression row would wait now."""
    here = state.here
    return here.pending is not None or (not here.immediate and here.interpreter is None and _enabled())


@contextmanager
def using(mode: str) -> Iterator[None]:
    """Inside, this thread defers as CLTENSOR_DEFER=mode says. For tests and benchmarks."""
    with config.override(defer=mode):
        restart()
        try:
            yield
        finally:
            flush()
    restart()


def restart() -> None:
    """Run what is pending, and decide anew whether to defer, with no memory of what was gained."""
    flush()
    here = state.here
    here.pending, here.immediate, here.blocks = None, 0, {}


dispatch.install_deferred(append)
devices.settle.append(flush)
