"""One process of a benchmark run: all workloads on the OpenCL implementation that CLTENSOR_DEVICES names.

Started by `python -m benchmarks`. Writes what it measured to the file `--part` after every workload, so that a
crash of a peer loses one row and not the run.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import processes, roofline
from benchmarks.frameworks import Framework, blas, open_framework, versions
from benchmarks.timing import Contender, interleave
from benchmarks.workload import Process, Workload
from benchmarks.workloads import (
    broadcast,
    conv,
    eager,
    elementwise,
    matmul,
    recurrent,
    reductions,
    resnet,
    startup,
    training,
)
from cltensor.kernels import build

FAMILIES = (matmul, conv, reductions, elementwise, broadcast, eager, training, recurrent, resnet, startup)


def selected(only: list[str]) -> list:
    """The workloads whose names start with one of `only`; all without."""
    rows = [w for family in FAMILIES for w in family.WORKLOADS]
    return [w for w in rows if not only or any(w.name.startswith(word) for word in only)]


def _difference(value: Any, reference: Any) -> float:
    """Largest difference, over the largest value of the reference; infinite where shapes differ."""
    if value.shape != reference.shape:
        return float("inf")
    gap = np.abs(value.astype(np.float64) - reference).max(initial=0.0)
    return float(gap / max(np.abs(reference).max(initial=0.0), 1e-30))


def _contender(framework: Framework, workload: Workload, arrays: tuple) -> tuple[Contender, Any]:
    """The contender and its result after `checks` calls, as an array."""
    call = workload.forms[framework.name](framework.module, *map(framework.put, arrays))
    last: list = [None]

    def keep() -> None:
        last[0] = call()

    for _ in range(workload.checks):
        value = call()
    framework.sync(value)
    result = value if isinstance(value, np.ndarray) else framework.get(value)
    return Contender(framework.name, keep, lambda: framework.sync(last[0])), workload.result(result)


def compare(workload: Workload, frameworks: list[Framework], rounds: int, rest: float) -> dict:
    """One row: the samples of every contender, or why it has none."""
    arrays = workload.inputs()
    results: dict[str, dict] = {}
    contenders, reference, base = [], None, ""
    # The reference is a peer, so that a wrong answer of ours is ours.
    for framework in sorted(frameworks, key=lambda f: f.name == "cltensor"):
        if framework.name not in workload.forms:
            continue
        try:
            contender, value = _contender(framework, workload, arrays)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is a note in the table
            results[framework.name] = {"skipped": f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
                                       if str(error) else type(error).__name__}
            continue
        if reference is None:
            reference, base = np.asarray(value, np.float64), framework.name
        error = _difference(np.asarray(value), reference)
        if not error <= workload.tolerance:
            results[framework.name] = {"skipped": f"its result differs from {base}'s by {error:.2g}"}
            continue
        results[framework.name] = {"error": error}
        contenders.append(contender)
    contenders.sort(key=lambda c: c.name != "cltensor")
    interleave(contenders, rounds, workload.seconds, rest)
    for c in contenders:
        results[c.name].update(many=c.many, single=c.single, foreign=c.foreign)
    return results


def _fields(workload: Workload | Process) -> dict:
    bars = [{"peers": list(b.peers), "must": b.must, "goal": b.goal} for b in workload.bars]
    row: dict = {"name": workload.name, "title": workload.title, "bars": bars}
    if isinstance(workload, Process):
        return row | {"measure": workload.measure}
    return row | {"measure": "seconds", "flop": workload.flop, "moved": workload.moved}


def _line(row: dict) -> str:
    scale = 1 if row["measure"] == "MiB" else 1e3
    cells = [f"{name} {scale * min(r['many']):.4g}" if "many" in r else f"{name} -"
             for name, r in row["results"].items()]
    return f"{row['name']} ({'MiB' if scale == 1 else 'ms'}): {', '.join(cells)}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runner", description=__doc__.split("\n")[0])
    parser.add_argument("--part", type=Path, required=True)
    parser.add_argument("--against", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=float, default=0.1)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    rows = selected([word for word in options.only.split(",") if word])
    frameworks, notes = [], []
    for name in ["cltensor", *filter(None, options.against.split(","))]:
        try:
            frameworks.append(open_framework(name))
        except LookupError as error:
            notes.append(str(error))
            print(f"left out: {error}", flush=True)
    data: dict = {"load_before": os.getloadavg()[0], "notes": notes, "versions": versions(), "rows": []}
    data["machine"] = roofline.measure()
    print(", ".join(f"{k} {v:.0f}" for k, v in data["machine"].items()), flush=True)
    for workload in rows:
        started = time.perf_counter()
        row = _fields(workload)
        if isinstance(workload, Process):
            row["results"] = processes.compare(workload, [f.name for f in frameworks], options.rounds, options.rest)
        else:
            row["results"] = compare(workload, frameworks, options.rounds, options.rest)
        gc.collect()
        data["rows"].append(row)
        built = build.programs()
        data.update(programs=len(built), build_seconds=round(sum(s for *_, s in built), 2), blas=blas(),
                    load_after=os.getloadavg()[0])
        options.part.write_text(json.dumps(data), encoding="utf-8")
        print(f"{_line(row)}   [{time.perf_counter() - started:.1f} s]", flush=True)
        for name, result in row["results"].items():
            if "skipped" in result:
                print(f"    {name}: {result['skipped']}", flush=True)
    again = roofline.measure()            # a neighbour may have sat on the first
    data["machine"] = {key: max(value, again[key]) for key, value in data["machine"].items()}
    options.part.write_text(json.dumps(data), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
