"""Models: attribute tracking, nesting, sharing, Sequential, files, and training that learns."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, UnimplementedError

layers = tf.keras.layers


class MNISTModel(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.dense1 = layers.Dense(units=10)
        self.dense2 = layers.Dense(units=10)

    def call(self, input):
        result = self.dense1(input)
        result = self.dense2(result)
        return self.dense2(result)


def shapes(model):
    return [tuple(v.shape) for v in model.variables]


def test_shared_layers_count_once():
    model = MNISTModel()
    assert model.variables == [] and not model.built
    assert model(tf.zeros([1, 1, 784]), training=True).shape == (1, 1, 10)
    assert shapes(model) == [(784, 10), (10,), (10, 10), (10,)] and len(model.layers) == 2
    k1, b1, k2, b2 = (v.numpy().astype(float) for v in model.variables)
    x = np.random.default_rng(0).standard_normal((3, 784)).astype(np.float32)
    expected = ((x @ k1 + b1) @ k2 + b2) @ k2 + b2
    np.testing.assert_allclose(model(tf.constant(x)).numpy(), expected, rtol=1e-3, atol=1e-3)


def test_sequential_with_input_shape():
    model = tf.keras.Sequential([layers.Dense(10, input_shape=(784,)), layers.Dense(10)])
    assert shapes(model) == [(784, 10), (10,), (10, 10), (10,)] and model.built
    assert model(tf.zeros([1, 1, 784])).shape == (1, 1, 10)
    assert model(np.zeros((2, 784))).dtype == np.float32
    assert model.compute_output_shape((None, 784)).as_list() == [None, 10]
    other = tf.keras.Sequential([layers.InputLayer(input_shape=(4, 3)), layers.Flatten(), layers.Dense(2),
                                 layers.Dropout(.5), layers.Activation("relu"), layers.BatchNormalization(),
                                 layers.Lambda(lambda x: tf.concat([x, x], 1)), layers.Dense(1)])
    assert shapes(other) == [(12, 2), (2,), (2,), (2,), (4, 1), (1,), (2,), (2,)]
    nested = tf.keras.Sequential([tf.keras.Sequential([layers.Dense(3, input_dim=2)]), layers.Dense(1)])
    assert shapes(nested) == [(2, 3), (3,), (3, 1), (1,)]


def test_sequential_without_input_shape():
    model = tf.keras.Sequential()
    model.add(layers.Dense(3))
    model.add(layers.Dense(1, use_bias=False))
    assert model.variables == [] and len(model.layers) == 2
    assert model(tf.zeros([5, 4])).shape == (5, 1)
    assert shapes(model) == [(4, 3), (3,), (3, 1)]
    popped = model.pop()
    assert popped.units == 1 and shapes(model) == [(4, 3), (3,)] and model(tf.zeros([5, 4])).shape == (5, 3)
    model.add(layers.Dense(2))
    assert model(tf.zeros([5, 4])).shape == (5, 2) and shapes(model) == [(4, 3), (3,), (3, 2), (2,)]
    built = tf.keras.Sequential([layers.Dense(3), layers.Dense(2)])
    built.build((None, 4))
    assert shapes(built) == [(4, 3), (3,), (3, 2), (2,)]
    with pytest.raises(TypeError, match="a layer is wanted"):
        model.add(layers.Dense)
    with pytest.raises(TypeError, match="there are no layers"):
        tf.keras.Sequential().pop()
    assert tf.keras.Sequential()(tf.zeros([2])).shape == (2,)


def test_sequential_passes_training_on():
    model = tf.keras.Sequential([layers.Dense(4), layers.Dropout(.5), layers.BatchNormalization(),
                                 tf.keras.Sequential([layers.Dropout(.9)])])
    x = tf.ones([30, 3])
    still = model(x).numpy()
    assert (model(x).numpy() == still).all() and (model(x, training=False).numpy() == still).all()
    moved = model(x, training=True).numpy()
    assert (moved == 0).mean() > .7 and (model(x).numpy() != still).any()


def test_attributes_of_every_kind():
    class Everything(tf.keras.Model):
        def __init__(self):
            self.W = tf.Variable(5., name="weight")         # before, and even without, super().__init__()
            self.blocks = [layers.Dense(2), [layers.Dense(3)]]
            self.named = {"a": layers.Dense(4), "v": tf.Variable([1., 2.])}
            self.again = self.blocks[0]
            self.step = tf.Variable(0, trainable=False)
            self.optimizer_ = tf.train.AdamOptimizer()
            self.me = self
            self.words = ["no", "layers"]
            self.inner = MNISTModel()
            self.B = tf.Variable(10., name="bias")

        def call(self, x):
            for layer in (self.blocks[0], self.blocks[1][0], self.named["a"], self.inner):
                x = layer(x)
            return x * self.W + self.B
    model = Everything()
    assert shapes(model) == [(), (2,), (), ()]
    model(tf.zeros([1, 6]))
    model.optimizer_._power("beta1_power", .9)
    assert [tuple(v.shape) for v in model.trainable_variables] == [
        (), (6, 2), (2,), (2, 3), (3,), (3, 4), (4,), (2,), (4, 10), (10,), (10, 10), (10,), ()]
    assert shapes(model)[-1] == () and model.variables[-1] is model.step
    assert [type(x).__name__ for x in model.layers] == ["Dense", "Dense", "Dense", "MNISTModel"]
    assert model.get_layer(index=3) is model.inner and model.get_layer(model.blocks[0].name) is model.again
    with pytest.raises(NotFoundError, match="there is no layer 'x'"):
        model.get_layer("x")
    model.blocks.append(layers.Dense(7))
    assert len(model.layers) == 5
    del model.inner
    assert len(model.layers) == 4
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.named["a"](tf.ones([1, 3])) * model.W)
    assert tape.gradient(loss, model.W) is not None


def test_predict_may_be_overridden():
    class Model(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.W = tf.Variable(5., name="weight")
            self.B = tf.Variable(10., name="bias")

        def predict(self, inputs):
            return inputs * self.W + self.B
    model = Model()
    assert model.predict(2.).numpy() == 20. and [v.name for v in model.variables] == ["weight:0", "bias:0"]
    optimizer = tf.train.GradientDescentOptimizer(.1)
    x = tf.constant([1., 2., 3., 4.])
    for _ in range(200):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model.predict(x) - (3. * x + 2.)))
        optimizer.apply_gradients(zip(tape.gradient(loss, [model.W, model.B]), [model.W, model.B]))
    assert float(model.W) == pytest.approx(3., abs=.1) and float(model.B) == pytest.approx(2., abs=.2)


def test_errors():
    with pytest.raises(InvalidArgumentError, match="tf.keras.Input"):
        tf.keras.Model(inputs=1, outputs=2)
    with pytest.raises(UnimplementedError, match="must define it"):
        tf.keras.Model()(tf.zeros([1]))
    with pytest.raises(FailedPreconditionError, match="no variables yet"):
        MNISTModel().summary()
    model = tf.keras.Sequential([layers.Dense(3, input_shape=(4,), name="d")])
    with pytest.raises(ValueError, match="d: dimension -1 of the input must have size 4, it has size 5"):
        model(tf.zeros([2, 5]))


def test_summary():
    model = tf.keras.Sequential([layers.Dense(10, input_shape=(784,), name="a"), layers.BatchNormalization(name="b")])
    lines: list = []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "a (Dense)" in text and "multiple" in text and "7850" in text
    assert lines[-4:-1] == ["Total params: 7,890", "Trainable params: 7,870", "Non-trainable params: 20"]
    model(tf.zeros([2, 784]))
    model.summary(print_fn=lines.append)
    assert "(None, 10)" in "\n".join(lines) and model.count_params() == 7890


@pytest.mark.parametrize("make", [MNISTModel, lambda: tf.keras.Sequential([layers.Dense(5), layers.Dense(2)])])
def test_weights_files(tmp_path, make):
    model, x = make(), tf.ones([2, 4])
    y = model(x).numpy()
    model.save_weights(str(tmp_path / "w"))
    fresh = make()
    status = fresh.load_weights(str(tmp_path / "w"))
    assert (fresh(x).numpy() == y).all()
    status.assert_existing_objects_matched()
    third = make()
    third(x)
    third.load_weights(str(tmp_path / "w"))
    assert (third(x).numpy() == y).all()
    third.set_weights([w * 0 for w in third.get_weights()])
    assert (third(x).numpy() == 0).all()


def test_checkpoint_of_model_and_optimizer(tmp_path):
    def program():
        model = tf.keras.Sequential([layers.Dense(4, activation="tanh"), layers.BatchNormalization(), layers.Dense(2)])
        optimizer = tf.train.AdamOptimizer(.01)
        step = tf.Variable(0, dtype=tf.int64, trainable=False)
        root = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step)

        def train(n):
            rng = np.random.default_rng(1)
            for _ in range(n):
                x = tf.constant(rng.standard_normal((8, 3)).astype(np.float32))
                optimizer.minimize(lambda x=x: tf.reduce_mean(tf.square(model(x, training=True) - 1.)),
                                   global_step=step)
            return [v.numpy().tolist() for v in model.variables]
        return root, train
    root, train = program()
    train(3)
    path = root.save(str(tmp_path / "ckpt"))
    expected = train(2)
    fresh, go_on = program()
    status = fresh.restore(path)
    assert go_on(2) == expected and int(fresh.step) == 5
    status.assert_consumed()


def test_a_classifier_learns():
    tf.set_random_seed(1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((240, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    model = tf.keras.Sequential([layers.Dense(32, activation="relu"), layers.Dense(2)])
    optimizer = tf.train.AdamOptimizer(.02)
    for _ in range(150):
        optimizer.minimize(lambda: tf.losses.sparse_softmax_cross_entropy(labels=y, logits=model(x)))
    assert (np.argmax(model(x).numpy(), 1) == y).mean() > .95
