"""Branches and loops in ONNX's words: If and Loop, whose bodies are graphs that see what is around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.onnx.builder import Builder, Call
from cltensor.saved_model.graph_def import Block, Feed, GraphDef, ListKind, Ref, SizedConstant, Value

__all__ = ["OPERATORS"]


def _scope(b: Builder, block: Block, names: list[str]) -> GraphDef:
    """A block as a graph whose feeds are values of these names."""
    feeds = tuple(Feed(name, value) for name, value in zip(names, block.feeds))
    return GraphDef(b.graph.name, (), feeds, block.nodes, None, sizes=b.graph.sizes)


def _write(b: Builder, block: Block, names: list[str], outputs: bool) -> list[str]:
    """The nodes of a block, appended where `b` stands; the names of its results, as nodes of their own if `outputs`."""
    inner = b.within(_scope(b, block, names))
    inner.write()
    found = [inner.read(r) if isinstance(r, Ref) else inner.number(r, r.dtype) for r in block.results]
    return [b("Identity", name) for name in found] if outputs else found


def _refuse_lists(c: Call) -> None:
    blocks = c.attrs["bodies"]
    values = [*c.specs, *(v for block in blocks for v in block.feeds),
              *(v for block in blocks for n in block.nodes for v in n.outputs)]
    if any(isinstance(v.dtype, ListKind) for v in values):
        raise c.refuse("with lists of tensors (TensorArray, scan, map_fn) is not offered in ONNX")


def _values(block: Block, scope: GraphDef, b: Builder) -> list[Value]:
    return [b.bundle.value_of(scope, r) if isinstance(r, Ref) else Value(r.shape, r.dtype)
            for r in block.results if isinstance(r, (Ref, SizedConstant))]


def _if(c: Call) -> Any:
    _refuse_lists(c)
    b, names = c.builder, c.inputs
    branches = []
    for block in c.attrs["bodies"]:
        body = b.body()
        outputs = _write(body, block, names[1:], True)
        values = _values(block, _scope(b, block, names[1:]), b)
        infos = [b.info(name, value) for name, value in zip(outputs, values)]
        branches.append(b.onnx.helper.make_graph(body.nodes, b.name("branch"), [], infos))
    return b("If", names[0], outputs=len(c.node.outputs), else_branch=branches[0], then_branch=branches[1])


def _loop(c: Call) -> Any:
    _refuse_lists(c)
    b, names, carried = c.builder, c.inputs, c.attrs["carried"]
    test, block = c.attrs["bodies"]
    held, = _write(b, test, names, False)
    body = b.body()
    turn, before = b.name("turn"), b.name("held")
    now = [b.name("now") for _ in range(carried)]
    after = _write(body, block, [*now, *names[carried:]], True)
    still, = _write(body, test, [*after, *names[carried:]], True)
    scalar = {"bool": b.onnx.TensorProto.BOOL, "int64": b.onnx.TensorProto.INT64}
    infos = [b.onnx.helper.make_tensor_value_info(n, scalar[t], []) for n, t in (
        (turn, "int64"), (before, "bool"), (still, "bool"))]
    ins = [*infos[:2], *(b.info(n, v) for n, v in zip(now, block.feeds))]
    outs = [infos[2], *(b.info(n, v) for n, v in zip(after, block.feeds))]
    made = b("Loop", "", held, *names[:carried], outputs=carried,
             body=b.onnx.helper.make_graph(body.nodes, b.name("loop"), ins, outs))
    return made


OPERATORS: dict[str, Callable[[Call], Any]] = {"cond": _if, "while_loop": _loop}
