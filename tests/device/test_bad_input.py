"""Inputs that hurt: NaN and infinite rows, denormals, empty batches, dimensions of 1, odd offsets, large results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cltensor as tf
from cltensor.kernels import expression
from cltensor.runtime.device import Device

TINY = np.float32(1e-45)                        # the smallest denormal
COLUMNS = (1, 5, 16, 17, 64, 130, 1000)         # lanes, a vector, its neighbours, strips, and more


def rows(columns: int) -> np.ndarray:
    """Rows with a NaN in front, in the middle, at the end, with one or two infinities, all NaN, all -inf, usual."""
    x = np.random.default_rng(columns).standard_normal((9, columns)).astype(np.float32)
    x[0, 0] = x[1, columns // 2] = x[2, -1] = np.nan
    x[3, columns // 3] = np.inf
    x[4, columns // 3] = -np.inf
    x[5, 0], x[5, -1] = -np.inf, np.inf
    x[6], x[7] = np.nan, -np.inf
    return x


def close(got: Any, want: np.ndarray, bound: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=bound, atol=bound)


@pytest.mark.oclgrind
@pytest.mark.parametrize("columns", COLUMNS[:5])
def test_reductions_of_bad_rows(columns: int, device: Device) -> None:
    x = rows(columns)
    with np.errstate(all="ignore"):
        for axis in (0, 1, None):
            for ours, numpys in ((tf.reduce_sum, np.sum), (tf.reduce_mean, np.mean), (tf.reduce_max, np.max),
                                 (tf.reduce_min, np.min)):
                close(ours(x, axis), numpys(x.astype(np.float64), axis))
        for axis in (0, 1) if not device.physical.simulator else ():        # it misreads vectors of comparisons
            assert np.array_equal(tf.argmax(x, axis).numpy(), np.argmax(x, axis))
            assert np.array_equal(tf.argmin(x, axis).numpy(), np.argmin(x, axis))


@pytest.mark.parametrize("columns", COLUMNS)
def test_softmax_of_bad_rows(columns: int) -> None:
    """A NaN or +inf makes its row NaN; -inf counts as probability 0; no row touches another."""
    x = rows(columns)
    with np.errstate(all="ignore"):
        z = x.astype(np.float64) - x.max(-1, keepdims=True)
        total = np.exp(z).sum(-1, keepdims=True)
        soft, log = np.exp(z) / total, z - np.log(total)
    close(tf.nn.softmax(x), soft)
    close(tf.nn.log_softmax(x), log)
    labels = np.zeros(len(x), np.int32)
    close(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=x), -log[:, 0])
    assert np.isfinite(np.asarray(tf.nn.softmax(x))[8]).all()


def test_products_keep_bad_rows_to_themselves() -> None:
    for columns in COLUMNS:
        x = rows(columns)
        w = np.random.default_rng(1).standard_normal((columns, 33)).astype(np.float32)
        with np.errstate(all="ignore"):
            close(tf.matmul(x, w), x.astype(np.float64) @ w, 1e-4)
        got = tf.matmul(w, x, transpose_a=True, transpose_b=True).numpy()
        assert np.isfinite(got[:, 8]).all() and np.isnan(got[:, (0, 1, 2, 6)]).all()


def test_denormals_are_numbers() -> None:
    x = np.array([TINY, -TINY, 1e-40, 1.17549435e-38, 3e-39, 0] * 40, np.float32)
    for ours, numpys in ((lambda a: a + a, lambda a: a + a), (lambda a: a * 0.5, lambda a: a * np.float32(0.5)),
                         (lambda a: a * 1e30, lambda a: a * np.float32(1e30)), (tf.abs, np.abs),
                         (tf.negative, np.negative), (tf.identity, np.copy)):
        assert np.array_equal(ours(tf.constant(x)).numpy(), numpys(x))
    assert tf.reduce_max(x[:3]).numpy() == x[2] and tf.reduce_min(x[:3]).numpy() == -TINY
    assert np.array_equal(tf.reduce_sum(x.reshape(40, 6), 0).numpy(), x.reshape(40, 6).sum(0))
    assert np.array_equal((tf.constant(x) > 0).numpy(), x > 0)
    assert np.array_equal(tf.matmul(x[:, None], np.ones((1, 1), np.float32)).numpy()[:, 0], x)


@pytest.mark.oclgrind
def test_empty_batches() -> None:
    image, kernel = np.zeros((0, 6, 6, 3), np.float32), np.ones((3, 3, 3, 5), np.float32)
    assert tf.nn.conv2d(image, kernel, [1, 1, 1, 1], "SAME").shape == (0, 6, 6, 5)
    assert tf.nn.max_pool(image, [1, 2, 2, 1], [1, 2, 2, 1], "VALID").shape == (0, 3, 3, 3)
    assert tf.nn.softmax(np.zeros((0, 7), np.float32)).shape == (0, 7)
    assert tf.matmul(np.zeros((0, 3), np.float32), np.ones((3, 4), np.float32)).shape == (0, 4)
    assert tf.matmul(np.zeros((2, 0), np.float32), np.ones((0, 4), np.float32)).numpy().tolist() == [[0] * 4] * 2
    assert tf.argmax(np.zeros((0, 7), np.float32), 1).shape == (0,)
    assert tf.reduce_sum(np.zeros((0, 7), np.float32), 0).numpy().tolist() == [0] * 7
    assert tf.concat([np.zeros((0, 3)), np.ones((2, 3))], 0).shape == (2, 3)
    assert tf.gather(np.ones((4, 3)), np.zeros(0, np.int32)).shape == (0, 3)


@pytest.mark.oclgrind
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (17, 1), (1, 1, 33), (33, 1, 1), (1, 5, 1, 7, 1)])
def test_dimensions_of_one(shape: tuple) -> None:
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    for axis in (None, *range(len(shape))):
        close(tf.reduce_sum(x, axis), x.astype(np.float64).sum(axis))
        close(tf.reduce_max(x, axis), x.max(axis))
    for axis in range(len(shape)):
        assert np.array_equal(tf.argmax(x, axis).numpy(), x.argmax(axis))
    assert np.array_equal(tf.transpose(x).numpy(), x.T)
    turned = np.moveaxis(x, 0, -1)
    assert np.array_equal(tf.add(x, turned).numpy(), x + turned)
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    close(tf.nn.softmax(x), e / e.sum(-1, keepdims=True))


@pytest.mark.oclgrind
@pytest.mark.parametrize("first", [1, 3, 15, 17])
def test_odd_offsets(first: int) -> None:
    x = np.random.default_rng(3).standard_normal((7, 83)).astype(np.float32)
    t = tf.constant(x)
    part, want = t[:, first:first + 50], x[:, first:first + 50]
    assert np.array_equal((part + 1.).numpy(), want + np.float32(1))
    assert np.array_equal(tf.transpose(part).numpy(), want.T)
    assert np.array_equal(tf.reduce_max(part, 1).numpy(), want.max(1))
    flat = tf.reshape(t, [-1])[first:]
    close(tf.reduce_sum(flat), x.ravel()[first:].astype(np.float64).sum())
    assert np.array_equal(tf.reshape(flat[: 7 * 11], [7, 11]).numpy(), x.ravel()[first:first + 77].reshape(7, 11))


@pytest.mark.oclgrind
@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int8"])
def test_results_written_past_the_caches(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flat, with rows that begin at multiples of a vector and rows that do not; shapes that no other test has bound."""
    monkeypatch.setattr(expression, "PAST", 64)
    for a_shape, b_shape in (((1031,), (1,)), ((6, 112), (112,)), ((6, 112), (6, 1)), ((6, 119), (119,)),
                             ((2, 3, 80), (2, 1, 80)), ((211, 9), (9,))):
        a, b = (np.arange(np.prod(s)).reshape(s).astype(dtype) % 50 for s in (a_shape, b_shape))
        assert np.array_equal(tf.add(a, b).numpy(), a + b)
        assert np.array_equal(tf.less(a, b).numpy(), a < b)


def test_a_result_larger_than_caches() -> None:
    a = np.arange(2 ** 23 + 5, dtype=np.float32)
    assert np.array_equal((tf.constant(a) * 2.).numpy(), a * 2)
