"""Strided copies and fills as launches: the host half of copy.cl.mako and fill.cl.mako.

A copy is given by its dimensions and the offset and strides (in elements) at which source and
destination walk them. Before anything runs the dimensions are sorted by destination stride and merged,
so a slice of whole rows is one long row and a transpose of a 5-d tensor may be a plain 2-d one.
"""

from __future__ import annotations

from math import prod
from typing import Any

from cltensor.kernels.plan import IN, OUT, SCALAR, TABLE, Launch, launch

__all__ = ["blocks", "canonical", "copy_launch", "parts_launch", "fill_launch", "strided_fill_launch", "number_type"]


def blocks(n: int) -> int:
    """Work-groups for n elements under the cpu schedule; from the size only, as all partitions are."""
    if n <= 4096:
        return 1
    return 2 if n <= 65536 else min(64, max(4, n // 32768))


def canonical(dims: Any, source: Any, target: Any, source_at: int = 0,
              target_at: int = 0) -> tuple[list, int, int]:
    """Dimensions [(size, source stride, target stride)] sorted, merged; and the two offsets.

    Sorted so that the target is walked in memory order, with positive target strides: reversing a
    dimension on the target side is reversing it on the source side.

    Example:
        >>> canonical((2, 3, 4), (12, 4, 1), (12, 4, 1))
        ([(24, 1, 1)], 0, 0)
        >>> canonical((3, 2), (1, 3), (2, 1))
        ([(3, 1, 2), (2, 3, 1)], 0, 0)
    """
    kept = []
    for n, s, t in zip(dims, source, target):
        if n == 1:
            continue
        if t < 0:
            source_at, target_at, s, t = source_at + (n - 1) * s, target_at + (n - 1) * t, -s, -t
        kept.append((n, s, t))
    kept.sort(key=lambda d: -d[2])
    merged: list[tuple] = []
    for n, s, t in kept:
        if merged and merged[-1][1] == s * n and merged[-1][2] == t * n:
            merged[-1] = (merged[-1][0] * n, s, t)
        else:
            merged.append((n, s, t))
    return merged or [(1, 1, 1)], source_at, target_at


def copy_launch(target: Any, size: int, dims: Any, source: tuple, source_strides: Any, dest: tuple,
                dest_strides: Any, source_at: int = 0, dest_at: int = 0, source_slot: tuple | None = None,
                dest_slot: tuple | None = None) -> Launch:
    """The launch that copies a region.

    Args:
        target: device traits; `schedule` is read.
        size: bytes of an element.
        dims: sizes of the region, none of them 0.
        source, dest: plan arguments (IN(0), OUT(), WORK(0), ...).
        source_strides, dest_strides, source_at, dest_at: in elements.
        source_slot, dest_slot: an offset that is known at the call only takes the place of source_at or
            dest_at; then no destination stride may be negative.
    """
    merged, source_at, dest_at = canonical(dims, source_strides, dest_strides, source_at, dest_at)
    ends = (dest_slot or SCALAR("ulong", dest_at), source_slot or SCALAR("ulong", source_at))
    total = prod(d[0] for d in merged)
    along = next((i for i, d in enumerate(merged[:-1]) if d[1] == 1), None)
    cpu = target.schedule == "cpu"
    wide = not cpu and total >= 2**31
    least = 16 if cpu else 8
    length, length_in, length_out = merged[-1]
    if (along is not None and length_out == 1 and length_in not in (0, 1) and length >= least
            and merged[along][0] >= least):
        return _tiled(target, size, merged, along, source, dest, ends, total, wide)
    rest = merged[:-1]
    if cpu and rest and (length_in, length_out) != (1, 1) and length < 8 and rest[-1][0] > length:
        # A short inner loop costs more than a strided store.
        rest, (length, length_in, length_out) = rest[:-1] + [merged[-1]], rest[-1]
    columns, column_in, column_out = rest.pop() if rest else (1, 0, 0)
    groups = blocks(total)
    rows = total // length
    segment = length
    if rows < 4 * groups and length >= 1024:
        segment = max(512, -(-length // (-(-4 * groups // rows)) + 15) // 16 * 16)
    segments = -(-length // segment)
    units = rows * segments if cpu else total
    kernel = "copy_rows" if cpu and (length_in, length_out) == (1, 1) else "copy_any"
    args = (dest, source, *ends, *_outer(rest),
            SCALAR("ulong", columns), SCALAR("long", column_in), SCALAR("long", column_out),
            SCALAR("ulong", length), SCALAR("long", length_in), SCALAR("long", length_out),
            SCALAR("ulong", segments), SCALAR("ulong", segment), SCALAR("ulong", units))
    if cpu:
        return launch("copy", kernel, args, (min(groups, units),), size=size, schedule="cpu", wide=False)
    return launch("copy", kernel, args, (_items(total),), (64,), size=size, schedule="gpu", wide=wide)


def parts_launch(target: Any, size: int, rows: int, lengths: Any, joining: bool) -> Launch | None:
    """The launch that copies parts of `rows` rows, `lengths` elements each, into or out of one array of as many rows.

    None where copies one by one are better: few rows to share among cores, or much to copy.
    """
    total, cpu = sum(lengths), target.schedule == "cpu"
    n = rows * total
    if not 2 <= len(lengths) <= 16 or min(lengths) == 0 or n > 1 << 20 or (n > 4096 and rows < 8):
        return None
    groups = min(blocks(n), rows)
    per = -(-rows // groups)
    parts = [OUT(k) if not joining else IN(k) for k in range(len(lengths))]
    args = [OUT(), *parts] if joining else [*parts, IN(0)]
    args += [SCALAR("ulong", v) for v in (*lengths, rows, total, per)]
    work, local = ((-(-rows // per),), (1,)) if cpu else ((_items(rows),), (64,))
    return launch("parts", "parts", args, work, local, size=size, count=len(lengths), joining=joining,
                  schedule=target.schedule)


def _tiled(target: Any, size: int, merged: list, along: int, source: tuple, dest: tuple, ends: tuple,
           total: int, wide: bool) -> Launch:
    columns, _, column_out = merged[along]
    length, length_in, _ = merged[-1]
    rest = merged[:along] + merged[along + 1:-1]
    cpu = target.schedule == "cpu"
    edge = 16 if cpu else 32
    strips = -(-columns // edge)
    groups = blocks(total)
    segment = edge
    if cpu:
        rows = total // (columns * length) * strips
        parts = 1 if rows >= 4 * groups else -(-4 * groups // rows)
        segment = -(-length // (parts * edge)) * edge
    segments = -(-length // segment)
    units = total // (columns * length) * strips * segments
    args = (dest, source, *ends, *_outer(rest),
            SCALAR("ulong", strips), SCALAR("long", 1), SCALAR("long", column_out),
            SCALAR("ulong", length), SCALAR("long", length_in), SCALAR("long", 1),
            SCALAR("ulong", segments), SCALAR("ulong", segment), SCALAR("ulong", units),
            SCALAR("ulong", columns))
    if cpu:
        return launch("copy", "copy_tile", args, (min(groups, units),), size=size, schedule="cpu", wide=False)
    return launch("copy", "copy_tile", args, (64 * min(units, 4096),), (64,), size=size, schedule="gpu",
                  wide=wide)


def _outer(dims: list) -> tuple:
    flat = [v for d in reversed(dims) for v in d]
    return SCALAR("int", len(dims)), TABLE(flat or (0,))


def _items(n: int) -> int:
    return 64 * min(-(-n // 64), 4096)


def number_type(dtype: Any) -> str:
    """The C type in which a value of `dtype` is passed to a kernel."""
    return dtype.compute if dtype.is_floating else "long"


def fill_launch(target: Any, dtype: Any, n: int, value: tuple, dest: tuple) -> Launch:
    """Write one value to the first n elements; `value` is a plan argument of type number_type(dtype)."""
    if target.schedule == "cpu":
        return launch("fill", "fill", (dest, SCALAR("ulong", n), value), (blocks(n),),
                      dtype=dtype.name, schedule="cpu")
    return launch("fill", "fill", (dest, SCALAR("ulong", n), value), (_items(n),), (64,),
                  dtype=dtype.name, schedule="gpu")


def strided_fill_launch(target: Any, dtype: Any, n: int, stride: int, at: int, value: tuple,
                        dest: tuple) -> Launch:
    """Write one value to elements at, at + stride, ..., n of them."""
    args = (dest, SCALAR("ulong", at), SCALAR("long", stride), SCALAR("ulong", n), value)
    if target.schedule == "cpu":
        return launch("fill", "fill_strided", args, (blocks(n),), dtype=dtype.name, schedule="cpu")
    return launch("fill", "fill_strided", args, (_items(n),), (64,), dtype=dtype.name, schedule="gpu")
