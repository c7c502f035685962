"""Traced functions that draw random numbers, under tapes outside: replayed, with the bits of eager execution."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.dispatch import state

tfe = tf.contrib.eager
rng = np.random.default_rng(0)
X = rng.standard_normal((16, 5)).astype(np.float32)
W = rng.standard_normal((5, 7)).astype(np.float32)


def plain(x, w):
    h = tf.nn.dropout(tf.matmul(x, w), keep_prob=0.5)
    return tf.reduce_sum(tf.square(h) * tf.random_uniform([7])), h + tf.random_normal([7])


def branched(x, w):
    h = tf.cond(tf.reduce_sum(x) > -1e9, lambda: tf.nn.dropout(tf.matmul(x, w), keep_prob=0.5),
                lambda: tf.random_uniform([16, 7]))
    return tf.reduce_sum(h * h), tf.nn.dropout(h, keep_prob=0.9)


def looped(x, w):
    _, h = tf.while_loop(lambda i, h: i < 3, lambda i, h: (i + 1, tf.nn.dropout(tf.sin(h), keep_prob=0.8) * 1.5),
                         (0, tf.matmul(x, w)))
    return tf.reduce_sum(h * h), h * tf.random_uniform([7])


def seeded(x, w):
    h = tf.matmul(x, w) * tf.random_uniform([16, 7], seed=3) + tf.random_normal([7], seed=3)
    return tf.reduce_sum(tf.exp(-h * h)), h


def _run(f, times=3):
    """Values and gradients of some calls, two of them on one tape, after a seed."""
    tf.set_random_seed(11)
    out = []
    for _ in range(times):
        x, w = tf.constant(X), tf.Variable(W)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            (a, b), (c, d) = f(x, w.value()), f(x + 1.0, w.value())
            loss = a + c + tf.reduce_sum(b * d)
        out += [a, b, c, d, *tape.gradient(loss, [x, w]), tape.gradient(a, x), tape.gradient(c, w)]
        out.append(tf.random_uniform([4]))      # the sequence goes on as after eager calls
    return [t.numpy() for t in out]


@pytest.mark.parametrize("function", [plain, branched, looped, seeded])
def test_gradients_from_outside_have_the_bits_of_eager_execution(function):
    want = _run(function)
    calls = []

    def counted(x, w):
        calls.append(state.interpreter is not None)
        return function(x, w)
    traced = tfe.defun(counted)
    for _ in range(2):
        for got, expected in zip(_run(traced), want, strict=True):
            np.testing.assert_array_equal(got, expected)
    assert traced.traces == 1 and calls == [True] * 2           # the function, and its gradient: nothing ran op by op


def test_second_order():
    def f(x):
        return tf.reduce_sum(tf.nn.dropout(x * x * x, keep_prob=0.5))

    def second(f):
        tf.set_random_seed(4)
        x = tf.constant(X)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = f(x)
            slope = inner.gradient(y, x)
        return slope.numpy(), outer.gradient(slope, x).numpy()
    eager, traced = second(f), second(tfe.defun(f))
    assert (eager[1] == 0).any() and (eager[1] != 0).any()
    for a, b in zip(eager, traced):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_gradient_taken_in_another_function():
    f = tfe.defun(lambda x: tf.nn.dropout(x * x, keep_prob=0.5))
    x = tf.constant(X)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = f(x)
    want = np.where(y.numpy() == 0, 0, 4 * X)
    later = tfe.defun(lambda: tape.gradient(y, x))
    for _ in range(2):
        np.testing.assert_allclose(later().numpy(), want, rtol=1e-6)


def test_a_model_with_dropout_trains_as_eagerly():
    def train(trace):
        tf.set_random_seed(2)
        model = tf.keras.Sequential([tf.keras.layers.Dense(8, activation="relu", input_shape=(5,)),
                                     tf.keras.layers.Dropout(0.5), tf.keras.layers.Dense(1)])
        optimizer = tf.train.AdamOptimizer(0.01)
        call = tfe.defun(lambda x: model(x, training=True)) if trace else lambda x: model(x, training=True)
        losses = []
        for _ in range(5):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(call(tf.constant(X)) - 1.0))
            optimizer.apply_gradients(zip(tape.gradient(loss, model.variables), model.variables))
            losses.append(float(loss))
        return losses
    assert train(True) == train(False)


def test_a_function_that_calls_python_runs_as_written_under_a_tape():
    seen = []

    def f(x):
        tf.contrib.eager.py_func(lambda v: seen.append(1) or v, [x], tf.float32)
        return x * tf.random_uniform([])
    x = tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tfe.defun(f)(x)
    assert float(tape.gradient(y, x)) == float(y) / 2 and len(seen) >= 1
