"""The object graph as a checkpoint stores it: numbered nodes, named edges, optimizer slots; and its JSON.

    {"nodes": [{"children": {"model": 1, "optimizer": 2}},
               {"children": {"w": 3}},
               {"slots": [[3, "m", 4]]},                     variable, slot name, slot variable
               {"tensor": "model/w"},
               {"tensor": "model/w/.OPTIMIZER_SLOT/optimizer/m"}]}

Node 0 is the root. A tensor is named after a shortest path to its node, so the file can be read by other
programs too; "/" within a name becomes ".S" and "." becomes "..", so that no attribute can be mistaken
for a path, nor for the ".OPTIMIZER_SLOT" between a variable and its slots.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cltensor.base.errors import DataLossError, InvalidArgumentError
from cltensor.core.trackable import identity, is_leaf, walk

__all__ = ["Node", "escape", "capture", "parse"]


class Node(NamedTuple):
    """One saved object: its children by name, the name of its tensor, its slots if it was an optimizer."""

    children: dict[str, int]
    tensor: str | None
    slots: list[tuple[int, str, int]]


def escape(name: str) -> str:
    """A name without "/", reversible.

    Example:
        >>> escape("a/b.c")
        'a.Sb..c'
    """
    return name.replace(".", "..").replace("/", ".S")


def capture(root: Any) -> tuple[dict[str, np.ndarray], str]:
    """The values below `root` by tensor name (reads the devices), and the graph's JSON text."""
    reached = list(walk(root))
    number = {identity(node): i for i, (_, node) in enumerate(reached)}
    names = {identity(node): "/".join(map(escape, path)) for path, node in reached}
    nodes: list[dict] = []
    tensors: dict[str, np.ndarray] = {}

    def add_tensor(entry: dict, name: str, leaf: Any) -> None:
        if name in tensors:
            raise InvalidArgumentError(f"Checkpoint.save: two values are named {name!r}")
        tensors[name] = np.asarray(leaf.numpy())
        entry["tensor"] = name

    for _, node in reached:
        entry: dict = {}
        children = {name: number[identity(child)] for name, child in node._children().items()
                    if identity(child) in number}
        if children:
            entry["children"] = children
        if is_leaf(node):
            add_tensor(entry, names[identity(node)] or ".VALUE", node)
        nodes.append(entry)
    for path, node in reached:
        slots = []
        for variable, slot_name, slot in node._slot_items():
            # A variable that was not asked to be saved keeps its slots to itself, too.
            if identity(variable) not in number:
                continue
            owner = "/".join(map(escape, path)) or "."
            entry = {}
            name = f"{names[identity(variable)]}/.OPTIMIZER_SLOT/{owner}/{escape(slot_name)}"
            add_tensor(entry, name, slot)
            slots.append([number[identity(variable)], slot_name, len(nodes)])
            nodes.append(entry)
        if slots:
            nodes[number[identity(node)]]["slots"] = slots
    return tensors, json.dumps({"nodes": nodes})


def _check(nodes: Any, tensors: dict[str, np.ndarray]) -> Iterator[Node]:
    if not isinstance(nodes, list) or not nodes:
        raise ValueError("it has no nodes")

    def is_node(i: Any) -> bool:
        return type(i) is int and 0 <= i < len(nodes)

    for entry in nodes:
        children, tensor, slots = entry.get("children", {}), entry.get("tensor"), entry.get("slots", [])
        if not all(isinstance(k, str) and is_node(v) for k, v in children.items()):
            raise ValueError("an edge leads nowhere")
        if tensor is not None and tensor not in tensors:
            raise ValueError(f"tensor {tensor!r} is missing")
        if not all(is_node(v) and isinstance(n, str) and is_node(s) for v, n, s in slots):
            raise ValueError("a slot leads nowhere")
        yield Node(dict(children), tensor, [(v, n, s) for v, n, s in slots])


def parse(graph: str, tensors: dict[str, np.ndarray], path: str) -> list[Node]:
    """The nodes of the JSON text, every reference checked.

    Raises: DataLossError.
    """
    try:
        return list(_check(json.loads(graph)["nodes"], tensors))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataLossError(f"checkpoint: {path} is damaged: its object graph does not parse: "
                            f"{error}") from error
