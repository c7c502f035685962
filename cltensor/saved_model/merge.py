"""Traces of one function put together: what is equal in all is data, what differs must follow from the open sizes.

Variables become numbers of a store that all functions of a model share, constants too. The branches of a cond and
the turns of a loop are recordings inside a recording; they are put together the same way, as blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.autodiff.custom import CustomRecord
from cltensor.base.errors import InvalidArgumentError, UnimplementedError
from cltensor.core.late import Late
from cltensor.core.lists import NOTHING, ListTensor, ListType
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, to_array
from cltensor.graph.body import Control
from cltensor.graph.dot import BODIES
from cltensor.graph.turns import Loop
from cltensor.interpret.record import Node, Symbol
from cltensor.saved_model.graph_def import (
    Block,
    CustomDef,
    Draw,
    EmptyList,
    ListKind,
    NodeDef,
    Ref,
    SizedConstant,
    Value,
)
from cltensor.saved_model.sizes import fit

__all__ = ["Store", "Scope", "Merge"]

LARGEST = 64        # elements of a constant that may depend on sizes


class Store:
    """Variables and constants that the functions of one saved model share, numbered as they are met."""

    def __init__(self, names: Callable[[Any], str]):
        self.variables: list = []
        self.constants: list[np.ndarray] = []
        self._names = names
        self._number: dict[int, int] = {}       # id of a variable, or uid of a constant -> its number
        self._kept: list = []                   # constants stay alive, so that no uid comes again

    def variable(self, variable: Any) -> int:
        """The number of a variable."""
        if id(variable) not in self._number:
            self._number[id(variable)] = len(self.variables)
            self.variables.append(variable)
        return self._number[id(variable)]

    def constant(self, tensor: Tensor) -> int:
        """The number of a constant; equal ones share it."""
        key = -tensor.uid
        if key not in self._number:
            array = to_array(tensor)
            same = (i for i, c in enumerate(self.constants) if c.dtype == array.dtype and c.shape == array.shape
                    and c.nbytes <= 4096 and c.tobytes() == array.tobytes())
            at = next(same, len(self.constants))
            if at == len(self.constants):
                self.constants.append(array)
            self._number[key] = at
            self._kept.append(tensor)
        return self._number[key]

    def name(self, variable: Any) -> str:
        """The name a variable is saved under."""
        return self._names(variable)


class Scope:
    """Nodes of one trace that read each other, and where each symbol comes from.

    Attributes: `where`, uid -> kind, number (or variable) and output; `sizes`, those it was traced with.
    """

    def __init__(self, nodes: Any, sizes: dict[str, int], feeds: Any = ()):
        self.nodes: tuple[Node, ...] = tuple(nodes)
        self.sizes = sizes
        self.where: dict[int, tuple] = {f.uid: ("feed", i, 0) for i, f in enumerate(feeds)}
        for i, node in enumerate(self.nodes):
            for k, o in enumerate(node.outputs):
                self.where[o.uid] = ("node", i, k)


class Merge:
    """One scope of several traces."""

    def __init__(self, name: str, traces: list[Any], store: Store):
        self.name, self.traces, self.store = name, traces, store
        self.known = [t.sizes for t in traces]

    def nodes(self) -> tuple[NodeDef, ...]:
        """The nodes as data.

        Raises: InvalidArgumentError where traces differ in another way than by sums and products of open sizes;
            UnimplementedError for what is no data.
        """
        ops = [[n.op.name for n in t.nodes] for t in self.traces]
        if any(o != ops[0] for o in ops):
            self.fail("it runs other ops", *(f"{len(o)} ops" for o in ops))
        return tuple(self._node(i) for i in range(len(ops[0])))

    def fail(self, what: str, *values: Any) -> None:
        """Raise InvalidArgumentError for traces that cannot be put together."""
        one, other = self.known[0], self.known[-1]
        seen = f": {values[0]} for {one}, {values[-1]} for {other}" if len(values) > 1 else ""
        raise InvalidArgumentError(f"saved_model.save: {self.name} cannot be saved with open sizes, {what} for other "
                                   f"sizes{seen}; give these sizes in input_signature")

    def merged(self, values: list, what: str) -> Any:
        """One description of values that may differ from trace to trace: plain data with Sizes."""
        first = values[0]
        if isinstance(first, (list, tuple)):
            if any(not isinstance(v, (list, tuple)) or len(v) != len(first) for v in values):
                self.fail(f"{what} has another length", *values)
            return tuple(self.merged(list(parts), what) for parts in zip(*values))
        if isinstance(first, np.generic):
            values = [v.item() for v in values]
            first = values[0]
        if isinstance(first, (int, float)) and all(isinstance(v, (int, float)) for v in values):
            if repr(first) == "nan":
                return first
            found = fit(values, self.known)
            if found is None:
                self.fail(f"{what} does not follow from them by sums and products", *values)
            return found
        if isinstance(first, Spec):
            return self.value(values, what)
        if callable(first):
            raise UnimplementedError(f"saved_model.save: {self.name}: {what} is Python code "
                                     f"({getattr(first, '__name__', first)!s:.60}), which cannot be saved")
        if any(v != first for v in values):
            self.fail(f"{what} differs", *values)
        return first

    def _node(self, i: int) -> NodeDef:
        nodes = [t.nodes[i] for t in self.traces]
        op = nodes[0].op
        where = f"input of op {i} ({op.name})"
        if op.name in ("py_func", "effect"):
            call = dict(nodes[0].attrs).get("func" if op.name == "py_func" else "call")
            raise UnimplementedError(f"saved_model.save: {self.name} calls Python code ("
                                     f"{getattr(call, '__name__', type(call).__name__)}) when it runs, which cannot be "
                                     "saved")
        inputs: list = []
        for k, given in enumerate(zip(*(n.inputs for n in nodes))):
            if isinstance(given[0], Late):
                inputs += self._late(given[0], where, k)
            else:
                inputs.append(self.input(list(given), where))
        attrs = tuple((key, self.merged([dict(n.attrs)[key] for n in nodes], f"{key} of op {i} ({op.name})"))
                      for key, _ in nodes[0].attrs)
        if isinstance(op, Control):
            attrs = self._bodies([n.op for n in nodes], f"op {i} ({op.name})")
        outputs = tuple(self.value([n.outputs[k].spec for n in nodes], f"the shape of op {i} ({op.name})")
                        for k in range(len(nodes[0].outputs)))
        return NodeDef(op.name, tuple(inputs), attrs, outputs)

    def _bodies(self, controls: list, where: str) -> tuple:
        """The attributes of a control node: its bodies as blocks, and how many loop variables there are."""
        blocks = []
        for which, name in enumerate(BODIES[controls[0].name]):
            bodies = [c.bodies[which] for c in controls]
            if any(isinstance(r, CustomRecord) for b in bodies for r in b.records):
                raise UnimplementedError(f"saved_model.save: {self.name}, {where}: a function with a gradient of its "
                                         "own is called in a branch or loop, which is not offered")
            inner = Merge(f"{self.name}, {name} of {where}",
                          [Scope(b.nodes, at, c.formals) for b, at, c in zip(bodies, self.known, controls)], self.store)
            nodes = inner.nodes()
            results = tuple(inner.input([b.results[i] for b in bodies], "a result")
                            for i in range(len(bodies[0].results)))
            feeds = tuple(inner.value([c.formals[i].spec for c in controls], "an input")
                          for i in range(len(controls[0].formals)))
            blocks.append(Block(feeds, nodes, results))
        carried = (("carried", len(controls[0].carried)),) if isinstance(controls[0], Loop) else ()
        return (("bodies", tuple(blocks)), *carried)

    def _late(self, late: Late, where: str, k: int) -> list:
        """The four numbers of a draw become one Draw."""
        seeds = [s.seed for s in late.sources]
        if len(seeds) != 1 or not seeds[0]:
            raise UnimplementedError(f"saved_model.save: {self.name}: {where} is looked up at each call (as the "
                                     "learning rate of an optimizer is), which cannot be saved")
        return [Draw(seeds[0][0])] if k == 0 else []

    def value(self, specs: list, what: str) -> Value:
        """Shape and dtype; a size that does not follow from the open sizes is left out."""
        dtype: Any = specs[0].dtype
        if isinstance(dtype, ListType):
            dtype = ListKind(dtype.element, self.merged([s.dtype.length for s in specs], what))
        elif any(not s.known for s in specs):
            raise UnimplementedError(f"saved_model.save: {self.name}: {what} depends on values, which cannot be saved")
        if any(s.rank != specs[0].rank for s in specs):
            self.fail(f"{what} has another rank")
        shapes = None if specs[0].shape is None else zip(*(s.shape for s in specs))
        return Value(None if shapes is None else tuple(None if None in d else fit(list(d), self.known) for d in shapes),
                     dtype)

    def input(self, given: list, what: str) -> Any:
        """A value that is read."""
        first = given[0]
        if not isinstance(first, Tensor):
            return self.merged(given, what)
        places = [t.where.get(x.uid) if isinstance(x, Tensor) else None for t, x in zip(self.traces, given)]
        if places[0] is None:
            return self._constant(given, what)
        kind, index, output = places[0]
        if any(p is None or p[0] != kind or p[2] != output or (p[1] is not index and (
                kind == "variable" or p[1] != index)) for p in places):
            self.fail(f"{what} comes from elsewhere")
        return Ref(kind, self.store.variable(index) if kind == "variable" else index, output)

    def _constant(self, given: list, what: str) -> Any:
        first = given[0]
        if isinstance(first, Symbol):
            raise InvalidArgumentError(f"saved_model.save: {self.name}, {what}: {first} is of another trace")
        if first is NOTHING:
            raise UnimplementedError(f"saved_model.save: {self.name}: a gradient passes through a cond, which cannot "
                                     "be saved; save the function and take the gradient of the loaded one")
        if isinstance(first, ListTensor):
            if any(x is not None for x in first.items):
                raise UnimplementedError(f"saved_model.save: {self.name}, {what}: a TensorArray was written outside of "
                                         "the function, which cannot be saved")
            return EmptyList(self.value([x.spec for x in given], what))
        if all(x is first for x in given):
            return Ref("constant", self.store.constant(first))
        arrays = [to_array(x) for x in given]
        if any(a.shape != arrays[0].shape or a.dtype != arrays[0].dtype for a in arrays):
            self.fail(f"{what} is a constant of another shape", *(a.shape for a in arrays))
        if all(a.tobytes() == arrays[0].tobytes() for a in arrays):
            return Ref("constant", self.store.constant(first))
        if arrays[0].size > LARGEST:
            self.fail(f"{what} is another constant (random numbers of NumPy, made when it is traced?)")
        elements = self.merged([tuple(a.reshape(-1).tolist()) for a in arrays], f"{what}, a constant,")
        return SizedConstant(elements, arrays[0].shape, first.dtype)

    def leaf(self, given: list, what: str) -> Any:
        """A leaf of the result: a tensor or plain data."""
        if isinstance(given[0], Tensor):
            return self.input(given, what)
        return self.merged(given, what)

    def custom(self, record: CustomRecord) -> CustomDef:
        """A call of a function with a gradient of its own."""
        places = self.traces[0].where

        def refs(uids: tuple) -> tuple:
            found = [places[u] for u in uids if u in places]
            return tuple(Ref(k, self.store.variable(i) if k == "variable" else i, o) for k, i, o in found)
        return CustomDef(record.name, refs(record.in_uids), refs(record.out_uids))


