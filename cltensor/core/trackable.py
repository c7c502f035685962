"""Trackable: objects that form a graph through their attributes, so that a checkpoint can name values.

An edge of the graph is an attribute (or an entry of a list, tuple or string-keyed dict held in one), and its
name is the attribute's: never the name a variable was given. Nothing is registered when an attribute is set;
`_children()` reads the object's `__dict__` when asked. So it works for classes whose `__init__` never calls
`super().__init__()`, appending to a list later is seen, and `del` needs no care.

What a subclass may use:

    _children()                      ordered dict name -> Trackable (or Container); override to add to it
    _track(name, child)              an edge that is not an attribute (a layer's `add_variable`)
    _untracked = ("_cache", ...)     class attribute: attributes that are no edges

A **leaf** (a variable) derives from `Leaf`, which costs nothing per attribute, and has `.numpy()`, `.shape`,
`.dtype` and `_restore_value(ndarray)`, which stores a checked value of its own shape and dtype.

An **optimizer** keeps `self._slots[slot_name][variable] = slot_variable` and offers

    _slot_items()                    iterable of (variable, slot_name, slot_variable)
    _create_slot_hook(var, name)     makes that slot if it knows the name, else None: lets a restore put
                                     slots in place before the first step; may be left out
    self._deferred_slot(var, slot_name, slot_variable)
                                     to be called right after a slot was created: fills it from a
                                     checkpoint restored earlier

**Deferred restores.** When a checkpoint is restored, every object it matched keeps `(restoration, node)` in
`_bindings`. Setting an attribute, or `_track`, then asks the latest restoration first whether it knows a
value for the newcomer. That costs one dict look-up per attribute set, and nothing per op.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakSet

__all__ = ["Trackable", "Leaf", "Container", "as_node", "identity", "is_leaf", "walk", "open_restorations"]

#: Restorations that wait for entries of plain lists and dicts, which cannot tell when they grow.
open_restorations: WeakSet = WeakSet()


class Trackable:
    """Base of everything a checkpoint can save: variables, layers, models, optimizers, metrics.

    Example:
        >>> class Pair(Trackable):
        ...     def __init__(self, a, b):
        ...         self.a, self.rest = a, [b]
        >>> pair = Pair(Trackable(), Trackable())
        >>> [path for path, _ in walk(pair)]
        [(), ('a',), ('rest',), ('rest', '0')]
    """

    _untracked: tuple = ()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, _HELD):
            _tell(self, name, value)

    def __delattr__(self, name: str) -> None:
        extra = self.__dict__.get("_tracked_extra")
        if extra is not None and name in extra:
            del extra[name]
            if name not in self.__dict__:
                return
        super().__delattr__(name)

    def _track(self, name: str, child: Any) -> None:
        """Adds an edge that is not an attribute; restores into `child` if a value waits for it."""
        extra = self.__dict__.get("_tracked_extra")
        if extra is None:
            extra = self.__dict__["_tracked_extra"] = {}
        extra[name] = child
        _tell(self, name, child)

    def _children(self) -> dict[str, Any]:
        """Edges by name: attributes in the order they were first set, then what `_track` added."""
        skip = _PRIVATE.union(*(c.__dict__.get("_untracked", ()) for c in type(self).__mro__))
        out = {}
        for name, value in self.__dict__.items():
            if isinstance(value, _HELD) and name not in skip:
                node = as_node(value)
                if node is not None:
                    out[name] = node
        for name, child in self.__dict__.get("_tracked_extra", {}).items():
            out.setdefault(name, child)
        return out

    def _slot_items(self) -> Iterable[tuple[Any, str, Any]]:
        """(variable, slot name, slot variable) of an optimizer."""
        return ()

    def _create_slot_hook(self, variable: Any, slot_name: str) -> Any:
        """The slot variable, made now if this optimizer knows the slot; None otherwise."""
        return None

    def _deferred_slot(self, variable: Any, slot_name: str, slot_variable: Any) -> None:
        """Fills a slot that was just created from the latest checkpoint that holds it."""
        for restoration, node in reversed(self.__dict__.get("_bindings", ())):
            if restoration.on_slot(node, variable, slot_name, slot_variable):
                return


class Leaf(Trackable):
    """A trackable with a value and no children. Attributes are set without the look for restores."""

    __setattr__ = object.__setattr__        # type: ignore[assignment]
    __delattr__ = object.__delattr__

    def _children(self) -> dict[str, Any]:
        return {}

    def _restore_value(self, value: Any) -> None:
        """Stores an ndarray of this leaf's shape and dtype."""
        raise NotImplementedError


class Container:
    """A list, tuple or dict seen as a node; made for each walk, since the container may have changed."""

    __slots__ = ("target",)

    def __init__(self, target: Any):
        self.target = target

    def _children(self) -> dict[str, Any]:
        pairs = ((key, as_node(value)) for key, value in _entries(self.target) if isinstance(value, _HELD))
        return {key: node for key, node in pairs if node is not None}

    def _slot_items(self) -> Iterable[tuple[Any, str, Any]]:
        return ()


_HELD = (Trackable, list, tuple, dict)
_PRIVATE = frozenset(("_bindings", "_tracked_extra", "_slots"))


def _entries(container: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(container, dict):
        # Other keys have no name that would still be theirs in the next process.
        return ((str(k), v) for k, v in container.items() if isinstance(k, (str, int)))
    return ((str(i), v) for i, v in enumerate(container))


def _holds_any(container: Any, seen: set) -> bool:
    if id(container) in seen:
        return False
    seen.add(id(container))
    return any(isinstance(v, Trackable) or (isinstance(v, _HELD) and _holds_any(v, seen))
               for _, v in _entries(container))


def as_node(value: Any, empty: bool = False) -> Any:
    """A Trackable itself, a Container of a list that holds some (or of any, with `empty`), else None."""
    if isinstance(value, (Trackable, Container)):
        return value
    if isinstance(value, _HELD) and (empty or _holds_any(value, set())):
        return Container(value)
    return None


def identity(node: Any) -> int:
    """What tells two nodes apart: a list is the same node in each walk, its Container is not."""
    return id(node.target) if isinstance(node, Container) else id(node)


def is_leaf(node: Any) -> bool:
    """True for what holds a value to save."""
    return getattr(type(node), "_restore_value", None) is not None


def walk(root: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, node) of everything reachable, each once, nearest first: so a path is a shortest one.

    Example:
        >>> a = Trackable()
        >>> a.me = a
        >>> len(list(walk(a)))
        1
    """
    seen = {identity(root)}
    queue: deque = deque([((), root)])
    while queue:
        path, node = queue.popleft()
        yield path, node
        for name, child in node._children().items():
            if identity(child) not in seen:
                seen.add(identity(child))
                queue.append((path + (name,), child))


def _tell(owner: Any, name: str, value: Any) -> None:
    bindings = owner.__dict__.get("_bindings")
    if bindings:
        for restoration, node in reversed(tuple(bindings)):
            if restoration.on_track(owner, node, name, value):
                break
    elif open_restorations:
        # The owner may be an entry that a restored list got since; lists do not tell.
        for restoration in tuple(open_restorations):
            restoration.sync()
