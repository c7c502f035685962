"""Benchmarks: a contender that raises, dies, hangs or is missing is named, and the run goes on."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from benchmarks.team import Worker, WorkerError, compare
from benchmarks.workload import Workload

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
