"""Layout: where each value of a program lies when it is replayed, and what each launch reads and writes.

Values get *positions* in a table of buffers that a replay fills at each call: first what is fed and what variables
hold, then new values of variables, results, and slots that temporaries take turns in. Views have the position of what
they view; constants have none, their buffers never change. Values that a kernel wants behind each other are parts of
one slot, each with a position of its own.

A step that only makes new values of variables comes when nothing reads the old ones any more, and may write over
them: `donated` lists these, and whether it happens is decided at the call, as somebody may hold the old value.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from cltensor.base import config
from cltensor.core.tensor import Tensor, from_numpy
from cltensor.graph.liveness import Life, arenas, chains
from cltensor.graph.order import ordered
from cltensor.graph.program import Composed, Program
from cltensor.interpret.eager import bind_specs, copy_to, input_specs, lower, needs_no_kernel
from cltensor.interpret.record import EFFECT, Node, Symbol
from cltensor.interpret.runner import BoundLaunch, bind_launches
from cltensor.kernels.plan import Plan

__all__ = ["Layout"]

ARENA = 1 << 30         # bytes of a block that temporaries take turns in, at most
SHARED = 1 << 20        # bytes of a workspace that is kept for another reader: memory is worth more than a second copy


class Layout:
    """The positions of a program's values on a device, and its launches.

    Attributes:
        size: number of positions.
        feeds, states: positions of what is fed, and of what the program's variables hold.
        donated: (position, bytes, which of `states`) of new values that may be written over old ones.
        results, temporaries: (position, bytes) of blocks that leave, and of those temporaries share.
        parts: (position, that of the block it is a part of, first byte, bytes).
        launches: (launch, where its buffers are: positions or blocks, where its numbers are: Late or Python numbers).
        constants: tensors by uid.
    """

    def __init__(self, program: Program, device: Any):
        self.device = device
        self.size = 0
        self.constants: dict[int, Tensor] = {}
        self._alias: dict[int, int] = {}                # uid of a view -> uid of what it views
        self._position: dict[int, int] = {}             # uid of a value, or a workspace's number -> position
        self._joints: dict[tuple, int] = {}             # uids of values behind each other -> number of their block
        self.parts: list[tuple] = []
        self._inside: dict[int, tuple[int, int]] = {}   # position of a part -> position of the whole, first byte
        self.feeds = [self._new(s.uid) for s in program.feeds]
        self.states = [self._new(s.start.uid) for s in program.states]
        steps = self._bind(ordered(program))
        self._place(program, steps)
        self.launches = [(launch, *self._sources(node, launch, works)) for node, bound, works in steps
                         for launch in bound]

    def _new(self, name: int | None = None) -> int:
        if name is not None and name in self._position:
            return self._position[name]
        at = self.size
        self.size += 1
        if name is not None:
            self._position[name] = at
        return at

    def position(self, x: Tensor) -> int | None:
        """Where a tensor's buffer is in the table; None for a constant."""
        return self._position.get(self._root(x))

    def constant(self, x: Tensor) -> Tensor:
        """The value of a tensor without a position, on the device."""
        return self.constants[self._root(x)]

    def _root(self, x: Tensor) -> int:
        """The value whose memory a tensor is, by uid; constants are kept when first seen."""
        uid = self._alias.get(x.uid, x.uid)
        if not isinstance(x, Symbol) and uid not in self.constants:
            self.constants[uid] = copy_to(x, self.device)
        return uid

    # -- launches
    def _bind(self, nodes: list[Node]) -> list[tuple[Node, list[BoundLaunch], list[tuple]]]:
        """(node, its launches, (name, bytes) of its workspaces) of what takes a kernel.

        What prepares an input for several nodes, as packing a matrix for products, runs once: they share the workspace.
        """
        steps = []
        prepared: dict[tuple, int] = {}
        name = itertools.count(1).__next__
        todo = nodes[::-1]
        while todo:
            node = todo.pop()
            op, outs = node.op, tuple(o.spec for o in node.outputs)
            if op is EFFECT:
                continue
            if op.view:
                self._alias[node.outputs[0].uid] = self._root(node.inputs[0])
                continue
            given = tuple(not isinstance(x, Tensor) for x in node.inputs)
            ins = node.specs() if isinstance(node, Composed) else input_specs(op, node.inputs)
            if not isinstance(node, Composed) and needs_no_kernel(op, ins, given, outs):
                made = bind_specs(op, ins, given, outs, node.attrs, self.device)(())
                self.constants.update((o.uid, value) for o, value in
                                      zip(node.outputs, made if isinstance(made, tuple) else (made,)))
                continue
            traits = self.device.traits
            plan = node.plan(traits) if isinstance(node, Composed) else lower(op, ins, given, outs, node.attrs, traits)
            if plan is None or isinstance(node, Composed) and not self._join(node, name):
                todo += node.parts[::-1]            # type: ignore[attr-defined]
                continue
            works, launches = [-name() for _ in plan.workspace], []         # no uid is negative
            for each in plan.launches:
                at = next((arg[1] for arg in each.args if arg[0] == "work"), None)
                if each.prepares and at is not None and plan.workspace[at] <= SHARED:
                    key = (each.template, each.params, each.kernel, each.global_size, plan.workspace[at],
                           *(("in", self._root(node.inputs[arg[1]])) if arg[0] == "in" else
                             "work" if arg[0] == "work" else arg for arg in each.args))
                    if key in prepared:
                        works[at] = prepared[key]
                        continue
                    prepared[key] = works[at]
                launches.append(each)
            bound = bind_launches(op, Plan(tuple(launches), plan.workspace), self.device, ins, outs)
            steps.append((node, bound, list(zip(works, plan.workspace))))
        return steps

    def _group(self, node: Composed, group: tuple) -> tuple:
        return tuple(self._root(node.inputs[i]) for i in group)

    def _join(self, node: Composed, name: Any) -> bool:
        """Have what a node wants behind each other so; False if a constant is among it."""
        groups = [self._group(node, group) for group in node.joined()]
        if any(uid in self.constants for group in groups for uid in group):
            return False
        for group in groups:
            self._joints.setdefault(group, -name())
        return True

    def _sources(self, node: Node, launch: BoundLaunch, works: list) -> tuple[list, list]:
        """What a launch's buffers are, in the order of its argument positions, and its numbers."""
        whole = {group[0]: self._position[self._joints[self._group(node, group)]] for group in node.joined()} \
            if isinstance(node, Composed) else {}

        def where(x: Tensor) -> Any:
            at = self.position(x)
            return self.constant(x).buffer if at is None else at
        buffers = [whole[i] if i in whole else where(node.inputs[i]) for i in launch.ins]
        buffers += [where(node.outputs[i]) for i in launch.outs]
        buffers += [self._position[works[i][0]] for i in launch.works]
        return buffers, [(cast, node.inputs[i]) for i, cast in launch.slots]

    # -- positions
    def _place(self, program: Program, steps: list) -> None:
        written = [s for s in program.states if s.written]
        count = len(program.fetches) - len(written)     # new values of variables are the last fetches
        leaving = {self._root(f) for f in program.fetches}
        uses: dict[int, int] = {}
        for index, (node, _, _) in enumerate(steps):
            for x in node.inputs:
                if isinstance(x, Tensor):
                    uses[self._root(x)] = index
        lives: dict[int, Life] = {}
        for index, (node, _, workspace) in enumerate(steps):
            for k, o in enumerate(node.outputs):
                if o.spec.size:
                    lives[o.uid] = Life(o.spec.nbytes, index, uses.get(o.uid, index), self._aligned(node, k),
                                        o.uid in leaving)
                else:
                    self.constants[o.uid] = from_numpy(np.empty(o.spec.shape, o.spec.dtype.np), self.device)
            for name, nbytes in workspace:
                lives.setdefault(name, Life(nbytes, index, index)).death = index
        pieces = {group: [lives.pop(uid) for uid in group] for group in self._joints}
        for group, own in pieces.items():
            lives[self._joints[group]] = Life(sum(life.nbytes for life in own), min(life.birth for life in own),
                                              max(life.death for life in own))
        writes = list(zip(written, program.fetches[count:]))
        self.donated = self._donations(program.states, writes, uses, lives, leaving)
        self._share(lives)
        for group, own in pieces.items():
            begin = 0
            for uid, life in zip(group, own):
                self._part(self._position[self._joints[group]], begin, life.nbytes, uid)
                begin += life.nbytes

    def _aligned(self, node: Node, k: int) -> tuple:
        """Values that result k may be written over: an elementwise kernel has read an element before it writes it."""
        if node.op.expr is None and not isinstance(node, Composed):
            return ()
        shape = node.outputs[k].spec.shape
        own = node.over(k) if isinstance(node, Composed) else range(len(node.inputs))
        unlike = {self._root(x) for i, x in enumerate(node.inputs) if isinstance(x, Tensor)
                  and (i not in own or x.spec.shape != shape)}
        return tuple(r for i in own if isinstance(x := node.inputs[i], Tensor) and (r := self._root(x)) not in unlike)

    def _donations(self, states: tuple, writes: list, uses: dict, lives: dict, leaving: set) -> list:
        """New values of variables that may take the place of the old ones; they are placed here."""
        found = []
        number = {id(s): i for i, s in enumerate(states)}
        for state, value in writes:
            made = self._root(value)
            life = lives.get(made)
            if life is None or value.spec is not state.variable.spec or state.variable.on_host:
                continue
            start = state.start.uid
            over = start in life.over if uses.get(start, -1) == life.birth else uses.get(start, -1) < life.birth
            if over and start not in leaving:
                del lives[made]
                found.append((self._new(made), life.nbytes, number[id(state)]))
        return found

    def _share(self, lives: dict[int, Life]) -> None:
        """Give every other value a result's block or a slot."""
        groups: dict[int, list[int]] = {}
        for name, head in chains(lives).items():
            groups.setdefault(head, []).append(name)
        self.results, shared = [], {}
        for head, members in groups.items():
            if any(lives[name].fixed for name in members):
                at = self._new()
                self._position.update((name, at) for name in members)
                self.results.append((at, lives[head].nbytes))
            else:
                shared[head] = Life(lives[head].nbytes, lives[head].birth, max(lives[n].death for n in members))
        # a checking device sees a write past the end only where each value has a block of its own
        where, sizes = arenas(shared, min(ARENA, self.device.memory.max_alloc), share=bool(config.get("POOL")))
        self.temporaries = [(self._new(), nbytes) for nbytes in sizes]
        for head, (block, begin) in where.items():
            at = self._part(self.temporaries[block][0], begin, lives[head].nbytes) if begin \
                else self.temporaries[block][0]
            self._position.update((name, at) for name in groups[head])

    def _part(self, whole: int, begin: int, nbytes: int, name: int | None = None) -> int:
        """The position of bytes of another: parts of parts are parts of the whole."""
        whole, first = self._inside.get(whole, (whole, 0))
        at = self._new(name)
        self._inside[at] = whole, first + begin
        self.parts.append((at, whole, first + begin, nbytes))
        return at
