"""Batch normalisation beyond the op table: cancellation, pieces of rows, float16, words of errors."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor.kernels import batch_normalization
from cltensor.ops import batch_norm


def test_a_large_mean_does_not_swamp_the_variance(schedule):
    """mean(x * x) - mean(x) ** 2 would give a variance of 0 or less here."""
    x = (10000 + np.random.default_rng(0).uniform(-1, 1, (700, 3))).astype(np.float32)
    _, mean, variance = batch_norm.normalize_batch(x, np.ones(3, np.float32), np.zeros(3, np.float32))
    np.testing.assert_allclose(mean.numpy(), x.astype(float).mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance.numpy(), x.astype(float).var(0), rtol=1e-3)


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 40000])
def test_rows_around_pieces(schedule, rows):
    x = np.random.default_rng(rows).uniform(-1, 3, (rows, 5)).astype(np.float32)
    y, mean, variance = batch_norm.normalize_batch(x, np.ones(5, np.float32), np.zeros(5, np.float32))
    wide = x.astype(float)
    np.testing.assert_allclose(mean.numpy(), wide.mean(0), atol=1e-6)
    np.testing.assert_allclose(variance.numpy(), wide.var(0), atol=1e-6)
    np.testing.assert_allclose(y.numpy(), (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-3), atol=1e-5)


def test_pieces_depend_on_sizes_alone(device):
    rows = [batch_normalization._Rows(tf.float32, (n, 8), device.traits, 1e-3) for n in (1, 128, 129, 10**6)]
    assert [(r.pieces, r.length) for r in rows] == [(1, 128), (1, 128), (2, 128), (256, 3907)]


def test_half_images_are_computed_in_float():
    x = np.random.default_rng(1).uniform(-2, 2, (3, 4, 4, 6)).astype(np.float16)
    y, mean, _ = batch_norm.fused_batch_norm(x, np.ones(6, np.float32), np.zeros(6, np.float32))
    assert y.dtype == np.float16 and mean.dtype == np.float32
    wide = x.astype(float)
    want = (wide - wide.mean((0, 1, 2))) / np.sqrt(wide.var((0, 1, 2)) + 1e-3)
    np.testing.assert_allclose(y.numpy(), want, atol=2e-3)


def test_nothing_has_no_mean():
    y, mean, variance = batch_norm.normalize_batch(np.zeros((0, 3), np.float32), [1., 1., 1.], [0., 0., 0.])
    assert y.shape.as_list() == [0, 3] and np.isnan(mean.numpy()).all() and np.isnan(variance.numpy()).all()


@pytest.mark.parametrize("keywords, words", [
    (dict(scale=np.ones(2, np.float32)), r"scale must be a vector with one entry per channel, its shape is \(2,\)"),
    (dict(x=np.zeros((2, 3), np.float32)), r"x must have rank 4, its shape is \(2, 3\)"),
    (dict(x=np.zeros((1, 1, 1, 3), np.int32)), "int32"),
    (dict(is_training=False), "mean and variance are needed when is_training is False"),
    (dict(data_format="NWC"), "data_format must be 'NHWC' or 'NCHW'"),
])
def test_errors_say_what_is_wrong(keywords, words):
    given = dict(x=np.zeros((2, 2, 2, 3), np.float32), scale=np.ones(3, np.float32), offset=np.zeros(3, np.float32))
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        batch_norm.fused_batch_norm(**{**given, **keywords})
