"""Can this device build and run a kernel? Asked once per driver version, then remembered.

A driver that is listed is not a driver that works: PoCL 3.0-rc2 from a wheel, for one, appears as a
platform and then refuses every program on a CPU newer than itself. Such a device would fail at the user's
first op, so a tiny kernel goes through each device before it is offered. Good verdicts stay until the driver
changes; bad ones are asked again after a day, since what was wrong may have been the moment.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl

from cltensor.base import config

__all__ = ["verdict", "read_verdicts", "verdict_file"]

_SOURCE = """
__kernel void probe(__global const float *x, __global float *y, const float a)
{ size_t i = get_global_id(0); y[i] = a * x[i] + 1.0f; }
"""
_ASK_AGAIN_S = 86400.0


def verdict_file() -> Path:
    """Where verdicts are kept."""
    return config.cache_dir() / "devices.json"


def read_verdicts() -> dict[str, Any]:
    """Driver key -> {"error": "" or why it failed, "time": seconds}; empty if the file is not readable."""
    try:
        stored = json.loads(verdict_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {key: row for key, row in stored.items()
            if isinstance(row, dict) and isinstance(row.get("error"), str)
            and isinstance(row.get("time"), (int, float))}


def _remember(key: str, error: str) -> None:
    verdicts = read_verdicts()
    verdicts[key] = {"error": error, "time": time.time()}
    file = verdict_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix="devices-")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(verdicts, out, indent=1, sort_keys=True)
        os.replace(temporary, file)         # a reader sees the old file or the new one, never half of one
    except OSError:
        pass                                # a read-only cache costs a probe per process, nothing else


def _try(cl_device: cl.Device) -> str:
    """Empty when the device computes 2 * x + 1, else one line saying what it did instead."""
    x = np.arange(64, dtype=np.float32)
    y = np.zeros_like(x)
    try:
        context = cl.Context([cl_device])
        queue = cl.CommandQueue(context)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)
            program = cl.Program(context, _SOURCE).build()
        kernel = cl.Kernel(program, "probe")
        flags = cl.mem_flags
        source = cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=x)
        target = cl.Buffer(context, flags.WRITE_ONLY, y.nbytes)
        kernel.set_args(source, target, np.float32(2))
        cl.enqueue_nd_range_kernel(queue, kernel, (64,), (1,))
        cl.enqueue_copy(queue, y, target)
    except (cl.Error, MemoryError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        telling = [line for line in lines if "error" in line.lower()]
        return (telling or lines or [type(error).__name__])[0][:300]
    return "" if np.array_equal(y, 2 * x + 1) else "a test kernel gave wrong results"


def verdict(key: str, cl_device: cl.Device) -> str:
    """Why the device cannot be used, or "" if it can; `key` names platform, device and driver version."""
    stored = read_verdicts().get(key)
    if stored is not None and (not stored["error"] or time.time() - stored["time"] < _ASK_AGAIN_S):
        return str(stored["error"])
    error = _try(cl_device)
    if error:                               # compile caches raced by several processes can fail once
        error = _try(cl_device)
    _remember(key, error)
    return error
