"""Name scopes: the prefix of names given inside a `with tf.name_scope(...)`, per thread.

Only names depend on it, never what is computed: variables carry it in both modes, ops in a graph.
"""

from __future__ import annotations

import threading

from cltensor.core.dispatch import state

__all__ = ["current", "full_name", "at"]


class _Prefix(threading.local):
    def __init__(self) -> None:
        self.text = ""


_prefix = _Prefix()


def current() -> str:
    """The prefix now: "" or one that ends in a slash."""
    return _prefix.text


def full_name(name: str) -> str:
    """The name under the prefix; in a graph made unique, as its variables are found by name."""
    whole = _prefix.text + name
    unique = getattr(state.interpreter, "unique_name", None)
    return whole if unique is None else unique(whole, under=False)


class at:
    """Context manager: the prefix is this one inside.

    Example:
        >>> with at("a/"), at("a/b/"):
        ...     current()
        'a/b/'
    """

    def __init__(self, prefix: str):
        self.prefix = prefix
        self._before: list = []

    def __enter__(self) -> str:
        self._before.append(_prefix.text)
        _prefix.text = self.prefix
        return self.prefix

    def __exit__(self, *exc: object) -> None:
        _prefix.text = self._before.pop()
