"""Summaries, read back by the real tensorboard package."""

import io
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from cltensor.base.errors import DTypeError, FailedPreconditionError, InvalidArgumentError
from cltensor.contrib import summary
from cltensor.core.tensor import constant
from cltensor.ops import math
from cltensor.ops.variable import Variable
from cltensor.summary.writer import _Default
from cltensor.train.global_step import get_or_create_global_step, reset_global_step

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
loaders = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")


@pytest.fixture(autouse=True)
def fresh():
    reset_global_step()
    yield
    _Default.process = None
    reset_global_step()


@pytest.fixture
def logdir(tmp_path):
    return str(tmp_path / "logs")


def read(logdir):
    accumulator = accumulators.EventAccumulator(
        logdir, {accumulators.SCALARS: 0, accumulators.HISTOGRAMS: 0, accumulators.IMAGES: 0})
    accumulator.Reload()
    return accumulator


def scalars(logdir, tag):
    accumulator = read(logdir)
    return [(e.step, e.value) for e in accumulator.Scalars(tag)] if tag in accumulator.Tags()["scalars"] else []


def test_guide_loop(logdir):
    writer = summary.create_file_writer(logdir)
    step = get_or_create_global_step()
    writer.set_as_default()
    for i in range(300):
        step.assign_add(1)
        with summary.record_summaries_every_n_global_steps(100):
            summary.scalar("loss", math.multiply(constant(2.), float(i)))
    writer.close()
    assert scalars(logdir, "loss") == [(100, 198.), (200, 398.), (300, 598.)]


def test_the_first_record_is_the_version(logdir):
    summary.create_file_writer(logdir, filename_suffix=".tail").close()
    (name,) = os.listdir(logdir)
    assert name.startswith("events.out.tfevents.") and name.endswith(".tail")
    first = next(iter(loaders.LegacyEventFileLoader(os.path.join(logdir, name)).Load()))
    assert first.file_version == "brain.Event:2"


def test_conditions(logdir):
    assert summary.should_record_summaries() is False
    with summary.always_record_summaries():
        assert summary.should_record_summaries()
        with summary.never_record_summaries():
            assert not summary.should_record_summaries()
        assert summary.should_record_summaries()
    with summary.record_if(lambda: constant(True)):
        assert summary.should_record_summaries()
    own = Variable(4, dtype="int64", host=True)
    with summary.record_summaries_every_n_global_steps(3, global_step=own):
        assert not summary.should_record_summaries()
        own.assign(6)
        assert summary.should_record_summaries()
    for bad in (0, -1, 2.5, [1]):
        with pytest.raises(InvalidArgumentError, match="positive integer"):
            summary.record_summaries_every_n_global_steps(bad)


class Unreadable:
    """Stands for a tensor whose value nobody may ask for."""

    def as_tensor(self):
        raise AssertionError("read")


def test_nothing_is_read_unless_recorded(logdir):
    with summary.always_record_summaries():
        summary.scalar("a", Unreadable())
    with summary.create_file_writer(logdir).as_default():
        summary.scalar("a", Unreadable())
        summary.histogram("a", Unreadable())
        summary.image("a", Unreadable())
        with summary.never_record_summaries():
            summary.scalar("a", Unreadable())
    with summary.create_file_writer(None).as_default(), summary.always_record_summaries():
        summary.scalar("a", 1.)
    assert read(logdir).Tags()["scalars"] == []


def test_steps_families_dtypes_and_nesting(logdir, tmp_path):
    outer, inner = summary.create_file_writer(logdir), summary.create_file_writer(str(tmp_path / "inner"))
    with outer.as_default(), summary.always_record_summaries():
        summary.scalar("a", 3, step=7, family="f")
        with inner.as_default():
            summary.scalar("b", np.float64(0.1), step=constant(2))
        summary.scalar("c", [[True]], step=1)
        summary.scalar("c", Variable(2.5), step=2)
    assert scalars(logdir, "f/a") == [(7, 3.)] and scalars(logdir, "c") == [(1, 1.), (2, 2.5)]
    assert scalars(str(tmp_path / "inner"), "b") == [(2, pytest.approx(0.1))] and scalars(logdir, "b") == []


def test_a_scalar_keeps_the_value_it_had(logdir):
    v = Variable(1.)
    with summary.create_file_writer(logdir).as_default(), summary.always_record_summaries():
        summary.scalar("v", v, step=0)
        v.assign(5.)
        summary.scalar("v", v, step=1)
    assert scalars(logdir, "v") == [(0, 1.), (1, 5.)]


def test_queue_flush_and_close(logdir):
    writer = summary.create_file_writer(logdir, max_queue=2, flush_millis=10**6)
    with summary.always_record_summaries():
        writer.set_as_default()
        for i in range(3):
            assert scalars(logdir, "a") == []
            summary.scalar("a", i, step=i)
        assert len(scalars(logdir, "a")) == 3
        summary.scalar("a", 3, step=3)
        assert len(scalars(logdir, "a")) == 3
        summary.flush()
        assert len(scalars(logdir, "a")) == 4
        writer.close()
        writer.close()
        writer.flush()
        with pytest.raises(FailedPreconditionError, match="closed"):
            summary.scalar("a", 4, step=4)


def test_flush_millis(logdir):
    writer = summary.create_file_writer(logdir, flush_millis=0)
    with summary.always_record_summaries():
        writer.set_as_default()
        summary.scalar("a", 1, step=1)
    assert len(scalars(logdir, "a")) == 1


def test_what_waits_is_written_when_the_writer_goes(logdir):
    with summary.always_record_summaries():
        writer = summary.create_file_writer(logdir)
        writer.set_as_default()
        summary.scalar("a", 1, step=1)
        _Default.process = None
        del writer
    assert scalars(logdir, "a") == [(1, 1.)]


def test_what_waits_is_written_at_exit(logdir):
    program = ("import sys\nfrom cltensor.contrib import summary\n"
               "summary.create_file_writer(sys.argv[1]).set_as_default()\n"
               "with summary.always_record_summaries():\n    summary.scalar('a', 3., step=5)\n")
    subprocess.run([sys.executable, "-W", "error", "-c", program, logdir], check=True)
    assert scalars(logdir, "a") == [(5, 3.)]


@pytest.mark.parametrize("values", [[], [0.], [-1., 0., 1., 1e30, -1e30], np.linspace(-3, 5, 1001)],
                         ids=["empty", "zero", "wide", "many"])
def test_histograms(logdir, values):
    values = np.asarray(values, np.float32)
    with summary.create_file_writer(logdir).as_default(), summary.always_record_summaries():
        summary.histogram("h", values, step=1)
    got = read(logdir).Histograms("h")[0].histogram_value
    assert got.num == values.size == sum(got.bucket)
    wide = values.astype(np.float64)
    assert got.sum == pytest.approx(wide.sum()) and got.sum_squares == pytest.approx((wide * wide).sum())
    if values.size:
        assert got.min == wide.min() and got.max == wide.max()
        below = np.cumsum(got.bucket)
        for limit, count in zip(got.bucket_limit, below):
            assert count == (wide < limit).sum()
    with pytest.raises(InvalidArgumentError, match="not finite"):
        with summary.create_file_writer(logdir).as_default(), summary.always_record_summaries():
            summary.histogram("h", [np.nan])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images(logdir, channels):
    from PIL import Image
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 7, channels)).astype(np.uint8)
    floats = np.zeros((1, 1, 4, channels), np.float32)
    floats[0, 0, :, 0] = [-1, 0, 1, np.nan]
    with summary.create_file_writer(logdir).as_default(), summary.always_record_summaries():
        summary.image("u", pixels, step=1)
        summary.image("f", floats, max_images=1, step=1)
        with pytest.raises(InvalidArgumentError, match="must have shape"):
            summary.image("x", pixels[0])
        with pytest.raises(DTypeError, match="int32"):
            summary.image("x", pixels.astype(np.int32))
    images = read(logdir)
    assert sorted(images.Tags()["images"]) == ["f/image", "u/image/0", "u/image/1", "u/image/2"]
    for i in range(3):
        event = images.Images(f"u/image/{i}")[0]
        assert (event.height, event.width) == (5, 7)
        decoded = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        np.testing.assert_array_equal(decoded.reshape(5, 7, channels), pixels[i])
    data = images.Images("f/image")[0].encoded_image_string
    decoded = np.asarray(Image.open(io.BytesIO(data))).reshape(4, channels)
    assert decoded[:, 0].tolist() == [1, 128, 255, 255]
    assert struct.unpack(">I", data[16:20])[0] == 4


def test_bad_arguments(logdir):
    with summary.create_file_writer(logdir).as_default(), summary.always_record_summaries():
        with pytest.raises(InvalidArgumentError, match=r"one number, it has shape \(2,\)"):
            summary.scalar("a", [1., 2.])
        with pytest.raises(DTypeError, match="must be text"):
            summary.scalar(3, 1.)
    with pytest.raises(DTypeError, match="must be a path"):
        summary.create_file_writer(3)
    with pytest.raises(InvalidArgumentError, match="max_queue"):
        summary.create_file_writer(logdir, max_queue=-1)


def test_without_tensorboard_the_error_says_what_to_install(logdir, monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"cltensor\[tensorboard\]"):
        summary.create_file_writer(logdir)
    assert not os.path.exists(logdir)


def test_graph_mode_leftovers():
    assert summary.summary_writer_initializer_op() == [] and summary.all_summary_ops() is None
    summary.initialize()
    summary.flush()
