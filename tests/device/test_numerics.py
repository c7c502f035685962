"""The NaN check names the op that made it, forward and backward, and leaves nothing behind."""

import os
import subprocess
import sys

import pytest

import cltensor as tf
from cltensor.core.dispatch import state


def test_the_first_op_is_named():
    x = tf.constant([1.0, 0.0])
    with tf.numerics_check():
        tf.exp(x)
        with pytest.raises(ValueError, match=r"log: its result of shape \(2,\) holds 1 infinite value: x0 has shape"):
            tf.reduce_sum(tf.log(x))
    assert state.recorders == []
    tf.log(x)


def test_a_gradient_is_watched_too():
    x = tf.constant([0.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.sqrt(x)
    with tf.numerics_check(), pytest.raises(ValueError, match="realdiv: its result"):
        tape.gradient(y, x)
    assert state.recorders == []


def test_check_numerics_gives_the_tensor_back():
    x = tf.constant([1.0, 2.0])
    assert tf.check_numerics(x, "fine") is x
    with pytest.raises(ValueError, match=r"check_numerics: weights: the tensor of shape \(2,\) holds 1 nan value"):
        tf.check_numerics([1.0, float("nan")], "weights")


def test_the_environment_variable():
    program = "import cltensor as tf\ntf.log([0.])"
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "CLTENSOR_CHECK_NUMERICS": "1"},
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert "log: its result of shape (1,) holds 1 infinite value" in done.stderr


def test_debug_names_the_device():
    done = subprocess.run([sys.executable, "-c", "import cltensor as tf\ntf.exp([0.])"],
                          env={**os.environ, "CLTENSOR_DEBUG": "2"}, capture_output=True, text=True)
    assert done.returncode == 0
    assert "cltensor: cpu:0 is" in done.stderr
    assert "elementwise" in done.stderr
