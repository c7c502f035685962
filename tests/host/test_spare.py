"""Drivers left out once a search has shown that they are not needed, with made-up drivers and devices."""

from __future__ import annotations

import os

import pytest

from cltensor.base.errors import DeviceError
from cltensor.runtime import icd, platforms, spare
from tests.host.test_platforms import GPU, INTEL, POCL, POCL_GPU, made


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """PoCL registered by the system, Intel's runtime by pip; what the loader is shown is recorded."""
    monkeypatch.setenv("CLTENSOR_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("CLTENSOR_DEVICES", icd.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    entry, embedded = tmp_path / "pocl.icd", tmp_path / "libintelocl.so"
    entry.write_text("libpocl.so.2\n")
    embedded.touch()
    monkeypatch.setattr(icd, "search", lambda: icd.Search(os.environ.get(icd.VARIABLE), embedded=embedded,
                                                          drivers=[(entry, "libpocl.so.2", True)]))
    monkeypatch.setattr(spare, "_shown", [])
    shown = []

    def prepare(*rows):
        def enumerate_devices(search):
            with icd.pointed_at(search):
                folder = os.environ.get(icd.VARIABLE)
                names = [os.path.basename(f.read_text().strip()) for f in sorted(icd.Path(folder).iterdir())]
            shown.append(names)
            listed = {"libpocl.so.2": "Portable", "libintelocl.so": "Intel"}
            return [d for d in made(*rows) if any(d.platform.startswith(listed[n]) for n in names) or d.kind == "gpu"]
        monkeypatch.setattr(platforms, "enumerate_devices", enumerate_devices)
        return shown
    return prepare


def good(key, device):
    return ""


def start(verdict, every=False):
    """A discovery as in a fresh process."""
    spare._shown.clear()
    return platforms.discover(verdict, every)


BOTH, INTELS, POCLS = ["libpocl.so.2", "libintelocl.so"], ["libintelocl.so"], ["libpocl.so.2"]


def test_the_second_cpu_runtime_is_left_out_from_the_second_start_on(machine, monkeypatch):
    shown = machine(POCL, INTEL)
    for _ in range(3):
        assert [d.platform for d in start(good).usable] == [INTEL[0]]
    assert shown == [BOTH, INTELS, INTELS]
    start(good, every=True)
    monkeypatch.setenv("CLTENSOR_DEVICES", "PoCL")             # another wish is another search
    for _ in range(2):
        assert [d.platform for d in start(good).usable] == [POCL[0]]
    assert shown[3:] == [BOTH, BOTH, POCLS]


def test_changed_drivers_are_looked_at_again(machine, tmp_path):
    shown = machine(POCL, INTEL)
    start(good)
    os.utime(tmp_path / "libintelocl.so", (1, 1))
    start(good)
    assert shown == [BOTH, BOTH]


def test_a_driver_that_brings_a_gpu_stays(machine):
    shown = machine(POCL, POCL_GPU, GPU, INTEL)
    start(good)
    start(good)
    assert shown == [BOTH, BOTH]


def test_a_runtime_that_breaks_brings_the_others_back(machine):
    shown = machine(POCL, INTEL)
    start(good)
    with pytest.raises(DeviceError, match="not loaded, as earlier starts did without: libpocl.so.2; start again"):
        start(lambda key, device: "" if "PoCL" in key else "broken")
    with pytest.warns(UserWarning, match="left out"):
        found = start(lambda key, device: "" if "PoCL" in key else "broken")
    assert [d.platform for d in found.usable] == [POCL[0]] and shown == [BOTH, INTELS, BOTH]


@pytest.mark.parametrize("content", ["", "[1]", "{\"a\": 1}", "not json"])
def test_a_damaged_file_is_as_none(machine, content):
    shown = machine(POCL, INTEL)
    spare.file().parent.mkdir(parents=True, exist_ok=True)
    spare.file().write_text(content)
    start(good)
    start(good)
    assert shown == [BOTH, INTELS]
