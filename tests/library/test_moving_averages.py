"""ExponentialMovingAverage where ops are recorded: in a graph and in a traced function."""

import numpy as np
import pytest

import cltensor as tf

VALUES = [4.0, -2.0, 10.0, 0.5]


def expected(start, decays):
    shadow = start
    for value, decay in zip(VALUES, decays):
        shadow = decay * shadow + (1 - decay) * value
    return shadow


def test_a_graphs_operation_moves_the_shadows():
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [])
        v = tf.Variable(1.0, name="v")
        w = tf.Variable(v.initialized_value() + 1.0, name="w")
        tf.Variable(5.0, trainable=False)
        ema = tf.train.ExponentialMovingAverage(0.75)
        with tf.name_scope("scope"):
            move = ema.apply()
        assert [a.name for a in (ema.average(v), ema.average(w))] == [f"{n}/ExponentialMovingAverage:0" for n in "vw"]
        assert tf.moving_average_variables() == [v, w] and not ema.average(v).trainable
        assign = v.assign(x)
        sess.run(tf.global_variables_initializer())
        assert sess.run([ema.average(v), ema.average(w)]) == [1.0, 2.0]
        for value in VALUES:
            sess.run(assign, {x: value})
            sess.run(move)
        assert np.isclose(sess.run(ema.average(v)), expected(1.0, [0.75] * 4)) and sess.run(ema.average(w)) == 2.0


def test_it_follows_the_training_step_it_depends_on():
    with tf.Graph().as_default(), tf.Session() as sess:
        v = tf.Variable([3.0])
        ema = tf.train.ExponentialMovingAverage(0.5)
        train = tf.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(v * v))
        with tf.control_dependencies([train]):
            step = ema.apply([v])
        sess.run(tf.global_variables_initializer())
        sess.run(step)
        assert sess.run([v, ema.average(v)]) == [[0.0], [1.5]]


@pytest.mark.parametrize("kind", ["variable", "function"])
def test_the_count_is_looked_up_by_each_run(kind):
    with tf.Graph().as_default(), tf.Session() as sess:
        x, v = tf.placeholder(tf.float32, []), tf.Variable(1.0)
        count, calls = tf.train.get_or_create_global_step(), [0]
        ema = tf.train.ExponentialMovingAverage(0.2, num_updates=count if kind == "variable" else lambda: calls[0])
        move, assign, more = ema.apply([v]), v.assign(x), tf.assign_add(count, 1)
        sess.run(tf.global_variables_initializer())
        for value in VALUES:
            sess.run(assign, {x: value})
            sess.run(move)
            sess.run(more)
            calls[0] += 1
        decays = [min(0.2, (1 + n) / (10 + n)) for n in range(4)]
        assert decays[0] != decays[1] and np.isclose(sess.run(ema.average(v)), expected(1.0, decays))


def test_in_a_traced_function():
    v, count = tf.Variable(1.0), [0]
    ema = tf.train.ExponentialMovingAverage(0.2, num_updates=lambda: count[0])

    @tf.function
    def step(x):
        v.assign(x)
        ema.apply([v])
    shadow = None
    for n, value in enumerate(VALUES):
        count[0] = n
        step(tf.constant(value))
        decay = min(0.2, (1 + n) / (10 + n))
        shadow = 1.0 if shadow is None else shadow
        shadow = decay * shadow + (1 - decay) * value
    assert step.traces == 1 and np.isclose(ema.average(v).numpy(), shadow)


def test_errors():
    ema = tf.train.ExponentialMovingAverage(0.9)
    with pytest.raises(ValueError, match="var_list is missing"):
        ema.apply()
    with pytest.raises(TypeError, match="floating variables are wanted"):
        ema.apply([tf.Variable(1)])
    with pytest.raises(TypeError, match="floating variables are wanted"):
        ema.apply([tf.constant(1.0)])
    with tf.Graph().as_default():
        v = tf.Variable(1.0)
        with pytest.raises(NotImplementedError, match="without a value"):
            tf.train.ExponentialMovingAverage(0.9, num_updates=tf.placeholder(tf.float32, [])).apply([v])
        assert tf.global_variables() == [v]
