"""tf.layers: functions whose variables are found by name, compared with NumPy, in a graph and eagerly."""

import numpy as np
import pytest

import cltensor as tf

tfe = tf.contrib.eager
X = np.random.RandomState(0).randn(5, 3).astype(np.float32)


@pytest.fixture
def sess():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def names(key=tf.GraphKeys.GLOBAL_VARIABLES):
    return [v.name for v in tf.get_collection(key)]


# -- names and reuse
def test_default_names_count_and_scopes_nest(sess):
    x = tf.placeholder(tf.float32, [None, 3])
    with tf.variable_scope("net"):
        h = tf.layers.dense(x, 4, use_bias=False)
        tf.layers.dense(h, 2)
    tf.layers.dense(x, 2, name="mine", trainable=False)
    assert names() == ["net/dense/kernel:0", "net/dense_1/kernel:0", "net/dense_1/bias:0", "mine/kernel:0",
                       "mine/bias:0"]
    assert names(tf.GraphKeys.TRAINABLE_VARIABLES) == names()[:3]


def test_reuse(sess):
    x = tf.placeholder(tf.float32, [None, 3])
    with pytest.raises(ValueError, match="does not exist"):
        tf.layers.dense(x, 2, name="d", reuse=True)
    first = tf.layers.dense(x, 2, name="d", bias_initializer=tf.ones_initializer())
    with pytest.raises(ValueError, match="already exists"):
        tf.layers.dense(x, 2, name="d")
    with pytest.raises(ValueError, match="specified shape"):
        tf.layers.dense(x, 3, name="d", reuse=True)
    again = tf.layers.dense(x, 2, name="d", reuse=tf.AUTO_REUSE)
    with tf.variable_scope("", reuse=True):
        third = tf.layers.dense(x, 2, name="d")
    assert names() == ["d/kernel:0", "d/bias:0"]
    sess.run(tf.global_variables_initializer())
    a, b, c, kernel = sess.run([first, again, third, tf.global_variables()[0]], {x: X})
    np.testing.assert_allclose(a, X @ kernel + 1, rtol=1e-5)
    assert (a == b).all() and (a == c).all()


def test_eagerly_variables_are_new_but_in_a_store():
    a, b = tf.layers.dense(X, 2), tf.layers.dense(X, 2)
    assert (a.numpy() != b.numpy()).any()
    store, results = tfe.EagerVariableStore(), []
    for _ in range(2):
        with store.as_default():
            results.append(tf.layers.dense(tf.layers.dense(X, 4, tf.nn.relu), 2, name="out").numpy())
    assert (results[0] == results[1]).all()
    assert [v.name for v in store.variables()] == ["dense/bias:0", "dense/kernel:0", "out/bias:0", "out/kernel:0"]
    kernel = store.variables()[1].numpy()
    expected = np.maximum(X @ kernel, 0) @ store.variables()[3].numpy()
    np.testing.assert_allclose(results[0], expected, rtol=1e-5, atol=1e-6)


def test_initializers_and_dtypes(sess):
    with tf.variable_scope("s", initializer=tf.ones_initializer()):
        y = tf.layers.dense(tf.constant(X), 1)
    halves = tf.layers.dense(tf.cast(X, tf.float16), 1)
    sess.run(tf.global_variables_initializer())
    np.testing.assert_allclose(sess.run(y), X.sum(1, keepdims=True), rtol=1e-5, atol=1e-6)
    assert halves.dtype == tf.float16 and tf.global_variables()[-1].dtype == tf.float16


def test_regularizers_enter_the_graphs_collection_once(sess):
    x = tf.placeholder(tf.float32, [None, 3])
    for reuse in (None, True):
        tf.layers.dense(x, 2, name="d", reuse=reuse, kernel_regularizer=tf.contrib.layers.l2_regularizer(0.5))
    tf.layers.dense(x, 2, name="e", activity_regularizer=tf.reduce_sum, use_bias=False)
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert len(losses) == 2
    sess.run(tf.global_variables_initializer())
    d, _, e = tf.global_variables()
    values, d, e = sess.run([losses, d, e], {x: X})
    np.testing.assert_allclose(values[0], 0.5 * (d ** 2).sum() / 2, rtol=1e-5)
    np.testing.assert_allclose(values[1], (X @ e).sum(), rtol=1e-4, atol=1e-5)


# -- the other functions
def test_images(sess):
    x = np.random.RandomState(1).randn(2, 5, 4, 2).astype(np.float32)
    y = tf.layers.conv2d(x, 3, [3, 2], padding="same", name="c")
    pooled, mean = tf.layers.max_pooling2d(x, 2, 2), tf.layers.average_pooling2d(x, [1, 2], [2, 1])
    flat = tf.layers.flatten(y)
    sess.run(tf.global_variables_initializer())
    kernel = next(v for v in tf.global_variables() if v.name == "c/kernel:0")
    y, pooled, mean, flat, kernel = sess.run([y, pooled, mean, flat, kernel])
    padded = np.pad(x, [(0, 0), (1, 1), (0, 1), (0, 0)])
    expected = sum(padded[:, i:i + 5, j:j + 4] @ kernel[i, j] for i in range(3) for j in range(2))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert (flat == y.reshape(2, -1)).all()
    assert (pooled == x[:, :4].reshape(2, 2, 2, 2, 2, 2).max((2, 4))).all()
    np.testing.assert_allclose(mean, (x[:, ::2, :-1] + x[:, ::2, 1:]) / 2, rtol=1e-6)


def test_dropout_obeys_training(sess):
    training = tf.placeholder_with_default(False, [])
    ones = tf.ones([1000])
    always, never, fed = (tf.layers.dropout(ones, 0.25, training=t) for t in (True, False, training))
    assert (sess.run(never) == 1).all() and (sess.run(fed) == 1).all()
    for values in (sess.run(always), sess.run(fed, {training: True})):
        assert set(np.unique(values)) == {0.0, np.float32(1 / 0.75)} and 650 < (values > 0).sum() < 850


def test_eagerly_training_is_a_value():
    training = tf.constant(True)
    ones = tf.ones([100])
    dropped, kept = (tf.layers.dropout(ones, training=t).numpy() for t in (training, tf.logical_not(training)))
    assert set(np.unique(dropped)) == {0.0, 2.0} and (kept == 1).all()
    y = tf.layers.batch_normalization(X, training=True, epsilon=0.0)
    np.testing.assert_allclose(y.numpy(), (X - X.mean(0)) / X.std(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", ["python", "fed"])
def test_batch_normalization(sess, way):
    x = tf.placeholder(tf.float32, [None, 3])
    training = True if way == "python" else tf.placeholder(tf.bool, [])
    feed = {x: X} if way == "python" else {x: X, training: True}
    y = tf.layers.batch_normalization(x, momentum=0.5, epsilon=0.0, training=training, name="bn")
    loss = tf.reduce_mean(tf.square(y - 2.0))
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    assert names() == ["bn/gamma:0", "bn/beta:0", "bn/moving_mean:0", "bn/moving_variance:0"]
    assert names(tf.GraphKeys.TRAINABLE_VARIABLES) == names()[:2]
    sess.run(tf.global_variables_initializer())
    np.testing.assert_allclose(sess.run(y, feed), (X - X.mean(0)) / X.std(0), rtol=1e-4, atol=1e-5)
    sess.run(tf.global_variables_initializer())
    sess.run(train, feed)
    gamma, beta, mean, variance = sess.run(tf.global_variables())
    np.testing.assert_allclose(mean, X.mean(0) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, (1 + X.var(0)) / 2, rtol=1e-5)
    if way == "fed":
        values = sess.run(y, {x: X, training: False})
        np.testing.assert_allclose(values, (X - mean) / np.sqrt(variance) * gamma + beta, rtol=1e-4, atol=1e-5)
        assert (sess.run(tf.global_variables()[2]) == mean).all()
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    sess.run(updates, feed)             # on their own
    np.testing.assert_allclose(sess.run(tf.global_variables()[2]), X.mean(0) * 0.75, rtol=1e-5, atol=1e-6)
    assert len(updates) == 1


def test_in_a_branch_the_lists_of_the_graph_stay(sess):
    x, which = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.bool, [])

    def branch():
        y = tf.layers.dense(x, 1, use_bias=False, activity_regularizer=tf.reduce_sum)
        y = tf.layers.batch_normalization(y, training=True, epsilon=0.0)
        return tf.losses.mean_squared_error(tf.zeros([5, 1]), y)
    loss = tf.cond(which, branch, lambda: tf.constant(0.0))
    for key in (tf.GraphKeys.UPDATE_OPS, tf.GraphKeys.LOSSES, tf.GraphKeys.REGULARIZATION_LOSSES):
        assert tf.get_collection(key) == []
    sess.run(tf.global_variables_initializer())
    assert np.isclose(sess.run(loss, {x: X, which: True}), 1.0, rtol=1e-4) and sess.run(loss, {which: False, x: X}) == 0


def test_errors_name_the_layer(sess):
    with pytest.raises(ValueError, match="units must be positive"):
        tf.layers.dense(X, 0)
    with pytest.raises(ValueError, match="must be known"):
        tf.layers.dense(tf.placeholder(tf.float32, [None, None]), 2)
