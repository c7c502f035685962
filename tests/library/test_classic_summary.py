"""tf.summary: summaries as values of a run, read back by the real tensorboard package."""

import numpy as np
import pytest

import cltensor as tf

loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
graphs = pytest.importorskip("tensorboard.compat.proto.graph_pb2")


@pytest.fixture
def sess():
    with tf.Session(graph=tf.Graph()) as session:
        yield session


def events(folder):
    return [e for path in sorted(map(str, folder.iterdir())) for e in loader.LegacyEventFileLoader(path).Load()]


def test_merged_summaries_of_a_training_run(sess, tmp_path):
    x = tf.placeholder(tf.float32, [None], name="x")
    w = tf.Variable(1.0, name="w")
    loss = tf.reduce_mean(tf.square(x * w), name="loss")
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with tf.name_scope("train"):
        first, second = tf.summary.scalar("loss", loss), tf.summary.scalar("loss", loss * 2.0)
        tf.summary.histogram("x", x)
    tf.summary.scalar("rate", loss, family="numbers")
    tf.summary.image("pictures", tf.reshape(x, [-1, 1, 1, 1]), max_outputs=2)
    alone = tf.summary.scalar("alone", w, collections=["mine"])
    merged = tf.summary.merge_all()
    assert (first.name, second.name) == ("train/loss", "train/loss_1")
    assert tf.get_collection("mine") == [alone] and len(tf.get_collection(tf.GraphKeys.SUMMARIES)) == 5
    writer = tf.summary.FileWriter(str(tmp_path), sess.graph)
    sess.run(tf.global_variables_initializer())
    want = []
    for step in range(3):
        made, value, _ = sess.run([merged, loss, train], {x: [1.0, 3.0]})
        assert isinstance(made, bytes)
        writer.add_summary(made, step)
        want.append(value)
    writer.add_summary(sess.run(tf.summary.merge([alone, first]), {x: [2.0]}), tf.constant(7))
    writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="own", simple_value=0.5)]), global_step=8)
    assert tf.Summary.FromString(alone.eval()).value[0].tag == "alone"
    writer.close()
    found = events(tmp_path)
    values = [(e.step, v) for e in found for v in e.summary.value]
    assert [v.tag for step, v in values if step == 1] == [
        "train/loss", "train/loss_1", "train/x", "numbers/numbers/rate", "pictures/image/0", "pictures/image/1"]
    np.testing.assert_allclose([v.simple_value for s, v in values if v.tag == "train/loss" and s < 3], want)
    assert next(v for _, v in values if v.tag == "train/x").histo.num == 2
    assert [(s, v.tag) for s, v in values if s > 6] == [(7, "alone"), (7, "train/loss"), (8, "own")]
    nodes = graphs.GraphDef.FromString(next(e.graph_def for e in found if e.graph_def)).node
    assert {"x", "w/read", "loss", "train/loss"} <= {n.name for n in nodes}
    assert next(n for n in nodes if n.name == "train/loss").input == ["loss"]


def test_a_summary_counts_the_values_of_its_run_once(sess):
    draws = tf.random_uniform([])
    merged = tf.summary.merge([tf.summary.scalar("a", draws), tf.summary.scalar("b", draws)])
    made, value = sess.run([merged, draws])
    a, b = tf.Summary.FromString(made).value
    assert a.simple_value == b.simple_value == value


def test_summaries_eagerly_are_bytes():
    with tf.name_scope("s"):
        made = tf.summary.merge([tf.summary.scalar("a", tf.constant(2.0)), tf.summary.histogram("h", [1.0, 2.0])])
    assert [v.tag for v in tf.Summary.FromString(made).value] == ["s/a", "s/h"]
    assert tf.summary.merge_all() is None


def test_what_is_no_summary(sess, tmp_path):
    x = tf.placeholder(tf.float32, [2])
    assert tf.summary.merge_all() is None
    with pytest.warns(UserWarning, match="'my loss' is no name for a summary, it becomes 'my_loss'"):
        op = tf.summary.scalar("my loss", x)
    with pytest.raises(ValueError, match="must be one number, it has shape"):
        sess.run(op, {x: [1.0, 2.0]})
    with pytest.raises(TypeError, match="what tf.summary functions gave is wanted"):
        tf.summary.merge([x])
    with pytest.raises(TypeError, match="name must be text"):
        tf.summary.scalar(3, x)
    with tf.summary.FileWriter(str(tmp_path)) as writer:
        with pytest.raises(TypeError, match="is a SummaryOperation; run it in a session first"):
            writer.add_summary(op)
        with pytest.raises(TypeError, match="bytes of a summary"):
            writer.add_summary(None, 1)
    with pytest.raises(RuntimeError, match="closed"):
        writer.add_summary(b"")
    writer.reopen()
    writer.add_summary(b"", 1)
    writer.close()


def test_a_summary_in_a_branch_is_not_collected(sess):
    x = tf.placeholder(tf.float32, [])
    made = tf.cond(x > 0.0, lambda: tf.summary.scalar("a", x) and x, lambda: -x)
    assert tf.summary.merge_all() is None and sess.run(made, {x: 2.0}) == 2.0
