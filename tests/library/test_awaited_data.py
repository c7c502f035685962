"""Datasets made of placeholders and of what a graph computes, as TensorFlow 1.x feeds its pipelines."""

import numpy as np
import pytest

import cltensor as tf

Dataset = tf.data.Dataset
DATA = np.arange(15, dtype=np.float32).reshape(5, 3)


@pytest.fixture
def sess():
    with tf.Session(graph=tf.Graph()) as session:
        yield session


def _pass(sess, tensors):
    out = []
    with pytest.raises(tf.errors.OutOfRangeError, match="end of sequence"):
        while True:
            out.append(sess.run(tensors))
    return out


def test_a_pipeline_is_fed_when_it_is_initialised(sess):
    features, labels = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.int64, [None])
    size = tf.placeholder(tf.int64, [])
    data = Dataset.from_tensor_slices((features, {"y": labels})).map(lambda x, y: (x * 2.0, y)).batch(size)
    iterator = data.make_initializable_iterator()
    x, other = iterator.get_next()
    assert x.shape.as_list() == [None, 3] and other["y"].shape.as_list() == [None] and x.dtype == tf.float32
    with pytest.raises(tf.errors.FailedPreconditionError, match="run iterator.initializer first"):
        sess.run(x)
    start = iterator.initializer
    for rows, batch in ((5, 2), (4, 4), (5, 3)):
        sess.run(start, {features: DATA[:rows], labels: np.arange(rows), size: batch})
        got = _pass(sess, [x, other["y"]])
        assert [len(y) for _, y in got] == [min(batch, rows - i) for i in range(0, rows, batch)]
        np.testing.assert_array_equal(np.concatenate([x for x, _ in got]), DATA[:rows] * 2)
        np.testing.assert_array_equal(np.concatenate([y for _, y in got]), np.arange(rows))
    with pytest.raises(tf.errors.InvalidArgumentError, match="nothing is fed"):
        sess.run(start, {features: DATA, labels: [0] * 5})
    with pytest.raises(ValueError, match="numbers of slices differ, 5 != 4"):
        sess.run(start, {features: DATA, labels: [0] * 4, size: 1})


@pytest.mark.parametrize("make, fed, want", [
    (lambda n: Dataset.range(n), 3, [0, 1, 2]),
    (lambda n: Dataset.range(10).take(n), 2, [0, 1]),
    (lambda n: Dataset.range(4).skip(n).repeat(n), 3, [3, 3, 3]),
    (lambda n: Dataset.range(4).shard(2, n), 1, [1, 3]),
    (lambda n: Dataset.range(4).shuffle(n, seed=1).filter(lambda v: v > 1).map(lambda v: v * 0), 4, [0, 0]),
    (lambda n: Dataset.from_tensors(n).concatenate(Dataset.range(2)), 7, [7, 0, 1]),
    (lambda n: Dataset.from_tensor_slices([n, n]), 7, [7, 7]),
    (lambda n: Dataset.range(2).interleave(lambda v: Dataset.range(2), n), 2, [0, 0, 1, 1]),
    (lambda n: Dataset.from_generator(lambda k: range(int(k)), tf.int64, args=(n,)), 2, [0, 1]),
    (lambda n: Dataset.range(n).prefetch(2).cache().apply(lambda d: d.map(lambda v: v + 1)), 2, [1, 2]),
    (lambda n: Dataset.zip((Dataset.range(n), Dataset.range(5))).map(lambda a, b: a + b), 3, [0, 2, 4]),
    (lambda n: Dataset.range(n * 2), 2, [0, 1, 2, 3]),
])
def test_numbers_of_a_pipeline_are_fed(make, fed, want, sess):
    n = tf.placeholder(tf.int64, [])
    iterator = make(n).make_initializable_iterator()
    element = iterator.get_next()
    assert element.shape == ()
    sess.run(iterator.initializer, {n: fed})
    assert _pass(sess, element) == want


def test_shapes_of_elements_are_found_by_example(sess):
    open_rank, matrix = tf.placeholder(tf.float32), tf.placeholder(tf.float32, [None, None, 4])
    ids = tf.placeholder(tf.int32, [None])
    shapes = [d.output_shapes for d in (
        Dataset.from_tensor_slices(open_rank), Dataset.from_tensor_slices(matrix),
        Dataset.from_tensor_slices(matrix).batch(2), Dataset.from_tensor_slices(matrix).batch(2, drop_remainder=True),
        Dataset.from_tensors(matrix), Dataset.from_tensor_slices(ids).map(lambda i: tf.one_hot(i, 10)),
        Dataset.range(9).batch(tf.cast(tf.size(ids), tf.int64)))]
    assert shapes[0].dims is None
    assert [s.as_list() for s in shapes[1:]] == [[None, 4], [None, None, 4], [2, None, 4], [None, None, 4], [10],
                                                 [None]]
    x = Dataset.from_tensor_slices(open_rank).make_initializable_iterator()
    element = x.get_next()
    sess.run(x.initializer, {open_rank: DATA})
    np.testing.assert_array_equal(sess.run(element), DATA[0])


def test_an_open_size_beside_a_known_one(sess):
    x, y = tf.placeholder(tf.float32, [5, 3]), tf.placeholder(tf.float32, [None, None])
    data = Dataset.from_tensor_slices((x, {"y": y}))
    shapes = data.output_shapes
    assert shapes[0].as_list() == [3] and shapes[1]["y"].as_list() == [None]
    iterator = data.make_initializable_iterator()
    element = iterator.get_next()
    sess.run(iterator.initializer, {x: DATA, y: DATA[:, :2]})
    assert sess.run(element)[1]["y"].tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="a tensor of shape"):
        assert Dataset.from_tensor_slices(tf.placeholder(tf.float32, [])).output_shapes


def test_one_structure_for_fed_and_known_data(sess):
    """The usual way from training to validation."""
    fed = tf.placeholder(tf.float32, [None, 3])
    train = Dataset.from_tensor_slices(fed).repeat(2).batch(4)
    test = Dataset.from_tensor_slices(DATA).batch(3)
    iterator = tf.data.Iterator.from_structure(test.output_types, test.output_shapes)
    x = iterator.get_next()
    rows = tf.shape(x)[0]
    to_train, to_test = iterator.make_initializer(train), iterator.make_initializer(test)
    for _ in range(2):
        sess.run(to_train, {fed: DATA})
        assert _pass(sess, rows) == [4, 4, 2]
        sess.run(to_test)
        assert _pass(sess, rows) == [3, 2]


def test_what_a_graph_computes_is_data(sess):
    drawn = tf.random_uniform([4, 2])
    iterator = Dataset.from_tensor_slices(drawn).make_initializable_iterator()
    x = iterator.get_next()
    both = []
    for _ in range(2):
        sess.run(iterator.initializer)
        both.append(np.array(_pass(sess, x)))
    assert both[0].shape == (4, 2) and (both[0] != both[1]).all()


def test_there_are_no_elements_without_a_run(sess):
    data = Dataset.from_tensor_slices(tf.placeholder(tf.float32, [None], name="fed"))
    for ask in (data.make_one_shot_iterator, lambda: list(data)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r'made of Tensor\("fed:0".*initializer'):
            ask()
