"""sized: marks functions that look at sizes or values of their arguments, which a graph may not know yet.

    reshape(x, [shape(x)[0], -1])       a graph with an open batch learns the sizes when a value is fed

Eagerly such a function just runs. While ops are recorded the recording decides: one with known shapes says
which op needs a value; a graph keeps the whole call and makes it when sizes are known (graph/later.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from cltensor.core.dispatch import state

__all__ = ["sized"]

F = TypeVar("F", bound=Callable[..., Any])


def sized(function: F) -> F:
    """Decorator: where ops are recorded, the recording makes the call, or keeps it for later."""
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if state.interpreter is None:
            return function(*args, **kwargs)
        return state.interpreter.attempt(function, args, kwargs)
    return call         # type: ignore[return-value]
