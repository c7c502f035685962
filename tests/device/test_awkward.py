"""Awkward values: what TensorFlow's unit tests pin and a developer would likely miss, gradients and dtypes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import cltensor as tf

tfe = tf.contrib.eager


def grads(f: Any, *xs: Any) -> list:
    """Gradients of f at float32 values, as lists or numbers."""
    return [None if g is None else np.asarray(tf.convert_to_tensor(g)).tolist()
            for g in tfe.gradients_function(f)(*[tf.constant(x, tf.float32) for x in xs])]


# -- gradients
def test_broadcasting_sums_back() -> None:
    assert grads(lambda x, y: x * y, [[1., 2.], [3., 4.]], [10., 20.]) == [[[10, 20], [10, 20]], [4, 6]]
    assert grads(lambda x, s: x * s, [1., 2., 3.], 2.) == [[2, 2, 2], 6]
    assert grads(lambda x, y: x + y, [[1.], [2.]], [[1., 1., 1.]]) == [[[3], [3]], [[2, 2, 2]]]


def test_ties() -> None:
    assert grads(tf.maximum, 2., 2.) == [1, 0]
    assert grads(tf.minimum, 2., 2.) == [1, 0]
    assert grads(tf.reduce_max, [2., 2., 1.]) == [[.5, .5, 0]]
    assert grads(tf.reduce_min, [2., 1., 1.]) == [[0, .5, .5]]


@pytest.mark.parametrize("f, slope", [
    (tf.abs, 0), (tf.nn.relu, 0), (tf.nn.relu6, 0), (tf.sign, 0), (tf.sqrt, np.inf), (lambda x: x**2, 0),
    (tf.nn.elu, 1), (tf.square, 0), (lambda x: x**3, 0), (lambda x: x**1, 1), (lambda x: x**0, 0)])
def test_slope_at_zero(f: Any, slope: float) -> None:
    assert grads(f, 0.) == [slope]


def test_power_of_zero() -> None:
    assert grads(tf.pow, 0., 2.) == [0, 0]
    assert grads(tf.pow, 0., 1.) == [1, 0]
    assert grads(tf.pow, -2., 2.) == [-4, 0]      # the exponent's gradient is 0, not nan


def test_products_with_zeros() -> None:
    assert grads(tf.reduce_prod, [0., 2., 3.]) == [[6, 0, 0]]
    assert grads(tf.reduce_prod, [0., 2., 0.]) == [[0, 0, 0]]
    assert grads(tf.cumprod, [0., 2., 3.]) == [[9, 0, 0]]


def test_softplus_is_stable() -> None:
    assert grads(tf.nn.softplus, 100.) == [1]
    assert tf.nn.softplus(1000.).numpy() == 1000
    assert tf.nn.softplus(-1000.).numpy() == 0


def test_where_takes_the_chosen_branch_only() -> None:
    assert grads(lambda x: tf.where([True, False], x, x * x), [3., 5.]) == [[1, 10]]
    # the branch not chosen has an infinite slope: it must not turn up as nan
    assert grads(lambda x: tf.where(x > 0., tf.sqrt(x), tf.zeros_like(x)), [0., 4.])[0][1] == 0.25


def test_cross_entropies_are_stable() -> None:
    def dense(x: Any) -> Any:
        return tf.nn.softmax_cross_entropy_with_logits(labels=[[0., 1.]], logits=x)

    def sparse(x: Any) -> Any:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1], logits=x)
    for loss in (dense, sparse):
        assert loss(tf.constant([[1000., -1000.]])).numpy().tolist() == [2000]
        assert grads(loss, [[1000., -1000.]]) == [[[1, -1]]]
    sigmoid = tf.nn.sigmoid_cross_entropy_with_logits
    assert sigmoid(labels=[0., 1.], logits=[1000., -1000.]).numpy().tolist() == [1000, 1000]


def test_gather_gives_sparse_gradients() -> None:
    v = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3))
    for pick in (tf.gather, tf.nn.embedding_lookup):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(pick(v, [2, 0, 2]))
        g = tape.gradient(y, v)
        assert isinstance(g, tf.IndexedSlices)
        assert g.indices.numpy().tolist() == [2, 0, 2] and g.values.shape == (3, 3)      # duplicates are kept
        assert np.asarray(g.dense_shape).tolist() == [4, 3]
        assert tf.convert_to_tensor(g).numpy()[:, 0].tolist() == [1, 0, 2, 0]


def test_sparse_and_dense_gradients_add_densely() -> None:
    v = tf.Variable([1., 2., 3.])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.gather(v, [1, 1])) + tf.reduce_sum(v * 10.)
    g = tape.gradient(y, v)
    assert not isinstance(g, tf.IndexedSlices) and g.numpy().tolist() == [10, 12, 10]


# -- dtypes and conversion
def test_python_scalars_follow_the_tensor() -> None:
    for dtype in (tf.float16, tf.float32, tf.float64, tf.int32, tf.int64, tf.uint8):
        x = tf.constant([1, 2], dtype)
        assert (x + 1).dtype == dtype and (2 * x).dtype == dtype and (1 - x).dtype == dtype
    with pytest.raises(TypeError):
        tf.constant([1]) + 1.5
    assert (tf.constant([1.]) + np.float64(0.5)).dtype == tf.float32


def test_dtypes_do_not_mix() -> None:
    for a, b in ((tf.float32, tf.float64), (tf.int32, tf.float32), (tf.int32, tf.int64), (tf.float16, tf.float32)):
        with pytest.raises(TypeError, match="dtypes differ"):
            tf.constant([1], a) + tf.constant([1], b)


def test_integer_quotients() -> None:
    seven, three = tf.constant(7), tf.constant(3)
    assert (tf.constant(1) / tf.constant(2)).numpy() == 0.5
    if tf.constant(1).placed_on.traits.fp64:
        assert (seven / three).dtype == tf.float64
    assert (-seven // 2).numpy() == -4 and (-seven % three).numpy() == 2
    assert (seven // 0).numpy() == 0 and (seven % 0).numpy() == 0         # no trap


def test_default_dtypes() -> None:
    assert tf.constant(1).dtype == tf.int32 and tf.constant(1.).dtype == tf.float32
    assert tf.constant(2**33).dtype == tf.int64 and tf.constant([True]).dtype == tf.bool
    assert tf.constant(np.float64(1)).dtype == tf.float64 and tf.constant(np.arange(3,
        dtype=np.int16)).dtype == tf.int16
    assert tf.argmax([1, 3, 2]).dtype == tf.int64 and tf.range(3).dtype == tf.int32
    assert tf.where([True, False]).dtype == tf.int64
    assert tf.reduce_mean([1, 2]).numpy() == 1 and tf.reduce_mean([1, 2]).dtype == tf.int32


def test_cast_and_round() -> None:
    assert tf.cast(-1.9, tf.int32).numpy() == -1
    assert tf.cast([np.nan, np.inf, -np.inf], tf.int32).numpy().tolist() == [0, 2**31 - 1, -2**31]
    assert tf.round([0.5, 1.5, 2.5, -0.5, -1.5]).numpy().tolist() == [0, 2, 2, 0, -2]
    assert tf.cast([0., -0., 0.1, np.nan], tf.bool).numpy().tolist() == [False, False, True, True]


def test_dtype_objects() -> None:
    d = tf.constant(1.).dtype
    assert d == np.float32 and d == tf.float32 and d != np.float64 and d.name == "float32"
    assert d.as_numpy_dtype is np.float32 and d.is_floating and d.base_dtype == d and not d.is_integer


def test_python_protocols() -> None:
    with pytest.raises(ValueError):
        bool(tf.constant([1, 2]))
    with pytest.raises(TypeError):
        int(tf.constant([1, 2]))
    with pytest.raises(TypeError):
        iter(tf.constant(1)).__next__()
    with pytest.raises(TypeError):
        len(tf.constant(1))
    two = tf.constant(2)
    assert [10, 20, 30][two] == 30 and list(range(two)) == [0, 1] and "abc"[two] == "c"
    assert int(two) == 2 and float(tf.constant([2.5])) == 2.5 and bool(tf.constant([[True]]))
    assert [int(t) for t in tf.constant([4, 5])] == [4, 5]
    assert f"{tf.constant(2.0):.3f}" == "2.000" and f"{tf.constant([[4.]])}" == "[[4.]]"


def test_slices_clamp() -> None:
    x = tf.constant(np.arange(12).reshape(3, 4))
    a = np.arange(12).reshape(3, 4)
    for key in ((slice(1, 9),), (slice(5, 9),), (slice(None, None, -1),), (Ellipsis, 2), (None, 1),
                (slice(None), slice(3, 0, -2))):
        assert np.array_equal(x[key].numpy(), a[key]) and x[key].shape.as_list() == list(a[key].shape)
    assert x[tf.constant(1), tf.constant(1):tf.constant(3)].numpy().tolist() == [5, 6]


def test_empty_tensors() -> None:
    e = tf.zeros([0, 3])
    assert tf.reduce_sum(e).numpy() == 0 and tf.reduce_prod(e).numpy() == 1
    assert tf.reduce_max(e).numpy() == -np.inf and np.isnan(tf.reduce_mean(e).numpy())
    assert tf.reduce_sum(e, 0).numpy().tolist() == [0, 0, 0] and tf.matmul(tf.zeros([2, 0]),
        tf.zeros([0, 3])).numpy().sum() == 0
    assert (e + 1.).shape == (0, 3) and tf.concat([e, tf.ones([1, 3])], 0).shape == (1, 3)
    assert str(tf.constant([], tf.float32)) == "tf.Tensor([], shape=(0,), dtype=float32)"


def test_nan_is_kept() -> None:
    assert np.isnan(tf.maximum(np.nan, 1.).numpy()) and np.isnan(tf.maximum(1., np.nan).numpy())
    assert np.isnan(tf.nn.relu(np.nan).numpy()) and np.isnan(tf.reduce_max([1., np.nan, 2.]).numpy())
    assert tf.argmax([1., np.nan, 2.]).numpy() == 1 and not (tf.constant(np.nan) == tf.constant(np.nan)).numpy()


def test_arrays_are_copied() -> None:
    a = np.ones((3, 200), np.float32)
    t, v = tf.constant(a), tf.Variable(a)
    a[:] = 7
    assert t.numpy().max() == 1 and v.numpy().max() == 1
    t.numpy()[:] = 9
    assert t.numpy().max() == 1


def test_odd_layouts() -> None:
    a = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (np.asfortranarray(a), a[::-1], a[:, ::-2], a.T, a[1:3, 2:5], np.broadcast_to(a[0], (3, 6)),
                 a.astype(">f4")):
        assert np.array_equal(tf.constant(view).numpy(), view) and np.array_equal((tf.constant(view) + 0.).numpy(),
            view)


def test_old_reads_keep_old_values() -> None:
    v = tf.Variable(np.zeros(1000, np.float32))
    before, read = v.numpy(), v.read_value()
    v.assign(np.ones(1000, np.float32))
    v.assign_add(np.ones(1000, np.float32))
    assert before.max() == 0 and read.numpy().max() == 0 and v.numpy().min() == 2


def test_copies() -> None:
    t = tf.constant([1., 2.])
    assert copy.copy(t).numpy().tolist() == [1, 2] and copy.deepcopy([t])[0].numpy().tolist() == [1, 2]


def test_equality_by_value_hash_by_identity() -> None:
    a, b = tf.constant([1, 2]), tf.constant([1, 3])
    assert (a == b).numpy().tolist() == [True, False] and (a != b).numpy().tolist() == [False, True]
    assert len({a, b, a}) == 2 and {a: 1}[a] == 1
    v, w = tf.Variable(1.), tf.Variable(1.)
    assert len({v, w}) == 2 and bool(v == w)
    assert (a == None) is False and (a != None) is True         # noqa: E711


def test_text_forms() -> None:
    t = tf.constant(42)
    assert repr(t).replace(f"id={t.uid}", "id=7") == "<tf.Tensor: id=7, shape=(), dtype=int32, numpy=42>"
    assert str(t) == "tf.Tensor(42, shape=(), dtype=int32)"
    with np.printoptions(precision=2):
        assert str(tf.constant([1 / 3])) == "tf.Tensor([0.33], shape=(1,), dtype=float32)"
    assert repr(tf.Variable(2., name="w")).startswith("<tf.Variable 'w:0' shape=() dtype=float32, numpy=2.0")


def test_in_place_operators() -> None:
    v = tf.Variable(1.)
    with pytest.raises(RuntimeError, match="assign_add"):
        v += 1.
    counter = tf.constant(1)
    counter += 1
    assert counter.numpy() == 2


def test_set_shape_checks() -> None:
    t = tf.zeros([2, 3])
    t.set_shape([None, 3])
    with pytest.raises(ValueError):
        t.set_shape([2, 4])


def test_numpy_takes_tensors() -> None:
    a, b = tf.constant([1., 2.]), np.array([3., 4.], np.float32)
    assert isinstance(np.multiply(a, b), np.ndarray) and np.multiply(a, b).tolist() == [3, 8]
    assert isinstance(b * a, tf.Tensor) and isinstance(a * b, tf.Tensor)
    assert np.asarray(a, dtype=np.float64).dtype == np.float64 and np.sum(a) == 3
