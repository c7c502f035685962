"""Tuned entries on disk: those that ship in tuned.json, the user's own, and the verdicts on both.

An entry is {parameter: number} under "family/schedule" under a driver key (`traits.driver`: platform, version,
device, driver version). `python -m cltensor tune` writes the user's file, which is asked before the shipped one.
What ships has, besides, an entry per kind of GPU, under "unmeasured: <vendor> gpu": worked out from what
vendors publish (registers, local memory, number of units), for devices that nobody has searched on yet.
Nothing here is trusted: a file may be old, damaged or written by hand, so kernels/tuning.py checks each number
against what is allowed and has each entry tried once per driver version before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from cltensor.base import config

__all__ = ["SHIPPED", "user_file", "verdict_file", "kind", "entries", "save", "fingerprint", "verdict", "remember"]

_HERE = Path(__file__).parent
SHIPPED = _HERE / "tuned.json"


def user_file() -> Path:
    """Where `python -m cltensor tune` keeps what it found."""
    return config.cache_dir() / "tuned.json"


def verdict_file() -> Path:
    """Where it is kept which entries gave the plain kernel's results."""
    return config.cache_dir() / "tuned_verdicts.json"


def _read(file: Path) -> dict[str, dict]:
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {key: row for key, row in stored.items() if isinstance(row, dict)}


def _write(file: Path, rows: dict) -> None:
    """All or nothing: a reader sees the old file or the new one, never half of one. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.stem)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(rows, out, indent=1, sort_keys=True)
        out.write("\n")
    os.replace(temporary, file)


def kind(vendor: str) -> str:
    """The key of the entries for all GPUs of a vendor, by the name that its driver gives.

    Example:
        >>> kind("Advanced Micro Devices, Inc.")
        'unmeasured: amd gpu'
    """
    known = {"advanced": "amd", "amd": "amd", "nvidia": "nvidia", "intel(r)": "intel", "intel": "intel", "arm": "arm",
             "apple": "apple"}
    words = vendor.lower().split()
    return f"unmeasured: {known.get(words[0], words[0]) if words else 'unknown'} gpu"


def entries(driver: str, key: str, vendor: str = "") -> list[tuple[str, Any]]:
    """(where it stands, entry) for "family/schedule" of a driver, the user's first, that of a GPU's kind last."""
    asked = [(user_file(), driver), (SHIPPED, driver)]
    if vendor:
        asked.append((SHIPPED, kind(vendor)))
    found = ((str(file), _read(file).get(name, {}).get(key)) for file, name in asked)
    return [(where, entry) for where, entry in found if entry is not None]


def save(driver: str, found: dict[str, dict], file: Path | None = None) -> Path:
    """Put entries {"family/schedule": {parameter: number}} of a driver into the user's file (or `file`)."""
    file = file or user_file()
    rows = _read(file)
    rows[driver] = rows.get(driver, {}) | found
    _write(file, rows)
    return file


def fingerprint(driver: str, key: str, entry: dict) -> str:
    """What a verdict belongs to: driver, entry, and the text of the family's templates."""
    digest = hashlib.sha256(json.dumps([driver, key, sorted(entry.items())]).encode())
    for file in sorted(_HERE.glob(f"{key.split('/')[0]}*.cl.mako")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:24]


def verdict(mark: str) -> str | None:
    """The complaint about an entry, "" if it was found good, None if it was never tried."""
    told = _read(verdict_file()).get(mark, {}).get("complaint")
    return told if isinstance(told, str) else None


def remember(mark: str, complaint: str) -> None:
    """Keep a verdict; where the cache cannot be written, each process tries for itself."""
    rows = _read(verdict_file())
    rows[mark] = {"complaint": complaint}
    try:
        _write(verdict_file(), rows)
    except OSError:
        pass
