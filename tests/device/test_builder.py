"""Kernels built beside the program: what is rehearsed is built once, leaves no trace, and may fail in silence."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from cltensor.core.spec import Spec
from cltensor.core.tensor import from_numpy, to_array
from cltensor.interpret import builder
from cltensor.interpret.runner import bind_plan
from cltensor.kernels import build
from cltensor.kernels.block import Block, Leaf, Step
from cltensor.kernels.chain import lower_compiled
from cltensor.kernels.idle import idle
from cltensor.kernels.vm import lower_interpreted


class Named:
    name, outputs, may_fail, fails = "block", 1, False, ""


N = 70001
LEAVES = (Leaf((N,), "float32"), Leaf((), "float32"), Leaf((), "float32", True), Leaf((7, 1), "float32"))
SUM = Block(LEAVES[:3], (Step("x0 * x1", "", (0, 1), (N,), "float32"),
                         Step("x0 - x1", "", (3, 2), (N,), "float32"), Step("", "mean", (4,), (), "float32")), (5,))
ROWS = Block((Leaf((7, 9), "float32"), Leaf((9,), "float32"), Leaf((5, 7, 9), "float32")),
             (Step("x0 * x1", "", (0, 1), (7, 9), "float32"), Step("x0 + x1", "", (2, 3), (5, 7, 9), "float32")), (4,))


def specs(values):
    return tuple(Spec(v.shape, v.dtype) for v in values)


@pytest.mark.parametrize("block", [SUM, ROWS])
@pytest.mark.parametrize("lower", [lower_compiled, lower_interpreted])
def test_a_rehearsed_plan_finds_its_programs_built(device, block, lower):
    plan = lower(block, device.traits)
    if plan is None:
        pytest.skip("the interpreter has the cpu schedule only")
    ins, outs = specs(block.leaves), specs(map(block.value, block.outputs))
    builder.later(lambda: builder.rehearse(Named, plan, device, ins, outs), "the block")
    builder.wait()
    before = build.program_count()
    rng = np.random.default_rng(0)
    values = [0.5 if leaf.slot else rng.standard_normal(leaf.shape).astype(np.float32) for leaf in block.leaves]
    run = bind_plan(Named, plan, device, ins, outs)
    got = to_array(run(tuple(v if isinstance(v, float) else from_numpy(v, device) for v in values)))
    wide = [np.asarray(v, np.float64) for v in values]
    want = (wide[0] * wide[1] - 0.5).mean() if block is SUM else wide[2] + wide[0] * wide[1]
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-5)
    assert build.program_count() == before


def test_idle_launches_leave_the_amount_out_only(device):
    for launch in lower_compiled(SUM, device.traits).launches:
        nothing = idle(launch)
        if nothing is not None:
            assert sum(a != b for a, b in zip(launch.args, nothing.args)) == 1
            assert nothing.global_size == launch.local_size


def test_a_job_that_fails_is_logged_and_the_next_one_runs(caplog):
    done = threading.Event()

    def fails():
        raise ValueError("no compiler")
    with caplog.at_level("INFO", "cltensor"):
        builder.later(fails, "this block")
        builder.later(done.set, "that block")
        builder.wait()
    assert done.is_set() and not builder.busy()
    assert "this block could not be built: no compiler" in caplog.text


def test_jobs_run_one_after_the_other_beside_the_program():
    order, go = [], threading.Event()
    builder.later(lambda: (go.wait(5), order.append(1)), "first")
    builder.later(lambda: order.append(2), "second")
    assert builder.busy() and order == []
    go.set()
    builder.wait()
    assert order == [1, 2]


def test_the_cost_of_a_build_has_limits():
    assert builder.LEAST <= builder.build_seconds() <= builder.MOST


EXIT = """
import threading, time
from cltensor.interpret import builder
begun = threading.Event()
builder.later(lambda: (begun.set(), time.sleep(0.2), print("done", flush=True)), "one")
builder.later(lambda: print("not this", flush=True), "another")
begun.wait()
"""


def test_exit_waits_for_the_job_being_done_and_drops_the_rest():
    done = subprocess.run([sys.executable, "-c", EXIT], capture_output=True, text=True, timeout=60, env=os.environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
