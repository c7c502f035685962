"""Assertions and printing, eagerly, in graphs and in traced functions."""

import numpy as np
import pytest

import cltensor as tf

HOLD = [(tf.assert_equal, [1, 2], [1, 2]), (tf.assert_none_equal, [1, 2], [3, 4]), (tf.assert_less, [1.0, 2.0], 3.0),
        (tf.assert_less_equal, [1, 3], 3), (tf.assert_greater, 4.0, [1.0, 2.0]), (tf.assert_greater_equal, [1, 3], 1),
        (tf.assert_near, [1.0, 2.0], [1.0 + 1e-7, 2.0])]
FAIL = [(tf.assert_equal, [1, 2], [1, 3]), (tf.assert_none_equal, [1, 2], [3, 2]), (tf.assert_less, [1.0, 3.0], 3.0),
        (tf.assert_less_equal, [1, 4], 3), (tf.assert_greater, [2.0], [1.0, 2.0]), (tf.assert_greater_equal, [0, 3], 1),
        (tf.assert_near, [1.0, 2.0], [1.0, 2.01])]
SIGNS = [(tf.assert_positive, [1.0, 2.0], [0.0, 1.0]), (tf.assert_negative, [-1, -2], [-1, 0]),
         (tf.assert_non_negative, [0, 1], [-1, 2]), (tf.assert_non_positive, [0.0, -1.0], [1.0, np.nan])]


def fed(*values):
    return [tf.placeholder(tf.convert_to_tensor(v).dtype, [None] * np.ndim(v)) for v in values]


@pytest.mark.parametrize(("check", "x", "y"), HOLD, ids=lambda v: getattr(v, "__name__", ""))
def test_pairs_that_hold(check, x, y):
    assert check(x, y) is None
    with tf.Graph().as_default(), tf.Session() as sess:
        a, b = fed(x, y)
        assert sess.run(check(a, b), {a: x, b: y}) is None


@pytest.mark.parametrize(("check", "x", "y"), FAIL, ids=lambda v: getattr(v, "__name__", ""))
def test_pairs_that_fail(check, x, y):
    with pytest.raises(ValueError, match=rf"{check.__name__}: .*hint"):
        check(x, y, message="hint")
    with tf.Graph().as_default(), tf.Session() as sess:
        a, b = fed(x, y)
        with pytest.raises(tf.errors.InvalidArgumentError, match=check.__name__):
            sess.run(check(a, b), {a: x, b: y})


@pytest.mark.parametrize(("check", "good", "bad"), SIGNS, ids=lambda v: getattr(v, "__name__", ""))
def test_signs(check, good, bad):
    assert check(good) is None
    with pytest.raises(ValueError, match=check.__name__):
        check(bad)


def test_a_failed_assertion_assigns_nothing():
    with tf.Graph().as_default(), tf.Session() as sess:
        x, v = tf.placeholder(tf.float32, [None]), tf.Variable([1.0, 1.0])
        with tf.control_dependencies([tf.assert_positive(x, message="x is a length")]):
            put = v.assign(x * 2.0)
        sess.run(tf.global_variables_initializer())
        assert sess.run(put, {x: [1.0, 2.0]}).tolist() == [2.0, 4.0]
        with pytest.raises(ValueError, match=r"x is a length: \[3.0 -1.0\] of shape \(2,\)"):
            sess.run(put, {x: [3.0, -1.0]})
        assert sess.run(v).tolist() == [2.0, 4.0]
        assert all(plan[1] is not None for plan in sess.graph.plans.values())       # compiled all the same


def test_in_a_traced_function():
    v = tf.Variable(0.0)

    @tf.function
    def root(x):
        tf.assert_non_negative(x)
        v.assign_add(1.0)
        return tf.sqrt(x)
    assert root(tf.constant([4.0])).numpy().tolist() == [2.0]
    with pytest.raises(ValueError, match="assert_non_negative"):
        root(tf.constant([-4.0]))
    assert float(v) == 1.0


def test_ranks_and_dtypes():
    x = tf.zeros([2, 3])
    assert tf.assert_rank(x, 2) is tf.assert_rank_at_least(x, 1) is tf.assert_rank_in(x, (1, 2)) is None
    assert tf.assert_integer([1]) is tf.assert_type(x, tf.float32) is None and float(tf.assert_scalar(2.0)) == 2.0
    for call in (lambda: tf.assert_rank(x, 1), lambda: tf.assert_rank_at_least(x, 3), lambda: tf.assert_scalar(x),
                 lambda: tf.assert_rank_in(x, (0, 1))):
        with pytest.raises(ValueError, match=r"it has shape \(2, 3\)"):
            call()
    with pytest.raises(TypeError, match="must hold integers"):
        tf.assert_integer(x)
    with pytest.raises(TypeError, match="must have dtype int32"):
        tf.assert_type(x, tf.int32)
    with tf.Graph().as_default(), tf.Session() as sess:
        open_rank = tf.placeholder(tf.float32)
        checks = [tf.assert_rank(open_rank, 1), tf.assert_rank_in(open_rank, [1, 3])]
        assert sess.run(checks, {open_rank: [1.0]}) == [None, None]
        with pytest.raises(ValueError, match="must have rank 1"):
            sess.run(checks[0], {open_rank: 1.0})


def test_assert_and_print(capsys):
    tf.Assert(True, ["fine", 1])
    with pytest.raises(ValueError, match=r"the condition does not hold: 7 of shape \(\)"):
        tf.Assert(tf.constant(1) > 2, [7])
    tf.print("loss", tf.constant([1.0, 2.0, 3.0, 4.0]), tf.constant(2), sep=": ")
    tf.Print(tf.constant(1.0), [tf.constant([1, 2])], "x = ")
    assert capsys.readouterr().err == "loss: [1.0 2.0 3.0...]: 2\nx = [1 2]\n"
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [None])
        y = tf.Print(x * 2.0, [x, tf.shape(x)], "x = ", first_n=2)
        shown = tf.print("sum", tf.reduce_sum(x), end="!\n")
        assert capsys.readouterr().err == ""
        g = tf.gradients(y, x)[0]
        for _ in range(3):
            assert sess.run(y, {x: [1.0]}).tolist() == [2.0]
        assert sess.run(g, {x: [1.0]}).tolist() == [2.0]
        sess.run(shown, {x: [1.0, 2.0]})
    assert capsys.readouterr().err == "x = [1.0][1]\nx = [1.0][1]\nsum 3.0!\n"
