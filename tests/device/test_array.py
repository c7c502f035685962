"""Rearrangements against NumPy: every one of them is the same strided copy on the device."""

import numpy as np
import pytest

from cltensor.autodiff.tape import GradientTape
from cltensor.base.errors import DTypeError, InvalidArgumentError, OutOfRangeError
from cltensor.core.tensor import constant
from cltensor.kernels import build
from cltensor.ops import array, creation, join, operators, selection, slicing  # noqa: F401 (operators installs)
from cltensor.ops.reduce import reduce_sum

SIZES = (1, 2, 3, 5, 16, 17, 33)
DTYPES = (np.float32, np.int64, np.int16, np.uint8, np.float16, np.bool_)


def numbers(rng, shape, dtype=np.float32):
    return rng.integers(0, 2 if dtype is np.bool_ else 100, shape).astype(dtype)


def same(t, expected):
    got = t.numpy()
    assert np.shape(got) == np.shape(expected) and got.dtype == np.asarray(expected).dtype
    assert np.array_equal(got, expected)


def random_shape(rng, low=1, high=4):
    return tuple(int(n) for n in rng.choice(SIZES, rng.integers(low, high + 1)))


def gradient(f, *xs):
    with GradientTape() as tape:
        tape.watch(xs)
        y = f(*xs)
    return tape.gradient(y, list(xs))


@pytest.mark.parametrize("seed", range(6))
def test_transpose(seed):
    rng = np.random.default_rng(seed)
    for _ in range(12):
        x = numbers(rng, random_shape(rng), DTYPES[seed])
        perm = rng.permutation(x.ndim)
        same(array.transpose(x, perm), x.transpose(perm))
    same(array.transpose(x), x.T)


@pytest.mark.parametrize("shape", [(1024, 1024), (1000, 37), (15, 1000), (3, 64, 65), (64, 3, 65), (2, 3, 64, 40)])
def test_transpose_in_tiles(shape):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    same(array.transpose(x), x.T)
    same(array.matrix_transpose(x), x.swapaxes(-1, -2))


@pytest.mark.oclgrind
def test_high_rank():
    x = np.arange(2**9).reshape((2,) * 9)
    same(array.transpose(x, (8, 0, 6, 2, 4, 3, 5, 1, 7)), x.transpose((8, 0, 6, 2, 4, 3, 5, 1, 7)))
    same(slicing.reverse(x, [0, 2, 4, 6, 8]), np.flip(x, (0, 2, 4, 6, 8)))


def test_views_share_the_buffer():
    x = array.transpose(np.arange(6000, dtype=np.float32).reshape(60, 100))
    for view in (array.reshape(x, [-1, 3]), array.expand_dims(x, 1), array.identity(x), array.stop_gradient(x),
                 array.squeeze(array.expand_dims(x, -1)), array.transpose(array.expand_dims(x, 0), (1, 0, 2))):
        assert view.buffer is x.buffer
    same(array.reshape(x, [3, -1, 2]), x.numpy().reshape(3, -1, 2))
    assert array.squeeze(creation.zeros([1, 3, 1, 2])).shape == (3, 2)
    assert array.squeeze(creation.zeros([1, 3, 1, 2]), squeeze_dims=[-2]).shape == (1, 3, 2)
    assert array.reshape(creation.zeros([0, 3]), [-1, 0]).shape == (0, 0)
    assert array.reshape(x, creation.shape(creation.zeros([100, 60]))).shape == (100, 60)


@pytest.mark.parametrize("seed", range(4))
def test_broadcast_and_tile(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        full = random_shape(rng)
        x = numbers(rng, tuple(1 if rng.random() < .5 else n for n in full)[rng.integers(0, len(full)):],
                    DTYPES[seed])
        same(array.broadcast_to(x, full), np.broadcast_to(x, full))
        times = rng.integers(0 if seed == 0 else 1, 4, x.ndim)
        same(array.tile(x, times), np.tile(x, times))
    same(array.broadcast_to(7, [2, 3]), np.full((2, 3), 7, np.int32))


@pytest.mark.parametrize("seed", range(4))
def test_join_and_split(seed):
    rng = np.random.default_rng(seed)
    for _ in range(8):
        shape = random_shape(rng)
        axis = int(rng.integers(-len(shape), len(shape)))
        sizes = [int(rng.choice([0, 1, 3, 16, 50])) for _ in range(rng.integers(1, 5))]
        parts = [numbers(rng, shape[:axis % len(shape)] + (n,) + shape[axis % len(shape) + 1:], DTYPES[seed])
                 for n in sizes]
        whole = np.concatenate(parts, axis)
        same(join.concat(parts, axis), whole)
        for got, part in zip(join.split(whole, sizes, axis), parts):
            same(got, part)
        others = [numbers(rng, shape, DTYPES[seed]) for _ in range(3)]
        at = int(rng.integers(-len(shape) - 1, len(shape) + 1))
        same(join.stack(others, at), np.stack(others, at))
        for got, part in zip(join.unstack(np.stack(others, at), axis=at), others):
            same(got, part)
    same(join.stack([1, 2, 3]), np.array([1, 2, 3], np.int32))
    assert [t.shape for t in join.split(np.zeros((4, 6)), 3, 1)] == [(4, 2)] * 3
    assert [t.shape for t in join.split(np.zeros(7), [2, -1])] == [(2,), (5,)]


def test_lists_of_tensors_convert():
    x = constant(2.0)
    y = constant([[x, 1], [3, x * x]])
    same(y, np.array([[2, 1], [3, 4]], np.float32))
    with GradientTape() as tape:
        tape.watch(x)
        z = reduce_sum(array.reshape([x * x, x], [2]))
    assert float(tape.gradient(z, x)) == 5


@pytest.mark.parametrize("mode,name", [("CONSTANT", "constant"), ("REFLECT", "reflect"), ("SYMMETRIC", "symmetric")])
def test_pad(mode, name):
    rng = np.random.default_rng(0)
    for _ in range(10):
        x = numbers(rng, tuple(n + 2 for n in random_shape(rng, 1, 3)))
        pads = rng.integers(0, 3, (x.ndim, 2))
        same(slicing.pad(x, pads, mode), np.pad(x, pads, name))
    same(slicing.pad(x, pads, constant_values=-1.5), np.pad(x, pads, constant_values=-1.5))
    same(slicing.pad(np.zeros((0, 2), np.int32), [[1, 1], [0, 1]], constant_values=3), np.full((2, 3), 3, np.int32))
    same(slicing.pad(True, np.zeros((0, 2), np.int32)), np.array(True))


@pytest.mark.oclgrind
def test_slice_and_strided_slice():
    x = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(np.int32)
    same(slicing.slice(x, [1, 0, 2], [2, -1, 3]), x[1:3, :, 2:5])
    same(slicing.strided_slice(x, [1, -1], [4, -5], [2, -2]), x[1:4:2, -1:-5:-2])
    same(slicing.strided_slice(x, [0, 0, 1], [0, 0, 3], begin_mask=1, end_mask=1, ellipsis_mask=2), x[..., 1:3])
    same(slicing.strided_slice(x, [2, 0, 0], [3, 0, 9], shrink_axis_mask=1, new_axis_mask=2), x[2, None, 0:9])
    same(slicing.reverse(x, [-1, 0]), x[::-1, :, ::-1])
    for make in (lambda: slicing.slice(x, [3, 0, 0], [2, 5, 6]), lambda: slicing.slice(x, [0], [1]),
                 lambda: slicing.strided_slice(x, [0], [3], [0]), lambda: slicing.strided_slice(x, [0], [3, 4]),
                 lambda: slicing.strided_slice(x, [0] * 4, [1] * 4)):
        with pytest.raises(InvalidArgumentError):
            make()
    with pytest.raises(OutOfRangeError):
        slicing.strided_slice(x, [4], [5], shrink_axis_mask=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fills(dtype):
    for shape in ((), (1,), (15,), (16,), (17, 3), (100, 101), (0, 2)):
        same(creation.zeros(shape, dtype), np.zeros(shape, dtype))
        same(creation.ones(shape, dtype), np.ones(shape, dtype))
        same(creation.zeros_like(np.ones(shape, dtype)), np.zeros(shape, dtype))
        same(creation.ones_like(np.zeros(shape, dtype), np.int32), np.ones(shape, np.int32))
    same(creation.eye(5, 7, dtype=dtype), np.eye(5, 7).astype(dtype))


def test_fill_makes_no_plan_per_value():
    for value in (0.5, -3, 2**31 - 1, True):
        kind = np.float32 if isinstance(value, float) else np.bool_ if value is True else np.int32
        same(creation.fill([3, 2], value), np.full((3, 2), value, kind))
    before = len(creation.FILL.memo)
    for i in range(10):
        same(creation.fill([5], float(i)), np.full(5, i, np.float32))
    assert len(creation.FILL.memo) <= before + 1
    same(creation.fill([2], 2**40), np.full(2, 2**40, np.int64))
    same(creation.fill([2], np.float16(3)), np.full(2, 3, np.float16))
    x = constant(3.0)
    assert float(gradient(lambda x: creation.fill([2, 3], x), x)[0]) == 6
    with pytest.raises(InvalidArgumentError, match="negative"):
        creation.zeros([2, -1])
    with pytest.raises(InvalidArgumentError, match="scalar"):
        creation.fill([2], [1, 2])


def test_sequences():
    same(creation.range(5), np.arange(5, dtype=np.int32))
    same(creation.range(3, 18, 3), np.arange(3, 18, 3, dtype=np.int32))
    same(creation.range(3, 1, -0.5), np.array([3, 2.5, 2, 1.5], np.float32))
    same(creation.range(0), np.zeros(0, np.int32))
    same(creation.range(constant(3, np.int64)), np.arange(3))
    same(creation.range(3, dtype=np.float64), np.arange(3.0))
    same(creation.linspace(10., 12., 3), np.array([10, 11, 12], np.float32))
    assert creation.linspace(np.float64(0), 1., 4).dtype == np.float64
    same(creation.eye(2, batch_shape=[3]), np.broadcast_to(np.eye(2, dtype=np.float32), (3, 2, 2)))
    x = creation.zeros([2, 3])
    assert creation.shape(x).numpy().tolist() == [2, 3] and int(creation.size(x)) == 6 and int(creation.rank(x)) == 2
    assert creation.shape(x, out_type=np.int64).dtype == np.int64 and creation.shape(x).host is not None
    with pytest.raises(InvalidArgumentError, match="delta"):
        creation.range(0, 5, 0)
    with pytest.raises(InvalidArgumentError, match="leads away"):
        creation.range(5, 0)


@pytest.mark.oclgrind
def test_empty():
    x = creation.zeros([0, 3])
    assert array.transpose(x).shape == (3, 0)
    assert join.concat([x, creation.ones([2, 3])], 0).numpy().tolist() == [[1] * 3] * 2
    assert join.stack([x, x], 1).shape == (0, 2, 3)
    assert join.unstack(x) == [] and [t.shape for t in join.unstack(x, axis=1)] == [(0,)] * 3
    assert array.tile(x, [2, 2]).shape == (0, 6) and array.broadcast_to(creation.zeros([1, 0]), [4, 0]).shape == (4, 0)
    assert slicing.reverse(x, [0, 1]).shape == (0, 3)


def test_gradients_are_the_adjoint():
    """<f(x), g> == <x, f'(g)> for linear f, exactly, on small integers."""
    rng = np.random.default_rng(1)
    x = numbers(rng, (4, 5, 6))
    cases = [lambda x: array.transpose(x, (2, 0, 1)), lambda x: array.reshape(x, [6, 20]),
             lambda x: slicing.slice(x, [1, 1, 1], [2, 3, -1]), lambda x: slicing.strided_slice(x, [3], [0], [-2]),
             lambda x: slicing.reverse(x, [1]), lambda x: slicing.pad(x, [[1, 2], [0, 0], [3, 0]]),
             lambda x: slicing.pad(x, [[1, 2], [0, 0], [3, 0]], "REFLECT"),
             lambda x: slicing.pad(x, [[1, 2], [0, 0], [3, 0]], "SYMMETRIC", constant_values=1),
             lambda x: join.concat([x, x * 2.0, x], 1), lambda x: join.stack([x, x], -1),
             lambda x: join.split(x, [2, 3, 1], 2)[1], lambda x: join.unstack(x, axis=1)[3],
             lambda x: array.tile(x, [2, 1, 3]), lambda x: array.broadcast_to(x, [2, 4, 5, 6]),
             lambda x: array.expand_dims(x, 0), lambda x: array.squeeze(array.expand_dims(x, 0)),
             lambda x: array.matrix_transpose(x), lambda x: x[1:, None, ::2, -1], lambda x: x[::-1, 2]]
    for f in cases:
        t = constant(x)
        with GradientTape(persistent=True) as tape:
            tape.watch(t)
            y = f(t)
            g = constant(numbers(rng, y.numpy().shape))
            with GradientTape() as inner:
                inner.watch(t)
                z = reduce_sum(f(t) * f(t) * g)
            first = inner.gradient(z, t)
        back = tape.gradient(y, t, output_gradients=g)
        assert np.vdot(f(t).numpy().astype(np.float64), g.numpy()) == np.vdot(x, back.numpy().astype(np.float64))
        # second order of sum(g f(x)^2) along d is 2 f'(g f(d))
        d = constant(numbers(rng, x.shape, np.float32))
        second = tape.gradient(first, t, output_gradients=d)
        twice = tape.gradient(y, t, output_gradients=constant(2.0) * g * f(d))
        np.testing.assert_array_equal(second.numpy(), twice.numpy())


def test_stop_gradient_and_identity():
    x = constant(3.0)
    assert gradient(lambda x: x * array.stop_gradient(x), x)[0].numpy() == 3
    assert gradient(lambda x: array.identity(x) * x, x)[0].numpy() == 6
    assert gradient(lambda x: creation.ones_like(x) * 2.0, x)[0] is None


@pytest.mark.parametrize("call,words", [
    (lambda: array.reshape(np.zeros((2, 3)), [4]), "6 elements"),
    (lambda: array.transpose(np.zeros((2, 3)), [0, 0]), "permutation"),
    (lambda: array.expand_dims([1], 3), "axis"),
    (lambda: array.squeeze(np.zeros((2, 1)), 0), "size 2"),
    (lambda: array.broadcast_to([1, 2], [3]), "broadcast"),
    (lambda: array.broadcast_to([[1, 2]], [2]), "broadcast"),
    (lambda: array.tile([1, 2], [1, 2]), "multiples"),
    (lambda: join.concat([[1], [[2]]], 0), "ranks differ"),
    (lambda: join.concat([np.zeros((2, 3)), np.zeros((3, 2))], 0), "3 != 2|2 != 3"),
    (lambda: join.concat([1, 2], 0), "scalar"),
    (lambda: join.concat([], 0), "empty"),
    (lambda: join.stack([[1], [1, 2]]), "differ"),
    (lambda: join.split(np.zeros(7), 2), "divisible"),
    (lambda: join.split(np.zeros(7), [3, 3]), "add up"),
    (lambda: join.unstack(np.zeros((2, 3)), num=3), "num = 3"),
    (lambda: slicing.reverse([1], [1]), "axis"),
    (lambda: slicing.pad([1], [[1]]), "paddings"),
    (lambda: slicing.pad([1], [[-1, 0]]), "negative"),
    (lambda: slicing.pad([1, 2], [[2, 0]], "REFLECT"), "at most 1"),
    (lambda: slicing.pad([1, 2], [[2, 0]], "MIRROR"), "MIRROR"),
    (lambda: selection.invert_permutation([0, 2]), "permutation"),
])
def test_errors_are_sentences(call, words):
    with pytest.raises(InvalidArgumentError, match=words):
        call()


def test_dtype_errors():
    with pytest.raises(DTypeError, match="concat: dtypes differ"):
        join.concat([constant([1]), constant([1.0])], 0)
    with pytest.raises(DTypeError, match="integers"):
        array.reshape([1, 2], [1.5, 2])


def test_few_programs():
    """Sizes, strides and offsets are arguments: shapes make no new programs."""
    x = np.arange(6000, dtype=np.float32)
    array.transpose(x.reshape(60, 100)).numpy()
    before = build.program_count()
    for shape in ((6, 10, 100), (100, 60), (3, 2000)):
        y = array.transpose(x.reshape(shape))
        y = join.concat([y, y], 0)[1:, ..., ::-1]
        y.numpy()
    assert build.program_count() == before
