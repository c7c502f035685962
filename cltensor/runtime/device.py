"""Logical devices: `cpu:0`, `gpu:0`, ..., each with its queue and memory; found at first use.

A logical device is what `tf.device` names and tensors live on. Usually it is one physical device;
CLTENSOR_VIRTUAL_GPUS makes several out of the CPU, which share its context and memory budget.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pyopencl as cl

from cltensor.base import config
from cltensor.base.errors import (
    CLTensorWarning,
    DeviceError,
    FailedPreconditionError,
    InvalidArgumentError,
)
from cltensor.runtime import platforms
from cltensor.runtime.memory import Memory
from cltensor.runtime.queue import Queue
from cltensor.runtime.traits import Traits, traits_of

__all__ = ["Traits", "Device", "devices", "gpus", "num_gpus", "find", "default", "discovery", "reset",
           "memory_stats", "reset_peak", "set_soft_device_placement", "get_soft_device_placement"]

_log = logging.getLogger("cltensor")
_SPEC = re.compile(r"(?:/?job:(?P<job>\w+))?(?:/?replica:(?P<replica>\d+))?(?:/?task:(?P<task>\d+))?"
                   r"/?(?:device:)?(?P<kind>cpu|gpu)(?::(?P<index>\d+))?", re.IGNORECASE)


class Device:
    """One logical device.

    Attributes: `kind` ("gpu" or "cpu"), `index`, `short` ("gpu:0"), `name`
    ("/job:localhost/replica:0/task:0/device:GPU:0"), `label` (for people), `reason` (why it was chosen),
    `traits`, `cl_device`; opened at first use: `context` (shared by the logical devices of one physical
    device), `queue`, `memory`. Compared by identity.
    """

    context: Any
    queue: Queue
    memory: Memory

    def __init__(self, kind: str, index: int, physical: platforms.Physical, shared: _Shared):
        self.kind, self.index = kind, index
        self.short = f"{kind}:{index}"
        self.name = f"/job:localhost/replica:0/task:0/device:{kind.upper()}:{index}"
        self.label, self.reason = physical.label, physical.reason
        self.cl_device, self.physical = physical.cl_device, physical
        self.traits = shared.traits
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        # Runs only while the attribute is not there yet; afterwards access costs nothing.
        if name not in ("context", "queue", "memory"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        with _lock:
            if name not in self.__dict__:
                _check_process()
                if name == "context":
                    self.context = self._shared.context()
                elif name == "memory":
                    self.memory = Memory(self, self._shared.memories)
                else:
                    self.queue = Queue(self)
        return self.__dict__[name]

    def __repr__(self) -> str:
        return f"<Device {self.short}: {self.label}>"

    def __str__(self) -> str:
        return self.name


class _Shared:
    """What logical devices on one physical device have in common."""

    def __init__(self, physical: platforms.Physical):
        self.cl_device = physical.cl_device
        self.traits = traits_of(physical)
        self.memories: list[Memory] = []
        self._context: Any = None

    def context(self) -> Any:
        if self._context is None:
            self._context = cl.Context([self.cl_device])
        return self._context


_lock = threading.RLock()
_devices: tuple[Device, ...] | None = None
_discovery: platforms.Discovery | None = None
_found: dict[str, Device] = {}
_soft = False
_forked: FailedPreconditionError | None = None
_kept_after_fork: list = []


def _check_process() -> None:
    if _forked is not None:
        raise _forked


def _make() -> tuple[Device, ...]:
    global _discovery
    _discovery = found = platforms.discover()
    shared = {id(p): _Shared(p) for p in found.usable}
    real_gpus = [p for p in found.usable if p.kind == "gpu"]
    cpu = next((p for p in found.usable if p.kind == "cpu"), None)
    virtual = config.get("VIRTUAL_GPUS")
    made = [Device("gpu", i, p, shared[id(p)]) for i, p in enumerate(real_gpus)]
    if cpu is None:
        cpu = real_gpus[0]
        warnings.warn(f"there is no OpenCL CPU device; cpu:0 is an alias of {cpu.label}",
                      CLTensorWarning, stacklevel=2)
    for i in range(len(made), len(made) + virtual):
        device = Device("gpu", i, cpu, shared[id(cpu)])
        device.reason = f"CLTENSOR_VIRTUAL_GPUS={virtual} makes it out of the CPU device"
        made.append(device)
    made.append(Device("cpu", 0, cpu, shared[id(cpu)]))
    if config.debug(1):
        for device in made:
            _log.info("%s is %s because %s", device.short, device.label, device.reason)
    return tuple(made)


def devices() -> tuple[Device, ...]:
    """All logical devices: GPUs by index, then cpu:0. Finds them at the first call.

    Raises: DeviceError without a usable OpenCL device; FailedPreconditionError in a forked child.
    """
    global _devices
    if _devices is None:
        with _lock:
            _check_process()
            if _devices is None:
                _devices = _make()
    return _devices


def discovery() -> platforms.Discovery:
    """What was found, used and left out, with reasons."""
    devices()
    assert _discovery is not None
    return _discovery


def gpus() -> tuple[Device, ...]:
    """The logical GPUs, possibly none."""
    return tuple(d for d in devices() if d.kind == "gpu")


def num_gpus() -> int:
    """Number of logical GPUs, `tf.test.is_gpu_available` and `tfe.num_gpus` ask for it."""
    return len(gpus())


def default() -> Device:
    """Where an op runs if nothing says otherwise: gpu:0 if any, else cpu:0."""
    return (_devices or devices())[0]


def find(spec: str) -> Device:
    """The device of a TF device string: "gpu:0", "/cpu:0", "/device:GPU:1", the full form, or a part of it.

    Raises: InvalidArgumentError if it is not a device string; DeviceError if there is no such device (with
    soft placement: one warning, and the default device instead).

    Example:
        >>> from cltensor.runtime import device
        >>> device.find("/CPU:0") is device.find("cpu:0")
        True
    """
    known = _found.get(spec) if isinstance(spec, str) else None
    if known is not None and _forked is None:
        return known
    match = _SPEC.fullmatch(spec.strip()) if isinstance(spec, str) else None
    if match is None:
        raise InvalidArgumentError(f"device: {spec!r} is not a device name; "
                                   "names look like 'gpu:0', '/cpu:0' or '/device:GPU:0'")
    here = ((match["job"] or "localhost").lower() == "localhost"
            and int(match["replica"] or 0) == 0 and int(match["task"] or 0) == 0)
    wanted = f"{match['kind'].lower()}:{int(match['index'] or 0)}"
    for device in devices():
        if here and device.short == wanted:
            _found[spec] = device
            return device
    sentence = f"device: there is no {spec!r}; there are {', '.join(d.short for d in devices())}"
    if not _soft:
        raise DeviceError(sentence)
    fallback = default()
    warnings.warn(f"{sentence}; {fallback.short} is used instead (soft device placement)",
                  CLTensorWarning, stacklevel=3)
    _found[spec] = fallback          # so that the warning comes once
    return fallback


def set_soft_device_placement(enabled: bool) -> None:
    """With True a missing device is one warning and the default device; with False (the start) an error."""
    global _soft
    _soft = bool(enabled)
    _found.clear()


def get_soft_device_placement() -> bool:
    """What `set_soft_device_placement` last said."""
    return _soft


settle: list[Callable[[], None]] = []       # what is done before memory is counted: ops that wait are run


def memory_stats(device: Device | str | None = None) -> dict[str, int]:
    """Memory of a device (default: of the default one) in bytes: bytes_in_use, bytes_cached, peak_bytes,
    limit_bytes, and live_blocks.

    Example:
        >>> from cltensor.runtime import device
        >>> sorted(device.memory_stats())
        ['bytes_cached', 'bytes_in_use', 'limit_bytes', 'live_blocks', 'peak_bytes']
    """
    for do in settle:
        do()
    return _of(device).memory.stats()


def reset_peak(device: Device | str | None = None) -> None:
    """Make `peak_bytes` what is in use now."""
    for do in settle:
        do()
    _of(device).memory.reset_peak()


def _of(device: Device | str | None) -> Device:
    return default() if device is None else find(device) if isinstance(device, str) else device


def reset() -> None:
    """Forget all devices, so that the next use finds them by the environment of then. For tests: tensors that
    exist keep their old device."""
    global _devices, _discovery
    with _lock:
        _devices = _discovery = None
        _found.clear()


def _after_fork_in_child() -> None:
    """OpenCL does not survive fork(): PoCL hangs at the first launch. Say so instead."""
    global _devices, _forked, _lock
    if _devices is None:
        _lock = threading.RLock()
        return
    _forked = FailedPreconditionError(
        f"fork: process {os.getpid()} was forked after cltensor had found its devices, and OpenCL cannot be "
        "used in such a child; start it with multiprocessing.get_context('spawn'), or fork before any op")
    _lock = threading.RLock()
    for device in _devices:
        opened = device.__dict__
        if "queue" in opened:
            _kept_after_fork.append(device.queue.forbid(_forked))
        if "memory" in opened:
            _kept_after_fork.append(device.memory.forbid(_forked))
    _kept_after_fork.append(_devices)
    _devices = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
