"""The same model code in a graph and eagerly: input pipelines, training, metrics, summaries, checkpoints."""

import glob
import os

import numpy as np
import pytest

import cltensor as tf
from cltensor.summary.writer import _Default

tfe = tf.contrib.eager
summary = tf.contrib.summary
RNG = np.random.default_rng(0)
DATA = RNG.standard_normal((20, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 20).astype(np.int32)


@pytest.fixture
def sess():
    with tf.Session(graph=tf.Graph()) as session:
        yield session


def model_of(seed=7):
    tf.set_random_seed(seed)
    return tf.keras.Sequential([tf.keras.layers.Dense(8, activation="tanh", input_shape=(4,)),
                                tf.keras.layers.Dense(3)])


# -- input pipelines
def test_a_one_shot_iterator_ends_with_out_of_range(sess):
    data = tf.data.Dataset.from_tensor_slices((DATA, (LABELS, DATA[:, 0]))).batch(8)
    x, (y, z) = data.make_one_shot_iterator().get_next()
    assert x.shape.as_list() == [None, 4] and y.dtype == tf.int32 and z.shape.as_list() == [None]
    total = tf.reduce_sum(x, axis=1) + z
    sizes = []
    with pytest.raises(tf.errors.OutOfRangeError, match="end of sequence"):
        while True:
            got, labels = sess.run([total, y])
            np.testing.assert_array_equal(labels, LABELS[sum(sizes):][:len(got)])
            sizes.append(len(got))
    assert sizes == [8, 8, 4]


def test_a_run_takes_an_element_only_if_it_needs_one(sess):
    n = tf.data.Dataset.range(10).make_one_shot_iterator().get_next()
    twice, other = n * 2, tf.constant(1.0) + 1.0
    assert sess.run([n, twice]) == [0, 0] and sess.run(other) == 2.0
    assert sess.run([n, n]) == [1, 1] and sess.run(twice, {n: 50}) == 100 and sess.run(n) == 2
    assert len(sess.graph.plans) <= 6           # compiled like a run that is fed


def test_initializable_and_reinitializable_iterators(sess):
    iterator = tf.data.Dataset.range(3).map(lambda v: v * 10).make_initializable_iterator()
    n = iterator.get_next()
    with pytest.raises(tf.errors.FailedPreconditionError, match="run iterator.initializer first"):
        sess.run(n)
    for _ in range(2):
        sess.run(iterator.initializer)
        assert [sess.run(n) for _ in range(3)] == [0, 10, 20]
    either = tf.data.Iterator.from_structure(tf.float32, [None, 4])
    x = either.get_next()
    train = either.make_initializer(tf.data.Dataset.from_tensor_slices(DATA).batch(7))
    test = either.make_initializer(tf.data.Dataset.from_tensors(DATA[:2]))
    sess.run(train)
    assert sess.run(x).shape == (7, 4)
    sess.run(test)
    assert sess.run(x).shape == (2, 4)
    with pytest.raises(TypeError, match="the iterator's float32"):
        either.make_initializer(tf.data.Dataset.range(3))
    with pytest.raises(ValueError, match="use make_initializer"):
        assert either.initializer
    sess.run(either.make_initializer(tf.data.Dataset.from_tensors(DATA[:, :3])))
    with pytest.raises(ValueError, match=r"is fed a value of shape \(20, 3\)"):
        sess.run(x)


def test_initializable_iterators_are_for_graphs():
    with pytest.raises(RuntimeError, match="iterate over the dataset"):
        tf.data.Dataset.range(3).make_initializable_iterator()


# -- training
def test_a_model_trained_from_a_pipeline_is_the_eager_one():
    def data():
        return tf.data.Dataset.from_tensor_slices((DATA, LABELS)).shuffle(20, seed=3).batch(6).repeat(2)
    model, optimizer = model_of(), tf.train.AdamOptimizer(0.01)
    tf.set_random_seed(1)
    for x, y in data():
        optimizer.minimize(lambda x=x, y=y: tf.losses.sparse_softmax_cross_entropy(labels=y, logits=model(x)))
    with tf.Graph().as_default(), tf.Session() as sess:
        twin = model_of()
        tf.set_random_seed(1)
        x, y = data().make_one_shot_iterator().get_next()
        step = tf.train.get_or_create_global_step()
        train = tf.train.AdamOptimizer(0.01).minimize(
            tf.losses.sparse_softmax_cross_entropy(labels=y, logits=twin(x)), global_step=step)
        sess.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.OutOfRangeError):
            while True:
                sess.run(train)
        assert sess.run(step) == 8
    for a, b in zip(model.variables, twin.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_keras_training_inside_a_graph_is_the_eager_one():
    def fitted():
        model = model_of()
        model.compile(tf.train.AdamOptimizer(0.01), "mse")
        history = model.fit(DATA, DATA[:, :3], epochs=2, batch_size=8, shuffle=False, verbose=0).history
        return model, history["loss"], model.evaluate(DATA, DATA[:, :3], verbose=0), model.predict(DATA)
    model, *want = fitted()
    with tf.Graph().as_default(), tf.Session() as sess:
        twin, *got = fitted()
        y = twin(tf.placeholder_with_default(DATA, [None, 4]))
        np.testing.assert_array_equal(sess.run(y), got[2])
        twin.set_weights([w * 0.0 for w in twin.get_weights()])
        assert not sess.run(y).any()
    assert got[:2] == want[:2]
    np.testing.assert_array_equal(got[2], want[2])


def test_statistics_of_batches_are_updates():
    layer = tf.keras.layers.BatchNormalization(momentum=0.5)
    layer(tf.constant(DATA), training=True)
    with tf.Graph().as_default(), tf.Session() as sess:
        model = tf.keras.Sequential([tf.keras.layers.BatchNormalization(momentum=0.5)])
        x = tf.placeholder(tf.float32, [None, 4])
        y = model(x, training=True)
        sess.run(tf.global_variables_initializer())
        sess.run(y, {x: DATA})
        mean = model.layers[0].moving_mean
        assert not sess.run(mean).any()             # no run has reached the updates
        sess.run([y, model.updates], {x: DATA})
        np.testing.assert_array_equal(sess.run(mean), layer.moving_mean.numpy())


# -- metrics
def test_metrics_gather_over_runs(sess):
    x = tf.placeholder(tf.float32, [None])
    mean = tfe.metrics.Mean("loss")
    update, value = mean(x * 2.0), mean.result()
    accuracy = tfe.metrics.Accuracy()
    hits = accuracy(tf.cast(x, tf.int32), [1, 0], weights=[1.0, 3.0])
    rate = accuracy.result()
    assert value.dtype == tf.float64 and value.shape == ()
    assert sess.run([update, hits], {x: [1.0, 0.0]}) == [None, None]
    assert sess.run([value, rate]) == [1.0, 1.0]
    sess.run(tf.group(update, hits), {x: [1.0, 3.0]})
    assert sess.run(value * 10.0) == 25.0 and sess.run(rate) == 5 / 8
    sess.run([mean.init_variables()])
    sess.run(update, {x: [4.0]})
    assert sess.run(value) == 8.0
    assert tf.local_variables() == [*mean.variables, *accuracy.variables]


def test_an_update_that_fails_adds_nothing(sess):
    x = tf.placeholder(tf.float32, [None])
    mean, v = tfe.metrics.Mean(), tf.Variable([0.0, 0.0])
    both = [mean(x), v.assign(x)]
    sess.run(tf.global_variables_initializer())
    sess.run(both, {x: [1.0, 3.0]})
    with pytest.raises(ValueError, match="assign"):
        sess.run(both, {x: [1.0, 2.0, 3.0]})
    assert sess.run([mean.result(), v])[0] == 2.0


# -- summaries
def events(folder):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    found = []
    for path in glob.glob(os.path.join(folder, "*tfevents*")):
        for event in loader.LegacyEventFileLoader(path).Load():
            found += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
    return found


def test_a_summary_may_have_any_tag(sess, tmp_path):
    with summary.create_file_writer(str(tmp_path)).as_default(), summary.always_record_summaries():
        op = summary.scalar("loss, all of it", tf.constant(1.0) * 2.0)
    assert op.name == "loss__all_of_it"


def test_summaries_are_operations_of_the_graph(sess, tmp_path, monkeypatch):
    monkeypatch.setattr(_Default, "process", None)          # samples of the guide make one that stays
    x = tf.placeholder(tf.float32, [])
    step = tf.train.get_or_create_global_step()
    writer = summary.create_file_writer(str(tmp_path))
    assert summary.scalar("without a writer", x) is None
    with writer.as_default():
        assert summary.all_summary_ops() == []
        with summary.record_summaries_every_n_global_steps(2):
            op = summary.scalar("x", x * 2.0)
        with summary.always_record_summaries():
            summary.scalar("at", x, step=tf.constant(100, tf.int64) + tf.cast(x, tf.int64))
            summary.histogram("h", tf.stack([x, x + 1.0]))
        summary.scalar("never", x)
    sess.run([tf.global_variables_initializer(), *summary.summary_writer_initializer_op()])
    summary.initialize(session=sess)
    assert summary.all_summary_ops()[0] is op
    for i in range(4):
        assert sess.run(summary.all_summary_ops(), {x: float(i)}) == [None] * 4
        sess.run(step.assign_add(1))
    sess.run(summary.flush(writer))
    assert [e for e in events(tmp_path) if e[1] == "x"] == [(0, "x", 0.0), (2, "x", 4.0)]
    assert [e[0] for e in events(tmp_path) if e[1] == "at"] == [100, 101, 102, 103]
    assert not [e for e in events(tmp_path) if e[1] == "never"]
    assert sum(e[1] == "h" for e in events(tmp_path)) == 4


# -- checkpoints
def build(x):
    model = model_of(3)
    return model, tf.train.AdamOptimizer(0.05), model(x)


def test_a_checkpoint_moves_between_the_modes(tmp_path):
    prefix = str(tmp_path / "ckpt")
    model, optimizer, _ = build(tf.constant(DATA))
    for _ in range(3):
        optimizer.minimize(lambda: tf.reduce_sum(tf.square(model(tf.constant(DATA)))))
    step = tf.train.get_or_create_global_step()
    step.assign(3)
    path = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step).save(prefix)
    after = [v.numpy() for v in model.variables]
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [None, 4])
        twin, again, y = build(x)
        train = again.minimize(tf.reduce_sum(tf.square(y)), global_step=tf.train.get_or_create_global_step())
        root = tf.train.Checkpoint(model=twin, optimizer=again, step=tf.train.get_or_create_global_step())
        status = root.restore(path)
        status.assert_consumed().initialize_or_restore(sess)
        for a, v in zip(after, twin.variables, strict=True):
            np.testing.assert_array_equal(sess.run(v), a)
        sess.run(tf.global_variables_initializer())
        assert sess.run(tf.train.get_global_step()) == 0
        status.run_restore_ops(sess)                # an initializer that ran later does not win
        assert sess.run(tf.train.get_global_step()) == 3
        sess.run(train, {x: DATA})
        onwards = root.save(prefix, session=sess)
        finals = sess.run(twin.variables)
    assert onwards.endswith("-2")
    optimizer.minimize(lambda: tf.reduce_sum(tf.square(model(tf.constant(DATA)))))
    for v, f in zip(model.variables, finals, strict=True):      # the fourth step was the same
        np.testing.assert_array_equal(v.numpy(), f)
    fresh = tf.train.Checkpoint(model=model_of(9), step=tf.Variable(0, dtype=tf.int64))
    fresh.restore(onwards)
    for v, f in zip(fresh.model.variables, finals, strict=True):
        np.testing.assert_array_equal(v.numpy(), f)
    assert int(fresh.step) == 4


def test_restoring_without_a_checkpoint_initialises(tmp_path, sess):
    v, w = tf.Variable([1.0]), tf.Variable(tf.random_uniform([3]))
    root = tf.train.Checkpoint(v=v, w=w)
    with pytest.raises(tf.errors.FailedPreconditionError, match="is not initialised"):
        root.save(str(tmp_path / "c"))
    root.restore(None).initialize_or_restore(sess)
    assert sess.run(v).tolist() == [1.0] and sess.run(w).shape == (3,)
    sess.run(v.assign([2.0]))
    path = root.save(str(tmp_path / "c"))
    sess.run(v.assign([3.0]))
    root.restore(path).assert_consumed().initialize_or_restore()
    assert sess.run(v).tolist() == [2.0]


def test_a_layer_made_after_the_restore_starts_from_the_saved_value(tmp_path):
    layer = tf.keras.layers.Dense(2)
    want = layer(tf.constant(DATA)).numpy()
    path = tf.train.Checkpoint(layer=layer).save(str(tmp_path / "c"))
    with tf.Graph().as_default(), tf.Session() as sess:
        late = tf.keras.layers.Dense(2)
        tf.train.Checkpoint(layer=late).restore(path)
        y = late(tf.placeholder_with_default(DATA, [None, 4]))
        np.testing.assert_array_equal(sess.run(y), want)
