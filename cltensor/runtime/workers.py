"""PoCL's worker threads, each kept on a core of its own while the program waits for them.

Linux likes to run a thread where the one that wakes it runs. PoCL's workers sleep between kernels, so on a machine of
few cores they are often woken onto one core and stay there for as long as kernels are short: half of the machine
idles. Pinning them for good is no remedy: a busy Python thread then keeps the worker of its core from running, and a
training loop of small ops takes 1.6 times as long. So they are pinned when the program begins to wait, and let go
when it goes on (3 us on two cores, of a wait that takes PoCL 25 to 50): kernels of 2 ms, each waited for, take 2.3 ms
instead of 2.3 to 3.1.

On more than `MOST` cores there is nearly always an idle one to be woken on, and pinning would cost more.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from cltensor.runtime import icd

__all__ = ["Workers", "running", "MOST"]

MOST = 8
_TASKS = Path("/proc/self/task")


def running() -> set[int]:
    """The threads of this process that are not Python's, by the system's number; empty where that is not known."""
    if not hasattr(os, "sched_setaffinity") or not _TASKS.is_dir():
        return set()
    python = {thread.native_id for thread in threading.enumerate()}
    return {int(task.name) for task in _TASKS.iterdir()} - python


class Workers:
    """The threads that a driver computes with; without any, `hold` and `free` do nothing.

    Args: `threads`: their numbers; `count`: how many there should be. With another number of threads, or of cores,
    nothing is ever pinned: they may be somebody else's, or the user has arranged them.
    """

    def __init__(self, threads: tuple[int, ...], count: int):
        self._pins: list[tuple[int, tuple[int]]] = []
        self._all: set[int] = set()
        if not threads or len(threads) != count or icd.affinity_chosen():
            return
        cores = os.sched_getaffinity(0)
        if len(cores) == count <= MOST and count > 1:
            self._all = cores
            self._pins = [(thread, (core,)) for thread, core in zip(sorted(threads), sorted(cores))]

    def __bool__(self) -> bool:
        return bool(self._pins)

    def hold(self) -> None:
        """Each thread on a core of its own."""
        try:
            for thread, core in self._pins:
                os.sched_setaffinity(thread, core)
        except OSError:                # forbidden, or the thread has ended
            self._pins = []

    def free(self) -> None:
        """Any thread on any core."""
        try:
            for thread, _ in self._pins:
                os.sched_setaffinity(thread, self._all)
        except OSError:
            self._pins = []
