"""matmul, tensordot, norm: every kernel form, flag and dtype against NumPy in float64 (or int64)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import cltensor as tf
from cltensor.kernels.build import program_count

FLAGS = list(itertools.product((False, True), repeat=2))
# (m, k, n): tiny, odd, prime; one row or column; below and above one register tile; deep
SHAPES = [(1, 1, 1), (2, 2, 2), (3, 7, 5), (16, 16, 16), (17, 33, 1), (1, 200, 300), (1, 5000, 1), (2, 257, 300),
          (300, 257, 2), (3, 40, 130), (1, 1000, 64), (5, 100, 130), (31, 40, 100), (8, 17, 32), (9, 40, 33),
          (65, 300, 129), (128, 100, 10), (40, 600, 48)]


def values(shape: tuple, dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.startswith("int"):
        return rng.integers(-50, 50, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def check(a: np.ndarray, b: np.ndarray, ta: bool, tb: bool) -> np.ndarray:
    """Our product against NumPy's, within k * eps * |a| |b|, exactly for integers."""
    got = tf.matmul(a, b, transpose_a=ta, transpose_b=tb).numpy()
    wide = np.int64 if a.dtype.kind == "i" else np.float64
    left, right = (np.swapaxes(x, -1, -2) if t else x for x, t in ((a.astype(wide), ta), (b.astype(wide), tb)))
    want = left @ right
    assert got.dtype == a.dtype and got.shape == want.shape
    if wide is np.int64:
        np.testing.assert_array_equal(got, want.astype(a.dtype))
        return got
    work = np.float32 if a.dtype == np.float16 else a.dtype
    bound = (a.shape[-2 if ta else -1] + 2) * np.finfo(work).eps * (abs(left) @ abs(right))
    if a.dtype == np.float16:
        bound += abs(want) * 2.0**-11 + 1e-7
    if a.dtype == np.float64:
        bound *= 2                      # NumPy's own error
    assert (abs(got - want) <= bound).all(), np.max(abs(got - want) / (bound + 1e-300))
    return got


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32"])
@pytest.mark.parametrize("ta,tb", FLAGS)
def test_shapes_and_flags(ta: bool, tb: bool, dtype: str) -> None:
    for i, (m, k, n) in enumerate(SHAPES):
        check(values((k, m) if ta else (m, k), dtype, i), values((n, k) if tb else (k, n), dtype, 100 + i), ta, tb)


@pytest.mark.parametrize("ta,tb", FLAGS)
@pytest.mark.parametrize("m,k,n", [(5, 7, 6), (33, 20, 40), (1, 90, 130), (100, 90, 1), (100, 90, 2), (20, 40, 18)])
def test_batches_broadcast(m: int, k: int, n: int, ta: bool, tb: bool) -> None:
    for i, (of_a, of_b) in enumerate([((3,), (3,)), ((2, 1), (3,)), ((4, 1, 2), (3, 1)), ((5,), ()), ((), (2, 2)),
                                      ((1, 1), (2,))]):
        check(values((*of_a, *((k, m) if ta else (m, k))), "float32", i),
              values((*of_b, *((n, k) if tb else (k, n))), "float32", 10 + i), ta, tb)


@pytest.mark.parametrize("m,k,n", [(1024, 520, 64), (130, 1030, 1024)])
def test_rows_a_page_apart(m: int, k: int, n: int) -> None:
    check(values((m, k), "float32", 0), values((k, n), "float32", 1), False, False)


def test_forms_agree_to_the_bit() -> None:
    """One chain over k in every form: tiles, flags and neighbours leave no trace in an element's bits."""
    a, b = values((70, 600), "float32", 0), values((600, 80), "float32", 1)
    whole = tf.matmul(a, b).numpy()
    np.testing.assert_array_equal(tf.matmul(a, b.T.copy(), transpose_b=True).numpy(), whole)
    np.testing.assert_array_equal(tf.matmul(a.T.copy(), b, transpose_a=True).numpy(), whole)
    np.testing.assert_array_equal(tf.matmul(a[:5], b).numpy(), whole[:5])
    np.testing.assert_array_equal(tf.matmul(a, b[:, :10].copy()).numpy(), whole[:, :10])
    np.testing.assert_array_equal(tf.matmul(a[9:20], b[:, 5:12].T.copy(), transpose_b=True).numpy(), whole[9:20, 5:12])


def test_nan_and_infinity_stay_in_their_rows_and_columns() -> None:
    a, b = np.ones((20, 9), np.float32), np.ones((9, 21), np.float32)
    a[3, 4], b[2, 17] = np.nan, np.inf
    got = tf.matmul(a, b).numpy()
    want = np.full((20, 21), 9, np.float32)
    want[:, 17] = np.inf
    want[3, :] = np.nan
    np.testing.assert_array_equal(got, want)


def test_integers_wrap_around() -> None:
    big = np.full((2, 3), 2**30, np.int32)
    np.testing.assert_array_equal(tf.matmul(big, big.T.copy() * 0 + 7).numpy(),
                                  np.full((2, 2), 3 * 7 * 2**30, np.int64).astype(np.int32))


def test_empty() -> None:
    assert tf.matmul(np.ones((2, 0), np.float32), np.ones((0, 3), np.float32)).numpy().tolist() == [[0] * 3] * 2
    assert tf.matmul(np.ones((0, 4), np.float32), np.ones((4, 3), np.float32)).shape == (0, 3)
    assert tf.matmul(np.ones((0, 2, 4), np.float32), np.ones((4, 3), np.float32)).shape == (0, 2, 3)


@pytest.mark.parametrize("ta,tb", FLAGS)
@pytest.mark.parametrize("of_a,of_b", [((), ()), ((3,), (3,)), ((2, 1), (3,)), ((4,), ())])
def test_gradients(of_a: tuple, of_b: tuple, ta: bool, tb: bool) -> None:
    a = values((*of_a, *((4, 5) if ta else (5, 4))), "float32", 0)
    b = values((*of_b, *((6, 4) if tb else (4, 6))), "float32", 1)
    x, y = tf.constant(a), tf.constant(b)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        z = tf.matmul(x, y, transpose_a=ta, transpose_b=tb)
    g = values(tuple(z.shape), "float32", 2)
    dx, dy = tape.gradient(z, [x, y], output_gradients=tf.constant(g))
    left, right = (np.swapaxes(v, -1, -2) if t else v for v, t in ((a, ta), (b, tb)))
    want_a, want_b = g @ np.swapaxes(right, -1, -2), np.swapaxes(left, -1, -2) @ g
    for got, want, t, shape in ((dx, want_a, ta, a.shape), (dy, want_b, tb, b.shape)):
        want = np.swapaxes(want, -1, -2) if t else want
        want = want.sum(tuple(range(want.ndim - len(shape))))
        for i, d in enumerate(shape):
            want = want.sum(i, keepdims=True) if d == 1 and want.shape[i] != 1 else want
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-4, atol=1e-4)


def test_repeated_calls_and_new_sizes_compile_nothing() -> None:
    def run(m: int, k: int, n: int) -> None:
        tf.matmul(values((m, k), "float32", 0), values((k, n), "float32", 1)).numpy()
    run(40, 30, 50)
    run(7, 3, 5)
    before = program_count()
    for m, k, n in [(41, 31, 51), (100, 99, 98), (6, 2, 3), (1, 2, 2)]:
        run(m, k, n)
    assert program_count() == before


@pytest.mark.parametrize("a,b,flags,error,text", [
    ((5, 4), (5, 3), {}, tf.errors.InvalidArgumentError,
     "matmul: inner dimensions differ, 4 != 5: a has shape (5, 4) (transpose_a=False), "
     "b has shape (5, 3) (transpose_b=False)"),
    ((4, 5), (3, 5), {"transpose_a": True, "transpose_b": True}, tf.errors.InvalidArgumentError,
     "matmul: inner dimensions differ, 4 != 5: a has shape (4, 5) (transpose_a=True), "
     "b has shape (3, 5) (transpose_b=True)"),
    ((4,), (4, 3), {}, tf.errors.InvalidArgumentError, "matmul: a must have rank 2 or more, its rank is 1"),
    ((2, 5, 4), (3, 4, 3), {}, tf.errors.InvalidArgumentError,
     "matmul: batch dimensions do not broadcast, (2,) and (3,)"),
    ((5, 4), (4, 3), {"transpose_a": True, "adjoint_a": True}, tf.errors.InvalidArgumentError, "only one of"),
])
def test_errors(a: tuple, b: tuple, flags: dict, error: type, text: str) -> None:
    with pytest.raises(error) as caught:
        tf.matmul(np.ones(a, np.float32), np.ones(b, np.float32), **flags)
    assert text in str(caught.value)


def test_dtype_errors() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="dtype uint8 is not one of"):
        tf.matmul(np.ones((2, 2), np.uint8), np.ones((2, 2), np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="float32 != float64"):
        tf.matmul(tf.ones([2, 2]), tf.ones([2, 2], tf.float64))


@pytest.mark.parametrize("a,b,axes", [
    ((3,), (3,), 1), ((2, 3, 4), (3, 4, 5), 2), ((2, 3), (4,), 0), ((2, 3, 4), (4, 3), [[1, 2], [1, 0]]),
    ((2, 3, 4), (5, 3), [1, 1]), ((2, 3, 4), (2, 5, 4), [[0, 2], [0, 2]]), ((4, 3, 2), (2, 3), [[2, 1], [0, 1]]),
    ((2, 3, 4), (4, 2, 6), [[-1, 0], [0, 1]]), ((2, 3, 4), (2, 3, 4), [[0, 1, 2], [0, 1, 2]]),
])
def test_tensordot(a: tuple, b: tuple, axes: object) -> None:
    x, y = values(a, "float32", 0), values(b, "float32", 1)
    got = tf.tensordot(tf.constant(x), tf.constant(y), axes)
    want = np.tensordot(x.astype(np.float64), y.astype(np.float64), axes)
    assert got.shape == want.shape
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-5)


def test_tensordot_errors() -> None:
    x, y = np.ones((2, 3), np.float32), np.ones((4, 5), np.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"tensordot: sizes differ, 3 != 4"):
        tf.tensordot(x, y, 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="axes = 3 is not in"):
        tf.tensordot(x, y, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 dimensions of a and 2 of b"):
        tf.tensordot(x, y, [[0], [0, 1]])


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("order", ["euclidean", "fro", 1, np.inf])
@pytest.mark.parametrize("keep", [False, True])
def test_norm(order: object, axis: object, keep: bool) -> None:
    x = values((3, 4, 5), "float32", 0)
    got = tf.norm(tf.constant(x), ord=order, axis=axis, keepdims=keep).numpy()
    wide = x.astype(np.float64)
    if axis is None:
        want = np.linalg.norm(wide.reshape(-1), 2 if isinstance(order, str) else order)
        want = want.reshape(1, 1, 1) if keep else want
    else:
        which = ("fro" if isinstance(axis, tuple) else 2) if isinstance(order, str) else order
        want = np.linalg.norm(wide, which, axis, keep)
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_norm_of_any_positive_order_and_errors() -> None:
    x = np.array([1., -2., 3.], np.float32)
    np.testing.assert_allclose(tf.norm(x, ord=3).numpy(), 36 ** (1 / 3), rtol=1e-5)
    np.testing.assert_allclose(tf.norm(x, ord=2).numpy(), 14 ** 0.5, rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="ord 'nuc'"):
        tf.norm(x, ord="nuc")
    with pytest.raises(tf.errors.UnimplementedError, match="singular values"):
        tf.norm(np.eye(2, dtype=np.float32), ord=2, axis=(0, 1))
    with pytest.raises(tf.errors.InvalidArgumentError, match="norm: tensor must be floating"):
        tf.norm([1, 2])


def test_matvec() -> None:
    a, b = values((2, 5, 4), "float32", 0), values((2, 4), "float32", 1)
    np.testing.assert_allclose(tf.linalg.matvec(a, b).numpy(), np.einsum("bmk,bk->bm", a, b), rtol=1e-5, atol=1e-5)
