"""Random tensors: published vectors, bits against Philox in NumPy, distributions, seeds, exact resume."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.dispatch import execute
from cltensor.core.generator import Draw, Generator, generator, philox, words
from cltensor.kernels.build import program_count
from cltensor.ops import random as rows

SIZES = [1, 2, 63, 64, 65, 257, 1024, 100003]


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Every test starts from one seed and leaves fresh entropy behind."""
    tf.set_random_seed(1234)
    yield
    tf.set_random_seed(None)


def peek() -> Draw:
    """The draw the next unseeded op will take."""
    state = generator.get_state()
    draw = generator.reserve(0)
    generator.set_state(state)
    return draw


def wide_words(draw: Draw, n: int) -> np.ndarray:
    """64-bit words in the order kernels store them: pairs (w0, w1), (w2, w3) of 16 lanes."""
    w = words(draw, -(-n // 32) * 64).reshape(-1, 4, 16).astype(np.uint64)
    return np.stack([w[:, 1] << np.uint64(32) | w[:, 0], w[:, 3] << np.uint64(32) | w[:, 2]], 1).reshape(-1)[:n]


@pytest.mark.parametrize("counter,key,want", [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xffffffff,) * 4, (0xffffffff,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ((0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344), (0xa4093822, 0x299f31d0),
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
])
def test_known_answers(counter: tuple, key: tuple, want: str) -> None:
    """Random123's kat_vectors, on the host and on the device."""
    assert " ".join(f"{int(w):08x}" for w in philox(counter, key)) == want
    c0, c1, c2, c3 = counter
    # An integer draw with range 2^32 - 1 from the smallest int32 shows w minus at most one unit.
    out = execute(rows.INTEGER, (key[0], key[1], c1 << 32 | c0, c3 << 32 | c2, -2**31, 2**32 - 1),
                  (("shape", (64,)), ("dtype", tf.int32))).numpy()
    got = (out.astype(np.int64) + 2**31)[::16]
    expect = [(int(w, 16) * (2**32 - 1)) >> 32 for w in want.split()]
    np.testing.assert_array_equal(got, expect)


@pytest.mark.parametrize("n", SIZES)
def test_uniform_bits(n: int) -> None:
    draw = peek()
    got = tf.random_uniform([n]).numpy()
    np.testing.assert_array_equal(got, (words(draw, n) >> 8).astype(np.float32) * np.float32(2**-24))
    draw = peek()
    got = tf.random_uniform([n], -3.3, 1.7).numpy()
    low, high = np.float32(-3.3), np.float32(1.7)
    unit = (words(draw, n) >> 8).astype(np.float32) * np.float32(2**-24)
    np.testing.assert_array_equal(got, low + unit * (high - low))
    draw = peek()
    got = tf.random_uniform([n], dtype=tf.float16).numpy()
    unit = (words(draw, n) >> 8).astype(np.float32) * np.float32(2**-24)
    np.testing.assert_array_equal(got, np.minimum(unit, np.float32(1 - 2**-11)).astype(np.float16))


@pytest.mark.parametrize("n", SIZES)
def test_integer_bits(n: int) -> None:
    draw = peek()
    got = tf.random_uniform([n], -7, 1000, tf.int32).numpy()
    np.testing.assert_array_equal(got, (words(draw, n).astype(np.int64) * 1007 >> 32) - 7)
    draw = peek()
    got = tf.random_uniform([n], -2**63, 2**63 - 1, tf.int64).numpy()
    want = [(int(w) * (2**64 - 1) >> 64) - 2**63 for w in wide_words(draw, n)]
    np.testing.assert_array_equal(got, np.array(want, np.int64))


@pytest.mark.parametrize("n", [1, 31, 33, 5003])
def test_float64_bits(n: int, device: object) -> None:
    if not device.traits.fp64:           # type: ignore[attr-defined]
        pytest.skip("the device has no float64")
    draw = peek()
    got = tf.random_uniform([n], 2, 5, tf.float64).numpy()
    unit = (wide_words(draw, n) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    np.testing.assert_array_equal(got, 2 + unit * 3.0)


def box_muller(u: np.ndarray, turn: np.ndarray) -> list:
    """In float64, the angle reduced exactly to an eighth of a turn first."""
    radius = np.sqrt(-2 * np.log(u))
    quarter = np.round(turn * 4)
    rest = (turn - quarter / 4) * 2 * np.pi
    c, s, q = np.cos(rest), np.sin(rest), quarter.astype(int) % 4
    return [radius * np.choose(q, [c, -s, -c, s]), radius * np.choose(q, [s, c, -s, -c])]


def test_normals_within_4_ulp() -> None:
    n = 2**17
    draw = peek()
    got = tf.random_normal([n]).numpy()
    w = (words(draw, n).reshape(-1, 4, 16) >> 8).astype(np.float64) * 2.0**-24
    want = np.stack(box_muller(w[:, 0] + 2.0**-24, w[:, 1]) + box_muller(w[:, 2] + 2.0**-24, w[:, 3]), 1).reshape(-1)
    ulp = np.spacing(abs(want).astype(np.float32)).astype(np.float64)
    assert np.max(abs(got - want) / ulp) <= 4
    scaled = generator.get_state()
    tf.set_random_seed(1234)
    np.testing.assert_array_equal(tf.random_normal([n], 3., 0.5).numpy(), np.float32(3) + got * np.float32(0.5))
    np.testing.assert_array_equal(generator.get_state(), scaled)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_distributions(dtype: str) -> None:
    x = tf.random_normal([200000], 1.5, 2.0, dtype).numpy().astype(np.float64)
    assert x.size == 200000 and abs(x.mean() - 1.5) < 0.02 and abs(x.std() - 2) < 0.02
    t = tf.truncated_normal([200000], dtype=dtype).numpy().astype(np.float64)
    assert abs(t).max() <= 2 and abs(t.mean()) < 0.01 and abs(t.std() - 0.8796) < 0.01
    assert abs(np.quantile(t, 0.75) - 0.6397) < 0.01            # inverse distribution function at 3/4
    u = tf.random_uniform([200000], 3, 7, dtype).numpy().astype(np.float64)
    assert u.min() >= 3 and u.max() < 7 and abs(u.mean() - 5) < 0.02


def test_maxval_is_excluded() -> None:
    high = np.nextafter(np.float32(1e6), np.float32(2e6))
    x = tf.random_uniform([10000], 1e6, float(high)).numpy()
    assert (x == np.float32(1e6)).all()
    assert tf.random_uniform([5], 2., 2.).numpy().tolist() == [2.] * 5


def test_element_depends_on_its_index_alone() -> None:
    for make in (tf.random_uniform, tf.random_normal, tf.truncated_normal):
        whole = make([5000], seed=9).numpy()
        tf.set_random_seed(1234)
        np.testing.assert_array_equal(make([33], seed=9).numpy(), whole[:33])
        tf.set_random_seed(1234)


def test_seeds() -> None:
    def three() -> list:
        return [tf.random_uniform([4]).numpy().tolist(), tf.random_uniform([4], seed=5).numpy().tolist(),
                tf.random_uniform([4], seed=5).numpy().tolist()]
    tf.set_random_seed(1)
    first = three()
    tf.set_random_seed(1)
    assert three() == first                         # both seeds: reproducible
    assert first[1] != first[2] != first[0]         # a sequence, not one value
    tf.set_random_seed(2)
    assert all(p != q for p, q in zip(three(), first))
    tf.set_random_seed(None)
    a = three()
    tf.set_random_seed(None)
    b = three()
    assert a[0] != b[0] and a[1:] == b[1:]          # fresh entropy; an op seed alone is reproducible


def test_exact_resume() -> None:
    tf.random_normal([10])
    tf.random_uniform([3], seed=4)
    saved = generator.get_state()
    want = [tf.random_normal([7]).numpy(), tf.random_uniform([3], seed=4).numpy(), tf.random_uniform([2]).numpy()]
    tf.set_random_seed(77)
    generator.set_state(saved)
    got = [tf.random_normal([7]).numpy(), tf.random_uniform([3], seed=4).numpy(), tf.random_uniform([2]).numpy()]
    for p, q in zip(got, want):
        np.testing.assert_array_equal(p, q)
    with pytest.raises(tf.errors.InvalidArgumentError, match="state must have dtype uint64"):
        Generator(1).set_state([1, 2, 3, 4])


def test_no_word_is_used_twice() -> None:
    x = np.concatenate([tf.random_uniform([100], 0, 2**31 - 1, tf.int32).numpy() for _ in range(50)])
    assert len(np.unique(x)) > 4990


def test_new_parameters_make_no_new_plan() -> None:
    tf.random_normal([50], 0., 1.)
    tf.random_uniform([50], 0, 5, tf.int32)
    plans, programs = len(rows.NORMAL.memo) + len(rows.INTEGER.memo), program_count()
    for i in range(5):
        tf.random_normal([50], float(i), 2.0 + i, seed=i)
        tf.random_uniform([50], i, 50 + i, tf.int32)
    assert (len(rows.NORMAL.memo) + len(rows.INTEGER.memo), program_count()) == (plans, programs)
    assert not rows.NORMAL.pure


def test_shuffle_permutes_rows() -> None:
    x = np.arange(3000).reshape(1000, 3)
    got = tf.random_shuffle(x, seed=3).numpy()
    assert sorted(got[:, 0].tolist()) == x[:, 0].tolist() and (got[:, 0] != x[:, 0]).any()
    np.testing.assert_array_equal(got[:, 2] - got[:, 0], 2)
    first = [tf.random_shuffle(tf.range(5)).numpy()[0] for _ in range(200)]
    assert np.bincount(first, minlength=5).min() > 15
    assert tf.random_shuffle(np.ones((0, 2), np.float32)).shape == (0, 2)
    assert tf.random_shuffle([7]).numpy().tolist() == [7]


def test_crop() -> None:
    x = np.arange(48, dtype=np.float32).reshape(6, 8)
    seen = set()
    for _ in range(40):
        got = tf.random_crop(x, [5, 7]).numpy()
        np.testing.assert_array_equal(got - got[0, 0], x[:5, :7])
        seen.add(float(got[0, 0]))
    assert seen == {0., 1., 8., 9.}
    with pytest.raises(tf.errors.InvalidArgumentError, match="random_crop: size"):
        tf.random_crop(x, [7, 7])


def test_multinomial() -> None:
    p = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.]])
    with np.errstate(divide="ignore"):
        got = tf.multinomial(np.log(p).astype(np.float32), 20000, seed=1)
    assert got.dtype == tf.int64 and got.shape == (2, 20000)
    for row, want in zip(got.numpy(), p):
        np.testing.assert_allclose(np.bincount(row, minlength=3) / 20000, want, atol=0.02)
    assert tf.multinomial([[0., 1.]], 3, output_dtype=tf.int32).dtype == tf.int32
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"shape \[batch, classes\]"):
        tf.multinomial([0., 1.], 3)


def test_gradient_flows_to_mean_and_scale_only() -> None:
    mean, stddev = tf.constant([1., 2.]), tf.constant(3.)
    with tf.GradientTape() as tape:
        tape.watch([mean, stddev])
        y = tf.random_normal([4, 2], mean, stddev, seed=1)
    dm, ds = tape.gradient(y, [mean, stddev])
    np.testing.assert_allclose(dm.numpy(), [4., 4.])
    np.testing.assert_allclose(ds.numpy(), ((y.numpy() - mean.numpy()) / 3).sum(), rtol=1e-5)


def test_shapes_and_errors() -> None:
    assert tf.random_normal([]).shape == () and tf.random_uniform([0, 3]).shape == (0, 3)
    assert tf.random_uniform(tf.constant([2, 2])).shape == (2, 2)
    for bad, text in [(lambda: tf.random_uniform([2], dtype=tf.int32), "maxval is required"),
                      (lambda: tf.random_uniform([2], 5, 5, tf.int32), "minval < maxval"),
                      (lambda: tf.random_uniform([2], 0, 2**40, tf.int32), "minval < maxval"),
                      (lambda: tf.random_uniform([2], 2., 1.), "minval <= maxval"),
                      (lambda: tf.random_uniform([2], 0, 9, tf.uint8), "dtype uint8"),
                      (lambda: tf.random_normal([2], dtype=tf.int32), "must be floating"),
                      (lambda: tf.random_normal([-1]), "negative"),
                      (lambda: tf.random_normal([2], seed=1.5), "seed must be an integer"),
                      (lambda: tf.random_shuffle(3.), "rank 1 or more")]:
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            bad()
