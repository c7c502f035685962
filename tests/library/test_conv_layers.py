"""Layers of images and sequences: values against NumPy float64, shapes, configs, a network that learns."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor.base.errors import DTypeError, InvalidArgumentError
from tests.library.test_layers import data, run_layer_test
from tests.ops import convolution as twin

layers = tf.keras.layers


def first(formula):
    """`formula` of NHWC for NCHW arrays."""
    return lambda x, *weights: np.moveaxis(formula(np.moveaxis(x, 1, -1), *weights), -1, 1)


# -- convolutions
@pytest.mark.parametrize("keywords", [
    {}, {"padding": "same"}, {"strides": 2, "padding": "SAME"}, {"strides": (2, 1)}, {"dilation_rate": 2},
    {"use_bias": False}], ids=str)
def test_conv2d(keywords):
    bias = keywords.get("use_bias", True)
    run_layer_test(
        lambda: layers.Conv2D(6, (3, 2), bias_initializer="ones", **keywords), data(2, 9, 8, 3),
        lambda x, w, b=0.: b + twin.conv2d(x, w, [1, *_pair(keywords.get("strides", 1)), 1],
                                           keywords.get("padding", "valid").upper(),
                                           keywords.get("dilation_rate", 1)),
        [(3, 2, 3, 6), (6,)][:1 + bias], rtol=1e-4, atol=1e-5)


def _pair(value):
    return (value, value) if isinstance(value, int) else value


def test_conv2d_of_channels_first():
    run_layer_test(lambda: layers.Conv2D(5, 3, padding="same", data_format="channels_first", bias_initializer="ones"),
                   data(2, 4, 6, 7), first(lambda x, w, b: twin.conv2d(x, w) + b), [(3, 3, 4, 5), (5,)], rtol=1e-4,
                   atol=1e-5)


def test_conv2d_activates_and_regularizes():
    layer = layers.Conv2D(2, 1, activation="relu", kernel_initializer="ones", name="c", kernel_constraint="non_neg",
                          kernel_regularizer=tf.keras.regularizers.l2(.5), input_shape=(None, None, 3))
    assert layer(tf.constant([[[[1., -3., 1.]]]])).numpy().ravel().tolist() == [0., 0.]
    assert [v.name for v in layer.variables] == ["c/kernel:0", "c/bias:0"] and layer.kernel.constraint is not None
    assert [float(x) for x in layer.losses] == [3.]
    assert layer.compute_output_shape((None, 5, None, 3)).as_list() == [None, 5, None, 2]


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize("strides, rate", [(1, 1), (2, 1), (1, 3)])
def test_conv1d(padding, strides, rate):
    def formula(x, w, b):
        before = 2 * rate if padding == "causal" else 0
        x = np.pad(x, [(0, 0), (before, 0), (0, 0)])
        return twin.conv2d(x[:, None], w[None], [1, 1, strides, 1], "SAME" if padding == "same" else "VALID",
                           [1, 1, rate, 1])[:, 0] + b
    run_layer_test(lambda: layers.Conv1D(4, 3, strides, padding, dilation_rate=rate, bias_initializer="ones"),
                   data(2, 9, 5), formula, [(3, 5, 4), (4,)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding, strides, kernel", [
    ("valid", 1, 3), ("same", 2, 3), ("valid", 2, 5), ("valid", 3, 2)])
def test_conv2d_transpose(padding, strides, kernel):
    def formula(x, w, b):
        n, h, ww, _ = x.shape
        grown = [d * strides + (max(kernel - strides, 0) if padding == "valid" else 0) for d in (h, ww)]
        return twin.backprop_input(w, x, [n, *grown, 4], strides, padding.upper()) + b
    run_layer_test(lambda: layers.Conv2DTranspose(4, kernel, strides, padding, bias_initializer="ones"),
                   data(2, 4, 5, 3), formula, [(kernel, kernel, 4, 3), (4,)], rtol=1e-4, atol=1e-5)


def test_depthwise_and_separable():
    run_layer_test(lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, bias_initializer="ones"),
                   data(2, 5, 6, 3), lambda x, w, b: twin.depthwise_conv2d(x, w) + b, [(3, 3, 3, 2), (6,)], rtol=1e-4,
                   atol=1e-5)
    run_layer_test(lambda: layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2, bias_initializer="ones"),
                   data(2, 5, 6, 3), lambda x, d, p, b: twin.conv2d(twin.depthwise_conv2d(x, d), p) + b,
                   [(3, 3, 3, 2), (1, 1, 6, 5), (5,)], rtol=1e-4, atol=1e-5)


def test_convolution_errors():
    layer = layers.Conv2D(3, 3, name="c")
    with pytest.raises(InvalidArgumentError, match=r"c: the input must have rank 4, its shape is \(2, 5, 5\)"):
        layer(tf.zeros([2, 5, 5]))
    layer(tf.zeros([2, 5, 5, 2]))
    with pytest.raises(InvalidArgumentError, match="c: dimension 3 of the input must have size 2, it has size 4"):
        layer(tf.zeros([2, 5, 5, 4]))
    with pytest.raises(DTypeError, match="input has dtype float64, the layer float32"):
        layer(tf.zeros([2, 5, 5, 2], tf.float64))
    with pytest.raises(InvalidArgumentError, match="Conv2D: filters must be positive, they are 0"):
        layers.Conv2D(0, 3)
    with pytest.raises(InvalidArgumentError, match="Conv2D: padding must be 'SAME' or 'VALID', it is 'causal'"):
        layers.Conv2D(1, 3, padding="causal")
    with pytest.raises(InvalidArgumentError, match="Conv2D: kernel_size must be one, two or four positive integers"):
        layers.Conv2D(1, (3, 3, 3))
    with pytest.raises(InvalidArgumentError, match="Conv1D: kernel_size must be one positive integer"):
        layers.Conv1D(1, (3, 3))


# -- pooling and resizing
@pytest.mark.parametrize("make, formula", [
    (layers.MaxPooling2D, twin.max_pool), (layers.AveragePooling2D, twin.avg_pool)], ids=["max", "average"])
@pytest.mark.parametrize("keywords", [{}, {"pool_size": 3, "strides": 2, "padding": "same"}], ids=str)
def test_pooling(make, formula, keywords):
    size, padding = keywords.get("pool_size", 2), keywords.get("padding", "valid").upper()
    run_layer_test(lambda: make(**keywords), data(2, 7, 6, 5), lambda x: formula(x, size, keywords.get("strides", size),
                                                                                padding))
    run_layer_test(lambda: make(data_format="channels_first", **keywords), data(2, 5, 7, 6),
                   first(lambda x: formula(x, size, keywords.get("strides", size), padding)))


def test_pooling_of_sequences():
    run_layer_test(lambda: layers.MaxPooling1D(3, 2, "same"), data(2, 8, 3),
                   lambda x: twin.max_pool(x[:, None], [1, 1, 3, 1], [1, 1, 2, 1], "SAME")[:, 0])
    run_layer_test(lambda: layers.AveragePooling1D(2), data(2, 8, 3), lambda x: x.reshape(2, 4, 2, 3).mean(2))
    assert layers.MaxPool2D is layers.MaxPooling2D


def test_resizing():
    run_layer_test(lambda: layers.ZeroPadding2D(((1, 0), (2, 3))), data(2, 3, 4, 2),
                   lambda x: np.pad(x, [(0, 0), (1, 0), (2, 3), (0, 0)]))
    run_layer_test(lambda: layers.ZeroPadding2D(1, data_format="channels_first"), data(2, 3, 4, 2),
                   lambda x: np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]))
    run_layer_test(lambda: layers.Cropping2D((1, 0)), data(2, 5, 4, 2), lambda x: x[:, 1:-1])
    run_layer_test(lambda: layers.UpSampling2D((2, 3)), data(2, 3, 4, 2), lambda x: x.repeat(2, 1).repeat(3, 2))
    with pytest.raises(InvalidArgumentError, match="padding must be a non-negative integer, a pair, or"):
        layers.ZeroPadding2D((1, 2, 3))
    with pytest.raises(InvalidArgumentError, match="takes more than there is"):
        layers.Cropping2D(3)(tf.zeros([1, 5, 5, 1]))
    with pytest.raises(NotImplementedError, match="interpolation 'bilinear'"):
        layers.UpSampling2D(2, interpolation="bilinear")


def test_a_small_network_learns_bars():
    """Vertical bars against horizontal ones: a convolution, pooling, batch normalisation and a dense layer."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, .3, (64, 8, 8, 1)).astype(np.float32)
    labels = rng.integers(0, 2, 64).astype(np.int32)
    for image, label in zip(images, labels):
        at = rng.integers(0, 8)
        image[(slice(None), at) if label else at] += 1
    tf.set_random_seed(1)
    model = tf.keras.Sequential([
        layers.Conv2D(4, 3, padding="same", activation="relu", input_shape=(8, 8, 1)), layers.BatchNormalization(),
        layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2)])
    optimizer = tf.train.AdamOptimizer(0.02)
    for _ in range(30):
        with tf.GradientTape() as tape:
            loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=model(images, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    assert float(loss) < 0.1
