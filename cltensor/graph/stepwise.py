"""Stepwise replay: a program's nodes bound one by one, for programs with host ops or several devices.

Everything is decided once: kernels, argument positions, and after which step each value is dropped (so that its
memory serves the next). What runs between host ops cannot be planned as one piece of device work; where it can,
`graph/planned.py` does it with less.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import eagerly
from cltensor.core.late import Late, Source
from cltensor.core.tensor import Tensor, convert
from cltensor.graph.body import Control, draws_of
from cltensor.graph.program import Composed, Program
from cltensor.graph.recorded import RecordedGraph
from cltensor.interpret.eager import bind_host, bind_specs, input_specs, moving
from cltensor.interpret.record import EFFECT, Node, Symbol
from cltensor.interpret.runner import bind_plan

__all__ = ["Stepwise"]


class _Later(threading.local):
    """Of one thread: what is to be called when the replay that runs now has worked."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], Any]] = []
        self.undo: list[tuple] = []         # host variables changed meanwhile, and what they held


_later = _Later()


def _effect(call: Callable[[], Any]) -> Callable[[tuple], Any]:
    """A step that has something called when all has worked; its result says only that it was reached.

    What changes host variables happens at once, as the next turn of a loop looks at them, and is undone on failure.
    """
    writes = getattr(call, "writes", ())

    def run(inputs: tuple) -> Tensor:
        if writes:
            _later.undo += [(v, v.held) for v in writes]
            call()
        else:
            _later.calls.append(call)
        return convert(True)
    return run


class _Step:
    """One node bound: which values go in, where the results go, which values are dropped after it.

    `draws` are the random draws that happen before it, `lates` the positions of numbers they make.
    """

    __slots__ = ("run", "ins", "outs", "drop", "name", "draws", "lates")

    def __init__(self, run: Callable, ins: tuple, outs: tuple, name: str):
        self.run, self.ins, self.outs, self.name = run, ins, outs, name
        self.drop: tuple = ()
        self.draws: list[Source] = []
        self.lates: list[tuple[int, Late]] = []


class Stepwise:
    """A program ready to run.

    Args:
        program: optimised.
        device: where ops without a device of their own run.

    Attributes: `steps`; `kept_bytes`, memory held between calls.
    """

    def __init__(self, program: Program, device: Any):
        self.program = self.recorded = program
        self.kept_bytes = 0
        self._device = device
        self._lock = threading.RLock()
        self._slot: dict[int, int] = {}         # uid, or identity of a number -> position among the values
        self._constants: list = []
        self._lates: list[tuple[int, Late]] = []
        self._where: dict[int, Any] = {}        # uid -> device
        self._feeds = [self._place(s.uid) for s in program.feeds]
        self._starts = [(self._place(s.start.uid), s) for s in program.states]
        for s in program.feeds:
            self._where[s.uid] = device
        for state in program.states:
            self._where[state.start.uid] = state.variable.placed_on
        # values have blocks of their own here, so nothing lies behind each other
        nodes = _as_drawn([n for node in program.nodes
                           for n in (node.parts if isinstance(node, Composed) and node.joined() else (node,))])
        self.steps = [self._bind(n) for n in nodes]
        fetches = [self._value(f) for f in program.fetches]
        written = [s.variable for s in program.states if s.written]
        count = len(fetches) - len(written)             # new values of variables are the last fetches
        self._fetches, self._writes = fetches[:count], list(zip(written, fetches[count:]))
        self._template: list[Any] = [None] * len(self._slot)
        for at, value in self._constants:
            self._template[at] = value
        self._sources = sorted({s for _, late in self._lates for s in late.sources}, key=lambda s: s.order)
        self._plan_draws(nodes)
        self._plan_drops()

    # -- binding
    def _place(self, name: int) -> int:
        return self._slot.setdefault(name, len(self._slot))

    def _value(self, x: Any) -> int:
        """Position of a node's input; constants and late numbers get one when first seen."""
        name = x.uid if isinstance(x, Tensor) else -id(x)
        known = self._slot.get(name)
        if known is not None:
            return known
        at = self._place(name)
        if isinstance(x, Late):
            self._lates.append((at, x))
        elif isinstance(x, Symbol):
            raise InvalidArgumentError(f"replay: {x} is read and neither fed nor computed here")
        else:
            self._constants.append((at, x))
        return at

    def _bind(self, node: Node) -> _Step:
        device = node.device or self._device_of(node)
        op = node.op
        if op is EFFECT:
            run: Callable = _effect(dict(node.attrs)["call"])
        elif isinstance(op, Control):
            run = op.bind(device)
        elif op.run is not None:
            run = bind_host(op, device, node.attrs)
        elif isinstance(node, Composed):
            run = bind_plan(op, node.plan(device.traits), device, node.specs(), tuple(o.spec for o in node.outputs))
        else:
            slots = tuple(not isinstance(x, Tensor) for x in node.inputs)
            run = bind_specs(op, input_specs(op, node.inputs), slots, tuple(o.spec for o in node.outputs), node.attrs,
                             device)
        moves = tuple(i for i, x in enumerate(node.inputs) if isinstance(x, Tensor)
                      and self._where.get(x.uid, x.placed_on) is not device
                      and x.dtype.kind != "list") if not isinstance(op, Control) else ()
        for o in node.outputs:
            self._where[o.uid] = device
        ins_at = tuple(self._value(x) for x in node.inputs)
        outs_at = tuple(self._place(o.uid) for o in node.outputs)
        return _Step(moving(run, device, moves) if moves else run, ins_at, outs_at, op.name)

    def _device_of(self, node: Node) -> Any:
        for x in node.inputs:
            if isinstance(x, Tensor) and x.dtype.kind != "list":
                placed = self._where.get(x.uid, x.placed_on)
                if isinstance(x, Symbol) or x.host is None:
                    return placed
        return self._device

    def _plan_draws(self, nodes: list[Node]) -> None:
        """Random numbers are drawn in the order of the program, as eager execution would: some inside of bodies."""
        if not any(s.seed for s in self._sources):
            return
        waiting = [s for s in self._sources if s.seed]
        self._sources = [s for s in self._sources if not s.seed]
        for step, node in zip(self.steps, nodes):
            own = [s.order for x in node.inputs if isinstance(x, Late) for s in x.sources if s.seed]
            inner = [s.order - 1 for s in draws_of([node])] if isinstance(node.op, Control) else []
            until = max([*own, *([min(inner)] if inner else [])], default=-1)
            step.draws = [s for s in waiting if s.order <= until]
            waiting = [s for s in waiting if s.order > until]
        drawn = [(at, late) for at, late in self._lates if any(s.seed for s in late.sources)]
        self._lates = [pair for pair in self._lates if pair not in drawn]
        for step in self.steps:
            step.lates = [(at, late) for at, late in drawn if at in step.ins]

    def _plan_drops(self) -> None:
        kept = {at for at, _ in self._constants} | set(self._fetches) | {at for _, at in self._writes}
        last: dict[int, int] = {}
        for i, step in enumerate(self.steps):
            for at in (*step.ins, *step.outs):
                last[at] = i
        for at, i in last.items():
            if at not in kept:
                self.steps[i].drop += (at,)

    # -- running
    @property
    def graph(self) -> RecordedGraph:
        """What was recorded, for a reader."""
        return RecordedGraph(self.recorded)

    def __call__(self, feeds: list[Tensor]) -> list[Tensor]:
        """Run once on these values of the feeds; returns the fetches, as tensors of their own."""
        with self._lock, eagerly():
            before, _later.calls, _later.undo = (_later.calls, _later.undo), [], []
            try:
                values = self._run(feeds)
                fetched = [values[at] for at in self._fetches]
                writes = [(variable, values[at]) for variable, at in self._writes]
                calls = _later.calls
            except BaseException:
                for variable, value in reversed(_later.undo):
                    variable.exchange(value)
                raise
            finally:
                _later.calls, _later.undo = before
            for variable, value in writes:
                variable._put(value, "assign")
            for call in calls:
                call()
        return [copy(t) for t in fetched]

    def values(self, feeds: list[Tensor]) -> list[Tensor]:
        """As a body: run once inside the replay of another program, which sees to what comes after."""
        values = self._run(feeds)
        return [values[at] for at in self._fetches]

    def _run(self, feeds: list[Tensor]) -> list:
        for source in self._sources:
            source.begin()
        values = self._template.copy()
        for at, value in zip(self._feeds, feeds):
            values[at] = value
        for at, state in self._starts:
            values[at] = state.variable.current()
        for at, late in self._lates:
            values[at] = late.value()
        del feeds
        for step in self.steps:
            for source in step.draws:
                source.begin()
            for at, late in step.lates:
                values[at] = late.value()
            out = step.run(tuple([values[i] for i in step.ins]))
            if type(out) is tuple:
                for at, value in zip(step.outs, out):
                    values[at] = value
            else:
                values[step.outs[0]] = out
            for at in step.drop:
                values[at] = None
        return values


def _as_drawn(nodes: list[Node]) -> list[Node]:
    """The nodes, what draws after the draws inside of a control node behind that node: passes may have moved it."""
    out = list(nodes)
    for control in [n for n in nodes if isinstance(n.op, Control) and draws_of([n])]:
        first, at = min(s.order for s in draws_of([control])), out.index(control)
        moved: list[Node] = []
        made: set[int] = set()
        for node in out[:at]:
            if any(s.order > first for s in draws_of([node])) or any(
                    isinstance(x, Tensor) and x.uid in made for x in node.inputs):
                moved.append(node)
                made.update(o.uid for o in node.outputs)
        if moved and not any(isinstance(x, Tensor) and x.uid in made for x in control.inputs):
            out[:at + 1] = [n for n in out[:at] if n not in moved] + [control, *moved]
    return out
