"""Expressions at first sight: interpreted, with the bits of the kernels that take over once enough time is lost."""

import numpy as np
import pytest

from cltensor.core.op import registry
from cltensor.core.spec import Spec
from cltensor.core.tensor import from_numpy, to_array
from cltensor.interpret import builder, first
from cltensor.interpret.eager import bind_specs
from cltensor.interpret.runner import bind_plan
from cltensor.kernels import build
from cltensor.kernels.expression import lower_expression, single


@pytest.fixture(autouse=True)
def unbuilt(monkeypatch):
    """As in a process whose programs are yet to be built."""
    monkeypatch.setattr(build, "known", lambda *which: False)


def row(name, device, *shapes, slots=()):
    op = registry()[name]
    ins = tuple(Spec(s, "float32") for s in shapes)
    out = op.infer(*ins)
    return op, bind_specs(op, ins, tuple(i in slots for i in range(len(ins))), (out,), (), device), ins, out


def interpreted(run):
    return isinstance(getattr(run, "__self__", None), first._First)


@pytest.mark.parametrize("n", [1, 5, 16, 4097, 70001])
def test_the_kernel_takes_over_with_the_same_bits(device, monkeypatch, n):
    op, run, _, _ = row("tanh", device, (n,))
    if device.traits.schedule == "cpu":
        assert interpreted(run)
    x = from_numpy(np.random.default_rng(n).standard_normal(n).astype(np.float32), device)
    before = to_array(run((x,)))
    if interpreted(run):
        how = run.__self__
        how.left = 0.0
        run((x,))               # has lost enough
        builder.wait()
        assert how.now.__name__ == "run" and how.left < 0
    after = to_array(run((x,)))
    assert np.array_equal(before, after)
    np.testing.assert_allclose(after, np.tanh(to_array(x).astype(np.float64)), rtol=1e-6)


def test_numbers_and_broadcasting(device):
    op, run, ins, out = row("clip_by_value", device, (5, 7, 3), (), (7, 1), slots=(1,))
    rng = np.random.default_rng(0)
    x, high = rng.standard_normal((5, 7, 3)).astype(np.float32), np.abs(rng.standard_normal((7, 1))).astype(np.float32)
    got = to_array(run((from_numpy(x, device), -0.25, from_numpy(high, device))))
    plan = lower_expression(single(op.expr, ins, (False, True, False), (out,)), ins, (out,), device.traits)
    own = bind_plan(op, plan, device, ins, (out,))
    assert np.array_equal(got, to_array(own((from_numpy(x, device), -0.25, from_numpy(high, device)))))
    assert np.array_equal(got, np.minimum(np.maximum(x, np.float32(-0.25)), high))


def test_what_is_no_instruction_has_its_own_kernel_at_once(device):
    _, run, _, _ = row("erf", device, (20,))
    assert not interpreted(run)


def test_a_built_kernel_is_used_at_once(device, monkeypatch):
    monkeypatch.setattr(build, "known", lambda *which: True)
    _, run, _, _ = row("tanh", device, (20,))
    assert not interpreted(run)


def test_the_loss_grows_with_size_and_starts_one_job(device, monkeypatch):
    jobs = []
    monkeypatch.setattr(builder, "later", lambda job, what: jobs.append(what))
    _, small, _, _ = row("square", device, (10,))
    if not interpreted(small):
        pytest.skip("the interpreter has the cpu schedule only")
    _, large, _, _ = row("square", device, (10**6,))
    x, y = from_numpy(np.ones(10, np.float32), device), from_numpy(np.ones(10**6, np.float32), device)
    for run, values in ((small, x), (large, y)):
        run.__self__.left = 1e-4
        for _ in range(10):
            run((values,))
    assert jobs == ["square"] and small.__self__.left > 0
