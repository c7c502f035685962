"""Device memory: a caching allocator that keeps its own accounts.

Why not the driver's: drivers accept several times the device's memory and fail (PoCL 3.1: abort) when it is
first written, and fresh pages cost 8-12 times a reused block. So the budget is checked before the driver is
asked, and freed buffers wait in lists by size class for the next request. One in-order queue per device makes
reuse right after the drop safe.

No lock is taken on the way: a `Block` is freed in `__del__`, which the garbage collector may run in the
middle of `allocate`, in any thread. `list.pop`, `list.append` and `x.n += k` on a slot run without a thread
switch between their steps in CPython. The slow path (a new buffer) takes a re-entrant lock.
"""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyopencl as cl

from cltensor.base import config
from cltensor.base.errors import ResourceExhaustedError

if TYPE_CHECKING:
    from cltensor.runtime.device import Device

__all__ = ["Block", "Memory", "OUT_OF_MEMORY", "part_of", "size_class", "human"]

# MEM_OBJECT_ALLOCATION_FAILURE, OUT_OF_RESOURCES, OUT_OF_HOST_MEMORY, INVALID_BUFFER_SIZE
OUT_OF_MEMORY = (-4, -5, -6, -61)
_FRACTION = 0.8
_SMALLEST = 256
_MOST_SIZES = 4096
_LARGE = 2 ** 20           # from here on a fitting block of another class is worth looking for


def size_class(nbytes: int) -> int:
    """The bytes really taken for a request: four steps between powers of two, so at most a quarter is lost.

    From 1 MiB on there are sixteen steps: what is lost then is worth more than a block found a little more often.

    Example:
        >>> size_class(1), size_class(257), size_class(1000), size_class(1025)
        (256, 320, 1024, 1280)
    """
    if nbytes <= _SMALLEST:
        return _SMALLEST
    shift = (nbytes - 1).bit_length() - (3 if nbytes < _LARGE else 5)
    return (((nbytes - 1) >> shift) + 1) << shift


def human(nbytes: int) -> str:
    """Bytes for people: `human(3 << 20)` is '3.0 MiB'."""
    size = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{nbytes} B" if unit == "B" else f"{size:.1f} {unit}"


def part_of(mem: Any, begin: int, nbytes: int) -> Any:
    """Bytes of a cl.Buffer from `begin`, a multiple of 512, as a buffer kernels take; it keeps the whole alive."""
    return mem.get_sub_region(begin, nbytes)


class _Bin(list):
    """Free buffers of one size class, the last one dropped on top."""

    __slots__ = ("capacity",)

    def __init__(self, capacity: int):
        super().__init__()
        self.capacity = capacity


class Block:
    """A piece of device memory; dropping the last reference makes it reusable at once. Made by `Memory` only.

    Attributes: `mem` (the cl.Buffer kernels take), `nbytes` (asked for), `capacity` (taken).
    """

    __slots__ = ("mem", "nbytes", "capacity", "_memory", "_free", "__weakref__")
    mem: Any
    nbytes: int
    capacity: int
    _memory: Memory
    _free: _Bin | None

    # No __init__: its call is a quarter of the time an allocation takes.

    def __del__(self) -> None:
        # Attributes only, no globals and no lock: this runs at interpreter exit and inside `allocate` too.
        memory = self._memory
        in_use = memory.in_use = memory.in_use - self.capacity
        if self._free is not None and memory.taken - in_use <= memory.cache_cap:
            self._free.append(self.mem)
        else:
            memory.taken -= self.capacity
            memory.made -= 1

    def __repr__(self) -> str:
        return f"<Block of {self.nbytes} bytes on {self._memory.label}>"


class Memory:
    """The allocator of one logical device; logical devices on one physical device share its budget.

    Attributes: `in_use`, `taken` (in use and cached), `peak`, `limit`, `max_alloc`: bytes; `made`: buffers the
    driver made. `describe`, if set, names the owner of a block in the error about exhausted memory.
    """

    __slots__ = ("label", "in_use", "taken", "peak", "made", "limit", "max_alloc", "cache_cap", "describe",
                 "_context", "_flags", "_pooled", "_bins", "_sizes", "_lock", "_siblings", "_forbidden", "_watchers")
    in_use: int
    taken: int
    peak: int
    made: int

    def __init__(self, device: Device, siblings: list[Memory] | None = None):
        traits = device.traits
        self.label = device.short
        self.in_use = self.taken = self.peak = self.made = 0
        self.max_alloc = traits.max_alloc
        self.limit = _limit(traits.global_mem, traits.is_cpu)
        # A CPU's memory is also the user's, so less of it is kept waiting.
        self.cache_cap = self.limit // (4 if traits.is_cpu else 2)
        self.describe: Callable[[Block], str] | None = None
        self._context = device.context
        self._flags: Any = cl.mem_flags.READ_WRITE
        if traits.is_cpu:      # PoCL then fails here, with an error one can catch, not by abort at first use
            self._flags |= cl.mem_flags.ALLOC_HOST_PTR
        self._pooled: bool = config.get("POOL")
        self._bins: dict[int, _Bin] = {}          # by capacity
        self._sizes: dict[int, _Bin] = {}         # the same by size asked for
        self._lock = threading.RLock()
        self._forbidden: Exception | None = None
        self._watchers: weakref.WeakSet = weakref.WeakSet()
        self._siblings = [self] if siblings is None else siblings
        if siblings is not None:
            siblings.append(self)

    def allocate(self, nbytes: int) -> Block:
        """A block of at least `nbytes` > 0; its content is whatever was there.

        Raises: ResourceExhaustedError with request, limit, in use, cached and the largest blocks.
        """
        free = self._sizes.get(nbytes)
        if not free:
            return self._new(nbytes)
        try:
            mem = free.pop()
        except IndexError:                  # another thread took the last one
            return self._new(nbytes)
        block = Block()
        block.mem = mem
        block.nbytes = nbytes
        capacity = block.capacity = free.capacity
        block._memory = self
        block._free = free
        in_use = self.in_use = self.in_use + capacity
        if in_use > self.peak:
            self.peak = in_use
        return block

    def constant(self, array: np.ndarray) -> Any:
        """A cl.Buffer that holds a copy of a small array for good: words of bound plans, a few hundred bytes each.

        It counts as little as the kernels it belongs to, and waits for nothing that is enqueued.

        Raises: ResourceExhaustedError where the driver has no memory left.
        """
        if self._forbidden is not None:
            raise self._forbidden
        try:
            return cl.Buffer(self._context, cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR, hostbuf=array)
        except (cl.Error, MemoryError) as error:
            if getattr(error, "code", -4) not in OUT_OF_MEMORY:
                raise
            raise self._exhausted(array.nbytes) from error

    def _new(self, nbytes: int) -> Block:
        """The slow path: a size not seen before, or a buffer that the driver has to make."""
        if self._forbidden is not None:
            raise self._forbidden
        if nbytes <= 0:
            raise ValueError(f"allocate: {nbytes} bytes; empty tensors have no block")
        with self._lock:
            free, capacity = self._bin(nbytes)
            if free:
                return self.allocate(nbytes)
            if free is not None and capacity >= _LARGE:
                larger = self._larger(nbytes, capacity)
                if larger is not None:
                    return larger
            if self.taken - self.in_use > self.cache_cap // 2:
                self._drop_oldest()
            for attempt in (1, 2):
                if nbytes <= self.max_alloc and self._all("taken") + capacity <= self.limit:
                    try:
                        mem = cl.Buffer(self._context, self._flags, capacity)
                    except (cl.Error, MemoryError) as error:
                        if getattr(error, "code", -4) not in OUT_OF_MEMORY:
                            raise
                    else:
                        return self._fresh(mem, nbytes, capacity, free)
                if attempt == 1:
                    for memory in self._siblings:
                        memory.trim()
                    gc.collect()            # tensors in a reference cycle of the user's
                    for memory in self._siblings:
                        memory.trim()
            raise self._exhausted(nbytes)

    def _bin(self, nbytes: int) -> tuple[_Bin | None, int]:
        """Where blocks of this size wait (None: nowhere, they are exact), and what one takes."""
        capacity = size_class(nbytes)
        if not self._pooled or capacity > self.max_alloc:
            return None, nbytes
        free = self._bins.setdefault(capacity, _Bin(capacity))
        if len(self._sizes) >= _MOST_SIZES:
            self._sizes.clear()
        self._sizes[nbytes] = free
        return free, capacity

    def _larger(self, nbytes: int, capacity: int) -> Block | None:
        """A block that waits in one of the next classes, up to twice the size: better than new pages."""
        for size in sorted(self._bins):
            if capacity < size <= 2 * capacity and self._bins[size]:
                free = self._bins[size]
                try:
                    mem = free.pop()
                except IndexError:          # another thread took the last one
                    continue
                block = Block()
                block.mem, block.nbytes, block.capacity = mem, nbytes, size
                block._memory, block._free = self, free
                self.in_use += size
                self.peak = max(self.peak, self.in_use)
                return block
        return None

    def _fresh(self, mem: Any, nbytes: int, capacity: int, free: _Bin | None) -> Block:
        block = Block()
        block.mem, block.nbytes, block.capacity = mem, nbytes, capacity
        block._memory, block._free = self, free
        self.taken += capacity
        self.made += 1
        self.in_use += capacity
        self.peak = max(self.peak, self.in_use)
        return block

    def _all(self, name: str) -> int:
        return sum(getattr(memory, name) for memory in self._siblings)

    def _drop_oldest(self) -> None:
        """Let go of the older half of what waits in every class."""
        for free in list(self._bins.values()):
            for _ in range((len(free) + 1) // 2):
                self._let_go(free, 0)

    def _let_go(self, free: _Bin, index: int) -> None:
        try:
            free.pop(index)
        except IndexError:
            return
        self.taken -= free.capacity
        self.made -= 1

    def watch(self, watcher: Any) -> None:
        """Have `watcher.forget()` called when cached buffers are given back: it may hold some beyond their blocks."""
        self._watchers.add(watcher)

    def trim(self) -> int:
        """Give all cached buffers back to the driver; returns the bytes."""
        before = self.taken
        for watcher in list(self._watchers):
            watcher.forget()
        for free in list(self._bins.values()):
            while free:
                self._let_go(free, -1)
        return before - self.taken

    def blocks(self) -> list[Block]:
        """Live blocks, largest first. Walks all objects of the process: for errors and debugging."""
        live = [b for b in gc.get_objects() if type(b) is Block and b._memory is self]
        return sorted(live, key=lambda b: -b.capacity)

    def _exhausted(self, nbytes: int) -> ResourceExhaustedError:
        describe = self.describe or (lambda block: "")
        largest = [f"{human(b.nbytes)} {describe(b)}".strip() for b in self.blocks()[:5]]
        others = self._all("in_use") - self.in_use
        rule = (f"a single buffer of this device may have {human(self.max_alloc)}"
                if nbytes > self.max_alloc else f"limit {human(self.limit)} (CLTENSOR_MEMORY_LIMIT)")
        return ResourceExhaustedError(
            f"memory: {human(nbytes)} cannot be allocated on {self.label}: {rule}, "
            f"in use {human(self.in_use)}, cached {human(self.taken - self.in_use)}"
            + (f", in use by other logical devices {human(others)}" if others else "")
            + ("; largest: " + ", ".join(largest) if largest else ""))

    def forbid(self, error: Exception) -> list:
        """Raise `error` at every request from now on; returns what the caller must keep alive."""
        self._forbidden, self._lock = error, threading.RLock()
        bins, self._bins, self._sizes = self._bins, {}, {}
        return [bins]

    @property
    def live(self) -> int:
        """Number of blocks in use."""
        return self.made - sum(len(free) for free in list(self._bins.values()))

    def stats(self) -> dict[str, int]:
        """bytes_in_use, bytes_cached, peak_bytes, limit_bytes, live_blocks."""
        return {"bytes_in_use": self.in_use, "bytes_cached": self.taken - self.in_use,
                "peak_bytes": self.peak, "limit_bytes": self.limit, "live_blocks": self.live}

    def reset_peak(self) -> None:
        """Make the peak what is in use now."""
        self.peak = self.in_use


def _limit(global_mem: int, cpu: bool) -> int:
    wanted = config.get("MEMORY_LIMIT")
    if isinstance(wanted, int):
        return wanted
    return int(_physical(global_mem, cpu) * (_FRACTION if wanted is None else wanted))


def _physical(global_mem: int, cpu: bool) -> int:
    """What a CPU device reports may be more than the machine has, or than a container may use."""
    sizes = [global_mem]
    if cpu:
        try:
            sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
            sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
        except (AttributeError, OSError, ValueError):
            pass                            # not Linux, or no limit ("max")
    return min(size for size in sizes if size > 0)
