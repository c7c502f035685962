"""The one place that imports extras: packages cltensor can do without, loaded when first needed.

Everything else imports at the top of its file (a test checks that). An extra that is missing is an
ImportError that says how to install it, not a stack trace about a module nobody has heard of.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["load"]


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
