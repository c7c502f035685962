"""Physical OpenCL devices: find them, put them in order, keep those that work, say why.

The order without CLTENSOR_DEVICES: GPUs and accelerators, then CPU runtimes by measured speed (Intel's, then
PoCL). Simulators (oclgrind, the FPGA emulator) are used only if named, or if there is nothing else.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyopencl as cl

from cltensor.base import config
from cltensor.base.errors import CLTensorWarning, DeviceError
from cltensor.runtime import icd, probe, spare, workers

__all__ = ["Physical", "Discovery", "enumerate_devices", "ranked", "select", "discover"]

_SIMULATORS = ("oclgrind", "fpga emulation", "fpga_emu")


@dataclass(eq=False)
class Physical:
    """One OpenCL device as a driver lists it; `cl_device` is None in tests of the ordering."""

    platform: str
    version: str
    name: str
    vendor: str
    driver: str
    kind: str                              # "gpu" (accelerators too) or "cpu"
    cl_device: Any = field(default=None, repr=False)
    reason: str = ""                       # why it is used, or why not
    threads: tuple = ()                    # PoCL: the threads that appeared with it, by the system's numbers

    @property
    def text(self) -> str:
        """What a selector of CLTENSOR_DEVICES is compared with."""
        return f"{self.platform} {self.version} {self.name}"

    @property
    def selector(self) -> str:
        """A selector that names this implementation and no other."""
        return f"{self.platform} {self.version}".strip()

    @property
    def key(self) -> str:
        """Name under which verdicts and tuning are stored: changes when the driver does."""
        return " | ".join((self.platform, self.version, self.name, self.driver))

    @property
    def label(self) -> str:
        """For people: the device and who drives it."""
        who = self.implementation
        return f"{' '.join(self.name.split())} ({who})"

    @property
    def implementation(self) -> str:
        """Short name of the driver, with its version."""
        words = self.version.split()
        if "PoCL" in words[:-1]:
            return f"PoCL {words[words.index('PoCL') + 1]}"
        return f"{self.platform} {self.driver}" if self.driver not in self.platform else self.platform

    @property
    def pocl(self) -> bool:
        return "pocl" in self.version.lower() or "portable computing" in self.platform.lower()

    @property
    def simulator(self) -> bool:
        return any(word in self.text.lower() for word in _SIMULATORS)

    @property
    def rank(self) -> int:
        """Lower is better."""
        if self.simulator:
            return 9
        if self.kind == "gpu":
            return 1 if self.pocl else 0   # PoCL drives some GPUs too; their own driver is better
        return 4 if self.pocl else 2 if "intel" in self.platform.lower() else 3


@dataclass
class Discovery:
    """What there is, what is used, what is not and why."""

    search: icd.Search
    found: list[Physical]
    usable: list[Physical]
    skipped: list[Physical]                # broken, with `reason`
    unused: list[Physical]                 # not selected, or a CPU runtime after the first that works


def _kind(bits: int) -> str:
    accelerators = cl.device_type.GPU | cl.device_type.ACCELERATOR
    return "cpu" if bits & cl.device_type.CPU or not bits & accelerators else "gpu"


_started: tuple[int, ...] = ()     # the threads drivers began when they were first asked


def enumerate_devices(found: icd.Search) -> list[Physical]:
    """Every device every driver lists, in the loader's order; empty without a driver."""
    before = workers.running()
    with icd.pointed_at(found):
        try:
            platforms = cl.get_platforms()
        except cl.Error:                   # PLATFORM_NOT_FOUND_KHR: the loader's way to say none
            return []
    devices = []
    for platform in platforms:
        try:
            listed = platform.get_devices()
        except cl.Error:                   # a platform without a device is an error to some drivers
            continue
        for d in listed:
            device = Physical(platform.name.strip(), platform.version.strip(), d.name.strip(), d.vendor.strip(),
                              d.driver_version.strip(), _kind(d.type), d)
            devices.append(device)
    global _started
    _started = tuple(sorted(workers.running() - before)) or _started        # they start at the first look only
    for device in devices:
        device.threads = _started if device.pocl and device.kind == "cpu" else ()
    return devices


def ranked(found: Iterable[Physical]) -> list[Physical]:
    """Best first; equal ranks keep the loader's order."""
    return sorted(found, key=lambda device: device.rank)


def select(found: Sequence[Physical], selectors: Sequence[str]) -> list[Physical]:
    """The devices to use, best or most wanted first; sets their `reason`.

    Raises: DeviceError when a selector matches nothing.
    """
    chosen: list[Physical] = []
    if not selectors:
        order = ranked(found)
        chosen = [device for device in order if not device.simulator] or order
        for device in chosen:
            device.reason = _by_rank(device, chosen)
        return chosen
    for selector in selectors:
        matches = [d for d in ranked(found) if selector.lower() in d.text.lower()]
        if not matches:
            raise DeviceError(f"CLTENSOR_DEVICES: {selector!r} matches none of the OpenCL devices: "
                              + ("; ".join(d.text for d in found) or "there are none"))
        for device in matches:
            if device not in chosen:
                device.reason = f"CLTENSOR_DEVICES names it ({selector!r})"
                chosen.append(device)
    return chosen


def _by_rank(device: Physical, among: Sequence[Physical]) -> str:
    if len(among) == 1:
        return "it is the only OpenCL device"
    if device.simulator:
        return "there are only simulators"
    if device.kind == "gpu":
        return "GPUs come before CPUs"
    others = [d for d in among if d.kind == "cpu" and d is not device]
    if not others:
        return "it is the only OpenCL CPU device"
    if all(device.rank < d.rank for d in others):
        return f"it is the fastest CPU runtime here (before {others[0].implementation})"
    return "it comes next in speed"


def _nothing(search: icd.Search, skipped: Sequence[Physical]) -> DeviceError:
    lines = ["no OpenCL device" + (" works" if skipped else " found") + "; what was looked at:",
             f"  OpenCL loader: the one of pyopencl {cl.VERSION_TEXT}"]
    lines += ["  " + line for line in search.lines()]
    lines += [f"  {device.label}: {device.reason}" for device in skipped]
    if search.spared:
        lines.append(f"  not loaded, as earlier starts did without: {', '.join(search.spared)}; "
                     "start again to use them")
    lines += ["to get a device that runs on this CPU:"] + ["  " + command for command in icd.INSTALL]
    return DeviceError("\n".join(lines))


def discover(verdict: Callable[[str, Any], str] = probe.verdict, every: bool = False) -> Discovery:
    """Find, select, probe. Broken devices are left out with one warning for all of them.

    Of the CPU runtimes only the first that works is used, so the ones after it are probed (on the first run
    that is a compiler start) only if `every`.

    Raises: DeviceError when nothing usable is left; it says what was looked at and what to install.
    """
    search = icd.search()
    search.spared = spare.recall(search, every)
    found = enumerate_devices(search)
    expected = (search.embedded and not search.user_path and not config.get("DEVICES")
                and str(search.embedded) not in search.spared)
    if expected and not any("intel" in d.platform.lower() for d in found):
        warnings.warn(f"the CPU runtime {search.embedded} is installed, but the OpenCL loader does not list "
                      "it; if the program used OpenCL before cltensor, use cltensor first",
                      CLTensorWarning, stacklevel=2)
    try:
        chosen = select(found, config.get("DEVICES")) if found else []
    except DeviceError:
        spare.remember(search, found, ())
        raise
    usable: list[Physical] = []
    skipped: list[Physical] = []
    for device in chosen:
        if not every and device.kind == "cpu" and any(d.kind == "cpu" for d in usable):
            continue
        error = verdict(device.key, device.cl_device)
        if error:
            device.reason = error
            skipped.append(device)
        else:
            usable.append(device)
    if not every and (not search.spared or not usable):
        spare.remember(search, found, usable)
    if not usable:
        raise _nothing(search, skipped)
    if skipped:
        warnings.warn("OpenCL devices left out because a test kernel failed: "
                      + "; ".join(f"{d.label}: {d.reason}" for d in skipped), CLTensorWarning, stacklevel=2)
    return Discovery(search, found, usable, skipped, [d for d in found if d not in usable + skipped])
