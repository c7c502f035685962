"""What a call would give, found by example: for calls whose result depends on sizes a graph does not know yet.

`tf.reshape(x, [tf.shape(x)[0], -1])` on an open batch, a recurrent layer that makes a zero state of its batch,
dropout: such a call becomes one node that holds function and arguments, and a run makes the call with tensors of
known shape. What the graph says of the result is found by trying the call with 2, 60 and 120 in place of every open
size, on a recording that is thrown away: sizes that come out equal are taken as known. Where none works, as another
input has a known size there, the sizes of the inputs are tried; else the shape of the result stays open.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cltensor.base import nest
from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import eagerly, state
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor
from cltensor.graph.nodes import GRADIENTS, LATER, REPORT, Later, needed, perform, symbols_in
from cltensor.interpret.eager import infer_specs
from cltensor.interpret.record import EFFECT, Node, NoValue, Recording, Symbol

if TYPE_CHECKING:
    from cltensor.graph.graph import Graph

__all__ = ["attempt", "infer", "Example"]

SIZES = (2, 60, 120)        # one below what slices usually ask for, two above that split into many equal parts


def attempt(graph: Graph, function: Callable, args: tuple, kwargs: dict) -> Any:
    """Call the function; where it fails on sizes or values that the graph does not know yet, keep the call for a run.

    Raises: what the function raises on known sizes.
    """
    count = len(graph.nodes)
    try:
        return function(*args, **kwargs)
    except Exception as error:
        symbols = symbols_in((args, kwargs))
        if not symbols:
            raise
        failed = error
    graph.drop(count)
    later = Later(function, args, kwargs)
    result, reads, writes = _by_example(graph, later, symbols, failed)
    later.reads = [(v, graph.read(v, v.held)) for v in reads]
    later.writes = writes
    node = Node(LATER, (*symbols, *(s for _, s in later.reads)), (("call", later),), (), state.device)
    leaves = nest.flatten(result)
    made = [Symbol(x.spec, node, i) for i, x in enumerate(x for x in leaves if isinstance(x, Tensor))]
    written = [Symbol(v.spec, node, i) for i, v in enumerate(writes, len(made))]
    node.outputs = (*made, *written)
    graph.append(node)
    for symbol, v in zip(written, writes):
        graph.took(v, symbol)
    given = iter(made)
    return nest.pack_sequence_as(result, [next(given) if isinstance(x, Tensor) else x for x in leaves])


def infer(op: OpDef, specs: tuple, attrs: tuple) -> tuple:
    """Specs of an op's results; by example where its row cannot tell them from open sizes."""
    try:
        return infer_specs(op, specs, attrs)
    except InvalidArgumentError as error:       # a row says so of shapes; other errors stay
        if any(s.shape is None for s in specs) or all(None not in s.shape for s in specs):
            raise
        failed = error
    found = []
    for size in (*SIZES, *sorted(known_sizes(specs))):
        try:
            found.append((size, infer_specs(op, tuple(closed(s, size) for s in specs), attrs)))
        except InvalidArgumentError:
            continue
        if size not in SIZES:
            break
    if not found:
        raise failed
    sizes = [size for size, _ in found]
    return tuple(common(sizes, list(same)) for same in zip(*(outs for _, outs in found)))


def _by_example(graph: Graph, later: Later, symbols: list, failed: Exception) -> tuple[Any, list, list]:
    """The result with its sizes as far as they are known, and the variables the call reads and writes."""
    found: list = []
    errors: list[Exception] = []
    for size in (*SIZES, *sorted(known_sizes([s.spec for s in symbols]))):
        if found and size not in SIZES:
            break
        example = graph.examples.setdefault(size, Example(size))
        with eagerly():
            with Recording():
                example.follow(graph, symbols)
            try:
                with Recording() as recording:
                    found.append((size, later.make(example.env), recording.variables))
            except Exception as error:
                errors.append(error)
    if not found:
        if len({str(e) for e in errors}) == 1 and not isinstance(errors[0], NoValue) and all(
                s.spec.shape is not None for s in symbols):         # no size would help
            raise errors[0] from None
        return Symbol(Spec(None, _dtype(later, symbols))), [], []       # values tell its shape: only a run will know
    sizes, results = [size for size, *_ in found], [nest.flatten(result) for _, result, _ in found]
    if len(results[0]) != len(results[-1]):         # how many results there are depends on an open size
        raise failed
    leaves = [Symbol(common(sizes, [x.spec for x in same])) if isinstance(same[0], Tensor) else same[0]
              for same in zip(*results)]
    states = found[-1][2].values()
    return (nest.pack_sequence_as(found[-1][1], leaves), [s.variable for s in states],
            [s.variable for s in states if s.written])


def _dtype(later: Later, symbols: list) -> Any:
    """The dtype a call asks for, else that of its first floating input."""
    try:
        given = inspect.signature(later.function).bind(*later.args, **later.kwargs)
        given.apply_defaults()
    except (TypeError, ValueError):
        given = None
    asked = None if given is None else given.arguments.get("dtype", given.arguments.get("out_type"))
    return (as_dtype(asked) if asked is not None
            else next((s.dtype for s in symbols if s.dtype.is_floating), symbols[0].dtype))


def known_sizes(specs: Any) -> set[int]:
    """The sizes that inputs have."""
    return {d for s in specs for d in s.shape or () if d is not None} - set(SIZES)


def closed(spec: Spec, size: int) -> Spec:
    """The spec with this number for every open size."""
    return spec if spec.shape is None else Spec(tuple(size if d is None else d for d in spec.shape), spec.dtype)


def common(sizes: list[int], specs: list[Spec]) -> Spec:
    """What examples of these sizes agree in; of one alone, what does not look like its size."""
    shapes = [s.shape for s in specs]
    if any(s is None or len(s) != len(shapes[0] or ()) for s in shapes):
        return Spec(None, specs[0].dtype)
    alone = sizes[0] if len(sizes) == 1 else None
    return Spec(tuple(d[0] if len(set(d)) == 1 and d[0] != alone else None for d in zip(*shapes)),   # type: ignore
                specs[0].dtype)


class Example:
    """The symbols of a graph as they would be if every open size were this number."""

    def __init__(self, size: int):
        self.size = size
        self.env: dict[int, Any] = {}

    def follow(self, graph: Graph, symbols: list) -> None:
        """Bring the walk up to these symbols."""
        nodes = needed(graph, symbols, self.env)
        for x in (*symbols, *(x for n in nodes for x in n.inputs)):
            if isinstance(x, Symbol) and x.node is None:        # a placeholder, or the value of a variable
                self.env.setdefault(x.uid, Symbol(closed(x.spec, self.size)))
        for node in nodes:
            try:
                outs = self._outputs(node)
            except Exception:       # its shape depends on values: who needs the shape will fail as well
                outs = tuple(Symbol(closed(o.spec, self.size)) for o in node.outputs)
            self.env.update((o.uid, value) for o, value in zip(node.outputs, outs))

    def _outputs(self, node: Node) -> Any:
        if node.op in (EFFECT, GRADIENTS, REPORT):
            return tuple(Symbol(closed(o.spec, self.size)) for o in node.outputs)
        if node.op is LATER:
            return dict(node.attrs)["call"].outputs(self.env)
        return perform(node, tuple(self.env.get(x.uid, x) if isinstance(x, Symbol) else x for x in node.inputs))
