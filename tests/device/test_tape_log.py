"""What a tape notes of ops that wait, and gradients remembered: as if every op had been recorded when it was called.

Each program runs several times with other values: first it is walked, then remembered. `CLTENSOR_DEFER=0` records op by
op and remembers nothing; the bits must be its bits.
"""

from __future__ import annotations

import gc
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cltensor as tf
from cltensor.autodiff import recall
from cltensor.core.dispatch import LOGS, state
from cltensor.core.tensor import from_numpy
from cltensor.interpret import defer, pending, trie


@pytest.fixture(autouse=True)
def deferring(nothing_pending):
    with defer.using("1"):
        yield


def array(seed, shape=(37,)):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def tensor(seed, shape=(37,)):
    return from_numpy(array(seed, shape), keep=False)


def bits(gradients):
    return [None if g is None else g.numpy().tobytes() for g in gradients]


def both_ways(program, times=4):
    """The program's gradients at each of several turns are those of op by op recording."""
    found = [bits(program(i)) for i in range(times)]
    with defer.using("0"):
        assert found == [bits(program(i)) for i in range(times)]
    return found


def test_gradients_seen_before_are_not_walked(monkeypatch):
    walks = []
    original = tf.GradientTape._walk
    monkeypatch.setattr(tf.GradientTape, "_walk", lambda self, *a: walks.append(1) or original(self, *a))
    x, w, b = tensor(1), tf.Variable(2.0), tf.Variable(array(2))

    def turns(n, forward):
        for i in range(n):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(forward(float(i))))
            w.assign_sub(tape.gradient(loss, [w, b])[0] * (0.1 + i))
        defer.flush()
        return len(walks)
    most = turns(20, lambda i: x * w + b + i)           # no rule reads i
    assert most <= trie.STEPS + 1
    assert turns(40, lambda i: x * w + b + i) == most
    assert turns(10, lambda i: x * w + b * i) == most + 10      # the rule of b does


def test_small_steps_share_a_block(device):
    x, w = tensor(1), tf.Variable(2.0)

    def turns(n, x, read=99):
        defer.flush()
        before = device.queue.launch_count
        values = []
        for i in range(n):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(x * w))
            w.assign_sub(tape.gradient(loss, [w])[0] * 1e-3)
            if i % read == read - 1:
                values.append(float(loss))
        values.append(float(w))
        return values, device.queue.launch_count - before
    with defer.using("0"):
        w.assign(2.0)
        want, _ = turns(30, x, 7)
    for _ in range(3):
        w.assign(2.0)
        got, launches = turns(30, x, 7)
        assert got == want
    if device.traits.schedule == "cpu":
        assert launches <= 4 * 2 + 2
        large = tensor(3, (pending.LIGHT,))
        for _ in range(3):
            _, launches = turns(8, large)
        assert launches >= 8                            # each step begins at once


def test_steps_of_growing_length_and_ragged_batches():
    def program(i):
        w, answers = tf.Variable(array(1)), []
        for k in range(12):
            x = tensor(k) if i else tensor(0)           # a leaf of its own
            with tf.GradientTape() as tape:
                y = w * x
                for _ in range(k if i == 2 else 2):
                    y = tf.tanh(y) * 1.5 + x
                loss = tf.reduce_sum(y)
            g, = tape.gradient(loss, [w])
            w.assign_sub(g * 0.01)
            answers.append(g)
        return [*answers[::5], w.read_value()]
    both_ways(program)


@pytest.mark.parametrize("number", [3.0, 2.0, 0.0, -0.0, float("inf")])
def test_numbers_that_rules_read(number):
    def program(i):
        x = tensor(i)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(x * (number if i % 2 else 5.0) + number)
        return [tape.gradient(y, x)]
    both_ways(program)


def test_zeros_of_both_signs():
    def program(i):
        x = tensor(0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(x * (0.0 if i % 2 else -0.0))
        return [tape.gradient(y, x)]
    found = both_ways(program)
    assert found[0] != found[1]


def test_the_order_of_reading_and_watching_counts():
    def program(i):
        a, b = tf.Variable(array(i)), tf.Variable(array(i + 1), trainable=False)
        x = tensor(i + 2)
        old = a.read_value()
        with tf.GradientTape() as tape:
            before = old * x            # not a's reading
            y = a * x
            tape.watch(x)
            z = x * b + before
            tape.watch(b)
            z = tf.reduce_sum(z * b + y)
        return tape.gradient(z, [a, b, x, y])
    found = both_ways(program)
    assert None not in found[0]


def test_a_variable_assigned_between_two_readings():
    def program(i):
        v = tf.Variable(array(i))
        with tf.GradientTape() as tape:
            y = v * v
            v.assign(y)
            v.assign_sub(y * 0.5)
            z = tf.reduce_sum(v * 3.0 + y * v)
        return tape.gradient(z, [v, y])
    both_ways(program)

    def untouched(i):
        v = tf.Variable(array(i))
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(v * v * float(i))
        v.assign(array(i + 1))
        return [tape.gradient(y, v)]
    both_ways(untouched)


def test_ops_that_the_tape_must_not_see():
    def program(i):
        w, x = tf.Variable(array(i)), tensor(i + 1)
        with tf.GradientTape() as tape:
            y = w * x
            with tape.stop_recording():
                factor = y * 2.0
            z = tf.reduce_sum(y * factor + tf.stop_gradient(w) * w)
        return tape.gradient(z, [w, factor])
    both_ways(program)


def test_ops_that_do_not_wait_in_between():
    def program(i):
        w, x = tf.Variable(array(i, (3, 3))), tensor(i + 1, (3, 3))
        with tf.GradientTape() as tape:
            y = tf.tanh(w * x)
            z = tf.matmul(y, w) * y
            z = tf.reduce_sum(z, 0) + 1.0
        return tape.gradient(z, [w, y])
    both_ways(program)


def test_nested_persistent_and_second_order():
    def program(i):
        w, x = tf.Variable(array(i)), tensor(i + 1)
        with tf.GradientTape(persistent=True) as outer:
            with tf.GradientTape() as inner:
                y = tf.reduce_sum(tf.tanh(w * x))
            first, = inner.gradient(y, [w])
            z = tf.reduce_sum(first * first)
        return [first, *outer.gradient(z, [w]), outer.gradient(y, w), *outer.gradient([y, z], [w, x])]
    both_ways(program)


def test_custom_gradients_between():
    @tf.custom_gradient
    def twice(x):
        return x * 2.0, lambda dy: dy * 100.0

    def program(i):
        w, x = tf.Variable(array(i)), tensor(i + 1)
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(twice(w * x) * w + w)
        return tape.gradient(y, [w])
    both_ways(program)


def test_targets_weights_and_no_gradient():
    def program(i):
        a, b, c = tf.Variable(array(i)), tf.Variable(array(i + 1)), tf.Variable(1.0)
        answers = []
        for target in range(4):
            with tf.GradientTape() as tape:
                y, z = a * b, tf.reduce_sum(a)
            answers += (tape.gradient([y, z], [a, b]) if target == 0 else
                        tape.gradient(y, [a, c]) if target == 1 else
                        tape.gradient(y, [b, a], output_gradients=b) if target == 2 else
                        tape.gradient(z, [b, c, a], unconnected_gradients="zero"))
        return answers
    both_ways(program)


def test_a_tape_that_is_asked_while_it_records():
    def program(i):
        w = tf.Variable(array(i))
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(w * w)
            g, = tape.gradient(y, [w])
        return [g]
    both_ways(program)


def test_watched_variables_and_reset():
    a, b = tf.Variable(1.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = b * 2.0 + a
        assert tape.watched_variables() == (a, b)
        tape.reset()
        assert tape.watched_variables() == ()
        z = b * y
    assert [g if g is None else g.numpy() for g in tape.gradient(z, [a, b])] == [None, 5.0]


def test_gradients_of_a_block_of_another_thread():
    x = tensor(1)

    def forward():
        w = tf.Variable(array(2))
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(tf.tanh(w * x))
        return tape, y, w
    with ThreadPoolExecutor(1) as pool:
        tape, y, w = pool.submit(forward).result()
        there, = bits(tape.gradient(y, [w]))            # its thread goes on
        gone = pool.submit(forward).result()
    gc.collect()
    assert bits(gone[0].gradient(gone[1], [gone[2]])) == [there]       # its thread has ended
    tape, y, w = forward()
    assert bits(tape.gradient(y, [w])) == [there]


def test_a_tape_holds_only_what_rules_read(device):
    x, w = tensor(0, (100_000,)), tf.Variable(1.0)
    for _ in range(3):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum((x * w + 1.0) + 2.0)
        defer.flush()                                   # asked for later
        before = tf.memory_stats(device)["bytes_in_use"]
        tape.gradient(y, [w])[0].numpy()
        assert tf.memory_stats(device)["bytes_in_use"] <= before + 4096
    values = tf.memory_stats(device)["bytes_in_use"]
    assert values - before < 100_000 * 4


def test_a_tape_nobody_asked_computes_nothing(device):
    x, w = tensor(0), tf.Variable(1.0)

    def forward():
        with tf.GradientTape():
            tf.tanh(x * w)
    for _ in range(3):
        forward()
    defer.flush()
    before = device.queue.launch_count
    forward()
    defer.flush()
    assert device.queue.launch_count == before


def test_no_cycle_keeps_a_tape_alive(device):
    x, w = tensor(0), tf.Variable(1.0)

    def work():
        for kind in range(3):
            with tf.GradientTape(persistent=kind == 1) as tape:
                y = tf.reduce_sum(tf.tanh(x * w))
            if kind != 2:
                w.assign_sub(tape.gradient(y, [w])[0] * 0.1)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            work()
        before = tf.memory_stats(device)["bytes_in_use"]
        for _ in range(10):
            work()
        assert tf.memory_stats(device)["bytes_in_use"] == before
    finally:
        gc.enable()


def test_tapes_that_ended_are_forgotten():
    w = tf.Variable(array(1, (3, 3)))
    for mode in "01":
        with defer.using(mode):
            for _ in range(100):
                with tf.GradientTape() as tape:
                    y = tf.matmul(w, w)
                tape.gradient(y, w)
            assert len(state.here.logs) <= LOGS + 1


def test_memos_are_bounded(monkeypatch):
    monkeypatch.setattr(recall, "MEMO_LIMIT", 4)
    w = tf.Variable(array(1))
    for i in range(20):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(w * float(i))
        np.testing.assert_array_equal(tape.gradient(y, w).numpy(), np.full(37, i, np.float32))


UNARY = (tf.tanh, tf.square, tf.negative, tf.sigmoid, tf.stop_gradient, tf.identity, tf.reduce_mean, tf.exp)
BINARY = (tf.add, tf.subtract, tf.multiply, tf.maximum, tf.divide)


def random_program(seed):
    """A program of random ops, reads, watches, assignments and pauses, the same at each turn but for its values."""
    def program(i):
        rng = random.Random(seed)
        n = rng.choice((1, 5, 33))
        variables = [tf.Variable(array(10 * i + k, (n,) if k else ()), trainable=k != 2) for k in range(3)]
        leaves = [tensor(100 * i + k, (n,)) for k in range(2)]
        persistent = rng.random() < 0.2
        values = [*variables, *leaves]
        made = []
        with tf.GradientTape(persistent=persistent) as tape:
            for _ in range(rng.randrange(1, 14)):
                what = rng.random()
                if what < 0.3:
                    made.append(rng.choice(UNARY)(rng.choice(values)))
                elif what < 0.75:
                    made.append(rng.choice(BINARY)(rng.choice(values), rng.choice(values)))
                elif what < 0.82:
                    number = rng.choice((2.0, 0.5, -1.0, float(i)))
                    made.append(rng.choice(values) * number if rng.random() < 0.5 else number - rng.choice(values))
                elif what < 0.88:
                    tape.watch(rng.choice(values))
                elif what < 0.92:
                    rng.choice(variables).assign_add(0.25)
                elif what < 0.95 and made:
                    made[-1].numpy()
                elif what < 0.98:
                    with tape.stop_recording():
                        made.append(rng.choice(values) * 1.5)
                values = [*variables, *leaves, *made]
        if not made:
            return []
        targets = rng.sample(made, min(len(made), rng.choice((1, 1, 2))))
        sources = rng.sample(values, min(len(values), rng.randrange(1, 4)))
        answers = tape.gradient(targets if len(targets) > 1 else targets[0], sources)
        if persistent:
            answers += tape.gradient(targets, variables)
        return answers
    return program


@pytest.mark.parametrize("seeds", [range(40 * k, 40 * k + 40) for k in range(5)], ids=str)
def test_random_tapes(seeds):
    for seed in seeds:
        both_ways(random_program(seed), 3)
