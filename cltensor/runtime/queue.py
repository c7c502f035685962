"""The one way to the device: a lock, an in-order queue, launches, transfers, and the error word.

Nothing else in cltensor enqueues (events.py lends it OpenCL's calls). Arguments live in the Kernel object, so
`set_args` and the launch happen under one lock; without it two threads get each other's arguments and silently wrong
results.

Kernels cannot raise. One that meets a bad index clamps it and writes the queue's *error word*, int32
{flag, op, index, limit}; it is looked at when the host next reads something, because then it waits anyway.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyopencl as cl

from cltensor.base import config
from cltensor.base.errors import (
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    OpError,
    ResourceExhaustedError,
)
from cltensor.runtime import events
from cltensor.runtime.memory import OUT_OF_MEMORY, Block
from cltensor.runtime.workers import Workers

if TYPE_CHECKING:
    from cltensor.runtime.device import Device

__all__ = ["Queue", "no_host_reads", "arm"]

_log = logging.getLogger("cltensor")
_reads = threading.local()
_armed: list[tuple[str, str]] = [("?", "index")]     # id 0 is no op
_arm_lock = threading.Lock()


@contextmanager
def no_host_reads() -> Iterator[None]:
    """Inside the `with`, this thread's reads from a device raise: proof that a train step never waits.

    Raises: FailedPreconditionError at the read.
    """
    before = getattr(_reads, "forbidden", False)
    _reads.forbidden = True
    try:
        yield
    finally:
        _reads.forbidden = before


def arm(op: str, what: str = "indices") -> int:
    """The number by which kernels of `op` report a bad value of `what`; same names, same number."""
    with _arm_lock:
        if (op, what) not in _armed:
            _armed.append((op, what))
        return _armed.index((op, what))


def _set(kernel: Any, args: Sequence[Any], at: Any) -> None:
    if at is None:
        kernel.set_args(*args)
    elif type(at) is tuple:
        list(map(kernel.set_arg, at, args))
    else:
        at(kernel, args)


class Queue:
    """The in-order queue of one logical device.

    Attributes: `raw` (cl.CommandQueue), `lock`, `launch_count` (kernels since the start).
    """

    def __init__(self, device: Device):
        self.label = device.short
        self.lock = threading.Lock()
        self.launch_count = 0
        self._memory = device.memory
        self._context = device.context
        self._word: Any = None
        self._tally: Any = None
        self._may_have_failed = False
        self._forbidden: Exception | None = None
        self._workers = Workers(device.physical.threads, device.traits.compute_units)
        traced = config.debug(2)
        self._traced = traced
        self.raw: Any = self._opened(device.cl_device, events.watched())
        # Chosen once, so that the usual launch pays for neither.
        if traced or config.get("SYNC"):
            self.launch = self._launch_traced if traced else self._launch_sync  # type: ignore[method-assign]
            self.launch_all = self._launch_all_watched  # type: ignore[method-assign]

    def _opened(self, device: Any, timed: bool) -> Any:
        properties: Any = cl.command_queue_properties.PROFILING_ENABLE if timed or self._traced else 0
        raw: Any = cl.CommandQueue(self._context, device, properties=properties)
        raw.label = self.label
        return raw

    def timed(self, yes: bool) -> None:
        """Whether the driver is to note from now on when things begin and end; waits for what is enqueued."""
        with self.lock:
            self.raw.finish()
            self.raw = self._opened(self.raw.device, yes)

    def launch(self, kernel: Any, args: Sequence[Any], global_size: tuple, local_size: tuple,
               may_fail: bool = False, at: Any = None) -> None:
        """Set the arguments and enqueue; does not wait.

        `args` are cl.Buffers (`Block.mem`) and Python numbers, typed by the kernel's `set_scalar_arg_dtypes`.
        The caller holds the blocks until this returns. `may_fail`: the kernel may write the error word. With
        `at`, only the arguments at these positions are set, to cl.Buffers and NumPy scalars; the others stay
        what they were, at a third of the cost [12 arguments, 3 of them buffers: 0.3 us instead of 1.2]. `at` may also
        be a function of kernel and arguments that sets them.

        Raises: ResourceExhaustedError; InternalError for what only a bug of ours can cause.
        """
        try:
            with self.lock:
                _set(kernel, args, at)
                events.launch(self.raw, kernel, global_size, local_size)
                self.launch_count += 1
                if may_fail:
                    self._may_have_failed = True
        except Exception as error:
            raise self._translated(error, "launch") from error

    def _launch_sync(self, kernel: Any, args: Sequence[Any], global_size: tuple, local_size: tuple,
                     may_fail: bool = False, at: Any = None) -> None:
        Queue.launch(self, kernel, args, global_size, local_size, may_fail, at)
        self.finish()
        self.check_errors()

    def _launch_traced(self, kernel: Any, args: Sequence[Any], global_size: tuple, local_size: tuple,
                       may_fail: bool = False, at: Any = None) -> None:
        try:
            with self.lock:
                _set(kernel, args, at)
                event = events.launch(self.raw, kernel, global_size, local_size)
                event.wait()
                self.launch_count += 1
                self._may_have_failed |= may_fail
        except Exception as error:
            raise self._translated(error, "launch") from error
        seconds = 1e-9 * (event.profile.end - event.profile.start)
        # Every buffer counted once, whole: an upper bound where a kernel reads a part, low where it re-reads.
        nbytes = sum(arg.size for arg in args if isinstance(arg, cl.Buffer))
        _log.info("%s %s global %s local %s: %.1f us, %.1f GB/s", self.label, kernel.function_name,
                  global_size, local_size, 1e6 * seconds, nbytes / max(seconds, 1e-9) / 1e9)
        self.check_errors()

    def launch_all(self, prepare: Callable[[], None], launches: Sequence[tuple], may_fail: bool = False) -> None:
        """Enqueue (kernel, global size, local size) triples in order, under one hold of the lock; does not wait.

        `prepare` is called first, with the lock held: it sets the kernels' arguments. So nothing of another thread
        comes between, and what another thread enqueues sees all of it or nothing.

        Raises: what `prepare` raises; ResourceExhaustedError and InternalError as `launch`.
        """
        try:
            with self.lock:
                raw, enqueue = self.raw, events.launch
                prepare()
                for kernel, global_size, local_size in launches:
                    enqueue(raw, kernel, global_size, local_size)
                self.launch_count += len(launches)
                if may_fail:
                    self._may_have_failed = True
        except Exception as error:
            raise self._translated(error, "launch") from error

    def _launch_all_watched(self, prepare: Callable[[], None], launches: Sequence[tuple],
                            may_fail: bool = False) -> None:
        """One by one, each waited for, with a line each where launches are traced."""
        try:
            with self.lock:
                prepare()
        except Exception as error:
            raise self._translated(error, "launch") from error
        for kernel, global_size, local_size in launches:
            self.launch(kernel, (), global_size, local_size, may_fail, ())

    def rehearse(self, kernel: Any, args: Sequence[Any], global_size: tuple, local_size: tuple) -> None:
        """Launch a kernel that nobody else uses on a queue of its own, and wait: for launches that do nothing but
        have the driver finish its compiling. What else is enqueued here does not wait for it.

        Raises: ResourceExhaustedError and InternalError as `launch`.
        """
        try:
            self.raw.finish         # noqa: B018  (raises where the queue is forbidden)
            own = cl.CommandQueue(self._context, self.raw.device)
            kernel.set_args(*args)
            cl.enqueue_nd_range_kernel(own, kernel, global_size, local_size)
            own.finish()
        except Exception as error:
            raise self._translated(error, "rehearse") from error

    def write(self, block: Block, array: np.ndarray, offset: int = 0) -> None:
        """Copy a C-contiguous array to the block, from byte `offset` on; on return the array may change."""
        try:
            with self.lock:
                events.copy(self.raw, block.mem, array, dst_offset=offset, is_blocking=True)
        except Exception as error:
            raise self._translated(error, "write") from error

    def read(self, block: Block, array: np.ndarray, offset: int = 0) -> None:
        """Fill a C-contiguous array from the block, from byte `offset` on; waits, then checks the error word.

        Raises: InvalidArgumentError if a kernel before it met a bad index.
        """
        if getattr(_reads, "forbidden", False):
            raise FailedPreconditionError(f"read: {array.nbytes} bytes are read from {self.label} "
                                          "inside no_host_reads()")
        self._workers.hold()
        try:
            with self.lock:
                events.copy(self.raw, array, block.mem, src_offset=offset, is_blocking=True)
        except Exception as error:
            raise self._translated(error, "read") from error
        finally:
            self._workers.free()
        if self._may_have_failed:
            self.check_errors()

    def copy(self, dst: Block, src: Block, nbytes: int, dst_offset: int = 0, src_offset: int = 0) -> None:
        """Copy bytes between two blocks of this device; does not wait. `nbytes` 0 does nothing."""
        if nbytes == 0:
            return
        try:
            with self.lock:
                events.copy(self.raw, dst.mem, src.mem, byte_count=nbytes,
                                dst_offset=dst_offset, src_offset=src_offset)
        except Exception as error:
            raise self._translated(error, "copy") from error

    def finish(self) -> None:
        """Wait until all that was enqueued is done. Does not look at the error word."""
        self._workers.hold()
        try:
            self.raw.finish()
        except Exception as error:
            raise self._translated(error, "finish") from error
        finally:
            self._workers.free()

    @property
    def error_word(self) -> Any:
        """The cl.Buffer, int32[4] of zeros, that goes into a launch with `may_fail=True`."""
        if self._word is None:
            fresh = self._zeros(4)
            with self.lock:
                self._word = self._word or fresh
        return self._word.mem

    @property
    def tally(self) -> Any:
        """The cl.Buffer, int32[64], by which the groups of a kernel find out which of them ends last.

        Every launch finds its first word 0 and leaves it so; the others hold what the groups have for the last one.
        """
        if self._tally is None:
            fresh = self._zeros(64)
            with self.lock:
                self._tally = self._tally or fresh
        return self._tally.mem

    def _zeros(self, count: int) -> Block:
        block = self._memory.allocate(4 * count)
        self.write(block, np.zeros(count, np.int32))
        return block

    def check_errors(self) -> None:
        """Raise what a kernel reported since the last check; costs a wait only if one could have reported.

        Raises: InvalidArgumentError: op, the bad index, the valid range. (Not OutOfRangeError: that one ends
        the usual loop over a dataset, and a bad index must not look like the end of the data.)
        """
        if not self._may_have_failed or self._word is None:
            return
        word = np.zeros(4, np.int32)
        try:
            with self.lock:
                self._may_have_failed = False
                events.copy(self.raw, word, self._word.mem, is_blocking=True)
                if word[0]:
                    events.copy(self.raw, self._word.mem, np.zeros(4, np.int32), is_blocking=True)
        except Exception as error:
            raise self._translated(error, "check_errors") from error
        if word[0]:
            number = int(word[1])
            op, what = _armed[number if number < len(_armed) else 0]
            raise InvalidArgumentError(f"{op}: {what} = {int(word[2])} is not in [0, {int(word[3])})")

    def forbid(self, error: Exception) -> list:
        """Raise `error` at every use from now on; returns what the caller must keep alive."""
        kept = [self.raw, self._word, self._tally]
        self._forbidden, self.lock, self.raw = error, threading.Lock(), _Forbidden(error)
        self._workers = Workers((), 0)                   # those of the parent process are not ours to move
        return kept

    def _translated(self, error: Exception, action: str) -> Exception:
        if self._forbidden is not None:
            return self._forbidden
        if isinstance(error, OpError):
            return error
        if isinstance(error, MemoryError) or getattr(error, "code", 0) in OUT_OF_MEMORY:
            stats = self._memory.stats()
            return ResourceExhaustedError(
                f"{action}: {self.label} ran out of memory ({error}): limit {stats['limit_bytes']} bytes, "
                f"in use {stats['bytes_in_use']}, cached {stats['bytes_cached']}")
        if isinstance(error, cl.Error):
            return InternalError(f"{action}: OpenCL error on {self.label}: {error}")
        return error


class _Forbidden:
    """Stands in for the command queue where none may be used: anything asked of it raises."""

    def __init__(self, error: Exception):
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error
