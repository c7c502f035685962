"""x[key] against NumPy on many random keys, with gradients, errors and iteration."""

import numpy as np
import pytest

from cltensor.autodiff.tape import GradientTape
from cltensor.base.errors import DTypeError, InvalidArgumentError, OutOfRangeError
from cltensor.core.tensor import Tensor, constant
from cltensor.ops import operators, slicing  # noqa: F401 (operators installs x[...])
from cltensor.ops.index import newaxis
from cltensor.ops.reduce import reduce_sum


def bound(rng, n):
    return None if rng.random() < .3 else int(rng.integers(-n - 2, n + 3))


def random_key(rng, shape, arrays):
    """A key for this shape: integers, slices, None, one ellipsis; with arrays also masks and index arrays."""
    key, d, seen = [], 0, False
    common = [(3,), (2, 3), (1, 3)][rng.integers(3)]
    while d < len(shape):
        n = shape[d]
        kind = rng.random()
        if kind < .1:
            key.append(None)
            continue
        if kind < .2 and not seen:
            key.append(Ellipsis)
            seen = True
            d += int(rng.integers(0, len(shape) - d + 1))
            continue
        if kind < .3:
            break
        if arrays and kind < .6 and n:
            if rng.random() < .2:
                key.append(rng.random(n) < .5)
                if key[-1].sum() != 3:
                    key[-1] = np.zeros(n, bool)
                    key[-1][:3] = True
                    if n < 3:
                        key[-1] = [0, 0, n - 1]
            else:
                shape_of = common if rng.random() < .7 else common[-1:]
                key.append(rng.integers(-n, n, shape_of))
        elif kind < .7 and n:
            key.append(int(rng.integers(-n, n)))
        else:
            key.append(slice(bound(rng, n), bound(rng, n), rng.choice([None, 1, 2, 3, -1, -2]) or None))
        d += 1
    return tuple(key)


def check(x, t, key):
    expected = x[key]
    got = t[key]
    assert isinstance(got, Tensor)
    assert got.shape == expected.shape, (x.shape, key)
    assert np.array_equal(got.numpy(), expected), (x.shape, key)


@pytest.mark.parametrize("seed", range(4))
def test_basic_keys(seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        shape = tuple(int(n) for n in rng.choice([1, 2, 3, 5, 17, 20], rng.integers(1, 5)))
        x = rng.integers(0, 1000, shape).astype((np.float32, np.int32, np.uint8, np.int64)[seed])
        check(x, constant(x), random_key(rng, shape, False))


@pytest.mark.parametrize("seed", range(4))
def test_array_keys(seed):
    rng = np.random.default_rng(100 + seed)
    done = 0
    while done < 40:
        shape = tuple(int(n) for n in rng.choice([1, 2, 3, 5, 17, 20], rng.integers(1, 5)))
        x = rng.integers(0, 1000, shape).astype(np.float32)
        key = random_key(rng, shape, True)
        try:
            x[key]
        except IndexError:      # arrays that do not broadcast together
            continue
        check(x, constant(x), key)
        done += 1


@pytest.mark.oclgrind
def test_masks_and_tensors():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    t = constant(x)
    for key in (x > 11, (slice(None), x[0] > 5), np.array([True, False]),
                (Ellipsis, [True, False, False, True]), (slice(None), [2, 0], [1, 1]), ([0, 1], slice(None), [3, 0]),
                (0, slice(None), [1, 2]), (slice(None), 0, [[1], [2]]), [1, 0, 1], np.zeros((0, 3), int)):
        check(x, t, key)
    assert t[[]].shape == (0, 3, 4)
    assert np.array_equal(t[t > 11.0].numpy(), x[x > 11])
    i, j = constant(1), constant(np.array(2, np.int64))
    assert float(t[i, j, 0]) == x[1, 2, 0] and t[:, i:j].shape == (2, 1, 4)
    assert t[newaxis, ..., newaxis].shape == (1, 2, 3, 4, 1)
    assert float(t[np.int64(1), np.array(2), np.uint8(3)]) == 23


@pytest.mark.oclgrind
def test_indices_on_the_device():
    """Index tensors without a host copy: negative ones wrap in the kernel, several go through gather_nd."""
    x = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    t = constant(x)

    def far(value):
        y = slicing.reverse(constant(np.array(value, np.int32)), [0])
        assert y.host is None
        return y, np.array(value, np.int32)[::-1]
    i, ni = far([2, -1, 0])
    j, nj = far([1, -4, 3])
    for key, nkey in (((i,), (ni,)), ((slice(None), j), (slice(None), nj)), ((i, j), (ni, nj)),
                      ((i, slice(None), j), (ni, slice(None), nj)), ((slice(None), j, [0, 1, -1]),
                                                                     (slice(None), nj, [0, 1, -1])),
                      ((Ellipsis, j, i), (Ellipsis, nj, ni))):
        got = t[key]
        assert np.array_equal(got.numpy(), x[nkey]), key
    with pytest.raises(InvalidArgumentError, match="is not in"):
        t[far([7, 1, 0])[0]].numpy()


def test_gradients():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for key in (1, (slice(None), -1), (Ellipsis, slice(None, None, -2)), (None, 0, slice(1, 3)), [1, 0, 1],
                (slice(None), [2, 0, 2]), ([0, 1, 0], slice(None), [3, 0, 3]), x > 11, (x[0] > 5)[None].repeat(2, 0),
                slice(5, 9)):
        t = constant(x)
        with GradientTape() as tape:
            tape.watch(t)
            y = t[key]
            loss = reduce_sum(y * y)
        expected = np.zeros_like(x)
        np.add.at(expected, key, 2 * x[key])
        np.testing.assert_array_equal(np.asarray(tape.gradient(loss, t)), expected)


def test_one_plan_for_all_offsets():
    t = constant(np.arange(2000, dtype=np.float32).reshape(100, 20))
    t[0], t[0:10]
    before = len(slicing.TAKE_AT.memo)
    for i in range(1, 90):
        assert float(t[i][3]) == 20 * i + 3
        assert t[i:i + 10].shape == (10, 20)
    assert len(slicing.TAKE_AT.memo) <= before + 1


def test_iteration_ends():
    x = np.arange(6).reshape(3, 2)
    assert [r.numpy().tolist() for r in constant(x)] == x.tolist()
    a, b, c = constant([1, 2, 3])
    assert int(b) == 2
    with pytest.raises(TypeError):
        iter(constant(1)).__next__()


def test_whole_slices_are_views():
    t = constant(np.zeros((40, 50), np.float32))
    for key in (slice(None), Ellipsis, (None, Ellipsis), (slice(0, 40), slice(None, 99))):
        assert t[key].buffer is t.buffer


@pytest.mark.parametrize("key,error,words", [
    (3, OutOfRangeError, "3 along dimension 0"), (-4, OutOfRangeError, r"\[-3, 3\)"),
    ((0, 0, 0), InvalidArgumentError, "3 indices"),
    ([0, 3], OutOfRangeError, "3 is not in"), (slice(None, None, 0), InvalidArgumentError, "step"),
    (1.5, DTypeError, "1.5"), ("a", DTypeError, "'a'"), (True, DTypeError, "True"), ([1.5], DTypeError, "float"),
    ([True, False], InvalidArgumentError, "mask"), (([0, 1], [0, 1, 1]), InvalidArgumentError, "broadcast"),
    (slice("a", None), DTypeError, "'a'"),
])
def test_bad_keys(key, error, words):
    with pytest.raises(error, match=words):
        constant(np.zeros((3, 4)))[key]
