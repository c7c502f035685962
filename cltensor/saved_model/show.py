"""Saved functions as text and as pictures; `python -m cltensor show FOLDER` prints them. No device is needed."""

from __future__ import annotations

import os
from collections import Counter
from math import prod
from typing import Any

from cltensor.base import nest
from cltensor.base.errors import NotFoundError
from cltensor.graph.dot import Drawing
from cltensor.runtime.memory import human
from cltensor.saved_model.folder import read
from cltensor.saved_model.graph_def import Bundle, Draw, GraphDef, NodeDef, Ref, SizedConstant
from cltensor.saved_model.run import verify

__all__ = ["summary", "listing", "dot", "open_bundle", "show"]

_SHOWN = 4          # attributes in a box, kinds of op in a summary line


def open_bundle(folder: Any) -> Bundle:
    """The saved model of a folder, verified.

    Raises: NotFoundError, DataLossError, InvalidArgumentError, as `tf.saved_model.load`.
    """
    path = os.fspath(folder)
    bundle = read(path)
    for graph in bundle.functions.values():
        verify(graph, bundle, path)
    return bundle


def show(folder: Any, ops: bool = False, function: str | None = None, picture: bool = False) -> str:
    """What `python -m cltensor show` prints.

    Args:
        ops: a line per op, too.
        function: one signature only.
        picture: Graphviz' text in place of words, of `function` or the first.

    Raises: NotFoundError for a function there is not; as `open_bundle`.
    """
    bundle = open_bundle(folder)
    if function is not None and function not in bundle.functions:
        raise NotFoundError(f"show: there is no function {function!r}, there are {', '.join(bundle.functions)}")
    chosen = bundle.functions if function is None else {function: bundle.functions[function]}
    if picture:
        return dot(next(iter(chosen.values())), bundle)
    parts = [f"saved model {os.fspath(folder)}", summary(bundle)]
    for name, graph in chosen.items():
        parts.append("\n" + _head(name, graph, bundle))
        if ops:
            parts.append(listing(graph, bundle))
    return "\n".join(parts) + "\n"


def summary(bundle: Bundle) -> str:
    """Numbers of variables, parameters and bytes."""
    sizes = [(prod(v.value.shape), v) for v in bundle.variables]
    trained = sum(n for n, v in sizes if v.trainable)
    nbytes = sum(n * v.value.dtype.size for n, v in sizes)
    count = len(bundle.constants)
    constants = f", {count} constant{'s' * (count > 1)}" if count else ""
    return (f"{len(sizes)} variables with {sum(n for n, _ in sizes):,} parameters ({trained:,} trainable, "
            f"{human(nbytes)}){constants}")


def _head(name: str, graph: GraphDef, bundle: Bundle) -> str:
    feeds = ", ".join(f"{f.name}: {f.value}" for f in graph.feeds)
    leaves = [("/".join(map(str, path)), leaf) for path, leaf in nest.flatten_with_paths(graph.result)]
    results = ", ".join((f"{path}: " if path else "") + _leaf(graph, bundle, leaf) for path, leaf in leaves)
    counts = Counter(n.op for n in graph.nodes).most_common()
    kinds = ", ".join(f"{n} {op}" for op, n in counts[:_SHOWN])
    more = f" and {len(counts) - _SHOWN} other kinds" if len(counts) > _SHOWN else ""
    lines = [f"{name}({feeds})", f"    returns {results or 'nothing'}", f"    {len(graph.nodes)} ops: {kinds}{more}"]
    if graph.writes:
        lines.append("    assigns " + ", ".join(bundle.variables[v].name for v, _ in graph.writes))
    return "\n".join(lines)


def _leaf(graph: GraphDef, bundle: Bundle, leaf: Any) -> str:
    if isinstance(leaf, Ref):
        return str(bundle.value_of(graph, leaf))
    return f"{leaf.dtype.name}{list(leaf.shape)}" if isinstance(leaf, SizedConstant) else repr(leaf)


def _input(graph: GraphDef, bundle: Bundle, x: Any) -> str:
    if isinstance(x, Ref):
        if x.kind == "node":
            return f"%{x.index}" + (f".{x.output}" if x.output else "")
        return {"feed": lambda: graph.feeds[x.index].name, "variable": lambda: bundle.variables[x.index].name,
                "constant": lambda: f"constant {x.index}"}[x.kind]()
    if isinstance(x, Draw):
        return "draw" if x.seed is None else f"draw(seed {x.seed})"
    return f"[{', '.join(map(str, x.elements))}]" if isinstance(x, SizedConstant) else str(x)


def _attrs(node: NodeDef) -> list[str]:
    """Attributes that say something, as text."""
    return [f"{k}={_plain(v)}" for k, v in node.attrs if v not in (None, False, ())]


def _plain(v: Any) -> str:
    return f"({', '.join(map(_plain, v))})" if isinstance(v, tuple) else v if isinstance(v, str) else f"{v!s:.40}"


def listing(graph: GraphDef, bundle: Bundle) -> str:
    """A line per op."""
    lines = []
    for i, n in enumerate(graph.nodes):
        reads = ", ".join([*(_input(graph, bundle, x) for x in n.inputs), *_attrs(n)])
        lines.append(f"    %{i} = {n.op}({reads}) {', '.join(map(str, n.outputs))}")
    return "\n".join(lines)


def dot(graph: GraphDef, bundle: Bundle) -> str:
    """The function in Graphviz' language."""
    drawing = Drawing(graph.name)
    boxes: dict[tuple, str] = {}

    def source(ref: Ref) -> str:
        key = (ref.kind, ref.index)
        if key not in boxes:
            label = f"{_input(graph, bundle, ref)}\n{bundle.value_of(graph, ref)}"
            boxes[key] = drawing.box(label, ref.kind)
        return boxes[key]

    for i in range(len(graph.feeds)):
        source(Ref("feed", i))
    for i, node in enumerate(graph.nodes):
        numbers = [_input(graph, bundle, x) for x in node.inputs if not isinstance(x, Ref)]
        starts = [(source(x), str(bundle.value_of(graph, x))) for x in node.inputs if isinstance(x, Ref)]
        label = [node.op + (f" ({', '.join(numbers)})" if numbers else ""), *_attrs(node)[:_SHOWN]]
        boxes["node", i] = drawing.box("\n".join(label), "op")
        for start, value in starts:
            drawing.arrow(start, boxes["node", i], value)
    results = [("/".join(map(str, p)) or "result", x) for p, x in nest.flatten_with_paths(graph.result)]
    results += [(f"assign {bundle.variables[v].name}", x) for v, x in graph.writes]
    for label, x in results:
        if isinstance(x, Ref):
            drawing.arrow(source(x), drawing.box(label, "result"), str(bundle.value_of(graph, x)))
    return drawing.text()
