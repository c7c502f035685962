"""The one place that imports late: extras, which cltensor can do without, and names that most programs do without.

Everything else imports at the top of its file (a test checks that). An extra that is missing is an
ImportError that says how to install it, not a stack trace about a module nobody has heard of.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["load", "later"]


def load(module: str, extra: str) -> ModuleType:
    """The module, imported now; `extra` is the name in `pip install "cltensor[extra]"`.

    Raises: ImportError that says what to install.

    Example:
        >>> load("json", extra="test").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        # The extra is there and something of its own is missing: that is another message.
        if missing and not (module == missing or module.startswith(missing + ".")):
            raise
        package = module.partition(".")[0]
        raise ImportError(f"{package} is not installed; it comes with: "
                          f'pip install "cltensor[{extra}]"', name=module) from None


def later(module: str, places: dict[str, str]) -> tuple[Callable[[str], Any], Callable[[], list]]:
    """A module's `__getattr__` and `__dir__`: these names are imported when they are first asked for, and stay.

    `places` says where each name is: "package.module", or "package.module:name" for a name in it.

    Example:
        >>> find, names = later("json", {"tool": "json.tool", "chain": "itertools:chain"})
        >>> find("tool").__name__, find("chain").__name__, "dumps" in names()
        ('json.tool', 'chain', True)
    """
    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        source, _, inside = places[name].partition(":")
        found = importlib.import_module(source)
        value = getattr(found, inside) if inside else found
        setattr(sys.modules[module], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[module]), *places})
    return find, names
