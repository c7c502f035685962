"""What the queues enqueue, and who watches it: `launch` and `copy` are OpenCL's own calls until somebody listens.

The driver notes when a kernel or a copy begins and ends only on a queue that was made for it, so queues take one that
was (`Queue.timed`) while somebody watches; nothing is waited for that would not be anyway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyopencl as cl

from cltensor.base.errors import FailedPreconditionError

__all__ = ["Event", "launch", "copy", "watched", "watching"]

launch: Callable[..., Any] = cl.enqueue_nd_range_kernel
copy: Callable[..., Any] = cl.enqueue_copy
_watched = threading.Lock()


@dataclass(slots=True)
class Event:
    """A kernel or a copy: `op` that asked for it, `kernel` ("read", "write" and "copy" are no kernels), `device`.

    `nbytes` are those of all buffers, each counted once and whole. `asked` and `left` are when the host came and when
    it could go on, in seconds of `time.perf_counter`; `begin` and `end`, in seconds of the device's clock, are there
    after `settle`.
    """

    op: str
    kernel: str
    device: str
    nbytes: int
    asked: float
    left: float
    raw: Any
    queued: float = 0.0
    begin: float = 0.0
    end: float = 0.0

    def settle(self) -> None:
        """Ask the driver for the times; waits for the end."""
        if self.raw is not None:
            self.raw.wait()
            told = self.raw.profile
            self.queued, self.begin, self.end, self.raw = told.queued * 1e-9, told.start * 1e-9, told.end * 1e-9, None


def watched() -> bool:
    """Whether somebody watches."""
    return _watched.locked()


@contextmanager
def watching(note: Callable[[Event], None]) -> Iterator[None]:
    """Inside, `note` is called with everything that is enqueued, by any thread.

    Raises: FailedPreconditionError where somebody watches already.
    """
    global launch, copy
    if not _watched.acquire(blocking=False):
        raise FailedPreconditionError("profiler: a profile is being taken already; one at a time")
    before = launch, copy

    def noted_launch(queue: Any, kernel: Any, *sizes: Any) -> Any:
        asked = time.perf_counter()
        event = before[0](queue, kernel, *sizes)
        op, nbytes = getattr(kernel, "work", None) or (kernel.function_name, 0)
        note(Event(op, kernel.function_name, queue.label, nbytes, asked, time.perf_counter(), event))
        return event

    def noted_copy(queue: Any, to: Any, source: Any, **how: Any) -> Any:
        asked = time.perf_counter()
        event = before[1](queue, to, source, **how)
        read, write = not isinstance(to, cl.Buffer), not isinstance(source, cl.Buffer)
        nbytes = to.nbytes if read else source.nbytes if write else how["byte_count"]
        kind = "read" if read else "write" if write else "copy"
        note(Event(kind, kind, queue.label, nbytes, asked, time.perf_counter(), event))
        return event
    launch, copy = noted_launch, noted_copy
    try:
        yield
    finally:
        launch, copy = before
        _watched.release()
