"""What compiling does to a training step, counted and not timed: launches, bytes of memory, programs.

The first two run in the process of a contender of ours: `worker.do("benchmarks.costs:step", "MLP SGD")`.
"""

from __future__ import annotations

import gc
import time
from typing import Any

from benchmarks.frameworks import Framework
from benchmarks.workloads.compiled import STEPS, deep

__all__ = ["step", "fifty", "table"]


def step(framework: Framework, name: str) -> dict:
    """Launches, and bytes at the peak beyond variables and inputs, of one training step, eager and compiled."""
    from cltensor.graph.replay import prepare
    from cltensor.interpret import defer
    from cltensor.runtime import device
    tf, workload, here = framework.module, STEPS[name], device.default()
    memory, queue = here.memory, here.queue
    steps: list = []            # the step itself: the call of a row may do many
    found: dict = {"name": name}
    for kind, compiler in (("eager", lambda function: function), ("compiled", tf.function)):
        def keep(function: Any, compiler: Any = compiler) -> Any:
            steps.append(compiler(function))
            return steps[-1]
        gc.collect()
        before = memory.in_use
        arrays = [tf.constant(a) for a in workload.inputs()]
        held = [a.buffer for a in arrays]
        workload.forms["cltensor"](tf, *arrays, compiled=keep)
        run = steps.pop()
        run()
        run()
        defer.flush()           # a small eager step waits for further ones
        queue.finish()
        gc.collect()
        kept = memory.in_use - before               # variables and slots, inputs
        if kind == "compiled":
            replay = run.get_concrete_function()
            kept -= replay.kept_bytes               # and what the replay holds, which counts as the step's
            found["launches as recorded"] = prepare(replay.recorded, here, ()).launches
            gc.collect()
        memory.reset_peak()
        launched = queue.launch_count
        run()
        defer.flush()
        found |= {f"launches {kind}": queue.launch_count - launched, f"bytes {kind}": memory.peak - before - kept,
                  "kept": kept}
        del run, arrays, held
    return found


def fifty(framework: Framework) -> dict:
    """Programs and seconds of the first step of a model of fifty equal layers, after one of two layers."""
    from cltensor.kernels import build
    from cltensor.runtime import device
    found: dict = {}
    for layers in (2, 50):
        before, start = len(build.programs()), time.perf_counter()
        run = deep(framework.module, framework.module.function, layers)
        run()
        device.default().queue.finish()
        made = build.programs()[before:]
        found[str(layers)] = {"programs": len(made), "distinct": len({entry[:2] for entry in made}),
                              "building": sum(seconds for *_, seconds in made),
                              "seconds": time.perf_counter() - start, "launches": run.get_concrete_function().launches}
    return found


def _bytes(n: int) -> str:
    return f"{n / 2**20:.2f} MiB" if n >= 2**14 else f"{n} B"


def table(run: dict) -> str:
    """What was counted, as Markdown."""
    lines = ["| training step | launches: eager | as recorded | after the passes | transient bytes: eager | compiled | "
             "ratio | variables and inputs |", "|" + " --- |" * 8]
    for c in run["costs"]:
        lines.append(f"| {c['name']} | {c['launches eager']} | {c['launches as recorded']} "
                     f"| {c['launches compiled']} | {_bytes(c['bytes eager'])} | {_bytes(c['bytes compiled'])} | "
                     f"{c['bytes compiled'] / max(1, c['bytes eager']):.2f} | {_bytes(c['kept'])} |")
    if "fifty" in run:
        two, many = run["fifty"]["2"], run["fifty"]["50"]
        lines += ["", f"First step of a residual perceptron with Adam: with 2 layers {two['programs']} programs "
                  f"({two['building']:.1f} s of {two['seconds']:.1f} s); after that, with 50 equal layers, "
                  f"{many['programs']} more, {many['distinct']} of them distinct ({many['building']:.1f} s of "
                  f"{many['seconds']:.1f} s), {many['launches']} launches a step."]
    return "\n".join(lines)
