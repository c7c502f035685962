"""What kernels are written for: the facts about a device, as plain frozen data.

`lower` of an op gets nothing else of the device, so it is a pure function that needs no device in tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from cltensor.base import config
from cltensor.runtime.platforms import Physical

__all__ = ["Traits", "traits_of"]


@dataclass(frozen=True)
class Traits:
    """What `lower` may know of a device: plain data, hashable. Sizes in bytes."""

    schedule: str                  # "cpu" or "gpu": the structure of kernels, see CLTENSOR_SCHEDULE
    is_cpu: bool                   # what the device really is, whatever the schedule
    fp64: bool
    fp16: bool                     # half arithmetic; half storage works everywhere
    subgroups: bool
    compute_units: int
    max_group: int
    local_mem: int
    max_alloc: int
    global_mem: int
    vendor: str
    platform: str
    simulator: bool                # checks every access, and knows OpenCL's own functions only
    driver: str                    # key for tuning results: platform, version, device, driver version


def traits_of(physical: Physical) -> Traits:
    """The traits of a device that was found."""
    d = physical.cl_device
    extensions = d.extensions.split()
    schedule = config.get("SCHEDULE")
    return Traits(
        schedule=physical.kind if schedule == "auto" else schedule, is_cpu=physical.kind == "cpu",
        fp64="cl_khr_fp64" in extensions, fp16="cl_khr_fp16" in extensions,
        subgroups="cl_khr_subgroups" in extensions or "cl_intel_subgroups" in extensions,
        compute_units=d.max_compute_units, max_group=d.max_work_group_size, local_mem=d.local_mem_size,
        max_alloc=d.max_mem_alloc_size, global_mem=d.global_mem_size, vendor=physical.vendor,
        platform=physical.platform, simulator=physical.simulator, driver=physical.key)
