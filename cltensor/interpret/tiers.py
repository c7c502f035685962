"""How a pending block runs: op by op, through the interpreter kernel, or as a kernel of its own.

    op by op      the kernels each op has anyway; always possible, nothing to prepare
    interpreter   one launch of a kernel that every device compiles once (kernels/vm.py)
    compiled      one kernel for this structure (kernels/chain.py)

All give the same bits. A `Way` belongs to a structure and to which of its values are still held by somebody: only
those are written, what they do not need is not computed.
"""

from __future__ import annotations

from collections.abc import Callable

from cltensor.core.dispatch import bound
from cltensor.core.tensor import Tensor
from cltensor.interpret.trie import State

__all__ = ["Way", "alone"]


class Way:
    """How blocks of one structure run whose values at `held` (positions among the ops) are wanted."""

    __slots__ = ("state", "held", "seen", "fused", "_each")

    def __init__(self, state: State, live: tuple):
        self.state = state
        self.held = tuple(i for i, wanted in enumerate(live) if wanted)
        self.seen = 0
        self.fused: Callable | None = None
        self._each: Callable | None = None

    def run(self, inputs: list) -> list[Tensor]:
        """The values held, from the block's inputs."""
        self.seen += 1
        return self.each(inputs)

    def each(self, inputs: list) -> list[Tensor]:
        """Op by op."""
        if self._each is None:
            self._each = _op_by_op(self.state.path(), self.held)
        return self._each(inputs)


def alone(state: State, inputs: list) -> Tensor:
    """The value of a block of one op."""
    args = tuple([inputs[o] if o >= 0 else inputs[~o] for o in state.operands])
    return (state.run or bind(state, args))(args)


def bind(state: State, args: tuple) -> Callable:
    """What runs the op of a state by itself."""
    state.run = bound(state.op, args, state.attrs)
    return state.run


def needed(path: list[State], held: tuple) -> tuple[list[State], list[int]]:
    """The ops that the values held depend on, in order, and the slots of those values."""
    ops = [s for s in path if s.op is not None]
    wanted = [ops[i].slot for i in held]
    need = set(wanted)
    for s in reversed(ops):
        if s.slot in need:
            need.update(o for o in s.operands if o >= 0)
    return [s for s in ops if s.slot in need], wanted


def _op_by_op(path: list[State], held: tuple) -> Callable[[list], list[Tensor]]:
    ops, wanted = needed(path, held)
    leaves = [(s.slot, s.inputs - 1) for s in path if s.op is None]
    last: dict[int, int] = {}
    for s in ops:
        last.update((o, s.slot) for o in s.operands if o >= 0)
    drops: dict[int, list] = {}
    for slot, at in last.items():
        if slot not in wanted:
            drops.setdefault(at, []).append(slot)
    steps = tuple((s, s.operands, tuple(drops.get(s.slot, ()))) for s in ops if s.op is not None)
    size = len(path)

    def run(inputs: list) -> list[Tensor]:
        values: list = [None] * size
        for slot, at in leaves:
            values[slot] = inputs[at]
        for state, operands, dropped in steps:
            args = tuple([values[o] if o >= 0 else inputs[~o] for o in operands])
            try:
                values[state.slot] = (state.run or bind(state, args))(args)
            except Exception as error:
                raise _named(error, state.op.name) from None
            for slot in dropped:
                values[slot] = None
        return [values[slot] for slot in wanted]
    return run


def _named(error: Exception, op: str) -> Exception:
    """The error with the op's name in front: it comes later than the call that asked for the op."""
    if not error.args or not isinstance(error.args[0], str) or error.args[0].startswith(op):
        return error
    error.args = (f"{op}: {error.args[0]}", *error.args[1:])
    return error
