"""Pictures of programs and graphs, as text of Graphviz' language: `dot -Tsvg program.dot > program.svg` draws them.

    ellipse    what is fed                box        an op, with its numbers and attributes
    cylinder   a variable                 cluster    ops that run as one kernel, or the inside of a branch or loop
    note       a constant                 octagon    a result

Edges carry shape and dtype of what flows; dashed ones only say what runs before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cltensor.base.shapes import show
from cltensor.core.late import Late
from cltensor.core.tensor import Tensor
from cltensor.interpret.record import Node, Symbol

__all__ = ["Drawing", "draw", "BODIES"]

BODIES = {"cond": ("false_fn", "true_fn"), "while_loop": ("test", "body")}     # what a node has inside
_STYLES = {
    "feed": 'shape=ellipse, style=filled, fillcolor="#dbeafe"',
    "variable": 'shape=cylinder, style=filled, fillcolor="#fef3c7"',
    "constant": 'shape=note, color="#9ca3af", fontcolor="#4b5563"',
    "op": 'shape=box, style="rounded,filled", fillcolor=white',
    "result": 'shape=octagon, style=filled, fillcolor="#dcfce7"',
}
_HEAD = ['digraph "%s" {', '  rankdir=TB; node [fontname="Helvetica", fontsize=11];',
         '  edge [fontname="Helvetica", fontsize=9, color="#6b7280"];']


class Drawing:
    """Boxes and arrows under way; `text` is what Graphviz reads.

    Example:
        >>> d = Drawing("sum")
        >>> x, y = d.box("x", "feed"), d.box("reduce_sum", "op")
        >>> d.arrow(x, y, "float32 (3,)")
        >>> print(d.text().splitlines()[-2])
          n0 -> n1 [label="float32 (3,)"];
    """

    def __init__(self, name: str):
        self._name = name
        self._boxes: dict[str, list[str]] = {"": []}        # cluster -> its boxes
        self._arrows: list[str] = []
        self._count = 0

    def box(self, label: str, kind: str, cluster: str = "") -> str:
        """A box; its name."""
        name = f"n{self._count}"
        self._count += 1
        self._boxes.setdefault(cluster, []).append(f"{name} [label={_quoted(label)}, {_STYLES[kind]}];")
        return name

    def arrow(self, start: str, end: str, label: str = "", dashed: bool = False) -> None:
        """An arrow between two boxes."""
        looks = ([f"label={_quoted(label)}"] if label else []) + (["style=dashed"] if dashed else [])
        self._arrows.append(f"{start} -> {end} [{', '.join(looks)}];" if looks else f"{start} -> {end};")

    def text(self) -> str:
        """The drawing in Graphviz' language."""
        lines = [_HEAD[0] % self._name.replace('"', "'"), *_HEAD[1:]]
        for i, (cluster, boxes) in enumerate(self._boxes.items()):
            if not cluster:
                lines += ["  " + box for box in boxes]
                continue
            title = _quoted(cluster.rpartition("|")[2])
            lines += [f"  subgraph cluster_{i} {{", f"    label={title}; fontname=Helvetica; fontsize=9;",
                      '    style="rounded,filled"; color="#d1d5db"; fillcolor="#f3f4f6";']
            lines += ["    " + box for box in boxes] + ["  }"]
        return "\n".join([*lines, *("  " + arrow for arrow in self._arrows), "}"]) + "\n"


def _quoted(label: str) -> str:
    return json.dumps(label, ensure_ascii=False)


def _flow(x: Tensor) -> str:
    return f"{x.dtype.name} {show(x.spec.shape)}"


def _number(x: Any) -> str:
    return "late" if isinstance(x, Late) else f"{x!r:.12}"


def _label(node: Node) -> str:
    """The op, its inputs that are numbers, and attributes that are not just switched off."""
    numbers = [_number(x) for x in node.inputs if not isinstance(x, Tensor)]
    shown = [f"{k}={v!r:.30}" for k, v in node.attrs
             if v not in (None, False, ()) and not callable(v) and not isinstance(v, Tensor)
             and not (isinstance(v, tuple) and any(isinstance(e, Tensor) for e in v))]
    return "\n".join([node.op.name + (f" ({', '.join(numbers)})" if numbers else ""), *shown[:4]])


class _Sketch:
    """One program on its way into a drawing."""

    def __init__(self, name: str, variables: Mapping[int, str], names: Mapping[int, str]):
        self.drawing = Drawing(name)
        self.variables, self.names = variables, names
        self.made: dict[int, str] = {}          # uid -> box

    def source(self, x: Tensor) -> str:
        """The box a tensor comes from; one that nothing made is fed, a variable, or a constant."""
        if x.uid not in self.made:
            if x.uid in self.variables:
                box = self.drawing.box(f"{self.variables[x.uid]}\n{_flow(x)}", "variable")
            elif isinstance(x, Symbol):
                box = self.drawing.box(f"{self.names.get(x.uid, 'feed')}\n{_flow(x)}", "feed")
            else:
                value = f"{x.host.reshape(-1)[0]:.6}" if x.host is not None and x.host.size == 1 and \
                    x.dtype.is_floating else "constant"
                box = self.drawing.box(f"{value}\n{_flow(x)}", "constant")
            self.made[x.uid] = box
        return self.made[x.uid]

    def node(self, node: Node, cluster: str = "") -> None:
        """A node and the arrows into it; one that passes made of several is a cluster of them."""
        parts = getattr(node, "parts", ())
        for part in parts:
            self.node(part, f"{id(node)}|one kernel of {len(parts)} ops")
        if parts:
            return
        inputs = [x for x in node.inputs if isinstance(x, Tensor)]
        inputs += [x for _, v in node.attrs if isinstance(v, tuple) for x in v if isinstance(x, Tensor)]
        starts = [(self.source(x), _flow(x)) for x in dict.fromkeys(inputs)]
        name = self.names.get(node.outputs[0].uid, node.op.name) if node.outputs else node.op.name
        label = _label(node) + (f"\n{name}" if name != node.op.name else "")
        box = self.drawing.box(label, "op", cluster)
        for start, flow in starts:
            self.drawing.arrow(start, box, flow)
        for o in node.outputs:
            self.made[o.uid] = box
        formals = getattr(node.op, "formals", ())
        self.made.update((f.uid, self.source(x)) for f, x in zip(formals, node.inputs[len(node.inputs) - len(formals):])
                         if isinstance(x, Tensor))
        for title, body in zip(BODIES.get(node.op.name, ()), getattr(node.op, "bodies", ())):
            for inner in body.nodes:
                self.node(inner, f"{id(body)}|{title} of {node.op.name}")
            for x in dict.fromkeys(body.results):
                if isinstance(x, Symbol):
                    self.drawing.arrow(self.source(x), box, title)


def draw(name: str, nodes: Iterable[Node], feeds: Iterable[Symbol], results: Mapping[str, Tensor],
         variables: Mapping[int, str], before: Mapping[int, tuple] | None = None,
         names: Mapping[int, str] | None = None) -> str:
    """Text of Graphviz' language for some nodes.

    Args:
        feeds: drawn even if nothing reads them, unless they are variables.
        results: what is wanted in the end, by what the picture calls it.
        variables: uids of the symbols that are variables' values -> their names.
        before: id of a node -> symbols that must have been computed (control dependencies).
        names: uids of symbols -> names that a graph gave to ops and placeholders.
    """
    sketch = _Sketch(name, variables, names or {})
    for s in feeds:
        sketch.source(s)
    for node in nodes:
        sketch.node(node)
        for s in (before or {}).get(id(node), ()):
            sketch.drawing.arrow(sketch.source(s), sketch.made[node.outputs[0].uid], dashed=True)
    for label, x in results.items():
        sketch.drawing.arrow(sketch.source(x), sketch.drawing.box(label, "result"), _flow(x))
    return sketch.drawing.text()
