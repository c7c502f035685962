"""Graphs and sessions: TensorFlow 1.x's programs, run through the same rows as eager mode."""

import os
import subprocess
import sys

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.dispatch import state

tfe = tf.contrib.eager


@pytest.fixture
def sess():
    with tf.Session(graph=tf.Graph()) as session:
        yield session
    assert state.interpreter is None


def test_placeholder_of_unknown_rank(sess):
    x = tf.placeholder(tf.float32)
    y = tf.exp(x) + 1.0
    for value in (1.0, [1.0, 2.0], [[1.0], [2.0]]):
        np.testing.assert_allclose(sess.run(y, {x: value}), np.exp(value) + 1, rtol=1e-6)


def test_same_bits_as_eager(sess):
    def f(x, w):
        h = tf.nn.relu(tf.matmul(x, w)) * 0.5 + 0.25
        return tf.nn.softmax(h), tf.reduce_mean(tf.square(h), axis=1)
    data = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    weights = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    x = tf.placeholder(tf.float32, [None, 5])
    got = sess.run(f(x, tf.constant(weights)), {x: data})
    state.interpreter, held = None, state.interpreter
    try:
        want = f(tf.constant(data), tf.constant(weights))
    finally:
        state.interpreter = held
    for g, w in zip(got, want):
        assert g.tobytes() == w.numpy().tobytes()


def test_fetches_of_any_structure_and_feeding_any_tensor(sess):
    a = tf.placeholder(tf.float32, [])
    b = a * 2.0
    c = b + 1.0
    assert sess.run({"c": c, "pair": (a, [b])}, {a: 3.0}) == {"c": 7.0, "pair": (3.0, [6.0])}
    assert sess.run(c, {b: 10.0}) == 11.0
    assert c.eval({a: 0.0}) == 1.0
    d = tf.placeholder_with_default([1.0, 2.0], [2])
    assert sess.run(d + 1.0).tolist() == [2.0, 3.0]
    assert sess.run(d + 1.0, {d: [5.0, 6.0]}).tolist() == [6.0, 7.0]


def test_bad_feeds_and_fetches(sess):
    x = tf.placeholder(tf.float32, [None, 2])
    y = x * 2.0
    with pytest.raises(ValueError, match=r"is fed a value of shape \(3,\)"):
        sess.run(y, {x: [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="is a placeholder, and nothing is fed for it"):
        sess.run(y)
    with pytest.raises(TypeError, match="is text"):
        sess.run(y, {x: "text"})
    with tf.Graph().as_default():
        foreign = tf.placeholder(tf.float32, [])
    with pytest.raises(ValueError, match="belongs to another graph"):
        sess.run(foreign, {x: [[1.0, 2.0]]})
    with pytest.raises(ValueError, match="tensors of two graphs do not mix"):
        y + foreign
    with pytest.raises(TypeError, match="Python cannot branch on it"):
        bool(y)


def test_variables_wait_for_their_initializer(sess):
    v = tf.Variable([1.0, 2.0], name="v")
    total = tf.reduce_sum(v)
    add = v.assign_add([1.0, 1.0])
    with pytest.raises(tf.errors.FailedPreconditionError, match="v:0 is not initialised"):
        sess.run(total)
    sess.run(tf.global_variables_initializer())
    assert sess.run(total) == 3.0
    assert sess.run(add).tolist() == [2.0, 3.0]
    assert sess.run(total) == 5.0                   # only runs that reach the assignment assign
    sess.run(tf.global_variables_initializer())
    assert sess.run(v).tolist() == [1.0, 2.0]


def test_control_dependencies_order_assignments_and_reads(sess):
    v = tf.Variable(1.0)
    sess.run(tf.global_variables_initializer())
    up = v.assign_add(2.0)
    with tf.control_dependencies([up]):
        after = v * 10.0
    assert sess.run(after) == 30.0
    assert sess.run(v) == 3.0
    both = tf.group(up, tf.no_op())
    assert sess.run(both) is None
    assert sess.run(v) == 5.0


def test_gradients_of_any_order(sess):
    x = tf.placeholder(tf.float32, [None])
    y = tf.reduce_sum(x * x * x)
    first = tf.gradients(y, x)[0]
    second = tf.gradients(first, [x])[0]
    assert sess.run([first, second], {x: [1.0, 2.0]})[0].tolist() == [3.0, 12.0]
    assert sess.run(second, {x: [1.0, 2.0, 3.0]}).tolist() == [6.0, 12.0, 18.0]
    other = tf.placeholder(tf.float32, [])
    assert tf.gradients(y, [other]) == [None]
    weighted = tf.gradients([x * 2.0], [x], grad_ys=[tf.constant([1.0, 10.0])])[0]
    assert sess.run(weighted, {x: [0.0, 0.0]}).tolist() == [2.0, 20.0]


def test_broadcast_gradients_with_unknown_batch(sess):
    x = tf.placeholder(tf.float32, [None, 3])
    b = tf.Variable([1.0, 2.0, 3.0])
    g = tf.gradients(tf.reduce_mean(tf.square(x + b)), b)[0]
    sess.run(tf.global_variables_initializer())
    for n in (1, 4):
        data = np.ones((n, 3), np.float32)
        np.testing.assert_allclose(sess.run(g, {x: data}), 2 * (np.array([1.0, 2.0, 3.0]) + 1) / 3, rtol=1e-6)


def test_custom_gradient_to_second_order(sess):
    @tf.custom_gradient
    def log1pexp(x):
        e = tf.exp(x)
        return tf.log(1 + e), lambda dy: dy * (1 - 1 / (1 + e))
    x = tf.placeholder(tf.float32, [])
    y = log1pexp(x)
    first = tf.gradients(y, x)[0]
    second = tf.gradients(first, x)[0]
    assert sess.run([first, second], {x: 0.0}) == [0.5, 0.25]
    assert sess.run(first, {x: 100.0}) == 1.0


def test_one_run_draws_once_and_two_runs_twice(sess):
    r = tf.random_uniform([3])
    s = tf.random_uniform([3])
    a, b, c = sess.run([r, r, s])
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert not np.array_equal(sess.run(r), a)


@pytest.mark.parametrize("optimizer", [tf.train.GradientDescentOptimizer, tf.train.AdamOptimizer])
def test_minimize_is_the_eager_training(optimizer):
    data = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 3, 20).astype(np.int32)

    def build():
        tf.set_random_seed(7)
        return tf.keras.Sequential([tf.keras.layers.Dense(8, activation="tanh", input_shape=(4,)),
                                    tf.keras.layers.Dense(3)])

    def loss_of(model, x, y):
        return tf.losses.sparse_softmax_cross_entropy(labels=y, logits=model(x))
    model, step = build(), optimizer(0.1)
    for _ in range(3):
        step.minimize(lambda: loss_of(model, tf.constant(data), tf.constant(labels)))
    with tf.Session(graph=tf.Graph()) as sess:
        x, y = tf.placeholder(tf.float32, [None, 4]), tf.placeholder(tf.int32, [None])
        twin = build()
        train = optimizer(0.1).minimize(loss_of(twin, x, y))
        sess.run(tf.global_variables_initializer())
        for _ in range(3):
            assert sess.run(train, {x: data, y: labels}) is None
    for a, b in zip(model.variables, twin.variables):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_py_func_runs_eagerly_inside(sess, capsys):
    def body(x):
        assert tf.executing_eagerly()
        x = tf.matmul(x, x)
        print(x)
        return x
    x = tf.placeholder(dtype=tf.float32)
    pf = tfe.py_func(body, [x], tf.float32)
    assert sess.run(pf, feed_dict={x: [[2.0]]}).tolist() == [[4.0]]
    assert capsys.readouterr().out == "tf.Tensor([[4.]], shape=(1, 1), dtype=float32)\n"
    two = tf.py_func(lambda a: (a + 1, a.astype(np.int32)), [x], [tf.float32, tf.int32])
    first, second = sess.run(two, {x: [1.5]})
    assert (first.tolist(), second.tolist(), second.dtype) == ([2.5], [1], np.int32)


def test_feeds_in_any_order(sess):
    a, b = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
    c = a - b
    assert sess.run(c, {a: 5.0, b: 2.0}) == 3.0
    assert sess.run(c, {b: 2.0, a: 5.0}) == 3.0
    assert len(sess.graph.plans) == 1


def test_an_assignment_of_open_shape(sess):
    x, v = tf.placeholder(tf.float32, [None]), tf.Variable([1.0, 2.0])
    put = v.assign(x * 2.0)
    sess.run(tf.global_variables_initializer())
    assert sess.run(put, {x: [3.0, 4.0]}).tolist() == [6.0, 8.0]
    with pytest.raises(ValueError, match="assign"):
        sess.run(put, {x: [3.0]})
    assert sess.run(v).tolist() == [6.0, 8.0]


@pytest.mark.parametrize("island", [False, True], ids=["compiled", "with py_func"])
def test_a_run_assigns_all_or_nothing(sess, island):
    x = tf.placeholder(tf.float32, [None])
    a, b = tf.Variable([1.0]), tf.Variable([1.0, 2.0])
    fed = tfe.py_func(lambda v: v, [x], tf.float32) if island else x
    both = tf.group(a.assign(fed[:1]) if not island else a.assign([9.0]), b.assign(fed))
    sess.run(tf.global_variables_initializer())
    with pytest.raises(ValueError, match=r"assign: the value has shape \(3,\)"):
        sess.run(both, {x: [5.0, 6.0, 7.0]})
    assert (sess.run(a).tolist(), sess.run(b).tolist()) == ([1.0], [1.0, 2.0])


def test_a_repeated_run_makes_no_new_plan(sess):
    x = tf.placeholder(tf.float32, [None])
    y = tf.tanh(x) * 2.0
    for n in (3, 3, 5, 3):
        sess.run(y, {x: np.ones(n)})
    assert len(sess.graph.plans) == 2


def test_graph_calls_outside_a_graph_say_so():
    with pytest.raises(ValueError, match="placeholder: it needs a graph"):
        tf.placeholder(tf.float32)
    with pytest.raises(ValueError, match="use it inside"):
        tf.gradients(tf.constant(1.0), tf.constant(1.0))


def test_a_process_in_graph_mode():
    program = """
import cltensor as tf
assert not tf.executing_eagerly()
x = tf.placeholder(tf.float32, [None, 2])
w = tf.Variable([[1.0], [2.0]])
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    print(sess.run(tf.matmul(x, w), {x: [[3.0, 4.0]]}))
tf.reset_default_graph()
"""
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "CLTENSOR_EXECUTION": "graph"},
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[[11.]]\n"), done.stderr


def test_modes_pin():
    program = """
import cltensor as tf
tf.disable_eager_execution()
assert not tf.executing_eagerly()
tf.enable_eager_execution()
assert tf.executing_eagerly()
try:
    tf.disable_eager_execution()
except tf.errors.FailedPreconditionError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cannot be turned off" in done.stdout


def test_gradients_pass_through_an_eager_island(sess):
    calls = []

    def body(x, n):
        calls.append(1)
        while tf.reduce_sum(x) < 90.0:         # Python control flow on values
            x = x * x
        return x * tf.cast(n, tf.float32)
    x, n = tf.placeholder(tf.float32, [None]), tf.placeholder(tf.int32, [])
    y = tf.reduce_sum(tfe.py_func(body, [x, n], tf.float32) * 2.0)
    first = tf.gradients(y, [x, n])
    assert first[1] is None
    second = tf.gradients(first[0], x)[0]
    third = tf.gradients(second, x)[0]
    feed = {x: [2.0, 3.0], n: 5}                # x ** 4 * 5 * 2
    value, slope = sess.run([y, first[0]], feed)
    assert (value, slope.tolist(), len(calls)) == (970.0, [320.0, 1080.0], 1)
    assert sess.run(second, feed).tolist() == [480.0, 1080.0]
    assert sess.run(third, feed).tolist() == [480.0, 720.0]
    assert sess.run(slope_of_two_results(x), {x: [2.0, 3.0]}).tolist() == [5.0, 7.0]
    assert tf.gradients(tf.py_func(lambda a: a * 2.0, [x], tf.float32), x) == [None]


def slope_of_two_results(x):
    square, fixed, same = tfe.py_func(lambda v: [v * v, tf.constant(1), v], [x], [tf.float32, tf.int32, tf.float32])
    return tf.gradients([square, same], x)[0]


def test_an_island_that_fails_leaves_nothing_behind(sess):
    def body(x):
        raise KeyError("inside")
    x, v = tf.placeholder(tf.float32, [1]), tf.Variable([1.0])
    y = tfe.py_func(body, [x], tf.float32)
    both = [tf.gradients(y, x)[0], v.assign(x)]
    sess.run(tf.global_variables_initializer())
    with pytest.raises(KeyError, match="inside"):
        sess.run(both, {x: [2.0]})
    assert state.interpreter is sess.graph and not state.recorders and sess.run(v).tolist() == [1.0]


def test_small_parts_of_a_session(sess):
    v = tf.Variable([1.0, 2.0], name="weights")
    x = tf.placeholder(tf.float32, [], name="x")
    double = sess.make_callable([x * 2.0, x], feed_list=[x])
    assert double(3.0) == [6.0, 3.0]
    with pytest.raises(ValueError, match="feed_list has 1 tensors, 2 values are given"):
        double(1.0, 2.0)
    assert sess.run(x, {x: 1.0}, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE),
                    run_metadata=tf.RunMetadata()) == 1.0
    assert v.op.name == "weights" and v.op.graph is sess.graph
    init = tf.global_variables_initializer()
    count = len(sess.graph.nodes)
    sess.graph.finalize()
    with pytest.raises(RuntimeError, match="add: the graph is finalized"):
        x + 1.0
    with pytest.raises(RuntimeError, match="finalized"):
        v.assign([1.0, 1.0])
    sess.run(init)
    assert sess.run(v).tolist() == [1.0, 2.0] and len(sess.graph.nodes) == count and double(1.0) == [2.0, 1.0]
