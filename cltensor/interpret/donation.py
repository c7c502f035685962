"""New values of variables written over the old ones, where nobody else holds these.

A variable holds an immutable tensor, and an update puts another in its place. If only the variable held the old one,
that other may lie in the same memory: an optimizer then takes no memory beside the variables and slots, and a step
over large variables moves a third less. Elementwise kernels read an element before they write it, so they may do so.

Who else holds the old value is found by counting references. The order matters, as threads may read the variable
meanwhile: first the new tensor takes the old one's place, so that nobody gets at the old one any more; then the
references are counted; the launch follows under the same hold of the queue's lock, so that whoever has read the new
tensor waits, and sees what it will hold.
"""

from __future__ import annotations

import sys
from typing import Any

from cltensor.core.op import OpDef
from cltensor.core.tensor import Tensor
from cltensor.interpret.eager import infer_specs, input_specs, lower
from cltensor.interpret.runner import BoundLaunch, bind_launches

__all__ = ["destination", "update"]

_MOST = 1024                    # bound updates kept
_bound: dict[tuple, BoundLaunch] = {}


class _Like:
    """Has a block, as a tensor has."""

    __slots__ = ("block",)

    def __init__(self, block: Any):
        self.block = block


def _alone() -> tuple[int, int]:
    """What getrefcount says of a tensor in a list, and of its block in two lists and in another tensor."""
    if not hasattr(sys, "getrefcount"):
        return -1, -1               # then nothing is known to be held by nobody else
    held = [_Like(object())]
    blocks = [held[0].block]
    others = [blocks[0], _Like(blocks[0])]
    return sys.getrefcount(held[0]), sys.getrefcount(others[0])


_ALONE = _alone()
_references = getattr(sys, "getrefcount", lambda value: 0)


def destination(variable: Any, sig: Any, nbytes: int, i: int, held: list, blocks: list) -> Any:
    """Put a tensor without a value yet in the variable's place; returns the block to write it to.

    `held[i]` is the tensor the variable held, `blocks[i]` its block, which the caller has in one more list; nothing
    else of the caller's may refer to them. To be called with the queue's lock held; `variable.exchange(held[i])` undoes
    it.
    """
    same = variable.exchange(Tensor(sig, blocks[i])) is held[i]
    if same and (_references(held[i]), _references(blocks[i])) == _ALONE:
        return blocks[i]
    block = sig.device.memory.allocate(nbytes)
    variable.exchange(Tensor(sig, block))
    return block


def update(row: OpDef, variables: list, others: tuple) -> bool:
    """Give the variables the results of an expression row over their values and `others`: tensors and numbers.

    False, and nothing has happened, where that is not one kernel over arrays of one device.

    Raises: what `infer` raises; ResourceExhaustedError. The variables hold then what they held.
    """
    if any(v.on_host for v in variables):
        return False
    held = [v.held for v in variables]
    key = (row, *[t.sig for t in held], *[x.sig if type(x) is Tensor else type(x) for x in others])
    step = _bound.get(key)
    if step is None:
        step = _bind(row, (*held, *others))
        if step is None:
            return False
        if len(_bound) >= _MOST:
            _bound.clear()
        _bound[key] = step
    sig, blocks = held[0].sig, [t.buffer for t in held]
    # a generator would keep the last block, and so would the name of a loop
    table = [*blocks, *[x.buffer if type(x) is Tensor else x for x in others]]
    exchanged: list[int] = []

    def prepare() -> None:
        outs = []
        for i, variable in enumerate(variables):
            exchanged.append(i)
            outs.append(destination(variable, sig, sig.spec.nbytes, i, held, blocks).mem)
        values = [table[i].mem for i in step.ins] + outs + [cast(table[i]) for i, cast in step.slots]
        args = step.template.copy()
        for at, value in zip(step.at, values):
            args[at] = value
        step.kernel.set_args(*args)
    try:
        sig.device.queue.launch_all(prepare, ((step.kernel, step.global_size, step.local_size),))
    except BaseException:
        for i in exchanged:
            variables[i].exchange(held[i])
        raise
    return True


def _bind(row: OpDef, inputs: tuple) -> BoundLaunch | None:
    """The one launch of the row on these inputs, its own; None where it takes more, or its results differ."""
    sig, device = inputs[0].sig, inputs[0].sig.device
    if not all(x.sig.device is device if type(x) is Tensor else type(x) is float for x in inputs):
        return None
    if not sig.spec.size or not all(x.sig is sig for x in inputs[:row.outputs]):
        return None
    ins = input_specs(row, inputs)
    outs = infer_specs(row, ins, ())
    plan = lower(row, ins, tuple(type(x) is float for x in inputs), outs, (), device.traits)
    if len(plan.launches) != 1 or plan.workspace:
        return None
    step, = bind_launches(row, plan, device, ins, outs)
    return step
