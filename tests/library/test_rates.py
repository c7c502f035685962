"""Learning rates, momenta and the like as tensors: fed, decaying, held by variables, in every mode."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.dispatch import eagerly

tfe = tf.contrib.eager
t = tf.train
START, GRADIENT = (np.array(x, np.float32) for x in ([1.0, -2.0, 3.0, 0.0, 0.5], [0.5, 0.25, -1.0, 2.0, -3.0]))
MADE = {
    "sgd": lambda rate, other: t.GradientDescentOptimizer(rate),
    "momentum": t.MomentumOptimizer,
    "nesterov": lambda rate, other: t.MomentumOptimizer(rate, other, use_nesterov=True),
    "adam": lambda rate, other: t.AdamOptimizer(rate, epsilon=1e-7),
    "rmsprop": lambda rate, other: t.RMSPropOptimizer(rate, decay=other, momentum=other),
    "adagrad": lambda rate, other: t.AdagradOptimizer(rate),
    "adadelta": lambda rate, other: t.AdadeltaOptimizer(rate, rho=other),
    "ftrl": lambda rate, other: t.FtrlOptimizer(rate),
}


def _eager(kind, pairs):
    """The variable after a step for each (rate, other number)."""
    numbers = list(pairs[0])
    w = tf.Variable(START)
    optimizer = MADE[kind](lambda: numbers[0], lambda: numbers[1])
    out = []
    for pair in pairs:
        numbers[:] = [float(np.float32(x)) for x in pair]
        optimizer.apply_gradients([(tf.constant(GRADIENT), w)])
        out.append(w.numpy())
    return out


@pytest.fixture
def sess():
    with tf.Session(graph=tf.Graph()) as session:
        yield session


PAIRS = [(0.1, 0.9), (0.05, 0.8), (0.2, 0.9)]


@pytest.mark.parametrize("kind", MADE)
def test_a_fed_rate_is_the_eager_one_and_makes_no_plan(kind, sess):
    rate, other = tf.placeholder(tf.float32), tf.placeholder(tf.float32, [])
    w = tf.Variable(START)
    train = MADE[kind](rate, other).apply_gradients([(tf.constant(GRADIENT), w)])
    sess.run(tf.global_variables_initializer())
    plans = set()
    for pair, want in zip(PAIRS, _eager_beside(kind)):
        sess.run(train, dict(zip((rate, other), pair)))
        np.testing.assert_array_equal(sess.run(w), want)
        plans.add(len(sess.graph.plans))
    assert len(plans) == 1


def _eager_beside(kind):
    with eagerly():
        return _eager(kind, PAIRS)


@pytest.mark.parametrize("kind", MADE)
def test_a_computed_rate_in_a_graph(kind, sess):
    rate, other = tf.placeholder(tf.float32), tf.placeholder_with_default(0.9, [])
    w = tf.Variable(START)
    train = MADE[kind](rate * 0.5, other).apply_gradients([(tf.constant(GRADIENT), w)])
    sess.run(tf.global_variables_initializer())
    for pair, want in zip(PAIRS, _eager_beside(kind)):
        sess.run(train, {rate: pair[0] * 2, other: pair[1]})
        np.testing.assert_allclose(sess.run(w), want, rtol=1e-5)


@pytest.mark.parametrize("kind", MADE)
def test_a_rate_as_an_argument_of_a_traced_function(kind):
    w, made = tf.Variable(START), []

    @tfe.defun
    def step(rate, other):
        made[:] = made or [MADE[kind](rate, other)]
        made[0].apply_gradients([(tf.constant(GRADIENT), w)])

    for pair, want in zip(PAIRS, _eager(kind, PAIRS)):
        step(*map(tf.constant, pair))
        np.testing.assert_allclose(w.numpy(), want, rtol=1e-5)
    assert step.traces == 1


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("kind", MADE)
def test_a_rate_that_a_device_holds(kind, traced):
    w, rate, other = tf.Variable(START), tf.Variable(0.2), tf.constant(1.8) * 0.5
    optimizer = MADE[kind](rate, other)
    step = tfe.defun(lambda: optimizer.apply_gradients([(tf.constant(GRADIENT), w)]))
    want = _eager(kind, [(0.1, 0.9), (0.05, 0.9), (0.025, 0.9)])
    for expected in want:
        rate.assign(rate * 0.5)
        step() if traced else step.python_function()
        np.testing.assert_allclose(w.numpy(), expected, rtol=1e-5)


def test_a_rate_in_a_variable_of_a_graph(sess):
    rate, w = tf.Variable(0.5, trainable=False), tf.Variable(8.0)
    train = t.GradientDescentOptimizer(rate).minimize(w * 1.0)
    with tf.control_dependencies([train]):
        slower = rate.assign(rate * 0.5)
    sess.run(tf.global_variables_initializer())
    sess.run(slower)
    sess.run(slower)
    assert sess.run([w, rate]) == [8.0 - 0.5 - 0.25, 0.125]
    sess.run(train, {rate: 4.0})
    assert sess.run(w) == 3.25


def test_bad_rates_of_a_run(sess):
    rate, w = tf.placeholder(tf.float32), tf.Variable(1.0)
    train = t.AdamOptimizer(rate).minimize(w * w)
    sess.run(tf.global_variables_initializer())
    with pytest.raises(tf.errors.InvalidArgumentError, match="placeholder, and nothing is fed"):
        sess.run(train)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be fed a scalar; its value has shape \(2,\)"):
        sess.run(train, {rate: [0.1, 0.2]})
    assert sess.run(w) == 1.0
    with pytest.raises(NotImplementedError, match="beta1 is a tensor that has no value yet"):
        t.AdamOptimizer(0.1, beta1=rate).minimize(w * w)
    with pytest.raises(ValueError, match="must be a scalar"):
        t.AdamOptimizer(tf.placeholder(tf.float32, [2])).minimize(w * w)


SCHEDULES = {
    "exponential": lambda step: t.exponential_decay(0.5, step, 3, 0.5),
    "staircase": lambda step: t.exponential_decay(0.5, step, 3, 0.5, staircase=True),
    "natural": lambda step: t.natural_exp_decay(0.5, step, 3, 0.5),
    "inverse": lambda step: t.inverse_time_decay(0.5, step, 3, 0.5, staircase=True),
    "piecewise": lambda step: t.piecewise_constant(step, [2, 4], [1.0, 0.5, 0.125]),
    "polynomial": lambda step: t.polynomial_decay(0.5, step, 4, 0.1, power=2.0),
    "cycle": lambda step: t.polynomial_decay(0.5, step, 4, 0.1, cycle=True),
    "cosine": lambda step: t.cosine_decay(0.5, step, 5, alpha=0.1),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_decaying_rate_is_a_tensor_of_the_graph(kind, sess):
    """Fetched, fed, and used by an optimizer; of a variable, or of what is computed from one."""
    with eagerly():
        count = tf.Variable(0, dtype=tf.int64)
        rate = SCHEDULES[kind](count)
        want = []
        for i in range(12):
            count.assign(i)
            want.append(rate().numpy())
    step = t.get_or_create_global_step()
    fed = tf.placeholder(tf.float32, [])
    of_step, of_computed, of_fed = SCHEDULES[kind](step), SCHEDULES[kind](step * 2), SCHEDULES[kind](fed)
    assert isinstance(of_step, tf.Tensor) and of_step.shape == () and of_step.dtype == tf.float32
    w = tf.Variable(100.0)
    train = t.GradientDescentOptimizer(of_step).minimize(w * 1.0, global_step=step)
    sess.run(tf.global_variables_initializer())
    expected = np.float32(100.0)
    for i in range(6):
        _, now, twice, other = sess.run([train, of_step, of_computed, of_fed], {fed: i + 1})
        assert now == want[i]
        np.testing.assert_allclose([twice, other], [want[2 * i], want[i + 1]], rtol=1e-5)
        expected -= want[i]
        assert sess.run(w) == expected
    plans = len(sess.graph.plans)
    assert sess.run(of_step, {step: 7}) == want[7]
    sess.run(train, {step: 7})
    assert sess.run(w) == expected - want[7]
    sess.run(train, {of_step: 2.0})
    assert sess.run(w) == expected - want[7] - 2.0
    assert len(sess.graph.plans) == plans + 3


def test_a_fed_start_of_a_decay(sess):
    start, step = tf.placeholder(tf.float32, []), tf.placeholder(tf.int64, [])
    rate = t.exponential_decay(start, step, 1, 0.5)
    assert sess.run(rate, {start: 8.0, step: 3}) == 1.0


def test_a_decaying_rate_in_a_loop(sess):
    step, w = t.get_or_create_global_step(), tf.Variable(0.0)
    optimizer = t.GradientDescentOptimizer(t.exponential_decay(1.0, step, 1, 0.5))

    def turn(i):
        with tf.control_dependencies([optimizer.apply_gradients([(tf.constant(-1.0), w)], global_step=step)]):
            return i + 1
    turns = tf.while_loop(lambda i: i < 3, turn, [0])
    sess.run(tf.global_variables_initializer())
    assert sess.run(turns) == 3
    assert sess.run([w, step]) == [1.75, 3]


@pytest.mark.parametrize("kind", ["adam", "momentum", "rmsprop", "adagrad", "ftrl"])
def test_initializers_start_an_optimizer_anew(kind, sess):
    """As for cross-validation: the second training is the first one again."""
    w = tf.Variable(START, name="w")
    optimizer = MADE[kind](0.1, 0.9)
    train = optimizer.minimize(tf.reduce_sum(w * w))
    kept = optimizer.variables()
    assert set(map(id, kept)) <= set(map(id, tf.global_variables())) and tf.trainable_variables() == [w]

    def trained(init):
        sess.run(init)
        for _ in range(3):
            sess.run(train)
        return sess.run(w)
    first = trained(tf.global_variables_initializer())
    np.testing.assert_array_equal(trained(tf.global_variables_initializer()), first)
    sess.run(tf.variables_initializer(kept))
    sess.run(w.initializer)
    for _ in range(3):
        sess.run(train)
    np.testing.assert_array_equal(sess.run(w), first)
    sess.run(kept[-1].initializer)


def test_a_saver_keeps_the_state_of_an_optimizer(sess, tmp_path):
    w = tf.Variable(START, name="w")
    train = t.AdamOptimizer(0.1).minimize(tf.reduce_sum(w * w))
    saver = t.Saver()
    sess.run(tf.global_variables_initializer())
    sess.run(train)
    path = saver.save(sess, str(tmp_path / "model"))
    sess.run(train)
    want = sess.run(w)
    sess.run(tf.global_variables_initializer())
    saver.restore(sess, path)
    sess.run(train)
    np.testing.assert_array_equal(sess.run(w), want)
