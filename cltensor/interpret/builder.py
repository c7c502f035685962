"""Building beside the program: kernels nobody waits for are compiled in one thread, and take over when they are ready.

    builder.later(job, "block of add, multiply")

A job compiles (`rehearse`), binds, and at last changes one attribute that the next run looks at; all ways of running
a block have the same bits, so nobody can tell when that was. The interpreter's exit waits for the job that is being
done, not for those behind it. A forked child has no devices, so it builds nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from cltensor.interpret.runner import bind_launches
from cltensor.kernels import build
from cltensor.kernels.idle import idle
from cltensor.kernels.plan import Plan

__all__ = ["later", "busy", "wait", "rehearse", "build_seconds"]

LEAST, MOST = 0.02, 0.5         # what a build is taken to cost, whatever was measured
_log = logging.getLogger("cltensor")
_pool: list[ThreadPoolExecutor] = []
_jobs: list[Future] = []


def later(job: Callable[[], None], what: str) -> None:
    """Do a job in the thread, behind those that wait already. If it fails nothing changes, and the log says so."""
    def work() -> None:
        try:
            job()
        except Exception as error:      # nobody asked for it, and what runs now goes on
            _log.info("%s could not be built: %s", what, error)
    if not _pool:
        _pool.append(ThreadPoolExecutor(1, "cltensor-builder"))
    _jobs[:] = [j for j in _jobs if not j.done()]
    _jobs.append(_pool[0].submit(work))


def busy() -> bool:
    """True while a job waits or is being done."""
    return any(not j.done() for j in _jobs)


def wait() -> None:
    """Until all jobs are done; for tests."""
    for j in list(_jobs):
        j.result()


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
    _pool.clear()
    _jobs.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
