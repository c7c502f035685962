"""Fixtures and the header for all tests.

A process tests one OpenCL implementation, the one CLTENSOR_DEVICES selects (else the default); `python -m
tests.lanes` starts one process per implementation.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator

import pytest

from cltensor.base.errors import DeviceError
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


@pytest.fixture
def with_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`with_environment(VIRTUAL_GPUS=2)`: finds the devices anew by these settings, until the test ends."""
    def change(**settings: object) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"CLTENSOR_{name}", str(value))
        runtime_device.reset()
    yield change
    monkeypatch.undo()
    runtime_device.reset()
    gc.collect()
