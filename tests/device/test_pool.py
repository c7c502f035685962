"""Pooling beyond the op table: ties, nan, borders, words of errors."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor.ops import pool


def gradient(f, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x).numpy()


def test_a_tie_gives_the_gradient_to_the_first(schedule):
    got = gradient(lambda x: pool.max_pool(x, 2, 2, "VALID"), np.full((1, 2, 2, 17), 3, np.float32))
    assert got[0, 0, 0].tolist() == [1] * 17 and got.sum() == 17
    overlapping = gradient(lambda x: pool.max_pool(x, 3, 1, "SAME"), np.zeros((1, 3, 3, 1), np.float32))
    np.testing.assert_array_equal(overlapping[0, :, :, 0], [[4, 2, 0], [2, 1, 0], [0, 0, 0]])


def test_nan_beats_everything_and_takes_the_gradient(schedule):
    x = np.array([[1, np.nan], [np.inf, np.nan]], np.float32).reshape(1, 2, 2, 1)
    assert np.isnan(pool.max_pool(x, 2, 2, "VALID").numpy()).all()
    np.testing.assert_array_equal(gradient(lambda x: pool.max_pool(x, 2, 2, "VALID"), x).ravel(), [0, 1, 0, 0])


def test_minus_infinity_is_a_value(schedule):
    x = np.full((1, 3, 3, 1), -np.inf, np.float32)
    np.testing.assert_array_equal(pool.max_pool(x, 2, 2, "SAME").numpy(), np.full((1, 2, 2, 1), -np.inf))
    assert gradient(lambda x: pool.max_pool(x, 2, 2, "SAME"), x).sum() == 4


def test_the_border_does_not_count(schedule):
    ones = np.ones((1, 5, 5, 3), np.float32)
    np.testing.assert_array_equal(pool.avg_pool(ones, 3, 2, "SAME").numpy(), np.ones((1, 3, 3, 3)))
    negative = pool.max_pool(-ones, 3, 2, "SAME").numpy()
    np.testing.assert_array_equal(negative, -np.ones((1, 3, 3, 3)))


def test_pool_by_name():
    x = np.arange(8, dtype=np.float32).reshape(1, 2, 4, 1)
    assert pool.pool(x, [2, 2], "MAX", "VALID", strides=[2, 2]).numpy().ravel().tolist() == [5, 7]
    with pytest.raises(ValueError, match="pooling_type must be 'MAX' or 'AVG', it is 'MIN'"):
        pool.pool(x, 2, "MIN", "SAME")
    with pytest.raises(NotImplementedError, match="dilation_rate"):
        pool.pool(x, 2, "MAX", "SAME", dilation_rate=2)


@pytest.mark.parametrize("arguments, words", [
    ((np.zeros((2, 2, 1), np.float32), 2, 2, "SAME"), r"max_pool: value must have rank 4, its shape is \(2, 2, 1\)"),
    ((np.zeros((1, 2, 2, 1), np.int32), 2, 2, "SAME"), "max_pool: value must be floating, it has dtype int32"),
    ((np.zeros((1, 2, 2, 1), np.float32), [1, 2, 2, 2], 2, "SAME"), "ksize must be 1 for the batch and the channels"),
    ((np.zeros((1, 2, 2, 1), np.float32), 2, 0, "SAME"), "strides must be one, two or four positive integers, it is 0"),
    ((np.zeros((1, 2, 2, 1), np.float32), 2, 2, "REFLECT"), "padding must be 'SAME' or 'VALID', it is 'REFLECT'"),
    ((np.zeros((1, 2, 2, 1), np.float32), 4, 1, "VALID"), "window does not fit: it reaches over 4 places, height"),
    ((np.zeros((1, 2, 2, 1), np.float32), 2, 2, "SAME", "NHCW"), "data_format must be 'NHWC' or 'NCHW', it is 'NHCW'"),
])
def test_errors_say_what_is_wrong(arguments, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        pool.max_pool(*arguments)
