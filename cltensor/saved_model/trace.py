"""A function traced for saving: once where all sizes are known, else with several sizes, and the traces compared.

Tracing is that of `defun`, so everything a traced function may contain can be saved. What differs between traces
of several sizes must follow from the sizes (merge.py, sizes.py); a Python loop over an open size does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.autodiff.custom import CustomRecord
from cltensor.base import nest
from cltensor.core.dispatch import quietly
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor
from cltensor.graph.function import result_leaves
from cltensor.graph.passes.prune import prune
from cltensor.graph.program import Program
from cltensor.interpret.record import Recording, Symbol
from cltensor.saved_model.graph_def import GraphDef
from cltensor.saved_model.merge import Merge, Scope, Store
from cltensor.saved_model.signature import Signature
from cltensor.saved_model.sizes import points, value_of

__all__ = ["trace"]


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


class _Trace(Scope):
    """The function called once with symbols of known sizes."""

    def __init__(self, function: Callable, signature: Signature, sizes: dict[str, int]):
        with quietly(), _Recording() as recording:
            symbols = [Symbol(Spec(value_of(f.value.shape, sizes), f.value.dtype)) for f in signature.feeds]
            self.result = function(*signature.pack(symbols))
            self.leaves = result_leaves(self.result)
        self.states = tuple(recording.variables.values())
        written = [s for s in self.states if s.written]
        fetches = tuple(x for x in self.leaves if isinstance(x, Tensor)) + tuple(s.now for s in written)
        program = prune(Program(tuple(recording.nodes), tuple(symbols) + tuple(s.start for s in self.states), fetches))
        self.writes = [(s.variable, s.now) for s in written]
        super().__init__(program.nodes, sizes)
        self.where.update({s.uid: ("feed", i, 0) for i, s in enumerate(symbols)})
        self.where.update({s.start.uid: ("variable", s.variable, 0) for s in self.states})
        self.customs = [c for c in recording.customs if all(u in self.where for u in c.out_uids)]


def trace(name: str, function: Callable, signature: Signature, store: Store) -> GraphDef:
    """The function as data.

    Raises: what the function raises on such arguments; InvalidArgumentError where something depends on an open
        size in another way than by sums and products; UnimplementedError for Python code in the function.
    """
    known = points(list(signature.sizes), signature.batch)
    traces = [_Trace(function, signature, sizes) for sizes in known]
    if len(traces) > 1 and [n.op.name for n in traces[0].nodes] != [n.op.name for n in traces[1].nodes]:
        traces[0] = _Trace(function, signature, known[0])       # the first call may have made variables
    first, merge = traces[0], Merge(name, list(traces), store)
    if any(len(t.leaves) != len(first.leaves) or len(t.writes) != len(first.writes) for t in traces):
        merge.fail("its result has another structure")
    nodes = merge.nodes()
    leaves = [merge.leaf([t.leaves[i] for t in traces], "a result") for i in range(len(first.leaves))]
    writes = tuple((store.variable(v), merge.input([t.writes[i][1] for t in traces], "an assignment"))
                   for i, (v, _) in enumerate(first.writes))
    result = nest.pack_sequence_as(first.result, leaves) if leaves else first.result
    return GraphDef(name, signature.arguments, signature.feeds, nodes, result, writes, dict(known[0]),
                    tuple(merge.custom(c) for c in first.customs))
