"""Finding, ordering and selecting devices, with made-up ones: no driver is needed."""

from __future__ import annotations

import json
import os
import time

import pytest

from cltensor.base.errors import CLTensorWarning, DeviceError
from cltensor.runtime import icd, platforms, probe
from cltensor.runtime.platforms import Physical

INTEL = ("Intel(R) OpenCL", "OpenCL 3.1 LINUX", "Some CPU", "Intel", "2026.22", "cpu")
POCL = ("Portable Computing Language", "OpenCL 3.0 PoCL 3.1+debian", "pthread-Some CPU", "x", "3.1", "cpu")
GPU = ("NVIDIA CUDA", "OpenCL 3.0 CUDA 12", "H200", "NVIDIA", "570", "gpu")
POCL_GPU = ("Portable Computing Language", "OpenCL 3.0 PoCL 6.0", "cuda-H200", "x", "6.0", "gpu")
GRIND = ("Oclgrind", "OpenCL 1.2 (Oclgrind 21.10)", "Oclgrind Simulator", "x", "21.10", "cpu")


def made(*rows):
    return [Physical(*row) for row in rows]


def names(found):
    return [d.platform for d in found]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with the given devices and an empty verdict cache."""
    monkeypatch.setenv("CLTENSOR_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("CLTENSOR_DEVICES", raising=False)

    def prepare(*rows):
        monkeypatch.setattr(platforms, "enumerate_devices", lambda search: made(*rows))
        monkeypatch.setattr(icd, "search", lambda: icd.Search(None))
    return prepare


def test_gpus_first_then_the_fast_cpu_runtime_and_no_simulator():
    chosen = platforms.select(made(GRIND, POCL, POCL_GPU, INTEL, GPU), ())
    assert names(chosen) == [GPU[0], POCL_GPU[0], INTEL[0], POCL[0]]
    assert "GPU" in chosen[0].reason and "fastest CPU runtime" in chosen[2].reason


def test_a_simulator_serves_if_there_is_nothing_else_or_it_is_named():
    assert names(platforms.select(made(GRIND), ())) == [GRIND[0]]
    assert names(platforms.select(made(INTEL, GRIND), ("oclgrind",))) == [GRIND[0]]


def test_selectors_are_in_order_of_preference_and_ignore_case():
    chosen = platforms.select(made(INTEL, POCL, GPU), ("pocl 3.1", "INTEL"))
    assert names(chosen) == [POCL[0], INTEL[0]]
    assert "CLTENSOR_DEVICES" in chosen[0].reason and "pocl 3.1" in chosen[0].reason


def test_every_device_has_a_selector_of_its_own():
    found = made(INTEL, POCL, GPU, POCL_GPU, GRIND)
    for device in found:
        assert platforms.select(found, (device.selector,)) == [device]


def test_a_selector_without_a_match_lists_what_there_is():
    with pytest.raises(DeviceError) as error:
        platforms.select(made(INTEL, POCL), ("Adreno",))
    assert "Adreno" in str(error.value) and "PoCL 3.1" in str(error.value) and "Intel" in str(error.value)


def test_a_broken_device_is_left_out_with_one_warning(machine):
    machine(INTEL, POCL, GPU)
    broken = {GPU[0]: "unknown target CPU", INTEL[0]: "does not compile"}
    with pytest.warns(CLTensorWarning) as caught:
        found = platforms.discover(lambda key, d: broken.get(key.split(" | ")[0], ""))
    assert len(caught) == 1 and "unknown target CPU" in str(caught[0].message)
    assert names(found.usable) == [POCL[0]] and names(found.skipped) == [GPU[0], INTEL[0]]


def test_only_the_first_working_cpu_runtime_is_probed(machine):
    machine(POCL, INTEL)
    asked = []
    found = platforms.discover(lambda key, d: asked.append(key) or "")
    assert len(asked) == 1 and names(found.usable) == [INTEL[0]] and names(found.unused) == [POCL[0]]


def test_all_broken_and_none_at_all_say_what_to_install(machine):
    machine(POCL)
    with pytest.raises(DeviceError, match="works") as error:
        platforms.discover(lambda key, d: "unknown target CPU")
    assert "unknown target CPU" in str(error.value)
    machine()
    with pytest.raises(DeviceError) as error:
        platforms.discover()
    for words in ('pip install "cltensor[cpu]"', "apt-get install pocl-opencl-icd", "loader", icd.VARIABLE):
        assert words in str(error.value)


def test_the_loader_is_pointed_at_the_systems_drivers_and_the_embedded_one(monkeypatch, tmp_path):
    monkeypatch.setenv("CLTENSOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv(icd.VARIABLE, raising=False)
    library = tmp_path / "libintelocl.so"
    library.touch()
    found = icd.Search(None, embedded=library, drivers=[
        (tmp_path / "pocl.icd", "libpocl.so.2", True), (tmp_path / "gone.icd", "/nowhere/x.so", False)])
    for _ in range(2):                                   # made once, found the second time
        with icd.pointed_at(found):
            lines = [f.read_text().strip() for f in sorted(icd.Path(os.environ[icd.VARIABLE]).iterdir())]
        assert lines == ["libpocl.so.2", str(library)]
    assert icd.VARIABLE not in os.environ
    assert len(list((tmp_path / "cache" / "vendors").iterdir())) == 1


def test_a_path_set_by_the_user_wins(monkeypatch, tmp_path):
    (tmp_path / "a.icd").write_text("libmine.so\n")
    monkeypatch.setenv(icd.VARIABLE, str(tmp_path))
    found = icd.search()
    assert found.drivers == [(tmp_path / "a.icd", "libmine.so", True)]
    with icd.pointed_at(found):
        assert os.environ[icd.VARIABLE] == str(tmp_path)


@pytest.fixture
def verdicts(monkeypatch, tmp_path):
    monkeypatch.setenv("CLTENSOR_CACHE_DIR", str(tmp_path))
    asked = []
    monkeypatch.setattr(probe, "_try", lambda d: asked.append(d) or ("" if d == "good" else "broken"))
    return asked


def test_a_good_verdict_is_asked_for_once(verdicts):
    assert probe.verdict("k", "good") == "" and probe.verdict("k", "good") == ""
    assert verdicts == ["good"]


def test_a_bad_verdict_is_confirmed_remembered_and_asked_again_after_a_day(verdicts):
    assert probe.verdict("k", "bad") == "broken" and probe.verdict("k", "bad") == "broken"
    assert verdicts == ["bad", "bad"]
    probe.verdict_file().write_text(json.dumps({"k": {"error": "broken", "time": time.time() - 90000}}))
    assert probe.verdict("k", "good") == ""


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"k": 3}', '{"k": {"error": null, "time": 0}}', "\x00"])
def test_a_corrupt_verdict_file_is_rebuilt(verdicts, content):
    probe.verdict_file().write_text(content)
    assert probe.verdict("k", "good") == ""
    assert json.loads(probe.verdict_file().read_text())["k"]["error"] == ""
    assert len(list(probe.verdict_file().parent.iterdir())) == 1      # no temporary file stays


def test_a_cache_that_cannot_be_written_costs_a_probe_and_nothing_else(verdicts, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLTENSOR_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert probe.verdict("k", "good") == "" and probe.verdict("k", "good") == ""
    assert verdicts == ["good", "good"]
    found = icd.Search(None, embedded=tmp_path / "libintelocl.so")
    with icd.pointed_at(found):
        assert icd.VARIABLE in os.environ
