"""The runtime on a real device: memory accounts, launches, transfers, the error word, threads, fork."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pyopencl as cl
import pytest

from cltensor.base import config
from cltensor.base.errors import (
    CLTensorWarning,
    DeviceError,
    FailedPreconditionError,
    InvalidArgumentError,
    ResourceExhaustedError,
)
from cltensor.runtime import device as devices
from cltensor.runtime import probe, queue
from cltensor.runtime.memory import Memory, size_class

SOURCE = """
__kernel void scale(__global const float *x, __global float *y, const float a, const ulong n)
{ for (size_t i = 0; i < n; i++) y[i] = a * x[i]; }
__kernel void report(__global int *word, const int op, const int index, const int limit)
{ if (index < 0 || index >= limit) { word[1] = op; word[2] = index; word[3] = limit; word[0] = 1; } }
"""
ONE = ((1,), (1,))


@pytest.fixture
def kernels(device):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = cl.Program(device.context, SOURCE).build()

    def make(name):
        kernel = cl.Kernel(program, name)
        kernel.set_scalar_arg_dtypes({"scale": [None, None, np.float32, np.uint64],
                                      "report": [None, np.int32, np.int32, np.int32]}[name])
        return kernel
    return make


@pytest.fixture
def memory(device):
    """A Memory of its own: the accounts start at zero."""
    with config.override(pool=1):
        return Memory(device)


def run_python(code, **environment):
    env = {**os.environ, **{k: str(v) for k, v in environment.items()}}
    return subprocess.run([sys.executable, "-c", code], env=env, text=True, capture_output=True, timeout=120)


# memory

@pytest.mark.parametrize("nbytes", [1, 255, 256, 257, 320, 321, 1000, 1024, 1025, 4097, 10**6, 3 * 2**20 + 1])
def test_size_classes_hold_the_request_and_waste_at_most_a_quarter(memory, nbytes):
    assert nbytes <= size_class(nbytes) <= max(256, 1.25 * nbytes)
    block = memory.allocate(nbytes)
    assert block.nbytes == nbytes and block.capacity == size_class(nbytes) == block.mem.size


def test_in_use_falls_at_once_without_the_garbage_collector(memory):
    gc.disable()
    try:
        blocks = [memory.allocate(1000) for _ in range(3)]
        assert memory.stats() == {"bytes_in_use": 3072, "bytes_cached": 0, "peak_bytes": 3072,
                                  "limit_bytes": memory.limit, "live_blocks": 3}
        del blocks[0]
        assert (memory.in_use, memory.stats()["bytes_cached"], memory.live) == (2048, 1024, 2)
        blocks.clear()
        assert (memory.in_use, memory.peak) == (0, 3072)
    finally:
        gc.enable()
    memory.reset_peak()
    assert memory.peak == 0
    assert memory.trim() == 3072 and memory.taken == 0


def test_a_dropped_block_is_the_next_one_of_its_class(memory):
    block = memory.allocate(5000)
    raw = block.mem
    del block
    assert memory.allocate(4900).mem is raw
    assert memory.allocate(9000).mem is not raw


def test_no_pool_means_exact_sizes_and_no_cache(device):
    with config.override(pool=0):
        memory = Memory(device)
        block = memory.allocate(1001)
        assert block.capacity == block.mem.size == 1001 == memory.in_use
        del block
        assert memory.taken == 0


def test_the_budget_is_checked_before_the_driver_is_asked(device):
    with config.override(memory_limit=100_000):
        memory = Memory(device)
    kept = memory.allocate(60_000)
    memory.describe = lambda block: "the weights"
    with pytest.raises(ResourceExhaustedError) as error:
        memory.allocate(50_000)
    for words in ("48.8 KiB", "97.7 KiB", "in use", "cached 0 B", "58.6 KiB the weights", device.short):
        assert words in str(error.value)
    assert isinstance(error.value, MemoryError)
    del kept
    assert memory.allocate(90_000).nbytes == 90_000        # what was cached made room


def test_what_only_a_cycle_holds_is_collected_before_giving_up(device):
    with config.override(memory_limit=100_000):
        memory = Memory(device)
    cycle = [memory.allocate(60_000)]
    cycle.append(cycle)
    del cycle
    assert memory.allocate(60_000).nbytes == 60_000


def test_more_than_a_single_buffer_may_have(device):
    with config.override(memory_limit=1 << 60), pytest.raises(ResourceExhaustedError, match="single buffer"):
        Memory(device).allocate(device.traits.max_alloc + 1)


def test_logical_devices_on_one_physical_device_share_the_budget(device):
    with config.override(memory_limit=100_000):
        both = []
        first, second = Memory(device, both), Memory(device, both)
    held = first.allocate(60_000)
    with pytest.raises(ResourceExhaustedError, match="other logical devices"):
        second.allocate(60_000)
    del held
    assert second.allocate(60_000).nbytes == 60_000        # the cache of the first was given back


def test_the_cache_is_capped(device):
    with config.override(memory_limit=1_000_000):
        memory = Memory(device)
    blocks = [memory.allocate(50_000) for _ in range(12)]
    blocks.clear()
    assert 0 < memory.taken <= memory.cache_cap


def test_no_bytes_are_no_block(memory):
    with pytest.raises(ValueError, match="empty"):
        memory.allocate(0)


def test_a_block_dropped_inside_allocate_by_the_collector(memory):
    """`__del__` runs wherever the collector runs: a lock held there would deadlock."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for n in range(300):
            cycle = [memory.allocate(100 + n)]
            cycle.append(cycle)
    finally:
        gc.set_threshold(*before)
    del cycle
    gc.collect()
    assert memory.in_use == memory.live == 0


# transfers and launches

@pytest.mark.oclgrind
@pytest.mark.parametrize("n", [1, 2, 3, 7, 63, 64, 65, 1023])
def test_transfers_of_odd_sizes(device, n):
    data = np.arange(n, dtype=np.uint8)[::-1].copy()
    block, other, back = device.memory.allocate(n), device.memory.allocate(n + 5), np.empty_like(data)
    device.queue.write(block, data)
    device.queue.copy(other, block, n, dst_offset=5)
    device.queue.read(other, back, offset=5)
    assert (back == data).all()


@pytest.mark.oclgrind
def test_launch(device, kernels):
    x = np.arange(37, dtype=np.float32)
    a, b, y = device.memory.allocate(x.nbytes), device.memory.allocate(x.nbytes), np.empty_like(x)
    device.queue.write(a, x)
    count = device.queue.launch_count
    device.queue.launch(kernels("scale"), (a.mem, b.mem, 2.0, 37), *ONE)
    device.queue.read(b, y)
    assert (y == 2 * x).all() and device.queue.launch_count == count + 1


def test_eight_threads_get_their_own_results(device, kernels):
    """One Kernel object for all: set_args and launch are one step under the queue's lock."""
    kernel, wrong = kernels("scale"), []
    first = device.memory.allocate(64), device.memory.allocate(64)
    device.queue.launch(kernel, (first[0].mem, first[1].mem, 1.0, 0), *ONE)
    del first

    def work(factor):
        x, y = np.full(16, factor, np.float32), np.empty(16, np.float32)
        a = device.memory.allocate(64)
        device.queue.write(a, x)
        for _ in range(150):
            b = device.memory.allocate(64)
            device.queue.launch(kernel, (a.mem, b.mem, factor, 16), *ONE)
            device.queue.read(b, y)
            wrong.extend(y[y != factor * factor])

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        before = device.memory.in_use
        threads = [threading.Thread(target=work, args=(float(i + 2),)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    assert not wrong
    assert device.memory.in_use == before


def test_no_host_reads(device):
    block, x = device.memory.allocate(4), np.zeros(1, np.float32)
    with queue.no_host_reads():
        device.queue.write(block, x)
        with pytest.raises(FailedPreconditionError, match="4 bytes"):
            device.queue.read(block, x)
    device.queue.read(block, x)


# the error word

@pytest.mark.oclgrind
def test_a_bad_index_raises_at_the_next_read_and_once(device, kernels):
    q, block, out = device.queue, device.memory.allocate(4), np.zeros(1, np.float32)
    q.write(block, out)
    op = queue.arm("gather", "indices")
    assert op == queue.arm("gather", "indices") != queue.arm("scatter", "indices")
    kernel = kernels("report")
    q.launch(kernel, (q.error_word, op, 2, 3), *ONE, may_fail=True)
    q.read(block, out)                                       # 2 is fine
    q.launch(kernel, (q.error_word, op, 7, 3), *ONE, may_fail=True)
    with pytest.raises(InvalidArgumentError) as error:
        q.read(block, out)
    assert str(error.value) == "gather: indices = 7 is not in [0, 3)"
    q.read(block, out)
    q.check_errors()


def test_the_word_is_read_only_if_something_may_have_failed(device, kernels):
    q = device.queue
    q.check_errors()
    q.launch(kernels("report"), (q.error_word, queue.arm("gather"), -1, 3), *ONE)      # not declared
    q.check_errors()
    q.launch(kernels("report"), (q.error_word, queue.arm("gather"), -1, 3), *ONE, may_fail=True)
    with pytest.raises(InvalidArgumentError, match=r"-1 is not in \[0, 3\)"):
        q.check_errors()


def test_sync_raises_at_the_launch(device, kernels):
    with config.override(sync=1):
        q = queue.Queue(device)
    with pytest.raises(InvalidArgumentError, match="one_hot: depth = 9"):
        q.launch(kernels("report"), (q.error_word, queue.arm("one_hot", "depth"), 9, 3), *ONE, may_fail=True)


def test_debug_2_logs_a_line_per_kernel(device, kernels, caplog):
    with config.override(debug=2):
        q = queue.Queue(device)
    a = device.memory.allocate(64)
    q.write(a, np.zeros(16, np.float32))
    with caplog.at_level(logging.INFO, "cltensor"):
        q.launch(kernels("scale"), (a.mem, device.memory.allocate(64).mem, 2.0, 16), *ONE)
    assert "scale" in caplog.text and "GB/s" in caplog.text


def test_a_driver_error_says_what_was_done(device, kernels):
    with pytest.raises(RuntimeError, match=f"launch: .*{device.short}"):
        device.queue.launch(kernels("report"), (None, 1, 1, 1), (3,), (2,))


# devices

def test_names(device):
    assert device is devices.default() and device in devices.devices()
    for spec in ("/cpu:0", "cpu:0", "CPU:0", "/device:CPU:0", "/CPU:0", "cpu", "/job:localhost/device:cpu:0",
                 "/job:localhost/replica:0/task:0/device:CPU:0"):
        assert devices.find(spec).name == "/job:localhost/replica:0/task:0/device:CPU:0"
    for spec in ("", "cpu:x", "tpu:0", "cpu:-1", "/cpu:0/gpu:0", "cpu:0 ,", None, 3):
        with pytest.raises(InvalidArgumentError):
            devices.find(spec)
    assert device.reason and device.label in repr(device)


@pytest.mark.parametrize("spec", ["gpu:99", "cpu:1", "/job:worker/cpu:0", "/job:localhost/task:1/cpu:0"])
def test_a_missing_device_names_those_there_are(spec):
    with pytest.raises(DeviceError, match="cpu:0") as error:
        devices.find(spec)
    assert isinstance(error.value, RuntimeError) and spec in str(error.value)


def test_soft_placement_is_one_warning(device):
    devices.set_soft_device_placement(True)
    try:
        with pytest.warns(CLTensorWarning, match="gpu:99"):
            assert devices.find("gpu:99") is device
        assert devices.find("gpu:99") is device
    finally:
        devices.set_soft_device_placement(False)
    with pytest.raises(DeviceError):
        devices.find("gpu:99")


def test_virtual_gpus_are_separate_devices_on_one_context(with_environment):
    real = devices.num_gpus()
    with_environment(VIRTUAL_GPUS=2)
    first, second = devices.gpus()[-2:]
    cpu = devices.find("cpu:0")
    assert devices.num_gpus() == real + 2 and devices.default() is devices.find("gpu:0")
    assert first.context is second.context is cpu.context
    assert first.queue is not second.queue and first.memory is not second.memory
    assert first.traits == cpu.traits and "VIRTUAL_GPUS" in first.reason
    block, back = first.memory.allocate(12), np.zeros(3, np.float32)
    first.queue.write(block, np.arange(3, dtype=np.float32))
    first.queue.read(block, back)
    assert back.tolist() == [0, 1, 2]
    assert (first.memory.in_use, second.memory.in_use) == (256, 0)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_the_schedule_can_be_forced(with_environment, schedule):
    with_environment(SCHEDULE=schedule)
    assert devices.default().traits.schedule == schedule


def test_traits_are_plain_data(device):
    traits = device.traits
    assert hash(traits) == hash(traits) and traits.max_alloc > 0 and traits.compute_units > 0
    assert traits.schedule in ("cpu", "gpu") and device.cl_device.name.strip() in traits.driver


def test_memory_stats_by_name(device):
    assert devices.memory_stats(device.short) == devices.memory_stats(device) == devices.memory_stats()
    devices.reset_peak()
    assert devices.memory_stats()["peak_bytes"] == devices.memory_stats()["bytes_in_use"]


# processes

def in_a_forked_child(pipe, block, kernel):
    said = []
    device = devices
    for use in (lambda: block._memory.allocate(5000), device.default, lambda: device.find("cpu:0"),
                lambda: QUEUE.launch(kernel, (block.mem, block.mem, 1.0, 1), *ONE),
                lambda: QUEUE.read(block, np.zeros(1, np.float32)), lambda: QUEUE.finish()):
        try:
            use()
            said.append("no error")
        except FailedPreconditionError as error:
            said.append(str(error))
    pipe.send(said)


QUEUE = None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_gets_an_error_not_a_hang(device, kernels):
    global QUEUE
    QUEUE, block, kernel = device.queue, device.memory.allocate(64), kernels("scale")
    QUEUE.launch(kernel, (block.mem, block.mem, 1.0, 0), *ONE)
    here, there = multiprocessing.get_context("fork").Pipe()
    child = multiprocessing.get_context("fork").Process(target=in_a_forked_child, args=(there, block, kernel))
    child.start()
    assert here.poll(30), "the child hangs"
    said = here.recv()
    child.join(30)
    assert child.exitcode == 0
    assert all("spawn" in text for text in said) and len(said) == 6
    QUEUE.finish()                                           # the parent is as it was


def test_without_any_driver_the_error_says_what_was_looked_at(tmp_path):
    done = run_python("from cltensor.runtime import device; device.default()", OCL_ICD_VENDORS=tmp_path,
                      CLTENSOR_DEVICES="")
    assert done.returncode != 0 and "Traceback" in done.stderr
    for words in ("DeviceError", str(tmp_path), 'pip install "cltensor[cpu]"', "pocl-opencl-icd"):
        assert words in done.stderr
    doctor = run_python("import runpy, sys; sys.argv[1:] = ['doctor']; runpy.run_module('cltensor', run_name="
                        "'__main__')", OCL_ICD_VENDORS=tmp_path, CLTENSOR_DEVICES="")
    assert doctor.returncode == 1 and "pip install" in doctor.stdout, doctor.stderr


def test_a_device_with_a_bad_verdict_is_left_out(with_environment, tmp_path):
    with_environment(CACHE_DIR=tmp_path, DEVICES="")
    best = devices.default()
    probe._remember(best.traits.driver, "unknown target CPU")
    devices.reset()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            assert devices.default().traits.driver != best.traits.driver
            assert devices.discovery().skipped[0].reason == "unknown target CPU"
            said = [str(w.message) for w in caught if w.category is CLTensorWarning]
            assert any("unknown target CPU" in text for text in said)
        except DeviceError as error:                         # a machine with one device only
            assert "unknown target CPU" in str(error)


def test_the_probe_writes_its_verdict(with_environment, device, tmp_path):
    with_environment(CACHE_DIR=tmp_path)
    assert devices.default().traits.driver == device.traits.driver
    assert probe.read_verdicts()[device.traits.driver]["error"] == ""


def test_importing_the_runtime_opens_no_device():
    done = run_python("import cltensor.runtime.device as d; print(d._devices, d._discovery)")
    assert done.stdout.split() == ["None", "None"], done.stderr


def test_constants_hold_their_words_and_count_for_nothing(device: devices.Device) -> None:
    words = np.arange(100, dtype=np.int64)
    before = device.memory.stats()
    constant = device.memory.constant(words)
    words[:] = 0
    assert device.memory.stats() == before
    got = np.empty(100, np.int64)
    cl.enqueue_copy(device.queue.raw, got, constant, is_blocking=True)
    assert np.array_equal(got, np.arange(100))
