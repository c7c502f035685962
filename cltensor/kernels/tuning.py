"""Tuning: the free parameters of kernel templates by template and schedule.

A parameter here may change speed, and never the order in which numbers are added: results keep their
bits whatever stands in this table.
"""

from __future__ import annotations

from typing import Any

__all__ = ["lookup"]

_DEFAULTS: dict[tuple[str, str], dict[str, int]] = {
    ("matmul", "cpu"): {
        "mr": 8,            # rows of a register tile: mr * nv accumulators, two loads, one broadcast fit 32 registers
        "nv": 2,            # vectors across a register tile (a vector is 64 bytes)
        "kc": 256,          # depth of a packed panel: kc * nv * 64 bytes = 32 KB stay in the first cache
        "block_rows": 96,   # rows one work-item of the packed form takes: an A block of ~96 KB, second cache
        "block_columns": 128,
        "least_groups": 16,  # blocks are halved until there are so many, so that cores can share them
        "strip": 8,         # vectors across the column strip of a vector-times-matrix work-item
        "dots": 4,          # columns a dot-product work-item handles at once
    },
    ("matmul", "gpu"): {
        "side": 8,          # work-items along each side of a work-group: 8 x 8 = 64
        "each": 4,          # rows and columns each item keeps in registers: tiles of 32 x 32
        "depth": 16,        # k-range held in local memory at a time
    },
    ("conv2d", "cpu"): {
        "mr": 8,            # rows of a register tile, as for matmul
        "nv": 2,
        "unroll": 4,        # steps along the innermost index of k
        "panel": 2 ** 18,   # bytes of weights a work-item goes through for each sweep of rows: they stay in the second cache
        "sweep": 64,        # rows of a sweep
        "groups": 32,
        "range": 192,       # steps of k of the filter's gradient after which accumulators go to memory and come back
    },
    ("conv2d", "gpu"): {
        "mr": 4,            # rows an item keeps in registers
        "range": 192,
    },
}


def lookup(name: str, target: Any) -> dict[str, int]:
    """The parameters of template family `name` under `target.schedule`.

    Example:
        >>> from types import SimpleNamespace
        >>> lookup("matmul", SimpleNamespace(schedule="gpu"))["side"]
        8
    """
    return _DEFAULTS[name, target.schedule]
