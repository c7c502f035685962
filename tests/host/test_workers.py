"""A driver's threads on cores of their own while the program waits; Python's threads stand in for a driver's."""

from __future__ import annotations

import os
import threading

import pytest

from cltensor.runtime.workers import MOST, Workers, running

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can be chosen on Linux only")


@pytest.fixture
def threads(monkeypatch):
    monkeypatch.delenv("POCL_AFFINITY", raising=False)
    done, started = threading.Event(), []
    for _ in os.sched_getaffinity(0):
        started.append(threading.Thread(target=done.wait))
        started[-1].start()
    yield tuple(t.native_id for t in started)
    done.set()
    for t in started:
        t.join()


def masks(threads):
    return [os.sched_getaffinity(t) for t in threads]


def test_held_threads_have_a_core_each_and_freed_ones_all(threads):
    cores, workers = os.sched_getaffinity(0), Workers(threads, len(threads))
    if not 1 < len(cores) <= MOST:
        assert not workers
        return
    workers.hold()
    found = masks(threads)
    assert all(len(mask) == 1 for mask in found) and set().union(*found) == cores
    workers.free()
    assert all(mask == cores for mask in masks(threads)) and os.sched_getaffinity(0) == cores


@pytest.mark.parametrize("change", [1, -1])
def test_threads_of_another_number_are_somebody_elses(threads, change):
    before = masks(threads)
    workers = Workers(threads, len(threads) + change)
    workers.hold()
    assert not workers and masks(threads) == before


def test_a_users_own_arrangement_wins(threads, monkeypatch):
    monkeypatch.setenv("POCL_AFFINITY", "1")
    assert not Workers(threads, len(threads))


def test_threads_that_have_ended_are_no_error():
    ended = []
    for _ in os.sched_getaffinity(0):
        t = threading.Thread(target=lambda: None)
        t.start()
        t.join()
        ended.append(t.native_id)
    workers = Workers(tuple(ended), len(ended))
    workers.hold()
    workers.free()
    assert not workers


def test_pythons_threads_are_not_a_drivers(threads):
    assert not set(threads) & running()
