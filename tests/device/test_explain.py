"""explain_none: what cuts the way from a source to a target, by op and line."""

import inspect

import numpy as np
import pytest

import cltensor as tf

tfe = tf.contrib.eager


def here():
    return f"test_explain.py:{inspect.currentframe().f_back.f_lineno}"


def test_there_is_a_gradient():
    w, x = tf.Variable([1.0, 2.0]), tf.constant([3.0, 4.0])
    assert tfe.explain_none(lambda: tf.reduce_sum(w * x), w) == ""
    assert tfe.explain_none(lambda: tf.reduce_sum(w * x), x) == ""
    assert tfe.explain_none(lambda: [w], w) == ""


def test_ops_without_a_gradient():
    w = tf.Variable([1.0, 3.0, 2.0])
    line = []

    def f():
        h = tf.exp(w)
        k = tf.argmax(h); line.append(here())       # noqa: E702
        return tf.cast(k, tf.float32) * 2.0
    why = tfe.explain_none(f, w)
    assert why == f"argmax at {line[0]} has no gradient by what variable {w.name} leads to"
    assert "stop_gradient at" in tfe.explain_none(lambda: tf.stop_gradient(w * 2.0) + 1.0, w)
    assert "cast at" in tfe.explain_none(lambda: tf.cast(tf.cast(w, tf.int32), tf.float32), w)
    assert "greater at" in tfe.explain_none(lambda: tf.cast(w > 0.5, tf.float32), w)


def test_values_that_left():
    w = tf.Variable([1.0, 2.0])
    why = tfe.explain_none(lambda: tf.constant((w * 2.0).numpy()) + 1.0, w)
    assert why.startswith(f"no ops lead from variable {w.name} to the target: the last op that it leads to is multiply")
    assert "numpy()" in why
    before = w * 3.0
    assert "never reads" in tfe.explain_none(lambda: before + 1.0, w)
    assert "no tensor" in tfe.explain_none(lambda: float(tf.reduce_sum(w.value())), w)
    x = tf.constant([1.0])
    assert "no op takes it" in tfe.explain_none(lambda: tf.ones([2]), x)


def test_dtypes_and_variables_that_are_not_trainable():
    n, v = tf.Variable([1, 2]), tf.Variable([1.0], trainable=False)
    assert "dtype int32" in tfe.explain_none(lambda: n + 1, n)
    assert "not trainable" in tfe.explain_none(lambda: v * 2.0, v)
    with pytest.raises(ValueError, match="source must be a tensor or a variable, 3 is a int"):
        tfe.explain_none(lambda: n, 3)


def test_through_traced_functions_and_custom_gradients():
    w = tf.Variable([1.0, 2.0])
    f = tfe.defun(lambda: tf.reduce_sum(w * w))
    assert tfe.explain_none(f, w) == ""

    @tf.custom_gradient
    def twice(x):
        return x * 2.0, lambda dy: dy * 2.0
    assert tfe.explain_none(lambda: twice(w), w) == ""


def test_it_agrees_with_the_tape():
    rng = np.random.default_rng(0)
    smooth = [tf.exp, tf.tanh, lambda t: t * t, lambda t: tf.reduce_sum(t) + t]
    other = [tf.stop_gradient, lambda t: tf.cast(tf.cast(t, tf.int32), tf.float32), lambda t: tf.constant(t.numpy()),
             tf.ones_like]
    for _ in range(40):
        steps = [smooth[i] if rng.random() < 0.8 else other[i] for i in rng.integers(0, 4, 4)]
        w = tf.Variable([0.5, 0.25])

        def f():
            t = w.value()
            for step in steps:
                t = step(t) + step(w.value()) * 0.0 if step in smooth and rng.random() < 0.1 else step(t)
            return t
        state = rng.bit_generator.state
        with tf.GradientTape() as tape:
            y = f()
        rng.bit_generator.state = state
        assert (tfe.explain_none(f, w) == "") == (tape.gradient(y, w) is not None)


def test_an_exception_leaves_no_recorder():
    w = tf.Variable([1.0])
    with pytest.raises(ZeroDivisionError):
        tfe.explain_none(lambda: 1 / 0, w)
    with tf.GradientTape() as tape:
        y = w * 2.0
    assert tape.gradient(y, w).numpy().tolist() == [2.0]
