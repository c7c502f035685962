"""Contenders in processes of their own that take turns: one works, the others sleep.

    with Worker("cltensor", environment={"CLTENSOR_DEVICES": "PoCL"}) as own, Worker("torch") as torch:
        results = compare("benchmarks.workloads.matmul", workload, [own, torch], rounds=5, rest=0.06)
        results["torch"]["many"]         # seconds per call, a number per round

`compare` takes any workload that stands in the list `WORKLOADS` of a module, so a suite of its own is such a module
and this loop over it. A worker's form is the key into `Workload.forms`, and its first word the package to import:
Worker("torch compiled") runs forms["torch compiled"] with torch. For anything else there is `do`, which calls
function(framework, *arguments) in the worker's process and brings the value back:

    torch.do("benchmarks.frameworks:blas")

Import, building and warming up are outside of what is timed. A worker that raises, dies, or does not answer in time
is a sentence in the results, is started anew for the next workload, and the run goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

import numpy as np

from benchmarks.frameworks import ENVIRONMENT
from benchmarks.timing import REST
from benchmarks.workload import Workload

__all__ = ["Worker", "WorkerError", "compare"]

START, PREPARE, MEASURE = 90.0, 90.0, 60.0          # seconds until a worker counts as hung


class WorkerError(RuntimeError):
    """A worker raised, died, or did not answer; the text is one sentence."""


class Worker:
    """A contender's process; started when it is first asked something, and again after it died.

    Args: `form` as above; `label`, under which results are kept, if that differs; `environment` on top of this one.
    """

    def __init__(self, form: str, label: str = "", environment: dict[str, str] | None = None):
        self.form, self.label = form, label or form
        self.environment = {**ENVIRONMENT.get(form.split()[0], {}), **(environment or {})}
        self._process: subprocess.Popen | None = None
        self._connection: Any = None
        self._said: Any = None
        self._hopeless = ""              # why it does not start

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

    def do(self, target: str, *arguments: Any, seconds: float = MEASURE) -> Any:
        """The value of function(framework, *arguments) for the target "module:function".

        Raises: WorkerError.
        """
        if self._process is None:
            self._start()
        try:
            self._connection.send((target, arguments))
        except OSError:
            raise self._lost("died") from None
        return self._answer(seconds)

    def stop(self) -> None:
        """End the process."""
        if self._process is None:
            return
        self._connection.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
        self._process = None

    def _start(self) -> None:
        if self._hopeless:
            raise WorkerError(self._hopeless)
        self._said = tempfile.TemporaryFile("w+", errors="replace")
        self._connection, theirs = Pipe()
        handle = theirs.fileno()
        self._process = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "benchmarks.worker", str(handle),
                                          self.form], env={**os.environ, **self.environment}, pass_fds=(handle,),
                                         stdout=self._said, stderr=subprocess.STDOUT)
        theirs.close()
        try:
            self._answer(START)
        except WorkerError as error:
            self._hopeless = str(error)
            self.stop()
            raise

    def _answer(self, seconds: float) -> Any:
        try:
            if not self._connection.poll(seconds):
                raise self._lost(f"gave no answer within {seconds:.0f} s")
            state, value = self._connection.recv()
        except (EOFError, OSError):
            raise self._lost("died") from None
        if state == "failed":
            raise WorkerError(value)
        return value

    def _lost(self, how: str) -> WorkerError:
        process, said = self._process, self._said
        assert process is not None
        if how != "died":
            process.kill()
        code = process.wait()
        said.seek(0)
        lines = [line.strip() for line in said.read().splitlines() if line.strip()]
        self._connection.close()
        said.close()
        self._process = None
        return WorkerError(f"its process {how}" + (f" ({code})" if how == "died" else "")
                           + (f": {lines[-1][:160]}" if lines else ""))


def difference(value: Any, reference: Any) -> float:
    """Largest difference, over the largest value of the reference; infinite where shapes differ."""
    if value.shape != reference.shape:
        return float("inf")
    gap = np.abs(value.astype(np.float64) - reference).max(initial=0.0)
    return float(gap / max(np.abs(reference).max(initial=0.0), 1e-30))


def _prepared(module: str, workload: Workload, workers: list[Worker], results: dict) -> list[Worker]:
    """The workers whose results agree; of the others, why not, in `results`."""
    ready, reference, base = [], None, ""
    # The reference is a peer, so that a wrong answer of ours is ours.
    for worker in sorted(workers, key=lambda w: w.form.split()[0] == "cltensor"):
        if worker.form not in workload.forms:
            continue
        try:
            value = np.asarray(worker.do("benchmarks.worker:prepare", worker.form, module, workload.name,
                                         seconds=PREPARE))
        except WorkerError as error:
            results[worker.label] = {"skipped": str(error)}
            continue
        if reference is None:
            reference, base = value.astype(np.float64), worker.label
        error = difference(value, reference)
        if error <= workload.tolerance:
            results[worker.label] = {"error": error, "many": [], "single": [], "foreign": []}
            ready.append(worker)
        else:
            results[worker.label] = {"skipped": f"its result differs from {base}'s by {error:.2g}"}
    return sorted(ready, key=workers.index)


def compare(module: str, workload: Workload, workers: list[Worker], rounds: int, rest: float = REST) -> dict:
    """{label: {"many": [...], "single": [...], "foreign": [...], "error": over the peer} or {"skipped": why}}."""
    results: dict[str, dict] = {}
    ready = _prepared(module, workload, workers, results)
    counts: dict[str, int] = {}
    for turn in range(rounds + 1):
        for worker in list(ready):
            time.sleep(rest)
            found = results[worker.label]
            try:
                if turn == 0:
                    counts[worker.label] = worker.do("benchmarks.worker:count", workload.seconds)
                    continue
                sample = worker.do("benchmarks.worker:sample", counts[worker.label])
            except WorkerError as error:
                ready.remove(worker)
                if not found["many"]:
                    results[worker.label] = {"skipped": str(error)}
                continue
            for key, value in zip(("many", "single", "foreign"), sample):
                found[key].append(value)
    for worker in ready:
        with suppress(WorkerError):      # it died on its last word; the next workload starts it anew
            worker.do("benchmarks.worker:drop")
    return results
