"""The same bits: from run to run, from process to process, and for integers and uniforms on every device.

Floating sums depend on the schedule (that is the order of summation) and on how a device rounds exp; so across
devices only what the standard fixes to the bit is compared: random integers, uniforms, integer arithmetic, and sums,
whose order is fixed by sizes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest

import cltensor as tf


def digest(x: Any) -> str:
    """Twelve letters for the bits of a result."""
    return hashlib.sha256(np.ascontiguousarray(x.numpy() if isinstance(x, tf.Tensor) else x).tobytes()).hexdigest()[:12]


def numbers(*shape: int) -> np.ndarray:
    """Full-width float32 numbers, the same everywhere (no library's generator behind them)."""
    n = int(np.prod(shape))
    bits = np.array([zlib.crc32(i.to_bytes(4, "little")) for i in range(n)], np.uint32)
    return ((bits >> 8).astype(np.float32) / np.float32(2**23) - np.float32(1)).reshape(shape)


STEPS = {
    "sum": lambda: tf.reduce_sum(numbers(50_021)),
    "rows": lambda: tf.reduce_sum(numbers(123, 457), 1),
    "columns": lambda: tf.reduce_mean(numbers(457, 123), 0),
    "matmul": lambda: tf.matmul(numbers(70, 300), numbers(300, 90)),
    "vector": lambda: tf.matmul(numbers(1, 5000), numbers(5000, 40)),
    "softmax": lambda: tf.nn.softmax(numbers(40, 123)),
    "scan": lambda: tf.cumsum(numbers(2001)),
    "scatter": lambda: tf.unsorted_segment_sum(numbers(20_000), np.arange(20_000) * 7 % 13, 13),
    "chain": lambda: tf.tanh(tf.exp(numbers(10_007)) * 0.1 + tf.sin(numbers(10_007))),
}


@pytest.mark.parametrize("name", STEPS)
def test_run_to_run(name: str, schedule: str) -> None:
    first = digest(STEPS[name]())
    pressure = [tf.random_uniform([1000 * k + 1]) for k in range(1, 6)]        # other addresses, other queue states
    assert {digest(STEPS[name]()) for _ in range(5)} == {first}
    assert len(pressure) == 5


def test_gradients_run_to_run() -> None:
    def once() -> str:
        w, x = tf.constant(numbers(30, 10)), tf.constant(numbers(200, 30))
        with tf.GradientTape() as tape:
            tape.watch(w)
            loss = tf.reduce_mean(tf.square(tf.tanh(tf.matmul(x, w))) + tf.gather(w, [3])[0, 1])
        return digest(tf.convert_to_tensor(tape.gradient(loss, w)))
    assert len({once() for _ in range(5)}) == 1


SCRIPT = """
import cltensor as tf
from tests.device.test_determinism import STEPS, digest
print(*[digest(f()) for f in STEPS.values()])
"""


def test_process_to_process() -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    other = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, env={**os.environ, "PYTHONPATH": root}, text=True,
                           capture_output=True, check=True).stdout.split()
    assert other == [digest(f()) for f in STEPS.values()]


# -- every device: what is stored here is what all implementations must give
STORED = {
    "uniform": (lambda: tf.random_uniform([10_001], seed=11), "cbf65ce8a412"),
    "uniform in an interval": (lambda: tf.random_uniform([1000], -2.5, 7.25, seed=12), "6ffc0520cd4a"),
    "uniform of float16": (lambda: tf.random_uniform([1000], dtype=tf.float16, seed=13), "49ceb99832e9"),
    "int32": (lambda: tf.random_uniform([10_001], -100, 100, tf.int32, seed=14), "1ba3f850c69a"),
    "int64": (lambda: tf.random_uniform([10_001], -2**62, 2**62, tf.int64, seed=15), "01027cc9261e"),
    "sequence": (lambda: tf.concat([tf.random_uniform([100]), tf.random_uniform([33])], 0), "5659c0819a7f"),
    "shuffle": (lambda: tf.random_shuffle(tf.range(1000), seed=16), "9ef4997b656e"),
    "crop": (lambda: tf.random_crop(tf.reshape(tf.range(600), [20, 30]), [3, 4], seed=17), "1f0db7c6e1de"),
    "dropout": (lambda: tf.nn.dropout(tf.ones([1000]), 0.5, seed=18), "d6ea0efc3e6b"),
    "integer arithmetic": (lambda: tf.range(-5000, 5000) ** 3 // 7 % 101 * 2**20, "97b041ebe532"),
    "angles": (lambda: tf.concat([f(numbers(10_007) * s) for f in (tf.sin, tf.cos) for s in (1, 1e5)], 0),
               "8a936fd589e4"),
    # each schedule has an order of summation of its own
    "sum of floats": (lambda: tf.reduce_sum(numbers(333, 77), 0), {"cpu": "f08acca16f56", "gpu": "af00203c0e8f"}),
    "product of matrices": (lambda: tf.matmul(numbers(33, 200), numbers(200, 21)), "dd5f41c2755c"),
}


@pytest.mark.parametrize("name", STORED)
def test_same_bits_on_every_device(name: str, schedule: str) -> None:
    make, bits = STORED[name]
    tf.set_random_seed(2024)
    found = make()
    bits = bits if isinstance(bits, str) else bits[schedule]
    assert digest(found) == bits, f"{digest(found)}: {found.numpy().ravel()[:8]}"


# Box and Muller's formula on these draws, in float64
NORMALS = [-0.837010462429, 0.39332396131, 0.648264350383, 0.410155033915, -0.947980685224, -0.340063466434,
           -0.51055456631, -0.241617654988]


def test_normals_are_within_four_ulp_of_the_stored() -> None:
    tf.set_random_seed(2024)
    z = tf.random_normal([8], seed=19).numpy()
    stored = np.array(NORMALS, np.float64)
    assert np.all(np.abs(z - stored) <= 4 * np.spacing(np.abs(stored).astype(np.float32))), z.tolist()
