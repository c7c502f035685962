"""Convolutions beyond the op table: pinned values, form against form, launches, programs, words of errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

import cltensor as tf
from cltensor.interpret.runner import bind_plan
from cltensor.kernels import build, convolution, tuning
from cltensor.ops import conv, depthwise
from cltensor.ops.conv_rows import DEPTHWISE, FULL
from tests.ops import convolution as twin


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def close(got, want, terms):
    np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=4e-7 * np.sqrt(terms) * max(1, np.abs(want).max()))


def test_values_of_tensorflow(schedule):
    """The odd zero of SAME lies after."""
    x, ones = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1), np.ones((3, 3, 1, 1), np.float32)
    assert conv.conv2d(x, ones, [1, 2, 2, 1], "SAME").numpy().ravel().tolist() == [45, 39, 66, 50]
    assert conv.conv2d(x, ones, 1, "VALID").numpy().ravel().tolist() == [45, 54, 81, 90]
    pairs = [[0, 0], [1, 1], [1, 1], [0, 0]]
    assert conv.conv2d(x, ones, 2, pairs).numpy().ravel().tolist() == [10, 24, 51, 90]


def test_against_scipy(schedule):
    x, f = numbers(11, 13), numbers(4, 3)
    got = conv.conv2d(x[None, :, :, None], f[:, :, None, None], 1, "VALID")
    close(got, signal.correlate2d(x.astype(float), f.astype(float), "valid")[None, :, :, None], 12)


@pytest.mark.parametrize("channels", [(1, 1), (3, 10), (10, 3), (16, 33), (40, 64)], ids=str)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_channel_counts_around_a_vector(schedule, channels, stride):
    c, o = channels
    x, f = numbers(2, 9, 10, c), numbers(3, 3, c, o, seed=1)
    want = twin.conv2d(x.astype(float), f.astype(float), stride)
    close(conv.conv2d(x, f, stride, "SAME"), want, 9 * c)
    g = numbers(*want.shape, seed=2)
    wide = [v.astype(float) for v in (x, f, g)]
    close(conv.conv2d_backprop_input(x.shape, f, g, stride, "SAME"),
          twin.backprop_input(wide[1], wide[2], list(x.shape), stride), 9 * o)
    close(conv.conv2d_backprop_filter(x, f.shape, g, stride, "SAME"),
          twin.backprop_filter(wide[0], wide[2], list(f.shape), stride), want[..., 0].size)


def test_a_pixelwise_convolution_is_a_product(schedule):
    """1x1 without stride takes the matrix product; with a border of nothing the same numbers come from the window."""
    x, f = numbers(2, 6, 7, 20), numbers(1, 1, 20, 40)
    close(conv.conv2d(x, f, 1, "SAME"), (x.reshape(-1, 20).astype(float) @ f[0, 0]).reshape(2, 6, 7, 40), 20)
    device = tf.constant(0.0).placed_on
    same = dict(n=2, h=6, w=7, c=20, kh=1, kw=1, o=40, oh=6, ow=7, sy=1, sx=1, dy=1, dx=1, top=0, left=0)
    plan = convolution.forward(convolution.Window(tf.float32, False, **same), device.traits)
    assert all(step.template.startswith("matmul") for step in plan.launches)


def test_equal_calls_give_equal_bits_and_images_do_not_mix(schedule):
    x, f = numbers(5, 12, 9, 24), numbers(3, 3, 24, 48)
    whole = conv.conv2d(x, f, 1, "SAME").numpy()
    np.testing.assert_array_equal(whole, conv.conv2d(x, f, 1, "SAME").numpy())
    np.testing.assert_array_equal(whole[3:4], conv.conv2d(x[3:4], f, 1, "SAME").numpy())


def test_special_values_stay_where_they_are(schedule):
    x = numbers(1, 6, 6, 4)
    x[0, 2, 3, 1] = np.nan
    y = conv.conv2d(x, numbers(3, 3, 4, 5), 1, "SAME").numpy()
    assert np.isnan(y[0, 1:4, 2:5]).all() and np.isnan(y).sum() == 9 * 5


def test_tiles_that_end_within_a_sweep(device):
    """One input channel: the rows of a tile lie side by side, but not where a sweep is no multiple of the tile."""
    x, f = tf.constant(numbers(1, 24, 24, 1)), tf.constant(numbers(3, 3, 1, 80))
    want = tf.nn.conv2d(x, f, 1, "SAME").numpy()
    form = FULL.forward
    how = {"strides": (1, 1), "padding": "SAME", "dilations": (1, 1)}
    for chosen in ({"mr": 12, "sweep": 16}, {"mr": 6, "sweep": 32}, {"mr": 8, "sweep": 64}):
        with tuning.using(conv2d=chosen if device.traits.schedule == "cpu" else {}):
            plan = form.lower((x.spec, f.spec), (tf.constant(want).spec,), device.traits, **how)
        got = bind_plan(form, plan, device, (x.spec, f.spec), (tf.constant(want).spec,))((x, f))
        assert got.numpy().tobytes() == want.tobytes()


def test_shapes_share_programs():
    """Of a shape only this is compiled in: whether columns fill a tile, and input channels whole tiles of rows."""
    def run(h, c, o, k, s):
        x, f = tf.constant(numbers(1, h, h, c)), tf.constant(numbers(k, k, c, o))
        with tf.GradientTape() as tape:
            tape.watch([x, f])
            y = conv.conv2d(x, f, s, "SAME")
        return [g.numpy() for g in tape.gradient(y, [x, f])]

    def count():
        return sum(template.startswith("conv2d") for template, *_ in build.programs())

    run(8, 32, 32, 3, 1), run(7, 3, 5, 3, 2), run(8, 33, 32, 3, 1), run(7, 8, 5, 3, 2)
    before = count()
    for h, c, o, k, s in ((9, 33, 40, 3, 1), (12, 5, 64, 5, 2), (6, 16, 3, 2, 1), (10, 64, 17, 1, 2)):
        run(h, c, o, k, s)
    assert count() == before


def test_transposed_convolution_undoes_shapes(schedule):
    x, f = numbers(2, 4, 5, 3), numbers(3, 3, 6, 3)
    y = conv.conv2d_transpose(x, f, [2, 8, 10, 6], [1, 2, 2, 1], "SAME")
    want = twin.backprop_input(f.astype(float), x.astype(float), [2, 8, 10, 6], 2)
    close(y, want, 27)
    first = conv.conv2d_transpose(x.transpose(0, 3, 1, 2), f, [2, 6, 8, 10], [1, 1, 2, 2], "SAME", "NCHW")
    np.testing.assert_array_equal(first.numpy(), y.numpy().transpose(0, 3, 1, 2))


def test_depthwise_multiplier_orders_channels(schedule):
    x, f = numbers(1, 3, 3, 2), numbers(2, 2, 2, 3)
    y = depthwise.depthwise_conv2d(x, f, [1, 1, 1, 1], "VALID").numpy()
    for c in range(2):
        for m in range(3):
            want = signal.correlate2d(x[0, :, :, c], f[:, :, c, m], "valid")
            np.testing.assert_allclose(y[0, :, :, 3 * c + m], want, atol=1e-6)


@pytest.mark.parametrize("form", [FULL, DEPTHWISE], ids=["full", "depthwise"])
def test_unreached_inputs_have_no_gradient(schedule, form):
    """A stride wider than the window leaves pixels that no output sees: zeros, not what was in the buffer."""
    f = np.ones((1, 1, 3) if form.depthwise else (1, 1, 3, 3), np.float32)
    g = form.input_gradient(np.ones((1, 3, 3, 3), np.float32), f, (7, 7), (3, 3), "VALID", (1, 1)).numpy()
    assert (g[:, ::3, ::3] != 0).all() and np.count_nonzero(g) == 27


@pytest.mark.parametrize("call, words", [
    (lambda x, f: conv.conv2d(x[0], f, 1, "SAME"), r"input must have rank 4, its shape is \(5, 5, 2\)"),
    (lambda x, f: conv.conv2d(x, f[0], 1, "SAME"), r"filter must have rank 4, its shape is \(3, 2, 4\)"),
    (lambda x, f: conv.conv2d(x[..., :1], f, 1, "SAME"), "input and filter differ in input channels, 1 != 2"),
    (lambda x, f: conv.conv2d(x.astype(np.int32), f.astype(np.int32), 1, "SAME"), "input must be floating"),
    (lambda x, f: conv.conv2d(x, f.astype(np.float64), 1, "SAME"), "float64"),
    (lambda x, f: conv.conv2d(x, f, [1, 2, 2, 2], "SAME"), "strides must be 1 for the batch and the channels"),
    (lambda x, f: conv.conv2d(x, f, 1, "FULL"), "padding must be 'SAME' or 'VALID' or four pairs"),
    (lambda x, f: conv.conv2d(x, f, 1, "VALID", dilations=3), "window does not fit: it reaches over 7 places"),
    (lambda x, f: conv.conv2d(x, f, 1, "SAME", data_format="NWC"), "data_format must be 'NHWC' or 'NCHW'"),
    (lambda x, f: conv.conv2d_backprop_input([1, 5, 5, 2], f, x, 1, "SAME"), r"\(1, 5, 5, 4\), its shape is \(1, 5"),
    (lambda x, f: conv.conv2d_backprop_input([1, 5, 5], f, x, 1, "SAME"), "input_sizes must have four entries"),
    (lambda x, f: conv.conv2d_backprop_filter(x, [3, 3, 1, 4], x, 1, "SAME"), "filter_sizes has channels"),
    (lambda x, f: depthwise.depthwise_conv2d(x, f[:, :, :1], 1, "SAME"), "input and filter differ in channels, 2 != 1"),
    (lambda x, f: depthwise.conv1d(x, f, 1, "SAME"), "value must have rank 3"),
])
def test_errors_say_what_is_wrong(call, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        call(np.zeros((1, 5, 5, 2), np.float32), np.zeros((3, 3, 2, 4), np.float32))


# (n, h, w, c), (kh, kw), stride, dilation: tiles of a row and what is left of them, borders that meet, few and odd
# channels, filters with more taps than registers, several parts of the filter's gradient
APART = [((2, 11, 21, 19), (3, 3), 1, 1), ((1, 20, 40, 33), (3, 3), 1, 1), ((2, 9, 37, 16), (3, 3), 2, 1),
         ((1, 9, 30, 16), (5, 5), 1, 2), ((1, 8, 24, 17), (7, 7), 1, 1), ((1, 5, 3, 16), (7, 7), 2, 1),
         ((2, 4, 26, 3), (3, 5), 1, 1), ((3, 30, 30, 16), (2, 2), 3, 1), ((1, 1, 50, 48), (1, 3), 1, 3)]


@pytest.mark.oclgrind
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("shape, window, stride, rate", APART)
def test_depthwise_is_the_sum_over_taps(shape, window, stride, rate, padding, schedule, device):
    """Result and gradients beside sums of shifted arrays in float64."""
    reach = [(k - 1) * rate + 1 for k in window]
    if padding == "VALID" and any(r > s for r, s in zip(reach, shape[1:])):
        window, reach = (1, 1), [1, 1]
    if device.physical.simulator:
        shape = (1, *shape[1:])
    places = [-(-s // stride) if padding == "SAME" else (s - r) // stride + 1 for s, r in zip(shape[1:3], reach)]
    extra = [max(0, (p - 1) * stride + r - s) * (padding == "SAME") for p, r, s in zip(places, reach, shape[1:3])]
    rng = np.random.default_rng(0)
    x, f = rng.standard_normal(shape), rng.standard_normal((*window, shape[3]))
    g = rng.standard_normal((shape[0], *places, shape[3]))
    border = [(0, 0), *((e // 2, e - e // 2 + stride) for e in extra), (0, 0)]
    wide = np.pad(x, border)
    y, dwide, df = np.zeros_like(g), np.zeros_like(wide), np.zeros_like(f)
    for k in range(window[0]):
        for m in range(window[1]):
            at = (slice(None), slice(k * rate, k * rate + (places[0] - 1) * stride + 1, stride),
                  slice(m * rate, m * rate + (places[1] - 1) * stride + 1, stride))
            y += wide[at] * f[k, m]
            dwide[at] += g * f[k, m]
            df[k, m] = (wide[at] * g).sum((0, 1, 2))
    dx = dwide[:, border[1][0]:, border[2][0]:][:, :shape[1], :shape[2]]
    tensors = [tf.constant(a.astype(np.float32)) for a in (x, f[..., None], g)]
    with tf.GradientTape() as tape:
        tape.watch(tensors[:2])
        found = tf.nn.depthwise_conv2d(*tensors[:2], [1, stride, stride, 1], padding, rate=[rate, rate])
    gradients = tape.gradient(found, tensors[:2], output_gradients=tensors[2])
    for got, want in zip([found, *gradients], [y, dx, df[..., None]]):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=2e-5 * np.abs(want).max())
