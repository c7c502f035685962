"""All benchmarks beside every peer that is installed, once per OpenCL implementation found.

    python -m benchmarks --against numpy,torch,tensorflow,jax,tinygrad --rounds 5 [--only NAME,...] [--out FOLDER]

Each implementation is a process of its own; in it, all contenders of a workload take turns, round by round. Their
results are compared with each other once before anything is timed. Writes results.json and roofline.png to the
folder and prints the tables; `python -m benchmarks.report FOLDER` makes docs/benchmarks.md of it. `--only matmul,sum`
takes the workloads whose name starts with one of these words.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import report
from benchmarks.frameworks import PEERS, START_ENVIRONMENT
from benchmarks.timing import conditions
from cltensor.runtime import platforms


def _command(options: argparse.Namespace) -> str:
    words = ["python -m benchmarks", "--against", ",".join(options.against), "--rounds", str(options.rounds)]
    if options.only:
        words += ["--only", f"'{','.join(options.only)}'"]
    if options.rest != 0.1:
        words += ["--rest", str(options.rest)]
    return " ".join(words)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--against", type=_names, default=list(PEERS), help="peers, those installed are used")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=float, default=0.1, help="seconds of rest before each sample")
    parser.add_argument("--only", type=_names, default=[], help="workloads whose names start so")
    parser.add_argument("--implementations", type=_names, default=[], help="OpenCL implementations named so")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="folder of the results")
    options = parser.parse_args()
    for name in set(options.against) - set(PEERS):
        parser.error(f"--against: {name!r} is none of {', '.join(PEERS)}")
    found = {d.selector: d.implementation for d in platforms.discover(every=True).usable if not d.simulator}
    if options.implementations:
        found = {s: i for s, i in found.items() if any(n.lower() in i.lower() for n in options.implementations)}
    if not found:
        parser.error("no OpenCL implementation to measure")
    data: dict = {"command": _command(options), "date": datetime.date.today().isoformat(),
                  "cores": os.cpu_count(), "rounds": options.rounds, "rest": options.rest, "runs": []}
    status = 0
    for selector, implementation in found.items():
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / "part.json"
            print(f"\n## {implementation} ({conditions()})", flush=True)
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.runner", "--part", str(part),
                       "--against", ",".join(options.against), "--rounds", str(options.rounds),
                       "--rest", str(options.rest), "--only", ",".join(options.only)]
            environment = {**os.environ, **START_ENVIRONMENT, "CLTENSOR_DEVICES": selector}
            status |= subprocess.run(command, env=environment).returncode
            if part.exists():
                data["runs"].append({"implementation": implementation, **json.loads(part.read_text("utf-8"))})
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    report.write(options.out)
    print(f"\nresults.json, tables.md and pictures are in {options.out}")
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
