"""A function traced for saving: once where all sizes are known, else with several sizes, and the traces compared.

Tracing is that of `defun`, so everything a traced function may contain can be saved. What differs between traces
of several sizes must follow from the sizes (sizes.py); a Python loop over an open size does not, and is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.autodiff.custom import CustomRecord
from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError, UnimplementedError
from cltensor.core.dispatch import state
from cltensor.core.late import Late
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, to_array
from cltensor.graph.function import result_leaves
from cltensor.graph.passes.prune import prune
from cltensor.graph.program import Program
from cltensor.interpret.record import Recording, Symbol
from cltensor.saved_model.graph_def import (
    CustomDef,
    Draw,
    GraphDef,
    NodeDef,
    Ref,
    SizedConstant,
    Value,
)
from cltensor.saved_model.signature import Signature
from cltensor.saved_model.sizes import fit, points, value_of

__all__ = ["Store", "trace"]

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


class _Recording(Recording):
    """Keeps the custom gradients that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.customs: list[CustomRecord] = []

    def __enter__(self) -> _Recording:
        super().__enter__()
        return self

    def record_custom(self, record: Any) -> None:
        self.customs.append(record)


class _Trace:
    """The function called once with symbols of known sizes."""

    def __init__(self, function: Callable, signature: Signature, sizes: dict[str, int]):
        self.sizes = sizes
        before, state.recorders = state.recorders, []
        try:
            with _Recording() as recording:
                symbols = [Symbol(Spec(value_of(f.value.shape, sizes), f.value.dtype)) for f in signature.feeds]
                self.result = function(*signature.pack(symbols))
                self.leaves = result_leaves(self.result)
        finally:
            state.recorders = before
        self.states = tuple(recording.variables.values())
        written = [s for s in self.states if s.written]
        fetches = tuple(x for x in self.leaves if isinstance(x, Tensor)) + tuple(s.now for s in written)
        program = prune(Program(tuple(recording.nodes), tuple(symbols) + tuple(s.start for s in self.states), fetches))
        self.nodes, self.writes = program.nodes, [(s.variable, s.now) for s in written]
        self.where: dict[int, tuple] = {s.uid: ("feed", i, 0) for i, s in enumerate(symbols)}
        for s in self.states:
            self.where[s.start.uid] = ("variable", s.variable, 0)
        for i, node in enumerate(self.nodes):
            for k, o in enumerate(node.outputs):
                self.where[o.uid] = ("node", i, k)
        self.customs = [c for c in recording.customs if all(u in self.where for u in c.out_uids)]


def trace(name: str, function: Callable, signature: Signature, store: Store) -> GraphDef:
    """The function as data.

    Raises: what the function raises on such arguments; InvalidArgumentError where something depends on an open
        size in another way than by sums and products; UnimplementedError for Python code in the function.
    """
    known = points(list(signature.sizes), signature.batch)
    traces = [_Trace(function, signature, sizes) for sizes in known]
    if len(traces) > 1 and [n.op for n in traces[0].nodes] != [n.op for n in traces[1].nodes]:
        traces[0] = _Trace(function, signature, known[0])       # the first call may have made variables
    return _Merge(name, traces, store).graph(signature)


class _Merge:
    """Traces of one function put together."""

    def __init__(self, name: str, traces: list[_Trace], store: Store):
        self.name, self.traces, self.store = name, traces, store
        self.known = [t.sizes for t in traces]

    def graph(self, signature: Signature) -> GraphDef:
        first = self.traces[0]
        ops = [[n.op.name for n in t.nodes] for t in self.traces]
        if any(o != ops[0] for o in ops):
            self._fail("it runs other ops", *(f"{len(o)} ops" for o in ops))
        if any(len(t.leaves) != len(first.leaves) or len(t.writes) != len(first.writes) for t in self.traces):
            self._fail("its result has another structure")
        nodes = tuple(self._node(i) for i in range(len(first.nodes)))
        leaves = [self._leaf([t.leaves[i] for t in self.traces]) for i in range(len(first.leaves))]
        writes = tuple((self.store.variable(v), self._input([t.writes[i][1] for t in self.traces], "an assignment"))
                       for i, (v, _) in enumerate(first.writes))
        result = nest.pack_sequence_as(first.result, leaves) if leaves else first.result
        return GraphDef(self.name, signature.arguments, signature.feeds, nodes, result, writes, dict(self.known[0]),
                        tuple(self._custom(c) for c in first.customs))

    def _fail(self, what: str, *values: Any) -> None:
        one, other = self.known[0], self.known[-1]
        seen = f": {values[0]} for {one}, {values[-1]} for {other}" if len(values) > 1 else ""
        raise InvalidArgumentError(f"saved_model.save: {self.name} cannot be saved with open sizes, {what} for other "
                                   f"sizes{seen}; give these sizes in input_signature")

    def _merged(self, values: list, what: str) -> Any:
        """One description of values that may differ from trace to trace: plain data with Sizes."""
        first = values[0]
        if isinstance(first, (list, tuple)):
            if any(not isinstance(v, (list, tuple)) or len(v) != len(first) for v in values):
                self._fail(f"{what} has another length", *values)
            return tuple(self._merged(list(parts), what) for parts in zip(*values))
        if isinstance(first, np.generic):
            values = [v.item() for v in values]
            first = values[0]
        if isinstance(first, (int, float)) and all(isinstance(v, (int, float)) for v in values):
            if repr(first) == "nan":
                return first
            found = fit(values, self.known)
            if found is None:
                self._fail(f"{what} does not follow from them by sums and products", *values)
            return found
        if callable(first):
            raise UnimplementedError(f"saved_model.save: {self.name}: {what} is Python code "
                                     f"({getattr(first, '__name__', first)!s:.60}), which cannot be saved")
        if any(v != first for v in values):
            self._fail(f"{what} differs", *values)
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
                inputs.append(self._input(list(given), where))
        attrs = tuple((key, self._merged([dict(n.attrs)[key] for n in nodes], f"{key} of op {i} ({op.name})"))
                      for key, _ in nodes[0].attrs)
        outputs = tuple(self._value([n.outputs[k].spec for n in nodes], f"the shape of op {i} ({op.name})")
                        for k in range(len(nodes[0].outputs)))
        return NodeDef(op.name, tuple(inputs), attrs, outputs)

    def _late(self, late: Late, where: str, k: int) -> list:
        """The four numbers of a draw become one Draw."""
        seeds = [s.seed for s in late.sources]
        if len(seeds) != 1 or not seeds[0]:
            raise UnimplementedError(f"saved_model.save: {self.name}: {where} is looked up at each call (as the "
                                     "learning rate of an optimizer is), which cannot be saved")
        return [Draw(seeds[0][0])] if k == 0 else []

    def _value(self, specs: list, what: str) -> Value:
        if any(not s.known for s in specs):
            raise UnimplementedError(f"saved_model.save: {self.name}: {what} depends on values, which cannot be saved")
        if any(s.rank != specs[0].rank for s in specs):
            self._fail(f"{what} has another rank")
        return Value(tuple(fit(list(dims), self.known) for dims in zip(*(s.shape for s in specs))), specs[0].dtype)

    def _input(self, given: list, what: str) -> Any:
        first = given[0]
        if not isinstance(first, Tensor):
            return self._merged(given, what)
        places = [t.where.get(x.uid) if isinstance(x, Tensor) else None for t, x in zip(self.traces, given)]
        if places[0] is None:
            return self._constant(given, what)
        if any(p != places[0] for p in places):
            self._fail(f"{what} comes from elsewhere")
        kind, index, output = places[0]
        return Ref(kind, self.store.variable(index) if kind == "variable" else index, output)

    def _constant(self, given: list, what: str) -> Any:
        first = given[0]
        if isinstance(first, Symbol):
            raise InvalidArgumentError(f"saved_model.save: {self.name}, {what}: {first} is of another trace")
        if all(x is first for x in given):
            return Ref("constant", self.store.constant(first))
        arrays = [to_array(x) for x in given]
        if any(a.shape != arrays[0].shape or a.dtype != arrays[0].dtype for a in arrays):
            self._fail(f"{what} is a constant of another shape", *(a.shape for a in arrays))
        if all(a.tobytes() == arrays[0].tobytes() for a in arrays):
            return Ref("constant", self.store.constant(first))
        if arrays[0].size > LARGEST:
            self._fail(f"{what} is another constant (random numbers of NumPy, made when it is traced?)")
        elements = self._merged([tuple(a.reshape(-1).tolist()) for a in arrays], f"{what}, a constant,")
        return SizedConstant(elements, arrays[0].shape, first.dtype)

    def _leaf(self, given: list) -> Any:
        if isinstance(given[0], Tensor):
            return self._input(given, "a result")
        return self._merged(given, "a result")

    def _custom(self, record: CustomRecord) -> CustomDef:
        places = self.traces[0].where

        def refs(uids: tuple) -> tuple:
            found = [places[u] for u in uids if u in places]
            return tuple(Ref(k, self.store.variable(i) if k == "variable" else i, o) for k, i, o in found)
        return CustomDef(record.name, refs(record.in_uids), refs(record.out_uids))


