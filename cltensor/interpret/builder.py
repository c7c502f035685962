"""Building beside the program: kernels nobody waits for are compiled in one thread, and take over when they are ready.

    builder.later(job, "block of add, multiply")

A job compiles (`rehearse`), binds, and at last changes one attribute that the next run looks at; all ways of running
a block have the same bits, so nobody can tell when that was. The interpreter's exit waits for the job that is being
done and drops those behind it: a driver must not be left while it compiles. A forked child begins with none.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from cltensor.interpret.runner import bind_launches
from cltensor.kernels import build
from cltensor.kernels.idle import idle
from cltensor.kernels.plan import Plan

__all__ = ["later", "busy", "wait", "rehearse", "build_seconds"]

LEAST, MOST = 0.02, 0.5         # what a build is taken to cost, whatever was measured
_log = logging.getLogger("cltensor")


class _Worker:
    """The thread, started by its first job."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue = SimpleQueue()
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None
        self.unfinished = 0
        self.ending = False

    def add(self, job: Callable[[], None], what: str) -> None:
        with self.lock:
            self.unfinished += 1
            if self.thread is None:
                self.thread = threading.Thread(target=self._work, name="cltensor-builder", daemon=True)
                self.thread.start()
        self.jobs.put((job, what))

    def _work(self) -> None:
        while True:
            job, what = self.jobs.get()
            if self.ending:
                return
            try:
                job()
            except Exception as error:      # nobody asked for it, and what runs now goes on
                _log.info("%s could not be built: %s", what, error)
            del job
            with self.lock:
                self.unfinished -= 1

    def end(self) -> None:
        """Let the job that is being done come to its end."""
        self.ending = True
        self.jobs.put((None, ""))
        if self.thread is not None:
            self.thread.join()


_worker = _Worker()


def later(job: Callable[[], None], what: str) -> None:
    """Do a job in the thread, behind those that wait already. If it fails nothing changes, and the log says so."""
    _worker.add(job, what)


def busy() -> bool:
    """True while a job waits or is being done."""
    return _worker.unfinished > 0


def wait() -> None:
    """Until the jobs of now are done; for tests."""
    done = threading.Event()
    later(done.set, "nothing")
    done.wait()
    while busy():
        time.sleep(0.001)


def rehearse(op: Any, plan: Any, device: Any, ins: tuple, outs: tuple) -> None:
    """Compile the programs of a plan, and launch its kernels over nothing, since PoCL compiles at a first launch too.

    The launches go to a queue of their own: the program's launches wait neither for them nor for the compiler.
    Arguments as those of `bind_plan`, which is quick afterwards.
    """
    room = device.memory.allocate(4096)
    launches = tuple(x for x in map(idle, plan.launches) if x is not None)
    for one in bind_launches(op, Plan(launches), device, ins, outs):
        args = one.template.copy()
        for at in one.at:
            args[at] = room.mem
        for at, _ in zip(one.at[len(one.at) - len(one.slots):], one.slots):
            args[at] = 0
        device.queue.rehearse(one.kernel, args, one.global_size, one.local_size)


def build_seconds() -> float:
    """What a build costs, by the latest of this process: little where they came from the disk."""
    seconds = [s for _, _, s in build.programs()[-16:]]
    return min(max(sum(seconds) / max(1, len(seconds)), LEAST), MOST)


def _after_fork() -> None:
    global _worker
    _worker = _Worker()


atexit.register(lambda: _worker.end())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
