"""Sums fused with what they sum: the bits of the ops one by one, on shapes that hurt, and few launches."""

import numpy as np
import pytest

import cltensor as tf

defun = tf.contrib.eager.defun
rng = np.random.default_rng(5)
SHAPES = [(2,), (15,), (16,), (17,), (63,), (65,), (1000,), (7, 11), (4096,), (4097,), (70001,), (3, 1, 50001)]


def array(*shape, dtype=np.float32):
    return tf.constant(rng.standard_normal(shape).astype(dtype))


def same(got, want):
    for g, w in zip(got, want, strict=True):
        assert g.dtype is w.dtype
        assert g.shape == w.shape
        assert g.numpy().tobytes() == w.numpy().tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_chains_before_sums(shape):
    def f(x, y):
        e = tf.tanh(x) * y - 0.25
        return tf.reduce_sum(e * e), tf.reduce_mean(tf.exp(-e)), e, tf.reduce_mean(e) * 2.0 + tf.reduce_sum(x)
    x, y = array(*shape), array(*shape)
    g = defun(f)
    for _ in range(2):
        same(g(x, y), f(x, y))
    assert "block(" in str(g.get_concrete_function(x, y).program)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("shape", [(5,), (1000,), (70001,)])
def test_other_dtypes(shape, dtype, device):
    if dtype == "float64" and not device.traits.fp64:
        pytest.skip("the device has no float64")

    def f(x):
        return tf.reduce_mean(tf.square(x - 0.5)), tf.reduce_sum(x * x)
    x = array(*shape, dtype=dtype)
    same(defun(f)(x), f(x))


def test_what_reads_a_sum_is_in_the_block(device):
    def f(x):
        centred = x - tf.reduce_mean(x)
        scale = tf.sqrt(tf.reduce_mean(tf.square(centred)) + 1e-5)
        return centred / scale
    for n in (100, 5000, 200_003):
        x = array(n)
        same([defun(f)(x)], [f(x)])


def test_a_regression_step_is_one_launch(device):
    x, y = array(1000), array(1000)
    w, b = tf.Variable(5.0), tf.Variable(10.0)

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(x * w + b - y))
        dw, db = tape.gradient(loss, [w, b])
        w.assign_sub(dw * 0.01)
        b.assign_sub(db * 0.01)
    compiled, found = defun(step), []
    for run in (step, compiled):
        w.assign(5.0)
        b.assign(10.0)
        for _ in range(20):
            run()
        found.append((w.numpy(), b.numpy()))
    assert found[0] == found[1]
    a, c = x.numpy().astype(np.float64), y.numpy().astype(np.float64)
    u, v = 5.0, 10.0
    for _ in range(20):
        e = a * u + v - c
        u, v = u - 0.02 * np.mean(e * a), v - 0.02 * np.mean(e)
    np.testing.assert_allclose(found[1], (u, v), rtol=1e-5)
    if device.traits.schedule == "cpu":
        assert compiled.get_concrete_function().launches == 1


def test_late_numbers_and_draws():
    rate = [0.5]
    w = tf.Variable(np.float32(1.0))
    optimizer = tf.train.GradientDescentOptimizer(lambda: rate[0])
    x = array(300)

    @defun
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(x * w)) * (1.0 / 300)
        optimizer.apply_gradients([(tape.gradient(loss, w), w)])
        return loss
    want, mean = 1.0, np.mean(np.square(x.numpy().astype(np.float64)))
    for i in range(4):
        rate[0] = 0.5 / (i + 1)
        step()
        want -= rate[0] * 2 * want * mean
        np.testing.assert_allclose(w.numpy(), want, rtol=1e-5)


def test_arrays_of_several_shapes_are_left_to_other_passes():
    def f(x, b):
        return tf.reduce_sum(tf.square(x + b)) + tf.reduce_sum(b)
    x, b = array(6, 5), array(5)
    same([defun(f)(x, b)], [f(x, b)])
