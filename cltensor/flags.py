"""tf.flags: absl's flags, which are TensorFlow's; absl is loaded when the first one is defined."""

from typing import Any

from cltensor.base.optional import load

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    if name.startswith("__"):       # Python asks modules for names of its own
        raise AttributeError(name)
    return getattr(load("absl.flags", "flags"), name)
