"""Plans of tensors with more than 2^31 elements: no number is cut, every element is taken once; nothing runs."""

from __future__ import annotations

from math import prod
from types import SimpleNamespace
from typing import Any

import pytest

from cltensor.base.dtypes import bool_, float32, int64
from cltensor.core.spec import Spec
from cltensor.kernels import build
from cltensor.kernels.expression import lower_expression, single
from cltensor.kernels.plan import IN, OUT, Plan
from cltensor.kernels.reduction import lower_argreduce, lower_reduce
from cltensor.kernels.rowwise import lower_softmax
from cltensor.kernels.strided import copy_launch, fill_launch

BIG = 2 ** 32 + 2 ** 31 + 40
TARGETS = {s: SimpleNamespace(schedule=s, compute_units=2, is_cpu=s == "cpu", simulator=False) for s in ("cpu", "gpu")}
LIMITS = {"int": (-2 ** 31, 2 ** 31), "uint": (0, 2 ** 32), "long": (-2 ** 63, 2 ** 63), "ulong": (0, 2 ** 64)}
schedules = pytest.mark.parametrize("schedule", TARGETS)


def numbers(launch: Any) -> list[int]:
    """The integer arguments of a launch, after a check that each fits its type."""
    found = []
    for arg in launch.args:
        if arg[0] == "scalar" and arg[1] in LIMITS:
            low, high = LIMITS[arg[1]]
            assert low <= arg[2] < high, (launch.kernel, arg)
            found.append(arg[2])
    return found


def lowered(shapes: tuple, out: tuple, schedule: str) -> Any:
    ins, outs = tuple(Spec(s, float32) for s in shapes), (Spec(out, float32),)
    expression = single("x0 + x1", ins, (False,) * len(ins), outs)
    return lower_expression(expression, ins, outs, TARGETS[schedule]).launches[0]


@schedules
@pytest.mark.parametrize("shapes, out", [
    (((BIG,), ()), (BIG,)), (((3, BIG), (BIG,)), (3, BIG)), (((BIG, 3), (3,)), (BIG, 3)),
    (((BIG, 100), (BIG, 1)), (BIG, 100)), (((70_000, 70_001), (70_001,)), (70_000, 70_001))])
def test_units_of_elementwise_kernels_cover_the_result(shapes, out, schedule):
    launch = lowered(shapes, out, schedule)
    inner, rows, blocks, block, per = numbers(launch)[:5]
    assert inner * rows == prod(out)
    assert (blocks - 1) * block < inner <= blocks * block
    if schedule == "cpu":
        groups = launch.global_size[0]
        assert (groups - 1) * per < rows * blocks <= groups * per
        # the last unit: what the kernel computes with size_t, here with Python's integers
        row, b = divmod(rows * blocks - 1, blocks)
        assert row * inner + min(b * block + block, inner) == prod(out)


@schedules
@pytest.mark.parametrize("shape, axes", [((BIG,), (0,)), ((BIG, 4), (0,)), ((4, BIG), (1,)), ((4, BIG), (0,)),
                                         ((BIG, 200), (0,)), ((2 ** 17, 2 ** 16), (0, 1)), ((BIG, 7), (1,))])
def test_pieces_of_reductions_cover_the_axis(shape, axes, schedule):
    out = tuple(d for i, d in enumerate(shape) if i not in axes)
    plan = lower_reduce((Spec(shape, float32),), (Spec(out, float32),), TARGETS[schedule], op="sum", axes=axes)
    assert all(numbers(launch) for launch in plan.launches)
    first = plan.launches[0]
    known = numbers(first)
    if first.kernel in ("rows", "whole"):
        rows, R, chunks, chunk, per = known[:5]
        assert rows * R == prod(shape) and (chunks - 1) * chunk < R <= chunks * chunk
        if schedule == "cpu":
            assert (first.global_size[0] - 1) * per < rows * chunks <= first.global_size[0] * per
    elif first.kernel in ("columns", "wide", "flat"):
        outer, R, inner, _, chunks, chunk = known[:6]
        assert outer * R * inner == prod(shape) and (chunks - 1) * chunk < R <= chunks * chunk


@schedules
def test_positions_inside_a_piece_fit_32_bits(schedule):
    for shape in ((BIG,), (3, BIG)):
        spec, out = Spec(shape, float32), Spec(shape[:-1], int64)
        plan: Plan = lower_argreduce((spec,), (out,), TARGETS[schedule], op="max", axis=len(shape) - 1)
        outer, R, chunks, length = numbers(plan.launches[0])[:4]
        assert length <= 2 ** 30 and (chunks - 1) * length < R <= chunks * length and outer * R == prod(shape)


@schedules
def test_softmax_copies_and_fills_take_wide_counts(schedule):
    target = TARGETS[schedule]
    rows = Spec((BIG, 20), float32)
    assert numbers(lower_softmax((rows,), (rows,), target, kind="softmax").launches[0])[:2] == [BIG, 20]
    turned = copy_launch(target, 4, (70_001, 70_000), IN(0), (1, 70_001), OUT(), (70_000, 1))
    assert numbers(turned) and (schedule == "cpu" or dict(turned.params)["wide"])
    flat = copy_launch(target, 4, (BIG,), IN(0), (1,), OUT(), (1,), source_at=BIG)
    assert BIG in numbers(flat)
    assert numbers(fill_launch(target, bool_, BIG, ("scalar", "long", 1), OUT()))[0] == BIG


@schedules
def test_kernels_compute_addresses_in_size_t(schedule):
    """The names that hold an element number are declared with 64 bits in the rendered source."""
    launch = lowered(((3, BIG), (BIG,)), (3, BIG), schedule)
    source = build.render(launch.template, launch.params)
    for name in ("row", "j", "at", "off0"):
        assert f"size_t {name} =" in source, name
    plan = lower_reduce((Spec((BIG, 4), float32),), (Spec((4,), float32),), TARGETS[schedule], op="sum", axes=(0,))
    source = build.render(plan.launches[0].template, plan.launches[0].params)
    for name in ("u", "first", "n") if schedule == "cpu" else ("u", "first"):
        assert f"size_t {name} =" in source, name
