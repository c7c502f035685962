"""Restoration: one checkpoint on its way into live objects, now and as they appear.

Objects are matched to saved nodes by following equal edge names from the root. What is there is matched
first, every shape and dtype is checked, and only then is anything assigned. What is not there yet (a layer
not built, an attribute not set, a slot before the first step) is filled when it is tracked: each matched
object keeps `(restoration, node)`, see core/trackable.py. Values not yet asked for stay in host memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from weakref import ref

import numpy as np

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.trackable import (
    Container,
    Trackable,
    as_node,
    is_leaf,
    open_restorations,
    walk,
)
from cltensor.train.object_graph import Node

__all__ = ["Restoration"]


class _Match:
    """What a walk found, before anything is touched: objects and lists with their nodes."""

    def __init__(self) -> None:
        self.objects: dict[int, tuple[Any, int]] = {}       # id -> object, node
        self.nodes: set[int] = set()
        self.lists: list[tuple[Any, str, int]] = []         # owner, attribute, node
        self.list_nodes: set[int] = set()


def _parts(obj: Any, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """The children of these names that are there; unlike in `_children`, an empty list is: it may fill."""
    known = obj._children()
    for name in names:
        part = known.get(name)
        if part is None:
            part = as_node(_held(obj, name), empty=True)
        if part is not None:
            yield name, part


def _held(obj: Any, name: str) -> Any:
    if not isinstance(obj, Container):
        return obj.__dict__.get(name)
    if isinstance(obj.target, dict):
        return obj.target.get(name)
    return obj.target[int(name)] if name.isdecimal() and int(name) < len(obj.target) else None


class Restoration:
    """Values of a verified checkpoint, handed out to the objects they belong to."""

    def __init__(self, nodes: list[Node], tensors: dict[str, np.ndarray], path: str):
        self.nodes, self.path = nodes, path
        self._tensors = tensors
        self._objects: dict[int, Any] = {}                  # node -> weak reference to its object
        self._node_of: dict[int, tuple[int, Any]] = {}      # id of an object -> its node, weak reference
        self._list_nodes: set[int] = set()
        self._lists: dict[int, tuple[Any, str]] = {}        # node -> weak owner, attribute
        self._slots_of: dict[int, list[tuple[int, str, int]]] = {}
        for optimizer, node in enumerate(nodes):
            for variable, name, slot in node.slots:
                self._slots_of.setdefault(variable, []).append((optimizer, name, slot))

    # -- matching
    def node_of(self, obj: Any) -> int | None:
        """The node this very object was matched to."""
        found = self._node_of.get(id(obj))
        return found[0] if found is not None and found[1]() is obj else None

    def object_at(self, node: int) -> Any:
        """The live object matched to the node, or None."""
        found = self._objects.get(node)
        return None if found is None else found()

    def match(self, obj: Any, node: int, owner: Any = None, attribute: str = "") -> None:
        """Matches `obj` and what is below it, checks all, then assigns.

        Raises: InvalidArgumentError for a value of another shape or dtype; nothing is assigned then.
        """
        found = _Match()
        self._collect(obj, node, owner, attribute, found)
        for leaf, n in found.objects.values():
            if is_leaf(leaf):
                self._check(leaf, n)
        for part, n in found.objects.values():
            self._objects[n] = ref(part)
            self._node_of[id(part)] = (n, ref(part))
            if not is_leaf(part):
                self._bind(part, n)
        self._list_nodes |= found.list_nodes
        for holder, name, n in found.lists:
            self._lists[n] = (ref(holder), name)
        for part, n in found.objects.values():
            self._assign(part, n)
        self._match_slots([n for _, n in found.objects.values()])
        self._settle()

    def _collect(self, obj: Any, node: int, owner: Any, attribute: str, found: _Match) -> None:
        todo = [(obj, node, owner, attribute)]
        while todo:
            part, n, holder, name = todo.pop()
            if is_leaf(part) != (self.nodes[n].tensor is not None):
                continue        # a variable then and a layer now, or the other way round: no match
            if isinstance(part, Container):
                if n in found.list_nodes:
                    continue
                found.list_nodes.add(n)
                if isinstance(holder, Trackable):
                    found.lists.append((holder, name, n))
            else:
                # A node has one object and an object one node; the first to come keeps it.
                if n in self._objects or n in found.nodes or id(part) in found.objects:
                    continue
                if self.node_of(part) is not None:
                    continue
                found.objects[id(part)] = (part, n)
                found.nodes.add(n)
            edges = self.nodes[n].children
            todo.extend((value, edges[edge], part, edge) for edge, value in _parts(part, edges))

    def _bind(self, obj: Any, node: int) -> None:
        """Remembers this restoration on the object; it outlives earlier ones that know nothing more.

        Else a program that restores again and again, and never builds an optimizer, would keep every copy.
        """
        mine = self.nodes[node]

        def knows_more(other: Restoration, n: int) -> bool:
            theirs = other.nodes[n]
            return not theirs.children.keys() <= mine.children.keys() or bool(theirs.slots and not mine.slots)

        earlier = obj.__dict__.get("_bindings", ())
        obj.__dict__["_bindings"] = [b for b in earlier if knows_more(*b)] + [(self, node)]

    def _check(self, leaf: Any, node: int) -> None:
        tensor = self.nodes[node].tensor
        value = None if tensor is None else self._tensors.get(tensor)
        if value is None:
            return
        shape = tuple(leaf.shape)
        if shape != value.shape or np.dtype(leaf.dtype.as_numpy_dtype) != value.dtype:
            raise InvalidArgumentError(
                f"Checkpoint.restore: {tensor!r} does not fit, the checkpoint has shape {show(value.shape)} "
                f"and dtype {value.dtype}, the variable has shape {show(shape)} and dtype {leaf.dtype.name}")

    def _assign(self, leaf: Any, node: int) -> None:
        tensor = self.nodes[node].tensor
        if tensor is not None and is_leaf(leaf):
            value = self._tensors.pop(tensor, None)
            if value is not None:
                leaf._restore_value(value)

    # -- slots
    def _match_slots(self, nodes: list[int]) -> None:
        for n in nodes:
            for variable, name, slot in self.nodes[n].slots:
                self._match_slot(n, variable, name, slot)
            for optimizer, name, slot in self._slots_of.get(n, ()):
                self._match_slot(optimizer, n, name, slot)

    def _match_slot(self, optimizer_node: int, variable_node: int, name: str, slot: int) -> None:
        optimizer, variable = self.object_at(optimizer_node), self.object_at(variable_node)
        if optimizer is None or not is_leaf(variable) or slot in self._objects:
            return
        for v, slot_name, slot_variable in optimizer._slot_items():
            if v is variable and slot_name == name:
                self.match(slot_variable, slot)
                return
        # The hook's own call of _deferred_slot fills it; one that makes the slot only is filled here.
        made = optimizer._create_slot_hook(variable, name)
        if made is not None and slot not in self._objects:
            self.match(made, slot)

    def on_slot(self, optimizer_node: int, variable: Any, name: str, slot_variable: Any) -> bool:
        """A slot was created: fill it if this checkpoint holds it. True if it did."""
        variable_node = self.node_of(variable)
        for v, slot_name, slot in self.nodes[optimizer_node].slots:
            if v == variable_node and slot_name == name and slot not in self._objects:
                self.match(slot_variable, slot)
                return True
        return False

    # -- newcomers
    def on_track(self, owner: Any, node: int, name: str, value: Any) -> bool:
        """An attribute of a matched object was set: fill what it brings. True if the name is known here."""
        child = self.nodes[node].children.get(name)
        if child is None:
            return False
        part = as_node(value, empty=True)
        if part is not None:
            self.match(part, child, owner, name)
        return True

    def sync(self) -> None:
        """Looks again into plain lists and dicts, which grow without saying so."""
        for node, (owner, name) in tuple(self._lists.items()):
            holder = owner()
            part = None if holder is None else as_node(holder.__dict__.get(name), empty=True)
            if isinstance(part, Container):
                self.match(part, node, holder, name)

    def _settle(self) -> None:
        """Stops waiting when all is handed out, so that nothing is looked up for a finished restore."""
        if not self.unmatched():
            open_restorations.discard(self)
            for obj in (r() for r in self._objects.values()):
                if obj is not None and obj.__dict__.get("_bindings"):
                    obj.__dict__["_bindings"] = [b for b in obj.__dict__["_bindings"] if b[0] is not self]
        elif self._lists:
            open_restorations.add(self)

    # -- reports
    @property
    def restored(self) -> int:
        """How many objects besides the root and its counter were matched."""
        return len(self._objects.keys() - {0, self.nodes[0].children.get("save_counter", 0)})

    def unmatched(self) -> list[int]:
        """Saved nodes nothing was matched to, but for those that hold nothing."""
        return [i for i, node in enumerate(self.nodes)
                if i not in self._objects and i not in self._list_nodes
                and (node.tensor is not None or node.children or node.slots)]

    def name_of(self, node: int) -> str:
        """A tensor name, else a path, for a sentence."""
        if self.nodes[node].tensor is not None:
            return str(self.nodes[node].tensor)
        paths, todo = {0: ""}, [0]
        for i in todo:
            for name, child in self.nodes[i].children.items():
                if child not in paths:
                    paths[child] = f"{paths[i]}/{name}".lstrip("/")
                    todo.append(child)
        return paths.get(node) or "the root"

    def unmatched_objects(self, root: Any, leaves_only: bool) -> list[str]:
        """Paths of objects below `root`, slots included, that this checkpoint has nothing for."""
        out = []
        for path, node in walk(root):
            if isinstance(node, Container):
                continue
            if self.node_of(node) is None and (is_leaf(node) or not leaves_only):
                out.append("/".join(path) or "the root")
            for variable, name, slot in node._slot_items():
                owner = self.node_of(variable)
                if owner is not None and self.node_of(slot) is None:
                    out.append(f"slot {name!r} of {self.name_of(owner)}")
        return out
