"""Rows about whole processes: wall time from start to exit, or peak resident memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.team import Worker
from benchmarks.workload import Process

MOST_ROUNDS = 3          # a start takes seconds and varies by few per cent
LONGEST = 120.0          # seconds
# A package that pip has installed is compiled to bytecode; so is this source tree after its first start, unless the
# environment forbids it.
BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
LINUX = sys.platform == "linux"
# Linux counts the parent's memory into a child's ru_maxrss, so there the program reads its own peak at its end.
_PEAK = """
import sys
with open('/proc/self/status') as status:
    sys.stderr.write('\\n' + next(line.split()[1] for line in status if line.startswith('VmHWM')))
"""


def run(program: str, environment: dict) -> tuple[float, float, str, str]:
    """(seconds, peak MiB, last line printed, complaint) of a Python process; the complaint is "" if all is well.

    One that takes longer than `LONGEST` is ended.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", program + _PEAK * LINUX], stdout=out,
                                   stderr=err, env={**os.environ, **BYTECODE, **environment})
        ender = threading.Timer(LONGEST, process.kill)
        ender.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        ender.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        lines, errors = out.read().split("\n"), err.read().strip().split("\n")
    said = next((line for line in reversed(lines) if line), "")
    if process.returncode:
        late = f"it did not end within {LONGEST:.0f} s" if seconds >= LONGEST else ""
        return seconds, 0.0, said, late or errors[-1][:160] or f"its process failed ({process.returncode})"
    if LINUX:
        mib = int(next(line for line in reversed(errors) if line.isdigit())) / 2**10
    else:
        mib = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return seconds, mib, said, ""


def _fresh(folder: str) -> dict:
    """Empty kernel caches."""
    base = Path(folder)
    return {"CLTENSOR_CACHE_DIR": str(base / "own"), "POCL_CACHE_DIR": str(base / "pocl"),
            "XDG_CACHE_HOME": str(base / "xdg"), "PYOPENCL_CACHE_DIR": str(base / "pyopencl")}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def compare(workload: Process, workers: list[Worker], rounds: int, rest: float) -> dict:
    """One row: the samples of every contender, all of which must print the same number.

    Of the workers only name and environment are used: what is measured are fresh processes.
    """
    results: dict[str, dict] = {}
    reference: Any = None
    workers = [w for w in workers if w.form in workload.programs]
    for worker in sorted(workers, key=lambda w: w.form == "cltensor"):
        _, _, said, complaint = run(workload.programs[worker.form], worker.environment)          # warms the caches
        printed: Any = _number(said)
        if not complaint and printed is None:
            complaint = f"it prints {said[:80]!r}"
        if not complaint and reference is None:
            reference = printed
        if not complaint and not abs(printed - reference) <= 2e-2 * abs(reference):
            complaint = f"it prints {said}, others {reference:.6g}"
        results[worker.label] = {"skipped": complaint} if complaint else {"many": []}
    for _ in range(1 if workload.measure == "MiB" else min(rounds, MOST_ROUNDS)):
        for worker in workers:
            result = results[worker.label]
            if "many" not in result:
                continue
            time.sleep(rest)
            with tempfile.TemporaryDirectory() as folder:
                seconds, mib, _, complaint = run(workload.programs[worker.form],
                                                 worker.environment | (_fresh(folder) if workload.cold else {}))
            if not complaint:
                result["many"].append(mib if workload.measure == "MiB" else seconds)
            elif not result["many"]:
                results[worker.label] = {"skipped": complaint}
    return results
