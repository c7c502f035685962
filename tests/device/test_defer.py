"""Deferred execution: when ops wait, when they run, and that nobody can tell but by the clock."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cltensor as tf
from cltensor.base.errors import FailedPreconditionError, ResourceExhaustedError
from cltensor.core.dispatch import state
from cltensor.core.tensor import from_numpy
from cltensor.interpret import defer, pending, tiers, trie
from cltensor.runtime.queue import no_host_reads


@pytest.fixture(autouse=True)
def deferring(nothing_pending):
    with defer.using("1"):
        yield


def vector(n=1000, seed=0):
    return from_numpy(np.random.default_rng(seed).standard_normal(n).astype(np.float32), keep=False)


def waits(t):
    return t.pending is not None


def queued():
    """Ops that wait in this thread."""
    return sum(len(block.tensors) for block in state.here.blocks.values())


def step(x, y, w, b, rate=0.01):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(x * w + b - y))
    dw, db = tape.gradient(loss, [w, b])
    w.assign_sub(dw * rate)
    b.assign_sub(db * rate)
    return loss


# -- what waits, and what makes it run
def test_expressions_and_full_sums_wait(device):
    x = vector()
    before = device.queue.launch_count
    y = tf.reduce_sum(tf.tanh(x * 0.5 + 1.0)) / 3.0
    assert waits(y) and y.shape == () and y.dtype == tf.float32 and y.device == x.device
    assert device.queue.launch_count == before
    want = np.tanh(x.numpy().astype(np.float64) * 0.5 + 1.0).sum() / 3.0
    np.testing.assert_allclose(y.numpy(), want, rtol=1e-5)
    assert not waits(y)


@pytest.mark.parametrize("read", [
    lambda y: y.numpy(), lambda y: str(y), lambda y: repr(y), lambda y: np.asarray(y), lambda y: y.numpy().tolist(),
    lambda y: tf.matmul(y[None], y[:, None]), lambda y: tf.reshape(y, [-1, 2]).numpy(), lambda y: y[1:3],
    lambda y: tf.concat([y, y], 0),
    lambda y: tf.reduce_max(y), lambda y: tf.cumsum(y), lambda y: tf.cast(y, tf.int32), lambda y: list(y)],
    ids=str)
def test_what_needs_the_value_runs_the_block(read):
    x = vector(10)
    y = x * 2.0 + 1.0
    assert waits(y)
    read(y)
    assert not waits(y)
    np.testing.assert_array_equal(y.numpy(), x.numpy() * np.float32(2) + np.float32(1))


@pytest.mark.parametrize("make", [
    lambda x: tf.matmul(x[None], x[:, None]), lambda x: tf.cast(x, tf.int32), lambda x: tf.reduce_sum(x[None], 0),
    lambda x: tf.constant([1, 2]) + 1, lambda x: tf.constant([1.0, 2.0], tf.float64) * 2.0, lambda x: x[:0] * 2.0])
def test_what_does_not_wait(make):
    assert not waits(make(vector(10)))


def test_shapes_and_errors_come_at_the_call():
    x, y = vector(12), vector(5)
    kept = x * 2.0
    block = kept.pending
    before = (block.state, list(block.inputs), dict(block.slots), list(block.tensors))
    for wrong, error in [(lambda: x + y, tf.errors.InvalidArgumentError), (lambda: kept * y, ValueError),
                         (lambda: kept + tf.constant([1, 2, 3]), TypeError), (lambda: kept + "a", TypeError),
                         (lambda: x + True, TypeError), (lambda: kept * 10**400, OverflowError),
                         (lambda: tf.reduce_sum(kept, 3), ValueError)]:
        with pytest.raises(error):
            wrong()
        assert (block.state, list(block.inputs), dict(block.slots), list(block.tensors)) == before
    del before
    np.testing.assert_array_equal((kept + 1.0).numpy(), x.numpy() * 2 + 1)


def test_a_full_block_runs_by_itself():
    x = y = vector(16)
    for _ in range(1000):
        y = y * 1.0
    assert queued() <= trie.OPS
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    y = sum((x * float(i) for i in range(100)), tf.constant(np.zeros(16, np.float32)))
    np.testing.assert_allclose(y.numpy(), x.numpy() * 4950.0, rtol=1e-5)
    many = [from_numpy(np.full(3, i, np.float32)) for i in range(50)]
    total = many[0]
    for m in many[1:]:
        total = total + m
    assert total.numpy().tolist() == [1225.0] * 3


def test_a_list_of_a_thousand_values():
    x = vector(7)
    values = [x * float(i) for i in range(1000)]
    assert waits(values[-1])
    for i in (0, 1, 23, 24, 500, 999):
        np.testing.assert_array_equal(values[i].numpy(), x.numpy() * np.float32(i))


def test_dropped_values_are_never_computed(device):
    x = vector()
    tf.tanh(x * 2.0).numpy()
    before = device.queue.launch_count
    y = x * 3.0
    tf.tanh(y) + tf.exp(y)
    del y
    defer.flush()
    assert device.queue.launch_count == before


def test_the_limit_on_dead_leaves(device):
    n = trie.HELD // 4 // 4 + 1000               # four of them are above it
    values = tf.constant(np.ones(3, np.float32))
    device.memory.trim()            # a request may take a larger block that waits, and would count as that
    before = device.memory.in_use
    for _ in range(12):
        values = values + tf.reduce_sum(tf.ones([n]))       # the ones die at once
        assert device.memory.in_use - before < trie.HELD + 6 * n
    assert values.numpy()[0] == 1.0 + 12 * n


def test_views_of_one_element_wait_and_others_share():
    x = vector(6)
    total = tf.reduce_sum(x)
    assert waits(tf.reshape(total, [1, 1])) and waits(tf.expand_dims(total, 0))
    y = x * 2.0
    view = tf.reshape(y, [2, 3])
    assert view.buffer is y.buffer
    np.testing.assert_array_equal(tf.reshape(total, [1]).numpy(), [total.numpy()])


def test_views_of_what_waits_wait(device):
    """They are other names in the block; not beside ops that repeat rows, and those of a buffer share it at once."""
    x, row = from_numpy(np.arange(12, dtype=np.float32).reshape(3, 4), keep=False), vector(4)
    for _ in range(4):                                      # op by op, then as one launch
        before = device.queue.launch_count
        y = x * 2.0
        flat = tf.reshape(y, [-1])
        z = tf.expand_dims(tf.squeeze(flat + 1.0), 0) * 0.5
        total = tf.reduce_sum(tf.reshape(z, [2, 6]))
        assert all(map(waits, (y, flat, z, total))) and z.shape == (1, 12)
        shared = flat.buffer is y.buffer
        np.testing.assert_array_equal(z.numpy(), (np.arange(12) * 2 + 1)[None] * 0.5)
        assert shared and total.numpy() == z.numpy().sum() and flat.numpy().tolist() == list(range(0, 24, 2))
    if device.traits.schedule == "cpu":
        assert device.queue.launch_count == before + 1
    assert not waits(tf.reshape(x, [2, 6]))
    y = tf.reshape(x + 1.0, [4, 3]) * 3.0
    kept = y * 0.5
    z = tf.reshape(y, [3, 4]) + row                         # repeats a row: in a block of its own
    assert waits(z) and not waits(kept)
    assert not waits(tf.reshape(z, [12]))
    np.testing.assert_array_equal(z.numpy(), (x.numpy() + 1) * np.float32(3) + row.numpy())


def test_a_kept_identity_of_an_input_is_that_input():
    x = vector(8)
    for _ in range(3):
        y = x * 2.0
        same = tf.identity(x)
        assert waits(same)
        np.testing.assert_array_equal(y.numpy(), x.numpy() * 2)
        assert same.buffer is x.buffer


def test_host_values_stay_visible():
    size = tf.constant([2.0, 3.0])
    y = size * 2.0
    assert size.host is not None and y.host is None
    x = vector(6)
    assert tf.reshape(x * 1.0, tf.constant([2, 3])).shape == (2, 3)
    assert y.numpy().tolist() == [4.0, 6.0]


def test_numbers_are_inputs_not_structure():
    x = vector(10)
    defer.flush()
    made = []
    for rate in (0.5, 0.25, 1e300, float("inf"), float("nan"), 3, np.float64(0.1)):
        with np.errstate(over="ignore"):
            want = x.numpy() * np.float32(rate) + np.float32(1)
        np.testing.assert_array_equal((x * rate + 1.0).numpy(), want)
        made.append(trie.count())
    assert made[0] == made[-1]


# -- variables
def test_an_assignment_leaves_earlier_reads_alone():
    v = tf.Variable([1.0, 2.0])
    old = v.read_value()
    twice = v * 2.0
    v.assign_add([10.0, 10.0])
    later = v * 2.0
    v.assign(v + later)
    assert old.numpy().tolist() == [1.0, 2.0]
    assert twice.numpy().tolist() == [2.0, 4.0]
    assert later.numpy().tolist() == [22.0, 24.0]
    assert v.numpy().tolist() == [33.0, 36.0]


def test_an_assigned_value_is_no_part_of_the_tape():
    v = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = v * v
        v.assign(y)
        z = v * 3.0
    assert tape.gradient(z, v).numpy() == 3.0
    assert v.numpy() == 4.0


def test_some_steps_are_one_block_and_make_no_new_states(device):
    x, y = vector(), vector(seed=1)
    w, b = tf.Variable(5.0), tf.Variable(10.0)
    for _ in range(2 * trie.STEPS):
        step(x, y, w, b)
    defer.flush()
    states, launches = trie.count(), device.queue.launch_count
    with no_host_reads():
        for _ in range(20):
            step(x, y, w, b)
        defer.flush()
    assert trie.count() == states
    if device.traits.schedule == "cpu":
        assert device.queue.launch_count == launches + 20 // trie.STEPS


def test_a_dead_forward_pass_writes_nothing(device):
    x, y = vector(50_000), vector(50_000, 1)
    w, b = tf.Variable(5.0), tf.Variable(10.0)
    for _ in range(4):
        step(x, y, w, b)
    defer.flush()
    with tiers.forced("interpreter"):
        step(x, y, w, b)
        defer.flush()
        device.memory.reset_peak()
        before = device.memory.in_use
        step(x, y, w, b)
        defer.flush()
        if device.traits.schedule == "cpu":             # else there is no interpreter
            assert device.memory.peak - before < 50_000 * 4     # numbers and partial sums, no vector


# -- memory
def test_no_cycle_keeps_a_buffer(device):
    x, y = vector(), vector(seed=1)
    w, b = tf.Variable(5.0), tf.Variable(10.0)

    def work():
        for _ in range(5):
            step(x, y, w, b)
        t = x
        for i in range(50):
            t = tf.tanh(t * 0.5 + float(i))
        values = [t * 2.0, t + 1.0]
        return weakref.ref(values[0]), tf.reduce_sum(values[0]).numpy()
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            work()
        before = tf.memory_stats(device)["bytes_in_use"]
        for _ in range(20):
            work()
        ref, _ = work()
        after = tf.memory_stats(device)["bytes_in_use"]
    finally:
        gc.enable()
    assert after == before and ref() is None


def test_in_use_falls_when_a_tensor_is_dropped(device):
    x = vector(100_000)
    before = tf.memory_stats(device)["bytes_in_use"]
    y = x * 2.0 + 1.0
    assert tf.memory_stats(device)["bytes_in_use"] > before
    del y
    assert tf.memory_stats(device)["bytes_in_use"] == before


# -- errors at the flush
def test_an_error_at_the_flush_names_the_op_and_stays(device, monkeypatch):
    x = vector(333)
    y = tf.sin(x) * 2.0
    z = y + 1.0

    def full(nbytes):
        raise ResourceExhaustedError("memory: nothing is left")
    with monkeypatch.context() as patch:
        patch.setattr(type(device.memory), "allocate", lambda self, nbytes: full(nbytes))
        with pytest.raises(ResourceExhaustedError, match="sin: memory"):
            z.numpy()
    for t in (y, z):                    # what could not be computed says so, each time it is asked
        for _ in range(2):
            with pytest.raises(ResourceExhaustedError, match="sin: memory"):
                t.numpy()
    np.testing.assert_array_equal((x * 2.0).numpy(), x.numpy() * 2)        # and the next block is none the worse


def test_an_exception_in_the_program_leaves_the_rest_pending():
    x = vector(9)
    y = x * 2.0
    with pytest.raises(ZeroDivisionError):
        y = y + 1.0 / 0
    assert waits(y)
    np.testing.assert_array_equal(y.numpy(), x.numpy() * 2)


# -- threads
def test_another_thread_reads_a_pending_tensor():
    x = vector()
    y = tf.tanh(x * 0.5)
    z = y + 1.0
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(lambda: (z * 2.0).numpy()).result()
    assert waits(y)                     # this thread's block is untouched
    assert not waits(z)
    np.testing.assert_array_equal(there, (z * 2.0).numpy())
    np.testing.assert_array_equal(z.numpy(), (y + 1.0).numpy())


@pytest.mark.parametrize("turn", range(8))
def test_two_threads_swap_pending_tensors(turn):
    start, rounds = threading.Barrier(2), 300
    board = [[None] * rounds, [None] * rounds]

    def run(me):
        start.wait()
        x = from_numpy(np.full(33, me + 1, np.float32), keep=False)
        seen = []
        for i in range(rounds):
            x = x * 1.0 + 0.0
            board[me][i] = x + float(i)
            other = board[1 - me][i]
            if other is not None:
                seen.append((i, (other * 2.0) + x))
        return [(i, t.numpy()) for i, t in seen]
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        with ThreadPoolExecutor(2) as pool:
            found = [f.result() for f in [pool.submit(run, 0), pool.submit(run, 1)]]
    finally:
        sys.setswitchinterval(often)
    for me, values in enumerate(found):
        for i, t in values:
            np.testing.assert_array_equal(t, np.full(33, (2 - me + i) * 2.0 + me + 1, np.float32))
    for me in (0, 1):
        for i in range(rounds):
            assert board[me][i].numpy()[0] == me + 1 + i


def test_a_thread_that_ended_leaves_its_values(device):
    x = vector()

    def make():
        y = x * 3.0
        return y + 1.0, tf.reduce_sum(y)
    with ThreadPoolExecutor(1) as pool:
        a, total = pool.submit(make).result()
    assert waits(a)
    gc.collect()
    np.testing.assert_array_equal(a.numpy(), x.numpy() * np.float32(3) + np.float32(1))
    np.testing.assert_allclose(total.numpy(), (x.numpy().astype(np.float64) * 3).sum(), rtol=1e-4, atol=1e-3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_says_so_and_the_parent_goes_on():
    y = vector(20) * 2.0

    def child(pipe):
        try:
            y.numpy()
            pipe.send("computed")
        except FailedPreconditionError as error:
            pipe.send(str(error))
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(there,))
    process.start()
    assert here.poll(60) and "fork" in here.recv()
    process.join(60)
    np.testing.assert_array_equal(y.numpy(), vector(20).numpy() * 2)


# -- who listens, and where
def test_the_numerics_check_names_the_op():
    x = tf.constant([1.0, 0.0])
    with tf.numerics_check(), pytest.raises(tf.errors.InvalidArgumentError, match="log: its result"):
        tf.log(x * 1.0) + 1.0


def test_second_order_and_persistent_tapes():
    x = vector(100)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(tf.tanh(x))
        first = inner.gradient(y, x)
    second = outer.gradient(first, x)
    t = np.tanh(x.numpy().astype(np.float64))
    np.testing.assert_allclose(first.numpy(), 1 - t * t, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(second.numpy(), -2 * t * (1 - t * t), rtol=1e-4, atol=1e-5)


def test_several_devices(with_environment):
    with_environment(VIRTUAL_GPUS=2, DEFER=1)
    defer.restart()
    with tf.device("gpu:1"):
        x = tf.constant(np.ones(5000, np.float32)) * 3.0
        assert waits(x)
    y = tf.constant(np.ones(5000, np.float32)) * 2.0
    z = x * 2.0
    assert waits(x) and waits(y) and waits(z) and z.device.endswith("GPU:1") and y.device.endswith("GPU:0")
    assert (x + y).device.endswith("GPU:1")             # moved, so at once
    assert (x + y + z).numpy().sum() == 5000 * 11
    with tf.device("cpu:0"):
        assert (x + y).device.endswith("CPU:0")


def test_recording_takes_pending_tensors():
    x = vector(8)
    y = x * 2.0

    @tf.function
    def f(a):
        return a * y + 1.0
    np.testing.assert_array_equal(f(y).numpy(), (y * y + 1.0).numpy())


def test_back_off_and_return():
    x = vector(16)
    rests = []
    for _ in range(2):                  # nothing is gained: every op is read
        while not state.here.immediate:
            (x * 1.5).numpy()
        assert state.here.pending is None
        rests.append(state.here.immediate)
        while state.here.immediate:
            y = x * 1.5
    assert rests[1] > 1.5 * rests[0] > pending.REST
    assert waits(y + 1.0)


def test_switched_off():
    with defer.using("0"):
        assert not waits(vector() * 2.0)
    assert waits(vector() * 2.0)


def test_a_gradient_asked_for_again_sees_todays_values():
    w = tf.Variable([1.0, 2.0])
    for i in range(8):
        rate, data = 0.5 + i % 3, np.array([i, -i], np.float32)
        x = tf.constant(data)                   # known to the host, and another one at every turn
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(w * x * rate)) * rate
        before = w.numpy()
        g = tape.gradient(loss, w)
        np.testing.assert_allclose(g.numpy(), 2 * rate**3 * data * data * before, rtol=1e-6)
        w.assign_sub(g * 1e-3)


def test_a_gradient_asked_for_again_knows_its_sources():
    a, b = tf.Variable(2.0), tf.Variable(3.0)
    for sources in ([a, b], [b, a], [a], [b], [a, a], [a, b], [b, a]):
        with tf.GradientTape() as tape:
            y = a * a * b
        want = {id(a): 12.0, id(b): 4.0}
        assert [g.numpy() for g in tape.gradient(y, sources)] == [want[id(s)] for s in sources]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(a)
            y = a * a * b
        assert tape.gradient(y, b) is None
