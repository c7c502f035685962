"""Updates of a layer: where ops are recorded, what its call assigns is kept for a run to do or to leave."""

from __future__ import annotations

from typing import Any

__all__ = ["call_recorded"]


def call_recorded(layer: Any, interpreter: Any, args: tuple, kwargs: dict, updates: list) -> Any:
    """`layer.call`, whose sizes may be open; in a graph the operation of what it assigns is added to `updates`."""
    if not interpreter.symbolic:
        return interpreter.attempt(layer.call, args, kwargs)
    first = len(interpreter.nodes)
    outputs = interpreter.attempt(layer.call, args, kwargs)
    made = interpreter.operation(first, f"{layer.name}/updates")
    updates += [made] if made.symbols else []
    return outputs
