"""Gathers and scatter-adds as launches: the host half of gather.cl.mako, scatter.cl.mako, one_hot.cl.mako."""

from __future__ import annotations

from typing import Any

from cltensor.kernels.plan import ERROR, IN, OUT, SCALAR, TABLE, WORK, Launch, Plan, launch
from cltensor.kernels.strided import blocks

__all__ = ["gather_launch", "scatter_plan", "one_hot_launch"]

_OPID = ("opid",)


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


def scatter_plan(target: Any, updates: Spec, index: Any, drop: bool, limits: tuple, strides: tuple, outer: int,
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
    wanted = blocks(max(outer * rows * inner, outer * picks * inner)) if cpu else 16384
    wanted = max(1, -(-wanted // outer))
    strip = max(64, -(-inner // wanted)) // 16 * 16 if cpu else 1
    strips = -(-inner // strip)
    # A range more is a walk over the indices more: no more than pay.
    ranges = min(rows, max(1, -(-wanted // strips)), 16 if cpu else 64)
    span = -(-rows // ranges)
    ranges = -(-rows // span)
    items = outer * ranges * strips
    dims = [v for pair in zip(limits, strides) for v in pair]
    half = dtype.cl != dtype.compute
    result = WORK(0) if half else OUT()
    args = (result, IN(0), IN(1), ERROR, _OPID, SCALAR("int", len(limits)), TABLE(dims or (0,)),
            *(SCALAR("ulong", v) for v in (picks, rows, inner, span, ranges, strip, strips, items)))
    grid = (min(items, 64),) if cpu else (64 * min(-(-items // 64), 4096),)
    group = None if cpu else (64,)
    params = {"dtype": dtype.name, "index": index.cl, "drop": drop, "schedule": target.schedule}
    first = launch("scatter", "scatter_add", args, grid, group, **params)
    if not half:
        return Plan((first,))
    n = outer * rows * inner
    last = launch("scatter", "narrow", (OUT(), WORK(0), SCALAR("ulong", n)),
                  (blocks(n),) if cpu else (64 * min(-(-n // 64), 4096),), group, **params)
    return Plan((first, last), (n * 4,))


def one_hot_launch(target: Any, size: int, index: Any, outer: int, depth: int, inner: int, on: int,
                   off: int) -> Launch:
    """OUT(0)[o, d, i] = on if IN(0)[o, i] == d else off; `on` and `off` are bit patterns."""
    rows = outer * depth
    args = (OUT(), IN(0), *(SCALAR("ulong", v) for v in (depth, inner, rows, on, off)))
    cpu = target.schedule == "cpu"
    grid = (min(rows, blocks(rows * inner)),) if cpu else (64 * min(-(-rows * inner // 64), 4096),)
    return launch("one_hot", "one_hot", args, grid, None if cpu else (64,), size=size, index=index.cl,
                  schedule=target.schedule)
