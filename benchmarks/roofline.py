"""The machine's own limits, measured with this OpenCL implementation: arithmetic peak and copy bandwidth.

A workload's place under these two lines says how much is left to gain: `flop / moved` on the one axis, its
rate on the other.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl

from benchmarks.frameworks import Framework
from cltensor.runtime import device

_CHAINS = 10


def _best(queue: Any, kernel: Any, size: int, local: int, launches: int) -> float:
    """Shortest time of a launch. Several per wait, some rest between: when a wait ends both cores are awake, and what
    slows a core down for a tenth of a second (a neighbour, the host of a virtual machine) is outlived."""
    found = []
    for _ in range(12):
        time.sleep(0.03)
        for kept in (False, True):       # the first lot wakes the driver's threads
            start = time.perf_counter()
            for _ in range(launches):
                cl.enqueue_nd_range_kernel(queue, kernel, (size,), (local,))
            queue.finish()
            if kept:
                found.append((time.perf_counter() - start) / launches)
    return min(found)


def limits(framework: Framework) -> dict[str, float]:
    """GFLOP/s of multiply-adds, GB/s of a copy (read and written bytes) from memory and from caches."""
    where = device.default()
    context = where.context
    cpu = where.traits.schedule == "cpu"
    width, local = (16, 1) if cpu else (1, 256)
    groups = where.traits.compute_units * (8 if cpu else 64)
    text = Path(__file__).with_suffix(".cl").read_text(encoding="utf-8")
    program = cl.Program(context, text).build(options=[f"-DW={width}", f"-DLOCAL={local}"])
    queue = cl.CommandQueue(context)
    flags = cl.mem_flags
    sink = cl.Buffer(context, flags.READ_WRITE, 4 * groups * local)
    peak = cl.Kernel(program, "peak")
    turns = 200_000 if cpu else 20_000
    peak.set_args(sink, np.float32(0.5), np.int32(turns))
    flop = 2 * _CHAINS * width * turns * groups * local
    found = {"peak_gflops": flop / _best(queue, peak, groups * local, local, 8) / 1e9}
    copy = cl.Kernel(program, "copy")
    for name, nbytes, launches in (("memory_gbs", 256 << 20, 1), ("cache_gbs", 2 << 20, 100)):
        source, target = (cl.Buffer(context, flags.READ_WRITE, nbytes) for _ in range(2))
        cl.enqueue_fill_buffer(queue, source, np.float32(1), 0, nbytes)
        copy.set_args(target, source, np.uint64(nbytes // 4 // width))
        found[name] = 2 * nbytes / _best(queue, copy, groups * local, local, launches) / 1e9
    return found


def draw(run: dict, file: Path) -> bool:
    """The picture: limits as lines, each workload with known work as a point. False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot
    machine = run["machine"]
    figure, axes = pyplot.subplots(figsize=(10, 6.5), layout="constrained")
    x = np.logspace(-1.7, 3, 200)
    axes.loglog(x, np.minimum(machine["peak_gflops"], x * machine["memory_gbs"]), "k-", lw=1.5,
                label=f"memory {machine['memory_gbs']:.0f} GB/s, peak {machine['peak_gflops']:.0f} GFLOP/s")
    axes.loglog(x, np.minimum(machine["peak_gflops"], x * machine["cache_gbs"]), "k--", lw=1,
                label=f"caches {machine['cache_gbs']:.0f} GB/s")
    marks = {"matmul": ("o", "tab:blue"), "conv": ("s", "tab:red"), "sum": ("^", "tab:green"),
             "argmax": ("^", "tab:olive"), "softmax": ("v", "tab:purple"), "log_softmax": ("v", "tab:pink"),
             "chain": ("D", "tab:brown"), "": (".", "tab:gray")}
    seen = set()
    for row in run["rows"]:
        ours = row["results"].get("cltensor", {})
        if not row.get("flop") or not row.get("moved") or "many" not in ours:
            continue
        family = row["name"].split()[0]
        mark, colour = marks.get(family, marks[""])
        family = family if family in marks else "elementwise and broadcast"
        at = row["flop"] / row["moved"], row["flop"] / min(ours["many"]) / 1e9
        axes.plot(*at, mark, color=colour, ms=7, label=None if family in seen else family)
        axes.annotate(row["name"], at, fontsize=6, xytext=(4, -2), textcoords="offset points")
        seen.add(family)
    axes.set(xlabel="FLOP per byte of operands and results (exp and tanh count as 20)", ylabel="GFLOP/s",
             title=f"cltensor on {run['implementation']}, under the limits measured in the same run")
    axes.grid(True, which="both", alpha=0.2)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
    return True
