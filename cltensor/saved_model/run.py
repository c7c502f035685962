"""Running a saved function: its nodes go through the gate one by one, like ops written in Python.

So a loaded function is an ordinary Python function of tensors. `defun` traces it, a tape records it, another trace
takes it in, and the rows, gradients and passes are those of everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cltensor.autodiff.custom import CustomRecord
from cltensor.base import nest
from cltensor.base.errors import DataLossError, OpError, UnimplementedError
from cltensor.core.dispatch import execute, state
from cltensor.core.op import registry
from cltensor.core.spec import Spec
from cltensor.core.tensor import from_numpy
from cltensor.interpret.record import Recording, Symbol
from cltensor.ops.random import draw_again
from cltensor.saved_model.graph_def import Bundle, CustomDef, Draw, GraphDef, Ref, SizedConstant
from cltensor.saved_model.sizes import Size, value_of

__all__ = ["run", "verify", "CODE"]

CODE = ("py_func", "effect", "gradients")       # rows whose attributes are Python objects: never in a file


class _Run:
    """One pass over the nodes."""

    def __init__(self, graph: GraphDef, feeds: list, variables: list, constants: list, sizes: Mapping[str, Any]):
        self.graph, self.sizes, self.ops = graph, sizes, registry()
        self.made: dict[str, list] = {"feed": feeds, "variable": variables, "constant": constants}
        self.nodes: list[tuple] = []
        self.customs = list(graph.customs)

    def value(self, x: Any) -> Any:
        """What an input stands for now."""
        if isinstance(x, Ref):
            return self.nodes[x.index][x.output] if x.kind == "node" else self.made[x.kind][x.index]
        if isinstance(x, Size):
            return x.value(self.sizes)
        if isinstance(x, SizedConstant):
            elements = value_of(x.elements, self.sizes)
            return from_numpy(x.dtype.np.type(elements).reshape(x.shape))
        return x

    def run(self) -> tuple[Any, list]:
        """The result in its structure, and pairs of a variable's number and its new value."""
        for node in self.graph.nodes:
            op, attrs = self.ops[node.op], value_of(node.attrs, self.sizes)
            if node.inputs and isinstance(node.inputs[0], Draw):
                numbers = tuple(self.value(x) for x in node.inputs[1:])
                out = draw_again(op, node.inputs[0].seed, numbers, dict(attrs))
            else:
                out = execute(op, tuple(self.value(x) for x in node.inputs), attrs)
            self.nodes.append(out if isinstance(out, tuple) else (out,))
            while self.customs and self._complete(self.customs[0]):
                self._custom(self.customs.pop(0))
        result = nest.map_structure(self.value, self.graph.result)
        return result, [(v, self.value(x)) for v, x in self.graph.writes]

    def _complete(self, custom: CustomDef) -> bool:
        return all(r.kind != "node" or r.index < len(self.nodes) for r in custom.outputs)

    def _custom(self, custom: CustomDef) -> None:
        """Tell the recorders of a function whose gradient is not there."""
        def refuse(*gradients: Any) -> Any:
            raise UnimplementedError(f"gradient: {custom.name} in the loaded function {self.graph.name} had a gradient "
                                     "written in Python (custom_gradient), which is not saved")
        record = CustomRecord(custom.name, [self.value(r) for r in custom.inputs],
                              [self.value(r) for r in custom.outputs], refuse, [])
        for recorder in state.recorders:
            recorder.record_custom(record)
        if state.interpreter is not None:
            state.interpreter.record_custom(record)


def run(graph: GraphDef, feeds: list, variables: list, constants: list, sizes: Mapping[str, Any]) -> tuple[Any, list]:
    """Execute the nodes, eagerly or into what records now.

    Args:
        feeds, variables, constants: tensors, in the order of their definitions.
        sizes: the open sizes' values.

    Returns: the result, and pairs of a variable's number and its new value.
    """
    return _Run(graph, feeds, variables, constants, sizes).run()


def verify(graph: GraphDef, bundle: Bundle, where: str) -> None:
    """Infer every node's shape with the sizes the function was traced with; nothing runs and no device is asked.

    Raises: DataLossError naming the node that does not fit.
    """
    def symbols(values: Any) -> list:
        return [Symbol(Spec(value_of(v.shape, graph.sizes), v.dtype)) for v in values]

    constants = [Symbol(Spec(c.shape, c.dtype)) for c in bundle.constants]
    attempt = _Run(graph, symbols(f.value for f in graph.feeds), symbols(v.value for v in bundle.variables), constants,
                   graph.sizes)
    try:
        for node in graph.nodes:
            if node.op not in attempt.ops or node.op in CODE:
                raise DataLossError(f"there is no op {node.op!r}")
        with Recording():
            _, writes = attempt.run()
        for v, t in writes:
            if t.spec is not Spec(bundle.variables[v].value.shape, bundle.variables[v].value.dtype):
                raise DataLossError(f"what variable {bundle.variables[v].name} gets does not fit it")
        _compare(graph, attempt.nodes)
    except (OpError, ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError) as error:
        raise DataLossError(f"saved_model.load: {where} is damaged: function {graph.name!r}, node "
                            f"{len(attempt.nodes)}: {error}") from error


def _compare(graph: GraphDef, found: list) -> None:
    for i, (node, outs) in enumerate(zip(graph.nodes, found)):
        want = [(value_of(v.shape, graph.sizes), v.dtype) for v in node.outputs]
        fits = len(want) == len(outs) and all(
            t.dtype is dtype and len(t.spec.shape) == len(shape)
            and all(d is None or d == n for d, n in zip(shape, t.spec.shape)) for t, (shape, dtype) in zip(outs, want))
        if not fits:
            raise DataLossError(f"node {i}, {node.op}, gives {[t.spec for t in outs]}, the file says "
                                f"{', '.join(map(str, node.outputs))}")
