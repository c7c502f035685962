"""compile, fit, evaluate, predict, callbacks; and the NumPy helpers of tf.keras."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf

layers, error = tf.keras.layers, tf.errors.InvalidArgumentError
RNG = np.random.default_rng(5)
X = RNG.standard_normal((70, 3)).astype(np.float32)
LABELS = (X[:, 0] > X[:, 1]).astype(np.int32)


def classifier(loss: str = "sparse_categorical_crossentropy", optimizer: object = "adam", out: int = 2):
    tf.set_random_seed(3)
    model = tf.keras.Sequential([layers.Dense(8, activation="relu", input_shape=(3,)),
                                 layers.Dense(out, activation="softmax" if out > 1 else "sigmoid")])
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("loss, y, out", [
    ("sparse_categorical_crossentropy", LABELS, 2), ("sparse_categorical_crossentropy", LABELS[:, None], 2),
    ("categorical_crossentropy", tf.keras.utils.to_categorical(LABELS), 2), ("binary_crossentropy", LABELS, 1)])
def test_fit_learns(loss, y, out):
    model = classifier(loss, tf.train.AdamOptimizer(0.05), out)
    history = model.fit(X, y, batch_size=16, epochs=15, verbose=0)
    assert history.epoch == list(range(15)) and len(history.history["loss"]) == 15
    assert history.history["loss"][-1] < history.history["loss"][0] / 2
    value, accuracy = model.evaluate(X, y, verbose=0)
    said = model.predict(X)
    right = said.argmax(1) == LABELS if out > 1 else (said[:, 0] > 0.5) == LABELS
    assert accuracy == pytest.approx(right.mean(), abs=1e-6) and accuracy > 0.9
    assert said.shape == (70, out) and value < 0.4
    assert model.metrics_names == ["loss", "acc"]


def test_short_batches_count_by_their_size():
    model = classifier()
    whole = model.evaluate(X, LABELS, batch_size=70, verbose=0)
    np.testing.assert_allclose(model.evaluate(X, LABELS, batch_size=32, verbose=0), whole, rtol=1e-5)
    np.testing.assert_allclose(model.test_on_batch(X, LABELS), whole, rtol=1e-5)
    np.testing.assert_allclose(model.predict(X, batch_size=11), model.predict(X), rtol=1e-5)


def test_datasets_and_generators():
    data = tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(10)
    model = classifier()
    assert len(model.fit(data, epochs=2, verbose=0).history["loss"]) == 2
    seen: list = []
    count = tf.keras.callbacks.LambdaCallback(on_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(data.repeat(), epochs=2, steps_per_epoch=9, verbose=0, callbacks=[count])
    assert seen == list(range(9)) * 2
    endless = ((X[:5], LABELS[:5]) for _ in iter(int, 1))
    model.fit(endless, epochs=2, steps_per_epoch=3, verbose=0)
    assert len(model.evaluate(data, verbose=0)) == 2 and model.predict(data).shape == (70, 2)
    with pytest.raises(error, match="must be left out"):
        model.fit(data, LABELS)


def test_validation_weights_and_regularizers(capsys):
    model = classifier()
    history = model.fit(X, LABELS, validation_split=0.2, epochs=2, verbose=2)
    assert set(history.history) == {"loss", "acc", "val_loss", "val_acc"}
    assert "Epoch 2/2: loss" in capsys.readouterr().out
    none = model.evaluate(X, LABELS, sample_weight=np.zeros(70, np.float32), verbose=0)[0]
    half = model.evaluate(X, LABELS, sample_weight=np.full(70, 0.5, np.float32), verbose=0)[0]
    assert none == 0 and half == pytest.approx(model.evaluate(X, LABELS, verbose=0)[0] / 2, rel=1e-5)
    heavy = tf.keras.Sequential([layers.Dense(1, input_shape=(3,), kernel_initializer="ones",
                                              kernel_regularizer=tf.keras.regularizers.l2(0.5))])
    heavy.compile("sgd", "mse")
    plain = ((X.sum(1) - LABELS) ** 2).mean()
    assert heavy.evaluate(X, LABELS, verbose=0) == pytest.approx(plain + 1.5, rel=1e-5)


def test_progress_bar_and_callbacks(tmp_path, capsys):
    model = classifier()
    stop = tf.keras.callbacks.EarlyStopping("loss", min_delta=10.0, patience=1)
    keep = tf.keras.callbacks.ModelCheckpoint(str(tmp_path / "w{epoch}"), "loss", save_best_only=True)
    history = model.fit(X, LABELS, epochs=9, callbacks=[stop, keep])
    assert len(history.epoch) == 3 and stop.stopped_epoch == 2
    assert "Epoch 1/9: 100%" in capsys.readouterr().err
    fresh = classifier()
    fresh.load_weights(str(tmp_path / "w3"))
    np.testing.assert_array_equal(fresh.predict(X), model.predict(X))
    with pytest.raises(error, match="there is no 'val_loss' in the logs"):
        model.fit(X, LABELS, verbose=0, callbacks=[tf.keras.callbacks.EarlyStopping()])
    with pytest.raises(error, match="there is no 'on_lunch'"):
        tf.keras.callbacks.LambdaCallback(on_lunch=print)


def test_models_of_the_user():
    class Two(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(1)
            self.drop = layers.Dropout(0.5)

        def call(self, x, training=False):
            return self.inner(self.drop(x["a"], training=training) + x["b"])
    model = Two()
    model.compile(tf.keras.optimizers.SGD(0.02, momentum=0.5), lambda y, p: tf.reduce_mean((y - p) ** 2), ["mae"])
    before = model.train_on_batch({"a": X, "b": X}, LABELS.astype(np.float32))
    assert len(before) == 2
    model.fit({"a": X, "b": X}, LABELS.astype(np.float64), epochs=20, verbose=0)
    assert model.evaluate({"a": X, "b": X}, LABELS.astype(np.float32), verbose=0)[0] < before[0]


def test_bad_calls():
    model = tf.keras.Sequential([layers.Dense(1)])
    with pytest.raises(tf.errors.FailedPreconditionError, match="call compile"):
        model.fit(X, LABELS)
    for bad in ({"optimizer": "best", "loss": "mse"}, {"optimizer": "sgd", "loss": "least"},
                {"optimizer": "sgd", "loss": "mse", "metrics": ["fame"]}):
        with pytest.raises(error, match="there is no"):
            model.compile(**bad)
    model.compile("sgd", "mse")
    with pytest.raises(error, match="one number of examples"):
        model.fit(X, LABELS[:-1])
    with pytest.raises(error, match="y is missing"):
        model.fit(X)
    with pytest.raises(error, match="one number of examples"):
        model.predict(X[:0])
    with pytest.raises(error, match="batch_size must be positive"):
        model.fit(X, LABELS, batch_size=0)


def test_to_categorical_and_pad_sequences():
    to_categorical, pad = tf.keras.utils.to_categorical, tf.keras.preprocessing.sequence.pad_sequences
    assert to_categorical([[1], [0]]).tolist() == [[0, 1], [1, 0]]
    assert to_categorical(np.array([[0, 1]]), 3, "int8").shape == (1, 2, 3)
    with pytest.raises(error, match="must lie in"):
        to_categorical([3], 3)
    some = [[1, 2, 3], [], [4]]
    assert pad(some).tolist() == [[1, 2, 3], [0, 0, 0], [0, 0, 4]]
    assert pad(some, 2, padding="post", truncating="post", value=9).tolist() == [[1, 2], [9, 9], [4, 9]]
    assert pad([np.ones((2, 2)), np.ones((1, 2))], dtype="float32").shape == (2, 2, 2)
    with pytest.raises(error, match="'pre' or 'post'"):
        pad(some, padding="middle")
    with pytest.raises(error, match="list of sequences"):
        pad([1, 2])
