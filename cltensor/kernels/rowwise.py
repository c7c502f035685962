"""Plans of what walks one axis and keeps it: scans, softmax and the cross entropies built on it."""

from __future__ import annotations

from math import prod
from typing import Any

from cltensor.kernels.plan import ERROR, IN, OUT, SCALAR, Plan, launch
from cltensor.kernels.reduction import spread

__all__ = ["lower_scan", "lower_softmax"]


def lower_scan(ins: tuple, outs: tuple, target: Any, *, kind: str, axis: int, exclusive: bool,
               reverse: bool) -> Plan:
    """One launch of running results along `axis`; kind "sum", "prod", or "linear" with two inputs."""
    shape, dtype = ins[0].shape, ins[0].dtype
    outer, R, inner = prod(shape[:axis]), shape[axis], prod(shape[axis + 1:])
    strips = -(-inner // 16)
    units = outer * (strips if target.schedule == "cpu" else inner)
    per, work, local = spread(units, outer * R * inner, target, 64)
    args = [OUT(), *(IN(i) for i in range(len(ins))),
            *(SCALAR("ulong", v) for v in (outer, R, inner, strips, per)),
            SCALAR("uint", int(exclusive)), SCALAR("uint", int(reverse))]
    return Plan((launch("scan", "scan", args, work, local, schedule=target.schedule, kind=kind,
                        dtype=dtype.name),))


def lower_softmax(ins: tuple, outs: tuple, target: Any, *, kind: str) -> Plan:
    """One launch over the rows of the logits.

    Inputs by kind: softmax, log_softmax: logits; dense, sparse: labels, logits; dense_grad,
    sparse_grad: labels, logits, gradient of the loss.
    """
    several = not kind.endswith("softmax")
    logits = ins[1] if several else ins[0]
    C = logits.shape[-1]
    rows = logits.size // C
    cpu = target.schedule == "cpu"
    lanes = cpu and C < 16
    per, work, local = spread(-(-rows // 16) if lanes else rows, rows * C, target)
    args = [OUT(), IN(1) if several else IN(0)]
    params: dict = {"schedule": target.schedule, "kind": kind, "dtype": logits.dtype.name,
                    "fetch": cpu and target.is_cpu and not target.simulator,
                    "label": ins[0].dtype.name if kind.startswith("sparse") else ""}
    if kind.startswith("sparse"):
        args += [IN(0), ERROR, ("opid",)]
    elif several:
        args.append(IN(0))
    if kind.endswith("grad"):
        args.append(IN(2))
    args += [SCALAR("ulong", rows), SCALAR("ulong", C), SCALAR("ulong", per)]
    return Plan((launch("softmax", "lanes" if lanes else "rows", args, work, local, **params),))
