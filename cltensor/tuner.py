"""`python -m cltensor tune`: find the fastest kernel parameters for this device, within a bounded time.

One group of parameters after the other, each candidate against the best so far in turns, so that a busy
neighbour hits both. A candidate counts only if its results have the bits of the plain kernel. What beats the
defaults in a last, longer comparison is written to the user's file, under the driver's version.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from cltensor.interpret.trial import Bound, Case, complaint, convolved, product, reduced, softmaxed
from cltensor.kernels import tuned, tuning
from cltensor.runtime import device as devices

__all__ = ["Finding", "candidates", "search", "tune", "main", "add_arguments"]

# Groups of parameters that are tried together; values that are allowed but hopeless are left out.
_TILES = ((8, 2), (12, 2), (14, 2), (10, 2), (6, 4), (6, 3), (8, 3), (4, 4), (14, 1))
_STEPS: dict[tuple[str, str], list[list[dict]]] = {
    ("matmul", "cpu"): [
        [{"direct": v} for v in (1, 0)],
        [{"mr": mr, "nv": nv} for mr, nv in _TILES],
        [{"large_mr": mr, "large_nv": nv} for mr, nv in _TILES if nv > 1],
        [{"unroll": v} for v in (1, 2, 4)],
        [{"kc": v} for v in (128, 192, 256, 384, 512)],
        [{"block_rows": r, "block_columns": c} for r, c in ((128, 256), (192, 128), (256, 512), (384, 256))],
        [{"least_groups": v} for v in (8, 16, 32, 64, 128)],
        [{"packed_kc": v} for v in (256, 384, 512, 1024)],
        [{"packed_rows": v} for v in (96, 128, 192, 256)],
        [{"strip": v} for v in (4, 8)],
    ],
    ("matmul", "gpu"): [
        [dict(zip(("mwg", "nwg", "kwg", "mdimc", "ndimc"), tile)) for tile in (
            (128, 128, 8, 16, 16), (128, 128, 16, 16, 16), (128, 64, 16, 16, 16), (64, 128, 16, 16, 16),
            (64, 64, 16, 16, 16), (64, 64, 16, 8, 8), (64, 64, 8, 8, 8), (128, 64, 8, 16, 8), (96, 64, 16, 8, 8))],
        [dict(zip(("small_mwg", "small_nwg", "small_kwg", "small_mdimc", "small_ndimc"), tile)) for tile in (
            (32, 32, 16, 8, 8), (32, 32, 32, 8, 8), (64, 64, 16, 8, 8), (64, 64, 16, 16, 16), (32, 64, 16, 8, 8))],
        [{"vwm": m, "vwn": n} for m, n in ((4, 4), (2, 4), (2, 2))],
        [{"large_groups": v} for v in (16, 32, 64, 128)],
    ],
    ("conv2d", "cpu"): [
        [{"mr": mr, "nv": nv} for mr, nv in _TILES],
        [{"unroll": v} for v in (1, 2, 4)],
        [{"groups": v} for v in (16, 32, 64, 128)],
        [{"sweep": v} for v in (32, 64, 128, 256)],
        [{"range": v} for v in (96, 192, 384)],
    ],
    ("conv2d", "gpu"): [[{"mr": v} for v in (1, 2, 4, 8)], [{"range": v} for v in (128, 256)]],
    ("reduce", "cpu"): [[{"grain": v} for v in (4096, 8192, 16384, 32768)], [{"groups": v} for v in (16, 32, 64, 128)]],
    ("reduce", "gpu"): [[{"groups": v} for v in (1024, 2048, 4096, 16384)]],
}
_BETTER = 0.97             # time over the best so far that makes a candidate the new best
_WORTH = 0.98              # time over the defaults that makes it worth an entry
_LOSS = 1.1                # unless a case loses so much


class Finding(NamedTuple):
    """What a search found for a family: parameters that differ from the defaults, time over theirs by case."""

    name: str
    schedule: str
    entry: dict[str, int]
    ratios: dict[str, float]
    tried: int
    rejected: list[str]


def cases(name: str) -> list[Case]:
    """The work that is timed: shapes of common networks, one for each form of the family."""
    if name == "matmul":
        return [product(1000, 1000, 1000), product(1024, 1024, 1024, True), product(128, 784, 512),
                product(32, 256, 1024, True), product(25088, 256, 64), product(1, 1024, 1024)]
    if name == "conv2d":
        return [convolved(8, 56, 3, 64, 64), convolved(8, 28, 3, 128, 128), convolved(8, 56, 3, 64, 64, "dx"),
                convolved(8, 56, 3, 64, 64, "dw")]
    return [reduced((4096, 1024), 0), reduced((4096, 1024), 1), reduced((65536, 64), 1), softmaxed(4096, 1024)]


def candidates(name: str, schedule: str) -> int:
    """How many candidates a whole search has."""
    return sum(len(step) for step in _STEPS[name, schedule])


class _Rival:
    """A set of parameters with all timed cases bound."""

    def __init__(self, name: str, work: list[Case], parameters: dict, device: Any, data: list[tuple]):
        self.parameters, self.device = parameters, device
        self.bound = [Bound(case, device, parameters, name, data[i] if data else ()) for i, case in enumerate(work)]

    @property
    def data(self) -> list[tuple]:
        return [b.data for b in self.bound]

    def seconds(self, i: int, calls: int) -> float:
        """Time per call of case i: `calls` launches and one wait."""
        run, finish = self.bound[i].run, self.device.queue.finish
        start = time.perf_counter()
        for _ in range(calls):
            run()
        finish()
        return (time.perf_counter() - start) / calls


def duel(new: _Rival, old: _Rival, rounds: int, length: float) -> list[float]:
    """Time of `new` over that of `old` for each case: best of alternating samples of `length` seconds."""
    ratios = []
    for i in range(len(new.bound)):
        for rival in (new, old):
            rival.seconds(i, 1)
        calls = max(1, min(1000, int(length / max(old.seconds(i, 1), 1e-6))))
        best = {id(new): math.inf, id(old): math.inf}
        for turn in range(rounds):
            for rival in ((new, old), (old, new))[turn % 2]:
                best[id(rival)] = min(best[id(rival)], rival.seconds(i, calls))
        ratios.append(best[id(new)] / best[id(old)])
    return ratios


def _mean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def search(name: str, device: Any, seconds: float, tick: Callable[[], Any] = lambda: None,
           work: list[Case] | None = None) -> Finding:
    """Try the candidates of a family for at most about `seconds` (one candidate may run over)."""
    schedule = device.traits.schedule
    end = time.monotonic() + seconds
    work = cases(name) if work is None else work
    start = _Rival(name, work, tuning.default(name, schedule), device, [])
    best, tried, rejected = start, 0, []
    for step in _STEPS[name, schedule]:
        for change in step:
            tick()
            parameters = best.parameters | change
            if parameters == best.parameters or time.monotonic() > end:
                continue
            said = (tuning.complaint_about(name, schedule, parameters)
                    or complaint(name, parameters, device))
            tried += 1
            if said:
                rejected.append(f"{change}: {said}")
                continue
            rival = _Rival(name, work, parameters, device, start.data)
            if _mean(duel(rival, best, 5, 0.01)) < _BETTER:
                best = rival
    entry = {k: v for k, v in best.parameters.items() if v != start.parameters[k]}
    ratios = duel(best, start, 9, 0.03) if entry else [1.0] * len(work)
    same = all(map(_same, best.bound, start.bound))       # once more, at the sizes that were timed
    if entry and (_mean(ratios) > _WORTH or max(ratios) > _LOSS or not same):
        entry, ratios = {}, [1.0] * len(work)
    return Finding(name, schedule, entry, {c.title: r for c, r in zip(work, ratios)}, tried, rejected)


def _same(a: Bound, b: Bound) -> bool:
    return np.array_equal(a.result(), b.result())


def tune(names: list[str], seconds: float, device: Any, quiet: bool = False) -> list[Finding]:
    """Search the families in turn, with a progress bar."""
    schedule, found = device.traits.schedule, []
    end = time.monotonic() + seconds
    with tqdm(total=sum(candidates(n, schedule) for n in names), unit="candidate", disable=quiet) as bar:
        for i, name in enumerate(names):
            bar.set_description(name)
            share = (end - time.monotonic()) / (len(names) - i)
            found.append(search(name, device, share, bar.update))
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m cltensor tune`."""
    names = sorted({name for name, _ in _STEPS})
    parser.add_argument("--seconds", type=float, default=120, help="how long to search (default: 120)")
    parser.add_argument("--only", default=",".join(names), help=f"families to search (default: {','.join(names)})")
    parser.add_argument("--dry-run", action="store_true", help="search, print, and write nothing")
    parser.add_argument("--to", type=Path, help="write to this file instead of the user's")


def main(options: argparse.Namespace) -> int:
    """Search on the default device and write what was found. Returns the exit status."""
    device = devices.default()
    names = [name for name in options.only.split(",") if name]
    schedule = device.traits.schedule
    unknown = [name for name in names if (name, schedule) not in _STEPS]
    if unknown:
        print(f"tune: there is no family {unknown[0]!r}; there are {', '.join(n for n, s in _STEPS if s == schedule)}")
        return 2
    print(f"tuning {', '.join(names)} for {device.label}, {schedule} schedule, within {options.seconds:.0f} s")
    found = tune(names, options.seconds, device)
    for f in found:
        print(f"\n{f.name}/{f.schedule}: {f.tried} candidates tried, "
              + (f"best {f.entry}" if f.entry else "the defaults stay"))
        for said in f.rejected:
            print(f"  rejected {said}")
        for title, ratio in f.ratios.items() if f.entry else ():
            print(f"  {title}: {ratio:.2f} of the time")
    entries = {f"{f.name}/{f.schedule}": f.entry for f in found}
    if options.dry_run:
        return 0
    file = tuned.save(device.traits.driver, entries, options.to)
    tuning.forget()
    print(f"\nkept in {file}, used from the next start on")
    return 0
