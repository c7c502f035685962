"""The gate: what is memoised, what stays late-bound, where an op runs, and what empty tensors do."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.kernels import build


def test_a_repeated_call_makes_no_new_plan(device):
    x = tf.constant(np.ones(100, np.float32))
    tf.multiply(x, 0.5)
    plans, programs = len(tf.multiply.op.memo), build.program_count()
    rate = 0.5
    for _ in range(10):
        rate *= 0.9                     # a decaying learning rate is a slot: it enters no key
        got = tf.multiply(x, rate)
    assert (len(tf.multiply.op.memo), build.program_count()) == (plans, programs)
    np.testing.assert_array_equal(got.numpy(), np.full(100, np.float32(rate)))


def test_shapes_share_a_program():
    x = tf.nn.softsign(tf.constant(np.ones(3, np.float32)))
    x.numpy()
    programs = build.program_count()
    for shape in [(1,), (17,), (5, 7), (2, 3, 4), (1000,), ()]:
        x = tf.nn.softsign(tf.constant(np.ones(shape, np.float32)))
        assert np.all(x.numpy() == 0.5)
    assert build.program_count() == programs


@pytest.mark.parametrize("value, dtype", [(2, "float32"), (2, "int32"), (True, "bool"), (0.5, "float64"),
                                          (np.float64(0.5), "float32"), (np.int64(3), "int32")])
def test_scalars_take_the_tensors_dtype(value, dtype):
    x = tf.constant(np.ones(3, dtype))
    op = tf.logical_and if dtype == "bool" else tf.add
    assert op(x, value).dtype == dtype
    assert op(value, x).dtype == dtype


@pytest.mark.parametrize("value", [1e300, -1e300, float("inf"), float("nan")])
def test_a_scalar_beyond_float32_is_infinite(value):
    with np.errstate(over="ignore"):
        want = np.float32(value)
    np.testing.assert_array_equal((tf.constant([0.0]) + value).numpy(), [want])


def test_a_scalar_that_does_not_fit_raises_each_time(device):
    x = tf.constant(np.ones(3, np.uint8))
    x + 1
    for value in (256, -1):
        before = device.queue.launch_count
        with pytest.raises(ValueError, match="does not fit the integer type"):
            x + value
        assert device.queue.launch_count == before
    with pytest.raises(TypeError, match="y is a float, the other input has dtype uint8"):
        x + 1.5


def test_python_values_alone():
    assert tf.add(1, 2).dtype == "int32"
    assert tf.add(2**40, 1).dtype == "int64"
    assert tf.add(1, 2.5).numpy() == 3.5
    assert tf.where(True, 1.0, 2).numpy() == 1.0


def test_dtypes_do_not_mix():
    with pytest.raises(TypeError, match=r"add: dtypes differ, float32 != float64: x has shape \(2,\)"):
        tf.constant([1.0, 2.0]) + tf.constant([1.0, 2.0], tf.float64)
    with pytest.raises(TypeError, match="use cast"):
        tf.constant([1, 2]) + tf.constant([1.0, 2.0])


def test_an_op_runs_where_its_inputs_are(with_environment):
    with_environment(VIRTUAL_GPUS=2)
    with tf.device("gpu:1"):
        x = tf.constant(np.ones(5000, np.float32)) * 1.0
    y = tf.constant(np.ones(5000, np.float32)) * 2.0
    assert x.device.endswith("GPU:1")
    assert y.device.endswith("GPU:0")
    assert (x + y).device.endswith("GPU:1")
    assert (x + y).numpy().sum() == 15000           # y was copied, silently
    with tf.device("cpu:0"):
        assert (x + y).device.endswith("CPU:0")
    assert x.cpu().device.endswith("CPU:0")
    assert x.gpu(0).device.endswith("GPU:0")
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(x.gpu(0) * x.cpu())
    np.testing.assert_array_equal(tape.gradient(loss, x).numpy(), np.full(5000, 2.0, np.float32))


def test_a_missing_device_is_named():
    with pytest.raises(RuntimeError, match=r"there is no 'gpu:7'; there are .*cpu:0"):
        with tf.device("gpu:7"):
            pass
    with pytest.raises(ValueError, match="is not a device name"):
        tf.device("somewhere")


def test_empty_tensors_launch_nothing(device):
    x = tf.constant(np.zeros((0, 3), np.float32))
    before = device.queue.launch_count
    assert (x + 1.0).shape == (0, 3)
    assert tf.exp(x).numpy().shape == (0, 3)
    assert (x + tf.ones([1, 3])).shape == (0, 3)
    assert tf.matmul(x, tf.ones([3, 4])).shape == (0, 4)
    assert device.queue.launch_count <= before + 2          # the ones
    assert tf.reduce_sum(x).numpy() == 0.0


def test_the_memo_is_bounded(monkeypatch):
    monkeypatch.setattr("cltensor.core.dispatch.MEMO_LIMIT", 4)
    for n in range(1, 12):
        tf.square(tf.constant(np.ones(n, np.float32)))
    assert len(tf.square.op.memo) <= 4


def test_recorders_are_left_alone_by_errors():
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(ValueError, match="broadcast"):
            x + [1.0, 2.0, 3.0]
        y = x * x
    assert tape.gradient(y, x).numpy().tolist() == [2.0, 4.0]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "int8"])
@pytest.mark.parametrize("rows, width", [(2, 1), (3, 2), (7, 5), (1000, 10), (13, 15), (5, 16), (300, 17), (9, 48),
                                         (4, 49), (70001, 3)])
def test_short_rows_beside_a_small_operand(rows, width, dtype):
    rng = np.random.default_rng(rows)
    a, b = (rng.standard_normal((rows, width)) * 9).astype(dtype), (rng.standard_normal(width) * 9).astype(dtype)
    x, y = tf.constant(a), tf.constant(b)
    np.testing.assert_array_equal((x + y).numpy(), a + b)
    np.testing.assert_array_equal((y - x).numpy(), b - a)
    np.testing.assert_array_equal(tf.where(x > y, y, x).numpy(), np.where(a > b, b, a))
