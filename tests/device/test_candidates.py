"""Losses on sampled classes, compared with their formulas in float64, and the sampler with its distribution."""

import numpy as np
import pytest

import cltensor as tf

rng = np.random.default_rng(0)
V, D, B = 11, 3, 5
W, BIAS = rng.standard_normal((V, D)).astype(np.float32), rng.standard_normal(V).astype(np.float32)
X = rng.standard_normal((B, D)).astype(np.float32)


def _truth(kind, labels, sampled, of_true, of_sampled, remove):
    w, b, x = W.astype(np.float64), BIAS.astype(np.float64), X.astype(np.float64)
    full = x @ w.T + b
    true = np.take_along_axis(full, labels, 1) - np.log(of_true)
    others = full[:, sampled] - np.log(of_sampled)
    if remove:
        others[(labels[:, :, None] == sampled).any(1)] = -np.inf
    if kind == "nce_loss":
        return (np.logaddexp(0, true) - true / labels.shape[1]).sum(1) + np.logaddexp(0, others).sum(1)
    logits = np.concatenate([true, others], 1)
    return np.logaddexp.reduce(logits, axis=1) - true.mean(1)


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ["nce_loss", "sampled_softmax_loss"])
def test_the_formulas(kind, count, remove):
    labels = rng.integers(0, V, (B, count))
    sampled, of_true = np.array([0, 3, labels[0, 0], 10]), rng.uniform(0.1, 2, (B, count)).astype(np.float32)
    of_sampled = rng.uniform(0.1, 2, 4).astype(np.float32)
    got = getattr(tf.nn, kind)(W, BIAS, labels, X, 4, V, num_true=count, remove_accidental_hits=remove,
                               sampled_values=(tf.constant(sampled), tf.constant(of_true), tf.constant(of_sampled)))
    np.testing.assert_allclose(got.numpy(), _truth(kind, labels, sampled, of_true, of_sampled, remove), rtol=2e-5)


def test_a_sample_of_all_classes_is_the_softmax():
    """Then the expected counts are 1, and nothing else is left of the sampling: gradients, too."""
    w, b, labels = tf.Variable(W), tf.Variable(BIAS), rng.integers(0, V, (B, 1))
    with tf.GradientTape(persistent=True) as tape:
        sampled = tf.nn.sampled_softmax_loss(w, b, labels, X, V, V)
        whole = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels[:, 0], logits=tf.matmul(X, w, transpose_b=True) + b)
    np.testing.assert_allclose(sampled.numpy(), whole.numpy(), rtol=1e-5)
    for v in (w, b):
        np.testing.assert_allclose(tf.convert_to_tensor(tape.gradient(sampled, v)).numpy(),
                                   tape.gradient(whole, v).numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("unique", [False, True])
def test_how_often_classes_are_drawn(unique):
    tf.set_random_seed(5)
    times, count = 600, 4
    found = np.zeros(V)
    for _ in range(times):
        made = tf.nn.log_uniform_candidate_sampler(np.arange(V)[:, None], 1, count, unique, V)
        sampled = made.sampled_candidates.numpy()
        assert sampled.shape == (count,) and sampled.min() >= 0 and sampled.max() < V
        assert not unique or len(set(sampled)) == count
        np.add.at(found, sampled, 1)
    expected = made.true_expected_count.numpy()[:, 0]
    np.testing.assert_array_equal(made.sampled_expected_count.numpy(), expected[sampled])
    chance = np.log((np.arange(V) + 2) / (np.arange(V) + 1)) / np.log(V + 1)
    np.testing.assert_allclose(expected.sum(), count, rtol=1e-4)
    if not unique:
        np.testing.assert_allclose(expected, chance * count, rtol=1e-5)
    assert (np.diff(expected) < 0).all() and abs(found / times - expected).max() < 0.12


def test_word_vectors_learn_in_a_graph():
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.set_random_seed(1)
        ids, labels = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.int32, [None, 1])
        table = tf.Variable(tf.random_uniform([V, 8], -1.0, 1.0))
        loss = tf.reduce_mean(tf.nn.nce_loss(tf.Variable(tf.zeros([V, 8])), tf.Variable(tf.zeros([V])), labels,
                                             tf.nn.embedding_lookup(table, ids), 4, V))
        train = tf.train.AdamOptimizer(0.05).minimize(loss)
        sess.run(tf.global_variables_initializer())
        words = rng.integers(0, V, 64)
        feed = {ids: words, labels: ((words + 1) % V)[:, None]}
        losses = [sess.run([loss, train], feed)[0] for _ in range(60)]
        assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5]) and len(sess.graph.plans) <= 2


def test_bad_samples():
    with pytest.raises(ValueError, match="num_sampled = 5 is more than the range_max = 4"):
        tf.nn.log_uniform_candidate_sampler([[0]], 1, 5, True, 4)
    with pytest.raises(ValueError, match=r"labels must have shape \(batch, num_true = 1\), they have \(5, 2\)"):
        tf.nn.nce_loss(W, BIAS, np.zeros((5, 2), int), X, 2, V)


def test_one_table_looked_up_by_numbers_of_two_dtypes():
    table = tf.Variable(W)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.gather(table, tf.constant([1, 2]))) + tf.reduce_sum(
            tf.gather(table, tf.constant([2, 5], tf.int64)) * 3.0)
    want = np.zeros_like(W)
    want[1], want[2], want[5] = 1, 4, 3
    np.testing.assert_array_equal(tf.convert_to_tensor(tape.gradient(y, table)).numpy(), want)
