"""Planned replay: a program of kernels on one device as one list of launches with prepared arguments.

Everything is decided once: kernels, work sizes, which argument takes which buffer, and where each value lies
(`graph/layout.py`). A call looks which buffers and numbers differ from those of the last call, sets the arguments that
take them, and enqueues all launches under one hold of the queue's lock:

    fed, read from variables     whatever the call brings
    temporary                    slots, taken from the allocator for the call, and mostly the same ones again
    results                      blocks of their own, as they leave
    new values of variables      written over the old ones where nobody else holds these, else blocks of their own

All that can fail on our side comes before the first launch: a call that fails there changes no variable.
"""

from __future__ import annotations

import threading
from typing import Any

from cltensor.core.dispatch import eagerly
from cltensor.core.late import Late
from cltensor.core.spec import sig_of
from cltensor.core.tensor import Tensor
from cltensor.graph.layout import Layout
from cltensor.graph.program import Program
from cltensor.graph.recorded import RecordedGraph
from cltensor.interpret.donation import destination
from cltensor.interpret.eager import copy_to
from cltensor.interpret.record import EFFECT
from cltensor.interpret.runner import BoundLaunch
from cltensor.runtime.memory import part_of

__all__ = ["Planned", "fits"]


def fits(program: Program, device: Any) -> bool:
    """Whether all of the program is kernels on this device."""
    return (all(n.op is EFFECT or n.op.run is None and n.device in (None, device) for n in program.nodes)
            and all(s.variable.placed_on is device for s in program.states))


class _Numbered:
    """A launch with numbers known at the call: all its arguments, set together when one of them changes."""

    __slots__ = ("kernel", "args", "numbers")

    def __init__(self, kernel: Any, args: list, numbers: list):
        self.kernel, self.args, self.numbers = kernel, args, numbers    # (argument, cast, which late number)


class Planned:
    """A program ready to run.

    Args:
        program: optimised, and one that `fits`.
        device: where it runs.

    Attributes: `launches`, kernels per call; `kept_bytes`, constants and tables held between calls;
        `slot_bytes`, the memory that temporaries take turns in.
    """

    def __init__(self, program: Program, device: Any):
        self.program, self.device = program, device
        self.recorded = program
        self._lock = threading.RLock()
        before = device.memory.in_use
        layout = self._layout = Layout(program, device)
        self._effects = [dict(n.attrs)["call"] for n in program.nodes if n.op is EFFECT]
        self._variables = [s.variable for s in program.states]
        self._donated = [(at, nbytes, i, sig_of(self._variables[i].spec, device)) for at, nbytes, i in layout.donated]
        self._lates: list[Late] = []
        self._setters: list[list] = [[] for _ in range(layout.size)]    # by position: (set_arg, argument)
        self._numbered: list[_Numbered] = []
        self._members: list[list] = [[] for _ in range(layout.size)]    # by position: (launch with numbers, argument)
        self._entries = [self._connect(*given) for given in layout.launches]
        self._may_fail = any(launch.may_fail for launch, *_ in layout.launches)
        # numbers are drawn in the order of the ops that read them, as eager execution would
        self._sources = sorted({s for late in self._lates for s in late.sources}, key=lambda s: s.order)
        self._answers(program)
        self.launches = len(self._entries)
        self.slot_bytes = sum(nbytes for _, nbytes in layout.temporaries)
        self.kept_bytes = device.memory.in_use - before
        self.forget()
        device.memory.watch(self)

    def _connect(self, launch: BoundLaunch, buffers: list, numbers: list) -> tuple:
        """Sort a launch's arguments: set now, set when a buffer changes, set when a number changes."""
        kernel, args = launch.kernel, launch.template.copy()
        late = []
        for at, (cast, number) in zip(launch.at[len(buffers):], numbers):
            if isinstance(number, Late):
                known = next((i for i, x in enumerate(self._lates) if x is number), len(self._lates))
                if known == len(self._lates):
                    self._lates.append(number)
                late.append((at, cast, known))
            else:
                args[at] = cast(number)
                if not any(isinstance(x, Late) for _, x in numbers):
                    kernel.set_arg(at, launch.typed(at, args[at]))
        numbered = _Numbered(kernel, args, late) if late else None
        if numbered:
            self._numbered.append(numbered)
        for at, buffer in zip(launch.at, buffers):
            if not isinstance(buffer, int):
                args[at] = buffer.mem
                kernel.set_arg(at, buffer.mem)
            elif numbered:
                self._members[buffer].append((numbered, at))
            else:
                self._setters[buffer].append((kernel.set_arg, at))
        return kernel, launch.global_size, launch.local_size

    def _answers(self, program: Program) -> None:
        """How fetches are made of the table, and which variables take which."""
        written = [s.variable for s in program.states if s.written]
        count = len(program.fetches) - len(written)
        self._fetches = [self._source(f) for f in program.fetches[:count]]
        donated = {id(self._variables[i]) for _, _, i in self._layout.donated}
        self._writes = [(v, *self._source(f)) for v, f in zip(written, program.fetches[count:]) if id(v) not in donated]

    def _source(self, x: Tensor) -> tuple:
        """Where a value that leaves is: its position, its signature, and the tensor itself if it is a constant."""
        at = self._layout.position(x)
        return at, sig_of(x.spec, self.device), self._layout.constant(x) if at is None else None

    def forget(self) -> None:
        """Let go of the buffers of the last call: the next one sets all arguments."""
        self._last_mems: list = [None] * self._layout.size
        self._last_numbers: list = [object()] * len(self._lates)

    # -- running
    @property
    def graph(self) -> RecordedGraph:
        """What was recorded, for a reader."""
        return RecordedGraph(self.recorded)

    def __call__(self, feeds: list[Tensor]) -> list[Tensor]:
        """Run once on these values of the feeds; returns the fetches, as tensors of their own."""
        layout, device = self._layout, self.device
        allocate = device.memory.allocate
        with self._lock, eagerly():
            for source in self._sources:
                source.begin()
            numbers = [late.value() for late in self._lates]
            table: list[Any] = [None] * layout.size         # blocks by position
            given: dict[int, Tensor] = {}
            for at, x in zip(layout.feeds, feeds):
                x = given[at] = x if x.sig.device is device else copy_to(x, device)
                table[at] = x.buffer
            held = [v.held for v in self._variables]
            blocks = [t.buffer for t in held]
            list(map(table.__setitem__, layout.states, blocks))     # no loop: its name would hold one of them
            for at, nbytes in layout.results:
                table[at] = allocate(nbytes)
            for at, nbytes in layout.temporaries:
                table[at] = allocate(nbytes)
            self._submit(table, numbers, held, blocks)
            out = [self._answer(at, sig, known, table, given) for at, sig, known in self._fetches]
            for variable, at, sig, known in self._writes:
                variable._put(self._answer(at, sig, known, table, given), "assign")
            for call in self._effects:
                call()
        return out

    def _answer(self, at: int | None, sig: Any, known: Any, table: list, given: dict) -> Tensor:
        """A fetched value as a tensor of its own."""
        source = known if at is None else given.get(at)
        host = None if source is None else source.host
        if host is not None:
            host = host.reshape(sig.spec.shape)
        return Tensor(sig, known.buffer if at is None else table[at], host)

    def _submit(self, table: list, numbers: list, held: list, blocks: list) -> None:
        """Decide what is written over what, set the arguments that differ, enqueue."""
        exchanged: list[int] = []

        def prepare() -> None:
            for at, nbytes, i, sig in self._donated:
                # the queue's lock is held: who reads the variable from now on waits, and sees what it will hold
                exchanged.append(i)
                table[at] = destination(self._variables[i], sig, nbytes, i, held, blocks)
            self._set(table, numbers)
        try:
            self.device.queue.launch_all(prepare, self._entries, self._may_fail)
        except BaseException:
            for i in exchanged:
                self._variables[i].exchange(held[i])
            self.forget()
            raise

    def _set(self, table: list, numbers: list) -> None:
        changed: dict[int, _Numbered] = {}
        last = self._last_mems
        mems = [None if block is None else block.mem for block in table]
        for at, whole, begin, nbytes in self._layout.parts:
            mems[at] = last[at] if mems[whole] is last[whole] else part_of(mems[whole], begin, nbytes)
        for at, mem in enumerate(mems):
            if mem is not last[at]:
                for set_arg, argument in self._setters[at]:
                    set_arg(argument, mem)
                for member, argument in self._members[at]:
                    member.args[argument] = mem
                    changed[id(member)] = member
        if numbers != self._last_numbers or any(x != x for x in numbers):
            for member in self._numbered:
                for argument, cast, which in member.numbers:
                    member.args[argument] = cast(numbers[which])
            changed = {id(member): member for member in self._numbered}
        for member in changed.values():
            member.kernel.set_args(*member.args)
        self._last_mems, self._last_numbers = mems, numbers
