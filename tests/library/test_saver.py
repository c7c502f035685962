"""tf.train.Saver: values come back under their names, files are kept and listed as asked, errors change nothing."""

import os

import numpy as np
import pytest

import cltensor as tf


def build():
    with tf.variable_scope("net"):
        w = tf.get_variable("w", [3, 2])
    half = tf.Variable(np.float16([1.5, -2.0]), name="half")
    empty = tf.Variable(np.zeros([0, 4], np.float32), name="empty")
    return w, half, empty, tf.train.get_or_create_global_step()


def test_values_come_back_in_another_graph(tmp_path):
    prefix = tmp_path / "deep" / "model.ckpt"
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = build()
        saver = tf.train.Saver()
        with pytest.raises(RuntimeError, match="net/w:0 is not initialised"):
            saver.save(sess, prefix)
        assert not prefix.parent.exists()
        sess.run(tf.global_variables_initializer())
        sess.run(tf.assign_add(variables[-1], 7))
        saved = sess.run(list(variables))
        path = saver.save(sess, prefix, global_step=tf.train.get_global_step())
        assert path == f"{prefix}-7" and saver.save(sess, prefix, global_step=variables[-1] + 1) == f"{prefix}-8"
        assert saver.save(sess, str(prefix)) == str(prefix)
        assert tf.train.latest_checkpoint(prefix.parent) == str(prefix) and tf.train.checkpoint_exists(path)
        assert saver.last_checkpoints == [path, f"{prefix}-8", str(prefix)]
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = build()
        tf.train.Saver().restore(sess, path)
        for value, restored in zip(saved, sess.run(list(variables))):
            assert value.dtype == restored.dtype and value.shape == restored.shape and (value == restored).all()


def test_eagerly_and_under_other_names(tmp_path):
    a, b = tf.Variable([1.0, 2.0], name="a"), tf.Variable(3, name="b")
    path = tf.train.Saver([a, b]).save(None, tmp_path / "x", global_step=1)
    c = tf.Variable([0.0, 0.0], name="c")
    tf.train.Saver({"a": c}).restore(None, path)
    assert c.numpy().tolist() == [1.0, 2.0]
    tf.train.Saver({"a": c}).restore(None, path + ".safetensors")
    with pytest.raises(ValueError, match="give var_list"):
        tf.train.Saver()
    with pytest.raises(ValueError, match="two variables have the name a"):
        tf.train.Saver([a, tf.Variable(0.0, name="a")])
    with pytest.raises(ValueError, match="no variables"):
        tf.train.Saver([])
    with pytest.raises(TypeError, match="variables are wanted"):
        tf.train.Saver([tf.constant(1.0)])
    with pytest.raises(NotImplementedError, match="reshape"):
        tf.train.Saver([a], reshape=True)


def test_old_files_go(tmp_path):
    v = tf.Variable(0.0, name="v")
    saver, prefix = tf.train.Saver([v], max_to_keep=2), str(tmp_path / "m")
    other = tf.train.Saver([v]).save(None, tmp_path / "other")
    paths = [saver.save(None, prefix, n) for n in (1, 2, 3, 2)]
    assert saver.last_checkpoints == [f"{prefix}-3", f"{prefix}-2"]
    state = tf.train.get_checkpoint_state(tmp_path)
    assert state.model_checkpoint_path == paths[-1]
    assert state.all_model_checkpoint_paths == [other, f"{prefix}-3", f"{prefix}-2"]
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "m-2.safetensors", "m-3.safetensors", "other.safetensors"]
    again = tf.train.Saver([v], max_to_keep=1)
    again.set_last_checkpoints(saver.last_checkpoints)
    again.save(None, prefix, 4)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "m-4.safetensors", "other.safetensors"]
    for n in range(5, 12):
        tf.train.Saver([v]).save(None, prefix, n, write_state=False)
    assert tf.train.latest_checkpoint(tmp_path) == f"{prefix}-4" and len(os.listdir(tmp_path)) == 10


@pytest.mark.parametrize("settings", [{"max_to_keep": None}, {"max_to_keep": 0},
                                      {"max_to_keep": 1, "keep_checkpoint_every_n_hours": -1.0}])
def test_files_that_stay(tmp_path, settings):
    v = tf.Variable(0.0, name="v")
    saver = tf.train.Saver([v], **settings)
    for n in range(7):
        saver.save(None, tmp_path / "m", n)
    assert len(os.listdir(tmp_path)) == 8


def test_errors_restore_nothing(tmp_path):
    a, b = tf.Variable([1.0], name="a"), tf.Variable([2.0], name="b")
    path = tf.train.Saver([a, b]).save(None, tmp_path / "m")
    a.assign([5.0])
    wrong = {"shape": tf.Variable([2.0, 3.0], name="b"), "dtype": tf.Variable([2], name="b"),
             "has no value for c": tf.Variable([2.0], name="c")}
    for text, v in wrong.items():
        with pytest.raises(tf.errors.OpError, match=text):
            tf.train.Saver([a, v]).restore(None, path)
    with pytest.raises(ValueError, match="save_path is None"):
        tf.train.Saver([a]).restore(None, tf.train.latest_checkpoint(tmp_path / "no"))
    with pytest.raises(FileNotFoundError, match="no file"):
        tf.train.Saver([a]).restore(None, tmp_path / "no")
    with pytest.raises(TypeError, match="a path is wanted"):
        tf.train.Saver([a]).save(None, 3)
    with pytest.raises(tf.errors.DataLossError, match="saver"):
        tf.train.Checkpoint(a=a).restore(path)
    with pytest.raises(tf.errors.DataLossError, match="no file of a saver"):
        tf.train.Saver([a]).restore(None, tf.train.Checkpoint(a=a).save(tmp_path / "c"))
    with open(path + ".safetensors", "r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(tf.errors.DataLossError, match="checksum"):
        tf.train.Saver([a]).restore(None, path)
    assert a.numpy().tolist() == [5.0]


def test_a_session_of_another_graph(tmp_path):
    with tf.Graph().as_default():
        v = tf.Variable(1.0, name="v")
        saver = tf.train.Saver([v])
    with tf.Session(graph=tf.Graph()) as other, pytest.raises(ValueError, match="another graph"):
        saver.save(other, tmp_path / "m")
