"""Our time over a peer's: what the bars of a row compare, and the chart of all rows."""

from __future__ import annotations

from pathlib import Path

__all__ = ["best", "verdicts", "draw"]


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


def draw(run: dict, file: Path) -> bool:
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
