"""Sorting rows as launches: the host half of sort.cl.mako and select.cl.mako."""

from __future__ import annotations

from typing import Any

from cltensor.kernels.plan import IN, OUT, SCALAR, WORK, Launch, Plan, launch
from cltensor.kernels.strided import blocks

__all__ = ["lower_argsort", "lower_first", "FEW"]

RUN = 32                                # positions an insertion sort is good for
SPAN = {"cpu": 4096, "gpu": 16}         # positions one item merges
FEW = 32                                # elements of a row that are found without sorting it
PART = {"cpu": 8192, "gpu": 256}        # elements of a row that one item looks through, at least


def _spread(rows: int, n: int, parts: int, schedule: str) -> tuple[tuple, tuple, tuple]:
    """Global size, local size and last arguments of a launch over `parts` parts of each row of n elements."""
    units = rows * parts
    items = min(blocks(rows * n), units) if schedule == "cpu" else units
    per = -(-units // items)
    local = 1 if schedule == "cpu" else 64
    size = -(-units // (per * local)) * local
    return (size,), (local,), (SCALAR("ulong", parts), SCALAR("ulong", units), SCALAR("ulong", per))


def lower_argsort(ins: tuple, outs: tuple, target: Any, descending: bool) -> Plan:
    """Positions of the elements of each row (the last dimension) in order."""
    dims = ins[0].shape
    n = dims[-1]
    rows = ins[0].size // n
    dtype, schedule = ins[0].dtype.name, target.schedule

    def spread(kernel: str, args: tuple, span: int) -> Launch:
        size, local, tail = _spread(rows, n, -(-n // span), schedule)
        return launch("sort", kernel, args + tail, size, local, schedule=schedule, dtype=dtype, descending=descending,
                      run=RUN)

    widths = []
    w = RUN
    while w < n:
        widths.append(w)
        w *= 2
    # the last launch writes the result, those before it take turns
    turns = [OUT() if (len(widths) - i) % 2 == 0 else WORK(0) for i in range(len(widths) + 1)]
    launches = [spread("runs", (turns[0], IN(0), SCALAR("ulong", n)), RUN)]
    for i, w in enumerate(widths):
        span = min(2 * w, SPAN[schedule])
        args = (turns[i + 1], turns[i], IN(0), SCALAR("ulong", n), SCALAR("ulong", w), SCALAR("ulong", span))
        launches.append(spread("merge", args, span))
    return Plan(tuple(launches), (outs[0].nbytes,) if widths else ())


def lower_first(ins: tuple, outs: tuple, target: Any, descending: bool, count: int) -> Plan:
    """Positions of the first `count` elements of each row in order, at most `FEW`."""
    n = ins[0].shape[-1]
    rows, schedule = ins[0].size // n, target.schedule
    span = max(PART[schedule], 8 * count)
    parts = -(-n // span)

    def look(to: tuple, among: tuple, length: int, span: int, parts: int) -> Launch:
        size, local, tail = _spread(rows, length, parts, schedule)
        args = (to, IN(0), *among, SCALAR("ulong", n), SCALAR("ulong", length), SCALAR("ulong", span), *tail)
        return launch("select", "first", args, size, local, schedule=schedule, dtype=ins[0].dtype.name,
                      descending=descending, count=count, among=bool(among))
    if parts == 1:
        return Plan((look(OUT(), (), n, n, 1),), ())
    found = parts * count
    return Plan((look(WORK(0), (), n, span, parts), look(OUT(), (WORK(0),), found, found, 1)), (rows * found * 4,))
