"""TensorArray: every way in and out, eagerly and traced, and what bad calls are told."""

import numpy as np
import pytest

import cltensor as tf

tfe = tf.contrib.eager
X = np.arange(12, dtype=np.float32).reshape(4, 3)


def modes(function, *arrays):
    """Results of the function, eager and traced, which are equal."""
    given = [tf.constant(a) for a in arrays]
    eager, traced = ([t.numpy() for t in f(*given)] for f in (function, tfe.defun(function)))
    for e, t in zip(eager, traced):
        assert e.tobytes() == t.tobytes() and e.shape == t.shape
    return eager


def test_ways_in_and_out():
    def f(x):
        rows = tf.TensorArray(tf.float32, size=4).unstack(x)
        turned = tf.TensorArray(tf.float32, size=4).scatter([3, 2, 1, 0], x)
        parts = tf.TensorArray(tf.float32, size=2).split(x, [2, 2])
        return [rows.read(1), rows.stack(), rows.gather([2, 0, 2]), rows.concat(), turned.stack(), parts.read(1),
                parts.concat(), rows.size(), rows.identity().read(3)]
    want = [X[1], X, X[[2, 0, 2]], X.reshape(-1), X[::-1], X[2:], X, np.int32(4), X[3]]
    for g, w in zip(modes(f, X), want):
        assert np.array_equal(g, w)


def test_parts_of_several_lengths():
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        parts = tf.TensorArray(tf.float32, size=3, infer_shape=False).split(x, [1, 0, 3])
        joined = tf.TensorArray(tf.float32, size=2, infer_shape=False).write(0, parts.read(2) ** 2.0).write(
            1, parts.read(0)).concat()
    assert np.array_equal(joined.numpy(), np.concatenate([X[1:] ** 2, X[:1]]))
    assert np.array_equal(tape.gradient(joined, x).numpy(), np.concatenate([np.ones((1, 3)), 2 * X[1:]]))


def test_an_array_is_a_value():
    first = tf.TensorArray(tf.int32, size=2).write(0, 5)
    one, two = first.write(1, 6), first.write(1, 7)
    assert one.stack().numpy().tolist() == [5, 6] and two.stack().numpy().tolist() == [5, 7]
    assert first.dtype is tf.int32 and "int32" in repr(first) and first.element_shape == ()


def test_empty_arrays():
    assert tf.TensorArray(tf.float32, size=0, element_shape=[2]).stack().shape == (0, 2)
    assert tf.TensorArray(tf.float32, size=0).unstack(tf.zeros([0, 3])).stack().shape == (0, 3)
    with pytest.raises(ValueError, match="it has no elements, so their shape is unknown"):
        tf.TensorArray(tf.float32, size=0).stack()


def test_it_grows_only_if_it_may():
    grown = tf.TensorArray(tf.float32, size=1, dynamic_size=True).write(2, 3.0)
    assert int(grown.size()) == 3
    with pytest.raises(IndexError, match="index 2 is outside size 1; dynamic_size=True"):
        tf.TensorArray(tf.float32, size=1).write(2, 3.0)
    with pytest.raises(IndexError, match="index -1 is outside"):
        tf.TensorArray(tf.float32, size=1).write(-1, 3.0)


@pytest.mark.parametrize("traced", [True, False])
def test_bad_calls_get_one_sentence(traced):
    def trying(kind, match, function):
        with pytest.raises(kind, match=match):
            (tfe.defun(function) if traced else function)(tf.constant(X))

    def array(**how):
        return tf.TensorArray(tf.float32, size=4, **how)
    trying(ValueError, "element 1 was written before", lambda x: array().write(1, x).write(1, x).read(1))
    trying(IndexError, "element 2 was not written", lambda x: array().write(1, x).read(2))
    trying(ValueError, "element 0 of 4 was not written", lambda x: array().write(1, x).stack())
    trying(TypeError, "the value has dtype float32, the array int32",
           lambda x: tf.TensorArray(tf.int32, size=2).write(0, x).stack())
    trying(ValueError, r"the elements have shape \(3,\), this one has \(4, 3\)",
           lambda x: array().write(0, x[0]).write(1, x).stack())
    trying(ValueError, r"the elements have shape \(2,\), this one has \(3,\)",
           lambda x: array(element_shape=[2]).unstack(x).stack())
    trying(ValueError, "the array has size 4, the value has 3 rows", lambda x: array().unstack(x[1:]).stack())
    trying(ValueError, "the value is a scalar", lambda x: array().unstack(x[0, 0]).stack())
    trying(ValueError, "size is missing", lambda x: tf.TensorArray(tf.float32).stack())
    trying(ValueError, "use tf.GradientTape", lambda x: array().grad("loss"))


def test_a_tape_in_a_graph_sees_through_branches():
    with tf.Session(graph=tf.Graph()) as sess:
        x, p = tf.placeholder(tf.float32, [3]), tf.placeholder(tf.bool, [])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cond(p, lambda: x * x, lambda: x) * 3.0
        slope = tape.gradient(y, x)
        for value, want in ((True, 6 * X[1]), (False, [3.0] * 3)):
            assert np.array_equal(sess.run(slope, {x: X[1], p: value}), want)
