"""Layers: values against NumPy float64, shapes, state without super().__init__, names, errors, regularisation."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor.base.errors import DTypeError, FailedPreconditionError, InvalidArgumentError
from cltensor.runtime.queue import no_host_reads

layers = tf.keras.layers


def run_layer_test(make, x, formula, weights=(), rtol=1e-5, atol=1e-6, **call):
    """A layer alone, from its config, inside a Sequential; shape as promised; gradients reach every weight."""
    layer = make()
    y = layer(tf.constant(x), **call)
    values = layer.get_weights()
    np.testing.assert_allclose(y.numpy(), formula(x.astype(np.float64), *[w.astype(np.float64) for w in values]),
                               rtol=rtol, atol=atol)
    assert [v.shape for v in layer.variables] == list(weights)
    assert layer.built and layer.count_params() == sum(w.size for w in values)
    for batch in (x.shape[0], None):
        assert tuple(layer.compute_output_shape((batch, *x.shape[1:])).as_list()) == (batch, *y.shape[1:])
    again = type(layer).from_config(layer.get_config())
    assert again.name == layer.name
    if x.size:
        again(tf.constant(x), **call)
    else:
        again.build(tf.TensorShape(x.shape))
    again.set_weights(values)
    same = again(x, **call)
    if not call:
        np.testing.assert_array_equal(same.numpy(), y.numpy())
    early = make()
    early._state.input_shape = (None, *x.shape[1:])
    model = tf.keras.Sequential([early])
    assert [v.shape for v in model.variables] == list(weights)
    model.set_weights(values)
    if not call:
        np.testing.assert_array_equal(model(tf.constant(x)).numpy(), y.numpy())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(layer(tf.constant(x), **call)))
    assert all(g is not None for g in tape.gradient(loss, layer.trainable_variables))
    return layer


def data(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


# -- Dense
@pytest.mark.parametrize("shape", [(3, 4), (1, 1, 784), (2, 3, 5, 7), (0, 4), (129, 33)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_dense(shape, bias):
    run_layer_test(lambda: layers.Dense(10, use_bias=bias, bias_initializer="ones"), data(*shape),
                   lambda x, w, b=0.: x @ w + b, [(shape[-1], 10), (10,)][:1 + bias], rtol=2e-4, atol=1e-4)


def test_dense_arguments():
    layer = layers.Dense(2, activation="relu", kernel_initializer=tf.initializers.ones(), name="fc",
                         kernel_regularizer=tf.keras.regularizers.l2(.5), bias_constraint="non_neg", input_dim=3)
    assert layer(tf.constant([[1., -3., 1.]])).numpy().tolist() == [[0., 0.]]
    assert [v.name for v in layer.variables] == ["fc/kernel:0", "fc/bias:0"]
    assert layer.kernel is layer.variables[0] and layer.bias.constraint is not None
    assert [float(x) for x in layer.losses] == [3.]
    assert layer.get_config()["bias_constraint"] == "non_neg" and layer.get_config()["units"] == 2


def test_dense_errors():
    layer = layers.Dense(3, name="fc")
    with pytest.raises(InvalidArgumentError, match=r"fc: the input must have rank 2 at least, its shape is \(4,\)"):
        layer(tf.zeros([4]))
    layer(tf.zeros([2, 4]))
    with pytest.raises(InvalidArgumentError, match="fc: dimension -1 of the input must have size 4, it has size 5"):
        layer(tf.zeros([2, 5]))
    with pytest.raises(InvalidArgumentError, match="fc: the input must have rank 2 at least, it has rank 1"):
        layer(tf.zeros([4]))
    with pytest.raises(DTypeError, match="input has dtype int32, the layer float32"):
        layer(tf.zeros([2, 4], tf.int32))
    with pytest.raises(TypeError, match="one tensor is wanted"):
        layers.Dense(3)([tf.zeros([2, 4]), tf.zeros([2, 4])])
    with pytest.raises(ValueError, match="units must be positive"):
        layers.Dense(0)
    with pytest.raises(ValueError, match="no activation 'rely'"):
        layers.Dense(3, activation="rely")
    with pytest.raises(TypeError):
        layers.Dense(3, unit=4)
    assert len(layer.variables) == 2


def test_dense_dtypes(device):
    half = layers.Dense(3, dtype="float16")
    assert half(np.ones((2, 4))).dtype == np.float16 and half.dtype == np.float16
    follows = layers.Dense(3)
    follows(tf.ones([2, 4], tf.float16))
    assert follows.kernel.dtype == np.float16
    numpy_input = layers.Dense(3)
    assert numpy_input(np.ones((2, 4), np.float64)).dtype == np.float32
    assert layers.Dense(3)([[1., 2.], [3., 4.]]).shape == (2, 3)
    if device.traits.fp64:
        assert layers.Dense(3)(tf.ones([2, 4], tf.float64)).dtype == np.float64


# -- the others
def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize("make, formula", [
    (lambda: layers.Activation("tanh"), np.tanh),
    (lambda: layers.Activation(tf.nn.relu), relu),
    (lambda: layers.Activation("linear"), lambda x: x),
    (lambda: layers.Activation("hard_sigmoid"), lambda x: np.clip(.2 * x + .5, 0, 1)),
    (lambda: layers.LeakyReLU(.2), lambda x: np.where(x > 0, x, .2 * x)),
    (lambda: layers.ELU(2.), lambda x: np.where(x > 0, x, 2 * np.expm1(x))),
    (lambda: layers.ReLU(), relu),
    (lambda: layers.ReLU(max_value=.5, negative_slope=.1), lambda x: np.minimum(np.where(x > 0, x, .1 * x), .5)),
    (lambda: layers.ReLU(threshold=.3, negative_slope=.1), lambda x: np.where(x > .3, x, .1 * (x - np.float32(.3)))),
    (lambda: layers.ThresholdedReLU(.5), lambda x: np.where(x > .5, x, 0)),
    (lambda: layers.Softmax(), lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    (lambda: layers.Softmax(axis=1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    (lambda: layers.Dropout(.5), lambda x: x),
    (lambda: layers.Flatten(), lambda x: x.reshape(len(x), -1)),
    (lambda: layers.Flatten("channels_first"), lambda x: x.transpose(0, 2, 3, 1).reshape(len(x), -1)),
    (lambda: layers.Reshape((5, -1)), lambda x: x.reshape(len(x), 5, 12)),
    (lambda: layers.Permute((2, 3, 1)), lambda x: x.transpose(0, 2, 3, 1)),
    (lambda: layers.Lambda(lambda x: x * 2.), lambda x: 2 * x),
    (lambda: layers.Lambda(lambda x: tf.reduce_sum(x, 1)), lambda x: x.sum(1)),
    (lambda: layers.GlobalAveragePooling2D(), lambda x: x.mean((1, 2))),
    (lambda: layers.GlobalMaxPooling2D("channels_first"), lambda x: x.max((2, 3))),
    (lambda: layers.ActivityRegularization(l2=.1), lambda x: x),
], ids=lambda f: None)
def test_stateless(make, formula):
    run_layer_test(make, data(2, 3, 4, 5), formula)


def test_more_stateless():
    run_layer_test(lambda: layers.RepeatVector(3), data(2, 5), lambda x: np.repeat(x[:, None], 3, 1))
    run_layer_test(layers.GlobalAveragePooling1D, data(2, 5, 3), lambda x: x.mean(1))
    run_layer_test(layers.GlobalMaxPooling1D, data(2, 5, 3), lambda x: x.max(1))
    run_layer_test(lambda: layers.PReLU("ones"), data(3, 4), lambda x, a: np.where(x > 0, x, a * x), [(4,)])
    run_layer_test(lambda: layers.PReLU(shared_axes=[1]), data(3, 4, 2), lambda x, a: np.where(x > 0, x, a * x),
                   [(1, 2)])
    run_layer_test(layers.LayerNormalization, data(3, 7), lambda x, g, b: (x - x.mean(-1, keepdims=True)) / np.sqrt(
        x.var(-1, keepdims=True) + 1e-3) * g + b, [(7,), (7,)], rtol=1e-4, atol=1e-5)
    assert layers.Flatten()(tf.zeros([0, 3, 4])).shape == (0, 12) and layers.Flatten()(tf.zeros([3])).shape == (3, 1)
    assert layers.InputLayer(input_shape=(3,))(tf.zeros([2, 3])).shape == (2, 3)


def test_shape_errors():
    for make, shape, text in (
            (lambda: layers.Reshape((7,)), (2, 6), "6 elements of shape \\(6,\\) do not fill target_shape \\(7,\\)"),
            (lambda: layers.Reshape((-1, 4)), (2, 6), "do not fill"),
            (lambda: layers.Permute((2, 1)), (2, 6), "must have rank 3, it has rank 2"),
            (lambda: layers.RepeatVector(2), (2, 6, 1), "must have rank 2"),
            (lambda: layers.GlobalMaxPooling1D(), (2, 6), "must have rank 3"),
            (lambda: layers.Add(), (2, 6), "a list of two inputs")):
        with pytest.raises(ValueError, match=text):
            make()(tf.zeros(shape))
    for make in (lambda: layers.Permute((0, 1)), lambda: layers.Reshape((-1, -1)), lambda: layers.Dropout(1.),
                 lambda: layers.Embedding(0, 3), lambda: layers.ReLU(max_value=-1.)):
        with pytest.raises(ValueError):
            make()


def test_dropout():
    layer, x = layers.Dropout(.25), tf.ones([200, 50])
    for training in (None, False, tf.constant(False)):
        assert layer(x, training=training) is x
    assert layer(x) is x
    y = layer(x, training=True).numpy()
    assert set(np.unique(y)) == {0., np.float32(1 / .75)} and (y == 0).mean() == pytest.approx(.25, abs=.02)
    assert (layer(x, training=True).numpy() != y).any()
    assert layer(x, training=tf.constant(True)).numpy().min() == 0.
    rows = layers.Dropout(.5, noise_shape=[200, 1])(x, training=True).numpy()
    assert all(len(set(r)) == 1 for r in rows) and len(set(rows[:, 0])) == 2


def test_embedding():
    layer = layers.Embedding(5, 3, input_length=4)
    ids = np.array([[0, 4, 0, 1]])
    y = layer(tf.constant(ids))
    np.testing.assert_array_equal(y.numpy(), layer.embeddings.numpy()[ids])
    assert abs(layer.embeddings.numpy()).max() <= .05 and layer.embeddings.dtype == np.float32
    assert layer.compute_output_shape((None, 4)).as_list() == [None, 4, 3]
    np.testing.assert_array_equal(layer(ids.astype(np.float32)).numpy(), y.numpy())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(ids))
    g = tape.gradient(loss, layer.embeddings)
    assert isinstance(g, tf.IndexedSlices)
    assert tf.convert_to_tensor(g).numpy()[:, 0].tolist() == [2., 1., 0., 0., 1.]
    with pytest.raises(ValueError, match=r"7 is not in \[0, 5\)"):
        layer(tf.constant([7]))
    assert [v.shape for v in tf.keras.Sequential([layers.Embedding(5, 3, input_length=4), layers.Flatten(),
                                                  layers.Dense(2)]).variables] == [(5, 3), (12, 2), (2,)]


@pytest.mark.parametrize("make, formula", [
    (layers.Add, lambda a, b, c: a + b + c), (layers.Multiply, lambda a, b, c: a * b * c),
    (layers.Average, lambda a, b, c: (a + b + c) / 3),
    (layers.Maximum, lambda a, b, c: np.maximum(np.maximum(a, b), c)),
    (layers.Minimum, lambda a, b, c: np.minimum(np.minimum(a, b), c)),
    (layers.Concatenate, lambda a, b, c: np.concatenate([a, b, c], -1)),
    (lambda: layers.Concatenate(axis=1), lambda a, b, c: np.concatenate([a, b, c], 1))])
def test_merge(make, formula):
    rng = np.random.default_rng(1)
    xs = [rng.standard_normal((2, 3, 4)).astype(np.float32) for _ in range(3)]
    y = make()([tf.constant(x) for x in xs])
    np.testing.assert_allclose(y.numpy(), formula(*xs), rtol=1e-6, atol=1e-6)
    assert make().compute_output_shape([(None, 3, 4)] * 3).as_list() == [None, *y.shape.as_list()[1:]]


def test_merge_functions():
    a, b = tf.constant([[1., 2.]]), tf.constant([[3., 5.]])
    for f, expected in (("add", [4, 7]), ("subtract", [-2, -3]), ("multiply", [3, 10]), ("average", [2, 3.5]),
                        ("maximum", [3, 5]), ("minimum", [1, 2]), ("concatenate", [1, 2, 3, 5])):
        assert getattr(layers, f)([a, b]).numpy().tolist() == [expected]
    assert layers.add([a, tf.constant([[1.], [2.]])]).shape == (2, 2)
    with pytest.raises(ValueError, match="two inputs are wanted, there are 3"):
        layers.subtract([a, b, a])


# -- batch normalisation
def test_batch_normalization_pinned():
    layer = layers.BatchNormalization(name="bn")
    x = tf.constant([[1.], [3.]])
    np.testing.assert_allclose(layer(x).numpy(), np.array([[1.], [3.]]) / np.sqrt(1.001), rtol=1e-5)
    assert float(layer.moving_mean.numpy()[0]) == 0.
    with no_host_reads():
        y = layer(x, training=True)
    np.testing.assert_allclose(y.numpy(), [[-.9995], [.9995]], atol=1e-5)
    assert layer.moving_mean.numpy() == pytest.approx(.02) and layer.moving_variance.numpy() == pytest.approx(1.)
    assert len(layer.variables) == 4 and len(layer.trainable_variables) == 2
    assert [v.name for v in layer.variables] == ["bn/gamma:0", "bn/beta:0", "bn/moving_mean:0", "bn/moving_variance:0"]
    before = layer.moving_mean.numpy()
    layer(x, training=False)
    layer(x)
    assert layer.moving_mean.numpy() == before


@pytest.mark.parametrize("shape, axis", [((5, 3), -1), ((4, 2, 3, 5), -1), ((4, 2, 3, 5), 1), ((6, 1), -1)])
@pytest.mark.parametrize("center, scale", [(True, True), (False, False)])
def test_batch_normalization(shape, axis, center, scale):
    rng = np.random.default_rng(2)
    x = (3 + 2 * rng.standard_normal(shape)).astype(np.float32)
    layer = layers.BatchNormalization(axis=axis, momentum=.8, center=center, scale=scale, gamma_initializer="normal")
    others = tuple(i for i in range(len(shape)) if i != axis % len(shape))
    n = shape[axis]
    column = tuple(n if i == axis % len(shape) else 1 for i in range(len(shape)))
    mean, variance = x.astype(float).mean(others), x.astype(float).var(others)
    y = layer(tf.constant(x), training=True).numpy()
    gamma = layer.gamma.numpy().reshape(column) if scale else 1.
    expected = (x - mean.reshape(column)) / np.sqrt(variance.reshape(column) + 1e-3) * gamma
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), .2 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), .8 + .2 * variance, rtol=1e-5)
    used = (x - .2 * mean.reshape(column)) / np.sqrt(.8 + .2 * variance.reshape(column) + 1e-3) * gamma
    np.testing.assert_allclose(layer(x).numpy(), used, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=f"must have size {n}"):
        layer(tf.zeros([d + 1 for d in shape]))


def test_batch_normalization_gradient():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6, 2)).astype(np.float32)
    w, direction = rng.standard_normal((6, 2)), rng.standard_normal((6, 2))
    layer, v = layers.BatchNormalization(), tf.Variable(x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(v, training=True) * w.astype(np.float32))
    g = tape.gradient(loss, [v, *layer.variables])
    assert g[3] is None and g[4] is None

    def f(e):
        z = x.astype(float) + e * direction
        return ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-3) * w).sum()
    assert (g[0].numpy() * direction).sum() == pytest.approx((f(1e-6) - f(-1e-6)) / 2e-6, rel=1e-3)


# -- the base class
class Plain(layers.Layer):
    def __init__(self, units):
        self.units = units

    def build(self, input):
        self.kernel = self.add_variable("kernel", [input.shape[-1], self.units])

    def call(self, input):
        return tf.matmul(input, self.kernel)


def test_a_layer_without_super_init():
    layer = Plain(3)
    assert not layer.built and layer.variables == [] and layer.trainable and layer.losses == []
    assert layer(tf.ones([2, 4])).shape == (2, 3) and layer.built
    assert [v.shape for v in layer.variables] == [(4, 3)]
    kernel = layer.kernel
    layer(tf.ones([5, 4]), training=True)
    assert layer.kernel is kernel and layer.name.startswith("plain")
    assert kernel.name == f"{layer.name}/kernel:0" and layer.get_config() == {"units": 3}
    limit = np.sqrt(6 / 7)
    assert abs(kernel.numpy()).max() <= limit and kernel.numpy().std() > 0


def test_build_sees_shapes():
    seen = []

    class Shapes(layers.Layer):
        def build(self, input_shape):
            seen.append(input_shape)

        def call(self, inputs):
            return inputs
    Shapes()(tf.zeros([2, 3]))
    assert seen[-1] == (2, 3) and seen[-1].shape == (2, 3) and seen[-1].shape[-1] == seen[-1][-1].value == 3
    Shapes()([tf.zeros([2, 3]), tf.zeros([4])])
    assert seen[-1] == [(2, 3), (4,)]
    Shapes()({"a": tf.zeros([1])})
    assert seen[-1] == {"a": (1,)}


def test_training_reaches_those_that_take_it():
    got = []

    class Takes(layers.Layer):
        def call(self, x, training=None):
            got.append(training)
            return x

    class Swallows(layers.Layer):
        def call(self, x, **kwargs):
            got.append(kwargs)
            return x

    class Refuses(layers.Layer):
        def call(self, x):
            return x
    for cls in (Takes, Swallows, Refuses):
        cls()(tf.zeros([1]), training=True)
    Takes()(tf.zeros([1]))
    assert got == [True, {"training": True}, None]
    with pytest.raises(TypeError):
        Refuses()(tf.zeros([1]), other=3)


def test_variables_of_a_layer():
    class Many(layers.Layer):
        def __init__(self):
            super().__init__(name="many")
            self.inner = layers.Dense(2)
            self.scale = tf.Variable(2.)
            self.count = tf.Variable(0, trainable=False)
            self.first = self.add_weight("w", shape=[2], initializer="ones", regularizer=lambda w: tf.reduce_sum(w))
            self.second = self.add_weight("w", [3], trainable=False, dtype=tf.int32)

        def call(self, x):
            return self.inner(x) * self.scale
    layer = Many()
    assert [v.shape for v in layer.variables] == [(), (2,), (), (3,)]
    layer(tf.zeros([1, 5]))
    assert [v.shape for v in layer.trainable_variables] == [(5, 2), (2,), (), (2,)]
    assert [v.shape for v in layer.non_trainable_variables] == [(), (3,)]
    assert layer.weights == layer.variables and layer.second.numpy().tolist() == [0, 0, 0]
    assert [float(x) for x in layer.losses] == [2.] and layer.updates == []
    layer.inner.trainable = False
    assert [v.shape for v in layer.trainable_weights] == [(), (2,)]
    layer.trainable = False
    assert layer.trainable_variables == [] and len(layer.variables) == 6
    with pytest.raises(ValueError, match=r"must be fully known, it is \(\?, 2\)"):
        layer.add_variable("u", [None, 2])


def test_names_count_up():
    tf.keras.backend.clear_session()
    assert [layers.Dense(1).name, layers.Dense(1).name, layers.BatchNormalization().name, layers.ReLU().name] == [
        "dense", "dense_1", "batch_normalization", "re_lu"]
    assert layers.Dense(1, name="mine").name == "mine"


def test_weights_and_config():
    layer = layers.Dense(2, weights=[np.ones((3, 2)), np.zeros(2)])
    assert layer(tf.ones([1, 3])).numpy().tolist() == [[3., 3.]]
    with pytest.raises(ValueError, match="2 arrays are wanted, there are 1"):
        layer.set_weights([np.ones((3, 2))])
    with pytest.raises(ValueError, match=r"kernel:0 has shape \(3, 2\), the array \(2, 3\)"):
        layer.set_weights([np.ones((2, 3)), np.zeros(2)])
    with pytest.raises(FailedPreconditionError, match="no variables yet"):
        layers.Dense(2).count_params()
    assert layer.count_params() == 8


def test_losses():
    assert float(tf.keras.regularizers.l2(.5)(tf.ones([3]))) == 1.5
    assert float(tf.keras.regularizers.l1_l2(.5, .25)(tf.constant([1., -2.]))) == pytest.approx(1.5 + 1.25)
    assert tf.keras.regularizers.get(None) is None
    with pytest.raises(ValueError):
        tf.keras.regularizers.get("l3")
    layer = layers.Dense(2, kernel_regularizer="l1", activity_regularizer=tf.keras.regularizers.l2(1.),
                         kernel_initializer="ones")
    layer.add_loss(lambda: tf.constant(7.))
    with tf.GradientTape() as tape:
        for _ in range(2):
            layer(tf.ones([1, 3]))
        total = tf.add_n(layer.losses)
    assert float(total) == pytest.approx(.06 + 7. + 18.)
    assert tape.gradient(total, layer.kernel) is not None


def test_activations_and_constraints():
    a = tf.keras.activations
    x = np.array([-2., -.5, 0., .5, 2.], np.float32)
    for name, formula in (("softplus", lambda x: np.log1p(np.exp(x))), ("softsign", lambda x: x / (1 + abs(x))),
                          ("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("exponential", np.exp), ("relu", relu),
                          ("elu", lambda x: np.where(x > 0, x, np.expm1(x))), ("linear", lambda x: x),
                          ("selu", lambda x: 1.05070098 * np.where(x > 0, x, 1.67326324 * np.expm1(x)))):
        np.testing.assert_allclose(tf.convert_to_tensor(a.get(name)(x)).numpy(), formula(x), rtol=1e-5, atol=1e-6)
    c = tf.keras.constraints
    w = tf.constant([[3., .1], [4., .1]])
    np.testing.assert_allclose(np.linalg.norm(c.max_norm(1.)(w).numpy(), axis=0), [1., .1414], rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(c.get("unit_norm")(w).numpy(), axis=0), [1., 1.], rtol=1e-5)
    assert c.get("non_neg")(tf.constant([-1., 1.])).numpy().tolist() == [0., 1.] and c.get(None) is None
    with pytest.raises(ValueError):
        c.get("min_norm")


def test_floatx():
    tf.keras.backend.set_floatx("float16")
    try:
        layer = layers.Dense(2)
        layer.build(tf.TensorShape([None, 3]))
        assert layer.kernel.dtype == np.float16
    finally:
        tf.keras.backend.set_floatx("float32")
    with pytest.raises(ValueError):
        tf.keras.backend.set_floatx("int32")
