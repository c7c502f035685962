"""Every environment variable cltensor reads: one table of name, default, parser and meaning.

Nothing else in the package looks at `os.environ` for a setting of ours. A value is parsed when it is asked
for, so a variable set after the import still counts as long as nobody has acted on it (devices, once
found, stay).
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cltensor.base.errors import InvalidArgumentError

__all__ = ["PREFIX", "get", "override", "table", "texts", "debug", "cache_dir"]

PREFIX = "CLTENSOR_"


class _Variable(NamedTuple):
    default: str
    parse: Callable[[str], Any]
    allowed: str
    meaning: str


def _flag(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "on": True,
            "0": False, "false": False, "no": False, "off": False}[text.lower()]


def _one_of(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError(text)
        return text.lower()
    return parse


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value
    return parse


def _selectors(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


def _limit(text: str) -> int | float | None:
    """None (by device), a fraction in (0, 1] for a percentage, or bytes."""
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%|[kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise ValueError(text)
    number, unit = float(match[1]), match[2]
    if unit == "%":
        if not 0 < number <= 100:
            raise ValueError(text)
        return number / 100
    size = int(number * 1024 ** " kmgt".index(unit or " "))
    if size <= 0:
        raise ValueError(text)
    return size


_FLAG = "0 or 1"
_TABLE: dict[str, _Variable] = {
    "EXECUTION": _Variable("eager", _one_of("eager", "graph"), "eager, graph",
                           "how a program starts: eager, or building the default graph as TF 1.x does"),
    "DEVICES": _Variable("", _selectors, "substrings of platform or device names, separated by ';'",
                         "which OpenCL devices to use, in order of preference; empty means all, best first"),
    "VIRTUAL_GPUS": _Variable("0", _number(0, 64), "0 to 64",
                              "logical GPUs to make out of the CPU device, to try multi-device code"),
    "SCHEDULE": _Variable("auto", _one_of("auto", "cpu", "gpu"), "auto, cpu, gpu",
                          "structure of kernels; auto goes by the type of the device"),
    "DEFER": _Variable("auto", _one_of("auto", "0", "1", "compile"), "auto, 0, 1, compile",
                       "eager ops wait and run together: 1 yes, compile with a kernel for every structure at once; "
                       "auto is 1 under the cpu schedule"),
    "POOL": _Variable("1", _flag, _FLAG,
                      "0 gives every tensor an exact-size buffer of its own: a checker then sees overruns"),
    "MEMORY_LIMIT": _Variable("", _limit, "bytes (500000000, 512M, 2GiB) or a percentage (50%)",
                              "device memory cltensor may take; empty means 80% of the device's"),
    "DEBUG": _Variable("0", _number(0, 5), "0 to 5",
                       "log 1 devices, 2 kernels and blocks that run, 3 cache misses, 4 source, 5 graph passes"),
    "CACHE_DIR": _Variable("", lambda text: text, "a folder",
                           "where verdicts, kernel sources and tuning results are kept; empty means the user's cache"),
    "SYNC": _Variable("0", _flag, _FLAG,
                      "1 waits after every kernel, so that an error appears at the op that caused it"),
    "CHECK_NUMERICS": _Variable("0", _flag, _FLAG,
                                "1 looks for NaN and infinity after every op and names the op (slow)"),
}

_overrides: dict[str, Any] = {}
_parsed: dict[str, tuple[str, Any]] = {}


def _parse(name: str, text: str) -> Any:
    row = _TABLE[name]
    try:
        return row.parse(text.strip())
    except (KeyError, ValueError):
        raise InvalidArgumentError(f"{PREFIX}{name}: {text!r} is not allowed; "
                                   f"allowed are: {row.allowed}") from None


def _row(name: str) -> str:
    key = name.upper().removeprefix(PREFIX)
    if key not in _TABLE:
        raise InvalidArgumentError(f"config: {name!r} is not a setting; there are {', '.join(_TABLE)}")
    return key


def get(name: str) -> Any:
    """The parsed value of a setting: `get("POOL")` reads CLTENSOR_POOL, or what `override` put in its place.

    Raises: InvalidArgumentError for an unknown setting, or a value outside what is allowed.

    Example:
        >>> from cltensor.base import config
        >>> with config.override(memory_limit="2KiB"):
        ...     config.get("MEMORY_LIMIT")
        2048
    """
    key = _row(name)
    if key in _overrides:
        return _overrides[key]
    text = os.environ.get(PREFIX + key, "") or _TABLE[key].default
    known = _parsed.get(key)
    if known is None or known[0] != text:
        known = _parsed[key] = (text, _parse(key, text))
    return known[1]


@contextmanager
def override(**settings: Any) -> Iterator[None]:
    """Settings by keyword that hold inside the `with`, in every thread; made for tests.

    A value is given as text or number, as in the environment, and is checked the same way.

    Example:
        >>> with override(pool=0, debug=2):
        ...     get("POOL"), get("DEBUG")
        (False, 2)
    """
    values = {}
    for name, value in settings.items():
        key = _row(name)
        text = str(int(value)) if isinstance(value, bool) else str(value)
        values[key] = _parse(key, text or _TABLE[key].default)
    before = dict(_overrides)
    _overrides.update(values)
    try:
        yield
    finally:
        _overrides.clear()
        _overrides.update(before)


def table() -> list[tuple[str, str, str, str]]:
    """All variables as rows (name, default, allowed values, meaning), for the manual and `doctor`."""
    return [(PREFIX + name, row.default, row.allowed, row.meaning) for name, row in _TABLE.items()]


def texts() -> dict[str, str]:
    """Every variable and its value as text: from the environment, else the default."""
    return {PREFIX + name: os.environ.get(PREFIX + name) or row.default for name, row in _TABLE.items()}


def debug(level: int) -> bool:
    """True when CLTENSOR_DEBUG asks for `level` or more."""
    return bool(get("DEBUG") >= level)


def cache_dir() -> Path:
    """The folder for verdicts, sources and tuning, not created here: CLTENSOR_CACHE_DIR, else in the user's cache."""
    chosen = get("CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    try:
        home = Path.home()
    except RuntimeError:               # an account without a home, as in some containers
        home = Path(tempfile.gettempdir())
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "cltensor"
