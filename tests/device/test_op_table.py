"""The op table against NumPy: values, inferred specs, gradients and second order, under both schedules.

The device's own schedule gets everything, the other one the kernels and a sample of the expressions, as every
program costs a compilation. Gradients are compared along random directions: the device's float32 vjp with finite
differences of the twin in float64, of fourth order. That is a thousand times sharper than differencing float32
results, and knows nothing of the rules it checks.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.op import registry
from cltensor.core.spec import Spec
from cltensor.core.tensor import from_numpy
from cltensor.interpret import defer
from cltensor.interpret.record import Recording, Symbol
from cltensor.runtime.device import Device
from tests.op_table import ROWS
from tests.ops.row import Case, Row, draw, wide

SMALL = 600          # elements up to which a case is differentiated: one wrong element must show
DIRECTIONS = 2
# Expressions have one template: these show that it spreads them, whatever they compute, under both schedules
SPREAD = ("add", "exp", "mod", "pow with a number", "where", "add_n", "clip_by_value between tensors", "less",
          "logical_and", "floordiv", "cast float32 to int32", "cast float32 to float16", "cast float16 to float32",
          "apply_adam", "dropout", "truediv of integers", "reduce_logsumexp")
# What the simulator computes wrongly: it takes a vector of comparisons apart into bytes of 255 for true
MISREAD = ("sign", "argmax", "argmin", "argmax as int32")


def each(rows: Any) -> Any:
    return pytest.mark.parametrize("row", list(rows), ids=lambda row: row.name)


def flat(result: Any) -> list:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def expected(row: Row, arrays: list, one: Case) -> list:
    with np.errstate(all="ignore"):
        return [np.asarray(w) for w in flat(row.twin(*wide(arrays), **one.attrs))]


def result_dtype(row: Row, dtype: str, i: int) -> str:
    given = row.result[i] if isinstance(row.result, tuple) else row.result
    return given or dtype


def compare(row: Row, one: Case, dtype: str, got: list, arrays: list) -> None:
    """Shapes, dtypes, then values within the row's tolerance."""
    want = expected(row, arrays, one)
    assert len(got) == len(want), f"{one}: {len(got)} results, the twin has {len(want)}"
    for i, (g, w) in enumerate(zip(got, want)):
        kind = result_dtype(row, dtype, i)
        value = g.numpy()
        where = f"{row.name}[{i}] of {dtype} {one}"
        assert g.dtype.name == kind and value.dtype == kind, f"{where}: dtype {g.dtype.name}, it should be {kind}"
        assert np.shape(value) == w.shape and tuple(g.shape.as_list()) == w.shape, f"{where}: shape {np.shape(value)}"
        with np.errstate(all="ignore"):
            if kind[0] != "f":
                np.testing.assert_array_equal(value, w.astype(kind), err_msg=where)
                continue
            rounded = w.astype(kind)            # overflow to infinity is what the dtype does
            w = np.where(np.isinf(rounded), rounded, w)
            bound = row.tolerance.bound(w, wide(arrays), row, one, kind)
        check_close(value, w, bound, where)


def check_close(value: Any, want: np.ndarray, bound: np.ndarray, where: str) -> None:
    value = np.asarray(value, np.float64)
    with np.errstate(all="ignore"):
        fine = (np.abs(value - want) <= bound) | (value == want) | (np.isnan(value) & np.isnan(want))
    if not fine.all():
        bad = np.argwhere(~fine)
        at = tuple(bad[0])
        raise AssertionError(f"{where}: {len(bad)} of {want.size} differ, first at {at}: {value[at]!r}, the twin has "
                             f"{want[at]!r}, allowed is {np.broadcast_to(bound, want.shape)[at]:.3g}")


# -- values
def tensors(arrays: list) -> list:
    return [tf.constant(a) for a in arrays]


def check_values(row: Row, dtypes: tuple, chosen: tuple) -> None:
    for dtype in dtypes:
        for one in chosen:
            arrays = draw(row, one, dtype)
            compare(row, one, dtype, flat(row.call(*tensors(arrays), **one.attrs)), arrays)


def has_kernel(row: Row) -> bool:
    return any(registry()[name].kind == "kernel" for name in row.ops)


def check_value(row: Row, device: Device, dtypes: tuple) -> None:
    """Every case; on the checking device those of some hundred elements, but there an overrun shows."""
    if not device.physical.simulator:
        check_values(row, dtypes, row.cases)
    elif row.name not in MISREAD:
        check_values(row, dtypes, tuple(c for c in row.cases if c.size <= 300)[:8])


@pytest.mark.oclgrind
@each(ROWS)
def test_value(row: Row, device: Device) -> None:
    check_value(row, device, row.dtypes)


@pytest.mark.oclgrind
@each(row for row in ROWS if has_kernel(row) or row.name in SPREAD)
def test_value_under_the_other_schedule(row: Row, other_schedule: str, device: Device) -> None:
    check_value(row, device, row.dtypes[:1])


@each(ROWS)
def test_value_at_once(row: Row, device: Device) -> None:
    """Ops wait and run together in the tests above where they can; here each runs at its call."""
    with defer.using("0"):
        check_value(row, device, row.dtypes[:1])


@each(row for row in ROWS if row.specials)
def test_awkward_values(row: Row) -> None:
    dtype = row.dtypes[0]
    arrays = [np.asarray(s).astype(dtype) for s in row.specials]
    one = Case(tuple(a.shape for a in arrays))
    compare(row, one, dtype, flat(row.call(*tensors(arrays))), arrays)


# -- what infer says
def spec_of(t: Any) -> tuple:
    return t.spec.shape, t.spec.dtype.name


@each(row for row in ROWS if row.symbolic)
def test_inferred_spec_is_the_real_one(row: Row) -> None:
    """Recording the call knows shape and dtype without running it; with an open first size it does not contradict."""
    for one in row.cases:
        if one.size > SMALL:
            continue
        arrays = draw(row, one, row.dtypes[0])
        real = [spec_of(t) for t in flat(row.call(*tensors(arrays), **one.attrs))]
        symbols = [Symbol(Spec(a.shape, a.dtype.name)) if s.dtype == "" or s.smooth else from_numpy(a)
                   for a, s in zip(arrays, row.inputs)]
        with Recording():
            told = [spec_of(t) for t in flat(row.call(*symbols, **one.attrs))]
        assert told == real, f"{row.name} {one}: recorded {told}, computed {real}"


# -- gradients
def directions(row: Row, one: Case, tag: str, shapes: list, n: int = DIRECTIONS) -> list:
    rng = np.random.default_rng(zlib.crc32(f"{row.name} {tag} {one}".encode()))
    return [[rng.uniform(-1, 1, s).astype(np.float32).astype(np.float64) for s in shapes] for _ in range(n)]


class Problem:
    """One case made differentiable: phi(x, w) = sum of w * result, on the device and on the twin."""

    def __init__(self, row: Row, one: Case):
        self.row, self.one = row, one
        self.arrays = draw(row, one, row.dtypes[0])
        self.places = [i for i, (a, s) in enumerate(zip(self.arrays, row.inputs)) if a.dtype.kind == "f" and s.smooth]
        results = expected(row, self.arrays, one)
        self.outs = [i for i, w in enumerate(results) if result_dtype(row, row.dtypes[0], i).startswith("float")]
        self.shapes = [results[i].shape for i in self.outs]
        self.kinds = [result_dtype(row, row.dtypes[0], i) for i in self.outs]
        self.xs = [self.arrays[i].astype(np.float64) for i in self.places]
        self.ws = directions(row, one, "weights", self.shapes, 1)[0]

        self.finite = all(np.isfinite(results[i]).all() for i in self.outs)
        # a factor such as tanh's 1 - y * y is only known to eps, however small it is
        self.floor = 2.0**-22 * float(sum(np.abs(w).sum() for w in self.ws))

    def twin(self, xs: list, ws: list) -> float:
        full: list = wide(self.arrays)
        for i, x in zip(self.places, xs):
            full[i] = x
        results = flat(self.row.twin(*full, **self.one.attrs))
        return float(sum(np.sum(w * np.asarray(results[i])) for w, i in zip(ws, self.outs)))

    def device(self) -> tuple[list, list]:
        inputs = tensors(self.arrays)
        return inputs, [tf.constant(w.astype(kind)) for w, kind in zip(self.ws, self.kinds)]

    def run(self, inputs: list) -> list:
        results = flat(self.row.call(*inputs, **self.one.attrs))
        return [results[i] for i in self.outs]


def moved(xs: list, d: list, t: float) -> list:
    return [x + t * e for x, e in zip(xs, d)]


def dense(g: Any) -> Any:
    return tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g


def along(gradients: list, d: list) -> tuple[float, float]:
    """Derivative along d, and the size the tolerance refers to: independent errors of all contributions add up to
    twice their root mean square at most."""
    parts = [np.asarray(g.numpy(), np.float64) * e for g, e in zip(gradients, d) if g is not None]
    return float(sum(p.sum() for p in parts)), 2 * float(np.sqrt(sum(np.square(p).sum() for p in parts)))


def differentiable(order: int) -> Any:
    return [row for row in ROWS if row.order >= order]


def problems(row: Row) -> list:
    """The cases that have a derivative: small, and not the maximum of nothing."""
    found = [Problem(row, one) for one in row.cases if one.size <= SMALL]
    return [p for p in found if p.finite]


def check_gradient(p: Problem) -> None:
    inputs, weights = p.device()
    sources = [inputs[i] for i in p.places]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        results = p.run(inputs)
    gradients = [dense(g) for g in tape.gradient(results, sources, output_gradients=weights)]
    for g, x in zip(gradients, p.xs):
        assert g is None or (tuple(g.shape.as_list()) == x.shape and g.dtype.name == p.row.dtypes[0]), \
            f"{p.row.name} {p.one}: gradient {spec_of(g)}, input {x.shape}"
    for d in directions(p.row, p.one, "first", [x.shape for x in p.xs]):
        got, scale = along(gradients, d)
        h = 1e-3
        f = {k: p.twin(moved(p.xs, d, k * h), p.ws) for k in (-2, -1, 1, 2)}
        want = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)
        size = max(abs(v) for v in f.values())
        assert abs(got - want) <= p.row.gradient * scale + p.floor + 1e-11 * (size + 1), \
            f"{p.row.name} {p.one}: gradient along d is {got}, the twin says {want} (size {scale:.3g})"


def check_second(p: Problem) -> None:
    inputs, weights = p.device()
    sources = [inputs[i] for i in p.places]
    shapes = [x.shape for x in p.xs]
    v = directions(p.row, p.one, "inner", shapes, 1)[0]
    with tf.GradientTape() as outer:
        outer.watch([*sources, *weights])
        with tf.GradientTape() as inner:
            inner.watch(sources)
            results = p.run(inputs)
        gradients = [dense(g) for g in inner.gradient(results, sources, output_gradients=weights)]
        there = [i for i, g in enumerate(gradients) if g is not None]
        if not there:
            return
    hessian = [dense(g) for g in outer.gradient([gradients[i] for i in there], [*sources, *weights], output_gradients=[
        tf.constant(v[i].astype(p.row.dtypes[0])) for i in there])]
    for d in directions(p.row, p.one, "second", [*shapes, *p.shapes]):
        got, scale = along(hessian, d)
        dx, dw = d[:len(shapes)], d[len(shapes):]

        def mixed(h: float) -> tuple[float, float]:
            f = {(s, t): p.twin(moved(moved(p.xs, v, s * h), dx, t * h), moved(p.ws, dw, t * h))
                 for s in (-1, 1) for t in (-1, 1)}
            return (f[1, 1] - f[1, -1] - f[-1, 1] + f[-1, -1]) / (4 * h * h), max(abs(x) for x in f.values())

        h = 4e-3
        (near, size), (far, _) = mixed(h), mixed(2 * h)
        want = (4 * near - far) / 3
        first = along(gradients, v)[1]      # second derivatives are made of terms as large as first ones
        allowed = 4 * p.row.gradient * (scale + first) + p.floor + abs(near - far) * 2e-3 + 1e-10 * (size + 1)
        assert abs(got - want) <= allowed, \
            f"{p.row.name} {p.one}: second order along v, d is {got}, the twin says {want} (size {scale:.3g}, " \
            f"allowed {allowed:.3g})"


@pytest.mark.oclgrind
@each(differentiable(1))
def test_gradient(row: Row) -> None:
    for p in problems(row):
        check_gradient(p)


@each(differentiable(1))
def test_gradient_at_once(row: Row) -> None:
    with defer.using("0"):
        for p in problems(row):
            check_gradient(p)


@each(differentiable(2))
def test_second_order(row: Row) -> None:
    for p in problems(row):
        check_second(p)


@each(row for row in differentiable(1) if has_kernel(row))
def test_gradient_of_kernels_under_the_other_schedule(row: Row, other_schedule: str) -> None:
    """Rules are the same under both schedules, the kernels they call are not: two cases of each kernel op."""
    for p in problems(row)[-2:]:
        check_gradient(p)
