"""Names of a graph: every op has one, unique, under its name scope; a tensor is `op:0`.

The name a caller gives is an argument that eager ops ignore. A graph finds it in the frame of the call, so that
naming costs eager execution nothing: the outermost function of this package on the stack is the one that was
called, and if it takes a `name`, the op it ends with has that name. Ops before it go by `name/what_they_do`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core import scope
from cltensor.core.dispatch import state
from cltensor.core.tensor import Tensor
from cltensor.interpret.record import Known, Symbol

__all__ = ["Names", "name_scope"]

_VALID = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\-/]*")
_NO_LETTER = re.compile(r"[^A-Za-z0-9_.\-/]|^(?=[^A-Za-z0-9.])")
_PACKAGE = __name__.split(".")[0] + "."


class Names:
    """Which names a graph has given, and to what."""

    def __init__(self) -> None:
        self.ops: dict[str, tuple[Symbol, ...]] = {}        # name of an op -> its results
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}
        self._latest: tuple = (None, "")                    # a call that named its op, and that name

    def unique(self, name: str) -> str:
        """The name, or name_1, name_2, ... if it is taken, whatever the case of its letters."""
        key = name.lower()
        if key not in self._taken:
            self._taken.add(key)
            return name
        n = self._next.get(key, 1)
        while f"{key}_{n}" in self._taken:
            n += 1
        self._next[key] = n + 1
        self._taken.add(f"{key}_{n}")
        return f"{name}_{n}"

    def give(self, graph: Any, outputs: tuple, default: str) -> None:
        """Name an op that was just recorded, by what the caller asked for."""
        frame, asked = _asked()
        if not asked:
            self._put(graph, outputs, self.unique(scope.current() + default))
            return
        if not _VALID.fullmatch(asked):
            raise InvalidArgumentError(f"{default}: {asked!r} is no name; it may have letters, digits and _ . - /")
        if frame is self._latest[0]:        # the call goes on: its last op has the name
            name = self._latest[1]
            self._put(self.ops[name][0].graph, self.ops[name], self.unique(f"{name}/step"))
        else:
            name = asked[:-1] if asked.endswith("/") else self.unique(scope.current() + asked)
            self._latest = (frame, name)
        self._put(graph, outputs, name)

    @staticmethod
    def constant(value: Tensor) -> Tensor:
        """The value of tf.constant as something to name, if user code called it."""
        frame: Any = sys._getframe(3)           # this file, the graph, tf.constant, and who called that
        return value if frame.f_globals.get("__name__", "").startswith(_PACKAGE) else Known(value)

    def _put(self, graph: Any, outputs: tuple, name: str) -> None:
        self.ops[name] = outputs
        for i, symbol in enumerate(outputs):
            symbol.graph, symbol.label = graph, f"{name}:{i}"

    def forget(self, nodes: list) -> None:
        """Nodes are dropped: their names are free."""
        self._latest = (None, "")
        for node in nodes:
            for symbol in node.outputs[:1]:
                name = symbol.label[:-2]
                self.ops.pop(name, None)
                self._taken.discard(name.lower())
                self._next.pop(re.sub(r"_\d+$", "", name.lower()), None)

    def find(self, name: str) -> tuple[str, tuple[Symbol, ...]]:
        """(name, results) of the op of this name.

        Raises: KeyError.
        """
        if name not in self.ops:
            raise KeyError(f"The name {name!r} refers to an Operation which is not in the graph.")
        return name, self.ops[name]


def _asked() -> tuple[Any, str | None]:
    """The frame of the public function that was called from outside, and the name it was given."""
    frame: Any = sys._getframe(1)
    outermost = None
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        outermost, frame = frame, frame.f_back
    if outermost is None:
        return None, None
    code = outermost.f_code
    arguments = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
    given = outermost.f_locals
    name = given.get("name") if "name" in arguments else given["kwargs"].get("name") if "kwargs" in code.co_varnames \
        and isinstance(given.get("kwargs"), dict) else None
    if isinstance(name, str) and outermost.f_globals["__name__"].startswith(_PACKAGE + "summary."):
        name = _NO_LETTER.sub("_", name)        # a summary's tag may be any text
    return outermost, name if isinstance(name, str) else None


@contextmanager
def name_scope(name: str | None, default_name: str | None = None, values: Any = None) -> Iterator[str]:
    """Inside, names of variables, and of ops in a graph, begin with `name/`.

    Args:
        name: the scope; one that ends in a slash is taken as it is, "" is the outermost.
        default_name: used where name is None.

    Yields: the whole prefix. In a graph a second scope of a name becomes name_1.
    Raises: InvalidArgumentError (a ValueError) without any name, or for one that cannot be part of a name.

    Example:
        >>> import cltensor as tf
        >>> with tf.name_scope("outer"), tf.name_scope("inner") as prefix:
        ...     print(prefix, tf.Variable(1.0, name="v").name)
        outer/inner/ outer/inner/v:0
    """
    chosen = default_name if name is None else name
    if chosen is None:
        raise InvalidArgumentError("name_scope: at least one of name and default_name must be given, both are None")
    if chosen and not _VALID.fullmatch(chosen):
        raise InvalidArgumentError(f"name_scope: {chosen!r} is no name; it may have letters, digits and _ . - /")
    unique = getattr(state.interpreter, "unique_name", None)
    if not chosen or chosen.endswith("/"):
        prefix = chosen
    else:
        prefix = (scope.current() + chosen if unique is None else unique(chosen)) + "/"
    with scope.at(prefix):
        yield prefix
