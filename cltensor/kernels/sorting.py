"""Sorting rows as launches: the host half of sort.cl.mako."""

from __future__ import annotations

from typing import Any

from cltensor.kernels.plan import IN, OUT, SCALAR, WORK, Launch, Plan, launch
from cltensor.kernels.strided import blocks

__all__ = ["lower_argsort"]

RUN = 32                                # positions an insertion sort is good for
SPAN = {"cpu": 4096, "gpu": 16}         # positions one item merges


def lower_argsort(ins: tuple, outs: tuple, target: Any, descending: bool) -> Plan:
    """Positions of the elements of each row (the last dimension) in order."""
    dims = ins[0].shape
    n = dims[-1]
    rows = ins[0].size // n
    dtype, schedule = ins[0].dtype.name, target.schedule

    def spread(kernel: str, args: tuple, span: int) -> Launch:
        parts = -(-n // span)
        units = rows * parts
        items = min(blocks(rows * n), units) if schedule == "cpu" else units
        per = -(-units // items)
        items = -(-units // per)
        local = 1 if schedule == "cpu" else 64
        tail = (SCALAR("ulong", parts), SCALAR("ulong", units), SCALAR("ulong", per))
        return launch("sort", kernel, args + tail, (-(-items // local) * local,), (local,), schedule=schedule,
                      dtype=dtype, descending=descending, run=RUN)

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
