"""Reductions, arg-reductions and scans against NumPy, on shapes that exercise every kernel and cut."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest

import cltensor.ops.operators  # noqa: F401
from cltensor.autodiff.tape import GradientTape
from cltensor.base.dtypes import float32
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.core.spec import Spec
from cltensor.core.tensor import constant
from cltensor.interpret.runner import bind_plan
from cltensor.kernels.reduction import lower_reduce
from cltensor.ops import reduce, scan
from cltensor.runtime import device

# shapes and axes: 0-d, size 1, odd, prime; rows, lanes and columns; one and two stages; apart axes
CASES: list[tuple[tuple, Any]] = [
    ((), None), ((1,), 0), ((13,), 0), ((1009,), None), ((200003,), 0), ((7, 13), 0), ((7, 13), 1), ((33, 5), 1),
    ((33, 5), 0), ((100, 77), 0), ((100, 77), -1), ((300, 130), 0), ((2000, 70), 0), ((3, 4, 5, 6), (0, 2)),
    ((3, 4, 5, 6), [1, 3]), ((3, 70, 5), 1), ((3, 7, 70), 1), ((3, 1, 4), 1), ((40000, 3), 0), ((3, 40000), 1),
    ((2, 3, 1, 5), None), ((4, 5), ()),
    # four rows abreast with a tail; rows of two to four; few long rows, the last piece short; narrow columns side by
    # side, with rows left over that are no full vector, alone and cut
    ((9, 83), 1), ((37, 2), 1), ((37, 3), 1), ((37, 4), 1), ((2, 70001), 1), ((5, 40003), 1), ((70001, 2), 0),
    ((4099, 100), 0), ((3, 301, 24), 1), ((2, 70, 127), 1), ((16, 1, 3), 0),
]
RNG = np.random.default_rng(0)


def numpy_axis(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def values(dtype: str, shape: tuple) -> np.ndarray:
    if dtype == "bool":
        return RNG.random(shape) > 0.3
    if dtype.startswith("f"):
        return RNG.uniform(-0.9, 1.1, shape).astype(dtype)
    return RNG.integers(0 if dtype == "uint8" else -9, 9, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "int8", "int64"])
def test_sum_agrees_with_numpy(dtype: str) -> None:
    for shape, axis in CASES:
        x = values(dtype, shape)
        wide = x.astype(np.float64) if dtype.startswith("f") else x
        want = wide.sum(axis=numpy_axis(axis), dtype=wide.dtype)
        got = reduce.reduce_sum(constant(x), axis).numpy()
        assert got.dtype == x.dtype and got.shape == np.shape(want)
        tolerance = {"float32": 1e-5, "float16": 1e-3}.get(dtype, 0)
        np.testing.assert_allclose(got.astype(np.float64), np.asarray(want, np.float64), rtol=tolerance,
                                   atol=tolerance * 50, err_msg=f"{shape} {axis}")


@pytest.mark.parametrize("name", ["max", "min", "prod", "mean"])
def test_other_reductions_agree_with_numpy(name: str) -> None:
    function = getattr(reduce, f"reduce_{name}")
    for shape, axis in CASES:
        x = values("float32", shape) if name != "prod" else RNG.uniform(0.999, 1.001, shape).astype(np.float32)
        want = getattr(np, name)(x.astype(np.float64), axis=numpy_axis(axis), keepdims=True)
        got = function(constant(x), axis, keepdims=True).numpy()
        rtol = 2e-4 if name == "prod" else 3e-5      # 200003 roundings of products
        np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-6, err_msg=f"{shape} {axis}")


def test_booleans() -> None:
    for shape, axis in CASES:
        x = values("bool", shape)
        assert np.array_equal(reduce.reduce_any(constant(x), axis).numpy(), x.any(axis=numpy_axis(axis)))
        assert np.array_equal(reduce.reduce_all(constant(x), axis).numpy(), x.all(axis=numpy_axis(axis)))


@pytest.mark.parametrize("shape", [(17,), (40000,), (300000,), (5, 9), (9, 5), (300, 70)])
def test_nan_propagates(shape: tuple) -> None:
    x = values("float32", shape)
    x.flat[x.size // 2] = np.nan
    for function in (reduce.reduce_max, reduce.reduce_min, reduce.reduce_sum):
        assert np.isnan(function(constant(x)).numpy())
        assert np.isnan(function(constant(x), 0).numpy()).sum() == 1


def test_empty_inputs_give_the_identity() -> None:
    x = constant(np.zeros((0, 3), np.float32))
    assert reduce.reduce_sum(x).numpy() == 0 and reduce.reduce_prod(x, 0).numpy().tolist() == [1, 1, 1]
    assert reduce.reduce_max(x).numpy() == -np.inf and reduce.reduce_min(x).numpy() == np.inf
    assert np.isnan(reduce.reduce_mean(x).numpy()) and reduce.reduce_logsumexp(x).numpy() == -np.inf
    assert reduce.reduce_sum(x, 1).numpy().shape == (0,)
    empty = constant(np.zeros(0, bool))
    assert not reduce.reduce_any(empty).numpy() and reduce.reduce_all(empty).numpy()


def test_axis_forms() -> None:
    x = RNG.integers(0, 9, (3, 4)).astype(np.int32)
    for axis in (1, -1, [1], (1,), np.array(1), np.array([-1]), constant(1), constant([1])):
        assert reduce.reduce_sum(x, axis).numpy().tolist() == x.sum(1).tolist()
    assert reduce.reduce_sum(x, reduction_indices=1, keep_dims=True).numpy().shape == (3, 1)


def test_integers() -> None:
    assert reduce.reduce_mean([1, 2]).numpy() == 1 and reduce.reduce_mean([-1, -2]).numpy() == -1
    x = np.full(300, 100, np.int8)
    assert reduce.reduce_sum(constant(x)).numpy() == x.sum(dtype=np.int8)
    assert reduce.reduce_mean(constant(x)).numpy() == 100
    assert reduce.reduce_sum(constant(np.full(3, 2**31 - 1, np.int32))).numpy() == 2**31 - 3


def test_a_sum_has_the_same_bits_every_time() -> None:
    x = constant(values("float32", (300007,)))
    assert len({reduce.reduce_sum(x).numpy().tobytes() for _ in range(5)}) == 1


@pytest.mark.parametrize("shape", [(70001,), (1, 262144), (3, 200003), (7, 65536)])
@pytest.mark.parametrize("name", ["sum", "max"])
def test_the_group_that_ends_last_adds_up_as_a_second_launch_would(name: str, shape: tuple) -> None:
    """Many times in a row: each launch must find the tally as the one before has left it."""
    traits = device.default().traits
    ins, outs = (Spec(shape, float32),), (Spec(shape[:-1], float32),)
    runs = [bind_plan(reduce._SUM, lower_reduce(ins, outs, target, op=name, axes=(len(shape) - 1,)), device.default(),
                      ins, outs) for target in (traits, dataclasses.replace(traits, is_cpu=False))]
    xs = [constant(values("float32", shape)) for _ in range(3)]
    want = [runs[1]((x,)).numpy().tobytes() for x in xs]
    for _ in range(20):
        assert [y.numpy().tobytes() for y in [runs[0]((x,)) for x in xs]] == want


def test_threads_share_a_tally() -> None:
    xs = [constant(values("float32", (100003 + i,))) for i in range(4)]
    want = [reduce.reduce_max(x).numpy() for x in xs]
    wrong = []

    def work(x: Any, top: Any) -> None:
        for _ in range(50):
            if reduce.reduce_max(x).numpy() != top:
                wrong.append(x)
    threads = [threading.Thread(target=work, args=pair) for pair in zip(xs, want)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("R", [1, 2, 3, 4, 5])
def test_equal_rows_have_equal_sums_wherever_they_stand(R: int) -> None:
    row = np.array([1e8, 1.0, -1e8, 1.0, 3.0][:R], np.float32)
    assert len(set(reduce.reduce_sum(constant(np.tile(row, (37, 1))), 1).numpy().tolist())) == 1
    zeros = reduce.reduce_sum(constant(np.full((37, R), -0.0, np.float32)), 1).numpy()
    assert R == 1 or not np.signbit(zeros).any()


@pytest.mark.oclgrind
@pytest.mark.parametrize("shape, axis", [((70001,), 0), ((3, 40001), 1), ((131, 3), 0), ((40, 100), 0), ((33, 2), 1),
                                         ((18, 83), 1)])
def test_nothing_is_read_past_the_end(shape: tuple, axis: int) -> None:
    x = values("int32", shape)
    assert np.array_equal(reduce.reduce_sum(constant(x), axis).numpy(), x.sum(axis, dtype=np.int32))


def test_logsumexp() -> None:
    x = values("float32", (4, 9)) * 3
    np.testing.assert_allclose(reduce.reduce_logsumexp(x, 1).numpy(), np.log(np.exp(x.astype(np.float64)).sum(1)),
                               rtol=1e-6)
    assert reduce.reduce_logsumexp([-np.inf, -np.inf]).numpy() == -np.inf
    assert reduce.reduce_logsumexp([1000., 1000.]).numpy() == pytest.approx(1000 + np.log(2))


@pytest.mark.parametrize("to", [(3, 4, 5), (4, 5), (5,), (), (1, 5), (4, 1), (3, 1, 1), (1, 4, 1), (1,), (1, 1, 1)])
def test_sum_to(to: tuple) -> None:
    x = values("float32", (3, 4, 5))
    full = (1,) * (3 - len(to)) + to
    want = x.sum(tuple(i for i in range(3) if full[i] == 1), keepdims=True).reshape(to) if to != x.shape else x
    np.testing.assert_allclose(reduce.sum_to(constant(x), to).numpy(), want, rtol=1e-5, atol=1e-6)


def test_errors() -> None:
    with pytest.raises(InvalidArgumentError, match=r"reduce_sum: axis = 2 is not in \[-2, 2\)"):
        reduce.reduce_sum([[1.0]], 2)
    with pytest.raises(InvalidArgumentError, match="names a dimension twice"):
        reduce.reduce_sum([[1.0]], [0, -2])
    with pytest.raises(DTypeError, match="reduce_sum: input_tensor must be floating or integer, it has dtype bool"):
        reduce.reduce_sum([True])
    with pytest.raises(DTypeError, match="reduce_any: input_tensor must be boolean"):
        reduce.reduce_any([1.0])
    with pytest.raises(DTypeError):
        reduce.reduce_sum([1.0], 0.5)
    with pytest.raises(InvalidArgumentError, match="size 0"):
        scan.argmax(np.zeros((0, 3), np.float32))
    with pytest.raises(DTypeError, match="output_type"):
        scan.argmax([1.0], output_type="float32")


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "int64"])
def test_argmax_takes_the_first_hit(dtype: str) -> None:
    for shape, _ in CASES:
        for axis in range(len(shape)):
            x = values(dtype, shape)
            x = np.round(x * 4) / 4 if dtype.startswith("f") else x
            for nan in (False, True) if dtype.startswith("f") else (False,):
                x = x.astype(dtype)
                if nan:
                    x[RNG.random(shape) < 0.05] = np.nan
                got = scan.argmax(constant(x), axis).numpy()
                assert got.dtype == np.int64 and np.array_equal(got, x.argmax(axis)), (shape, axis, nan)
                if dtype == "float32":
                    got = scan.argmin(constant(x), axis, output_type="int32").numpy()
                    assert got.dtype == np.int32 and np.array_equal(got, x.argmin(axis)), (shape, axis, nan)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_scans_agree_with_numpy(dtype: str) -> None:
    for shape in ((1,), (7,), (5, 16), (5, 17), (3, 4, 5), (2, 33, 40)):
        for axis in range(len(shape)):
            x = values(dtype, shape)
            for name in ("cumsum", "cumprod"):
                for reverse in (False, True):
                    a = np.flip(x, axis) if reverse else x
                    want = getattr(np, name)(a, axis=axis, dtype=dtype)
                    first = np.full_like(np.take(want, [0], axis), name == "cumprod")
                    before = np.concatenate([first, np.delete(want, -1, axis)], axis)
                    for exclusive, w in ((False, want), (True, before)):
                        got = getattr(scan, name)(constant(x), axis - len(shape), exclusive, reverse).numpy()
                        np.testing.assert_allclose(got, np.flip(w, axis) if reverse else w, rtol=1e-5, atol=1e-6)


def gradients(f: Any, x: Any, order: int = 1) -> list:
    """f(x).sum()'s gradient, and the gradients of its weighted sums up to `order`."""
    x = constant(x)
    out = []
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = f(x)
        for _ in range(order):
            g = tape.gradient(y, x)
            out.append(g.numpy())
            y = reduce.reduce_sum(g * constant(np.arange(1, 1 + g.numpy().size, dtype=np.float32).reshape(g.shape)))
    return out


def test_gradients_at_awkward_values() -> None:
    assert gradients(reduce.reduce_max, [2., 2., 1.])[0].tolist() == [0.5, 0.5, 0]
    assert gradients(reduce.reduce_prod, [0., 2., 3.])[0].tolist() == [6, 0, 0]
    assert gradients(reduce.reduce_prod, [0., 2., 0.])[0].tolist() == [0, 0, 0]
    assert gradients(reduce.reduce_mean, [1., 2.])[0].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(gradients(reduce.reduce_logsumexp, [1000., 1000.])[0], [0.5, 0.5])
    x = constant([1., 2.])
    with GradientTape() as tape:
        tape.watch(x)
        y = scan.argmax(x)
    assert tape.gradient(y, x) is None


def test_second_order_of_products() -> None:
    # f = x0 x1 x2: Hessian [[0, x2, x1], [x2, 0, x0], [x1, x0, 0]] times the weights 1, 2, 3
    for x in ([0., 2., 3.], [0., 0., 3.], [4., 2., 3.]):
        hessian = np.array([[0, x[2], x[1]], [x[2], 0, x[0]], [x[1], x[0], 0]])
        assert gradients(reduce.reduce_prod, x, 2)[1].tolist() == (hessian @ [1, 2, 3]).tolist()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
def test_gradient_of_cumprod_holds_at_zeros(exclusive: bool, reverse: bool) -> None:
    """Against the closed form: the derivative of each prefix product by each factor, no division."""
    x = np.array([2., 0., 3., 0.5, 0., 1.5])
    weights = np.array([1., 2., 3., 4., 5., 6.])
    n = len(x)

    def prefix(j: int) -> list:
        return [k for k in range(n) if ((k > j) if reverse else (k < j)) or (k == j and not exclusive)]

    want = [sum(weights[j] * np.prod([x[k] for k in prefix(j) if k != i]) for j in range(n) if i in prefix(j))
            for i in range(n)]
    hessian = np.zeros((n, n))
    for i in range(n):
        for m in range(n):
            if m != i:
                hessian[i, m] = sum(weights[j] * np.prod([x[k] for k in prefix(j) if k not in (i, m)])
                                    for j in range(n) if i in prefix(j) and m in prefix(j))
    first, second = gradients(
        lambda t: reduce.reduce_sum(scan.cumprod(t, 0, exclusive, reverse) * weights.astype(np.float32)),
        x.astype(np.float32), 2)
    np.testing.assert_allclose(first, want, rtol=1e-5)
    np.testing.assert_allclose(second, hessian @ np.arange(1, n + 1), rtol=1e-5)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), (1, 2)])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "logsumexp"])
def test_gradients_against_differences(name: str, axis: Any) -> None:
    """The device's float32 gradient against differences of the NumPy twin in float64, along a direction."""
    twins = {"logsumexp": lambda x, a: np.log(np.exp(x).sum(axis=a))}
    twin = twins.get(name, lambda x, a: getattr(np, name)(x, axis=a))
    x = RNG.permutation(np.arange(1, 25)).reshape(2, 3, 4) / 12.0
    direction = RNG.standard_normal(x.shape)
    weight = RNG.standard_normal(np.shape(twin(x, axis)))
    h = 1e-5
    want = (weight * (twin(x + h * direction, axis) - twin(x - h * direction, axis))).sum() / (2 * h)
    function = getattr(reduce, f"reduce_{name}")
    got = gradients(lambda t: reduce.reduce_sum(function(t, axis) * weight.astype(np.float32)),
                    x.astype(np.float32))[0]
    assert (got * direction).sum() == pytest.approx(want, rel=2e-4, abs=2e-5)
