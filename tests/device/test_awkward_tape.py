"""Awkward points of tapes, gradient functions and custom gradients, as TensorFlow's unit tests pin them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.dispatch import state

tfe = tf.contrib.eager


@pytest.fixture(autouse=True)
def no_tape_left() -> Any:
    yield
    assert state.recorders == []


def numbers(gradients: Any) -> Any:
    if isinstance(gradients, (list, tuple)):
        return [numbers(g) for g in gradients]
    return None if gradients is None else gradients.numpy().tolist()


# -- gradient functions
def test_integers_and_unconnected_have_no_gradient() -> None:
    assert tfe.gradients_function(lambda x: x * x)(3) == [None]
    assert tfe.gradients_function(lambda x: tf.argmax(x))([1., 2.]) == [None]
    assert tfe.gradients_function(lambda x, y: x * 2.)(1., 2.)[1] is None


def test_results_are_summed() -> None:
    assert numbers(tfe.gradients_function(lambda x: (x, 2 * x))(1.)) == [3]
    assert numbers(tfe.gradients_function(lambda x: x * x)(1., dy=2.)) == [4]


def test_orders() -> None:
    square = tf.square
    first = tfe.gradients_function(square)
    second = tfe.gradients_function(lambda x: first(x)[0])
    third = tfe.gradients_function(lambda x: second(x)[0])
    assert numbers(first(3.)) == [6] and numbers(second(3.)) == [2] and third(3.) == [None]


def test_arguments() -> None:
    def f(x: Any, y: Any = 3., z: Any = 5.) -> Any:
        return x * y * z
    assert numbers(tfe.gradients_function(f)(2., 3., 5.)) == [15, 10, 6]
    assert numbers(tfe.gradients_function(f)(2., y=4.)) == [20, 10]
    assert numbers(tfe.gradients_function(f, params=[1])(2., 3.)) == [10]
    assert numbers(tfe.gradients_function(f, params=["z", "x"])(2., 3., 5.)) == [6, 15]
    x = tf.constant(4.)
    assert numbers(tfe.gradients_function(lambda a, b: a * a * b)(x, x)) == [32, 16]      # one object, two arguments
    with pytest.raises(ValueError):
        tfe.gradients_function(lambda x: None)(1.)


def test_implicit() -> None:
    v, w = tf.Variable(2.), tf.Variable(3.)
    pairs = tfe.implicit_gradients(lambda: w * w * v)()
    assert [p[1] is x for p, x in zip(pairs, (v, w))] == [True, True] and numbers([p[0] for p in pairs]) == [9, 12]
    value, pairs = tfe.implicit_value_and_gradients(lambda: v * 2. + 0. * tf.stop_gradient(w))()
    assert value.numpy() == 4 and dict((id(x), g) for g, x in pairs)[id(w)] is None       # read, but unconnected


def test_an_exception_leaves_no_tape() -> None:
    def broken(x: Any) -> Any:
        raise KeyError("mine")
    for run in (lambda: tfe.gradients_function(broken)(1.), lambda: tfe.implicit_gradients(broken)(1.)):
        with pytest.raises(KeyError):
            run()
        assert state.recorders == []
    with pytest.raises(KeyError), tf.GradientTape():
        broken(1)


# -- tapes
def test_unwatched_and_untrainable() -> None:
    x, v = tf.constant(2.), tf.Variable(3., trainable=False)
    with tf.GradientTape() as tape:
        y = x * v
    assert tape.gradient(y, [x, v]) == [None, None]
    with tf.GradientTape() as tape:
        tape.watch(v)
        y = x * v
    assert numbers(tape.gradient(y, v)) == 2


def test_targets_and_weights() -> None:
    x, y = tf.constant(3.), tf.constant(2.)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, y])
        loss = x * y
    assert numbers(tape.gradient([loss, x], [x, y], output_gradients=[1., 2.])) == [4, 3]
    assert numbers(tape.gradient([loss, loss], x)) == 4


def test_structure_of_sources() -> None:
    x, y = tf.constant(3.), tf.constant(2.)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((x, y))
        z = x * x + 5. * x + y
    assert isinstance(tape.gradient(z, (x, y)), tuple)
    assert numbers(tape.gradient(z, [x, x])) == [11, 11]
    got = tape.gradient(z, {"a": x, "b": [y]})
    assert numbers(got["a"]) == 11 and numbers(got["b"]) == [1]


def test_intermediates() -> None:
    x = tf.constant(3.)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    assert numbers(tape.gradient(z, [x, y])) == [108, 18]


def test_persistent_tapes_record_their_own_gradients() -> None:
    x = tf.constant(3.)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x * x
        first = tape.gradient(y, x)
        second = tape.gradient(first, x)
        third = tape.gradient(second, x)
    assert numbers([first, second, third]) == [27, 18, 6]


def test_inner_gradients_are_recorded_outside() -> None:
    x = tf.constant(2.)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = x ** 3
        first = inner.gradient(y, x)
    assert numbers(first) == 12 and numbers(outer.gradient(first, x)) == 12


def test_a_tape_may_be_asked_inside_its_block() -> None:
    x = tf.constant(3.)
    with tf.GradientTape() as tape:
        tape.watch(x)
        assert numbers(tape.gradient(x * x, x)) == 6
    with pytest.raises(RuntimeError):
        tape.gradient(x, x)


def test_entered_twice() -> None:
    tape = tf.GradientTape()
    with tape, pytest.raises(ValueError):
        tape.__enter__()


def test_second_gradient() -> None:
    x = tf.constant(1.)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * 2.
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="persistent=True"):
        tape.gradient(y, x)


def test_watch_does_not_reach_back() -> None:
    x = tf.constant(2.)
    with tf.GradientTape() as tape:
        early = x * x
        tape.watch(x)
        late = x * 3.
    after = late * 5.
    assert numbers(tape.gradient(late + early, x)) is None      # made after the block
    with tf.GradientTape(persistent=True) as tape:
        early = x * x
        tape.watch(x)
        late = x * 3. + early
    assert numbers(tape.gradient(late, x)) == 3 and tape.gradient(early, x) is None and after is not None


def test_stopping_and_resetting() -> None:
    v = tf.Variable(2.)
    with tf.GradientTape(persistent=True) as tape:
        a = v * v
        with tape.stop_recording():
            b = v * v * v
        assert tape.gradient(b, v) is None and numbers(tape.gradient(a, v)) == 4
        assert tape.watched_variables() == (v,)
        tape.reset()
        assert tape.watched_variables() == () and tape.gradient(a, v) is None


def test_python_does_not_disturb_a_tape(capsys: pytest.CaptureFixture) -> None:
    x = tf.constant(3.)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        while y < 100.:
            print(y, np.sqrt(y), bool(y > 1.), float(y))
            y = y * x
    assert numbers(tape.gradient(y, x)) == 5 * 81
    assert "tf.Tensor(9.0" in capsys.readouterr().out


def test_reads_are_values() -> None:
    v = tf.Variable(3.)
    with tf.GradientTape() as tape:
        y = v * v
        v.assign(10.)
    assert y.numpy() == 9 and numbers(tape.gradient(y, v)) == 6


def test_assign_has_no_gradient() -> None:
    x, v = tf.constant(3.), tf.Variable(1.)
    with tf.GradientTape() as tape:
        tape.watch(x)
        v.assign(x * 2.)
        y = v * 5.
    assert tape.gradient(y, [x, v])[0] is None


def test_unconnected_may_be_zero() -> None:
    x, y = tf.constant([1., 2.]), tf.constant(1.)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        z = y * 2.
    assert numbers(tape.gradient(z, x, unconnected_gradients="zero")) == [0, 0]


def test_devices_mix(with_environment: Any) -> None:
    with_environment(VIRTUAL_GPUS=1)
    with tf.device("/cpu:0"):
        x = tf.constant(np.arange(2000, dtype=np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum((x.gpu() * 2. + x).cpu() * x)
    assert np.array_equal(tape.gradient(y, x).numpy(), 6 * x.numpy())


# -- custom gradients
def test_several_results_get_zeros_where_unused() -> None:
    seen = []

    @tf.custom_gradient
    def f(x: Any) -> Any:
        def grad(d0: Any, d1: Any) -> Any:
            seen.append((float(d0), float(d1)))
            return d0 * 10. + d1
        return (x, x * 2.), grad
    assert numbers(tfe.gradients_function(lambda x: f(x)[0])(1.)) == [10]
    assert seen == [(1, 0)]


def test_variables_inside() -> None:
    v = tf.Variable(3.)

    @tf.custom_gradient
    def f(x: Any) -> Any:
        def grad(dy: Any, variables: Any = None) -> Any:
            assert len(variables) == 1 and variables[0] is v
            return dy * 7., [dy * 11.]
        return x * v, grad
    x = tf.constant(2.)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    assert numbers(tape.gradient(y, [x, v])) == [7, 11]

    @tf.custom_gradient
    def careless(x: Any) -> Any:
        return x * v, lambda dy: dy
    with pytest.raises(TypeError, match="variables="):
        careless(x)


def test_python_values_none_and_keywords() -> None:
    @tf.custom_gradient
    def f(x: Any, y: Any, scale: float = 1.) -> Any:
        return x * y * scale, lambda dy: [None, dy * scale]
    x, y = tf.constant(2.), tf.constant(3.)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        z = f(x, y, scale=4.)
    assert z.numpy() == 24 and numbers(tape.gradient(z, [x, y])) == [None, 4]
    assert f(2., np.float32(3.)).numpy() == 6


def test_orders_go_through_grad_fn() -> None:
    @tf.custom_gradient
    def log1pexp(x: Any) -> Any:
        e = tf.exp(x)
        return tf.log(1 + e), lambda dy: dy * (1 - 1 / (1 + e))
    first = tfe.gradients_function(log1pexp)
    assert numbers(first(0.)) == [0.5] and numbers(first(100.)) == [1.0]
    assert np.isnan(numbers(tfe.gradients_function(lambda x: tf.log(1 + tf.exp(x)))(100.)))
    assert numbers(tfe.gradients_function(lambda x: first(x)[0])(0.)) == [0.25]

    @tf.custom_gradient
    def lying(x: Any) -> Any:
        return x * x * x, lambda dy: dy * 100. * x
    wrong = tfe.gradients_function(lying)
    assert numbers(wrong(2.)) == [200] and numbers(tfe.gradients_function(lambda x: wrong(x)[0])(2.)) == [100]


def test_errors_in_grad_fn_come_out() -> None:
    @tf.custom_gradient
    def f(x: Any) -> Any:
        def grad(dy: Any) -> Any:
            raise LookupError("mine")
        return x * 1., grad
    with pytest.raises(LookupError, match="mine"):
        tfe.gradients_function(f)(1.)
