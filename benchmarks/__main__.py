"""All benchmarks beside every peer that is installed, on every OpenCL implementation found.

    python -m benchmarks --against numpy,torch,tensorflow,jax,tinygrad --rounds 5 [--only NAME,...] [--out FOLDER]

Every contender is a process of its own, cltensor one per implementation; they take turns, round by round, and who
has no turn sleeps. Results are compared with each other once before anything is timed. Writes results.json, tables
and pictures to the folder; `python -m benchmarks.report FOLDER` makes docs/benchmarks.md of it. `--only matmul,sum`
takes the workloads whose name starts with one of these words.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.frameworks import PEERS
from benchmarks.runner import measure
from benchmarks.timing import REST, conditions
from cltensor.runtime import platforms


def _command(options: argparse.Namespace) -> str:
    words = ["python -m benchmarks", "--against", ",".join(options.against), "--rounds", str(options.rounds)]
    if options.only:
        words += ["--only", f"'{','.join(options.only)}'"]
    if options.rest != REST:
        words += ["--rest", str(options.rest)]
    return " ".join(words)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--against", type=report.names, default=list(PEERS), help="peers, those installed are used")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=float, default=REST, help="seconds of rest before each sample")
    parser.add_argument("--only", type=report.names, default=[], help="workloads whose names start so")
    parser.add_argument("--implementations", type=report.names, default=[], help="OpenCL implementations named so")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="folder of the results")
    options = parser.parse_args()
    for name in set(options.against) - set(PEERS):
        parser.error(f"--against: {name!r} is none of {', '.join(PEERS)}")
    found = {d.implementation: d.selector for d in platforms.discover(every=True).usable if not d.simulator}
    if options.implementations:
        found = {i: s for i, s in found.items() if any(n.lower() in i.lower() for n in options.implementations)}
    if not found:
        parser.error("no OpenCL implementation to measure")
    print(f"{', '.join(found)} ({conditions()})", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    for data in measure(found, options.against, options.rounds, options.rest, options.only):
        text = json.dumps({"command": _command(options), **data}, indent=1)
        (options.out / "results.json").write_text(text, encoding="utf-8")      # what is known survives a crash
    report.write(options.out)
    print(f"\nresults.json, tables.md and pictures are in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
