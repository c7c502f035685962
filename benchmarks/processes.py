"""Rows about whole processes: wall time from start to exit, or peak resident memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.workload import Process

LINUX = sys.platform == "linux"
# Linux counts the parent's memory into a child's ru_maxrss, so there the program reads its own peak at its end.
_PEAK = """
import sys
with open('/proc/self/status') as status:
    sys.stderr.write('\\n' + next(line.split()[1] for line in status if line.startswith('VmHWM')))
"""


def run(program: str, environment: dict) -> tuple[float, float, str, str]:
    """(seconds, peak MiB, last line printed, complaint) of a Python process; the complaint is "" if all is well."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        inherited = {k: v for k, v in os.environ.items() if k != "LD_BIND_NOW"}
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", program + _PEAK * LINUX], stdout=out,
                                   stderr=err, env={**inherited, **environment})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        lines, errors = out.read().split("\n"), err.read().strip().split("\n")
    if LINUX:
        mib = int(errors[-1]) / 2**10 if not process.returncode else 0.0
    else:
        mib = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    said = next((line for line in reversed(lines) if line), "")
    return seconds, mib, said, errors[-1][:160] or "failed" if process.returncode else ""


def _fresh(folder: str) -> dict:
    """Empty kernel caches."""
    base = Path(folder)
    return {"CLTENSOR_CACHE_DIR": str(base / "own"), "POCL_CACHE_DIR": str(base / "pocl"),
            "XDG_CACHE_HOME": str(base / "xdg"), "PYOPENCL_CACHE_DIR": str(base / "pyopencl")}


def compare(workload: Process, names: list[str], rounds: int, rest: float) -> dict:
    """One row: the samples of every framework, all of which must print the same number."""
    results: dict[str, dict] = {}
    reference = None
    for name in sorted((n for n in names if n in workload.programs), key=lambda n: n == "cltensor"):
        _, _, said, complaint = run(workload.programs[name], {})          # warms the caches
        if not complaint and reference is None:
            reference = float(said)
        if not complaint and abs(float(said) - reference) > 2e-2 * abs(reference):
            complaint = f"it prints {said}, others {reference:.6g}"
        results[name] = {"skipped": complaint} if complaint else {"many": []}
    results = {name: results[name] for name in names if name in results}
    for _ in range(1 if workload.measure == "MiB" else rounds):
        for name, result in results.items():
            if "many" not in result:
                continue
            time.sleep(rest)
            with tempfile.TemporaryDirectory() as folder:
                seconds, mib, *_ = run(workload.programs[name], _fresh(folder) if workload.cold else {})
            result["many"].append(mib if workload.measure == "MiB" else seconds)
    return results
