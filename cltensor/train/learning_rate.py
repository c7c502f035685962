"""Learning rates that change with the step.

Each function returns a `Schedule`: a callable without arguments, which optimizers call at each step, and which
also converts to its value now. Values are computed on the host from the step's host copy: no launch, no sync.
In a graph each returns a tensor, which runs may fetch and feed; of a step that is a variable it is computed on the
host, too, of one that the graph computes by the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, cos, exp, floor, pi
from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import state
from cltensor.core.tensor import Tensor, constant, convert, static_value
from cltensor.graph.given import given, looked_up
from cltensor.graph.graph import Graph
from cltensor.interpret.record import Symbol
from cltensor.ops import functions, math
from cltensor.ops.variable import Variable

__all__ = ["Schedule", "exponential_decay", "piecewise_constant", "piecewise_constant_decay", "polynomial_decay",
           "inverse_time_decay", "natural_exp_decay", "cosine_decay"]


class Schedule:
    """A learning rate as a function of a step: call it for the value now, a float32 scalar tensor.

    It also converts like a scalar: `float(rate)`, `"{:.3f}".format(rate)`, arithmetic with tensors.
    """

    __slots__ = ("_step", "_value", "name")
    __array_priority__ = 100

    def __init__(self, step: Any, value: Callable[[float], float], name: str):
        self._step, self._value, self.name = step, value, name

    def __call__(self) -> Tensor:
        step = self._step() if callable(self._step) else self._step
        fed = given(step) if isinstance(step, Variable) else None
        return constant(np.float32(self._value((static_value(step) if fed is None else fed).item())))

    def as_tensor(self) -> Tensor:
        """The value now."""
        return self()

    def numpy(self) -> np.ndarray:
        """The value now."""
        return self().numpy()

    def __float__(self) -> float:
        return float(self())

    def __format__(self, spec: str) -> str:
        return format(float(self()), spec)

    def __repr__(self) -> str:
        return f"<{self.name}: {float(self()):g} now>"


class _OnHost:
    """What the formulas are made of, on Python floats."""

    floor, ceil, exp, cos, minimum, maximum, power = floor, ceil, exp, cos, min, max, pow

    @staticmethod
    def pick(step: float, limits: list, rates: list) -> float:
        """The rate of the interval that the step is in."""
        return rates[next((i for i, b in enumerate(limits) if step <= b), -1)]


class _InGraph:
    """The same on tensors."""

    floor, ceil, exp, cos = functions.floor, functions.ceil, functions.exp, functions.cos
    minimum, maximum = math.minimum, math.maximum

    @staticmethod
    def power(base: Any, exponent: Any) -> Tensor:
        """Either may be a number."""
        return math.pow(convert(base, "float32"), exponent)

    @staticmethod
    def pick(step: Any, limits: list, rates: list) -> Tensor:
        """The rate of the interval that the step is in."""
        rate = convert(rates[-1], "float32")
        for limit, value in zip(reversed(limits), reversed(rates[:-1])):
            rate = math.where(math.less_equal(step, limit), convert(value, "float32"), rate)
        return rate


def _schedule(name: str, step: Any, formula: Callable, *numbers: Any) -> Any:
    """The schedule of a formula of (floor and its like, the step, the numbers); a tensor in a graph."""
    if step is None:
        raise InvalidArgumentError(f"{name}: global_step is missing; pass the variable that counts steps")
    graph = state.interpreter
    if not isinstance(graph, Graph):
        return Schedule(step, lambda now: formula(_OnHost, now, *numbers), name)
    if any(isinstance(x, Symbol) for x in (step, *numbers)):
        return formula(_InGraph, math.cast(step, "float32"), *numbers)
    schedule = Schedule(step, lambda now: formula(_OnHost, now, *numbers), name)
    return looked_up(graph, name, lambda: float(schedule()))


def _numbers(name: str, **values: Any) -> list:
    """Scalars as Python floats; those that a graph computes as tensors."""
    out: list = []
    for arg, value in values.items():
        if isinstance(value, Symbol):
            out.append(math.cast(value, "float32"))
            continue
        array = static_value(value)
        if array.shape != () or array.dtype.kind not in "fiu":
            raise InvalidArgumentError(f"{name}: {arg} must be a number, it is {value!r:.60}")
        out.append(float(array))
    return out


def _positive(name: str, arg: str, value: Any) -> None:
    if not isinstance(value, Symbol) and not value > 0:
        raise InvalidArgumentError(f"{name}: {arg} must be positive, it is {value:g}")


def _turns(m: Any, step: Any, steps: Any, staircase: bool) -> Any:
    """How many times decay_steps have passed, a whole number with `staircase`."""
    return m.floor(step / steps) if staircase else step / steps


def exponential_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                      name: str | None = None) -> Schedule:
    """learning_rate * decay_rate ** (step / decay_steps), the exponent cut to an integer with `staircase`.

    Args:
        learning_rate, decay_steps, decay_rate: numbers; decay_steps is positive.
        global_step: variable, tensor or number that counts steps, or a function that returns one.

    Returns: a callable, for any optimizer's `learning_rate`.
    Raises: InvalidArgumentError.

    Example:
        >>> import cltensor as tf
        >>> step = tf.Variable(0, dtype=tf.int64)
        >>> rate = tf.train.exponential_decay(1., step, 10, 0.5)
        >>> _ = step.assign(20)
        >>> float(rate())
        0.25
    """
    rate, steps, decay = _numbers("exponential_decay", learning_rate=learning_rate, decay_steps=decay_steps,
                                  decay_rate=decay_rate)
    _positive("exponential_decay", "decay_steps", steps)
    return _schedule("exponential_decay", global_step, lambda m, step, rate, steps, decay:
                     rate * m.power(decay, _turns(m, step, steps, staircase)), rate, steps, decay)


def natural_exp_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                      name: str | None = None) -> Schedule:
    """learning_rate * exp(-decay_rate * step / decay_steps); arguments as for `exponential_decay`."""
    rate, steps, decay = _numbers("natural_exp_decay", learning_rate=learning_rate, decay_steps=decay_steps,
                                  decay_rate=decay_rate)
    _positive("natural_exp_decay", "decay_steps", steps)
    return _schedule("natural_exp_decay", global_step, lambda m, step, rate, steps, decay:
                     rate * m.exp(-decay * _turns(m, step, steps, staircase)), rate, steps, decay)


def inverse_time_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                       name: str | None = None) -> Schedule:
    """learning_rate / (1 + decay_rate * step / decay_steps); arguments as for `exponential_decay`."""
    rate, steps, decay = _numbers("inverse_time_decay", learning_rate=learning_rate, decay_steps=decay_steps,
                                  decay_rate=decay_rate)
    _positive("inverse_time_decay", "decay_steps", steps)
    return _schedule("inverse_time_decay", global_step, lambda m, step, rate, steps, decay:
                     rate / (1.0 + decay * _turns(m, step, steps, staircase)), rate, steps, decay)


def piecewise_constant(x: Any, boundaries: Sequence, values: Sequence, name: str | None = None) -> Schedule:
    """values[0] while x <= boundaries[0], values[1] while x <= boundaries[1], ..., the last one after that.

    Args:
        x: the step, as in `exponential_decay`.
        boundaries: increasing numbers; values: one number more.

    Raises: InvalidArgumentError for boundaries that do not increase or values that do not fit them.

    Example:
        >>> import cltensor as tf
        >>> step = tf.Variable(10, dtype=tf.int64)
        >>> rate = tf.train.piecewise_constant(step, [10, 20], [1., .5, .1])
        >>> float(rate()), float(step.assign_add(1)), float(rate())
        (1.0, 11.0, 0.5)
    """
    limits = [float(static_value(b)) for b in boundaries]
    rates = [float(static_value(v)) for v in values]
    if len(rates) != len(limits) + 1:
        raise InvalidArgumentError("piecewise_constant: values must have one entry more than boundaries, there are "
                                   f"{len(rates)} and {len(limits)}")
    if any(a >= b for a, b in zip(limits, limits[1:])):
        raise InvalidArgumentError(f"piecewise_constant: boundaries must increase, they are {limits}")
    return _schedule("piecewise_constant", x, lambda m, step: m.pick(step, limits, rates))


piecewise_constant_decay = piecewise_constant


def polynomial_decay(learning_rate: Any, global_step: Any, decay_steps: Any, end_learning_rate: Any = 0.0001,
                     power: Any = 1.0, cycle: bool = False, name: str | None = None) -> Schedule:
    """From learning_rate to end_learning_rate: (start - end) * (1 - step / decay_steps) ** power + end.

    With `cycle`, decay_steps grows to the next of its multiples whenever it is passed; else the end is kept.

    Example:
        >>> import cltensor as tf
        >>> round(float(tf.train.polynomial_decay(1., 5, 10, 0.)()), 3)
        0.5
    """
    start, steps, end, exponent = _numbers("polynomial_decay", learning_rate=learning_rate, decay_steps=decay_steps,
                                           end_learning_rate=end_learning_rate, power=power)
    _positive("polynomial_decay", "decay_steps", steps)

    def value(m: Any, step: Any, start: Any, steps: Any, end: Any, exponent: Any) -> Any:
        within = steps * m.maximum(1.0, m.ceil(step / steps)) if cycle else steps
        return (start - end) * m.power(1.0 - m.minimum(step, within) / within, exponent) + end
    return _schedule("polynomial_decay", global_step, value, start, steps, end, exponent)


def cosine_decay(learning_rate: Any, global_step: Any, decay_steps: Any, alpha: Any = 0.0,
                 name: str | None = None) -> Schedule:
    """Half a cosine from learning_rate to alpha * learning_rate within decay_steps (Loshchilov and Hutter 2016).

    Example:
        >>> import cltensor as tf
        >>> round(float(tf.train.cosine_decay(1., 5, 10)()), 3)
        0.5
    """
    rate, steps, least = _numbers("cosine_decay", learning_rate=learning_rate, decay_steps=decay_steps, alpha=alpha)
    _positive("cosine_decay", "decay_steps", steps)
    return _schedule("cosine_decay", global_step, lambda m, step, rate, steps, least: rate * (
        (1.0 - least) * 0.5 * (1.0 + m.cos(pi * m.minimum(step, steps) / steps)) + least), rate, steps, least)
