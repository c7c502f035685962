"""Rows of the optimizers' update rules; twins are the papers' formulas, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.ops import update
from tests.ops.row import Case, Input, Row, Ulps, uniform

_SHAPES: tuple = ((), (0,), (17,), (7, 13), (9_001,))
_VAR, _SLOT = Input(), Input(uniform(0.1, 2))


def _step(op: OpDef, twin: Any, slots: int, *numbers: float, signed: int = 0) -> Row:
    """A row for `op(var, slots..., grad, numbers...)`; `signed` slots at the end may be negative."""
    exact = tuple(float(np.float32(n)) for n in numbers)
    inputs = (_VAR, *[_SLOT] * (slots - signed), *[_VAR] * signed, _VAR)
    return Row(op.name, lambda *tensors: execute(op, (*tensors, *numbers)), lambda *arrays: twin(*arrays, *exact),
        inputs,
               tuple(Case((s,) * len(inputs)) for s in _SHAPES), order=0, tolerance=Ulps(8, 8))


def _momentum(v: Any, a: Any, g: Any, lr: float, m: float) -> list:
    a = a * m + g
    return [v - lr * a, a]


def _nesterov(v: Any, a: Any, g: Any, lr: float, m: float) -> list:
    a = a * m + g
    return [v - lr * (g + m * a), a]


def _adam(v: Any, m: Any, s: Any, g: Any, lr: float, r1: float, r2: float, eps: float) -> list:
    m, s = (1 - r1) * m + r1 * g, (1 - r2) * s + r2 * g * g
    return [v - lr * m / (np.sqrt(s) + eps), m, s]


def _rmsprop(v: Any, s: Any, mom: Any, g: Any, lr: float, rest: float, m: float, eps: float) -> list:
    s = (1 - rest) * s + rest * g * g
    mom = m * mom + lr * g / np.sqrt(s + eps)
    return [v - mom, s, mom]


def _centered(v: Any, s: Any, mom: Any, mg: Any, g: Any, lr: float, rest: float, m: float, eps: float) -> list:
    s, mg = (1 - rest) * s + rest * g * g, (1 - rest) * mg + rest * g
    mom = m * mom + lr * g / np.sqrt(s - mg * mg + eps)
    return [v - mom, s, mom, mg]


def _adagrad(v: Any, a: Any, g: Any, lr: float) -> list:
    a = a + g * g
    return [v - lr * g / np.sqrt(a), a]


def _adadelta(v: Any, a: Any, u: Any, g: Any, lr: float, rho: float, rest: float, eps: float) -> list:
    a = a * rho + g * g * rest
    delta = np.sqrt(u + eps) / np.sqrt(a + eps) * g
    return [v - lr * delta, a, u * rho + delta * delta * rest]


def _ftrl(v: Any, a: Any, z: Any, g: Any, lr: float, l1: float, l2: float, p: float = 0.5) -> list:
    new = a + g * g
    z = z + g - (new**p - a**p) / lr * v
    quadratic = new**p / lr + l2
    return [np.where(np.abs(z) > l1, (np.copysign(l1, z) - z) / quadratic, 0), new, z]


ROWS = (
    _step(update.GRADIENT_DESCENT, lambda v, g, lr: v - lr * g, 0, 0.1),
    _step(update.MOMENTUM, _momentum, 1, 0.1, 0.9),
    _step(update.NESTEROV, _nesterov, 1, 0.1, 0.9),
    _step(update.ADAM, _adam, 2, 0.01, 0.1, 0.001, 1e-8),
    _step(update.RMSPROP, _rmsprop, 2, 0.1, 0.1, 0.9, 1e-10),
    _step(update.CENTERED_RMSPROP, _centered, 3, 0.1, 0.1, 0.9, 4.0),
    _step(update.ADAGRAD, _adagrad, 1, 0.1),
    _step(update.ADADELTA, _adadelta, 2, 0.1, 0.95, 0.05, 1e-6),
    _step(update.FTRL, _ftrl, 2, 0.5, 0.25, 0.125, signed=1),
    _step(update.FTRL_POWER, _ftrl, 2, 0.5, 0.25, 0.125, 0.75, signed=1),
    _step(update.MOVING_AVERAGE, lambda v, x, rest: v - (v - x) * rest, 0, 0.1),
)
