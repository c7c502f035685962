"""Depthwise convolutions under the cpu schedule, from sizes to a Plan; the kernels are in depthwise_cpu.cl.mako.

The forward pass and the gradient of the input are one kernel. A stride of s splits that gradient into s * s phases,
each a convolution of its own over the gradient of the output with the taps that meet it (`phases` of convolution.py).
What an output channel needs is one input channel, so there is nothing to pack and nothing to share between channels:
what counts is that a row's values are loaded once and that no border has to be copied.
"""

from __future__ import annotations

from typing import Any

from cltensor.kernels.epilogue import Epilogue
from cltensor.kernels.plan import IN, OUT, SCALAR, TABLE, WORK, Launch, Plan, launch
from cltensor.kernels.reduction import spread

__all__ = ["forward", "input_gradient", "filter_gradient"]

# The filter's gradient: rows of places are dealt to at most so many parts, each of at least so many places. This
# decides the order of a sum, so it is not for tuning.
_PARTS, _LEAST = 16, 64
_REGISTERS = 25         # sums that a vector of channels has in registers


def _common(w: Any, kernel: str, tx: int, sx: int, dx: int, epilogue: Epilogue | None = None, ky: int = 1) -> dict:
    v = 8 if w.dtype.compute == "double" else 16
    return {"does": kernel, "dtype": w.dtype.name, "v": v, "tx": tx, "sx": sx, "dx": dx, "ky": ky, "narrow": w.c < v,
            "T": 8 if tx <= 9 else 4, "epilogue": epilogue.text("cpu") if epilogue else ()}


def _slide(w: Any, target: Any, image: tuple, places: tuple, step: tuple, at: tuple, out: tuple, begin: tuple,
           stride: tuple, apart: tuple, taps: tuple, tap: tuple, tap_step: tuple, epilogue: Epilogue | None) -> Launch:
    """One launch of `slide`; pairs are (along the height, along the width), see the template."""
    units = w.n * places[0]
    per, work, local = spread(units, units * places[1] * w.c * max(1, taps[0] * taps[1]), target)
    table = TABLE((*image, w.c, *places, *step, *at, *out, *begin, stride[0], apart[0], taps[0], tap[0], tap_step[0],
                   tap[1], tap_step[1], w.kw))
    args = (OUT(), IN(0), IN(1), table, SCALAR("ulong", units), SCALAR("ulong", per))
    return launch("depthwise_cpu", "slide", args + (epilogue.args if epilogue else ()), work, local,
                  **_common(w, "slide", taps[1], stride[1], apart[1], epilogue))


def forward(w: Any, target: Any, epilogue: Epilogue | None = None) -> Plan:
    """Inputs: activations, filter [kh, kw, c], those of the epilogue."""
    return Plan((_slide(w, target, (w.h, w.w), (w.oh, w.ow), (1, 1), (0, 0), (w.oh, w.ow), (-w.top, -w.left),
                        (w.sy, w.sx), (w.dy, w.dx), (w.kh, w.kw), (0, 0), (1, 1), epilogue),))


def input_gradient(w: Any, target: Any, down: list, across: list, epilogue: Epilogue | None = None) -> Plan:
    """Inputs: gradient of the output, filter, those of the epilogue; `down` and `across` are the stride's phases."""
    launches = []
    for y in down:
        for x in across:
            # taps from the last to the first: addresses in the gradient rise
            launches.append(_slide(
                w, target, (w.oh, w.ow), (y.places, x.places), (w.sy, w.sx), (y.p, x.p), (w.h, w.w),
                (y.start - y.back * (y.taps - 1), x.start - x.back * (x.taps - 1)), (1, 1),
                (max(1, y.back), max(1, x.back)), (y.taps if x.taps else 0, x.taps if y.taps else 0),
                (y.tap + y.step * (y.taps - 1), x.tap + x.step * (x.taps - 1)), (-y.step, -x.step), epilogue))
    return Plan(tuple(launches))


def filter_gradient(w: Any, target: Any) -> Plan:
    """Inputs: activations, gradient of the output. Result: gradient of the filter [kh, kw, c]."""
    rows, taps = w.n * w.oh, w.kh * w.kw
    parts = max(1, min(_PARTS, rows, rows * w.ow // (_LEAST * taps)))
    per = -(-rows // parts)
    parts = -(-rows // per)
    whole = parts == 1 and w.dtype.name != "float16"
    ky = w.kh if taps <= _REGISTERS else 1
    common = _common(w, "gather", w.kw, w.sx, w.dx, ky=ky)
    table = TABLE((w.h, w.w, w.c, w.oh, w.ow, 1, 1, 0, 0, w.oh, w.ow, -w.top, -w.left, w.sy, w.dy, w.kh))
    launches = [launch("depthwise_cpu", "gather", (OUT() if whole else WORK(0), IN(0), IN(1), table,
                                                   SCALAR("ulong", rows), SCALAR("ulong", per)),
                       (parts, -(-w.c // common["v"])), (1, 1), **common)]
    if whole:
        return Plan(tuple(launches))
    cell = 8 if w.dtype.compute == "double" else 4
    fold = -(-taps // min(32, max(1, taps * w.c * parts // 4096)))
    launches.append(launch("conv2d_layout", "fold", (OUT(), WORK(0), *(SCALAR("ulong", n) for n in (
        parts, taps, w.c, w.c, fold))), (-(-taps // fold),), (1,), dtype=w.dtype.name, v=common["v"], schedule="cpu"))
    return Plan(tuple(launches), (parts * taps * w.c * cell,))
