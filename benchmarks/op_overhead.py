"""What one small eager op costs: a 16-element add, with and without a tape, beside its peers.

    python -m benchmarks.op_overhead [--rounds 7]

runs once per OpenCL implementation found, each in a process of its own, and prints a table for each.
Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys

import numpy as np

from benchmarks.timing import Contender, conditions, interleave, table
from cltensor.runtime import device, platforms


def own(tf) -> list[Contender]:
    """cltensor's contenders."""
    a, b = tf.constant(np.ones(16, np.float32)), tf.constant(np.ones(16, np.float32))
    queue = a.placed_on.queue
    tape = tf.GradientTape(persistent=True)

    def taped():
        with tape:
            tape.reset()
            tape.watch(a)
            y = a
            for _ in range(10):
                y = tf.add(y, b)
        return y.buffer

    # `.buffer`: a deferred op that nobody looks at would never be computed.
    plain = Contender("cltensor add", lambda: tf.add(a, b).buffer, queue.finish)
    scalar = Contender("cltensor a + 2.0", lambda: (a + 2.0).buffer, queue.finish)
    recorded = Contender("cltensor add, 10 in a tape / 10", taped, queue.finish)
    return [plain, scalar, recorded]


def peers() -> list[Contender]:
    """Those installed."""
    x, y = np.ones(16, np.float32), np.ones(16, np.float32)
    out = [Contender("NumPy", lambda: x + y)]
    import pyopencl as cl
    import pyopencl.array as cla
    context = cl.Context([device.default().cl_device])
    queue = cl.CommandQueue(context)
    p, q = cla.to_device(queue, x), cla.to_device(queue, y)
    out.append(Contender("pyopencl.array", lambda: p + q, queue.finish))
    if importlib.util.find_spec("torch"):
        import torch
        s, t = torch.ones(16), torch.ones(16)
        out.append(Contender("PyTorch", lambda: s + t))
    if importlib.util.find_spec("tensorflow"):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow
        u, v = tensorflow.ones(16), tensorflow.ones(16)
        out.append(Contender("TensorFlow", lambda: tensorflow.add(u, v)))
    if importlib.util.find_spec("jax"):
        import jax.numpy as jnp
        m, n = jnp.ones(16), jnp.ones(16)
        out.append(Contender("JAX", lambda: m + n, lambda: (m + n).block_until_ready()))
    return out


def run(rounds: int) -> None:
    """One table, for the implementation this process uses."""
    import cltensor as tf
    contenders = own(tf) + peers()
    interleave(contenders, rounds)
    tape = next(c for c in contenders if "tape" in c.name)
    tape.many, tape.single = [s / 10 for s in tape.many], [s / 10 for s in tape.single]
    print(f"\n### 16-element add on {device.default().label} ({conditions()})\n")
    print(table(contenders, "pyopencl.array"), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--here", action="store_true", help="only this process's implementation")
    options = parser.parse_args()
    if options.here:
        run(options.rounds)
        return 0
    status = 0
    for selector in dict.fromkeys(d.selector for d in platforms.discover(every=True).usable if not d.simulator):
        status |= subprocess.run([sys.executable, "-m", "benchmarks.op_overhead", "--here", "--rounds",
                                  str(options.rounds)], env={**os.environ, "CLTENSOR_DEVICES": selector}).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
