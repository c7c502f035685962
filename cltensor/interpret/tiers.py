"""How a pending block runs: op by op, through the interpreter kernel, or as a kernel of its own.

    op by op      the kernels each op has anyway; always possible, nothing to prepare
    interpreter   one launch of a kernel that every device compiles once (kernels/vm.py)
    compiled      one kernel for this structure (kernels/chain.py)

All give the same bits. A `Way` belongs to a structure and to which of its values are still held by somebody: only
those are written, what they do not need is not computed.

A structure seen for the first time runs op by op, as preparing anything costs more than that saves; unless one of
its kernels has not been built yet, which costs a hundred times more than the interpreter's plan. Seen again, it
goes to the interpreter, where three ops or more gain by it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.base import config
from cltensor.core.dispatch import bound
from cltensor.core.tensor import Tensor
from cltensor.interpret import instructions  # noqa: F401  (what the interpreter kernel knows)
from cltensor.interpret.runner import bind_plan
from cltensor.interpret.structure import Structure, needed, structure_of
from cltensor.interpret.trie import State, forget
from cltensor.kernels.vm import lower_interpreted

__all__ = ["Way", "forced", "TIERS", "FEWEST", "TRIALS"]

FEWEST = 3              # ops for which the interpreter gains
TIERS = ("op by op", "interpreter")
TRIALS = 16             # times a short block may go to the interpreter before kernels of its own are built
SMALL = 1 << 16         # elements up to which that is no loss to speak of
_log = logging.getLogger("cltensor")
_forced: list[str] = []
Run = Callable[[list], list[Tensor]]


class Way:
    """How blocks of one structure run whose values at `held` (positions among the ops) are wanted."""

    __slots__ = ("state", "held", "seen", "settled", "force", "traced", "ops", "_structure", "_each", "_interpreted")

    def __init__(self, state: State, live: tuple):
        self.state = state
        self.held = tuple([i for i, wanted in enumerate(live) if wanted])
        self.seen = 0
        self.settled: Run | None = None         # what it has come to
        self.force, self.traced = _forced[-1] if _forced else "", config.debug(2)
        self.ops = needed(state.path(), self.held)[0]
        self._each: Run | None = None
        self._interpreted: Run | None | bool = False
        self._structure: Structure | None = None

    def run(self, inputs: list) -> list[Tensor]:
        """The values held, from the block's inputs."""
        run = self.settled
        return (run or self._choose())(inputs)

    def _choose(self) -> Run:
        self.seen += 1
        run, last = self._tier()
        if self.traced:
            self._show(run)
        elif last:
            self.settled = run
        return run

    def _tier(self) -> tuple[Run, bool]:
        """How to run now, and whether that is how it stays."""
        many = len(self.ops) >= FEWEST
        if self.force != "op by op":
            short = self.seen <= TRIALS and self.ops[-1].sig.spec.size <= SMALL
            if self.force or many and self.seen > 1 or (many or short) and not all(map(_built, self.ops)):
                run = self.interpreted()
                if run is not None:
                    return run, many or bool(self.force)
        return self.each, not many or self.seen > 1 or bool(self.force)

    @property
    def each(self) -> Run:
        """Op by op."""
        if self._each is None:
            self._each = _alone(self.state) if self.state.ops == 1 else _op_by_op(self.state.path(), self.held)
        return self._each

    def interpreted(self) -> Run | None:
        """Through the interpreter kernel; None where it cannot."""
        if self._interpreted is False:
            structure = self.structure()
            plan = device = None
            if structure is not None:
                device = self.state.sig.device
                plan = lower_interpreted(structure.block, device.traits)
            self._interpreted = None if plan is None or structure is None else _fused(structure, plan, device)
        return self._interpreted        # type: ignore[return-value]

    def structure(self) -> Structure | None:
        """The block as plain data."""
        if self._structure is None:
            self._structure = structure_of(self.state, self.held)
        return self._structure

    def _show(self, run: Run) -> None:
        structure = self.structure()
        _log.info("%s block of %d ops, seen %d times, %s\n%s", self.state.sig.device.short, len(self.ops), self.seen,
                  "op by op" if run is self._each else "interpreted", structure and structure.text())


def _built(s: State) -> bool:
    """True if the op's own kernel is there already."""
    if s.run is not None:
        return True
    path = s.path()
    return bound(s.op, tuple(path[o].sig if o >= 0 else 1.0 for o in s.operands), s.attrs, make=False) is not None


class _Name:
    """Lends a fused block its name."""

    __slots__ = ("name", "outputs")
    may_fail, fails = False, ""

    def __init__(self, structure: Structure):
        names = list(dict.fromkeys(s.split()[2] for s in structure.names))
        self.name = "block of " + ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        self.outputs = len(structure.outs)


def _fused(structure: Structure, plan: object, device: object) -> Run:
    bound_plan = bind_plan(_Name(structure), plan, device, structure.ins, structure.outs)
    reads, results = structure.inputs, structure.results
    if len(results) == 1:
        return lambda inputs: [bound_plan(tuple([inputs[i] for i in reads]))]
    if len(structure.outs) == 1:
        return lambda inputs: [bound_plan(tuple([inputs[i] for i in reads]))] * len(results)
    if results == tuple(range(len(results))):
        return lambda inputs: bound_plan(tuple([inputs[i] for i in reads]))

    def run(inputs: list) -> list[Tensor]:
        found = bound_plan(tuple([inputs[i] for i in reads]))
        return [found[i] for i in results]
    return run


def _alone(state: State) -> Run:
    operands = tuple([o if o >= 0 else ~o for o in state.operands])         # all leaves come before the numbers

    def run(inputs: list) -> list[Tensor]:
        args = tuple([inputs[o] for o in operands])
        return [(state.run or _bind(state, args))(args)]
    return run


def _op_by_op(path: list[State], held: tuple) -> Run:
    ops, wanted = needed(path, held)
    leaves = [(s.slot, s.inputs - 1) for s in path if s.op is None]
    last: dict[int, int] = {}
    for s in ops:
        last.update((o, s.slot) for o in s.operands if o >= 0)
    drops: dict[int, list] = {}
    for slot, at in last.items():
        if slot not in wanted:
            drops.setdefault(at, []).append(slot)
    steps = tuple((s, s.operands, tuple(drops.get(s.slot, ()))) for s in ops)
    size = len(path)

    def run(inputs: list) -> list[Tensor]:
        values: list = [None] * size
        for slot, at in leaves:
            values[slot] = inputs[at]
        for state, operands, dropped in steps:
            args = tuple([values[o] if o >= 0 else inputs[~o] for o in operands])
            try:
                values[state.slot] = (state.run or _bind(state, args))(args)
            except Exception as error:
                raise _named(error, state.op.name) from None
            for slot in dropped:
                values[slot] = None
        return [values[slot] for slot in wanted]
    return run


def _bind(state: State, args: Any) -> Callable[[tuple], Tensor]:
    """What runs the op of a state by itself."""
    run = state.run = bound(state.op, args, state.attrs)
    return run      # type: ignore[no-any-return]


def _named(error: Exception, op: str) -> Exception:
    """The error with the op's name in front: it comes later than the call that asked for the op."""
    if error.args and isinstance(error.args[0], str) and not error.args[0].startswith(op):
        error.args = (f"{op}: {error.args[0]}", *error.args[1:])
    return error


@contextmanager
def forced(tier: str) -> Iterator[None]:
    """Inside, blocks run "op by op" or through the "interpreter" where it can. For tests."""
    _forced.append(tier)
    forget()
    try:
        yield
    finally:
        _forced.pop()
        forget()
