"""Gradient rules that are expressions run as one kernel, with the bits of the rule run op by op."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.autodiff import rules
from cltensor.core.op import registry
from cltensor.core.tensor import from_numpy
from cltensor.interpret import defer

UNARY = ["tanh", "sigmoid", "sqrt", "asin", "erf", "relu6", "elu", "selu", "softsign", "abs"]
BINARY = ["realdiv", "pow", "maximum", "atan2", "mod"]


@pytest.fixture(autouse=True)
def at_once():
    """Where ops wait, a rule is not a kernel of its own but part of the block."""
    with defer.using("0"):
        yield


def read(vjp, g, xs, y):
    return [{"g": g, "x": xs[i] if kind == "x" else None, "y": y}[kind] for kind, i in vjp.reads]


@pytest.mark.parametrize("name", UNARY + BINARY)
def test_same_bits_as_op_by_op(name, device):
    rng = np.random.default_rng(0)
    op = registry()[name]
    xs = [from_numpy(rng.uniform(0.05, 0.95, (3, 1001)).astype(np.float32), keep=False) for _ in op.args]
    g = from_numpy(rng.standard_normal((3, 1001)).astype(np.float32), keep=False)
    y = getattr(tf, name, None) or getattr(tf.nn, name)
    y = y(*xs)
    for i, vjp in enumerate(op.vjps):
        values = read(vjp, g, xs, y)
        plain = vjp.rule(*values)
        before = device.queue.launch_count
        fused = rules.call(name, i, vjp, values)
        launches = device.queue.launch_count - before
        if isinstance(plain, float):
            continue
        assert fused.numpy().tobytes() == plain.numpy().tobytes()
        rules.call(name, i, vjp, values)
        assert launches <= 1, f"{name}: {launches} launches"


def test_one_launch_for_the_gradient_of_tanh(device):
    x = from_numpy(np.ones(100, np.float32), keep=False)
    g = from_numpy(np.ones(100, np.float32), keep=False)
    for _ in range(2):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.tanh(x)
        before = device.queue.launch_count
        tape.gradient(y, x, output_gradients=g)
        assert device.queue.launch_count == before + 1


def test_second_order_goes_through_the_ops():
    x = tf.constant([0.3, -0.7])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.tanh(x)
        first = inner.gradient(y, x)
    second = outer.gradient(first, x)
    t = np.tanh(np.array([0.3, -0.7]))
    np.testing.assert_allclose(second.numpy(), -2 * t * (1 - t * t), rtol=1e-6)


def test_broadcast_gradients_are_summed():
    x, w = tf.constant(np.ones((4, 3), np.float32)), tf.constant([2.0, 3.0, 4.0])
    with tf.GradientTape() as tape:
        tape.watch(w)
        y = x / w
    np.testing.assert_allclose(tape.gradient(y, w).numpy(), -4 / np.array([4.0, 9.0, 16.0]), rtol=1e-6)
