"""Control flow as functions, executed eagerly: values, gradients, and what bad calls are told."""

import numpy as np
import pytest

import cltensor as tf

gradient = tf.contrib.eager.gradients_function


def test_cond_and_case_call_one_branch():
    called = []

    def branch(name):
        return lambda: called.append(name) or tf.constant(name)
    assert tf.cond(tf.constant(3.0) > 2.0, branch(1), branch(2)).numpy() == 1
    assert tf.cond(False, branch(1), branch(2)).numpy() == 2
    assert called == [1, 2]
    assert tf.case([(tf.constant(False), branch(3)), (True, branch(4))], default=branch(5)).numpy() == 4
    assert tf.case([(False, branch(3))], default=branch(5)).numpy() == 5
    with pytest.raises(ValueError, match="no condition holds"):
        tf.case([(False, branch(3))])
    with pytest.raises(ValueError, match="2 conditions hold"):
        tf.case([(True, branch(3)), (True, branch(4))], exclusive=True)
    with pytest.raises(ValueError, match="must be functions"):
        tf.cond(True, 1, 2)


def test_while_loop_and_its_gradient():
    i, x = tf.while_loop(lambda i, x: i < 4, lambda i, x: (i + 1, x * 2.0), (tf.constant(0), tf.constant(1.5)))
    assert (i.numpy(), x.numpy()) == (4, 24.0)

    def power(x):
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * x), [tf.constant(0), tf.constant(1.0)])[1]
    assert gradient(power)(2.0)[0].numpy() == 12.0
    assert tf.while_loop(lambda i: True, lambda i: i + 1, [tf.constant(0)], maximum_iterations=5).numpy() == 5
    with pytest.raises(ValueError, match="body returned 1 values for 2"):
        tf.while_loop(lambda i, j: True, lambda i, j: i, [1, 2])


def test_map_scan_and_folds():
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    got = tf.map_fn(lambda row: tf.reduce_sum(row) * 2.0, tf.constant(x))
    np.testing.assert_allclose(got.numpy(), x.sum(1) * 2, rtol=1e-5)
    a, b = tf.map_fn(lambda pair: (pair[0] + pair[1], pair[0]), (tf.constant([1, 2]), tf.constant([3, 4])))
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([4, 6], [1, 2])
    running = tf.scan(lambda total, row: total + row, tf.constant(x))
    np.testing.assert_allclose(running.numpy(), np.cumsum(x, 0), rtol=1e-5, atol=1e-6)
    assert tf.scan(lambda a, v: a + v, tf.constant([1, 2, 3]), initializer=10).numpy().tolist() == [11, 13, 16]
    assert tf.scan(lambda a, v: a + v, tf.constant([1, 2, 3]), reverse=True).numpy().tolist() == [6, 5, 3]
    assert gradient(lambda v: tf.reduce_sum(tf.scan(lambda a, e: a * e, v)))(
        tf.constant([2.0, 3.0]))[0].numpy().tolist() == [4.0, 2.0]
    assert tf.foldl(lambda a, v: a - v, tf.constant([1, 2, 3])).numpy() == -4
    assert tf.foldr(lambda a, v: a - v, tf.constant([1, 2, 3])).numpy() == 0
    with pytest.raises(ValueError, match="elems must have one first dimension"):
        tf.map_fn(lambda p: p[0], (tf.constant([1]), tf.constant([1, 2])))


def test_a_traced_function_says_that_python_cannot_branch():
    f = tf.contrib.eager.defun(lambda x: x if x > 0.0 else -x)
    with pytest.raises(TypeError, match="Python cannot branch on it"):
        f(tf.constant(1.0))
