"""Bodies: recordings inside a recording, the branches of a cond and the turns of a loop.

A body reads what is outside as it reads anything: its nodes then hold symbols that no node of it makes, and these
*free* symbols become inputs of the control node. A variable starts in a body as a symbol of its own; where the body
assigns it, its last value is one more result. So effects on variables are values, and happen only if the body runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.autodiff.backprop import Record
from cltensor.autodiff.notes import Notes
from cltensor.base import nest
from cltensor.base.errors import InternalError
from cltensor.core.dispatch import state
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.late import Late, Source
from cltensor.core.lists import ListTensor
from cltensor.core.op import OpDef
from cltensor.core.tensor import Tensor, convert
from cltensor.graph.graph import Operation
from cltensor.interpret.eager import copy_to
from cltensor.interpret.record import EFFECT, Node, Recording, State, Symbol
from cltensor.ops.tensor_array import TensorArray
from cltensor.ops.variable import Variable

__all__ = ["Body", "Control", "Leaves", "announce", "draws_of", "free", "read_outside", "repeatable",
           "settled", "without_effects"]


def _refuse(*inputs: Any) -> Any:
    raise InternalError("a control node runs only as its replay bound it")


CONTROL = OpDef("control", ("inputs",), _refuse, run=_refuse, types="*", doc="What nodes with bodies have in common.")


class Control:
    """Stands where other nodes have their op: a node with bodies, which a replay binds by `bind`.

    To whatever does not ask for bodies it looks like the row of a host op.
    """

    name = "control"
    pure = True

    def __getattr__(self, name: str) -> Any:
        return getattr(CONTROL, name)

    def bind(self, device: Any) -> Callable[[tuple], Any]:
        """The compiled bodies as a function of the node's inputs."""
        raise NotImplementedError


class Body(Recording):
    """One body while it is recorded, and afterwards.

    Args:
        outer: the recording it is part of.
        starts: id of a variable -> it, and the symbol its value has at the start; one dict for all bodies of a node.

    Attributes: `results`, tensors of any origin; `records` of its ops, for the gradient.
    """

    def __init__(self, outer: Any, starts: dict[int, tuple]):
        super().__init__()
        self.outer, self.starts = outer, starts
        self.results: list[Tensor] = []
        self.records: list[Record] = []
        self.around: list = []          # who records outside while this is recorded

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Record here; tapes outside do not listen, they get the record of the whole."""
        self.around, state.recorders = state.recorders, [Notes(self.records)]
        try:
            with self:
                yield
        finally:
            state.recorders = self.around

    def read(self, variable: Any, value: Tensor) -> Tensor:
        held = self.variables.get(id(variable))
        if held is None:
            _, start = self.starts.setdefault(id(variable), (variable, Symbol(value.spec)))
            held = self.variables[id(variable)] = State(variable, start)
        return held.now

    def made(self, variable: Any) -> None:
        self.outer.made(variable)

    def final(self, key: int) -> Tensor:
        """The value a variable has at the end, by its id."""
        held = self.variables.get(key)
        return self.starts[key][1] if held is None else held.now

    @property
    def assigns(self) -> bool:
        """Whether it assigns a variable."""
        return any(s.written for s in self.variables.values())

    @property
    def pure(self) -> bool:
        """False when running it is more than computing its results: draws, Python functions."""
        return all(n.op.pure for n in self.nodes)

    def drop_effects(self) -> None:
        """Forget what happens at the end of a run: a gradient must not do it again."""
        self.nodes = without_effects(self.nodes)


def announce(record: Record, owner: Any) -> None:
    """Tell of a control node in the recording `owner` whoever records there.

    A gradient that is recorded elsewhere may ask a node of a finished body for more results: then the body notes it.
    """
    here, recorders = state.interpreter, state.recorders
    while here is not owner and isinstance(here, Body):
        here, recorders = here.outer, here.around
    if here is owner:
        for recorder in recorders:
            recorder.record_custom(record)
    else:
        owner.records.append(record)


def without_effects(nodes: list[Node]) -> list[Node]:
    """Nodes without the calls for the end of a run; those in their bodies go, too."""
    for node in nodes:
        if isinstance(node.op, Control):
            for body in node.op.bodies:         # type: ignore[attr-defined]
                body.drop_effects()
    return [n for n in nodes if n.op.name != "effect"]


def repeatable(nodes: list[Node]) -> bool:
    """Whether the nodes may run again, with the same random draws, to no other effect than their results."""
    return all(repeatable([n for b in node.op.bodies for n in b.nodes]) if isinstance(node.op, Control)  # type: ignore
               else node.op.pure or node.op is EFFECT or draws_of([node]) for node in nodes)


def draws_of(nodes: list[Node]) -> list[Source]:
    """The random draws that nodes make, those in their bodies, too."""
    return [s for n in nodes for s in (
        draws_of([inner for b in n.op.bodies for inner in b.nodes]) if isinstance(n.op, Control)    # type: ignore
        else [s for x in n.inputs if isinstance(x, Late) for s in x.sources if s.seed])]


def free(bodies: list[Body], known: list[Symbol]) -> list[Symbol]:
    """Symbols the bodies read and neither make nor get, in the order they meet them."""
    found: dict[int, Symbol] = {}
    for body in bodies:
        made = {s.uid for s in known} | {o.uid for n in body.nodes for o in n.outputs}
        for x in [x for n in body.nodes for x in n.inputs] + body.results:
            if isinstance(x, Symbol) and x.uid not in made:
                found.setdefault(x.uid, x)
    return list(found.values())


def settled(values: Any, device: Any) -> list:
    """The values on this device, where bodies expect what they read; lists are nowhere."""
    return [v if v.sig.device is device or isinstance(v, ListTensor) else copy_to(v, device) for v in values]


class Leaves:
    """What a function gave, as tensors, and how to put such tensors back into its structure.

    TensorArrays stand as their lists, an operation or None as True: that it was reached.
    """

    def __init__(self, structure: Any):
        self.structure = structure
        self.given = nest.flatten(structure)

    def tensors(self, like: list | None = None) -> list[Tensor]:
        """The leaves; a Python number takes the dtype of its counterpart in `like`, where that has one."""
        out = []
        for i, x in enumerate(self.given):
            if isinstance(x, TensorArray):
                x = x.flow
            elif isinstance(x, Variable):
                x = x.as_tensor()
            elif isinstance(x, IndexedSlices):
                x = x.as_tensor()
            elif x is None or isinstance(x, Operation):
                x = convert(True)
            elif not isinstance(x, Tensor):
                other = like[i] if like is not None and i < len(like) else None
                x = convert(x, other.dtype if isinstance(other, (Tensor, Variable)) else None)
            out.append(x)
        return out

    def packed(self, tensors: Any, graph: Any = None) -> Any:
        """These tensors in the structure."""
        out: list = []
        for x, t in zip(self.given, tensors):
            if isinstance(x, TensorArray):
                out.append(x.with_flow(t))
            elif x is None or isinstance(x, Operation):
                out.append(Operation(graph, [t], "cond") if graph is not None and isinstance(t, Symbol) else None)
            else:
                out.append(t)
        return nest.pack_sequence_as(self.structure, out) if out else self.structure


def read_outside(outer: Recording, starts: dict[int, tuple]) -> list[Tensor]:
    """The values variables have outside where a node starts; tapes are told that they were read."""
    values = []
    for variable, _ in starts.values():
        value = outer.read(variable, variable.held)
        for recorder in state.recorders:
            recorder.read(variable, value)
        values.append(value)
    return values
