"""Losses against NumPy float64, the reductions, weights of every shape, awkward values, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor import losses
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.losses import Reduction

SHAPES = [(), (1,), (7,), (3, 5), (2, 1, 4), (257, 3)]


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def huber(y, p):
    e = np.abs(p - y)
    return np.where(e <= 0.5, e * e / 2, 0.5 * e - 0.125)


def binary(rng, shape):
    return rng.integers(0, 2, shape).astype(np.float32)


def anything(rng, shape):
    return rng.standard_normal(shape).astype(np.float32)


def probability(rng, shape):
    return rng.uniform(0.05, 0.95, shape).astype(np.float32)


ELEMENTWISE = {
    "mse": (losses.mean_squared_error, anything, anything, lambda y, p: (p - y) ** 2),
    "mae": (losses.absolute_difference, anything, anything, lambda y, p: abs(p - y)),
    "huber": (lambda y, p, **k: losses.huber_loss(y, p, delta=0.5, **k), anything, anything, huber),
    "log": (losses.log_loss, binary, probability,
            lambda y, p: -y * np.log(p + 1e-7) - (1 - y) * np.log(1 - p + 1e-7)),
    "hinge": (losses.hinge_loss, binary, anything, lambda y, x: np.maximum(0, 1 - (2 * y - 1) * x)),
    "sigmoid": (losses.sigmoid_cross_entropy, binary, anything, lambda y, x: softplus(x) - x * y),
    "smoothed": (lambda y, p, **k: losses.sigmoid_cross_entropy(y, p, label_smoothing=.2, **k), binary, anything,
                 lambda y, x: softplus(x) - x * (.8 * y + .1)),
}


def reduced(values, weights, reduction):
    w = np.broadcast_to(weights, values.shape)
    total = (values * w).sum()
    if reduction == Reduction.NONE:
        return values * w
    if reduction == Reduction.SUM:
        return total
    count = {Reduction.MEAN: w.sum(), Reduction.SUM_OVER_BATCH_SIZE: values.size,
             Reduction.SUM_BY_NONZERO_WEIGHTS: (w != 0).sum()}[reduction]
    return total / count if count else 0.


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values(name, shape):
    loss, labels, predictions, formula = ELEMENTWISE[name]
    rng = np.random.default_rng(1)
    y, p = labels(rng, shape), predictions(rng, shape)
    value = loss(tf.constant(y), tf.constant(p))
    assert value.shape == ()
    np.testing.assert_allclose(value.numpy(), formula(y.astype(float), p.astype(float)).mean(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", Reduction.all())
@pytest.mark.parametrize("weights", [2., 0., np.float64(0.5), (3, 5), (1, 5), (3, 1), (1, 1), "zeros"], ids=str)
def test_reductions(reduction, weights):
    rng = np.random.default_rng(2)
    y, p = anything(rng, (3, 5)), anything(rng, (3, 5))
    if isinstance(weights, tuple):
        weights = rng.integers(0, 3, weights).astype(np.float32)
    elif weights == "zeros":
        weights = np.zeros((3, 1), np.float32)
    given = tf.constant(weights) if isinstance(weights, np.ndarray) else weights
    value = losses.mean_squared_error(y, tf.constant(p), weights=given, reduction=reduction)
    np.testing.assert_allclose(value.numpy(), reduced((p.astype(float) - y) ** 2, weights, reduction), rtol=1e-5)
    on_device = given * 1. if isinstance(given, tf.Tensor) else tf.constant(float(given)) * 1.
    again = losses.mean_squared_error(y, tf.constant(p), weights=on_device, reduction=reduction)
    np.testing.assert_allclose(again.numpy(), value.numpy(), rtol=1e-6)


def test_weight_ranks():
    x = tf.constant([1., 2., 6.])
    assert losses.compute_weighted_loss(x, [[1.], [0.], [1.]]).numpy() == 3.5
    assert losses.compute_weighted_loss(tf.reshape(x, (3, 1)), [1., 0., 1.]).numpy() == 3.5
    assert losses.compute_weighted_loss(x, [True, False, True]).numpy() == 3.5
    assert losses.compute_weighted_loss(x, [1, 0, 1]).numpy() == 3.5
    assert losses.compute_weighted_loss([1, 2, 6]).numpy() == 3.
    with pytest.raises(ValueError, match=r"weights have shape \(2,\), the losses \(3,\)"):
        losses.compute_weighted_loss(x, [1., 2.])
    with pytest.raises(ValueError, match="'mean' is no reduction"):
        losses.compute_weighted_loss(x, reduction="mean")


def test_nothing_to_average():
    for weights in (1., 0., tf.zeros([0])):
        v = tf.Variable(tf.zeros([0]))
        with tf.GradientTape() as tape:
            value = losses.mean_squared_error(tf.zeros([0]), v, weights=weights)
        assert value.numpy() == 0. and tape.gradient(value, v).shape == (0,)
    v = tf.Variable([1., 2.])
    with tf.GradientTape() as tape:
        value = losses.mean_squared_error([0., 0.], v, weights=tf.constant([0., 0.]))
    assert value.numpy() == 0. and tape.gradient(value, v).numpy().tolist() == [0., 0.]


@pytest.mark.parametrize("shape", [(1, 2), (5, 3), (2, 3, 4), (64, 10)], ids=str)
def test_softmax_cross_entropies(shape):
    rng = np.random.default_rng(3)
    logits = (3 * rng.standard_normal(shape)).astype(np.float32)
    labels = rng.integers(0, shape[-1], shape[:-1])
    onehot = np.eye(shape[-1])[labels]
    rows = -(onehot * log_softmax(logits.astype(float))).sum(-1)
    x = tf.Variable(logits)
    for kind in (np.int64, np.int32, np.uint8):
        sparse = losses.sparse_softmax_cross_entropy(labels=labels.astype(kind), logits=x)
        np.testing.assert_allclose(sparse.numpy(), rows.mean(), rtol=1e-5, atol=1e-6)
    column = losses.sparse_softmax_cross_entropy(labels[..., None], logits)
    np.testing.assert_allclose(column.numpy(), rows.mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(losses.softmax_cross_entropy(onehot, logits).numpy(), rows.mean(), rtol=1e-5,
                               atol=1e-6)
    smooth = -((.9 * onehot + .1 / shape[-1]) * log_softmax(logits.astype(float))).sum(-1)
    np.testing.assert_allclose(losses.softmax_cross_entropy(onehot, logits, label_smoothing=.1).numpy(),
                               smooth.mean(), rtol=1e-5)
    w = rng.integers(0, 2, shape[:-1]).astype(np.float32)
    np.testing.assert_allclose(losses.sparse_softmax_cross_entropy(labels, logits, weights=w).numpy(),
                               reduced(rows, w, Reduction.SUM_BY_NONZERO_WEIGHTS), rtol=1e-5, atol=1e-6)
    with tf.GradientTape(persistent=True) as tape:
        value = losses.sparse_softmax_cross_entropy(labels, x)
        dense = losses.softmax_cross_entropy(onehot, x)
    expected = (np.exp(log_softmax(logits.astype(float))) - onehot) / rows.size
    np.testing.assert_allclose(tape.gradient(value, x).numpy(), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(dense, x).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_stable_at_large_logits():
    assert losses.softmax_cross_entropy([[0., 1.]], [[1000., -1000.]]).numpy() == 2000.
    assert losses.sparse_softmax_cross_entropy([1], [[1000., -1000.]]).numpy() == 2000.
    assert losses.sigmoid_cross_entropy([[0., 1.]], [[1000., -1000.]]).numpy() == 1000.


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gradients(name):
    loss, labels, predictions, formula = ELEMENTWISE[name]
    rng = np.random.default_rng(4)
    y, p, direction = labels(rng, (4, 3)), predictions(rng, (4, 3)), rng.standard_normal((4, 3))
    v, w = tf.Variable(p), np.array([[1.], [0.], [2.], [1.]], np.float32)
    with tf.GradientTape() as tape:
        value = loss(y, v, weights=w)
    g = tape.gradient(value, v).numpy()

    def f(e):
        return reduced(formula(y.astype(float), p.astype(float) + e * direction), w, Reduction.SUM_BY_NONZERO_WEIGHTS)
    assert (g * direction).sum() == pytest.approx((f(1e-6) - f(-1e-6)) / 2e-6, rel=1e-3, abs=1e-5)


def test_cosine_distance():
    rng = np.random.default_rng(5)
    y, p = anything(rng, (4, 3)), anything(rng, (4, 3))
    for axis in (0, 1, -1):
        expected = (1 - (y.astype(float) * p).sum(axis)).mean()
        np.testing.assert_allclose(losses.cosine_distance(y, p, axis=axis).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.cosine_distance(y, p, dim=1, weights=[[1.], [0.], [0.], [0.]]).numpy(),
                               1 - (y[0].astype(float) * p[0]).sum(), rtol=1e-5)
    with pytest.raises(ValueError, match="axis is missing"):
        losses.cosine_distance(y, p)


def test_dtypes(device):
    assert losses.mean_squared_error([1, 2], [1, 4]).dtype == np.float32
    assert losses.mean_squared_error(np.array([1., 2.]), tf.constant([1., 4.])).dtype == np.float32
    half = losses.mean_squared_error(tf.constant([1., 2.], "float16"), tf.constant([1., 4.], "float16"))
    assert half.dtype == np.float16 and half.numpy() == 2.
    if device.traits.fp64:
        assert losses.mean_squared_error(np.array([1., 2.]), np.array([1., 4.])).dtype == np.float64
    with pytest.raises(DTypeError, match="labels must be int32 or int64"):
        losses.sparse_softmax_cross_entropy([0.5], [[1., 2.]])


def test_errors():
    with pytest.raises(InvalidArgumentError, match=r"labels have shape \(2,\), predictions have shape \(3,\)"):
        losses.mean_squared_error([1., 2.], [1., 2., 3.])
    with pytest.raises(InvalidArgumentError, match=r"multi_class_labels have shape \(2,\), logits have shape \(1, 2\)"):
        losses.sigmoid_cross_entropy([1., 0.], [[1., 2.]])
    with pytest.raises(ValueError, match="labels must not be None"):
        losses.hinge_loss(None, [1.])
    with pytest.raises(ValueError, match="labels have shape"):
        losses.sparse_softmax_cross_entropy([1, 2, 3], [[1., 2.]])
    with pytest.raises(ValueError, match=r"labels = 2 is not in \[0, 2\)"):
        losses.sparse_softmax_cross_entropy([2], [[1., 2.]])


def test_keras_losses():
    k = tf.keras.losses
    y, p = np.array([[0., 1.], [1., 0.]], np.float32), np.array([[.3, .7], [.6, .4]], np.float32)
    rows = -np.log([.7, .6])
    np.testing.assert_allclose(k.categorical_crossentropy(y, p).numpy(), rows, rtol=1e-5)
    np.testing.assert_allclose(k.sparse_categorical_crossentropy([1, 0], p).numpy(), rows, rtol=1e-5)
    np.testing.assert_allclose(k.sparse_categorical_crossentropy([[1.], [0.]], np.log(p), from_logits=True).numpy(),
                               rows, rtol=1e-5)
    np.testing.assert_allclose(k.categorical_crossentropy(y, np.log(p), from_logits=True).numpy(), rows, rtol=1e-5)
    np.testing.assert_allclose(k.binary_crossentropy(y, p).numpy(), rows, rtol=1e-5)
    np.testing.assert_allclose(k.mse(y, p).numpy(), ((y - p) ** 2).mean(-1), rtol=1e-5)
    np.testing.assert_allclose(k.mae(y, p).numpy(), abs(y - p).mean(-1), rtol=1e-5)
    np.testing.assert_allclose(k.hinge(2 * y - 1, p).numpy(), np.maximum(0, 1 - (2 * y - 1) * p).mean(-1), rtol=1e-5)
    np.testing.assert_allclose(k.kld(p, p).numpy(), [0, 0], atol=1e-6)
    assert k.get("mse") is k.mean_squared_error and k.get(len) is len
    with pytest.raises(ValueError, match="there is no loss 'l3'"):
        k.get("l3")


# -- the losses of a graph
def test_losses_enter_the_graphs_collection():
    with tf.Graph().as_default(), tf.Session() as sess:
        with pytest.raises(ValueError, match="there are no losses"):
            losses.get_total_loss()
        assert losses.get_regularization_loss() is not None and not losses.get_regularization_losses()
        x = tf.placeholder(tf.float32, [None, 2], name="x")
        eye = np.eye(2, dtype=np.float32)
        with tf.name_scope("first"):
            made = [losses.mean_squared_error(eye, x), losses.absolute_difference(eye, x), losses.huber_loss(eye, x),
                    losses.log_loss(eye, x), losses.hinge_loss(eye, x), losses.cosine_distance(eye, x, axis=1)]
        made += [losses.sigmoid_cross_entropy(eye, x), losses.softmax_cross_entropy(eye, x),
                 losses.sparse_softmax_cross_entropy([0, 1], x), losses.compute_weighted_loss(x, 0.5)]
        losses.mean_squared_error(eye, x, loss_collection=None)
        other = losses.mean_squared_error(eye, x, loss_collection="mine")
        assert losses.get_losses() == made and losses.get_losses("first/") == made[:6]
        assert losses.get_losses(loss_collection="mine") == [other]
        own = tf.reduce_sum(x)
        losses.add_loss(own)
        w = tf.get_variable("w", initializer=[3.0, 4.0], regularizer=lambda v: tf.reduce_sum(tf.square(v)))
        sess.run(w.initializer)
        values, total, bare, fixed = sess.run(
            [made + [own], losses.get_total_loss(), losses.get_total_loss(False), losses.get_regularization_loss()],
            {x: [[0.5, 0.25], [0.125, 0.75]]})
        assert np.isclose(bare, np.sum(values, dtype=np.float64)) and fixed == 25.0 and np.isclose(total, bare + 25.0)


def test_eagerly_no_losses_are_kept():
    losses.mean_squared_error([1.0], [2.0])
    losses.add_loss(tf.constant(1.0))
    assert losses.get_losses() == []
    with pytest.raises(ValueError, match="in a graph only"):
        losses.get_total_loss()
