"""Softmax, cross entropies and the small compositions against NumPy in float64, gradients to second order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cltensor.ops.operators  # noqa: F401
from cltensor.autodiff.tape import GradientTape
from cltensor.base.errors import DTypeError, InvalidArgumentError, UnimplementedError
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.tensor import constant, convert
from cltensor.ops import cross_entropy, dropout, nn
from cltensor.ops.random import set_random_seed
from cltensor.ops.reduce import reduce_sum

RNG = np.random.default_rng(0)
# size 1, lanes (C < 16), exactly one vector, one and many vectors with tails, several leading dimensions
SHAPES = [(1,), (3,), (1, 1), (5, 10), (17, 10), (16, 15), (3, 16), (4, 17), (2, 3, 31), (3, 64), (129, 100), (7, 1000)]
TOLERANCE = {"float32": 4e-6, "float16": 2e-3}


def soft(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def log_soft(x: np.ndarray, axis: int = -1) -> np.ndarray:
    z = x - x.max(axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


def close(got: Any, want: Any, dtype: str = "float32", factor: float = 1) -> None:
    t = TOLERANCE[dtype] * factor
    np.testing.assert_allclose(got.numpy().astype(np.float64), want, rtol=t, atol=t)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_softmax_family(dtype: str) -> None:
    for shape in SHAPES:
        x = (RNG.standard_normal(shape) * 3).astype(dtype)
        wide = x.astype(np.float64)
        y = soft(RNG.standard_normal(shape)).astype(dtype)
        labels = RNG.integers(0, shape[-1], shape[:-1])
        log_p = log_soft(wide)
        close(nn.softmax(x), soft(wide), dtype)
        close(nn.log_softmax(x), log_p, dtype)
        close(cross_entropy.softmax_cross_entropy_with_logits_v2(y, x), -(y * log_p).sum(-1), dtype, 2)
        want = -np.take_along_axis(log_p, labels[..., None], -1)[..., 0]
        for kind in (np.int32, np.int64):
            sparse = cross_entropy.sparse_softmax_cross_entropy_with_logits(labels=labels.astype(kind), logits=x)
            close(sparse, want, dtype, 2)


def test_softmax_of_other_axes() -> None:
    x = RNG.standard_normal((3, 4, 5)).astype(np.float32)
    for axis in range(-3, 3):
        close(nn.softmax(x, axis), soft(x.astype(np.float64), axis))
        close(nn.log_softmax(x, dim=axis), log_soft(x.astype(np.float64), axis))
        y = soft(RNG.standard_normal((3, 4, 5)), axis).astype(np.float32)
        close(cross_entropy.softmax_cross_entropy_with_logits(labels=y, logits=x, dim=axis),
              -(y * log_soft(x.astype(np.float64), axis)).sum(axis), factor=2)


@pytest.mark.parametrize("classes", [2, 20])
def test_large_logits(classes: int) -> None:
    x = np.full((1, classes), -1000, np.float32)
    x[0, 0] = 1000
    y = np.zeros_like(x)
    y[0, 1] = 1
    assert nn.softmax(x).numpy()[0, :2].tolist() == [1, 0]
    assert nn.log_softmax(x).numpy()[0, :2].tolist() == [0, -2000]
    t = constant(x)
    for loss in (lambda: cross_entropy.softmax_cross_entropy_with_logits_v2(y, t),
                 lambda: cross_entropy.sparse_softmax_cross_entropy_with_logits(labels=[1], logits=t)):
        with GradientTape() as tape:
            tape.watch(t)
            value = loss()
        assert value.numpy().tolist() == [2000]
        assert tape.gradient(value, t).numpy()[0, :3].tolist() == ([1, -1, 0])[:classes]


def test_sigmoid_cross_entropy() -> None:
    got = cross_entropy.sigmoid_cross_entropy_with_logits(labels=[0., 1., 1., 0.5], logits=[1000., 1000., -1000., 0.])
    np.testing.assert_allclose(got.numpy(), [1000, 0, 1000, np.log(2)], rtol=1e-6)
    x = RNG.standard_normal(37).astype(np.float32)
    z = RNG.random(37).astype(np.float32)
    t = constant(x)
    with GradientTape() as tape:
        tape.watch(t)
        value = cross_entropy.sigmoid_cross_entropy_with_logits(labels=z, logits=t)
    close(tape.gradient(value, t), 1 / (1 + np.exp(-x.astype(np.float64))) - z)


def losses(labels: np.ndarray) -> dict:
    """name -> (device function, NumPy twin), both of logits; each weighted so that symmetry hides nothing."""
    y = soft(RNG.standard_normal(labels.shape + (CLASSES[-1],)))
    w = RNG.standard_normal(y.shape)
    v = RNG.standard_normal(labels.shape)
    w32, v32, y32 = (constant(a.astype(np.float32)) for a in (w, v, y))
    return {
        "softmax": (lambda x: reduce_sum(nn.softmax(x) * w32), lambda x: (soft(x) * w).sum()),
        "log_softmax": (lambda x: reduce_sum(nn.log_softmax(x) * w32), lambda x: (log_soft(x) * w).sum()),
        "dense": (lambda x: reduce_sum(cross_entropy.softmax_cross_entropy_with_logits_v2(y32, x) * v32),
                  lambda x: -(v * (y * log_soft(x)).sum(-1)).sum()),
        "unnormalised": (lambda x: reduce_sum(cross_entropy.softmax_cross_entropy_with_logits_v2(w32, x) * v32),
                         lambda x: -(v * (w * log_soft(x)).sum(-1)).sum()),
        "sparse": (lambda x: reduce_sum(
            cross_entropy.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=x) * v32),
            lambda x: -(v * np.take_along_axis(log_soft(x), labels[..., None], -1)[..., 0]).sum()),
        "l2_loss": (nn.l2_loss, lambda x: (x * x).sum() / 2),
        "l2_normalize": (lambda x: reduce_sum(nn.l2_normalize(x, -1) * w32),
                         lambda x: (x / np.sqrt((x * x).sum(-1, keepdims=True)) * w).sum()),
        "variance": (lambda x: reduce_sum(nn.moments(x, [-1])[1] * v32), lambda x: (x.var(-1) * v).sum()),
    }


CLASSES = (3, 7)


@pytest.mark.parametrize("name", sorted(losses(np.zeros(3, int))))
def test_gradients_to_second_order(name: str) -> None:
    """First order against differences of the float64 twin, second against differences of the twin's gradient."""
    function, twin = losses(RNG.integers(0, CLASSES[-1], CLASSES[:-1]))[name]
    x = RNG.standard_normal(CLASSES)
    along, other = RNG.standard_normal(CLASSES), RNG.standard_normal(CLASSES)

    def slope(x: np.ndarray, h: float = 1e-4) -> float:
        return (twin(x + h * along) - twin(x - h * along)) / (2 * h)

    t = constant(x.astype(np.float32))
    with GradientTape() as outer:
        outer.watch(t)
        with GradientTape() as tape:
            tape.watch(t)
            value = function(t)
        first = tape.gradient(value, t)
        directed = reduce_sum(first * constant(along.astype(np.float32)))
    second = outer.gradient(directed, t)
    assert float(value.numpy()) == pytest.approx(twin(x), rel=1e-5)
    assert (first.numpy() * along).sum() == pytest.approx(slope(x), rel=1e-3, abs=1e-4)
    want = (slope(x + 1e-3 * other) - slope(x - 1e-3 * other)) / 2e-3
    assert (second.numpy() * other).sum() == pytest.approx(want, rel=3e-3, abs=1e-3)


def test_labels_get_a_gradient_from_v2_only() -> None:
    x, y = constant([[1., 2.]]), constant([[0.25, 0.75]])
    with GradientTape(persistent=True) as tape:
        tape.watch([x, y])
        new = cross_entropy.softmax_cross_entropy_with_logits_v2(y, x)
        old = cross_entropy.softmax_cross_entropy_with_logits(labels=y, logits=x)
    close(tape.gradient(new, y), -log_soft(np.array([[1., 2.]])))
    assert tape.gradient(old, y) is None and tape.gradient(old, x) is not None


def test_bad_labels() -> None:
    f = cross_entropy.sparse_softmax_cross_entropy_with_logits
    with pytest.raises(InvalidArgumentError, match=r"labels = 7 is not in \[0, 3\)"):
        f(labels=[7], logits=[[1., 2., 3.]])
    for classes in (3, 20):     # labels only the device knows: an error at the next read
        labels = constant(np.full(5000, 1, np.int64)) * 40
        loss = f(labels=labels, logits=np.zeros((5000, classes), np.float32))
        with pytest.raises(InvalidArgumentError, match="sparse_softmax_cross_entropy_with_logits.*40"):
            loss.numpy()
    with pytest.raises(InvalidArgumentError, match="labels have shape"):
        f(labels=[1, 2], logits=[[1., 2., 3.]])
    with pytest.raises(DTypeError, match="labels must be int32 or int64"):
        f(labels=[1.], logits=[[1., 2., 3.]])
    with pytest.raises(InvalidArgumentError, match="by name"):
        f([1], [[1., 2.]])


def test_bad_logits() -> None:
    with pytest.raises(DTypeError, match="softmax: logits must be floating"):
        nn.softmax([1, 2])
    with pytest.raises(InvalidArgumentError, match="at least one class"):
        nn.softmax(np.zeros((3, 0), np.float32))
    with pytest.raises(InvalidArgumentError, match="axis = 2 is not in"):
        nn.softmax([[1.]], 2)
    with pytest.raises(InvalidArgumentError, match="one shape"):
        cross_entropy.softmax_cross_entropy_with_logits_v2([1.], [[1.]])
    with pytest.raises(InvalidArgumentError, match="one shape"):
        cross_entropy.sigmoid_cross_entropy_with_logits(labels=[1.], logits=[[1.]])
    assert nn.softmax(np.zeros((0, 3), np.float32)).numpy().shape == (0, 3)


def test_small_compositions() -> None:
    x = RNG.standard_normal((4, 3, 5)).astype(np.float32)
    for axes, keep in (([0], False), ([0, 1], True), ([-1], False)):
        mean, variance = nn.moments(constant(x), axes, keep_dims=keep)
        close(mean, x.astype(np.float64).mean(tuple(axes), keepdims=keep))
        close(variance, x.astype(np.float64).var(tuple(axes), keepdims=keep))
    half = (x + 300).astype(np.float16)      # squares overflow float16
    mean, variance = nn.moments(constant(half), [0, 1, 2])
    assert variance.dtype.name == "float16"
    assert float(variance.numpy()) == pytest.approx(half.astype(float).var(), rel=2e-3)
    close(nn.l2_loss(x), (x.astype(np.float64) ** 2).sum() / 2)
    assert nn.l2_loss(np.zeros((0,), np.float32)).numpy() == 0
    close(nn.bias_add(x, [1., 2., 3., 4., 5.]), x + np.float32([1, 2, 3, 4, 5]))
    close(nn.bias_add(x, [1., 2., 3.], data_format="NCHW"), x + np.float32([[1], [2], [3]]))
    with pytest.raises(InvalidArgumentError, match="one entry per channel"):
        nn.bias_add(x, [1., 2.])
    with pytest.raises(InvalidArgumentError, match="data_format"):
        nn.bias_add(x, [1.], data_format="NDHW")


def test_embedding_lookup_is_sparse() -> None:
    table = constant([[1., 2.], [3., 4.], [5., 6.]])
    with GradientTape() as tape:
        tape.watch(table)
        y = nn.embedding_lookup(table, [2, 0, 2])
    assert y.numpy().tolist() == [[5, 6], [1, 2], [5, 6]]
    g = tape.gradient(y, table)
    assert isinstance(g, IndexedSlices) and convert(g).numpy().tolist() == [[1, 1], [0, 0], [2, 2]]
    with pytest.raises(UnimplementedError, match="max_norm"):
        nn.embedding_lookup(table, [0], max_norm=1.0)
    with pytest.raises(InvalidArgumentError, match=r"not in \[0, 3\)"):
        nn.embedding_lookup(table, [3])


def test_dropout() -> None:
    set_random_seed(3)
    x = constant(np.ones((200, 100), np.float32))
    with GradientTape() as tape:
        tape.watch(x)
        y = dropout.dropout(x, 0.8)
    kept = y.numpy()
    assert set(np.unique(kept)) == {np.float32(0), np.float32(1) / np.float32(0.8)}
    assert abs((kept > 0).mean() - 0.8) < 0.02
    assert np.array_equal(tape.gradient(y, x).numpy(), kept)
    rows = dropout.dropout(x, rate=0.5, noise_shape=[None, 1]).numpy()
    assert np.array_equal(rows, np.repeat(rows[:, :1], 100, 1)) and 0 < (rows[:, 0] > 0).mean() < 1
    assert not np.array_equal(dropout.dropout(x, 0.8).numpy(), kept)
    assert dropout.dropout(x, 1.0) is x
    for bad in ({}, {"keep_prob": 0.0}, {"keep_prob": 1.5}, {"rate": 1.0}, {"keep_prob": 0.5, "rate": 0.5},
                {"keep_prob": 0.5, "noise_shape": [3, 100]}):
        with pytest.raises(InvalidArgumentError, match="dropout"):
            dropout.dropout(x, **bad)
    with pytest.raises(DTypeError):
        dropout.dropout([1, 2], 0.5)
