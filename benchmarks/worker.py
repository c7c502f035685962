"""The process of one contender: opens one framework, then does what the parent says, and sleeps in between.

Started by `benchmarks.team.Worker`, which sends (target, arguments): the target is "module:function", called as
function(framework, *arguments); back goes ("done", value) or ("failed", one sentence). The functions below hold the
contender of one workload at a time. Peers share no process with each other or with us: the threads of one pool spin
beside the work of the next, and one package's compiler library gets another's calls.
"""

from __future__ import annotations

import gc
import importlib
import sys
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks import timing
from benchmarks.frameworks import Framework, open_framework
from benchmarks.workload import Workload

WARM = 0.4          # seconds of calls before anything is timed: kernels are chosen and compiled by then
_held: list[timing.Contender] = []


def find(module: str, name: str) -> Any:
    """The workload of this name in the list `WORKLOADS` of a module."""
    return next(w for w in importlib.import_module(module).WORKLOADS if w.name == name)


def prepare(framework: Framework, form: str, module: str, name: str) -> Any:
    """Hold this workload; its result after `checks` calls, as an array."""
    workload: Workload = find(module, name)
    framework.begin()
    call = workload.forms[form](framework.module, *map(framework.put, workload.inputs()))
    last: list = [None]
    settle = framework.settle

    def keep() -> None:
        last[0] = call()

    def keep_settled() -> None:
        last[0] = value = call()
        settle(value)

    for _ in range(workload.checks):
        value = call()
    framework.sync(value)
    _held[:] = [timing.Contender(form, keep_settled if settle else keep, lambda: framework.sync(last[0]))]
    return workload.result(value if isinstance(value, np.ndarray) else framework.get(value))


def count(framework: Framework, seconds: float) -> int:
    """How many calls of the workload take about that long."""
    timing.warm(_held[0], WARM)
    framework.warm()
    return timing.calls_in(_held[0], seconds)


def sample(framework: Framework, k: int) -> tuple[float, float, float | None]:
    """(seconds per call of k and one sync, seconds of one call and its sync, cores that others kept busy)."""
    contender = _held[0]
    timing.sample(contender, k)
    return contender.many[-1], contender.single[-1], contender.foreign[-1]


def drop(framework: Framework) -> None:
    """Let go of the workload."""
    _held.clear()
    gc.collect()


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}" if str(error).strip() else repr(error)


def serve(handle: int, form: str) -> None:
    """Answer what comes through the inherited pipe until the parent hangs up."""
    with Connection(handle) as connection:
        try:
            framework = open_framework(form.split()[0])
        except LookupError as error:
            connection.send(("failed", str(error)))
            return
        connection.send(("done", None))
        while True:
            try:
                target, arguments = connection.recv()
            except (EOFError, OSError):
                return
            module, function = target.split(":")
            try:
                answer = "done", getattr(importlib.import_module(module), function)(framework, *arguments)
            except Exception as error:  # noqa: BLE001 - whatever a peer raises is a note in the table
                answer = "failed", _sentence(error)
            connection.send(answer)


if __name__ == "__main__":
    # By name, as `do` finds it: run as a program this file is another module, with a `_held` of its own.
    importlib.import_module("benchmarks.worker").serve(int(sys.argv[1]), sys.argv[2])
