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

from benchmarks import command, report
from benchmarks.runner import measure
from benchmarks.timing import REST


def _command(options: argparse.Namespace) -> str:
    words = ["python -m benchmarks", "--against", ",".join(options.against), "--rounds", str(options.rounds)]
    if options.only:
        words += ["--only", f"'{','.join(options.only)}'"]
    if options.rest != REST:
        words += ["--rest", str(options.rest)]
    return " ".join(words)


def main() -> int:
    options, found = command.parsed(command.arguments("python -m benchmarks", __doc__))
    for data in measure(found, options.against, options.rounds, options.rest, options.only):
        text = json.dumps({"command": _command(options), **data}, indent=1)
        (options.out / "results.json").write_text(text, encoding="utf-8")      # what is known survives a crash
    report.write(options.out)
    print(f"\nresults.json, tables.md and pictures are in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
