"""The first of a row in order, found in parts: against NumPy's stable sort."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.kernels.sorting import FEW, PART


def rows(shape, dtype, kinds):
    rng = np.random.default_rng(sum(shape))
    if np.dtype(dtype).kind == "f":
        x = rng.integers(-kinds, kinds, shape).astype(dtype) / 4
        x.flat[::7] = -0.0
        return x
    return rng.integers(0 if np.dtype(dtype).kind == "u" else -kinds, kinds, shape).astype(dtype)


def expected(x, k):
    """Positions of the k largest; of equal values the first, nan above all."""
    ranks = np.unique(x, return_inverse=True)[1].reshape(x.shape)       # equal_nan; -0.0 equals 0.0
    return np.argsort(-ranks, axis=-1, kind="stable")[..., :k]


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int32", "int64", "uint8"])
@pytest.mark.parametrize("shape, k", [((1, 1), 1), ((3, 17), 17), ((5, 100), FEW), ((2, PART["cpu"] + 1), 3),
                                      ((1, 3 * PART["cpu"] - 5), FEW), ((2, 3, 1000), 5)])
def test_top_k_in_parts(device, shape, k, dtype):
    for kinds in (3, 100):              # many ties, few
        x = rows(shape, dtype, kinds)
        values, indices = tf.nn.top_k(x, k)
        at = expected(x, k)
        np.testing.assert_array_equal(indices.numpy(), at)
        np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, at, -1))


def test_a_part_shorter_than_what_is_wanted(device):
    x = np.arange(PART[device.traits.schedule] + 2, dtype=np.float32)
    assert tf.nn.top_k(x, 5).indices.numpy().tolist() == list(range(len(x) - 1, len(x) - 6, -1))


def test_nan_is_first_and_few_equals_all(device):
    x = rows((4, 500), "float32", 50)
    x[0, 17] = x[0, 400] = np.nan
    x[1, 3], x[1, 2] = np.inf, -np.inf
    few, many = tf.nn.top_k(x, FEW).indices.numpy(), tf.nn.top_k(x, FEW + 1).indices.numpy()
    np.testing.assert_array_equal(few, many[:, :FEW])
    assert few[0, :2].tolist() == [17, 400] and few[1, 0] == 3


def test_gradient_reaches_the_places(device):
    x = tf.constant(rows((3, 9000), "float32", 1000))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(tf.nn.top_k(x, 2).values * [1., 2.])
    want = np.zeros(x.shape.as_list(), np.float32)
    at = expected(x.numpy(), 2)
    for i in range(3):
        want[i, at[i]] = 1., 2.
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), want)
