"""Fixtures and the header for all tests.

A process tests one OpenCL implementation, the one CLTENSOR_DEVICES selects (else the default); `python -m
tests.lanes` starts one process per implementation.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cltensor.base.errors import DeviceError
from cltensor.core.op import registry
from cltensor.interpret import defer
from cltensor.kernels import build
from cltensor.runtime import device as runtime_device


def pytest_report_header() -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return [f"cltensor: {d.short} = {d.label}, because {d.reason}" for d in runtime_device.devices()]
        except DeviceError as error:
            return [f"cltensor: {str(error).splitlines()[0]}"]


@pytest.fixture
def device() -> runtime_device.Device:
    """The default device of this lane."""
    return runtime_device.default()


@pytest.fixture(autouse=True)
def nothing_pending() -> Iterator[None]:
    """Whether ops wait depends on what the tests before gained by it, unless each starts anew."""
    defer.restart()
    yield
    defer.restart()


@pytest.fixture
def with_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`with_environment(VIRTUAL_GPUS=2)`: finds the devices anew by these settings, until the test ends."""
    def change(**settings: object) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"CLTENSOR_{name}", str(value))
        runtime_device.reset()
        forget_plans()
    yield change
    monkeypatch.undo()
    runtime_device.reset()
    forget_plans()
    gc.collect()


def forget_plans() -> None:
    """Bound plans of ops without a tensor input (fill, random) know no device but the default of their day."""
    for op in registry().values():
        op.memo.clear()


_by_schedule: dict[str, Any] = {}


@contextmanager
def schedule_of(name: str) -> Iterator[None]:
    """Inside, the devices have this schedule. One context for each in a process, so nothing is compiled twice."""
    before = runtime_device.devices()
    if runtime_device.default().traits.schedule == name:
        yield
        return
    if name not in _by_schedule:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CLTENSOR_SCHEDULE", name)
            runtime_device.reset()
            _by_schedule[name] = runtime_device.devices()
    _use(_by_schedule[name])
    try:
        yield
    finally:
        _use(before)


def _use(devices: Any) -> None:
    runtime_device.reset()
    runtime_device._devices = devices
    forget_plans()


@pytest.fixture(params=["cpu", "gpu"])
def schedule(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test under both schedules."""
    with schedule_of(request.param):
        yield request.param


@pytest.fixture
def other_schedule() -> Iterator[str]:
    """The schedule this lane's device does not have by itself: on a CPU that of GPUs."""
    other = "gpu" if runtime_device.default().traits.schedule == "cpu" else "cpu"
    with schedule_of(other):
        yield other


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many programs were compiled: their number is what a first run waits for."""
    built = build.programs()
    if built:
        seconds = sum(s for *_, s in built)
        terminalreporter.write_line(f"programs compiled: {build.program_count()}, {seconds:.0f} s "
                                    f"(CLTENSOR_DEVICES={os.environ.get('CLTENSOR_DEVICES', '')!r})")
