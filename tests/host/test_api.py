"""The public names: tests/api.txt lists all of them, one a line, so that none appears or goes by accident.

`python -m tests.host.test_api --write` writes the list anew; the change is then reviewed like any other.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import ModuleType

import cltensor as tf

LIST = Path(__file__).resolve().parent.parent / "api.txt"


def public(module: ModuleType) -> list[str]:
    """Names a module offers: its `__all__`, else what has no underscore and is no module of ours or others."""
    given = getattr(module, "__all__", None)
    if given is not None:
        return sorted(given)
    return sorted(n for n, value in vars(module).items()
                  if not n.startswith("_") and n != "annotations" and not isinstance(value, ModuleType))


def names(module: ModuleType = tf, prefix: str = "tf", seen: frozenset = frozenset()) -> list[str]:
    """Every public name with its namespace; namespaces end in a dot. One that was met above is not entered again."""
    found = []
    for name in public(module):
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            found.append(f"{prefix}.{name}.")
            if value not in seen:
                found += names(value, f"{prefix}.{name}", seen | {module, value})
        else:
            found.append(f"{prefix}.{name}")
    return found


def test_public_names_are_those_listed() -> None:
    listed, here = set(LIST.read_text().split()), set(names())
    gone, new = sorted(listed - here), sorted(here - listed)
    assert not gone and not new, (f"public names differ from tests/api.txt: gone {gone}, new {new}; if that is meant: "
                                  "python -m tests.host.test_api --write")


def test_namespaces_offer_what_they_list() -> None:
    missing = [f"{m.__name__}.{n}" for m in namespaces() for n in public(m) if not hasattr(m, n)]
    assert not missing, missing


def test_public_functions_and_classes_say_what_they_do() -> None:
    silent = sorted({f"{m.__name__}.{n}" for m in namespaces() for n in public(m)
                     if callable(value := getattr(m, n)) and not inspect.getdoc(value)})
    assert not silent, f"without a docstring: {', '.join(silent)}"


def namespaces() -> list[ModuleType]:
    """cltensor and every namespace under it, each once."""
    found, todo = [], [tf]
    while todo:
        module = todo.pop()
        if module not in found:
            found.append(module)
            todo += [v for n in public(module) if isinstance(v := getattr(module, n, None), ModuleType)]
    return found


if __name__ == "__main__":
    if "--write" not in sys.argv:
        sys.exit(__doc__)
    LIST.write_text("\n".join(names()) + "\n")
    print(f"{len(names())} names in {LIST.name}")
