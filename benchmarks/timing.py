"""Interleaved timing: every contender once per round, so that a busy neighbour hits all alike.

A sample is k calls and one sync, per call, and one call with its sync. BLAS and OpenMP threads of peers spin for
some 30 ms after a call and take a core from whoever comes next, hence the rest between contenders. `interleave` is for
contenders of one process; benchmarks/team.py takes turns between processes.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

REST = 0.06


@dataclass
class Contender:
    """Something to time: `call` once, `sync` waits until everything called is done."""

    name: str
    call: Callable[[], object]
    sync: Callable[[], object] = lambda: None
    many: list = field(default_factory=list)         # seconds per call, k calls and one sync
    single: list = field(default_factory=list)       # seconds of one call with its sync
    foreign: list = field(default_factory=list)      # cores that other processes kept busy during `many`

    def best(self) -> float:
        return min(self.many)

    def median(self) -> float:
        return statistics.median(self.many)


def interleave(contenders: list[Contender], rounds: int = 7, seconds: float = 0.05, rest: float = REST) -> None:
    """Fill the samples of all contenders, round by round; a sample of `many` lasts about `seconds`."""
    counts = [calls_in(c, seconds) for c in contenders]
    for _ in range(rounds):
        for c, k in zip(contenders, counts):
            time.sleep(rest)
            sample(c, k)


def sample(c: Contender, k: int) -> None:
    """A sample of each protocol: k calls and one sync, then a call with its own; one call before is not timed."""
    if k > 1:
        c.call()
        c.sync()
    before = _busy_elsewhere()
    start = time.perf_counter()
    for _ in range(k):
        c.call()
    c.sync()
    wall = time.perf_counter() - start
    c.many.append(wall / k)
    c.foreign.append(None if before is None else round((_busy_elsewhere() - before) / wall, 2))
    if k == 1:                           # a long call: both protocols are the same sample
        c.single.append(wall)
        return
    start = time.perf_counter()
    c.call()
    c.sync()
    c.single.append(time.perf_counter() - start)


def warm(c: Contender, seconds: float) -> None:
    """Call it for about that long."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for _ in range(20):
            c.call()
            if time.perf_counter() > until:
                break
        c.sync()


def calls_in(c: Contender, seconds: float) -> int:
    """How many calls take about `seconds`; warms up on the way, with at least two calls."""
    c.call()
    c.sync()
    k = 1
    while True:
        start = time.perf_counter()
        for _ in range(k):
            c.call()
        c.sync()
        wall = time.perf_counter() - start
        if wall > seconds / 5 or k >= 20000:
            return max(1, min(20000, int(k * seconds / wall)))
        k *= 4


def _busy_elsewhere() -> float | None:
    """CPU seconds that all other processes have used so far (Linux; None where that is not known)."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = file.readline().split()
    except OSError:
        return None
    return sum(int(t) for t in ticks[1:4]) / os.sysconf("SC_CLK_TCK") - time.process_time()


def conditions() -> str:
    """Cores and load, to judge a run by."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"{os.cpu_count()} cores, load {load:.1f}"


def table(contenders: list[Contender], base: str) -> str:
    """Markdown: microseconds, best and median of rounds, and the ratio to the contender named `base`."""
    reference = next((c for c in contenders if c.name == base), contenders[0])
    lines = [f"| contender | best, us | median, us | one call and its sync, us | best over {reference.name}'s |",
             "|---|---|---|---|---|"]
    for c in contenders:
        lines.append(f"| {c.name} | {1e6 * c.best():.2f} | {1e6 * c.median():.2f} | "
                     f"{1e6 * statistics.median(c.single):.1f} | {c.best() / reference.best():.2f} |")
    return "\n".join(lines)
