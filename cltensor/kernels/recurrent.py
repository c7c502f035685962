"""Plans of recurrent cell steps: one launch over the rows of the gates."""

from __future__ import annotations

from typing import Any

from cltensor.kernels.plan import IN, OUT, SCALAR, Plan, launch

__all__ = ["lower_cell"]

_GRAIN = 1024       # units of a state per work-group: three to five exponentials each
_MOST = 64


def lower_cell(ins: tuple, outs: tuple, target: Any, *, kind: str, order: str, hard: bool, vector: int, state: int,
               forget: float = 0.0) -> Plan:
    """One launch of recurrent.cl.mako.

    Args:
        vector: which input may be a vector for all rows.
        state: which input is the cell's state, [batch, units].
        others: as in the template.
    """
    batch, units = ins[state].shape
    dtype = ins[0].dtype
    cpu = target.schedule == "cpu"
    chunks = -(-units // 16) if cpu else units
    work = batch * chunks
    if cpu:
        per = -(-work // max(1, min(batch * units // _GRAIN, _MOST, work)))
        size, local = (-(-work // per),), (1,)
    else:
        per, size, local = 1, (64 * max(1, min(-(-work // 64), 4096)),), (64,)
    row = ins[vector].shape[-1] if ins[vector].rank == 2 else 0
    args = [*(OUT(i) for i in range(len(outs))), *(IN(i) for i in range(len(ins))),
            *(SCALAR("ulong", n) for n in (batch, units, chunks, per, row)), SCALAR(dtype.compute, forget)]
    return Plan((launch("recurrent", "cell", args, size, local, schedule=target.schedule, kind=kind,
                        dtype=dtype.name, order=order, hard=hard),))
