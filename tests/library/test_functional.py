"""Models made of inputs and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cltensor as tf

layers = tf.keras.layers
X = np.random.RandomState(0).rand(5, 8).astype(np.float32)


def test_a_chain_has_the_values_of_its_layers() -> None:
    x = tf.keras.Input((8,))
    h = layers.Dense(4, activation="tanh")
    out = layers.Dense(2)
    model = tf.keras.Model(x, out(h(x)))
    assert [tuple(v.shape) for v in model.variables] == [(8, 4), (4,), (4, 2), (2,)]
    want = np.tanh(X @ h.get_weights()[0] + h.get_weights()[1]) @ out.get_weights()[0] + out.get_weights()[1]
    np.testing.assert_allclose(model(X).numpy(), want, rtol=1e-5, atol=1e-6)
    assert model(X[:1]).shape == (1, 2)
    assert [layer.name for layer in model.layers] == [x.call.layer.name, h.name, out.name]
    assert model.outputs[0].shape.as_list() == [None, 2]


def test_branches_shared_layers_several_inputs_and_outputs() -> None:
    a, b = tf.keras.Input((8,), name="left"), tf.keras.Input((8,), name="right")
    shared = layers.Dense(3, use_bias=False)
    total = layers.add([shared(a), shared(b)])
    joined = layers.concatenate([total, layers.Lambda(lambda v: v * 2.0)(total)])
    model = tf.keras.Model([a, b], {"sum": total, "joined": joined})
    w = shared.get_weights()[0]
    out = model([X, X + 1])
    np.testing.assert_allclose(out["sum"].numpy(), X @ w + (X + 1) @ w, rtol=1e-5)
    np.testing.assert_allclose(out["joined"].numpy()[:, 3:], 2 * out["sum"].numpy(), rtol=1e-6)
    assert len(model.variables) == 1
    named = model({"right": tf.constant(X), "left": tf.constant(X)})
    np.testing.assert_allclose(named["sum"].numpy(), 2 * (X @ w), rtol=1e-5)


def test_it_trains_and_training_reaches_the_layers() -> None:
    tf.set_random_seed(3)
    x = tf.keras.Input((8,))
    y = layers.Dense(1)(layers.Dropout(0.5)(layers.BatchNormalization()(x)))
    model = tf.keras.Model(inputs=x, outputs=y)
    model.compile(tf.train.AdamOptimizer(0.05), "mse")
    target = X.sum(axis=1, keepdims=True)
    before = model.evaluate(X, target, verbose=0)
    history = model.fit(X, target, epochs=20, batch_size=5, verbose=0)
    assert history.history["loss"][-1] < before
    assert not np.array_equal(model(X, training=True).numpy(), model(X, training=True).numpy())
    assert np.array_equal(model(X).numpy(), model(X).numpy())


@pytest.mark.parametrize("build", [
    lambda x: layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(layers.Conv2D(3, 3, padding="same")(x))),
    lambda x: layers.Dense(2)(layers.Flatten()(layers.ZeroPadding2D()(x))),
    lambda x: layers.LSTM(3)(layers.Reshape((6, 12))(x)),
    lambda x: layers.Conv2DTranspose(2, 3, strides=2)(layers.DepthwiseConv2D(3)(x)),
    lambda x: layers.UpSampling2D()(layers.BatchNormalization()(layers.Activation("relu")(x))),
])
def test_layers_run_on_an_open_batch(build: Any) -> None:
    x = tf.keras.Input((6, 6, 2))
    model = tf.keras.Model(x, build(x))
    want = model.outputs[0].shape.as_list()
    for n in (1, 3):
        out = model(np.random.RandomState(1).rand(n, 6, 6, 2).astype(np.float32))
        assert out.shape.as_list() == [n, *want[1:]] and want[0] is None


def test_models_nest_and_can_be_cut() -> None:
    x = tf.keras.Input((8,))
    inner = tf.keras.Model(x, layers.Dense(4, name="features")(x))
    z = tf.keras.Input((8,))
    outer = tf.keras.Model(z, layers.Dense(1)(inner(z)))
    assert outer(X).shape == (5, 1) and len(outer.variables) == 4
    cut = tf.keras.Model(x, inner.get_layer("features").output)
    np.testing.assert_array_equal(cut(X).numpy(), inner(X).numpy())
    sequential = tf.keras.Sequential([layers.Dense(3), layers.Dense(2)])
    assert tf.keras.Model(z, sequential(z))(X).shape == (5, 2)


def test_checkpoints_name_layers_by_their_names(tmp_path: Any) -> None:
    def make() -> Any:
        x = tf.keras.Input((8,))
        return tf.keras.Model(x, layers.Dense(2, name="out")(layers.Dense(4, name="hidden")(x)))
    first, second = make(), make()
    first.save_weights(tmp_path / "w")
    second.load_weights(tmp_path / "w").assert_consumed()
    np.testing.assert_array_equal(first(X).numpy(), second(X).numpy())


def test_in_a_graph() -> None:
    x = tf.keras.Input((8,))
    model = tf.keras.Model(x, layers.Dense(2)(x))
    want = model(X).numpy()
    traced = tf.function(lambda v: model(v))
    np.testing.assert_array_equal(traced(tf.constant(X)).numpy(), want)


def test_errors() -> None:
    x, other = tf.keras.Input((8,)), tf.keras.Input((8,))
    y = layers.Dense(2)(x)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not among the inputs"):
        tf.keras.Model(other, y)
    with pytest.raises(tf.errors.InvalidArgumentError, match="go together"):
        tf.keras.Model(x)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must come from tf.keras.Input"):
        tf.keras.Model(x, tf.zeros([1, 2]))
    with pytest.raises(TypeError, match="Lambda"):
        tf.add(y, 1.0)
    with pytest.raises(TypeError, match="Lambda"):
        y * 2.0
    with pytest.raises(TypeError, match="value"):
        bool(y)
    model = tf.keras.Model(x, y)
    with pytest.raises(tf.errors.InvalidArgumentError, match="takes shape"):
        model(np.zeros((5, 7), np.float32))
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 inputs"):
        model([X, X])
    with pytest.raises(tf.errors.InvalidArgumentError, match="two layers are named"):
        tf.keras.Model(x, layers.Dense(2, name="same")(layers.Dense(2, name="same")(x)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="give the shape"):
        tf.keras.Input()
    with pytest.raises(tf.errors.InvalidArgumentError, match="rank"):
        layers.Conv2D(2, 3)(x)
