"""Tuning: the free parameters of kernel templates by template and schedule.

A parameter here may change speed, and never the order in which numbers are added: results keep their
bits whatever stands in this table. `lookup` answers with the first of

    the user's entry for this driver version      written by `python -m cltensor tune`
    the shipped entry for this very device        kernels/tuned.json
    the shipped entry for GPUs of its vendor      the same, derived from published facts, not measured
    the default of the kind of device             below

An entry counts only if every number is one of those allowed, and if, tried once per driver version, it gives
the same bits as the plain kernel; otherwise one warning says why it is ignored.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.base.errors import CLTensorWarning
from cltensor.kernels import tuned

__all__ = ["TILE", "lookup", "default", "families", "space", "complaint_about", "using", "install_trial", "forget"]

# The tile of matmul's gpu form, by the names of its template; with "small_" before them those of the small one.
TILE = ("mwg", "nwg", "kwg", "mdimc", "ndimc", "vwm", "vwn")
# Per parameter: the default and the values that are allowed.
_TABLE: dict[tuple[str, str], dict[str, tuple[int, tuple]]] = {
    ("matmul", "cpu"): {
        # rows of a register tile: mr * nv accumulators, two loads, one broadcast fit 32 registers
        "mr": (8, (2, 4, 6, 8, 10, 12, 14)),
        # vectors across a register tile (a vector is 64 bytes)
        "nv": (2, (1, 2, 3, 4)),
        # the same for products with much work
        "large_mr": (6, (4, 6, 8, 10, 12, 14)),
        "large_nv": (4, (2, 3, 4)),
        # depth of a private panel: kc * nv * 64 bytes = 32 KB stay in the first cache
        "kc": (256, (64, 128, 192, 256, 384, 512, 768, 1024)),
        # the same where panels are filled by a launch before and come from the second cache, and rows of a group
        "packed_kc": (512, (128, 192, 256, 384, 512, 768, 1024, 2048)),
        "packed_rows": (192, (48, 96, 128, 192, 256, 384, 512)),
        "unroll": (2, (1, 2, 4, 8)),
        # rows and columns of a group: a block of A of 256 KB stays in the second cache
        "block_rows": (256, (32, 64, 96, 128, 192, 256, 384, 512)),
        "block_columns": (256, (32, 64, 128, 192, 256, 512, 1024)),
        # groups are halved until there are so many, so that cores can share them
        "least_groups": (32, (4, 8, 16, 32, 64, 128, 256, 512)),
        # vectors, in eights, across the column strip of a vector-times-matrix work-item, for a large B
        "strip": (8, (2, 4, 8)),
        # whether B may be read where it lies, row by row, in place of panels: as fast or faster on AMD's Zen 5, a third
        # slower on Intel's Xeons (128 x 784 x 512: 120 against 189 GFLOP/s)
        "direct": (1, (0, 1)),
        # columns a dot-product work-item handles at once
        "dots": (4, (1, 2, 4, 8)),
    },
    ("matmul", "gpu"): {
        # a tile of C, what of k lies in local memory, items of a group, lanes of a vector: matmul_gpu.cl.mako.
        # 128 x 128 x 8 by 256 items of 8 x 8 elements: 16.5 KB of local memory, about 100 registers
        "mwg": (128, (32, 64, 96, 128)),
        "nwg": (128, (32, 64, 96, 128)),
        "kwg": (8, (8, 16, 32)),
        "mdimc": (16, (8, 16, 32)),
        "ndimc": (16, (8, 16, 32)),
        "vwm": (4, (2, 4)),
        "vwn": (4, (2, 4)),
        # the same for products that would make too few groups of the large tile, for doubles and integers:
        # 32 x 32 x 16 by 64 items of 4 x 4 elements
        "small_mwg": (32, (16, 32, 64)),
        "small_nwg": (32, (16, 32, 64)),
        "small_kwg": (16, (8, 16, 32)),
        "small_mdimc": (8, (4, 8, 16)),
        "small_ndimc": (8, (4, 8, 16)),
        "small_vwm": (4, (2, 4)),
        "small_vwn": (4, (2, 4)),
        "large_groups": (64, (16, 32, 64, 128)),      # groups of the large tile from which on it is used
    },
    ("conv2d", "cpu"): {
        "mr": (8, (2, 4, 6, 7, 8, 10, 12, 14)),     # rows of a register tile, as for matmul
        "nv": (2, (1, 2, 3, 4)),
        "unroll": (4, (1, 2, 4, 8)),                # steps along the innermost index of k
        # bytes of weights a work-item goes through for each sweep of rows: they stay in the second cache
        "panel": (2 ** 18, tuple(2 ** i for i in range(14, 22))),
        "sweep": (64, (16, 32, 56, 64, 112, 128, 256, 512)),      # rows of a sweep
        "groups": (32, (4, 8, 16, 32, 64, 128, 256, 512)),
        # steps of k of the filter's gradient after which accumulators go to memory and come back
        "range": (192, (32, 64, 96, 128, 192, 256, 384, 512, 1024)),
    },
    ("conv2d", "gpu"): {
        "mr": (4, (1, 2, 4, 8)),         # rows an item keeps in registers
        "range": (192, (64, 128, 192, 256, 512)),
    },
    # softmax, sums, arg-reductions and scans: how many pieces of work a work-item gets
    ("reduce", "cpu"): {
        "grain": (8192, tuple(2 ** i for i in range(10, 18))),    # elements for which a group is worth starting
        "groups": (64, (8, 16, 32, 64, 128, 256)),                # groups at most
    },
    ("reduce", "gpu"): {
        "groups": (4096, (256, 512, 1024, 2048, 4096, 8192, 16384)),
    },
}
_ACCUMULATORS = 28         # mr * nv of a register tile: more does not fit the 32 vector registers
_ELEMENTS = 128            # elements of C an item of a GPU may hold: half of its registers

_DEFAULTS = {key: {name: row[0] for name, row in rows.items()} for key, rows in _TABLE.items()}
_lock = threading.RLock()
_chosen: dict[tuple[str, str, str], dict[str, int]] = {}
_trial: list[Callable[[str, dict, Any], str]] = []
_here = threading.local()


def default(name: str, schedule: str) -> dict[str, int]:
    """The parameters without any tuning."""
    return _DEFAULTS[name, schedule]


def families() -> list[tuple[str, str]]:
    """All (family, schedule) that have parameters."""
    return list(_TABLE)


def space(name: str, schedule: str) -> dict[str, tuple]:
    """The allowed values of each parameter."""
    return {parameter: row[1] for parameter, row in _TABLE[name, schedule].items()}


def complaint_about(name: str, schedule: str, entry: Any) -> str:
    """Why an entry is not one of those allowed, "" if it is.

    Example:
        >>> complaint_about("matmul", "cpu", {"mr": 6, "nv": 4})
        ''
        >>> complaint_about("matmul", "cpu", {"mr": 1000})
        'mr = 1000 is none of 2, 4, 6, 8, 10, 12, 14'
    """
    if not isinstance(entry, dict):
        return f"{entry!r} is not a table of parameters"
    allowed = space(name, schedule)
    for parameter, value in entry.items():
        if parameter not in allowed:
            return f"{parameter!r} is none of {', '.join(allowed)}"
        if type(value) is not int or value not in allowed[parameter]:
            return f"{parameter} = {value!r} is none of {', '.join(map(str, allowed[parameter]))}"
    tile = _DEFAULTS[name, schedule] | entry
    for mr, nv in (("mr", "nv"), ("large_mr", "large_nv")):
        if nv in tile and tile[mr] * tile[nv] > _ACCUMULATORS:
            return f"{mr} * {nv} = {tile[mr] * tile[nv]} accumulators are more than {_ACCUMULATORS}"
    for size in ("", "small_") if (name, schedule) == ("matmul", "gpu") else ():
        complaint = _complaint_about_tile(*(tile[size + part] for part in TILE))
        if complaint:
            return size + complaint
    return ""


def _complaint_about_tile(mwg: int, nwg: int, kwg: int, mdimc: int, ndimc: int, vwm: int, vwn: int) -> str:
    """What of the divisibility that matmul_gpu.cl.mako relies on does not hold, "" if all does."""
    items = mdimc * ndimc
    if mwg % (mdimc * vwm):
        return f"mwg = {mwg} is no multiple of mdimc * vwm = {mdimc * vwm}"
    if nwg % (ndimc * vwn):
        return f"nwg = {nwg} is no multiple of ndimc * vwn = {ndimc * vwn}"
    for what, lines in (("mwg", mwg), ("nwg", nwg)):
        if lines * kwg % (4 * items):
            return f"{what} * kwg = {lines * kwg} is no multiple of 4 * mdimc * ndimc = {4 * items}"
    if mwg * nwg > _ELEMENTS * items:
        return f"mwg * nwg = {mwg * nwg} is more than {_ELEMENTS} for each of {items} items"
    return ""


@contextmanager
def using(**chosen: dict) -> Iterator[None]:
    """In this thread, `lookup` gives these parameters (over the defaults), and defaults for all other families."""
    before = getattr(_here, "chosen", None)
    _here.chosen = chosen
    try:
        yield
    finally:
        _here.chosen = before


def install_trial(trial: Callable[[str, dict, Any], str]) -> None:
    """`trial(family, parameters, target)` -> complaint: compares an entry with the plain kernel on the device."""
    _trial[:] = [trial]


def forget() -> None:
    """Look for entries anew at the next lookup; plans that are bound keep theirs."""
    _chosen.clear()


def lookup(name: str, target: Any) -> dict[str, int]:
    """The parameters of template family `name` under `target.schedule`.

    Example:
        >>> from types import SimpleNamespace
        >>> lookup("matmul", SimpleNamespace(schedule="gpu"))["mwg"]
        128
    """
    schedule = target.schedule
    forced = getattr(_here, "chosen", None)
    if forced is not None:
        return _DEFAULTS[name, schedule] | forced.get(name, {})
    driver = getattr(target, "driver", "")
    found = _chosen.get((name, schedule, driver))
    if found is None:
        with _lock:                      # one thread tries an entry, the others wait for its verdict
            found = _chosen.get((name, schedule, driver))
            if found is None:
                found = _chosen[name, schedule, driver] = _choose(name, target, driver)
    return found


def _choose(name: str, target: Any, driver: str) -> dict[str, int]:
    plain, key = _DEFAULTS[name, target.schedule], f"{name}/{target.schedule}"
    vendor = "" if getattr(target, "is_cpu", True) else getattr(target, "vendor", "")
    for where, entry in tuned.entries(driver, key, vendor) if driver else ():
        complaint = complaint_about(name, target.schedule, entry)
        if not complaint:
            full = plain | entry
            if full == plain:
                return plain
            complaint = _tried(name, full, target, driver, key)
        if not complaint:
            return full
        warnings.warn(f"tuning: the entry {key} in {where} is ignored: {complaint}", CLTensorWarning, stacklevel=4)
    return plain


def _tried(name: str, full: dict, target: Any, driver: str, key: str) -> str:
    mark = tuned.fingerprint(driver, key, full)
    told = tuned.verdict(mark)
    if told is None and not _trial:
        return "it cannot be tried here"
    if told is None:
        told = _trial[0](name, full, target)
        tuned.remember(mark, told)
    return told
