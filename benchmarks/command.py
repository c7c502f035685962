"""What the programs of this folder have in common on the command line: contenders, rounds, rows, where results go."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.frameworks import PEERS
from benchmarks.timing import REST, conditions
from cltensor.runtime import platforms

__all__ = ["names", "arguments", "parsed"]


def names(text: str) -> list[str]:
    """A list given on the command line."""
    return [name.strip() for name in text.split(",") if name.strip()]


def arguments(program: str, text: str | None, against: Sequence[str] = PEERS) -> argparse.ArgumentParser:
    """A parser that knows the common options; `text` is the docstring of the program."""
    parser = argparse.ArgumentParser(prog=program, description=(text or "").split("\n")[0])
    parser.add_argument("--against", type=names, default=list(against), help="peers; those installed are used")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=float, default=REST, help="seconds of rest before each sample")
    parser.add_argument("--only", type=names, default=[], help="rows whose names start with one of these words")
    parser.add_argument("--implementations", type=names, default=[], help="OpenCL implementations named so")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="folder of the results")
    return parser


def parsed(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, dict[str, str]]:
    """The options, and {name: selector} of the OpenCL implementations to measure; the folder of the results is made.

    Ends the program with a sentence where an option is wrong.
    """
    options = parser.parse_args()
    for name in set(options.against) - set(PEERS):
        parser.error(f"--against: {name!r} is none of {', '.join(PEERS)}")
    found = {d.implementation: d.selector for d in platforms.discover(every=True).usable if not d.simulator}
    if options.implementations:
        found = {i: s for i, s in found.items() if any(n.lower() in i.lower() for n in options.implementations)}
    if not found:
        parser.error("no OpenCL implementation to measure")
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"{', '.join(found)} ({conditions()})", flush=True)
    return options, found
