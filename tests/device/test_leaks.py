"""What a branch or a loop makes is used inside: collections and lists may hold it, and using it outside says so."""

import numpy as np
import pytest

import cltensor as tf

OUTSIDE = "is computed inside a branch or a loop, and has no value outside; have the function return it"


@pytest.fixture
def sess():
    with tf.Session(graph=tf.Graph()) as session:
        yield session


def _branch(kept):
    x = tf.placeholder(tf.float32, [], name="x")
    v = tf.Variable(1.0)

    def yes():
        y = tf.multiply(x, v, name="inside")
        tf.add_to_collection("mine", y)
        kept.update(tensor=y, operation=tf.group(v.assign(y)))
        return y + 1.0
    return x, v, tf.cond(x > 0.0, yes, lambda: x)


def _loop(kept):
    x = tf.placeholder(tf.float32, [], name="x")
    v = tf.Variable(1.0)

    def turn(i, h):
        h = tf.multiply(h, v, name="inside")
        tf.add_to_collection("mine", h)
        kept.update(tensor=h, operation=tf.group(v.assign_add(1.0)), carried=i, start=v.value())
        return i + 1, h
    return x, v, tf.while_loop(lambda i, h: i < 3, turn, [tf.constant(0), x])[1]


@pytest.mark.parametrize("make", [_branch, _loop])
def test_what_leaks_is_refused_outside(make, sess):
    kept = {}
    x, v, out = make(kept)
    sess.run(tf.global_variables_initializer())
    assert [t is kept["tensor"] for t in tf.get_collection("mine")] == [True]
    uses = [lambda t: t + 1, lambda t: sess.run(t, {x: 1.0}), lambda t: tf.gradients(t, x), lambda t: tf.group(t),
            lambda t: tf.control_dependencies([t]).__enter__(), lambda t: tf.cond(x > 0.0, lambda: t * 2, lambda: t),
            lambda t: tf.summary.scalar("s", t), lambda t: sess.run(out, {x: 1.0, t: 1.0}), lambda t: v.assign(t * 1)]
    for key in set(kept) - {"operation"}:
        for use in uses:
            with pytest.raises(tf.errors.InvalidArgumentError, match=OUTSIDE):
                use(kept[key])
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"group_deps.*{OUTSIDE}"):
        sess.run(kept["operation"], {x: 1.0})
    with pytest.raises(tf.errors.InvalidArgumentError, match=OUTSIDE):
        tf.train.AdamOptimizer().minimize(kept["tensor"])
    assert sess.run(out, {x: 2.0}) == (3.0 if make is _branch else 2.0 * 1 * 2 * 3)     # nothing was broken


def test_what_is_around_may_be_used_inside(sess):
    x = tf.placeholder(tf.float32, [])

    def yes():
        y = x * 2.0

        def inner():
            z = y + 1.0
            return tf.cond(z > 3.0, lambda: z * y, lambda: z - y)
        return tf.while_loop(lambda i, h: i < 2, lambda i, h: (i + 1, h + inner() + y), [0, y])[1]
    out = tf.cond(x > 0.0, yes, lambda: x)
    slope, = tf.gradients(out, x)

    def truth(v):
        return v if v <= 0 else 6 * v + 2 * ((2 * v + 1) * 2 * v if 2 * v + 1 > 3 else 1.0)
    for v in (-1.0, 0.5, 3.0):
        value, grad = sess.run([out, slope], {x: v})
        np.testing.assert_allclose([value, grad], [truth(v), (truth(v + 1e-4) - truth(v - 1e-4)) / 2e-4], rtol=1e-4)


def test_losses_and_assertions_inside_of_branches(sess):
    x = tf.placeholder(tf.float32, [2])

    def checked():
        with tf.control_dependencies([tf.assert_less(x, 5.0)]):
            return tf.losses.mean_squared_error(x, x * 2.0)
    out = tf.cond(x[0] > 0.0, checked, lambda: 0.0)
    assert tf.losses.get_losses() == []
    assert sess.run(out, {x: [1.0, 2.0]}) == 2.5 and sess.run(out, {x: [-9.0, 9.0]}) == 0.0
    with pytest.raises(ValueError, match="assert_less: x < y does not hold"):
        sess.run(out, {x: [1.0, 9.0]})


def test_the_regularizer_of_a_variable_made_in_a_branch(sess):
    """A variable lives outside, and so does its loss."""
    x = tf.placeholder(tf.float32, [1, 2])

    def yes():
        return tf.layers.dense(x, 3, use_bias=False, name="d", kernel_initializer=tf.ones_initializer(),
                               kernel_regularizer=tf.keras.regularizers.l2(0.5))
    out = tf.cond(x[0, 0] > 0.0, yes, lambda: tf.zeros([1, 3]))
    total = tf.losses.get_regularization_loss()
    sess.run(tf.global_variables_initializer())
    assert sess.run(total) == 3.0 and sess.run(out, {x: [[1.0, 1.0]]}).tolist() == [[2.0] * 3]
    assert total.graph is sess.graph and tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)[0].name.startswith(
        "d/kernel/Regularizer/")
