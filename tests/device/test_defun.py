"""Traced functions: the values and bits of the eager ones, one trace per signature, state written at the end."""

import gc
import warnings

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.dispatch import state
from cltensor.kernels import build
from cltensor.runtime import events

tfe = tf.contrib.eager
rng = np.random.default_rng(0)


def array(*shape):
    return tf.constant(rng.standard_normal(shape).astype(np.float32))


def chain(x, y):
    z = tf.tanh(x * y + 0.5) - tf.square(x) / (tf.abs(y) + 1.0)
    return tf.maximum(z, x) * tf.sigmoid(z), tf.reduce_sum(z, axis=0)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (17, 3), (4099,), (0, 3)])
def test_same_bits_as_eager(shape):
    x, y = array(*shape), array(*shape)

    def f(x, y):
        return chain(x, y) if shape else chain(tf.reshape(x, [1]), tf.reshape(y, [1]))
    g = tfe.defun(f)
    for _ in range(2):
        for got, want in zip(g(x, y), f(x, y)):
            assert got.numpy().tobytes() == want.numpy().tobytes()
    assert g.traces == 1


def test_broadcasts_and_reductions_keep_their_bits():
    def f(x, b, w):
        h = tf.nn.relu(tf.matmul(x, w) + b)
        return tf.nn.softmax(h - tf.reduce_mean(h, axis=1, keepdims=True)), tf.reduce_max(h * b)
    x, b, w = array(7, 13), array(5), array(13, 5)
    for got, want in zip(tfe.defun(f)(x, b, w), f(x, b, w)):
        assert got.numpy().tobytes() == want.numpy().tobytes()


def test_a_chain_is_one_launch(device):
    x = array(1000)
    f = tfe.defun(lambda a: tf.sqrt(tf.abs(tf.tanh(a * 2.0 + 1.0) - 0.5)) * a)
    f(x)
    before = device.queue.launch_count
    f(x)
    assert device.queue.launch_count == before + 1


def test_a_repeated_signature_traces_and_compiles_nothing():
    calls = []

    @tfe.defun
    def f(x, scale):
        calls.append(1)
        return x * scale + 1.0
    for _ in range(3):
        f(array(4, 2), 2.0)
    programs = build.program_count()
    f(array(4, 2), 2.0)
    assert (len(calls), f.traces, build.program_count()) == (1, 1, programs)
    f(array(4, 2), 3.0)             # another Python value
    f(array(5, 2), 2.0)             # another shape
    f(tf.cast(array(4, 2), tf.float64), 2.0)
    assert f.traces == 4
    with tf.device("cpu:0"):
        f(array(4, 2), 2.0)
    assert f.traces == 5


def test_retracing_says_what_changes():
    f = tfe.defun(lambda x, n: x * n)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for n in range(10):
            f(array(2), float(n))
    texts = [str(w.message) for w in seen]
    assert len(texts) == 1
    assert "was traced 8 times" in texts[0]


def test_variables_are_read_and_written_at_each_call():
    v = tf.Variable([1.0, 2.0])

    @tfe.defun
    def bump(x):
        v.assign_add(x)
        doubled = v * 2.0
        v.assign(doubled)
        return v + 0.0
    assert bump(tf.constant([1.0, 1.0])).numpy().tolist() == [4.0, 6.0]
    v.assign([0.0, 0.0])                            # an eager assignment between replays counts
    assert bump(tf.constant([1.0, 1.0])).numpy().tolist() == [2.0, 2.0]
    assert v.numpy().tolist() == [2.0, 2.0]
    assert bump.traces == 1


def test_results_of_two_calls_are_independent():
    v = tf.Variable(0.0)

    @tfe.defun
    def count():
        v.assign_add(1.0)
        return v.read_value()
    a, b = count(), count()
    assert (a.numpy(), b.numpy(), v.numpy()) == (1.0, 2.0, 2.0)


def model_step(optimizer_class, compiled):
    tf.set_random_seed(3)
    model = tf.keras.Sequential([tf.keras.layers.Dense(16, activation="tanh", input_shape=(8,)),
                                 tf.keras.layers.Dense(4)])
    optimizer = optimizer_class(0.05)
    tf.reset_default_graph()
    step = tf.train.get_or_create_global_step()

    def train(x, y):
        with tf.GradientTape() as tape:
            loss = tf.losses.sparse_softmax_cross_entropy(labels=y, logits=model(x))
        grads = tape.gradient(loss, model.variables)
        optimizer.apply_gradients(zip(grads, model.variables), global_step=step)
        return loss
    run = tfe.defun(train) if compiled else train
    data = np.random.default_rng(1)
    losses = []
    for _ in range(4):
        x = tf.constant(data.standard_normal((32, 8)).astype(np.float32))
        y = tf.constant(data.integers(0, 4, 32).astype(np.int32))
        losses.append(run(x, y).numpy())
    return losses, [v.numpy() for v in model.variables], int(step)


@pytest.mark.parametrize("optimizer", [tf.train.GradientDescentOptimizer, tf.train.AdamOptimizer])
def test_a_whole_training_step_is_the_eager_one(optimizer):
    eager, traced = model_step(optimizer, False), model_step(optimizer, True)
    assert eager[2] == traced[2] == 4
    for a, b in zip(eager[0] + eager[1], traced[0] + traced[1]):
        assert a.tobytes() == b.tobytes()


def test_a_decaying_rate_makes_no_new_trace():
    rate = [0.5]
    w = tf.Variable(1.0)
    optimizer = tf.train.GradientDescentOptimizer(lambda: rate[0])

    @tfe.defun
    def step():
        optimizer.minimize(lambda: w * 1.0)
    step()
    rate[0] = 0.25
    step()
    assert w.numpy() == 0.25
    assert step.traces == 1


def test_random_numbers_differ_at_each_replay_and_follow_the_seed():
    f = tfe.defun(lambda: (tf.random_uniform([50]), tf.random_uniform([50])))
    tf.set_random_seed(5)
    a, b = f()
    c, _ = f()
    assert not np.array_equal(a.numpy(), b.numpy())
    assert not np.array_equal(a.numpy(), c.numpy())
    tf.set_random_seed(5)
    assert np.array_equal(f()[0].numpy(), a.numpy())
    tf.set_random_seed(5)
    assert np.array_equal(tf.random_uniform([50]).numpy(), a.numpy())      # the same draws as eager


def test_gradients_from_outside_to_second_order():
    w = tf.Variable([0.3, -0.7])
    f = tfe.defun(lambda x: tf.reduce_sum(tf.tanh(x * w)))

    def all_gradients(call):
        x = tf.constant([1.5, 0.5])
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = call(x)
            first = inner.gradient(y, [x, w])
        return y, *first, outer.gradient(first[0], x)
    for got, want in zip(all_gradients(f), all_gradients(f.python_function)):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)


def test_structures_arguments_and_methods():
    class Scaler:
        def __init__(self, k):
            self.k = k

        @tfe.defun
        def __call__(self, pair, extra=None):
            return {"sum": pair[0] + pair[1], "k": self.k, "extra": extra, "list": [pair[0] * self.k, None]}
    one, two = Scaler(2.0), Scaler(3.0)
    out = one((tf.constant(1.0), np.float32(2.0)), extra="text")
    assert (out["sum"].numpy(), out["k"], out["extra"], out["list"][1]) == (3.0, 2.0, "text", None)
    assert two((tf.constant(1.0), tf.constant(2.0)))["list"][0].numpy() == 3.0


def test_nested_functions_and_variables_made_on_the_first_call():
    layer = tf.keras.layers.Dense(3)
    inner = tfe.defun(lambda x: layer(x))
    outer = tfe.defun(lambda x: inner(x) * 2.0)
    x = array(4, 2)
    np.testing.assert_array_equal(outer(x).numpy(), (layer(x) * 2.0).numpy())
    assert len(layer.variables) == 2
    assert isinstance(layer.kernel.numpy(), np.ndarray)


def test_asking_for_a_value_says_what_to_do_and_leaves_nothing_behind():
    v = tf.Variable(1.0)

    @tfe.defun
    def f(x):
        v.assign(5.0)
        with tf.GradientTape():
            if x > 0.0:
                return x
    with pytest.raises(TypeError, match="Python cannot branch on it"):
        f(tf.constant(1.0))
    assert state.interpreter is None
    assert state.recorders == []
    assert v.numpy() == 1.0
    assert f.traces == 0


def test_a_failed_replay_changes_no_variable(monkeypatch):
    v = tf.Variable([1.0])
    f = tfe.defun(lambda x: v.assign_add(x).read_value())
    f(tf.constant([1.0]))

    def broken(*args):
        raise RuntimeError("planted")
    with monkeypatch.context() as patch:
        patch.setattr(events, "launch", broken)
        with pytest.raises(RuntimeError, match="planted"):
            f(tf.constant([1.0]))
    assert v.numpy() == [2.0]
    assert f(tf.constant([1.0])).numpy() == [3.0]


def test_input_signature():
    f = tfe.defun(lambda x: x + 1.0, input_signature=[((None, 2), tf.float32)])
    assert f(array(3, 2)).shape == (3, 2)
    with pytest.raises(ValueError, match="argument 0 must have shape"):
        f(array(3, 4))


def test_nothing_leaks(device):
    w = tf.Variable(np.ones((64, 64), np.float32))
    f = tfe.defun(lambda x: tf.reduce_sum(tf.tanh(tf.matmul(x, w))))
    x = array(32, 64)
    gc.disable()
    try:
        for _ in range(3):
            f(x)
        before = tf.memory_stats(device)
        for _ in range(20):
            f(x)
        after = tf.memory_stats(device)
        assert after["live_blocks"] == before["live_blocks"]
        assert after["bytes_in_use"] == before["bytes_in_use"]
    finally:
        gc.enable()


def test_the_gradient_is_taken_at_the_values_of_the_call():
    v = tf.Variable([2.0, 3.0])
    f = tfe.defun(lambda x: tf.reduce_sum(x * v * v))
    x = tf.constant([1.0, 10.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    v.assign([100.0, 100.0])
    dx, dv = tape.gradient(y, [x, v])
    assert (dx.numpy().tolist(), dv.numpy().tolist()) == ([4.0, 9.0], [4.0, 60.0])


def test_the_gradient_of_a_random_function_uses_the_draws_of_the_call():
    f = tfe.defun(lambda x: tf.nn.dropout(x + tf.random_uniform([1000]), keep_prob=0.5))
    x = tf.ones([1000])
    for _ in range(3):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        np.testing.assert_array_equal(tape.gradient(y, x).numpy(), np.where(y.numpy() == 0, 0.0, 2.0))


def test_signed_zeros_are_two_signatures():
    f = tfe.defun(lambda x, k: x * k)
    one = tf.constant([1.0])
    assert [np.signbit(f(one, k).numpy())[0] for k in (0.0, -0.0)] == [False, True]


def test_one_late_number_in_two_dtypes():
    rate = [0.1]
    a, b = tf.Variable([1.0, 2.0]), tf.Variable(np.array([1.0, 2.0]))
    step = tfe.defun(lambda: tf.train.GradientDescentOptimizer(lambda: rate[0]).apply_gradients(
        [(tf.constant([1.0, 1.0]), a), (tf.constant(np.array([1.0, 1.0])), b)]))
    step()
    np.testing.assert_allclose(a.numpy(), [0.9, 1.9], rtol=1e-7)
    np.testing.assert_allclose(b.numpy(), [0.9, 1.9], rtol=1e-15)


@pytest.mark.parametrize("optimizer", [tf.train.AdamOptimizer, tf.train.MomentumOptimizer, tf.train.RMSPropOptimizer])
def test_several_steps_in_one_call_are_the_eager_ones(optimizer):
    data = np.random.default_rng(0).standard_normal((4, 6, 3)).astype(np.float32)

    def train(traced):
        w, step = tf.Variable(tf.ones([3])), tf.Variable(0, dtype=tf.int64, host=True, trainable=False)
        rate = tf.train.exponential_decay(0.1, step, 2, 0.5)
        extra = {"momentum": 0.9} if optimizer is tf.train.MomentumOptimizer else {}
        method, other = optimizer(rate, **extra), tf.train.AdamOptimizer(0.01)

        def three(x):
            for i in range(3):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(tf.square(tf.linalg.matvec(x, w) - float(i)))
                method.apply_gradients([(tape.gradient(loss, w), w)], global_step=step)
                other.apply_gradients([(w * 0.1, w)])
            return loss
        run = tfe.defun(three) if traced else three
        losses = [run(tf.constant(x)).numpy() for x in data]
        three(tf.constant(data[0]))             # eagerly, from where the trace left off
        return w.numpy(), losses, int(step), [v.numpy() for v in (*method.variables(), *other.variables())]
    eager, traced = train(False), train(True)
    np.testing.assert_array_equal(eager[0], traced[0])
    assert eager[1] == traced[1] and eager[2] == traced[2] == 15
    for a, b in zip(eager[3], traced[3], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_failed_call_of_several_steps_changes_no_counter(monkeypatch):
    w, step, adam = tf.Variable(1.0), tf.Variable(0, dtype=tf.int64, host=True), tf.train.AdamOptimizer(0.1)

    @tfe.defun
    def two(x):
        for _ in range(2):
            adam.apply_gradients([(x * w, w)], global_step=step)
        return w
    two(tf.constant(1.0))
    before = [float(adam.beta1_power), int(step), float(w)]
    rates = iter([0.1])
    adam._hyper["learning_rate"] = lambda: next(rates)          # fails when the second step looks it up
    with pytest.raises(Exception):      # noqa: B017
        two(tf.constant(1.0))
    assert [float(adam.beta1_power), int(step), float(w)] == before


@pytest.mark.parametrize("use", [
    lambda x: tf.reshape(x, [tf.shape(x)[0], -1]),
    lambda x: tf.range(tf.shape(x)[0] * 2),
    lambda x: tf.zeros([tf.shape(x)[1] // 2, 5]),
    lambda x: tf.tile(x, [1, tf.reduce_prod(tf.shape(x)) % 5]),
    lambda x: tf.one_hot(tf.argmax(x, 1), tf.shape(x)[-1]),
])
def test_sizes_may_be_calculated_with_while_a_function_is_traced(use):
    x = tf.reshape(tf.range(12.), [3, 4])
    traced = tf.function(use)
    np.testing.assert_array_equal(traced(x).numpy(), use(x).numpy())
    np.testing.assert_array_equal(traced(x[:2]).numpy(), use(x[:2]).numpy())


def test_the_graph_of_a_concrete_function():
    w = tf.Variable([1.0, 2.0])

    @tfe.defun
    def f(x, scale):
        w.assign_add(x)
        return {"y": x * w * scale, "z": tf.reduce_sum(x) * 2.0}
    graph = f.get_concrete_function(tf.constant([1.0, 1.0]), 3.0).graph
    assert [t.shape.as_list() for t in graph.inputs] == [[2]] and graph.variables == [w]
    assert [t.shape.as_list() for t in graph.outputs] == [[2], []]
    names = [op.name for op in graph.get_operations()]
    assert len(set(names)) == len(names) and {"multiply", "multiply_1", "multiply_2", "reduce_sum"} <= set(names)
    last = next(op for op in graph.get_operations() if op.name == "reduce_sum")
    assert last.inputs == (graph.inputs[0],) and last.outputs[0] in graph and tf.constant(1.0) not in graph
    assert str(graph).startswith("%0 = feed (2,) float32") and "reduce_sum(%0" in str(graph)
