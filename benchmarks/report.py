"""Tables and pictures of a finished run: `python -m benchmarks.report FOLDER` writes docs/benchmarks.md.

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

from benchmarks import roofline
from benchmarks.frameworks import PEERS

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_BEGIN, _END = "<!-- benchmark table: begin -->", "<!-- benchmark table: end -->"
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


def names(text: str) -> list[str]:
    """A list given on the command line."""
    return [name.strip() for name in text.split(",") if name.strip()]


def shown(value: float, measure: str) -> str:
    """A time with three digits and its unit."""
    if measure == "MiB":
        return f"{value:.0f} MiB"
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if value * scale >= 1 or unit == "us":
            return f"{value * scale:.3g} {unit}"
    raise AssertionError


def best(row: dict, name: str) -> float | None:
    """A contender's best sample, None if it has none."""
    samples = row["results"].get(name, {}).get("many")
    return min(samples) if samples else None


def verdicts(row: dict) -> list[tuple[str, float, float, float]]:
    """(peer, ratio, must, goal) of each bar whose peers were measured."""
    ours, found = best(row, "cltensor"), []
    for bar in row["bars"]:
        times = {p: t for p in bar["peers"] if (t := best(row, p)) is not None}
        if ours is not None and len(times) == len(bar["peers"]):
            peer = min(times, key=lambda p: times[p])
            found.append((peer, ours / times[peer], bar["must"], bar["goal"]))
    return found


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


def summary(data: dict) -> str:
    """The short table for the README: every row with a bar, its ratio on each implementation."""
    lines = ["| workload | over | must | goal | " + " | ".join(r["implementation"] for r in data["runs"]) + " |",
             "|" + " --- |" * (4 + len(data["runs"]))]
    for row in data["runs"][0]["rows"]:
        found = [next((verdicts(r) for r in run["rows"] if r["name"] == row["name"]), []) for run in data["runs"]]
        for i, bar in enumerate(row["bars"]):
            cells = [f"{v[i][1]:.2f}" if i < len(v) else "-" for v in found]
            if any(cell != "-" for cell in cells):
                peers = " or ".join(bar["peers"])
                lines.append(f"| {row['title']} | {peers} | {bar['must']:g} | {bar['goal']:g} | {' | '.join(cells)} |")
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
    ended = "load_after" in run         # else somebody stopped it; the rows until then count
    after = f" and {run['load_after']:.1f} after" if ended else ""
    programs = f"Distinct programs compiled: {run['programs']}, in {run['build_seconds']:.1f} s." if ended else \
        "The run was stopped before its last rows."
    lines = [f"## {run['implementation']}", "",
             f"{data['date']}, {data['cores']} cores, load average {run['load_before']:.1f} before{after}, best "
             f"of {data['rounds']} rounds. {disturbance(run)}".strip(), "",
             f"Measured limits: {machine['peak_gflops']:.0f} GFLOP/s in float32, copies at "
             f"{machine['memory_gbs']:.0f} GB/s from memory and {machine['cache_gbs']:.0f} GB/s from caches (bytes "
             f"read and written). {programs}", "",
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
        drawn = roofline.draw(run, file) and ratios(run, bars)
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


def ratios(run: dict, file: Path) -> bool:
    """The chart: a bar per row, its ratio to the peer; the mark is what it must be. False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot
    rows = [(f"{row['name']} / {peer}", ratio, must) for row in run["rows"] for peer, ratio, must, _ in verdicts(row)]
    if not rows:
        return True
    names, values, musts = zip(*reversed(rows))
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.23 * len(rows)), layout="constrained")
    colours = ["tab:green" if v <= m else "tab:red" for v, m in zip(values, musts)]
    axes.barh(range(len(rows)), values, color=colours, height=0.7)
    axes.plot(musts, range(len(rows)), "k|", ms=9, label="must")
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set(xscale="log", xlabel="time of cltensor over time of the peer (left is faster)",
             title=f"cltensor on {run['implementation']}")
    axes.axvline(1, color="k", lw=0.8)
    axes.margins(y=0.01)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
    return True


def write(folder: Path) -> None:
    """tables.md and the pictures beside results.json."""
    text = document(merged([folder]), folder)
    (folder / "tables.md").write_text(text, encoding="utf-8")
    for run in merged([folder])["runs"]:
        print(f"\n### {run['implementation']}\n\n{table(run)}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--readme", action="store_true", help="also the table between the marks in README.md")
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where benchmarks.md goes")
    options = parser.parse_args()
    data = merged(options.folders)
    page = options.docs / "benchmarks.md"
    # the part that benchmarks.graph writes stays
    known = page.read_text(encoding="utf-8") if page.exists() else ""
    _, mark, graphs = known.partition("\n## Compiled graphs\n")
    page.write_text(document(data, options.docs) + mark + graphs, encoding="utf-8")
    if options.readme:
        page = _DOCS.parent / "README.md"
        before, rest = page.read_text(encoding="utf-8").split(_BEGIN)
        page.write_text(f"{before}{_BEGIN}\n{summary(data)}\n{_END}{rest.split(_END)[1]}", encoding="utf-8")
    print(f"wrote {options.docs / 'benchmarks.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
