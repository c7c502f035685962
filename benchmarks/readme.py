"""The short table in the README: chosen rows of a run, the bad ones included, as ratios on each implementation."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ratios import verdicts

__all__ = ["BEGIN", "END", "ROWS", "PEOPLE", "table", "write"]

BEGIN, END = "<!-- benchmark table: begin -->", "<!-- benchmark table: end -->"
PEOPLE = {"numpy": "NumPy", "torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX", "tinygrad": "tinygrad"}
ROWS = (    # names of workloads
    "matmul 1000", "matmul 2048", "matmul 1x1024x1024", "conv 3x3 64->64 forward", "conv 3x3 64->64 dx",
    "conv 3x3 64->64 dw", "conv 1x1 256->64 forward", "conv 1x1 256->64 dx", "conv 1x1 256->64 dw",
    "sum 4096x1024 axis all", "sum 4096x1024 axis -1", "argmax 16384x1000", "softmax 4096x1024", "add 1M", "exp 1M",
    "tanh 1M", "transpose 1024x1024 10", "add of 16", "mul of 16", "chain of 10 1M", "loop of 1000 ops",
    "watched regression", "Adam update", "linear regression", "MLP SGD", "CNN Adam", "LSTM SGD", "ResNet50 SGD",
    "start to matmul, warm", "start to matmul, cold", "memory of CNN Adam",
)


def table(data: dict) -> str:
    """The table of a run: a line for each bar of each chosen row, those never measured left out."""
    lines = ["| workload | over | must | " + " | ".join(_known(r["implementation"]) for r in data["runs"]) + " |",
             "|" + " --- |" * (3 + len(data["runs"]))]
    titles = {row["name"]: row["title"] for run in data["runs"] for row in run["rows"]}
    for name in ROWS:
        found = [next((verdicts(r) for r in run["rows"] if r["name"] == name), []) for run in data["runs"]]
        for i in range(max(map(len, found))):
            here = [v[i] if i < len(v) else None for v in found]
            peers = dict.fromkeys(PEOPLE[v[0]] for v in here if v)
            must = next(v[2] for v in here if v)
            cells = [f"{v[1]:.2f}" if v else "-" for v in here]
            lines.append(f"| {titles[name]} | {' or '.join(peers)} | {must:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _known(implementation: str) -> str:
    """An implementation by the name that people know it by."""
    first = implementation.split()[0]
    return {"PoCL": "PoCL", "Intel(R)": "Intel's CPU runtime"}.get(first, implementation)


def write(page: Path, data: dict) -> None:
    """Put the table between the marks of a page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{table(data)}\n{END}{rest.split(END)[1]}", encoding="utf-8")
