"""One run: every workload with every contender, the results as plain data after each row.

A contender of ours stands for each OpenCL implementation; all are beside the same samples of the peers.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from benchmarks import processes
from benchmarks.frameworks import Framework, installed, versions
from benchmarks.team import Worker, WorkerError, compare
from benchmarks.workload import Process, Workload
from benchmarks.workloads import (
    broadcast,
    conv,
    deferred,
    eager,
    elementwise,
    matmul,
    recurrent,
    reductions,
    resnet,
    startup,
    training,
)

FAMILIES = (matmul, conv, reductions, elementwise, broadcast, eager, deferred, training, recurrent, resnet, startup)


def selected(only: list[str]) -> list[tuple[str, Any]]:
    """(module, workload) of those whose names start with one of `only`; all without."""
    rows = [(family.__name__, w) for family in FAMILIES for w in family.WORKLOADS]
    return [(module, w) for module, w in rows if not only or any(w.name.startswith(word) for word in only)]


def compiled(framework: Framework) -> tuple[int, float]:
    """(programs, seconds) that cltensor has compiled in this process so far."""
    from cltensor.kernels import build
    return build.program_count(), sum(seconds for *_, seconds in build.programs())


def fields(workload: Workload | Process) -> dict:
    """What a row says of its workload."""
    bars = [{"peers": list(b.peers), "must": b.must, "goal": b.goal} for b in workload.bars]
    row: dict = {"name": workload.name, "title": workload.title, "bars": bars}
    if isinstance(workload, Process):
        return row | {"measure": workload.measure}
    return row | {"measure": "seconds", "flop": workload.flop, "moved": workload.moved}


def line(row: dict, results: dict) -> str:
    """A row as it is printed on the way."""
    scale = 1 if row["measure"] == "MiB" else 1e3
    cells = [f"{name} {scale * min(r['many']):.4g}" if r.get("many") else f"{name} -" for name, r in results.items()]
    return f"{row['name']} ({'MiB' if scale == 1 else 'ms'}): {', '.join(cells)}"


def _asked(worker: Worker, target: str, otherwise: Any) -> Any:
    """What a worker says, or `otherwise` if it cannot."""
    try:
        return worker.do(target)
    except WorkerError as error:
        print(f"{worker.label}, {target}: {error}", flush=True)
        return otherwise


def measure(implementations: dict[str, str], against: list[str], rounds: int, rest: float, only: list[str],
            ) -> Iterator[dict]:
    """The data of a run, complete as far as it goes, after every row.

    `implementations`: {name: selector} of the OpenCL drivers; `against`: peers, those installed are used.
    """
    notes = [f"{name} is not installed" for name in against if not installed(name)]
    with ExitStack() as stack:
        own = [stack.enter_context(Worker("cltensor", name, {"CLTENSOR_DEVICES": selector}))
               for name, selector in implementations.items()]
        peers = [stack.enter_context(Worker(name)) for name in against if installed(name)]
        data: dict = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(), "rounds": rounds,
                      "rest": rest, "whole": False, "runs": []}
        libraries = sorted({text for worker in peers for text in _asked(worker, "benchmarks.frameworks:blas", ())})
        for worker in own:
            limits = _asked(worker, "benchmarks.roofline:limits", None)
            if limits is not None:
                print(f"{worker.label}: {', '.join(f'{k} {v:.0f}' for k, v in limits.items())}", flush=True)
                data["runs"].append({"implementation": worker.label, "load_before": os.getloadavg()[0],
                                     "notes": notes, "versions": versions(), "blas": libraries, "machine": limits,
                                     "rows": []})
        workers = {worker.label: worker for worker in own}
        rows, began = selected(only), time.perf_counter()
        for number, (module, workload) in enumerate(rows, 1):
            started = time.perf_counter()
            if isinstance(workload, Process):
                results = processes.compare(workload, [*own, *peers], rounds, rest)
            else:
                results = compare(module, workload, [*own, *peers], rounds, rest)
            row, now = fields(workload), time.perf_counter()
            print(f"{number}/{len(rows)} {line(row, results)}   [{now - started:.1f} s of {now - began:.0f}]",
                  flush=True)
            for name, result in results.items():
                if "skipped" in result:
                    print(f"    {name}: {result['skipped']}", flush=True)
            for run in data["runs"]:
                names = {run["implementation"]: "cltensor", **{w.label: w.label for w in peers}}
                run["rows"].append(row | {"results": {names[k]: r for k, r in results.items() if k in names}})
                programs, seconds = _asked(workers[run["implementation"]], "benchmarks.runner:compiled", (0, 0.0))
                run.update(programs=programs, build_seconds=round(seconds, 2), load_after=os.getloadavg()[0])
            yield data
        for run in data["runs"]:
            # a neighbour may have sat on the first
            again = _asked(workers[run["implementation"]], "benchmarks.roofline:limits", {})
            run["machine"] = {key: max(value, again.get(key, 0)) for key, value in run["machine"].items()}
        yield data | {"whole": True}
