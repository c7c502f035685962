"""Runs that feed what they also assign: the feed is read, stays what it is, and the variable gets the new value."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.dispatch import eagerly
from cltensor.graph.planned import Planned


@pytest.fixture(params=[1, 7, 4096])
def made(request):
    """A session, a variable of ones in it, and a fed value that a device holds."""
    with tf.Session(graph=tf.Graph()) as sess:
        v = tf.Variable(np.ones(request.param, np.float32))
        sess.run(tf.global_variables_initializer())
        with eagerly():
            given = tf.constant(np.full(request.param, 7.0, np.float32)) * 1.0
        yield sess, v, given


def _compiled(sess):
    return all(isinstance(replay, Planned) for _, replay in sess.graph.plans.values())


def _all(values, number):
    np.testing.assert_array_equal(values, np.full_like(values, number))


def test_an_update_of_a_fed_variable(made):
    sess, v, given = made
    more = v.assign_add(np.ones(v.shape.as_list(), np.float32))
    for _ in range(3):
        new, read = sess.run([more, v], {v: given})
        _all(new, 8.0)
        _all(read, 7.0)
        _all(given.numpy(), 7.0)
        _all(sess.run(v), 8.0)
    _all(sess.run(more), 9.0)
    assert _compiled(sess)


def test_the_variables_own_value_is_fed(made):
    sess, v, _ = made
    more, held = v.assign_add(np.ones(v.shape.as_list(), np.float32)), v.held
    for _ in range(2):
        _all(sess.run(more, {v: held}), 2.0)
        _all(held.numpy(), 1.0)
    assert _compiled(sess)


def test_a_fed_tensor_becomes_the_value_and_is_updated(made):
    sess, v, given = made
    x = tf.placeholder(tf.float32, v.shape)
    sess.run(v.assign(x), {x: given})
    more = v.assign_sub(np.ones(v.shape.as_list(), np.float32))
    for i in range(3):
        _all(sess.run(more), 6.0 - i)
    _all(given.numpy(), 7.0)


def test_values_between_two_assignments_are_fed(made):
    sess, v, given = made
    one = np.ones(v.shape.as_list(), np.float32)
    with tf.control_dependencies([v.assign_add(one)]):
        middle = v.read_value()
    with tf.control_dependencies([middle]):
        last = v.assign(middle * 2.0)
    with tf.control_dependencies([last]):
        end = v + 0.0
    _all(sess.run([end, last], {middle: given})[0], 14.0)       # the first assignment is fed, so it does not happen
    _all(sess.run(v), 14.0)
    _all(sess.run(end), 30.0)
    _all(given.numpy(), 7.0)
    assert _compiled(sess)


def test_two_variables_change_places_while_one_is_fed(made):
    sess, v, given = made
    w = tf.Variable(np.zeros(v.shape.as_list(), np.float32))
    sess.run(w.initializer)
    swap = tf.group(v.assign(w), w.assign(v))
    sess.run(swap)
    _all(sess.run(v), 0.0)
    _all(sess.run(w), 1.0)
    sess.run(swap, {w: given})
    _all(sess.run(v), 7.0)
    _all(sess.run(w), 0.0)
    _all(given.numpy(), 7.0)
    assert _compiled(sess)


def test_training_from_fed_weights(made):
    sess, v, given = made
    train = tf.train.GradientDescentOptimizer(0.25).minimize(tf.reduce_sum(tf.square(v)))
    for _ in range(2):
        sess.run(train, {v: given})
        _all(sess.run(v), 3.5)
        _all(given.numpy(), 7.0)
    sess.run(train)
    _all(sess.run(v), 1.75)
    assert _compiled(sess)
