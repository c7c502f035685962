"""Eager updates by optimizers: written over the old values of variables and slots, unless somebody holds these."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import cltensor as tf

N = 5003
OPTIMIZERS = {
    "adam": lambda: tf.train.AdamOptimizer(0.1),
    "momentum": lambda: tf.train.MomentumOptimizer(0.1, 0.9),
    "nesterov": lambda: tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
    "rmsprop": lambda: tf.train.RMSPropOptimizer(0.1, momentum=0.5),
    "centered rmsprop": lambda: tf.train.RMSPropOptimizer(0.1, momentum=0.5, centered=True),
    "adagrad": lambda: tf.train.AdagradOptimizer(0.1),
    "adadelta": lambda: tf.train.AdadeltaOptimizer(0.1),
    "ftrl": lambda: tf.train.FtrlOptimizer(0.1, l1_regularization_strength=0.01),
}


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def steps(make, hold: bool, n: int = N) -> list[bytes]:
    """The bits of a variable and its slots after four steps; with `hold`, every old value is held meanwhile."""
    w, optimizer, held = tf.Variable(array(n)), make(), []
    for i in range(4):
        if hold:
            held += [v.read_value() for v in (w, *optimizer.variables())]
        optimizer.apply_gradients([(tf.constant(array(n, seed=i + 1)), w)])
    return [w.numpy().tobytes(), *(v.numpy().tobytes() for v in optimizer.variables())]


@pytest.mark.parametrize("n", [1, 17, N])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_in_place_and_beside_give_the_same_bits(name, n):
    make = OPTIMIZERS[name]
    assert steps(make, hold=False, n=n) == steps(make, hold=True, n=n)


def test_an_update_takes_no_memory(device):
    w, optimizer, gradient = tf.Variable(array(N)), tf.train.AdamOptimizer(0.1), tf.constant(array(N, seed=1))
    assert gradient.buffer
    for _ in range(2):
        optimizer.apply_gradients([(gradient, w)])
    device.memory.reset_peak()
    before = device.memory.in_use
    optimizer.apply_gradients([(gradient, w)])
    assert device.memory.peak == before == device.memory.in_use


@pytest.mark.parametrize("hold", [
    lambda w: w.read_value(),
    lambda w: tf.reshape(w, [1, N]),
    lambda w: w * 1.0,                  # waits: it reads the old value after the update was enqueued, if at all
    lambda w: tf.Variable(w.read_value()),
], ids=["value", "view", "pending", "another variable"])
def test_what_somebody_holds_stays(hold):
    w, optimizer = tf.Variable(array(N)), tf.train.AdamOptimizer(0.1)
    for i in range(3):
        before, held = w.numpy(), hold(w)
        optimizer.apply_gradients([(tf.constant(array(N, seed=i)), w)])
        assert np.array_equal(held.numpy().ravel(), before)
        assert not np.array_equal(w.numpy(), before)


def test_the_variable_is_its_own_gradient():
    w, optimizer = tf.Variable(array(N)), tf.train.MomentumOptimizer(0.25, 0.5)
    want, accumulated = array(N).astype(np.float64), np.zeros(N)
    for _ in range(3):
        optimizer.apply_gradients([(w.read_value(), w)])
        accumulated = 0.5 * accumulated + want
        want = want - 0.25 * accumulated
    np.testing.assert_allclose(w.numpy(), want, rtol=1e-5, atol=1e-6)


def test_a_tape_that_is_still_needed_keeps_its_values():
    w, optimizer = tf.Variable(array(N)), tf.train.AdamOptimizer(0.1)
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_sum(w * w)
    first = tape.gradient(loss, w)
    before = first.numpy()
    optimizer.apply_gradients([(first, w)])
    assert np.array_equal(tape.gradient(loss, w).numpy(), before)


def test_a_launch_that_fails_leaves_variables_as_they_were(device, monkeypatch):
    w, optimizer, gradient = tf.Variable(array(N)), tf.train.AdamOptimizer(0.1), tf.constant(array(N, seed=1))
    optimizer.apply_gradients([(gradient, w)])
    before = [v.numpy() for v in (w, *optimizer.variables())]

    def fails(prepare, launches, may_fail=False):
        prepare()
        raise tf.errors.ResourceExhaustedError("launch: nothing is left")
    monkeypatch.setattr(device.queue, "launch_all", fails)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        optimizer.apply_gradients([(gradient, w)])
    monkeypatch.undo()
    assert all(np.array_equal(v.numpy(), b) for v, b in zip((w, *optimizer.variables()), before))


def test_reading_a_variable_while_another_thread_trains():
    w, optimizer = tf.Variable(np.zeros(1000, np.float32)), tf.train.MomentumOptimizer(1.0, 0.0)
    gradient = tf.constant(np.full(1000, -1, np.float32))
    optimizer.apply_gradients([(gradient, w)])
    done, wrong = threading.Event(), []

    def read():
        while not done.is_set():
            held = w.read_value()
            first, second = held.numpy(), held.numpy()
            if len(set(first)) != 1 or not np.array_equal(first, second):
                wrong.append((first, second))
    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        optimizer.apply_gradients([(gradient, w)])
    done.set()
    reader.join()
    assert wrong == []
    assert w.numpy()[0] == 301
