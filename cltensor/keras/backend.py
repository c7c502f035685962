"""tf.keras.backend, as far as layers need it: the default float, epsilon, and unique names."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from cltensor.base.errors import InvalidArgumentError

__all__ = ["floatx", "set_floatx", "epsilon", "set_epsilon", "clear_session", "unique_object_name", "snake_case",
           "image_data_format"]

_settings: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7}
_used: Counter = Counter()


def floatx() -> str:
    """Name of the dtype layers take when their input does not say."""
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    """Raises InvalidArgumentError unless float16, float32 or float64."""
    if value not in ("float16", "float32", "float64"):
        raise InvalidArgumentError(f"set_floatx: {value!r} is not one of float16, float32, float64")
    _settings["floatx"] = str(value)


def epsilon() -> float:
    """A small number against division by zero."""
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    """Set what `epsilon` returns."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Always "channels_last"."""
    return "channels_last"


def clear_session() -> None:
    """Let names of layers count from the start again."""
    _used.clear()


def snake_case(name: str) -> str:
    """CamelCase as snake_case.

    Example:
        >>> snake_case("MySimpleLayer"), snake_case("Conv2D"), snake_case("ReLU")
        ('my_simple_layer', 'conv2d', 're_lu')
    """
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    return f"private{name}" if name.startswith("_") else name


def unique_object_name(name: str, zero_based: bool = True) -> str:
    """`name` the first time, then `name_1`, `name_2`, ... in this process."""
    _used[name] += 1
    n = _used[name] - 1
    return name if n == 0 else f"{name}_{n}"
