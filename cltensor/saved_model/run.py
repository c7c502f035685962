"""Running a saved function: its nodes go through the gate one by one, like ops written in Python.

So a loaded function is an ordinary Python function of tensors. `defun` traces it, a tape records it, another trace
takes it in, and the rows, gradients and passes are those of everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cltensor.autodiff.custom import CustomRecord
from cltensor.base import nest
from cltensor.base.errors import DataLossError, OpError, UnimplementedError
from cltensor.core.dispatch import execute, state
from cltensor.core.lists import empty_list
from cltensor.core.op import registry
from cltensor.core.spec import Spec
from cltensor.core.tensor import from_numpy
from cltensor.graph.control import cond
from cltensor.graph.loops import while_loop
from cltensor.interpret.record import Recording, Symbol
from cltensor.ops.random import draw_again
from cltensor.saved_model.graph_def import (
    Block,
    Bundle,
    CustomDef,
    Draw,
    EmptyList,
    GraphDef,
    NodeDef,
    Ref,
    SizedConstant,
)
from cltensor.saved_model.sizes import Size, value_of

__all__ = ["run", "verify", "CODE", "CONTROL"]

CODE = ("py_func", "effect", "gradients")       # rows whose attributes are Python objects: never in a file
CONTROL = ("cond", "while_loop")                # nodes with blocks, which are no rows


class _Run:
    """One pass over nodes: of a function, or of a block in it."""

    def __init__(self, nodes: tuple, feeds: Any, variables: list, constants: list, sizes: Mapping[str, Any]):
        self.todo, self.sizes, self.ops = nodes, sizes, registry()
        self.made: dict[str, Any] = {"feed": feeds, "variable": variables, "constant": constants}
        self.nodes: list[tuple] = []

    def value(self, x: Any) -> Any:
        """What an input stands for now."""
        if isinstance(x, Ref):
            return self.nodes[x.index][x.output] if x.kind == "node" else self.made[x.kind][x.index]
        if isinstance(x, Size):
            return x.value(self.sizes)
        if isinstance(x, SizedConstant):
            elements = value_of(x.elements, self.sizes)
            return from_numpy(x.dtype.np.type(elements).reshape(x.shape))
        return empty_list(x.like.value(self.sizes)) if isinstance(x, EmptyList) else x

    def run(self, after: Callable[[], None] = lambda: None) -> _Run:
        """Execute the nodes, with `after` called after each."""
        for node in self.todo:
            if node.op in CONTROL:
                out = self._cond(node) if node.op == "cond" else self._loop(node)
            elif node.inputs and isinstance(node.inputs[0], Draw):
                draw, *numbers = (self.value(x) for x in node.inputs)
                attrs = dict(value_of(node.attrs, self.sizes))
                out = draw_again(self.ops[node.op], draw.seed, tuple(numbers), attrs)
            else:
                inputs = tuple(self.value(x) for x in node.inputs)
                out = execute(self.ops[node.op], inputs, value_of(node.attrs, self.sizes))
            self.nodes.append(tuple(out) if isinstance(out, (tuple, list)) else (out,))
            after()
        return self

    # -- control flow: the public functions, with blocks for bodies
    def _block(self, block: Block, feeds: Any) -> list:
        inner = _Run(block.nodes, feeds, [], self.made["constant"], self.sizes).run()
        return [inner.value(r) for r in block.results]

    def _cond(self, node: NodeDef) -> Any:
        no, yes = dict(node.attrs)["bodies"]
        pred, *feeds = [self.value(x) for x in node.inputs]
        return cond(pred, lambda: self._block(yes, feeds), lambda: self._block(no, feeds))

    def _loop(self, node: NodeDef) -> Any:
        attrs = dict(node.attrs)
        test, body = attrs["bodies"]
        values = [self.value(x) for x in node.inputs]
        first, others = values[:attrs["carried"]], values[attrs["carried"]:]
        return while_loop(lambda *now: self._block(test, [*now, *others])[0],
                          lambda *now: self._block(body, [*now, *others]), first, return_same_structure=True)


class _Customs:
    """Tells the recorders of functions whose own gradients were not saved, when their results are there."""

    def __init__(self, graph: GraphDef, values: _Run):
        self.graph, self.values, self.left = graph, values, list(graph.customs)

    def tell(self) -> None:
        """A node was executed."""
        while self.left and all(r.kind != "node" or r.index < len(self.values.nodes) for r in self.left[0].outputs):
            self._announce(self.left.pop(0))

    def _announce(self, custom: CustomDef) -> None:
        def refuse(*gradients: Any) -> Any:
            raise UnimplementedError(f"gradient: {custom.name} in the loaded function {self.graph.name} had a gradient "
                                     "written in Python (custom_gradient), which is not saved")
        record = CustomRecord(custom.name, [self.values.value(r) for r in custom.inputs],
                              [self.values.value(r) for r in custom.outputs], refuse, [])
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
    return _results(graph, _executed(graph, _Run(graph.nodes, feeds, variables, constants, sizes)))


def _executed(graph: GraphDef, values: _Run) -> _Run:
    return values.run(_Customs(graph, values).tell)


def _results(graph: GraphDef, values: _Run) -> tuple[Any, list]:
    return nest.map_structure(values.value, graph.result), [(v, values.value(x)) for v, x in graph.writes]


def verify(graph: GraphDef, bundle: Bundle, where: str) -> None:
    """Infer every node's shape with the sizes the function was traced with; nothing runs and no device is asked.

    Raises: DataLossError naming the node that does not fit.
    """
    def symbols(values: Any) -> list:
        return [Symbol(v.value(graph.sizes)) for v in values]

    constants = [Symbol(Spec(c.shape, c.dtype)) for c in bundle.constants]
    attempt = _Run(graph.nodes, symbols(f.value for f in graph.feeds), symbols(v.value for v in bundle.variables),
                   constants, graph.sizes)
    try:
        _check_ops(graph.nodes, attempt.ops)
        with Recording():
            _, writes = _results(graph, _executed(graph, attempt))
        for v, t in writes:
            if t.spec is not Spec(bundle.variables[v].value.shape, bundle.variables[v].value.dtype):
                raise DataLossError(f"what variable {bundle.variables[v].name} gets does not fit it")
        _compare(graph, attempt.nodes)
    except (OpError, ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError) as error:
        raise DataLossError(f"saved_model.load: {where} is damaged: function {graph.name!r}, node "
                            f"{len(attempt.nodes)}: {error}") from error


def _check_ops(nodes: Any, ops: dict) -> None:
    for node in nodes:
        if node.op in CODE or node.op not in ops and node.op not in CONTROL:
            raise DataLossError(f"there is no op {node.op!r}")
        for block in dict(node.attrs)["bodies"] if node.op in CONTROL else ():
            _check_ops(block.nodes, ops)


def _compare(graph: GraphDef, found: list) -> None:
    for i, (node, outs) in enumerate(zip(graph.nodes, found)):
        want = [v.value(graph.sizes) for v in node.outputs]
        fits = len(want) == len(outs) and all(t.dtype is w.dtype and _alike(t.spec.shape, w.shape)
                                              for t, w in zip(outs, want))
        if not fits:
            raise DataLossError(f"node {i}, {node.op}, gives {[t.spec for t in outs]}, the file says "
                                f"{', '.join(map(str, node.outputs))}")


def _alike(found: Any, want: Any) -> bool:
    """Whether a shape is the one that was written down, as far as it was."""
    return want is None or found is not None and len(found) == len(want) and all(
        w is None or w == n for w, n in zip(want, found))
