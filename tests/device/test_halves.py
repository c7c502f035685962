"""Traced functions under a tape outside: call and gradient are two programs, and nothing is computed twice."""

import gc

import numpy as np
import pytest

import cltensor as tf

tfe = tf.contrib.eager
rng = np.random.default_rng(3)


def array(*shape):
    return tf.constant(rng.standard_normal(shape).astype(np.float32))


def count(replay, op):
    """How many kernels of the program do this op; those other ops were fused to count too."""
    return sum(n.op.name.split()[0] == op for n in replay.program.nodes)


def halves_of(function):
    traced, = function._traced.values()
    return traced._halves


def test_each_product_is_computed_once():
    w1, w2 = tf.Variable(array(7, 5)), tf.Variable(array(5, 3))

    def model(x):
        return tf.matmul(tf.nn.relu(tf.matmul(x, w1)), w2)
    f, x, answers = tfe.defun(model), array(11, 7), []
    for call in (model, f):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(tf.square(call(x)))
        answers.append([y, *tape.gradient(y, [w1, w2])])
    for want, got in zip(*answers):
        np.testing.assert_array_equal(got.numpy(), want.numpy())
    halves = halves_of(f)
    backward, = halves._backward.values()
    assert count(halves.forward, "matmul") == 2
    assert count(backward, "matmul") == 3               # x is not watched, so its gradient is not among them
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    assert tape.gradient(y, x).shape == (11, 7) and f.traces == 1
    assert [count(b, "matmul") for b in halves._backward.values()] == [3, 2]


def test_a_model_with_states_and_draws_trains_as_eagerly():
    def train(trace):
        tf.set_random_seed(5)
        model = tf.keras.Sequential([
            tf.keras.layers.Conv2D(4, 3, input_shape=(8, 8, 1)), tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Activation("relu"), tf.keras.layers.Dropout(0.4), tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(3)])
        optimizer = tf.train.MomentumOptimizer(0.05, 0.9)
        call = tfe.defun(lambda x: model(x, training=True)) if trace else lambda x: model(x, training=True)
        x = tf.constant(np.linspace(-1, 1, 6 * 64, dtype=np.float32).reshape(6, 8, 8, 1))
        for _ in range(4):
            with tf.GradientTape() as tape:
                loss = tf.losses.sparse_softmax_cross_entropy(labels=[0, 1, 2, 0, 1, 2], logits=call(x))
            optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        assert not trace or halves_of(call) is not None
        return [v.numpy() for v in model.variables]
    for got, want in zip(train(True), train(False), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_branches_and_loops_are_cut_too():
    w = tf.Variable(array(4, 4))

    def turn(i, h, steps):
        h = tf.cond(tf.equal(i % 2, 0), lambda: tf.tanh(tf.matmul(h, w)), lambda: h * 0.5 + tf.matmul(h, w))
        return i + 1, h, steps.write(i, tf.reduce_sum(h))

    def f(x, n):
        steps = tf.TensorArray(tf.float32, size=n)
        _, h, steps = tf.while_loop(lambda i, *_: i < n, turn, (0, x, steps))
        return tf.reduce_sum(h * h) + tf.reduce_sum(tf.square(steps.stack()))
    traced = tfe.defun(lambda x: f(x, 5))
    for x in (array(3, 4), array(3, 4)):
        answers = []
        for call in (lambda x: f(x, 5), traced):
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(x)
                y = call(x)
            answers.append([y, *tape.gradient(y, [x, w]), tape.gradient(y, w)])
        for want, got in zip(*answers):
            np.testing.assert_array_equal(got.numpy(), want.numpy())
    assert halves_of(traced) is not None


def test_sparse_gradients_stay_sparse():
    table = tf.Variable(array(9, 4))
    f = tfe.defun(lambda ids: tf.reduce_sum(tf.square(tf.nn.embedding_lookup(table, ids)), axis=1))
    with tf.GradientTape() as tape:
        y = f(tf.constant([2, 0, 2]))
    gradient = tape.gradient(y, table)
    assert isinstance(gradient, tf.IndexedSlices) and gradient.indices.numpy().tolist() == [2, 0, 2]
    np.testing.assert_allclose(gradient.values.numpy(), 2 * table.numpy()[[2, 0, 2]], rtol=1e-6)


def test_a_persistent_tape_asks_twice_and_of_each_result():
    f = tfe.defun(lambda x: (tf.sin(x), x * x, tf.argmax(x)))
    x = array(5)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        s, q, _ = f(x)
    for _ in range(2):
        np.testing.assert_allclose(tape.gradient(s, x).numpy(), np.cos(x.numpy()), rtol=1e-6)
        np.testing.assert_allclose(tape.gradient(q, x).numpy(), 2 * x.numpy(), rtol=1e-6)
        np.testing.assert_allclose(tape.gradient([s, q], x).numpy(), np.cos(x.numpy()) + 2 * x.numpy(), rtol=1e-6)


def test_results_that_are_inputs_and_inputs_without_effect():
    f = tfe.defun(lambda x, y, z: (x, tf.stop_gradient(y) + 1.0, tf.zeros([2])))
    x, y, z = array(2), array(2), array(2)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, y, z])
        a, b, c = f(x, y, z)
        loss = tf.reduce_sum(a * 3.0 + b + c)
        only = f(x, y, z)[1]
    dx, dy, dz = tape.gradient(loss, [x, y, z])
    assert dx.numpy().tolist() == [3, 3] and dy is None and dz is None
    assert tape.gradient(only, y) is None


def test_values_are_those_of_the_call():
    @tfe.defun
    def f(x, v):
        y = x * v
        v.assign(x)         # has no gradient
        return y * v
    x, answers = tf.constant([1.0, 10.0]), []
    for call in (f.python_function, f):
        v = tf.Variable([2.0, 3.0])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call(x, v)
        assert v.numpy().tolist() == [1, 10]
        v.assign([100.0, 100.0])
        answers.append([g.numpy().tolist() for g in tape.gradient(y, [x, v])])
        assert v.numpy().tolist() == [100, 100]
    assert answers[0][0] == [2, 30]
    assert answers[1] == answers[0]


def test_the_gradients_errors_come_when_it_is_asked_for():
    @tf.custom_gradient
    def broken(x):
        def grad(dy):
            raise KeyError("my own mistake")
        return x + 1.0, grad
    f, x = tfe.defun(lambda x: broken(x) * 2.0), tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    assert float(y) == 4
    with pytest.raises(KeyError, match="my own mistake"):
        tape.gradient(y, x)


def test_what_a_gradient_draws_is_drawn_at_each_gradient():
    @tf.custom_gradient
    def noisy(x):
        return x + 1.0, lambda dy: dy * tf.random_uniform([1000])
    f, x, found = tfe.defun(lambda x: noisy(x)), tf.zeros([1000]), []
    for _ in range(2):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        found.append(tape.gradient(y, x).numpy())
    assert not np.array_equal(*found)


def test_nothing_is_kept_after_the_gradient(device):
    w = tf.Variable(array(64, 64))
    f, x = tfe.defun(lambda x: tf.tanh(tf.matmul(tf.tanh(tf.matmul(x, w)), w))), array(32, 64)

    def step():
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(f(x))
        w.assign_sub(tape.gradient(y, w) * 0.01)
    gc.disable()
    try:
        for _ in range(3):
            step()
        before = tf.memory_stats(device)
        for _ in range(20):
            step()
        after = tf.memory_stats(device)
        assert (after["live_blocks"], after["bytes_in_use"]) == (before["live_blocks"], before["bytes_in_use"])
    finally:
        gc.enable()


def test_tracing_is_not_recorded_outside():
    w = tf.Variable(array(3))
    f = tfe.defun(lambda x: tf.reduce_sum(tf.tanh(x * w)))
    with tf.GradientTape() as tape:
        y = f(array(3))
    tape.catch_up()
    assert [r.name for r in tape._records] == ["<lambda>"]
    assert tape.gradient(y, w).shape == (3,)


def test_without_a_watcher_the_call_is_the_plain_one():
    f, x = tfe.defun(lambda x: tf.exp(x) * 2.0), array(4)
    with tf.GradientTape():
        f(x)
    assert halves_of(f) is False
