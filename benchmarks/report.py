"""Tables and pictures of a run: `python -m benchmarks.report FOLDER` writes docs/benchmarks.md and README.md's table.

FOLDER holds the results.json of `python -m benchmarks --out FOLDER`. Several folders may be given, say a later run
of a few workloads: rows of a later folder replace those of the same name.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks import ratios, readme, roofline
from benchmarks.frameworks import PEERS
from benchmarks.ratios import best, verdicts

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_INTRO = """# Benchmarks

Speed is measured, never asserted in a test. Every contender has a process of its own, so that none meets the spinning
threads of another; they take turns, round by round, so that a busy neighbour hits all alike, and who has no turn
sleeps. Their results are compared with each other before anything is timed. Figures are the best of the rounds, as
"many calls and one wait at the end, per call", which is how training code runs; a second table has the median of one
call with its own wait. Ratios within a row say more than absolute numbers.

*must* and *goal* are time over that of the peer named (of several: of the faster). NumPy and PyTorch write elementwise
results into an array that exists (`out=`). A dash: the peer has no such operation, or gave no comparable result, see
the notes below the table. Run it yourself:

```sh
pip install -e ".[cpu,test]" torch tensorflow-cpu jax tinygrad    # the peers that you want to compare with
{command}
python -m benchmarks.report build/benchmarks
```
"""


def shown(value: float, measure: str) -> str:
    """A time with three digits and its unit."""
    if measure == "MiB":
        return f"{value:.0f} MiB"
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if value * scale >= 1 or unit == "us":
            return f"{value * scale:.3g} {unit}"
    raise AssertionError


def table(run: dict, contenders: tuple = PEERS) -> str:
    """The table of one implementation."""
    peers = [p for p in contenders if any(best(row, p) is not None for row in run["rows"])]
    lines = ["| " + " | ".join(["workload", "cltensor", *peers, "over", "ratio", "must", "goal", ""]) + " |",
             "|" + " --- |" * (len(peers) + 7)]
    for row in run["rows"]:
        cells = [row["title"]]
        for name in ["cltensor", *peers]:
            value = best(row, name)
            cells.append("-" if value is None else shown(value, row["measure"]))
        found = verdicts(row)
        cells += ["<br>".join(p for p, *_ in found), "<br>".join(f"{r:.2f}" for _, r, *_ in found),
                  "<br>".join(f"{m:g}" for *_, m, _ in found), "<br>".join(f"{g:g}" for *_, g in found),
                  "<br>".join("goal" if r <= g else "yes" if r <= m else "**no**" for _, r, m, g in found)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def waits(run: dict) -> str:
    """The table of the other protocol: one call and its wait, median."""
    rows = [row for row in run["rows"] if any(r.get("single") for r in row["results"].values())]
    names = [n for n in ("cltensor", *PEERS) if any(row["results"].get(n, {}).get("single") for row in rows)]
    lines = ["| " + " | ".join(["one call and its wait", *names]) + " |", "|" + " --- |" * (len(names) + 1)]
    for row in rows:
        singles = [row["results"].get(name, {}).get("single") for name in names]
        lines.append("| " + " | ".join([row["title"], *(shown(statistics.median(s), "s") if s else "-"
                                                        for s in singles)]) + " |")
    return "\n".join(lines)


def notes(run: dict) -> str:
    """What was left out, and why."""
    lines = [f"- {note}" for note in run["notes"]]
    lines += [f"- {row['title']}, {name}: {result['skipped']}" for row in run["rows"]
              for name, result in row["results"].items() if "skipped" in result]
    return "\n".join(lines)


def disturbance(run: dict) -> str:
    """How busy other processes kept the cores, as one sentence."""
    shares = [f for row in run["rows"] for r in row["results"].values() for f in r.get("foreign", ())
              if f is not None]
    if not shares:
        return ""
    middle = statistics.median(shares)
    verdict = "a quiet machine" if middle < 0.15 else "**not a quiet machine: judge ratios with care**"
    return f"While samples were taken, other processes kept {middle:.2f} cores busy in the median: {verdict}."


def section(run: dict, data: dict, picture: str) -> str:
    """The part of the document about one implementation."""
    machine = run["machine"]
    after = f" and {run['load_after']:.1f} after" if "load_after" in run else ""
    programs = f"Distinct programs compiled: {run['programs']}, in {run['build_seconds']:.1f} s." \
        if "programs" in run else ""
    if not data.get("whole", "programs" in run):        # the rows until then count
        programs = f"{programs} The run was stopped before its last rows.".strip()
    lines = [f"## {run['implementation']}", "",
             f"{data['date']}, {data['cores']} cores, load average {run['load_before']:.1f} before{after}, best "
             f"of {data['rounds']} rounds. {disturbance(run)}".strip(), "",
             f"Measured limits: {machine['peak_gflops']:.0f} GFLOP/s in float32, copies at "
             f"{machine['memory_gbs']:.0f} GB/s from memory and {machine['cache_gbs']:.0f} GB/s from caches (bytes "
             f"read and written). {programs}".strip(), "",
             table(run), ""]
    if notes(run):
        lines += ["Left out:", "", notes(run), ""]
    lines += ["The other protocol, median of the rounds:", "", waits(run), ""]
    if picture:
        lines += [f"![Rates of the workloads under the limits of the machine]({picture})", ""]
    return "\n".join(lines)


def merged(folders: list[Path]) -> dict:
    """The results of the folders, later rows in place of earlier ones."""
    data: dict[str, Any] = {}
    for folder in folders:
        more = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        if not data:
            data = more
            continue
        for run in more["runs"]:
            old = next((r for r in data["runs"] if r["implementation"] == run["implementation"]), None)
            if old is None:
                data["runs"].append(run)
                continue
            fresh = {row["name"]: row for row in run["rows"]}
            names = [row["name"] for row in old["rows"]]
            old["rows"] = [fresh.get(row["name"], row) for row in old["rows"]]
            old["rows"] += [row for name, row in fresh.items() if name not in names]
    return data


def _slug(run: dict) -> str:
    """The implementation as part of a file name: intel-opencl-2026, pocl-3-1."""
    return "-".join(re.findall(r"[a-z]{3,}|\d+", run["implementation"].lower())[:3])


def document(data: dict, folder: Path) -> str:
    """The text of docs/benchmarks.md; pictures go to `folder`/pictures."""
    parts = [_INTRO.format(command=data["command"])]
    for run in data["runs"]:
        file = folder / "pictures" / f"roofline-{_slug(run)}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        bars = file.with_name(f"ratios-{_slug(run)}.png")
        drawn = roofline.draw(run, file) and ratios.draw(run, bars)
        parts.append(section(run, data, f"pictures/{file.name}" if drawn else ""))
        if drawn:
            parts.append(f"![Time over the peer's, with what it must be]({'pictures/' + bars.name})\n")
    versions: dict[str, str] = {}
    for run in data["runs"]:
        versions |= run["versions"]
    parts.append("## Versions\n\n" + ", ".join(f"{name} {v}" for name, v in versions.items()) + ".\n")
    libraries = sorted({text for run in data["runs"] for text in run.get("blas", ())})
    if libraries:
        parts.append("BLAS and thread libraries in the peers' processes: " + "; ".join(libraries) + ".\n")
    return "\n".join(parts)


def write(folder: Path) -> None:
    """tables.md and the pictures beside results.json."""
    text = document(merged([folder]), folder)
    (folder / "tables.md").write_text(text, encoding="utf-8")
    for run in merged([folder])["runs"]:
        print(f"\n### {run['implementation']}\n\n{table(run)}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where benchmarks.md goes")
    parser.add_argument("--readme", type=Path, help="the page with the short table; that of this tree with its docs")
    options = parser.parse_args()
    data = merged(options.folders)
    page = options.docs / "benchmarks.md"
    # the part that benchmarks.graph writes stays
    known = page.read_text(encoding="utf-8") if page.exists() else ""
    _, mark, graphs = known.partition("\n## Compiled graphs\n")
    page.write_text(document(data, options.docs) + mark + graphs, encoding="utf-8")
    written = [page]
    if options.readme or options.docs == _DOCS:
        written.append(options.readme or _DOCS.parent / "README.md")
        readme.write(written[-1], data)
    print(f"wrote {', '.join(map(str, written))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
