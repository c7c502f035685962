"""Variables: what a read is, what an assignment changes, and when memory is given back."""

import copy
import gc

import numpy as np
import pytest

import cltensor as tf
from cltensor.runtime.queue import no_host_reads


def test_a_read_keeps_its_value():
    v = tf.Variable([1.0, 2.0])
    before = v.read_value()
    view = tf.reshape(v, [2, 1])
    v.assign([5.0, 6.0])
    assert before.numpy().tolist() == [1.0, 2.0]
    assert view.numpy().tolist() == [[1.0], [2.0]]
    assert v.numpy().tolist() == [5.0, 6.0]


def test_assign_add_and_sub_return_the_variable():
    v = tf.Variable(3.0)
    assert v.assign_add(2.0) is v
    assert v.assign_sub(1.0).numpy() == 4.0
    assert tf.assign_add(v, 1.0) is v
    assert v.numpy() == 5.0


def test_a_copied_array_does_not_follow():
    array = np.array([1.0, 2.0], np.float32)
    v = tf.Variable(array)
    array[0] = 9.0
    assert v.numpy().tolist() == [1.0, 2.0]
    value = v.numpy()
    value[0] = 7.0
    assert v.numpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("bad, error, text", [
    ([1.0, 2.0, 3.0], ValueError, r"assign: the value has shape \(3,\), the variable w:0 has \(2,\)"),
    (tf.float64, TypeError, "assign: the value has dtype float64, the variable w:0 has float32"),
    ("text", TypeError, "is text"),
    ([[1.0], [2.0, 3.0]], ValueError, "rectangular"),
])
def test_a_bad_assignment_writes_nothing(bad, error, text):
    v = tf.Variable([1.0, 2.0], name="w")
    value = tf.constant([5.0, 6.0], tf.float64) if bad is tf.float64 else bad
    with pytest.raises(error, match=text):
        v.assign(value)
    assert v.numpy().tolist() == [1.0, 2.0]


def test_dropping_it_frees_the_memory_at_once(device):
    gc.disable()
    try:
        before = tf.memory_stats(device)["bytes_in_use"]
        v = tf.Variable(tf.random_normal([1000, 1000]))
        assert tf.memory_stats(device)["bytes_in_use"] >= before + 4_000_000
        v = None  # noqa: F841
        assert tf.memory_stats(device)["bytes_in_use"] == before
    finally:
        gc.enable()


def test_a_training_loop_does_not_grow(device):
    w, b = tf.Variable(np.ones((64, 32), np.float32)), tf.Variable(np.zeros(32, np.float32))
    x = tf.constant(np.random.default_rng(0).standard_normal((128, 64)).astype(np.float32))

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.tanh(tf.matmul(x, w) + b)))
        for v, g in zip((w, b), tape.gradient(loss, [w, b])):
            v.assign_sub(g * 0.1)
    gc.disable()
    try:
        for _ in range(3):
            step()
        before = tf.memory_stats(device)
        with no_host_reads():           # and it never waits for the device
            for _ in range(50):
                step()
        after = tf.memory_stats(device)
        assert after["bytes_in_use"] == before["bytes_in_use"]
        assert after["live_blocks"] == before["live_blocks"]
    finally:
        gc.enable()


def test_in_place_operators_say_what_to_use():
    v = tf.Variable(1.0, name="w")
    with pytest.raises(RuntimeError, match=r"use variable.assign_add"):
        v += 1.0
    with pytest.raises(RuntimeError, match=r"use variable.assign\("):
        v *= 2.0


def test_hash_is_identity_and_equality_is_by_value():
    a, b = tf.Variable(1.0), tf.Variable(1.0)
    assert len({a, b}) == 2
    assert {a: "a", b: "b"}[a] == "a"
    assert bool(a == b)
    assert bool(tf.constant(1.0) == a)
    assert not (a == None)  # noqa: E711  (that the operator answers is the point)


def test_text_forms():
    assert repr(tf.Variable(2.0, name="w")) == "<tf.Variable 'w:0' shape=() dtype=float32, numpy=2.0>"
    assert "numpy=2.0" in str(tf.Variable(2.0))
    assert f"{tf.Variable(2.5):.3f}" == "2.500"


def test_host_variables_hold_float64_and_cost_no_launch(device):
    v = tf.Variable(0.1, dtype=tf.float64, trainable=False, host=True)
    before = device.queue.launch_count
    for _ in range(10):
        v.assign_add(0.1)
    assert device.queue.launch_count == before
    assert v.numpy() == pytest.approx(1.1, abs=1e-15)
    assert v.dtype == np.float64
    with pytest.raises(ValueError, match="shape"):
        v.assign([1.0, 2.0])


def test_copies_are_independent():
    v = tf.Variable([1.0, 2.0], name="w", trainable=False)
    w = copy.deepcopy(v)
    v.assign([3.0, 4.0])
    assert w.numpy().tolist() == [1.0, 2.0]
    assert w.name == "w:0"
    assert not w.trainable


def test_a_function_may_give_the_value_and_none_may_not():
    assert tf.Variable(lambda: tf.ones([2])).numpy().tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="initial_value is missing"):
        tf.Variable()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (7, 13)])
def test_any_shape(shape):
    value = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    v = tf.Variable(value)
    v.assign_add(np.ones(shape, np.float32))
    np.testing.assert_array_equal(v.numpy(), value + 1)
    v.assign(value)
    np.testing.assert_array_equal(v.numpy(), value)


def test_devices(with_environment):
    with_environment(VIRTUAL_GPUS=2)
    with tf.device("gpu:1"):
        v = tf.Variable([1.0, 2.0])
    assert v.device.endswith("GPU:1")
    v.assign(tf.constant([3.0, 4.0]) + 1.0)         # computed on gpu:0
    assert v.device.endswith("GPU:1")
    assert (v + 1.0).device.endswith("GPU:1")
    assert v.numpy().tolist() == [4.0, 5.0]
