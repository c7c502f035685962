"""Every code sample of the guide, run as written with one line changed, its promises compared.

Samples that share names run in one namespace, in the guide's order. All of it runs three times: with one virtual
GPU, without any, where a sample that asks for a GPU must get the error about the missing device, and with every op
run at its call. The text promised is the same.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cltensor as tf
from cltensor.runtime import device as runtime_device
from tests.conftest import forget_plans
from tests.guide import reading, supplied
from tests.guide.reading import Statement, printed, squeeze

NOT_YET: set[int] = set()
SETUP = (1, 4)                     # the import, eager execution, and `tfe`; before every group
GROUPS = {
    "basics": (2, 3), "fizzbuzz": (5,), "layers": (6, 7), "mnist": (8, 12, 13, 14, 15), "tape": (9,),
    "regression": (10,), "excerpt": (11,), "objects": (16,), "lifetime": (17,), "saving": (18,),
    "saving_a_model": (19,), "metrics": (20,), "summaries": (21,), "line_search": (22,),
    "gradient_functions": (23,), "clipping": (24,), "log1pexp": (25, 26), "performance": (27,), "copies": (28,),
    "graphs": (29,),
}
ASKS_FOR_A_GPU = {15, 17, 28}


@pytest.fixture(scope="module", params=[(1, "auto"), (0, "auto"), (0, "0")], ids=["one GPU", "no GPU", "at once"])
def gpus(request: pytest.FixtureRequest) -> Iterator[int]:
    """Number of GPUs there are: virtual ones, made out of the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        count, deferring = request.param
        patch.setenv("CLTENSOR_VIRTUAL_GPUS", str(count))
        patch.setenv("CLTENSOR_DEFER", deferring)
        runtime_device.reset()
        forget_plans()
        if runtime_device.num_gpus() != count:
            pytest.skip(f"this implementation has {runtime_device.num_gpus()} GPUs of its own")
        yield count
    runtime_device.reset()
    forget_plans()
    gc.collect()


class Follower:
    """Somebody who types the samples in; keeps the names, looks at every promise."""

    def __init__(self, gpus: int):
        self.gpus = gpus
        self.names: dict[str, Any] = {"__name__": "__main__"}
        for number in SETUP:
            self.run(number)

    def run(self, number: int) -> list[Statement]:
        statements = reading.run(reading.source(number), self.names, f"<sample {number} of the guide>")
        for s in statements:
            if s.promised is not None:
                COMPARE.get(number, reading.check)(s)
                compared.add((number, s.promised))
        return statements

    def run_on_gpu(self, number: int) -> list[Statement] | None:
        """As `run`; without a GPU, None after the error was seen."""
        if self.gpus:
            return self.run(number)
        with pytest.raises(tf.errors.DeviceError, match="there is no .*gpu:0.*; there are cpu:0"):
            self.run(number)
        return None


@pytest.fixture
def guide(gpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follower:
    monkeypatch.chdir(tmp_path)
    tf.set_random_seed(1)
    return Follower(gpus)


def _zeros(s: Statement) -> None:
    """Sample 12 shortens the ten zeros of an untrained model to `0., ..., 0.`."""
    if s.printed:
        reading.check(s)
    else:
        value = np.zeros((1, 1, 10), np.float32)
        assert np.array_equal(s.value.numpy(), value) and s.value.dtype is tf.float32
        assert squeeze(str(s.value)) == squeeze(f"tf.Tensor({value}, shape=(1, 1, 10), dtype=float32)")


def _variable(s: Statement) -> None:
    """Sample 18 gives the number where TensorFlow prints more than that."""
    assert re.fullmatch(r"<tf.Variable '\w+:0' shape=\(\) dtype=float32, numpy=2\.0>\n", s.printed), s.printed


COMPARE: dict[int, Callable[[Statement], None]] = {12: _zeros, 18: _variable}
compared: set[tuple[int, str]] = set()


def losses(lines: list[str]) -> dict[str, float]:
    """{"Initial": 70.1, "0020": 30.2, ..., "Final": 0.9}, from lines in the guide's form."""
    found = {}
    for line in lines:
        match = re.fullmatch(r"(?:(Initial|Final) loss|Loss at step (\d{3,4})): (\d+\.\d{3})", line)
        if match:
            found[match[1] or match[2]] = float(match[3])
    return found


def test_every_sample_is_run():
    run = [*SETUP, *(n for numbers in GROUPS.values() for n in numbers)]
    assert len(run) == len(set(run))
    assert set(reading.samples()) - set(run) == NOT_YET
    assert all(f"test_{name}" in globals() for name in GROUPS)


def test_one_line_changes():
    changed = [(number, old, new) for number, code in reading.samples().items()
               for old, new in zip(code.splitlines(), code.replace(*reading.THE_CHANGE).splitlines()) if old != new]
    assert changed == [(1, *reading.THE_CHANGE)]


def test_basics(guide):
    assert guide.names["tf"] is tf and tf.executing_eagerly()
    for number in GROUPS["basics"]:
        guide.run(number)
    assert isinstance(guide.names["c"], np.ndarray)


def test_fizzbuzz(guide):
    guide.run(5)
    lines = printed(reading.run("count = fizzbuzz(16)", guide.names))
    expected = ["Fizz" if n % 3 == 0 else "Buzz" if n % 5 == 0 else f"tf.Tensor({n}, shape=(), dtype=int32)"
                for n in range(16)]
    expected[0] = expected[15] = "FizzBuzz"
    assert lines == expected
    assert str(guide.names["count"]) == "tf.Tensor(16, shape=(), dtype=int32)"


def test_layers(guide):
    guide.run(6)
    layer = guide.names["MySimpleLayer"](3)
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    y = layer(x)
    assert layer.kernel.shape == (2, 3) and [v is layer.kernel for v in layer.variables] == [True]
    np.testing.assert_allclose(y.numpy(), x @ layer.kernel.numpy(), rtol=1e-5, atol=1e-6)
    guide.run(7)
    model = guide.names["model"]
    assert [v.shape.as_list() for v in model.variables] == [[784, 10], [10], [10, 10], [10]]
    assert model(np.zeros((2, 784), np.float32)).shape == (2, 10)


def test_mnist(guide, monkeypatch):
    monkeypatch.setitem(sys.modules, "dataset", supplied.dataset_module())
    guide.run(8)
    model = guide.names["model"]
    guide.run(12)
    assert [v.shape.as_list() for v in model.variables] == [[784, 10], [10], [10, 10], [10]]
    guide.run(13)
    images, labels = supplied.digits()
    step = tf.train.get_or_create_global_step()
    before, start = None, int(step)

    def loss() -> float:
        logits = model(images)
        return float(tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits))
    before = loss()
    lines = printed(guide.run(14))
    found = losses(lines)
    assert list(found) == ["Initial", "0000", "0200", "Final"] and len(lines) == 4
    trained = loss()
    assert trained < 0.9 * before, (before, trained)
    steps = -(-4 * len(labels) // 32)
    assert int(step) == start + steps
    assert guide.names["x"].shape[1:] == (784,) and guide.names["y"].dtype is tf.int32
    if guide.run_on_gpu(15) is not None:
        assert int(step) == start + 2 * steps
        assert loss() < trained


def test_tape(guide):
    guide.run(9)


def check_regression(lines: list[str], steps: int) -> None:
    found = losses(lines)
    assert list(found) == ["Initial", *(f"{i:03d}" for i in range(0, steps, 20)), "Final"]
    assert 55 < found["Initial"] < 90 and found["000"] < found["Initial"]       # (5 - 3)^2 + (10 - 2)^2 + 1
    assert 0.8 < found["Final"] < 1.3                                           # the noise, variance 1
    falling = list(found.values())[:9]
    assert falling == sorted(falling, reverse=True)
    last = re.fullmatch(r"W = (\S+), B = (\S+)", lines[-1])
    assert last and abs(float(last[1]) - 3) < 0.3 and abs(float(last[2]) - 2) < 0.4, lines[-1]
    assert len(lines) == len(found) + 1


def test_regression(guide):
    check_regression(printed(guide.run(10)), 200)


def test_objects(guide):
    check_regression(printed(guide.run(16)), 300)
    model = guide.names["model"]
    assert [v.name for v in model.variables] == ["weight:0", "bias:0"]


def test_excerpt(guide):
    guide.names.update(supplied.for_the_excerpt())
    model, step = guide.names["model"], tf.train.get_or_create_global_step()
    start = int(step)
    model(np.zeros((1, 784), np.float32))
    before = [v.numpy() for v in model.variables]
    guide.run(11)
    assert int(step) == start + 8
    assert len(before) == 2 and all(not np.array_equal(b, v.numpy()) for b, v in zip(before, model.variables))


def test_lifetime(guide):
    guide.run_on_gpu(17)            # compiles, makes the queue
    if not guide.gpus:
        return
    gc.collect()
    gc.disable()                    # what is dropped is freed at once, not by the garbage collector
    try:
        before = tf.memory_stats("gpu:0")
        guide.run(17)
        after = tf.memory_stats("gpu:0")
    finally:
        gc.enable()
    assert after["bytes_in_use"] == before["bytes_in_use"]
    assert after["live_blocks"] == before["live_blocks"]
    assert after["peak_bytes"] >= before["bytes_in_use"] + 4_000_000


def test_saving(guide):
    guide.run(18)
    assert float(guide.names["x"]) == 2.0
    assert os.path.dirname(guide.names["save_path"]) == "./ckpt"


def test_saving_a_model(guide, tmp_path, monkeypatch):
    guide.names.update(MyModel=supplied.MyModel, os=os)
    source = reading.source
    # The guide's folder is one at the root of the file system.
    monkeypatch.setattr(reading, "source", lambda n: source(n).replace("/path/to/model_dir", str(tmp_path)))
    guide.run(19)
    model, root = guide.names["model"], guide.names["root"]
    model(np.ones((1, 2), np.float32))
    value = model.dense.kernel.numpy()
    path = root.save(file_prefix=guide.names["checkpoint_prefix"])
    model.dense.kernel.assign(value + 1)
    root.restore(tf.train.latest_checkpoint(guide.names["checkpoint_dir"]))
    assert tf.train.latest_checkpoint(str(tmp_path)) == path
    assert np.array_equal(model.dense.kernel.numpy(), value)


def test_metrics(guide):
    guide.run(20)


def test_summaries(guide, tmp_path):
    step = tf.train.get_or_create_global_step()
    start = int(step)
    guide.names.update(logdir=str(tmp_path), iterations=250, loss=tf.constant(0.5))
    guide.run(21)
    guide.names["writer"].close()
    assert int(step) == start + 250
    expected = [n for n in range(start + 1, start + 251) if n % 100 == 0]
    assert read_scalars(tmp_path, "loss") == [(n, 0.5) for n in expected] and len(expected) >= 2


def read_scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """What the tensorboard package reads: (step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(folder))
    events.Reload()
    if tag in events.Tags()["scalars"]:
        return [(e.step, e.value) for e in events.Scalars(tag)]
    return [(e.step, float(np.asarray(e.tensor_proto.float_val or np.frombuffer(e.tensor_proto.tensor_content,
                                                                                 np.float32))[0]))
            for e in events.Tensors(tag)]


def test_line_search(guide):
    guide.run(22)
    # The sample compares value > init_value - rate * |grad|^2. At x = 10 with 0.1 x^2 and rate 8 that holds for
    # the first steps and makes them smaller: x - rate * 0.2 * x with rate 8, 4, 2, ... until it falls enough.
    start, rate = 10.0, 8.0
    x, value = guide.names["line_search_step"](lambda x: 0.1 * x * x, tf.constant(start), rate)
    expected = initial = 0.1 * start ** 2
    slope, at = 0.2 * start, start
    while expected > initial - rate * slope ** 2:
        at = start - rate * slope
        expected = 0.1 * at ** 2
        rate /= 2
    assert at != start
    np.testing.assert_allclose([float(x), float(value)], [at, expected], rtol=1e-6)
    with tf.GradientTape() as tape:         # "there are gradients": through the search, too
        v = tf.constant(start)
        tape.watch(v)
        _, value = guide.names["line_search_step"](lambda x: 0.1 * x * x, v, 8.0)
    assert tape.gradient(value, v) is not None


def test_gradient_functions(guide):
    guide.run(23)


def test_clipping(guide):
    guide.run(24)
    f = guide.names["clip_gradient_by_norm"]
    x = tf.constant([3.0, 4.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(f(x, 2.0) * tf.constant([3.0, 4.0]))
    assert float(y) == 25.0
    np.testing.assert_allclose(tape.gradient(y, x).numpy(), [1.2, 1.6], rtol=1e-6)     # norm 5 becomes 2


def test_log1pexp(guide):
    guide.run(25)
    guide.run(26)
    second = guide.names["tfe"].gradients_function(lambda x: guide.names["grad_log1pexp"](x)[0])
    assert second(0.)[0].numpy() == 0.25


def test_performance(guide):
    traits = runtime_device.default().traits
    if traits.is_cpu and traits.schedule == "gpu":
        pytest.skip("400 products of 1000 x 1000 matrices by a GPU's kernels take a CPU minutes")
    lines = printed(guide.run(27))
    assert lines[0] == "Time to multiply a (1000, 1000) matrix by itself 200 times:"
    assert re.fullmatch(r"CPU: \d+\.\d+ secs", lines[1])
    assert re.fullmatch(r"GPU: \d+\.\d+ secs", lines[2]) if guide.gpus else lines[2] == "GPU: not found"
    assert len(lines) == 3


def test_copies(guide):
    if guide.run_on_gpu(28) is None:
        return
    x, x_cpu, x_gpu = (guide.names[n] for n in ("x", "x_cpu", "x_gpu0"))
    assert x_cpu.device.endswith("CPU:0") and x_gpu.device.endswith("GPU:0") and "x_gpu1" not in guide.names
    assert np.array_equal(x.numpy(), x_cpu.numpy()) and np.array_equal(x.numpy(), x_gpu.numpy())


def test_what_was_promised_was_compared(gpus):
    """Runs last: no `# =>` of a sample that ran was passed over."""
    expected = {(n, p.text) for n in reading.samples() if n not in NOT_YET for p in reading.promises(reading.source(n))}
    missing = {name for name, numbers in GROUPS.items() if not {n for n, _ in compared} & set(numbers)
               and any(n in {k for k, _ in expected} for n in numbers)}
    if missing:
        pytest.skip(f"not all groups ran: {', '.join(sorted(missing))}")
    assert compared == expected
    arrows = sum(code.count("# =>") for number, code in reading.samples().items() if number not in NOT_YET)
    assert arrows == len(expected)


def test_graphs(guide, monkeypatch):
    fetched = []
    run = tf.Session.run
    monkeypatch.setattr(tf.Session, "run", lambda *a, **k: fetched.append(run(*a, **k)) or fetched[-1])
    lines = printed(guide.run(29))
    assert [squeeze(line) for line in lines] == [squeeze("tf.Tensor([[4.]], shape=(1, 1), dtype=float32)")]
    assert [f.tolist() for f in fetched] == [[[4.0]]]           # the sample's comment says so
    assert tf.executing_eagerly()
