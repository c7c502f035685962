"""Gathers and scatter-adds as launches: the host half of gather.cl.mako, scatter.cl.mako, one_hot.cl.mako."""

from __future__ import annotations

from typing import Any

from cltensor.kernels.plan import ERROR, IN, OUT, SCALAR, TABLE, WORK, Launch, Plan, launch
from cltensor.kernels.strided import blocks

__all__ = ["gather_launch", "scatter_plan", "one_hot_launch"]

_OPID = ("opid",)
_SIZES = {"float": 4, "double": 8, "char": 1, "uchar": 1, "short": 2, "int": 4, "long": 8}


def gather_launch(target: Any, size: int, index: Any, drop: bool, limits: tuple, strides: tuple, outer: int,
                   picks: int, inner: int, rows_stride: int) -> Launch:
    """Gather IN(0) by the indices IN(1) into OUT(0).

    Args:
        size: bytes of an element.
        index: dtype of the indices.
        drop: bad indices give zeros and are not reported.
        limits, strides: per part of an index: its exclusive bound, and its stride in elements.
        outer, picks, inner, rows_stride: as in gather.cl.mako.
    """
    total = outer * picks * inner
    groups, rows, segment = blocks(total), outer * picks, inner
    if rows < 4 * groups and inner >= 1024:
        segment = max(512, -(-inner // (-(-4 * groups // rows)) + 15) // 16 * 16)
    segments = -(-inner // segment)
    units = rows * segments
    dims = [v for pair in zip(limits, strides) for v in pair]
    args = (OUT(), IN(0), IN(1), ERROR, _OPID, SCALAR("int", len(limits)), TABLE(dims or (0,)), SCALAR("ulong", picks),
            SCALAR("ulong", inner), SCALAR("ulong", rows_stride), SCALAR("ulong", segments), SCALAR("ulong", segment),
            SCALAR("ulong", units))
    cpu = target.schedule == "cpu"
    grid = (min(groups, units),) if cpu else (64 * min(-(-total // 64), 4096),)
    return launch("gather", "gather", args, grid, None if cpu else (64,), size=size, index=index.cl, drop=drop,
                  schedule=target.schedule)


def scatter_plan(target: Any, updates: Any, index: Any, drop: bool, limits: tuple, strides: tuple, outer: int,
                  picks: int, rows: int, inner: int) -> Plan:
    """Add the rows of IN(0) up in OUT(0) by the indices IN(1).

    Args:
        updates: Spec of IN(0).
        index: dtype of the indices.
        drop: bad indices are not reported.
        limits, strides: per part of an index: its exclusive bound, and its stride in rows.
        outer, picks, rows, inner: as in scatter.cl.mako.
    """
    cpu, dtype = target.schedule == "cpu", updates.dtype
    n = outer * rows * inner
    # Chunks pay where there are many updates per row; else an item finds those of its rows among all. Both
    # schedules cut alike, so they give the same bits.
    chunks = max(1, min(32, picks // (4 * rows), picks // 2048))
    chunk = -(-picks // chunks)
    chunks = -(-picks // chunk)
    wanted = blocks(max(n, outer * picks * inner)) if cpu else 16384
    wanted = max(1, -(-wanted // (outer * chunks)))
    strip = max(64, -(-inner // wanted)) // 16 * 16 if cpu else 1
    strips = -(-inner // strip)
    # One range more is one walk over the indices more.
    ranges = 1 if chunks > 1 else min(rows, max(1, -(-wanted // strips)), 16 if cpu else 64)
    span = -(-rows // ranges)
    ranges = -(-rows // span)
    items = chunks * outer * ranges * strips
    dims = [v for pair in zip(limits, strides) for v in pair]
    apart = chunks > 1 or dtype.cl != dtype.compute
    sums = WORK(0) if apart else OUT()
    args = (sums, IN(0), IN(1), ERROR, _OPID, SCALAR("int", len(limits)), TABLE(dims or (0,)),
            *(SCALAR("ulong", v) for v in (picks, rows, inner, span, ranges, strip, strips, chunk, outer, items)))
    grid = (min(items, 64),) if cpu else (64 * min(-(-items // 64), 4096),)
    group = None if cpu else (64,)
    params = {"dtype": dtype.name, "index": index.cl, "drop": drop, "schedule": target.schedule}
    first = launch("scatter", "scatter_add", args, grid, group, **params)
    if not apart:
        return Plan((first,))
    last = launch("scatter", "combine", (OUT(), WORK(0), SCALAR("ulong", n), SCALAR("ulong", chunks)),
                  (blocks(n),) if cpu else (64 * min(-(-n // 1024), 256),), group, **params)
    return Plan((first, last), (chunks * n * _SIZES[dtype.compute],))


def one_hot_launch(target: Any, size: int, index: Any, outer: int, depth: int, inner: int, on: int,
                   off: int) -> Launch:
    """OUT(0)[o, d, i] = on if IN(0)[o, i] == d else off; `on` and `off` are bit patterns."""
    rows = outer * depth
    cpu = target.schedule == "cpu"
    units = outer if inner == 1 and cpu else rows
    args = (OUT(), IN(0), *(SCALAR("ulong", v) for v in (depth, inner, units, on, off)))
    grid = (min(units, blocks(rows * inner)),) if cpu else (64 * min(-(-rows * inner // 64), 4096),)
    return launch("one_hot", "one_hot", args, grid, None if cpu else (64,), size=size, index=index.cl,
                  schedule=target.schedule)
