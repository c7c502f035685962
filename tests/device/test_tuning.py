"""Tuned parameters on a device: they keep every bit, a wrong entry is found out, a search writes what it found."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

import cltensor as tf
from cltensor import __main__ as command
from cltensor import tuner
from cltensor.base import config
from cltensor.base.errors import CLTensorWarning
from cltensor.interpret import trial
from cltensor.kernels import convolution, matmul, reduction, tuned, tuning
from tests.conftest import forget_plans

CPU = [("matmul", {"mr": 6, "nv": 4, "kc": 128, "block_rows": 64, "strip": 4, "dots": 2}), ("matmul", {"direct": 0}),
       ("matmul", {"mr": 14, "nv": 1, "kc": 64, "least_groups": 4, "packed_kc": 128, "packed_rows": 48}),
       ("conv2d", {"mr": 6, "nv": 3, "unroll": 1, "groups": 4, "range": 32}),
       ("conv2d", {"mr": 12, "nv": 1, "panel": 2 ** 14, "sweep": 16}), ("reduce", {"grain": 1024, "groups": 256})]
GPU = [("matmul", {"mwg": 64, "nwg": 96, "kwg": 16, "mdimc": 8, "ndimc": 8, "vwm": 2, "small_mwg": 64, "small_vwn": 2}),
       ("matmul", {"mwg": 128, "nwg": 64, "kwg": 32, "large_groups": 16, "small_nwg": 16, "small_ndimc": 4}),
       ("conv2d", {"mr": 2, "range": 64}), ("reduce", {"groups": 256})]


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache folder; entries are looked up anew before and after."""
    monkeypatch.setattr(tuned, "SHIPPED", tmp_path / "shipped.json")
    with config.override(cache_dir=tmp_path):
        tuning.forget()
        forget_plans()
        yield tmp_path
    tuning.forget()
    forget_plans()


def bits(name, parameters, device):
    full = tuning.default(name, device.traits.schedule) | parameters
    return trial.complaint(name, full, device)


def test_tuning_keeps_every_bit(schedule):
    device = tf.constant(0.0).placed_on
    for name, parameters in CPU if schedule == "cpu" else GPU:
        assert bits(name, parameters, device) == "", (name, parameters)


def plant(device, entry):
    tuned.save(device.traits.driver, {f"matmul/{device.traits.schedule}": entry})


def product():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((40, 50)).astype(np.float32), rng.standard_normal((50, 60)).astype(np.float32)
    return tf.matmul(tf.constant(a), tf.constant(b)).numpy()


def cpu_only(device):
    if device.traits.schedule != "cpu":
        pytest.skip("entries of the cpu schedule")


def convolution_of_ones():
    return tf.nn.conv2d(tf.ones([1, 9, 9, 3]), tf.ones([3, 3, 3, 5]), 1, "SAME").numpy()


def sums():
    return tf.reduce_sum(tf.constant(np.arange(3000, dtype=np.float32).reshape(3, 1000)), 0).numpy()


def wrong_products(monkeypatch):
    right = matmul._tiles

    def wrong(p, tune, *rest, **more):
        return right(p._replace(k=p.k - 1) if tune["mr"] == 6 else p, tune, *rest, **more)
    monkeypatch.setattr(matmul, "_tiles", wrong)


def wrong_convolutions(monkeypatch):
    right = convolution.forward

    def wrong(w, target, *rest):
        return right(w._replace(top=0) if tuning.lookup("conv2d", target)["mr"] == 6 else w, target, *rest)
    monkeypatch.setattr(convolution, "forward", wrong)


def wrong_sums(monkeypatch):
    right = reduction.lower_reduce

    def wrong(ins, outs, target, *, op, **more):
        return right(ins, outs, target, op="max" if tuning.lookup("reduce", target)["grain"] == 1024 else op, **more)
    monkeypatch.setattr(reduction, "lower_reduce", wrong)


@pytest.mark.parametrize("name, entry, sabotage, work", [
    ("matmul", {"mr": 6}, wrong_products, product), ("conv2d", {"mr": 6}, wrong_convolutions, convolution_of_ones),
    ("reduce", {"grain": 1024}, wrong_sums, sums)])
def test_a_wrong_entry_is_found_out_before_it_is_used(device, cache, monkeypatch, name, entry, sabotage, work):
    cpu_only(device)
    want = work()
    sabotage(monkeypatch)
    tuned.save(device.traits.driver, {f"{name}/cpu": entry})
    tuning.forget()
    forget_plans()
    with pytest.warns(CLTensorWarning, match="ignored: .* differ from the plain kernel's"):
        got = work()
    assert np.array_equal(got, want)
    tuning.forget()
    forget_plans()
    monkeypatch.setattr(trial, "complaint", None)          # the verdict was kept: nothing is tried again
    with pytest.warns(CLTensorWarning, match="differ"):
        assert np.array_equal(work(), want)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(work(), want)


def test_a_good_entry_is_used_also_inside_guards(device, cache):
    cpu_only(device)
    want = product()
    plant(device, {"mr": 6, "nv": 3})
    tuning.forget()
    forget_plans()
    a = tf.Variable(np.ones((40, 50), np.float32))
    with tf.GradientTape() as tape, tf.no_host_reads():
        y = tf.matmul(a, tf.ones([50, 60]))
    assert tuning.lookup("matmul", device.traits)["mr"] == 6
    assert np.array_equal(tape.gradient(y, a).numpy(), np.full((40, 50), 60, np.float32))
    assert np.array_equal(product(), want)


def test_search_stops_in_time_and_verifies(device):
    finding = tuner.search("reduce", device, 0.0, work=[trial.reduced((64, 64), 0)])
    assert (finding.entry, finding.tried) == ({}, 0)
    finding = tuner.search("reduce", device, 60.0, work=[trial.reduced((64, 64), 0)])
    assert 0 < finding.tried <= tuner.candidates("reduce", device.traits.schedule) and not finding.rejected


def test_a_search_drops_what_gives_other_bits(device, monkeypatch):
    monkeypatch.setattr(tuner, "complaint", lambda *_: "1 of 4 results differ")
    finding = tuner.search("reduce", device, 60.0, work=[trial.reduced((64, 64), 0)])
    assert finding.entry == {} and len(finding.rejected) == finding.tried > 0


def test_the_command_writes_the_users_file(device, cache, capsys):
    assert command.main(["tune", "--seconds", "0", "--only", "reduce"]) == 0
    stored = json.loads(tuned.user_file().read_text("utf-8"))
    assert stored == {device.traits.driver: {f"reduce/{device.traits.schedule}": {}}}
    assert "the defaults stay" in capsys.readouterr().out
    assert command.main(["tune", "--only", "conv9d"]) == 2
