"""tf.profiler.Profile: what ran, by name, and nothing of it is left behind."""

import json
import threading

import numpy as np
import pytest

import cltensor as tf
from cltensor.errors import FailedPreconditionError
from cltensor.runtime import events

PLAIN = events.launch, events.copy


def ops(profile):
    return {row.op: row.calls for row in profile.rows}


def test_ops_transfers_and_launches_are_counted(device):
    x = tf.constant(np.ones((64, 48), np.float32))
    tf.matmul(x, x, transpose_b=True).numpy()
    before = device.queue.launch_count
    with tf.profiler.Profile() as profile:
        for _ in range(3):
            y = tf.matmul(x, x, transpose_b=True)
        read = y.numpy()
    launches = [e for e in profile.events if e.kernel not in ("read", "write", "copy")]
    assert len(launches) == device.queue.launch_count - before
    assert ops(profile)["read"] == 1 and ops(profile)["matmul"] >= 3
    reads = [e for e in profile.events if e.kernel == "read"]
    assert [e.nbytes for e in reads] == [read.nbytes]
    assert all(e.end >= e.begin > 0 and e.left >= e.asked for e in profile.events)
    assert 0 < profile.busy <= profile.seconds
    product = next(e for e in launches if e.op == "matmul")
    assert product.nbytes >= 64 * 48 * 4


def test_blocks_and_traced_functions_tell_their_ops(device):
    x, f = tf.constant(np.ones(5000, np.float32)), tf.function(lambda x: tf.nn.relu(x * 2.0) + 1.0)
    f(x)
    with tf.profiler.Profile() as profile:
        y = tf.tanh(x * 3.0) + 1.0
        y.numpy()
        f(x)
    names = [n for n in ops(profile) if n not in ("read", "write")]
    assert any("relu" in n and "multiply" in n for n in names)
    if device.traits.schedule == "cpu":
        assert any("block of" in n and "tanh" in n for n in names) or "tanh" in names
    with tf.profiler.Profile(at_once=True) as profile:
        (tf.tanh(x * 3.0) + 1.0).numpy()
    assert {"tanh", "multiply", "add"} <= set(ops(profile))


def test_text_and_trace(tmp_path):
    with tf.profiler.Profile() as profile:
        tf.matmul(tf.ones([8, 8]), tf.ones([8, 8])).numpy()
    lines = str(profile).splitlines()
    assert "launches" in lines[0] and lines[1].split() == ["op", "kernel", "calls", "ms", "share", "us", "each", "GB/s"]
    assert any(line.startswith("matmul ") for line in lines)
    assert len(lines) == 2 + len(profile.rows) and max(map(len, lines)) < 160
    profile.save(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len(trace) == 2 * len(profile.events) and {"matmul", "read"} <= {e["name"] for e in trace}
    assert all(e["dur"] >= 0 for e in trace)


def test_nothing_is_left_behind(device):
    raw = device.queue.raw
    with pytest.raises(ZeroDivisionError), tf.profiler.Profile() as profile:
        tf.ones([3]) / 2.0
        assert events.launch is not PLAIN[0]
        raise ZeroDivisionError
    assert (events.launch, events.copy) == PLAIN and not events.watched()
    assert device.queue.raw is not raw and profile.seconds > 0
    assert tf.reduce_sum(tf.ones([3])).numpy() == 3


def test_one_at_a_time_and_results_at_its_end():
    with tf.profiler.Profile() as profile:
        with pytest.raises(FailedPreconditionError, match="one at a time"), tf.profiler.Profile():
            pass
        with pytest.raises(FailedPreconditionError, match="after its `with` block"):
            print(profile)
        tf.exp(tf.ones([4])).numpy()
    assert ops(profile)["read"] == 1
    with pytest.raises(FailedPreconditionError, match="make another"), profile:
        pass


def test_all_threads_are_seen():
    def work():
        for _ in range(50):
            tf.matmul(tf.ones([4, 4]), tf.ones([4, 4])).numpy()
    work()
    with tf.profiler.Profile() as profile:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert ops(profile)["read"] == 200


def test_many_events_are_looked_at_on_the_way(monkeypatch):
    monkeypatch.setattr("cltensor.program.profile.LEFT", 8)
    with tf.profiler.Profile(at_once=True) as profile:
        for _ in range(100):
            tf.exp(tf.ones([4]))
        assert sum(e.raw is None for e in profile._events) > 150
    assert ops(profile)["exp"] == 100


def test_several_devices(with_environment):
    with_environment(VIRTUAL_GPUS=2)
    with tf.profiler.Profile() as profile:
        for name in ("gpu:0", "gpu:1"):
            with tf.device(name):
                tf.matmul(tf.ones([4, 4]), tf.ones([4, 4])).numpy()
    assert {row.device for row in profile.rows} == {"gpu:0", "gpu:1"}
    assert "matmul on gpu:1" in str(profile)
