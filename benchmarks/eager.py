"""Deferred beside immediate execution in one process, by turns: what it gains, and what it costs where it cannot gain.

    python -m benchmarks.eager [--rounds 7] [--only WORD] [--cold]

runs once per OpenCL implementation found, each in a process of its own. `--cold` compares whole processes with empty
kernel caches instead: seconds and programs built by the guide's linear regression. The rows beside other packages are
those of `python -m benchmarks --only 'loop of,watched,Adam update,chain,LSTM,MLP,CNN'`.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.processes import BYTECODE
from benchmarks.workloads import deferred, recurrent, training
from cltensor.interpret import defer
from cltensor.runtime import device, platforms

_COLD = """
import time
start = time.perf_counter()
import cltensor as tf
import numpy as np
from benchmarks.workloads import deferred
line = next(w for w in deferred.WORKLOADS if w.name == "watched regression")
float(line.forms["cltensor"](tf, *map(tf.constant, line.inputs()))())
from cltensor.kernels import build
print(time.perf_counter() - start, build.program_count())
"""


def _named(workloads: list, name: str, tf) -> object:
    work = next(w for w in workloads if w.name == name)
    return work.forms["cltensor"](tf, *map(tf.constant, work.inputs()))


def contenders(tf) -> dict:
    """What is timed: title -> (call, ops or steps in a call)."""
    x = tf.constant(np.random.default_rng(0).random(16).astype(np.float32))
    rng = random.Random(0)
    unary = [tf.tanh, tf.sqrt, tf.square, tf.abs, tf.nn.relu, tf.exp]

    def new_structures():
        for _ in range(40):
            y = x
            for _ in range(10):
                y = rng.choice(unary)(y) if rng.random() < 0.5 else y * 0.5 if rng.random() < 0.5 else y + x
            y.buffer                    # noqa: B018

    def kept():
        values = [x * float(i) for i in range(40)]
        values[-1].buffer               # noqa: B018
        return values

    def alone():
        for _ in range(100):
            (x + x).buffer              # noqa: B018

    def read():
        for _ in range(100):
            (x + x).numpy()
    return {
        "op in a loop of 1,000": (_named(deferred.WORKLOADS, "loop of 1000 ops", tf), 1000),
        "step of linear regression": (_named(deferred.WORKLOADS, "watched regression", tf), 200),
        "Adam, 6 variables": (_named(deferred.WORKLOADS, "Adam update", tf), 1),
        "MLP step": (_named(training.WORKLOADS, "MLP SGD", tf), 1),
        "CNN step": (_named(training.WORKLOADS, "CNN Adam", tf), 1),
        "LSTM step": (_named(recurrent.WORKLOADS, "LSTM SGD", tf), 1),
        "worst: op of a structure never seen before": (new_structures, 400),
        "worst: op of 40 values kept": (kept, 40),
        "worst: lone op": (alone, 100),
        "worst: op read by the host": (read, 100),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eager", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--only", default="", help="rows whose title holds this word")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        measure(options.rounds, options.only)
        return
    for found in [d for d in platforms.discover(every=True).usable if not d.simulator]:
        print(f"\n{found.implementation}")
        if options.cold:
            cold(found.selector)
        else:
            subprocess.run([sys.executable, "-m", "benchmarks.eager", "--here", "--rounds", str(options.rounds),
                            "--only", options.only],
                           env={**os.environ, "CLTENSOR_DEVICES": found.selector}, check=True)


def measure(rounds: int, only: str = "") -> None:
    """The table of this process's implementation."""
    import cltensor as tf
    queue = device.default().queue
    print(f"{'microseconds':45} {'immediate':>10} {'deferred':>10} {'ratio':>6}")
    for title, (call, count) in contenders(tf).items():
        if only not in title:
            continue
        seconds: dict[str, list] = {"0": [], "1": []}
        for turn in range(rounds + 1):
            for mode, into in seconds.items():
                with defer.using(mode):
                    calls, spent = 0, 0.0
                    for warm in range(100):     # until plans and the back-off have settled
                        start = time.perf_counter()
                        call()
                        spent += time.perf_counter() - start
                        if spent > 0.05 and warm > 1:
                            break
                    queue.finish()
                    start = time.perf_counter()
                    while time.perf_counter() - start < 0.1:
                        call()
                        calls += 1
                    defer.flush()
                    queue.finish()
                    if turn:
                        into.append((time.perf_counter() - start) / calls / count * 1e6)
        at_once, later = map(statistics.median, seconds.values())
        print(f"{title:45} {at_once:10.2f} {later:10.2f} {later / at_once:6.2f}", flush=True)


def cold(selector: str) -> None:
    """Processes with empty kernel caches, deferred and immediate by turns: medians of three."""
    seconds: dict[str, list[float]] = {"0": [], "1": []}
    programs = {}
    for turn in range(4):
        for mode, into in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                done = subprocess.run([sys.executable, "-c", _COLD], text=True, capture_output=True, check=True, env={
                    **os.environ, **BYTECODE, "CLTENSOR_DEVICES": selector, "CLTENSOR_DEFER": mode,
                    "XDG_CACHE_HOME": folder, "POCL_CACHE_DIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)})
            spent, programs[mode] = map(float, done.stdout.split()[-2:])
            if turn:                    # the first one may compile bytecode
                into.append(spent)
    at_once, later = map(statistics.median, seconds.values())
    print(f"immediate {at_once:.2f} s, {programs['0']:.0f} programs; "
          f"deferred {later:.2f} s, {programs['1']:.0f} programs; ratio {later / at_once:.2f}")


if __name__ == "__main__":
    main()
