"""Several threads at once: one queue, shared plans and kernel objects, and still each its own results."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import cltensor as tf
from cltensor.core.dispatch import state

THREADS, ROUNDS = 8, 60


def together(work: Any) -> list:
    """Run work(thread number) in all threads, started at the same moment."""
    start = threading.Barrier(THREADS)

    def run(number: int) -> Any:
        start.wait()
        return work(number)
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def mixed(number: int) -> None:
    """Many small ops whose results tell whose they are; integers in float32, so they are exact."""
    rng = np.random.default_rng(number)
    for k in range(ROUNDS):
        n = int(rng.integers(1, 70))
        a, b = (rng.integers(-9, 10, (n, 5)).astype(np.float32) for _ in range(2))
        i = rng.integers(0, n, 7)
        x, y = tf.constant(a), tf.constant(b)
        got = [x + y, x * float(number + k), tf.matmul(x, y, transpose_b=True), tf.reduce_sum(x * y, 0),
               tf.transpose(x), tf.gather(x, i), tf.concat([x, y], 1), x[::-1], tf.maximum(x, float(k)),
               tf.fill([3, n], float(number)), tf.argmax(x, 1), tf.cumsum(x, 0)]
        want = [a + b, a * (number + k), a @ b.T, (a * b).sum(0), a.T, a[i], np.concatenate([a, b], 1), a[::-1],
                np.maximum(a, k), np.full((3, n), number), a.argmax(1), a.cumsum(0)]
        for j, (g, w) in enumerate(zip(got, want)):
            assert np.array_equal(g.numpy(), w), f"thread {number}, round {k}, result {j}"


def test_mixed_ops() -> None:
    together(mixed)


def test_cold_start() -> None:
    """All threads ask for the same plans, and for the programs behind them, before any is there."""
    shapes = [(3, 11, 2), (4, 7), (129,)]

    def work(number: int) -> list:
        out = []
        for s in shapes:
            x = tf.constant(np.full(s, number + 1, np.int16))
            out.append(tf.reduce_max(tf.truncatediv(x * tf.cast(3, tf.int16), tf.cast(2, tf.int16))).numpy())
        return out
    assert together(work) == [[(t + 1) * 3 // 2] * len(shapes) for t in range(THREADS)]


def test_tapes_belong_to_threads() -> None:
    def work(number: int) -> float:
        x = tf.constant(float(number))
        total = 0.
        for _ in range(20):
            with tf.GradientTape() as outer:
                outer.watch(x)
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    y = x * x * x
                first = inner.gradient(y, x)
            total += float(outer.gradient(first, x))
            assert state.recorders == []
        return total
    assert together(work) == [20 * 6. * t for t in range(THREADS)]


def test_variables_of_their_own() -> None:
    def work(number: int) -> list:
        v = tf.Variable(np.zeros(300, np.float32))
        for _ in range(ROUNDS):
            v.assign_add(tf.fill([300], float(number)))
        return [float(v.numpy().min()), float(v.numpy().max())]
    assert together(work) == [[float(ROUNDS * t)] * 2 for t in range(THREADS)]


def test_no_draw_is_given_twice() -> None:
    tf.set_random_seed(3)
    draws = together(lambda number: [tf.random_uniform([50], 0, 2**31 - 1, tf.int32).numpy() for _ in range(20)])
    values = np.concatenate([d for some in draws for d in some])
    # 8,000 numbers of 31 bits: by chance hardly one pair is equal, blocks dealt twice would be hundreds
    assert len(values) - len(np.unique(values)) < 5


def test_memory_comes_back(device: Any) -> None:
    def work(number: int) -> None:
        for k in range(30):
            x = tf.random_uniform([1000 + 100 * number + k])
            assert float(tf.reduce_sum(x * 0. + 1.)) == 1000 + 100 * number + k
    work(0)
    before = device.memory.stats()["bytes_in_use"]
    together(work)
    assert device.memory.stats()["bytes_in_use"] <= before + 2**16
