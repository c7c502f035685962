"""Process start to the end of the guide's first linear regression (200 steps), and the import alone.

    python -m benchmarks.startup [--rounds 5]

Whole processes, interleaved, with warm kernel caches (`--cold`: one run with empty ones first). The same
program is written for each peer that is installed. The figure is wall time, best and median of rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import REST, conditions
from cltensor.runtime import platforms

LOOP = """
for i in range(200):
    dW, dB = grad(W, B)
    step(dW, dB)
print(float(loss(W, B)))
"""
TF_STYLE = """
N = 1000
x = tf.random_normal([N])
y = x * 3 + 2 + tf.random_normal([N])
W, B = tf.Variable(5.), tf.Variable(10.)
def loss(w, b):
    return tf.reduce_mean(tf.square(x * w + b - y))
def grad(w, b):
    with tf.GradientTape() as tape:
        value = loss(w, b)
    return tape.gradient(value, [w, b])
def step(dW, dB):
    W.assign_sub(dW * 0.01)
    B.assign_sub(dB * 0.01)
""" + LOOP
PROGRAMS = {
    "cltensor": "import cltensor as tf\n" + TF_STYLE,
    "tensorflow": "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'\nimport tensorflow as tf\n"
                  "tf.random_normal = tf.random.normal\n" + TF_STYLE,
    "torch": """
import torch
x = torch.randn(1000)
y = x * 3 + 2 + torch.randn(1000)
W, B = torch.tensor(5., requires_grad=True), torch.tensor(10., requires_grad=True)
def loss(w, b):
    return torch.mean(torch.square(x * w + b - y))
def grad(w, b):
    return torch.autograd.grad(loss(w, b), [w, b])
def step(dW, dB):
    with torch.no_grad():
        W.sub_(dW * 0.01)
        B.sub_(dB * 0.01)
""" + LOOP,
}
IMPORTS = {"cltensor": "import cltensor", "its dependencies": "import numpy, pyopencl, mako.template"}


def seconds(program: str, environment: dict) -> float:
    """Wall time of a process that runs the program."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env={**os.environ, **environment})
    return time.perf_counter() - start


def cold(implementations: dict[str, str]) -> None:
    """One run per implementation with empty kernel caches."""
    for name, s in implementations.items():
        with tempfile.TemporaryDirectory() as folder:
            env = {"CLTENSOR_DEVICES": s, "POCL_CACHE_DIR": str(Path(folder) / "pocl"),
                   "XDG_CACHE_HOME": str(Path(folder) / "xdg"), "CLTENSOR_CACHE_DIR": str(Path(folder) / "own")}
            print(f"cltensor on {name}, empty caches: {seconds(PROGRAMS['cltensor'], env):.2f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="also one run with empty kernel caches")
    options = parser.parse_args()
    found = {d.implementation: d.selector for d in platforms.discover(every=True).usable if not d.simulator}
    if options.cold:
        cold(found)
    jobs = {f"cltensor on {name}": (PROGRAMS["cltensor"], {"CLTENSOR_DEVICES": s}) for name, s in found.items()}
    jobs |= {peer: (PROGRAMS[peer], {}) for peer in ("tensorflow", "torch") if importlib.util.find_spec(peer)}
    jobs |= {f"import of {name}": (program, {}) for name, program in IMPORTS.items()}
    times: dict[str, list] = {name: [] for name in jobs}
    for job in jobs.values():
        seconds(*job)                   # warm the caches
    for _ in range(options.rounds):
        for name, job in jobs.items():
            time.sleep(REST)
            times[name].append(seconds(*job))
    print(f"### Process start to the end of 200 steps of linear regression ({conditions()})\n")
    print("| process | best, s | median, s |\n|---|---|---|")
    for name, samples in times.items():
        print(f"| {name} | {min(samples):.2f} | {statistics.median(samples):.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
