"""Compiled graphs beside eager execution and the compilers of the peers, on every OpenCL implementation found.

    python -m benchmarks.graph [--against torch,tensorflow,jax] [--rounds 5] [--only NAME,...] [--costs] [--docs FILE]

Contenders take turns in processes of their own, as in `python -m benchmarks`. For each training step it also counts
launches of eager execution, of the trace as recorded and after the passes; bytes at the peak beyond variables and
inputs; and what compiling fifty equal layers takes. `--costs` prints only these. Writes graph.json to the folder;
`--docs FILE` puts the tables between the marks of that page.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks import command, costs, report
from benchmarks.frameworks import installed, versions
from benchmarks.runner import fields, line
from benchmarks.team import Worker, WorkerError, compare
from benchmarks.workloads.compiled import STEPS, WORKLOADS

PEERS = ("torch", "tensorflow", "jax")
_MODULE = "benchmarks.workloads.compiled"
_BEGIN, _END = "<!-- graph tables: begin -->", "<!-- graph tables: end -->"


def _counted(worker: Worker, names: list[str], whole: bool) -> dict:
    """The costs of these steps in a worker's process; what fails is printed and left out."""
    found: dict = {"costs": []}
    for name in names:
        try:
            found["costs"].append(worker.do("benchmarks.costs:step", name))
        except WorkerError as error:
            print(f"{worker.label}, costs of {name}: {error}", flush=True)
    if whole:
        found["fifty"] = worker.do("benchmarks.costs:fifty", seconds=300.0)
    return found


def measure(implementations: dict[str, str], options: argparse.Namespace) -> dict:
    """The data of a run."""
    rows = [w for w in WORKLOADS if not options.only or any(w.name.startswith(o) for o in options.only)]
    data: dict = {"command": f"python -m benchmarks.graph --rounds {options.rounds}",
                  "date": datetime.date.today().isoformat(), "cores": os.cpu_count(), "rounds": options.rounds,
                  "versions": versions(), "runs": []}
    names = [n for n in STEPS if any(w.name == f"compiled {n}" for w in rows)]
    for implementation, selector in implementations.items():
        with Worker("cltensor", implementation, {"CLTENSOR_DEVICES": selector}) as worker:
            run = {"implementation": implementation, "load_before": os.getloadavg()[0], "rows": [],
                   "notes": [f"{name} is not installed" for name in options.against if not installed(name)],
                   **_counted(worker, names, not options.only)}
        data["runs"].append(run)
        print(f"\n{implementation}\n\n{costs.table(run)}\n", flush=True)
    if options.costs:
        return data
    with ExitStack() as stack:
        own = [stack.enter_context(Worker(form, i + form[len("cltensor"):], {"CLTENSOR_DEVICES": selector}))
               for i, selector in implementations.items() for form in ("cltensor", "cltensor eager")]
        peers = [stack.enter_context(Worker(name)) for name in options.against if installed(name)]
        for workload in rows:
            results = compare(_MODULE, workload, [*own, *peers], options.rounds, options.rest)
            row = fields(workload)
            print(line(row, results), flush=True)
            for name, result in results.items():
                if "skipped" in result:
                    print(f"    {name}: {result['skipped']}", flush=True)
            for run in data["runs"]:
                own_names = {run["implementation"]: "cltensor", f"{run['implementation']} eager": "eager"}
                names_ = own_names | {w.label: w.label for w in peers}
                run["rows"].append(row | {"results": {names_[k]: r for k, r in results.items() if k in names_}})
                run["load_after"] = os.getloadavg()[0]
    return data


def section(data: dict) -> str:
    """The tables of all implementations."""
    parts = [f"{data['date']}, {data['cores']} cores, best of {data['rounds']} rounds:\n\n"
             f"```sh\n{data['command']}\n```\n"]
    for run in data["runs"]:
        parts.append(f"### Compiled, {run['implementation']}\n")
        if run["rows"]:
            parts += [report.disturbance(run) + "\n", report.table(run, ("eager", *PEERS)) + "\n"]
            left_out = report.notes(run)
            parts += [f"Left out:\n\n{left_out}\n"] if left_out else []
        parts.append(costs.table(run) + "\n")
    return "\n".join(parts)


def main() -> int:
    parser = command.arguments("python -m benchmarks.graph", __doc__, PEERS)
    parser.add_argument("--costs", action="store_true", help="counts only, no times")
    parser.add_argument("--docs", type=Path, help="page with the marks of the graph tables")
    options, found = command.parsed(parser)
    data = measure(found, options)
    (options.out / "graph.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    print("\n" + section(data))
    if options.docs:
        before, rest = options.docs.read_text(encoding="utf-8").split(_BEGIN)
        options.docs.write_text(f"{before}{_BEGIN}\n{section(data)}\n{_END}{rest.split(_END)[1]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
