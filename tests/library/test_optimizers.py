"""Optimizers against NumPy float64 formulas, pinned values of TensorFlow, slots, sparse gradients, launches, syncs."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.core import op as core_op
from cltensor.interpret import defer
from cltensor.runtime import device as devices
from cltensor.runtime.queue import no_host_reads
from cltensor.train.global_step import reset_global_step

SHAPES = [(), (1,), (0,), (7,), (3, 1, 5), (129, 31)]


def sgd(w, g, s, t):
    return w - 0.1 * g


def momentum(w, g, s, t):
    s["momentum"] = 0.9 * s.get("momentum", 0) + g
    return w - 0.1 * s["momentum"]


def nesterov(w, g, s, t):
    s["momentum"] = 0.9 * s.get("momentum", 0) + g
    return w - 0.1 * (g + 0.9 * s["momentum"])


def adam(w, g, s, t):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    return w - 0.1 * np.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t) * s["m"] / (np.sqrt(s["v"]) + 1e-8)


def rmsprop(w, g, s, t):
    s["rms"] = 0.9 * s.get("rms", 1) + 0.1 * g * g
    s["momentum"] = 0.5 * s.get("momentum", 0) + 0.1 * g / np.sqrt(s["rms"] + 1e-10)
    return w - s["momentum"]


def centered(w, g, s, t):
    s["rms"] = 0.9 * s.get("rms", 1) + 0.1 * g * g
    s["mg"] = 0.9 * s.get("mg", 0) + 0.1 * g
    s["momentum"] = 0.5 * s.get("momentum", 0) + 0.1 * g / np.sqrt(s["rms"] - s["mg"] ** 2 + 1e-10)
    return w - s["momentum"]


def adagrad(w, g, s, t):
    s["accumulator"] = s.get("accumulator", 0.1) + g * g
    return w - 0.1 * g / np.sqrt(s["accumulator"])


def adadelta(w, g, s, t):
    s["accum"] = 0.95 * s.get("accum", 0) + 0.05 * g * g
    delta = np.sqrt(s.get("accum_update", 0) + 1e-8) / np.sqrt(s["accum"] + 1e-8) * g
    s["accum_update"] = 0.95 * s.get("accum_update", 0) + 0.05 * delta ** 2
    return w - 0.1 * delta


def ftrl(w, g, s, t):
    old = s.get("accum", 0.1)
    s["accum"] = old + g * g
    s["linear"] = s.get("linear", 0) + g - (np.sqrt(s["accum"]) - np.sqrt(old)) / 0.1 * w
    quadratic = np.sqrt(s["accum"]) / 0.1 + 2 * 0.02
    return np.where(np.abs(s["linear"]) > 0.3, (0.3 * np.sign(s["linear"]) - s["linear"]) / quadratic, 0.)


CASES = {
    "sgd": (lambda: tf.train.GradientDescentOptimizer(0.1), sgd, []),
    "momentum": (lambda: tf.train.MomentumOptimizer(0.1, 0.9), momentum, ["momentum"]),
    "nesterov": (lambda: tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True), nesterov, ["momentum"]),
    "adam": (lambda: tf.train.AdamOptimizer(0.1), adam, ["m", "v"]),
    "rmsprop": (lambda: tf.train.RMSPropOptimizer(0.1, momentum=0.5), rmsprop, ["momentum", "rms"]),
    "centered": (lambda: tf.train.RMSPropOptimizer(0.1, momentum=0.5, centered=True), centered,
                 ["mg", "momentum", "rms"]),
    "adagrad": (lambda: tf.train.AdagradOptimizer(0.1), adagrad, ["accumulator"]),
    "adadelta": (lambda: tf.train.AdadeltaOptimizer(0.1), adadelta, ["accum", "accum_update"]),
    "ftrl": (lambda: tf.train.FtrlOptimizer(0.1, l1_regularization_strength=0.3, l2_regularization_strength=0.02),
             ftrl, ["accum", "linear"]),
}


@pytest.mark.parametrize("name", CASES)
def test_formula(name):
    make, formula, slots = CASES[name]
    rng = np.random.default_rng(0)
    optimizer = make()
    values = [rng.standard_normal(s) for s in SHAPES]
    variables = [tf.Variable(v.astype(np.float32)) for v in values]
    states = [{} for _ in values]
    for t in (1, 2, 3):
        gradients = [rng.standard_normal(s).astype(np.float32) for s in SHAPES]
        optimizer.apply_gradients([(tf.constant(g), v) for g, v in zip(gradients, variables)])
        values = [formula(w, g.astype(np.float64), s, t) for w, g, s in zip(values, gradients, states)]
    for w, v, s in zip(values, variables, states):
        np.testing.assert_allclose(v.numpy(), w, rtol=2e-5, atol=2e-5)
        assert optimizer.get_slot_names() == slots
        for slot in slots:
            np.testing.assert_allclose(optimizer.get_slot(v, slot).numpy(), s[slot], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("make, gradients, expected, slot, slot_value", [
    (lambda: tf.train.AdamOptimizer(.1), [.1, .2, .3], 0.7076832, "m", None),
    (lambda: tf.train.RMSPropOptimizer(.1), [2.], 0.8245, "rms", 1.3),
    (lambda: tf.train.AdagradOptimizer(.1), [2.], 0.90123, "accumulator", 4.1),
    (lambda: tf.train.MomentumOptimizer(.1, .9), [1.] * 3, 0.439, "momentum", 2.71),
    (lambda: tf.train.MomentumOptimizer(.1, .9, use_nesterov=True), [1.] * 3, 0.1951, "momentum", 2.71),
])
def test_pinned_values(make, gradients, expected, slot, slot_value):
    optimizer, v = make(), tf.Variable(1.)
    for g in gradients:
        optimizer.apply_gradients([(tf.constant(g), v)])
    assert float(v) == pytest.approx(expected, abs=1e-4 if expected == 0.8245 else 3e-6)
    if slot_value is not None:
        assert float(optimizer.get_slot(v, slot)) == pytest.approx(slot_value, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_dtypes(dtype, device):
    if dtype == "float64" and not device.traits.fp64:
        pytest.skip("the device has no float64")
    for name, (make, formula, _) in CASES.items():
        if dtype == "float16" and name in ("adam", "adadelta", "rmsprop", "centered"):
            continue        # their epsilon is no float16
        optimizer, v, state, w = make(), tf.Variable(np.array([1., -2.], dtype)), {}, np.array([1., -2.])
        for t in (1, 2):
            optimizer.apply_gradients([(tf.constant(np.array([.5, .25], dtype)), v)])
            w = formula(w, np.array([.5, .25]), state, t)
        np.testing.assert_allclose(v.numpy(), w, rtol=1e-2 if dtype == "float16" else 1e-6, err_msg=name)


# -- sparse gradients
def slices(values, indices, shape):
    return tf.IndexedSlices(tf.constant(values), tf.constant(indices), shape)


def test_sgd_adds_duplicate_rows():
    v = tf.Variable([[1., 1.], [2., 2.], [3., 3.]])
    g = slices([[1., 2.], [3., 4.], [5., 6.]], [2, 0, 2], (3, 2))
    tf.train.GradientDescentOptimizer(1.).apply_gradients([(g, v)])
    assert v.numpy().tolist() == [[-2., -3.], [2., 2.], [-3., -5.]]


def test_sparse_adam_is_not_lazy():
    v, adam_ = tf.Variable([[1.], [1.]]), tf.train.AdamOptimizer(.1)
    adam_.apply_gradients([(slices([[1.]], [0], (2, 1)), v)])
    assert v.numpy().ravel().tolist() == pytest.approx([.9, 1.])
    adam_.apply_gradients([(slices([[1.]], [1], (2, 1)), v)])
    assert v.numpy()[0, 0] == pytest.approx(.8329, abs=1e-4)
    dense, again = tf.Variable([[1.], [1.]]), tf.train.AdamOptimizer(.1)
    for g in ([[1.], [0.]], [[0.], [1.]]):
        again.apply_gradients([(tf.constant(g), dense)])
    assert (v.numpy() == dense.numpy()).all()


@pytest.mark.parametrize("name", ["momentum", "nesterov", "rmsprop", "centered", "adagrad", "adadelta", "ftrl"])
def test_sparse_rows_not_named_stay(name):
    make, formula, slots = CASES[name]
    optimizer, v = make(), tf.Variable([[1., 2.], [3., 4.], [5., 6.]])
    w, states = np.array([[1., 2.], [3., 4.], [5., 6.]]), [{}, {}, {}]
    for t, rows in ((1, [0, 2, 0]), (2, [1, 2, 1])):
        values = np.arange(1., 7.).reshape(3, 2)
        optimizer.apply_gradients([(slices(values.astype(np.float32), rows, (3, 2)), v)])
        for r in sorted(set(rows)):
            total = sum(values[i] for i, other in enumerate(rows) if other == r)
            w[r] = formula(w[r], total, states[r], t)
    np.testing.assert_allclose(v.numpy(), w, rtol=1e-5)
    for slot in slots:
        np.testing.assert_allclose(optimizer.get_slot(v, slot).numpy(), [s[slot] for s in states], rtol=1e-5)


def test_sparse_gradient_of_a_gather():
    v = tf.Variable([[1., 1.], [2., 2.], [3., 3.]])
    tf.train.GradientDescentOptimizer(0.5).minimize(lambda: tf.reduce_sum(tf.gather(v, [2, 0, 2])))
    assert v.numpy().tolist() == [[.5, .5], [2., 2.], [2., 2.]]


# -- the protocol
def test_minimize_and_compute_gradients():
    a, b, c = tf.Variable(2.), tf.Variable(3.), tf.Variable(1., trainable=False)
    sgd_ = tf.train.GradientDescentOptimizer(learning_rate=0.1)
    step = tf.train.get_or_create_global_step()
    before = int(step)
    pairs = sgd_.compute_gradients(lambda: a * b * c)
    assert [v is w for (_, v), w in zip(pairs, (a, b))] == [True, True]
    assert [float(g) for g, _ in pairs] == [3., 2.]
    sgd_.minimize(lambda: a * b * c, global_step=step)
    assert (float(a), float(b), int(step)) == (pytest.approx(1.7), pytest.approx(2.8), before + 1)
    [(g, v)] = sgd_.compute_gradients(lambda: a * b * c, var_list=[c])
    assert v is c and float(g) == pytest.approx(1.7 * 2.8)
    weighted = sgd_.compute_gradients(lambda: a * 2., var_list=[a], grad_loss=tf.constant(3.))
    assert float(weighted[0][0]) == 6.
    assert sgd_.get_name() == "GradientDescent" and sgd_.variables() == []


def test_errors():
    v, w = tf.Variable([1., 2.], name="v"), tf.Variable(1., name="w")
    o = tf.train.GradientDescentOptimizer(0.1)
    g = tf.constant([1., 1.])
    with pytest.raises(RuntimeError, match="loss must be a function"):
        o.minimize(tf.constant(1.))
    with pytest.raises(ValueError, match="no variables were given"):
        o.apply_gradients([])
    with pytest.raises(ValueError, match="no gradient for any variable: v:0, w:0"):
        o.apply_gradients([(None, v), (None, w)])
    with pytest.raises(ValueError, match="v:0 is given twice"):
        o.apply_gradients([(g, v), (g, v)])
    with pytest.raises(InvalidArgumentError, match=r"gradient of v:0 has shape \(\), the variable \(2,\)"):
        o.apply_gradients([(tf.constant(1.), w), (tf.constant(1.), v)])
    assert float(w) == 1.
    with pytest.raises(DTypeError, match="int32, the variable float32"):
        o.apply_gradients([(tf.constant([1, 1]), v)])
    with pytest.raises(TypeError, match="only variables can be updated"):
        o.apply_gradients([(g, g)])
    with pytest.raises(ValueError, match=r"pairs \(gradient, variable\) are wanted"):
        o.apply_gradients([v])
    with pytest.raises(ValueError, match="read no trainable variable"):
        o.minimize(lambda: tf.constant(1.))
    with pytest.raises(ValueError, match="learning_rate must be a scalar"):
        tf.train.GradientDescentOptimizer([.1, .2]).apply_gradients([(g, v)])
    with pytest.raises(TypeError, match="learning_rate must be a number"):
        tf.train.GradientDescentOptimizer(None).apply_gradients([(g, v)])
    for make in (lambda: tf.train.AdagradOptimizer(0.1, initial_accumulator_value=0.),
                 lambda: tf.train.FtrlOptimizer(0.1, learning_rate_power=1.), lambda: tf.train.AdamOptimizer(name="")):
        with pytest.raises(ValueError):
            make()
    o.apply_gradients([(None, w), (g, v)])
    assert float(w) == 1. and v.numpy().tolist() == pytest.approx([.9, 1.9])


def test_learning_rate_is_read_at_each_step():
    for rate, change in ((tf.Variable(1.), lambda r: r.assign(0.5)), (tf.Variable(1.), lambda r: r.assign_sub(0.5))):
        v, o = tf.Variable(10.), tf.train.GradientDescentOptimizer(rate)
        o.apply_gradients([(tf.constant(1.), v)])
        change(rate)
        o.apply_gradients([(tf.constant(1.), v)])
        assert float(v) == 8.5
    box = [1.]
    v, o = tf.Variable(10.), tf.train.AdamOptimizer(lambda: box[0])
    o.apply_gradients([(tf.constant(1.), v)])
    box[0] = tf.constant(2.)
    o.apply_gradients([(tf.constant(1.), v)])
    assert float(v) == pytest.approx(7., abs=1e-4)


def test_a_changing_rate_makes_no_new_plan():
    v, rate = tf.Variable([1., 2., 3.]), [1.]
    o = tf.train.GradientDescentOptimizer(lambda: rate[0])
    row = core_op.registry()["apply_gradient_descent"]
    o.apply_gradients([(tf.constant([1., 1., 1.]), v)])
    before = len(row.memo)
    for rate[0] in (0.5, 0.25, 1e-3):
        o.apply_gradients([(tf.constant([1., 1., 1.]), v)])
    assert len(row.memo) == before


def launches(f):
    queue = devices.default().queue
    with defer.using("0"):
        before = queue.launch_count
        f()
        return queue.launch_count - before


@pytest.mark.parametrize("name", CASES)
def test_one_launch_per_variable_and_no_sync(name):
    o = CASES[name][0]()
    variables = [tf.Variable(tf.ones([33, 5])), tf.Variable(tf.ones([5]))]
    gradients = [tf.ones([33, 5]) * 2., tf.ones([5]) * 2.]
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    host_step = tf.train.get_or_create_global_step()
    o.apply_gradients(zip(gradients, variables), global_step=step)
    with no_host_reads():
        assert launches(lambda: o.apply_gradients(zip(gradients, variables), global_step=host_step)) == 2


def test_a_train_step_never_waits():
    x, y = tf.random_normal([20, 6]), tf.constant(np.arange(20) % 3)
    model = tf.keras.Sequential([tf.keras.layers.Dense(5, activation="relu"), tf.keras.layers.Dense(3)])
    model(x)
    o = tf.train.AdamOptimizer(0.01)
    with no_host_reads():
        for _ in range(2):
            with tf.GradientTape() as tape:
                loss = tf.losses.sparse_softmax_cross_entropy(labels=y, logits=model(x, training=True))
            o.apply_gradients(zip(tape.gradient(loss, model.variables), model.variables),
                              global_step=tf.train.get_or_create_global_step())
    assert np.isfinite(float(loss))


def test_updates_are_not_recorded_and_old_reads_stay():
    v = tf.Variable([1., 2.])
    o = tf.train.AdamOptimizer(0.1)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(v * v)
        old = v.read_value()
        o.apply_gradients([(tf.constant([1., 1.]), v)])
    assert tape.gradient(y, v).numpy().tolist() == [2., 4.]
    assert old.numpy().tolist() == [1., 2.]


def test_constraint_is_applied():
    v = tf.Variable([1., 1.], constraint=lambda t: tf.clip_by_value(t, 0., 0.5))
    tf.train.GradientDescentOptimizer(1.).apply_gradients([(tf.constant([.8, .2]), v)])
    assert v.numpy().tolist() == pytest.approx([.2, .5])


def test_slots_and_state_are_variables():
    v, o = tf.Variable([1., 2.], name="v"), tf.train.AdamOptimizer(0.1)
    assert o.get_slot(v, "m") is None and o.get_slot_names() == []
    o.apply_gradients([(tf.constant([1., 1.]), v)])
    assert [s.name for s in o.variables()] == ["beta1_power:0", "beta2_power:0", "v/Adam/m:0", "v/Adam/v:0"]
    assert len(set(o.variables())) == 4 and not any(s.trainable for s in o.variables())
    assert o.get_slot(v, "m").shape == (2,) and o.get_slot(v, "other") is None
    assert float(o.beta1_power) == pytest.approx(.81)
    assert float(o.beta2_power) == pytest.approx(.999 ** 2)


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
@pytest.mark.parametrize("stepped", [True, False])
def test_checkpoint(tmp_path, name, stepped):
    def program(steps):
        v, o = tf.Variable([1., 2.]), CASES[name][0]()
        root = tf.train.Checkpoint(v=v, optimizer=o)

        def step(n):
            for i in range(n):
                o.apply_gradients([(tf.constant([.5, i + 1.]), v)])
            return v.numpy().tolist()
        if steps:
            step(steps)
        return root, step
    root, step = program(2)
    path = root.save(str(tmp_path / "ckpt"))
    expected = step(2)
    fresh, go_on = program(1 if stepped else 0)
    status = fresh.restore(path)
    assert go_on(2) == expected
    status.assert_consumed()


def test_global_step_functions():
    reset_global_step()
    assert tf.train.get_global_step() is None
    step = tf.train.create_global_step()
    assert step is tf.train.get_or_create_global_step() is tf.train.get_global_step()
    assert step.dtype == np.int64 and int(step) == 0 and not step.trainable
    with pytest.raises(ValueError, match="already exists"):
        tf.train.create_global_step()
    tf.train.assert_global_step(step)
    with pytest.raises(TypeError):
        tf.train.assert_global_step(tf.Variable(1.))
    with pytest.raises(ValueError):
        tf.train.assert_global_step(tf.constant([1, 2]))
    assert tf.train.global_step(None, step) == 0


def test_schedules():
    step = tf.train.get_or_create_global_step()
    t = tf.train

    def at(rate, n):
        step.assign(n)
        return float(rate())
    assert at(t.exponential_decay(.5, step, 10, .9), 5) == pytest.approx(.5 * .9 ** .5)
    assert at(t.exponential_decay(.5, step, 10, .9, staircase=True), 19) == pytest.approx(.5 * .9)
    assert at(t.natural_exp_decay(.5, step, 10, .9), 5) == pytest.approx(.5 * np.exp(-.45))
    assert at(t.inverse_time_decay(.5, step, 10, .9), 5) == pytest.approx(.5 / 1.45)
    assert [at(t.piecewise_constant(step, [10, 20], [1., .5, .1]), n) for n in (0, 10, 11, 20, 21)] == pytest.approx(
        [1., 1., .5, .5, .1])
    linear = t.polynomial_decay(1., step, 10, .1, power=2.)
    assert [at(linear, n) for n in (0, 5, 10, 99)] == pytest.approx([1., .9 * .25 + .1, .1, .1])
    assert at(t.polynomial_decay(1., step, 10, 0., cycle=True), 15) == pytest.approx(.25)
    assert [at(t.cosine_decay(1., step, 10, .2), n) for n in (0, 5, 10, 11)] == pytest.approx([1., .6, .2, .2])
    with no_host_reads():
        assert at(linear, 5) == pytest.approx(.325)
    v = tf.Variable(1.)
    rate = t.exponential_decay(.5, step, 1, .5)
    step.assign(0)
    o = t.GradientDescentOptimizer(rate)
    for _ in range(3):
        o.apply_gradients([(tf.constant(1.), v)], global_step=step)
    assert float(v) == pytest.approx(1 - .5 - .25 - .125)
    assert f"{rate:.4f}" == "0.0625" and float(tf.constant(2.) * rate) == .125
    for wrong in (lambda: t.exponential_decay(.5, None, 10, .9), lambda: t.exponential_decay(.5, step, 0, .9),
                  lambda: t.piecewise_constant(step, [1], [1.]),
                  lambda: t.piecewise_constant(step, [2, 1], [1., 1., 1.])):
        with pytest.raises(ValueError):
            wrong()


def test_moving_average(tmp_path):
    v, ema = tf.Variable([1., 2.]), tf.train.ExponentialMovingAverage(0.9)
    assert ema.average(v) is None
    ema.apply([v])
    v.assign([3., 4.])
    with no_host_reads():
        assert launches(lambda: ema.apply([v])) == 1
    np.testing.assert_allclose(ema.average(v).numpy(), [1.2, 2.2], rtol=1e-6)
    path = tf.train.Checkpoint(v=v, ema=ema).save(str(tmp_path / "c"))
    w, other = tf.Variable([0., 0.]), tf.train.ExponentialMovingAverage(0.9)
    tf.train.Checkpoint(v=w, ema=other).restore(path).assert_consumed()
    np.testing.assert_allclose(other.average(w).numpy(), [1.2, 2.2], rtol=1e-6)
    early = tf.train.ExponentialMovingAverage(0.9, num_updates=1)
    early.apply([v])
    v.assign([0., 0.])
    early.apply([v])
    np.testing.assert_allclose(early.average(v).numpy(), np.array([3., 4.]) * 2 / 11, rtol=1e-6)


def test_variable_on_another_device(with_environment):
    with_environment(VIRTUAL_GPUS=2)
    with tf.device("gpu:1"):
        v = tf.Variable([1., 2.])
    o = tf.train.AdamOptimizer(.1)
    o.apply_gradients([(tf.constant([1., 1.]), v)])
    assert v.device == o.get_slot(v, "m").device and v.device.endswith("GPU:1")


def test_ftrl_with_another_power():
    v, o = tf.Variable([1., -2.]), tf.train.FtrlOptimizer(0.1, learning_rate_power=-1.)
    o.apply_gradients([(tf.constant([.5, .25]), v)])
    g, w = np.array([.5, .25]), np.array([1., -2.])
    accum = .1 + g * g
    linear = g - (accum - .1) / .1 * w
    np.testing.assert_allclose(v.numpy(), -linear / (accum / .1), rtol=1e-5)
