"""Gathers and scatter-adds against NumPy: values, sparse gradients, order of sums, bad indices."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.autodiff.tape import GradientTape
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.tensor import constant, convert
from cltensor.ops import creation, gather, operators, selection, slicing  # noqa: F401 (operators installs)
from cltensor.ops.reduce import reduce_sum


def far(value):
    """A tensor without a host copy."""
    t = slicing.reverse(constant(np.array(value)), [0])
    t = slicing.reverse(t, [0])
    assert t.host is None
    return t


def rows(rng, shape, dtype=np.float32):
    return rng.integers(-50, 50, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float16, np.uint8])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_gather(dtype, index):
    rng = np.random.default_rng(0)
    for shape, axis in (((7,), 0), ((5, 16), 0), ((5, 33), 1), ((3, 4, 17), 1), ((3, 4, 5), -1), ((2, 5000), 0),
                        ((1, 1), 0)):
        x = rng.integers(0, 100, shape).astype(dtype)
        for picks in ((), (1,), (4,), (2, 3), (0,)):
            i = rng.integers(0, shape[axis], picks).astype(index)
            got = gather.gather(x, i, axis=axis)
            expected = np.take(x, i, axis)
            assert got.shape == expected.shape and np.array_equal(got.numpy(), expected)
            if i.size and i.ndim:
                assert np.array_equal(gather.gather(x, far(i), axis=axis).numpy(), expected)


@pytest.mark.oclgrind
def test_gather_nd_and_scatter_nd():
    rng = np.random.default_rng(1)
    x = rows(rng, (4, 5, 17))
    for parts in (0, 1, 2, 3):
        for picks in ((3,), (2, 3), (), (0,)):
            i = np.stack([rng.integers(0, n, picks) for n in x.shape[:parts]], -1) if parts else \
                np.zeros((*picks, 0), np.int64)
            i = i.astype(np.int32)
            expected = x[tuple(np.moveaxis(i, -1, 0))] if parts else np.broadcast_to(x, (*picks, *x.shape))
            got = gather.gather_nd(x, i)
            assert got.shape == expected.shape and np.array_equal(got.numpy(), expected), (parts, picks)
            total = np.zeros_like(x)
            np.add.at(total, tuple(np.moveaxis(i, -1, 0)) if parts else Ellipsis,
                      expected if parts else expected.sum(axis=tuple(range(len(picks)))))
            assert np.array_equal(gather.scatter_nd(i, expected, x.shape).numpy(), total), (parts, picks)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("shape,n", [((1,), 1), ((50,), 3), ((20, 7), 100), ((300, 64), 11), ((40, 300), 5),
                                     ((9, 3000), 2), ((30000,), 5), ((9000, 33), 7), ((3, 0), 2), ((0, 3), 2)])
def test_unsorted_segment_sum(dtype, shape, n):
    rng = np.random.default_rng(2)
    x = rng.integers(0, 5, shape).astype(dtype)
    ids = rng.integers(-1, n, shape[0])
    expected = np.zeros((n, *shape[1:]))
    np.add.at(expected, ids[ids >= 0], x[ids >= 0])
    got = gather.unsorted_segment_sum(x, ids, n)
    wrapped = expected.astype(np.int64).astype(dtype) if dtype is np.uint8 else expected.astype(dtype)
    assert got.dtype == dtype and np.array_equal(got.numpy(), wrapped)


def test_sums_keep_the_order_of_the_indices():
    """Partitioning must not show: the sum of a row is that of a plain loop, to the bit."""
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((2000, 70)) * 10.0 ** rng.integers(-6, 6, (2000, 1))).astype(np.float32)
    ids = rng.integers(0, 40, 2000).astype(np.int32)
    expected = np.zeros((40, 70), np.float32)
    for i, row in zip(ids, x):
        expected[i] += row
    got = gather.unsorted_segment_sum(x, ids, 40).numpy()
    assert np.array_equal(got, expected)
    half = gather.unsorted_segment_sum(np.full((3000, 2), 1, np.float16), np.zeros(3000, np.int32), 1000)
    assert half.numpy()[0].tolist() == [3000, 3000]        # 2048 + 1 is lost when sums are kept in float16


@pytest.mark.oclgrind
def test_segment_sum():
    got = gather.segment_sum([[1., 2.], [3., 4.], [5., 6.]], [0, 0, 2])
    assert got.numpy().tolist() == [[4, 6], [0, 0], [5, 6]]
    for ids, words in (([1, 0, 2], "sorted"), ([0, 1], "one segment id per row"), ([-1, 0, 1], "not negative")):
        with pytest.raises(InvalidArgumentError, match=words):
            gather.segment_sum([[1.], [2.], [3.]], ids)


def test_sparse_gradient():
    x = constant(np.arange(8, dtype=np.float32).reshape(4, 2))
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = gather.gather(x, [2, 0, 2])
        z = reduce_sum(y * y) + reduce_sum(gather.gather(x, [[1], [3]]))
        mixed = reduce_sum(y) + reduce_sum(x)
    g = tape.gradient(y, x)
    assert isinstance(g, IndexedSlices)
    assert g.indices.numpy().tolist() == [2, 0, 2] and g.dense_shape == (4, 2) and g.shape == (4, 2)
    assert g.dtype == np.float32 and g.values.shape == (3, 2)
    assert convert(g).numpy().tolist() == [[1, 1], [0, 0], [2, 2], [0, 0]]
    assert np.array_equal(np.asarray(g), g.numpy()) and "IndexedSlices" in repr(g)
    both = tape.gradient(z, x)
    assert isinstance(both, IndexedSlices) and both.indices.shape == (5,)
    assert both.numpy().tolist() == [[0, 2], [1, 1], [16, 20], [1, 1]]
    assert tape.gradient(mixed, x).numpy().tolist() == [[2, 2], [1, 1], [3, 3], [1, 1]]


def numeric(f, x, d):
    return (f(x + d) - f(x - d)) / 2


@pytest.mark.parametrize("case", ["rows", "columns", "nd", "scatter", "segment"])
def test_second_order(case):
    rng = np.random.default_rng(4)
    x = rows(rng, (4, 3))
    f = {"rows": lambda t: gather.gather(t, [1, 1, 3]), "columns": lambda t: gather.gather(t, [[2, 0], [0, 0]], axis=1),
         "nd": lambda t: gather.gather_nd(t, [[0, 1], [3, 2], [0, 1]]),
         "scatter": lambda t: gather.scatter_nd([[1], [4], [1], [0]], t, [5, 3]),
         "segment": lambda t: gather.unsorted_segment_sum(t, [0, -1, 1, 0], 3)}[case]
    t = constant(x)
    with GradientTape(persistent=True) as outer:
        outer.watch(t)
        with GradientTape() as inner:
            inner.watch(t)
            y = reduce_sum(f(t) * f(t) * f(t))
        first = convert(inner.gradient(y, t))
        target = reduce_sum(first * first)

    def loss(v):
        return float((f(constant(v.astype(np.float32))).numpy().astype(np.float64) ** 3).sum())
    for _ in range(3):
        d = np.zeros_like(x)
        d[tuple(rng.integers(0, n) for n in x.shape)] = 1
        # a cubic's central difference of step 1 is off by sum(f(d)^3) exactly
        exact = numeric(loss, x, d) - loss(d)
        assert np.vdot(first.numpy().astype(np.float64), d) == exact
    a = f(t).numpy().astype(np.float64)
    h = constant((2 * 6 * a * f(first).numpy()).astype(np.float32))
    got = np.asarray(outer.gradient(target, t))
    with GradientTape() as again:
        again.watch(t)
        y = f(t)
    expected = np.asarray(again.gradient(y, t, output_gradients=h))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_bad_indices():
    x = creation.ones([3, 2])
    with pytest.raises(InvalidArgumentError, match=r"gather: indices = 7 is not in \[0, 3\)"):
        gather.gather(x, [0, 7])
    with pytest.raises(InvalidArgumentError, match=r"gather: indices = -1 is not in \[0, 3\)"):
        gather.gather(x, -1)
    with pytest.raises(InvalidArgumentError, match=r"gather_nd: indices = 2 is not in \[0, 2\)"):
        gather.gather_nd(x, [[0, 2]])
    with pytest.raises(InvalidArgumentError, match=r"scatter_nd: indices = 4 is not in \[0, 4\)"):
        gather.scatter_nd([[4]], [1.], [4])
    with pytest.raises(InvalidArgumentError, match="segment_ids = 3"):
        gather.unsorted_segment_sum([1.], [3], 3)
    for call in (lambda: gather.gather(x, [0.5]), lambda: gather.gather(x, [True]), lambda: selection.one_hot([.5], 3)):
        with pytest.raises(DTypeError):
            call()
    with pytest.raises(InvalidArgumentError, match="updates have shape"):
        gather.scatter_nd([[0]], [1., 2.], [4])
    with pytest.raises(InvalidArgumentError, match="axis"):
        gather.gather(x, [0], axis=2)
    with pytest.raises(InvalidArgumentError, match="size 0"):
        gather.gather(creation.zeros([0, 2]), far([0]))


@pytest.mark.oclgrind
def test_bad_indices_on_the_device():
    """The kernel clamps and reports; the error comes with the next read, and only once."""
    x = creation.ones([3, 2])
    for call, words in ((lambda: gather.gather(x, far([0, 7, 1])), r"gather: .*7 is not in \[0, 3\)"),
                        (lambda: gather.gather_nd(x, far([[0, 1], [1, -5]])), r"gather_nd: .*-5 is not in \[0, 2\)"),
                        (lambda: gather.scatter_nd(far([[1], [9]]), x[:2], [4, 2]),
                         r"scatter_nd: .*9 is not in \[0, 4\)")):
        y = call()
        with pytest.raises(InvalidArgumentError, match=words):
            y.numpy()
        assert x.numpy().tolist() == [[1, 1]] * 3
    assert gather.unsorted_segment_sum(x, far([0, 9, -3]), 2).numpy().tolist() == [[1, 1], [0, 0]]


@pytest.mark.oclgrind
def test_one_hot():
    for index in (np.int32, np.int64, np.uint8):
        for shape in ((), (4,), (2, 3)):
            i = np.random.default_rng(5).integers(0, 4, shape).astype(index)
            for axis in (-1, 0, len(shape)):
                expected = np.moveaxis(np.eye(3)[np.minimum(i, 2)] * (i < 3)[..., None], -1, axis)
                got = selection.one_hot(i, 3, axis=axis)
                assert got.dtype == np.float32 and np.array_equal(got.numpy(), expected)
    assert selection.one_hot([1, -1, 5], 2, on_value=7, off_value=-1).numpy().tolist() == [[-1, 7], [-1, -1], [-1, -1]]
    assert selection.one_hot([0], 300, dtype=np.bool_).dtype == np.bool_
    assert selection.one_hot(np.array([44], np.uint8), 301).numpy().sum() == 1
    assert selection.one_hot([0, 1], 0).shape == (2, 0)


def test_by_value():
    assert selection.where_indices([[True, False], [True, True]]).numpy().tolist() == [[0, 0], [1, 0], [1, 1]]
    assert selection.where_indices([0., 2.]).numpy().tolist() == [[1]]
    assert selection.where_indices([False]).shape == (0, 1)
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    mask = x[0] % 3 == 0
    assert np.array_equal(selection.boolean_mask(x, mask, axis=1).numpy(), x[:, mask])
    assert np.array_equal(selection.boolean_mask(x, x > 5).numpy(), x[x > 5])
    with pytest.raises(InvalidArgumentError, match="mask"):
        selection.boolean_mask(x, [True, False, True])
    with pytest.raises(DTypeError):
        selection.boolean_mask(x, [1, 0])
    t = constant(x)
    with GradientTape() as tape:
        tape.watch(t)
        y = selection.boolean_mask(t, mask, axis=1)
    assert np.array_equal(tape.gradient(y, t).numpy(), np.broadcast_to(mask, x.shape))
    y, i = selection.unique([5., 2., 5., 7., 2.])
    assert y.numpy().tolist() == [5, 2, 7] and i.numpy().tolist() == [0, 1, 0, 2, 1]
    assert selection.decode_raw(b"\x01\x00\x00\x02", np.int16, little_endian=False).numpy().tolist() == [256, 2]
    assert selection.decode_raw([b"ab", b"cd"], np.uint8).numpy().tolist() == [[97, 98], [99, 100]]
    for bad in (b"abc", [b"ab", b"abcd"]):
        with pytest.raises(InvalidArgumentError):
            selection.decode_raw(bad, np.int16)
    for indexing in ("xy", "ij"):
        for got, want in zip(selection.meshgrid([1, 2], [3, 4, 5], indexing=indexing),
                             np.meshgrid([1, 2], [3, 4, 5], indexing=indexing)):
            assert np.array_equal(got.numpy(), want)


def test_embedding_in_partitions():
    whole = np.arange(14, dtype=np.float32).reshape(7, 2)
    parts = [tf.Variable(whole[i::3]) for i in range(3)]
    ids = tf.constant([[6, 0], [3, 4]])
    with tf.GradientTape() as tape:
        rows = tf.nn.embedding_lookup(parts, ids)
        loss = tf.reduce_sum(rows * rows)
    np.testing.assert_array_equal(rows.numpy(), whole[ids.numpy()])
    grads = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, parts)]
    dense = np.zeros_like(whole)
    np.add.at(dense, ids.numpy(), 2 * whole[ids.numpy()])
    for i, g in enumerate(grads):
        np.testing.assert_array_equal(g, dense[i::3])
    in_a_row = [whole[:4], whole[4:]]
    np.testing.assert_array_equal(tf.nn.embedding_lookup([tf.constant(p) for p in in_a_row], ids, "div").numpy(),
                                  whole[ids.numpy()])
    with pytest.raises(tf.errors.InvalidArgumentError, match="7 is not in"):
        tf.nn.embedding_lookup(parts, [7]).numpy()
    with pytest.raises(tf.errors.InvalidArgumentError, match="equally long"):
        tf.nn.embedding_lookup([tf.constant(whole[:2]), tf.constant(whole[2:])], ids)
