"""Benchmarks: a contender that raises, dies, hangs or is missing is named, and the run goes on; tables agree."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import command, processes, readme, report
from benchmarks.runner import selected
from benchmarks.team import Worker, WorkerError, compare
from benchmarks.workload import Process, Workload

_HERE = "tests.host.test_benchmarks"


def die(framework):
    print("last words", flush=True)
    os._exit(3)


def hang(framework):
    time.sleep(60)


def echo(framework, value):
    return framework.name, value


def _dies_later(np_, x):
    calls = []

    def call():
        calls.append(0)
        if len(calls) > 1:
            os._exit(4)
        return x
    return call


WORKLOADS = [
    Workload("fine", "", lambda: (np.arange(6.0),), {"numpy": lambda np_, x: lambda: x + 1}, seconds=1e-4),
    Workload("differs", "", lambda: (np.ones(3),), {"numpy": lambda np_, x: lambda: x,
                                                    "numpy again": lambda np_, x: lambda: 2 * x}, seconds=1e-4),
    Workload("raises", "", lambda: (np.ones(3),), {"numpy": lambda np_, x: lambda: x.absent}),
    Workload("dies", "", lambda: (np.ones(3),), {"numpy": _dies_later}),
]


def run(name, *workers):
    return compare(_HERE, next(w for w in WORKLOADS if w.name == name), list(workers), 2, 0.0)


def test_a_worker_brings_values_back_and_outlives_errors_deaths_and_hanging():
    with Worker("numpy", environment={"OPENBLAS_NUM_THREADS": "1"}) as worker:
        assert worker.do(f"{_HERE}:echo", [1, 2]) == ("numpy", [1, 2])
        with pytest.raises(WorkerError, match="AttributeError"):
            worker.do(f"{_HERE}:absent")
        with pytest.raises(WorkerError, match=r"died \(3\): last words"):
            worker.do(f"{_HERE}:die")
        assert worker.do(f"{_HERE}:echo", 1) == ("numpy", 1)
        with pytest.raises(WorkerError, match="no answer within 0 s"):
            worker.do(f"{_HERE}:hang", seconds=0.1)
        assert worker.do(f"{_HERE}:echo", 2) == ("numpy", 2)


def test_a_comparison_has_a_sample_per_round_and_a_sentence_for_who_failed():
    with Worker("numpy") as one, Worker("numpy again") as two, Worker("no_such_package", "gone") as gone:
        found = run("fine", one, two)
        assert list(found) == ["numpy"] and found["numpy"]["error"] == 0
        assert len(found["numpy"]["many"]) == len(found["numpy"]["single"]) == 2
        assert "differs from numpy's by 1" in run("differs", one, two)["numpy again"]["skipped"]
        assert "AttributeError" in run("raises", one)["numpy"]["skipped"]
        assert "died (4)" in run("dies", one)["numpy"]["skipped"]
        assert "many" in run("fine", one)["numpy"]
        for _ in range(2):
            with pytest.raises(WorkerError, match="not installed"):
                gone.do(f"{_HERE}:echo", 1)


def test_whole_processes_that_fail_hang_or_say_nonsense_are_a_sentence(monkeypatch):
    monkeypatch.setattr(processes, "LONGEST", 2.0)
    row = Process("p", "", {"fine": "print(1.5)", "again": "import sys; print(1.5); sys.stderr.write('12 tales')",
                            "raises": "raise OSError('no disk')", "says": "print('hello')", "differs": "print(3)",
                            "hangs": "import time; time.sleep(30)"})
    found = processes.compare(row, [Worker(form) for form in row.programs], 2, 0.0)
    assert len(found["fine"]["many"]) == len(found["again"]["many"]) == 2
    skipped = {form: result["skipped"] for form, result in found.items() if "skipped" in result}
    assert skipped == {"raises": "OSError: no disk", "says": "it prints 'hello'",
                       "differs": "it prints 3, others 1.5", "hangs": "it did not end within 2 s"}


def test_memory_is_the_peak_of_the_process_itself():
    lean, fat = (f"x = bytearray({n} << 20)\nx[::4096] = bytes(len(x[::4096]))\ndel x\nprint(0)" for n in (1, 64))
    row = Process("m", "", {"lean": lean, "fat": fat}, measure="MiB")
    found = processes.compare(row, [Worker("lean"), Worker("fat")], 3, 0.0)
    assert 60 < found["fat"]["many"][0] - found["lean"]["many"][0] < 70


ROOT = Path(__file__).resolve().parents[2]


def rows(text):
    """The cells of all table rows of a page."""
    return [[cell.strip() for cell in line.strip("| \n").split(" | ")] for line in text.splitlines()
            if line.startswith("| ")]


def test_the_short_table_has_rows_of_the_long_one():
    """Nothing in the README that docs/benchmarks.md does not say."""
    page, short = (ROOT / "docs" / "benchmarks.md").read_text("utf-8"), (ROOT / "README.md").read_text("utf-8")
    sections = [rows(part) for part in page.partition("\n## Compiled graphs\n")[0].split("\n## ")]
    title, *lines = rows(short.split(readme.BEGIN)[1].split(readme.END)[0])
    measured = [s for s in sections if any(r[0] == "workload" for r in s)]
    assert len(lines) > 10 and title[:3] == ["workload", "over", "must"] and len(measured) == len(title) - 3
    people = {word: peer for peer, word in readme.PEOPLE.items()}
    for name, over, must, *ratios in lines[1:]:
        for ratio, section in zip(ratios, measured):
            if ratio == "-":
                continue
            row = next(r for r in section if r[0] == name)
            bars = list(zip(*(cell.split("<br>") for cell in row[-5:-1])))
            peers = [people[word] for word in over.split(" or ")]
            assert any(peer in peers and given == ratio and bar == must for peer, given, bar, _ in bars), \
                f"{name}: {ratio} over {over} is not in docs/benchmarks.md: {bars}"


def test_rows_chosen_for_the_short_table_exist():
    assert set(readme.ROWS) <= {w.name for _, w in selected([])}


def test_tables_of_results_that_are_not_complete():
    results = {"cltensor": {"many": [2e-3, 1e-3], "single": [3e-3]}, "torch": {"many": [2e-3], "single": [2e-3]},
               "numpy": {"skipped": "ValueError: no"}}
    bars = [{"peers": ["torch"], "must": 0.6, "goal": 0.4}, {"peers": ["numpy"], "must": 1, "goal": 1}]
    row = {"name": "add 1M", "title": "add", "bars": bars, "measure": "seconds", "results": results}
    run = {"implementation": "PoCL 9", "rows": [row], "notes": ["jax is not installed"]}
    assert rows(report.table(run))[2] == ["add", "1 ms", "2 ms", "torch", "0.50", "0.6", "0.4", "yes"]
    assert report.notes(run) == "- jax is not installed\n- add, numpy: ValueError: no"
    assert rows(readme.table({"runs": [run, {"implementation": "X", "rows": []}]}))[2:] == [
        ["add", "PyTorch", "0.6", "0.50", "-"]]


def test_the_command_line_is_checked(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["x", "--against", "numpy, abacus", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        command.parsed(command.arguments("x", "Text."))
    assert "'abacus' is none of numpy, torch" in capsys.readouterr().err
