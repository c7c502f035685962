"""Drivers that need not be loaded: of two runtimes for the same CPU one is used, and the other costs memory and time.

The loader opens every registered driver, with the compiler inside it: 60 MiB and 0.1 s for each CPU runtime. So once a
search has ended with a CPU runtime that works, the other one is left out the next time, as long as the registered
drivers and CLTENSOR_DEVICES stay what they were. Drivers that may bring a GPU are never left out, and listing
commands (`python -m cltensor info`) look at everything.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cltensor.base import config
from cltensor.runtime.icd import Search

__all__ = ["file", "recall", "remember"]

_RUNTIMES = ("pocl", "intelocl")       # words in the names of the libraries of CPU runtimes
_shown: list[tuple[str, ...]] = []      # what this process left out


def file() -> Path:
    """Where it is kept which libraries were not needed."""
    return config.cache_dir() / "spare_drivers.json"


def _libraries(search: Search) -> list[str]:
    return [library for _, library, ok in search.drivers if ok] + ([str(search.embedded)] if search.embedded else [])


def _runtime(library: str) -> str:
    return next((word for word in _RUNTIMES if word in os.path.basename(library).lower()), "")


def _key(search: Search) -> str:
    """Changes with the drivers that are registered, with their files, and with what is asked for."""
    seen: list[Any] = [list(config.get("DEVICES")), sorted(_libraries(search))]
    for path in (*(icd for icd, _, ok in search.drivers if ok), *map(Path, _libraries(search))):
        try:
            state = path.stat()
            seen.append((str(path), state.st_mtime_ns, state.st_size))
        except OSError:                # a bare name, found by the dynamic loader
            continue
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def _kept() -> dict[str, list]:
    try:
        kept = json.loads(file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: row for key, row in kept.items() if isinstance(row, list)} if isinstance(kept, dict) else {}


def recall(search: Search, every: bool) -> tuple[str, ...]:
    """The libraries that an earlier start like this one did not need.

    None with `every`, or where the user set the path. The loader looks once in a process, so the first answer holds.
    """
    if not _shown:
        whole = every or search.user_path or sys.platform == "win32"       # the registry's drivers cannot be left out
        _shown.append(() if whole else tuple(_kept().get(_key(search), ())))
    libraries = _libraries(search)
    return tuple(x for x in _shown[0] if x in libraries)


def remember(search: Search, found: Sequence[Any], usable: Sequence[Any]) -> None:
    """Keep what was not needed; with nothing usable, that everything is to be loaded again."""
    used = {_word(device) for device in usable if device.kind == "cpu"} - {""}
    needed = used | {_word(device) for device in found if device.kind != "cpu"}
    spare = [x for x in _libraries(search) if used and _runtime(x) and _runtime(x) not in needed]
    kept, key = _kept(), _key(search)
    if search.user_path or kept.get(key, []) == spare:
        return
    fresh = file().with_suffix(f".{os.getpid()}")
    try:
        fresh.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({**kept, key: spare}, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(fresh, file())
    except OSError:
        pass                           # a cache that cannot be written costs the memory, nothing else


def _word(device: Any) -> str:
    return "pocl" if device.pocl else "intelocl" if "intel" in device.platform.lower() else ""
