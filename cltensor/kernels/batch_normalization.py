"""Plans of batch normalisation: which pieces rows are cut into, and what is launched after what."""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import DType
from cltensor.kernels.epilogue import Epilogue
from cltensor.kernels.plan import IN, OUT, SCALAR, WORK, Launch, Plan, launch
from cltensor.kernels.reduction import spread

__all__ = ["lower_batch_norm", "lower_batch_norm_grad"]

_PIECE, _PIECES = 128, 256        # rows of a piece at least, pieces at most


class _Rows:
    """rows x channels and how they are cut."""

    def __init__(self, dtype: DType, shape: tuple, target: Any, epsilon: float):
        self.dtype, self.c, self.target, self.epsilon = dtype, shape[-1], target, epsilon
        self.rows = 1
        for d in shape[:-1]:
            self.rows *= d
        self.length = max(_PIECE, -(-self.rows // _PIECES))
        self.pieces = -(-self.rows // self.length)

    @property
    def partial(self) -> int:
        """Bytes of one partial result."""
        return self.pieces * self.c * self.dtype.size

    def launch(self, kernel: str, buffers: tuple, piecewise: bool = True, epilogue: Epilogue | None = None) -> Launch:
        cpu = self.target.schedule == "cpu"
        lanes = (8 if self.dtype.compute == "double" else 16) if cpu else 1
        width = (64 if piecewise else lanes) if cpu else 1
        units = -(-self.c // width) * (self.pieces if piecewise else 1)
        elements = self.rows * self.c if piecewise else 2 * self.pieces * self.c
        per, work, local = spread(units, elements, self.target, 64)
        sizes = (SCALAR("ulong", n) for n in (self.rows, self.c, self.length, self.pieces, units, per))
        args = (*buffers, *sizes, SCALAR(self.dtype.compute, self.epsilon), *(epilogue.after(3) if epilogue else ()))
        return launch("batch_norm", kernel, args, work, local, dtype=self.dtype.name, v=lanes,
                      schedule=self.target.schedule,
                      epilogue=epilogue.text(self.target.schedule) if epilogue else ())


def lower_batch_norm(ins: tuple, outs: tuple, target: Any, epsilon: float, epilogue: Epilogue | None = None) -> Plan:
    """Inputs x, scale, offset, those of the epilogue of y; results y, mean, variance."""
    r = _Rows(ins[0].dtype, ins[0].shape, target, epsilon)
    return Plan((r.launch("stats", (WORK(0), WORK(1), IN(0))),
                 r.launch("combine", (OUT(1), OUT(2), WORK(0), WORK(1)), False),
                 r.launch("apply", (OUT(0), IN(0), IN(1), IN(2), OUT(1), OUT(2)), epilogue=epilogue)),
                (r.partial, r.partial))


def lower_batch_norm_grad(ins: tuple, outs: tuple, target: Any, epsilon: float) -> Plan:
    """Inputs x, scale, mean, variance, gradient of y; results dx, dscale, doffset."""
    r = _Rows(ins[0].dtype, ins[0].shape, target, epsilon)
    return Plan((r.launch("sums", (WORK(0), WORK(1), IN(0), IN(4), IN(2), IN(3))),
                 r.launch("total", (OUT(1), OUT(2), WORK(0), WORK(1)), False),
                 r.launch("back", (OUT(0), IN(0), IN(4), IN(1), IN(2), IN(3), OUT(1), OUT(2)))),
                (r.partial, r.partial))
