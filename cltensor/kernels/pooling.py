"""Plans of pooling kernels: one launch each, an output row at a time (cpu) or an element at a time (gpu)."""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import DType
from cltensor.kernels.plan import IN, OUT, SCALAR, TABLE, Plan, launch
from cltensor.kernels.reduction import spread

__all__ = ["lower_pool"]


def lower_pool(kernel: str, dtype: DType, image: tuple, pooled: tuple, window: tuple, strides: tuple, before: tuple,
               inputs: int, target: Any) -> Plan:
    """One launch of `kernel` of pool2d.

    Args:
        image, pooled: NHWC shapes of the larger and the smaller side.
        window, strides: along height and width.
        before: rows and columns of the first window that lie outside the image.
        inputs: number of inputs, passed in order.
    """
    cpu = target.schedule == "cpu"
    n, h, w, c = image
    out = image if kernel.endswith("_grad") else pooled
    size = out[0] * out[1] * out[2] * out[3]
    units = out[0] * out[1] if cpu else size
    per, work, local = spread(units, size * window[0] * window[1], target, 64)
    table = TABLE((h, w, c, *pooled[1:3], *window, *strides, *before))
    args = [OUT(), *(IN(i) for i in range(inputs)), table, SCALAR("ulong", units), SCALAR("ulong", per)]
    lanes = (8 if dtype.compute == "double" else 16) if cpu else 1
    return Plan((launch("pool2d", kernel, args, work, local, dtype=dtype.name, kind=kernel[:3], v=lanes,
                        schedule=target.schedule),))
