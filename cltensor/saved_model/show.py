"""Saved functions as text and as pictures; `python -m cltensor show FOLDER` prints them. No device is needed."""

from __future__ import annotations

import os
from collections import Counter
from math import prod
from typing import Any

from cltensor.base import nest
from cltensor.base.errors import NotFoundError
from cltensor.graph.dot import BODIES, Drawing
from cltensor.runtime.memory import human
from cltensor.saved_model.folder import read
from cltensor.saved_model.graph_def import Block, Bundle, Draw, EmptyList, GraphDef, NodeDef, Ref, SizedConstant
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


class _Names:
    """What is read, as text: of a function, or of a block in it, whose feeds are called x0, x1, ..."""

    def __init__(self, bundle: Bundle, graph: GraphDef | Block, within: str = ""):
        self.bundle, self.graph, self.within = bundle, graph, within

    def feed(self, i: int) -> str:
        """A feed's name."""
        return self.graph.feeds[i].name if isinstance(self.graph, GraphDef) else f"x{i}"

    def of(self, x: Any) -> str:
        """An input of a node."""
        if isinstance(x, Ref):
            return {"feed": lambda: self.feed(x.index), "variable": lambda: self.bundle.variables[x.index].name,
                    "node": lambda: f"%{self.within}{x.index}" + (f".{x.output}" if x.output else ""),
                    "constant": lambda: f"constant {x.index}"}[x.kind]()
        if isinstance(x, Draw):
            return "draw" if x.seed is None else f"draw(seed {x.seed})"
        if isinstance(x, EmptyList):
            return "empty list"
        return f"[{', '.join(map(str, x.elements))}]" if isinstance(x, SizedConstant) else str(x)


def _attrs(node: NodeDef) -> list[str]:
    """Attributes that say something, as text."""
    return [f"{k}={_plain(v)}" for k, v in node.attrs if v not in (None, False, ()) and k != "bodies"]


def _plain(v: Any) -> str:
    return f"({', '.join(map(_plain, v))})" if isinstance(v, tuple) else v if isinstance(v, str) else f"{v!s:.40}"


def _blocks(node: NodeDef) -> list[tuple[str, Block]]:
    """The blocks of a node with what they are called."""
    return list(zip(BODIES.get(node.op, ()), dict(node.attrs).get("bodies", ())))


def listing(graph: GraphDef | Block, bundle: Bundle, indent: str = "    ", within: str = "") -> str:
    """A line per op; what is inside of branches and loops stands further right."""
    lines, names = [], _Names(bundle, graph, within)
    for i, n in enumerate(graph.nodes):
        reads = ", ".join([*(names.of(x) for x in n.inputs), *_attrs(n)])
        lines.append(f"{indent}%{within}{i} = {n.op}({reads}) {', '.join(map(str, n.outputs))}")
        for title, block in _blocks(n):
            inner = f"{within}{i}.{title}."
            lines.append(f"{indent}    {title}({', '.join(f'x{k}: {v}' for k, v in enumerate(block.feeds))}):")
            if block.nodes:
                lines.append(listing(block, bundle, indent + "        ", inner))
            found = ", ".join(_Names(bundle, block, inner).of(r) for r in block.results)
            lines.append(f"{indent}        returns {found}")
    return "\n".join(lines)


class _Picture:
    """A function on its way into a drawing."""

    def __init__(self, graph: GraphDef, bundle: Bundle):
        self.graph, self.bundle, self.drawing = graph, bundle, Drawing(graph.name)
        self.shared: dict[tuple, str] = {}       # boxes of variables and constants

    def source(self, ref: Ref, feeds: list[str], boxes: list[str]) -> str:
        """The box of what is read."""
        if ref.kind in ("feed", "node"):
            return (feeds if ref.kind == "feed" else boxes)[ref.index]
        key = (ref.kind, ref.index)
        if key not in self.shared:
            label = f"{_Names(self.bundle, self.graph).of(ref)}\n{self.bundle.value_of(self.graph, ref)}"
            self.shared[key] = self.drawing.box(label, ref.kind)
        return self.shared[key]

    def nodes(self, scope: GraphDef | Block, feeds: list[str], cluster: str = "") -> list[str]:
        """The boxes of a scope's nodes, with the arrows into them."""
        names, boxes = _Names(self.bundle, scope), []
        for i, node in enumerate(scope.nodes):
            numbers = [names.of(x) for x in node.inputs if not isinstance(x, Ref)]
            label = [node.op + (f" ({', '.join(numbers)})" if numbers else ""), *_attrs(node)[:_SHOWN]]
            starts = [(self.source(x, feeds, boxes), str(_value(self.bundle, scope, x)))
                      for x in node.inputs if isinstance(x, Ref)]
            box = self.drawing.box("\n".join(label), "op", cluster)
            for start, value in starts:
                self.drawing.arrow(start, box, value)
            for title, block in _blocks(node):
                given = [start for start, _ in starts][len(starts) - len(block.feeds):]
                inner = self.nodes(block, given, f"{cluster}/{i} {title}|{title} of {node.op}")
                for r in dict.fromkeys(r for r in block.results if isinstance(r, Ref)):
                    self.drawing.arrow(self.source(r, given, inner), box, title)
            boxes.append(box)
        return boxes


def _value(bundle: Bundle, scope: GraphDef | Block, ref: Ref) -> Any:
    if isinstance(scope, GraphDef):
        return bundle.value_of(scope, ref)
    return scope.feeds[ref.index] if ref.kind == "feed" else scope.nodes[ref.index].outputs[ref.output] \
        if ref.kind == "node" else bundle.value_of(GraphDef("", (), (), (), None), ref)


def dot(graph: GraphDef, bundle: Bundle) -> str:
    """The function in Graphviz' language."""
    picture = _Picture(graph, bundle)
    feeds = [picture.drawing.box(f"{f.name}\n{f.value}", "feed") for f in graph.feeds]
    boxes = picture.nodes(graph, feeds)
    results = [("/".join(map(str, p)) or "result", x) for p, x in nest.flatten_with_paths(graph.result)]
    results += [(f"assign {bundle.variables[v].name}", x) for v, x in graph.writes]
    for label, x in results:
        if isinstance(x, Ref):
            end = picture.drawing.box(label, "result")
            picture.drawing.arrow(picture.source(x, feeds, boxes), end, str(bundle.value_of(graph, x)))
    return picture.drawing.text()
