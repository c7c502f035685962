"""How a pending block runs: op by op, through the interpreter kernel, or as a kernel of its own.

    op by op      the kernels each op has anyway; always possible, nothing to prepare
    interpreter   one launch of a kernel that every device compiles once (kernels/vm.py)
    compiled      one kernel for this structure (kernels/chain.py)

All give the same bits. A `Way` belongs to a structure and to which of its values are still held by somebody: only
those are written, what they do not need is not computed.

A structure seen for the first time runs op by op, as preparing anything costs more than that saves; unless one of
its kernels has not been built yet, which costs a hundred times more than the interpreter's plan. Seen again, it
goes the way that costs less (costs.py). What is lost against a kernel of its own is added up, and when that exceeds
what a build costs, the kernel is built beside the program (`_compile`), and takes over when it is ready.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.base import config
from cltensor.core.dispatch import bound
from cltensor.core.tensor import Tensor
from cltensor.interpret import builder, instructions  # noqa: F401  (what the interpreter kernel knows)
from cltensor.interpret.costs import Costs, costs_of
from cltensor.interpret.runner import bind_launches
from cltensor.interpret.structure import Structure, needed, structure_of
from cltensor.interpret.trie import State, forget
from cltensor.kernels.chain import lower_compiled
from cltensor.kernels.vm import lower_interpreted

__all__ = ["Way", "forced", "TIERS", "TRIALS"]

TIERS = ("op by op", "interpreter", "compiled")
TRIALS = 16             # times a short block may go to the interpreter before kernels of its own are built
FEW_BYTES = 1 << 16     # of buffers a kernel may hold on to
SMALL = 1 << 16         # elements up to which that is no loss to speak of
_log = logging.getLogger("cltensor")
_forced: list[str] = []
Run = Callable[[list], list]            # inputs of a block -> buffers of the values held


def _forcing() -> str:
    return _forced[-1] if _forced else "compiled" if config.get("DEFER") == "compile" else ""


class Way:
    """How blocks of one structure run whose values at `held` (positions among the ops) are wanted."""

    __slots__ = ("state", "held", "seen", "settled", "force", "traced", "ops", "lost", "_structure", "_each",
                 "_interpreted", "_costs", "__weakref__")

    def __init__(self, state: State, held: tuple):
        self.state, self.held = state, held
        self.seen = 0
        self.settled: Run | None = None         # what it has come to
        self.force, self.traced = _forcing(), config.debug(2)
        self.ops = needed(state.path(), self.held)[0]
        self.lost = 0.0
        self._each: Run | None = None
        self._interpreted: Run | None | bool = False
        self._structure: Structure | None = None
        self._costs: Costs | None = None

    def run(self, inputs: list) -> list:
        """The buffers of the values held, from the block's inputs."""
        run = self.settled
        return (run or self._choose())(inputs)

    @property
    def beyond(self) -> bool:
        """True if the interpreter was tried, and cannot."""
        return self._interpreted is None

    def _choose(self) -> Run:
        """How to run now; kept in `settled` once that is how it stays."""
        self.seen += 1
        run, title = self._tier()
        if self.traced:
            structure = self.structure()
            _log.info("%s block of %d ops, seen %d times, %s\n%s", self.state.sig.device.short, len(self.ops),
                      self.seen, title, structure and structure.text())
        return run

    def _tier(self) -> tuple[Run, str]:
        alone, run, cheaper = len(self.ops) == 1, None, False
        if self.force == "compiled":
            run, title = self.compiled(), self.force
        elif self.force == "interpreter":
            run, title = self.interpreted(), self.force
        elif not self.force:
            cheaper = self.seen > 1 and not alone and self.costs.interpreted < self.costs.each
            short = self.seen <= TRIALS and self.ops[-1].sig.spec.size <= SMALL
            if cheaper or (self.seen == 1 or short) and not all(map(_built, self.ops)):
                run, title = self.interpreted(), "interpreter"
        if run is None:
            run, title, cheaper = self.each, "op by op", self.seen > 1 or alone
        if self.force:
            self.settled = run
        elif cheaper and not self.traced:
            self.settled = run if alone else self._counting(run, title)
        return run, title

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

    def compiled(self) -> Run | None:
        """As kernels of its own; None where that cannot be."""
        structure, device = self.structure(), self.state.sig.device
        plan = None if structure is None else lower_compiled(structure.block, device.traits)
        return None if plan is None or structure is None else _fused(structure, plan, device)

    def _counting(self, run: Run, title: str) -> Run:
        """A run that counts the seconds it costs too much: for enough of them the structure is compiled."""
        now = self.costs.each if title == "op by op" else self.costs.interpreted
        loss = now - self.costs.compiled
        if loss <= 0:
            return run

        def counted(inputs: list) -> list:
            self.lost += loss
            if self.lost > builder.LEAST and self.lost > builder.build_seconds() and not builder.busy():
                self.lost = -1e9            # once; if it fails, the interpreter is as good
                _compile(self)
            return run(inputs)
        return counted

    @property
    def costs(self) -> Costs:
        """What the ways cost."""
        if self._costs is None:
            path = self.state.path()
            ops, wanted = needed(path, self.held)
            self._costs = costs_of(ops, path, wanted)
        return self._costs

    def structure(self) -> Structure | None:
        """The block as plain data."""
        if self._structure is None:
            self._structure = structure_of(self.state, self.held)
        return self._structure


def _compile(way: Way) -> None:
    """Build a structure's kernels beside the program, and let them take over."""
    structure, device = way.structure(), way.state.sig.device
    if structure is None:
        return

    def job() -> None:
        plan = lower_compiled(structure.block, device.traits)
        if plan is not None:
            builder.rehearse(_Name(structure), plan, device, structure.ins, structure.outs)
            way.settled = _fused(structure, plan, device)
    builder.later(job, _Name(structure).name)


def _built(s: State) -> bool:
    """True if the op's own kernel is there already."""
    if s.run is not None:
        return True
    path = s.path()
    return bound(s.op, tuple(path[o].sig if o >= 0 else 1.0 for o in s.operands), s.attrs, make=False) is not None


class _Name:
    """Lends a fused block its name."""

    __slots__ = ("name",)
    may_fail, fails = False, ""

    def __init__(self, structure: Structure):
        names = list(dict.fromkeys(s.split()[2] for s in structure.names))
        self.name = "block of " + ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _fused(structure: Structure, plan: Any, device: Any) -> Run:
    launches = bind_launches(_Name(structure), plan, device, structure.ins, structure.outs)
    reads, results, workspace = structure.inputs, structure.results, plan.workspace
    sizes = [s.nbytes for s in structure.outs]
    allocate, launch = device.memory.allocate, device.queue.launch
    if sum(s.nbytes for s in (*structure.ins, *structure.outs)) <= FEW_BYTES:
        for one in launches:
            one.remember(device.memory)

    def run(inputs: list) -> list:
        values = [inputs[i] for i in reads]
        made = [allocate(n) for n in sizes]
        works = [allocate(n) for n in workspace]
        for one in launches:
            held = [values[i].buffer for i in one.ins]      # another thread may put its own copy into a tensor
            args = [block.mem for block in held]
            args += [made[i].mem for i in one.outs]
            if works:
                args += [works[i].mem for i in one.works]
            args += [cast(values[i]) for i, cast in one.slots]
            one.run(launch, args)
        return [made[i] if i >= 0 else inputs[~i].buffer for i in results]
    return run


def _alone(state: State) -> Run:
    operands = tuple([o if o >= 0 else ~o for o in state.operands])         # all leaves come before the numbers

    def run(inputs: list) -> list:
        args = tuple([inputs[o] for o in operands])
        return [(state.run or _bind(state, args))(args).buffer]
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

    def run(inputs: list) -> list:
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
        return [values[slot].buffer for slot in wanted]
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
    """Inside, blocks run by this one of `TIERS` where it can. For tests."""
    _forced.append(tier)
    forget()
    try:
        yield
    finally:
        _forced.pop()
        forget()
