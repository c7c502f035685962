"""tf.metrics: values over the runs of a graph, compared with NumPy's over all of the data."""

import numpy as np
import pytest

import cltensor as tf

rng = np.random.default_rng(0)
BATCHES = [(rng.integers(0, 2, n), rng.integers(0, 2, n), rng.uniform(0.5, 2.0, n).astype(np.float32))
           for n in (7, 1, 12)]


def _cells(y, p, w):
    return {"true_positives": w @ (y & p), "true_negatives": w @ ((1 - y) & (1 - p)),
            "false_positives": w @ ((1 - y) & p), "false_negatives": w @ (y & (1 - p))}


TRUTH = {
    "accuracy": lambda y, p, w: np.average(y == p, weights=w),
    "mean_absolute_error": lambda y, p, w: np.average(abs(y - p), weights=w),
    "mean_squared_error": lambda y, p, w: np.average((y - p) ** 2, weights=w),
    "root_mean_squared_error": lambda y, p, w: np.sqrt(np.average((y - p) ** 2, weights=w)),
    "precision": lambda y, p, w: w @ (y & p) / max(w @ p, 1e-9),
    "recall": lambda y, p, w: w @ (y & p) / max(w @ y, 1e-9),
    **{cell: (lambda y, p, w, cell=cell: _cells(y, p, w)[cell]) for cell in (
        "true_positives", "true_negatives", "false_positives", "false_negatives")},
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", TRUTH)
def test_values_over_all_runs(name, weighted):
    with tf.Graph().as_default(), tf.Session() as sess:
        y, p = tf.placeholder(tf.int64, [None]), tf.placeholder(tf.int32, [None])
        w = tf.placeholder(tf.float32, [None])
        value, update = getattr(tf.metrics, name)(y, p, weights=w if weighted else None,
                                                  metrics_collections=["values"], updates_collections="updates")
        assert tf.get_collection("values") == [value] and tf.get_collection("updates") == [update]
        assert not tf.trainable_variables() and not tf.global_variables()
        assert all(v.name.startswith(f"{name}/") for v in tf.local_variables())
        init = tf.local_variables_initializer()
        with pytest.raises(tf.errors.FailedPreconditionError, match="not initialised"):
            sess.run(value)
        for _ in range(2):
            sess.run(init)
            assert sess.run(value) == 0.0
            seen = ([], [], [])
            for batch in BATCHES:
                for kept, new in zip(seen, batch if weighted else (*batch[:2], np.ones(len(batch[0])))):
                    kept.extend(new)
                now = sess.run(update, dict(zip((y, p, w), batch)))
                want = TRUTH[name](*map(np.array, seen))
                np.testing.assert_allclose([now, sess.run(value)], want, rtol=1e-5, atol=1e-7)
        plans = len(sess.graph.plans)
        sess.run(update, dict(zip((y, p, w), BATCHES[0])))
        assert len(sess.graph.plans) == plans


def test_mean_of_a_matrix_with_weights_of_rows():
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [None, 2])
        value, update = tf.metrics.mean(x, weights=[[1.0], [3.0]], name="m")
        again, _ = tf.metrics.mean(x)
        sess.run(tf.local_variables_initializer())
        assert sess.run(update, {x: [[1.0, 2.0], [3.0, 4.0]]}) == (3.0 + 21.0) / 8.0 == sess.run(value)
        assert [v.name for v in tf.local_variables()] == ["m/total:0", "m/count:0", "mean/total:0", "mean/count:0"]


def test_eagerly_there_are_objects():
    with pytest.raises(RuntimeError, match="eagerly tf.contrib.eager.metrics has objects"):
        tf.metrics.accuracy([1], [1])
