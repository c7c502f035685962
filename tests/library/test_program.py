"""What programs need around tensors: app, flags, files, log, settings."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import cltensor as tf

tfe = tf.contrib.eager


def test_app_runs_main_and_exits_with_its_answer() -> None:
    seen: list = []
    with pytest.raises(SystemExit) as stop:
        tf.app.run(lambda argv: seen.append(argv) or 3, argv=["program", "--", "x"])
    assert stop.value.code == 3 and seen[0][0] == "program"


def test_flags_are_absls() -> None:
    flags = tf.flags
    flags.DEFINE_integer("cltensor_test_steps", 10, "steps")
    flags.FLAGS(["program", "--cltensor_test_steps=3"])
    assert flags.FLAGS.cltensor_test_steps == 3 and tf.app.flags.FLAGS is flags.FLAGS


def test_files(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    tf.gfile.MakeDirs(folder)
    tf.gfile.MakeDirs(folder)
    with tf.gfile.Open(folder / "text", "w") as f:
        f.write("é\n")
    with tf.gfile.GFile(folder / "text", "rb") as f:
        assert f.read() == "é\n".encode()
    tf.gfile.Copy(folder / "text", folder / "copy")
    with pytest.raises(tf.errors.FailedPreconditionError, match="overwrite"):
        tf.gfile.Copy(folder / "text", folder / "copy")
    tf.gfile.Rename(folder / "text", folder / "copy", overwrite=True)
    assert tf.gfile.ListDirectory(folder) == ["copy"] and tf.gfile.IsDirectory(folder)
    assert tf.gfile.Glob(str(folder / "*")) == [str(folder / "copy")]
    assert tf.gfile.Stat(folder / "copy").st_size == 3
    assert [files for _, _, files in tf.gfile.Walk(folder)] == [["copy"]]
    with pytest.raises(tf.errors.NotFoundError, match="does not exist"):
        tf.gfile.Open(folder / "text")
    with pytest.raises(tf.errors.InvalidArgumentError, match="mode"):
        tf.gfile.Open(folder / "copy", "q")
    tf.gfile.Remove(folder / "copy")
    tf.gfile.DeleteRecursively(tmp_path / "a")
    assert not tf.gfile.Exists(folder)


def test_log(caplog: pytest.LogCaptureFixture) -> None:
    level = tf.logging.get_verbosity()
    try:
        tf.logging.set_verbosity(tf.logging.INFO)
        with caplog.at_level(logging.INFO, "cltensor"):
            tf.logging.info("step %d", 7)
            tf.logging.debug("unseen")
            for _ in range(5):
                tf.logging.log_first_n(tf.logging.WARN, "twice", 2)
                tf.logging.log_every_n(tf.logging.WARN, "first and fourth", 3)
        assert [r.getMessage() for r in caplog.records] == [
            "step 7", "twice", "first and fourth", "twice", "first and fourth"]
    finally:
        logging.getLogger("cltensor").setLevel(level)


def test_hparams_keep_their_types() -> None:
    h = tf.contrib.training.HParams(rate=0.1, units=[32, 16], name="a", on=True)
    h.parse("rate=1,units=[8,4],on=false,name=b")
    assert h.values() == {"rate": 1.0, "units": [8, 4], "name": "b", "on": False} and isinstance(h.rate, float)
    h.rate = 3
    assert h.rate == 3.0 and "rate" in h and h.get("other", 5) == 5
    with pytest.raises(tf.errors.InvalidArgumentError, match="rate is a float"):
        h.rate = "fast"
    with pytest.raises(tf.errors.InvalidArgumentError, match="no 'speed'"):
        h.speed = 1
    assert tf.contrib.training.HParams(rate=0.0).parse_json('{"rate": 2}').rate == 2.0


def test_device_names() -> None:
    spec = tf.DeviceSpec.from_string("/job:worker/task:1/device:GPU:2")
    assert (spec.job, spec.task, spec.device_type, spec.device_index) == ("worker", 1, "GPU", 2)
    assert str(spec) == "/job:worker/task:1/device:GPU:2" == str(tf.DeviceSpec.from_string(str(spec)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="no part"):
        tf.DeviceSpec.from_string("/room:1")
    with tf.device(tf.DeviceSpec(device_type="CPU", device_index=0)):
        assert tf.zeros([1]).device.endswith("CPU:0")


def test_execution_modes_and_settings_are_accepted() -> None:
    with tfe.execution_mode(tfe.ASYNC):
        y = tf.ones([3]) * 2
    tfe.async_wait()
    assert y.numpy().tolist() == [2, 2, 2]
    with pytest.raises(tf.errors.InvalidArgumentError, match="tfe.SYNC"):
        tfe.set_execution_mode(7)
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(log_device_placement=True)) as sess:
        assert sess.run(tf.constant(1)) == 1
    assert tf.ConfigProto().gpu_options.allow_growth is None
    assert tf.estimator.ModeKeys.TRAIN == "train"


def test_async_wait_raises_what_a_kernel_reported() -> None:
    tf.gather(tf.range(3) + 0, tf.constant([1, 7]) + 0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="= 7 is not in"):
        tfe.async_wait()


def test_contrib_layers_regularizer_has_the_half() -> None:
    assert tf.contrib.layers.l2_regularizer(0.5)(tf.ones([4])).numpy() == 1.0
    assert tf.contrib.layers.xavier_initializer()([2, 3]).shape == (2, 3)
