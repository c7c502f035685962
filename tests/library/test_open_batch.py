"""Models on a batch whose size is open: layers that ask for it are called by the runs, with eager mode's bits."""

import numpy as np
import pytest

import cltensor as tf

layers = tf.keras.layers
RNG = np.random.default_rng(0)


def images(n=3):
    return RNG.standard_normal((n, 8, 8, 2)).astype(np.float32)


def sequences(n=3):
    return RNG.standard_normal((n, 5, 4)).astype(np.float32)


MODELS = {
    "convolutions": (lambda: [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
                              layers.Dense(3)], images),
    "batch norm": (lambda: [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Activation("relu"),
                            layers.GlobalAveragePooling2D()], images),
    "transposed": (lambda: [layers.Conv2DTranspose(3, 3, strides=2), layers.Reshape((-1,)), layers.Dense(2)], images),
    "upsampling": (lambda: [layers.UpSampling2D(), layers.ZeroPadding2D(), layers.Flatten()], images),
    "lstm": (lambda: [layers.LSTM(4, return_sequences=True), layers.LSTM(3)], sequences),
    "gru": (lambda: [layers.GRU(4), layers.Dense(2)], sequences),
    "simple rnn": (lambda: [layers.SimpleRNN(4, return_sequences=True), layers.Flatten()], sequences),
    "time distributed": (lambda: [layers.TimeDistributed(layers.Dense(3)), layers.Permute((2, 1))], sequences),
}


@pytest.mark.parametrize("name", MODELS)
def test_values_and_gradients_are_eager_ones(name):
    build, data = MODELS[name]
    batches = [data(3), data(2)]
    model = tf.keras.Sequential(build())
    model(tf.constant(batches[0]))
    want = []
    for x in batches:
        with tf.GradientTape() as tape:
            y = model(tf.constant(x))
            loss = tf.reduce_sum(tf.square(y))
        want.append((y.numpy(), [g.numpy() for g in tape.gradient(loss, model.trainable_variables)]))
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [None, *batches[0].shape[1:]])
        y = model(x)
        grads = tf.gradients(tf.reduce_sum(tf.square(y)), model.trainable_variables)
        for batch, (value, by) in zip(batches, want):
            got = sess.run([y, grads], {x: batch})
            np.testing.assert_array_equal(got[0], value)
            assert y.shape.as_list() == [None, *value.shape[1:]]
            for g, w in zip(got[1], by, strict=True):
                np.testing.assert_allclose(g, w, rtol=2e-5, atol=2e-5)


def test_dropout_draws_at_each_run_and_follows_the_seed():
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [None, 50])
        y = layers.Dropout(0.5)(x, training=True)
        ones = np.ones((4, 50), np.float32)
        tf.set_random_seed(3)
        first, second = sess.run(y, {x: ones}), sess.run(y, {x: ones})
        tf.set_random_seed(3)
        again = sess.run(y, {x: ones})
        g = sess.run(tf.gradients(y, x)[0], {x: ones})
    assert not np.array_equal(first, second) and np.array_equal(first, again)
    assert set(np.unique(first)) == {0.0, 2.0} and set(np.unique(g)) == {0.0, 2.0}
    tf.set_random_seed(3)
    np.testing.assert_array_equal(first, tf.nn.dropout(tf.constant(ones), rate=0.5).numpy())


def test_shapes_are_calculated_with():
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [None, None, 3])
        n, m = tf.shape(x)[0], tf.shape(x)[1]
        flat = tf.reshape(x, [n * m, 3])
        assert flat.shape.as_list() == [None, 3]
        back = tf.reshape(flat, tf.stack([n, m, 3]))
        assert back.shape.as_list() == [None, None, 3]
        tiled = tf.tile(tf.zeros([1, 3]), [n, 1]) + x[:, 0]
        value = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
        got = sess.run([flat, back, tiled, tf.range(n), tf.size(x), tf.rank(x), x[:n - 1], tf.eye(m)], {x: value})
    want = [value.reshape(4, 3), value, value[:, 0], [0, 1], 12, 3, value[:1], np.eye(2)]
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)


def test_shapes_that_depend_on_values_run_op_by_op():
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [None])
        kept = tf.boolean_mask(x, x > 1.0)
        total = tf.reduce_sum(kept * kept)
        grad = tf.gradients(total, x)[0]
        n = tf.placeholder(tf.int32, [])
        v = tf.Variable([0.0, 0.0])
        put = v.assign(tf.ones([n]) * 2.0)
        sess.run(tf.global_variables_initializer())
        assert sess.run([kept, total, grad], {x: [3.0, 0.0, 2.0]})[1] == 13.0
        assert sess.run(grad, {x: [3.0, 0.0, 2.0]}).tolist() == [6.0, 0.0, 4.0]
        assert sess.run(tf.zeros([n, 2]), {n: 3}).shape == (3, 2)
        assert sess.run(put, {n: 2}).tolist() == [2.0, 2.0]
        with pytest.raises(ValueError, match="assign"):
            sess.run(put, {n: 3})
        assert sess.run(v).tolist() == [2.0, 2.0]


def test_a_traced_function_says_which_op_needs_a_value():
    @tf.function
    def f(x):
        return tf.boolean_mask(x, x > 0.0)
    with pytest.raises(RuntimeError, match=r"boolean_mask: the shape of its result depends on values.*py_func"):
        f(tf.constant([1.0, -1.0]))
    assert tf.executing_eagerly()


def test_errors_no_size_would_help_come_at_once():
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 3])
        count = len(graph.nodes)
        with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\)"):
            tf.nn.dropout(x, rate=2.0)
        with pytest.raises(ValueError, match="unknown size|known only when values are fed"):
            tf.zeros((None, 3))
        assert len(graph.nodes) == count


def test_a_call_for_later_reads_and_writes_variables_in_order():
    class Counting(layers.Layer):
        def build(self, input_shape):
            self.seen = self.add_variable("seen", [], initializer="zeros", trainable=False)
            self.w = self.add_variable("w", [3], initializer="ones")

        def call(self, x):
            self.seen.assign_add(1.0)
            return tf.reshape(x * self.w, (x.shape[0] * 3,))

    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [None, 3])
        layer = Counting()
        y = layer(x)
        g = tf.gradients(y, layer.w)[0]
        with pytest.raises(tf.errors.FailedPreconditionError, match="w:0 is not initialised|seen:0 is not initialised"):
            sess.run(y, {x: np.ones((2, 3))})
        sess.run(tf.global_variables_initializer())
        assert sess.run(y, {x: np.ones((2, 3))}).tolist() == [1.0] * 6
        assert sess.run(g, {x: np.ones((2, 3))}).tolist() == [2.0] * 3
        with tf.control_dependencies([layer.w.assign([5.0, 5.0, 5.0])]):
            after = layer(x)
        assert sess.run(after, {x: np.ones((1, 3))}).tolist() == [5.0] * 3
        assert sess.run(y, {x: np.ones((1, 3))}).tolist() == [5.0] * 3
