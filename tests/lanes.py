"""Run the tests on every OpenCL implementation found: `python -m tests.lanes`.

Which implementation a process uses is fixed when it starts, so each is a pytest process of its own, a lane,
with CLTENSOR_DEVICES naming it. tests/host runs once, where no driver can be seen. The last line is the sum
in pytest's own form. `--require PoCL` fails unless such a lane ran, so that a CI that lost a driver does
not pass. `--oclgrind` runs the marked tests on the checking simulator instead.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from cltensor.base.errors import DeviceError
from cltensor.runtime import platforms

ROOT = Path(__file__).resolve().parent.parent
ON_DEVICE = ("tests/device", "tests/guide", "tests/library")
_CLOSING = re.compile(r"^=+ (.*) in [\d.]+s.*=+$")
_COUNT = re.compile(r"(\d+) (failed|passed|skipped|deselected|xfailed|xpassed|errors?|warnings?)")
_ORDER = ("failed", "passed", "skipped", "deselected", "xfailed", "xpassed", "error")
_NO_TESTS = 5


def pytest_lane(title: str, arguments: list[str], environment: dict[str, str],
                prefix: list[str] | None = None) -> tuple[int, Counter]:
    """Run pytest with its output passed on; its exit status and its counts."""
    print(f"\n##### {title}", flush=True)
    command = [*(prefix or []), sys.executable, "-m", "pytest", *arguments]
    counts: Counter = Counter()
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            closing = _CLOSING.match(line)
            if closing:
                counts = Counter({what.removesuffix("s"): int(n) for n, what in _COUNT.findall(closing[1])})
    return process.returncode, counts


def closing_line(counts: Counter, seconds: float) -> str:
    """`===== 512 passed, 3 skipped in 93.21s =====`"""
    parts = [f"{counts[name]} {name}{'s' if name == 'error' and counts[name] > 1 else ''}"
             for name in _ORDER if counts[name]]
    return f"===== {', '.join(parts) or 'no tests ran'} in {seconds:.2f}s ====="


def implementations() -> list[platforms.Physical]:
    """One working device per driver, best first; simulators are not lanes. Prints what was found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = platforms.discover(every=True)
        except DeviceError as error:
            print(error)
            return []
    lanes = {d.selector: d for d in reversed(found.usable) if not d.simulator}
    print("OpenCL implementations found:")
    for device in reversed(lanes.values()):
        print(f"  {device.implementation}: {device.name}")
    for device in found.skipped:
        print(f"  left out: {device.label}: {device.reason}")
    return list(reversed(lanes.values()))


def with_tests(folders: tuple[str, ...]) -> list[str]:
    """Those of the folders that have a test file; pytest refuses the others."""
    return [folder for folder in folders if any((ROOT / folder).rglob("test_*.py"))]


def run_lanes(quick: bool, require: list[str], extra: list[str]) -> int:
    started = time.monotonic()
    lanes = implementations()
    missing = [name for name in require if not any(name.lower() in lane.text.lower() for lane in lanes)]
    if quick:
        lanes, extra = lanes[:1], [*extra, "-m", "not slow"]
    failed = [f"no implementation matches {name!r}" for name in missing]
    if not lanes:
        failed.append("no OpenCL implementation to test on")
    # An empty vendor folder: a test in tests/host that needs a device fails here, not on somebody's laptop.
    with tempfile.TemporaryDirectory() as empty:
        status, total = pytest_lane("host", ["tests/host", *extra], {"OCL_ICD_VENDORS": empty})
    if status:
        failed.append(f"host (exit status {status})")
    for lane in lanes:
        status, counts = pytest_lane(
            lane.implementation, ["--doctest-modules", "--continue-on-collection-errors", "cltensor",
                                  *with_tests(ON_DEVICE), *extra], {"CLTENSOR_DEVICES": lane.selector})
        total += counts
        if status:
            failed.append(f"{lane.implementation} (exit status {status})")
    print("\ntested: host, " + ", ".join(lane.implementation for lane in lanes))
    for reason in failed:
        print(f"FAILED lane: {reason}")
    print(closing_line(total, time.monotonic() - started), flush=True)
    return 1 if failed else 0


def run_oclgrind(extra: list[str]) -> int:
    """oclgrind exits 0 with findings, so its log decides.

    Without --uninitialized: that check stops kernels at LLVM's `freeze`, which it does not know (21.10).
    """
    started = time.monotonic()
    if shutil.which("oclgrind") is None:
        print("oclgrind is not installed: apt-get install oclgrind")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "oclgrind.log"
        prefix = ["oclgrind", "--log", str(log), "--max-errors", "1000", "--data-races"]
        status, counts = pytest_lane(
            "oclgrind", ["tests/device", "-m", "oclgrind", *extra],
            {"CLTENSOR_DEVICES": "Oclgrind", "CLTENSOR_POOL": "0", "CLTENSOR_CACHE_DIR": folder}, prefix)
        findings = log.read_text(errors="replace").strip() if log.exists() else ""
    if findings:
        print("oclgrind found:\n" + "\n".join(findings.splitlines()[:80]))
        counts["failed"] += 1
    print(closing_line(counts, time.monotonic() - started), flush=True)
    return 1 if findings or status not in (0, _NO_TESTS) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lanes", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true",
                        help="tests/host and the default implementation, no slow tests")
    parser.add_argument("--oclgrind", action="store_true", help="the marked tests on the checking simulator")
    parser.add_argument("--require", action="append", default=[], metavar="NAME",
                        help="fail without such a lane")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    chosen = parser.parse_args()
    if chosen.oclgrind:
        return run_oclgrind(chosen.pytest)
    return run_lanes(chosen.quick, chosen.require, chosen.pytest)


if __name__ == "__main__":
    sys.exit(main())
