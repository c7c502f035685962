"""Rows of recurrent cell steps; twins are the papers' formulas, their gradients written out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.core.dispatch import execute
from cltensor.ops import recurrent
from tests.ops.row import Case, Input, Rounded, Row, uniform

# units below, at and above one vector of 16, prime; one row and many; no rows
_SIZES = ((1, 1), (2, 5), (3, 16), (2, 17), (0, 3), (5, 31), (7, 1009), (67, 64))
_SMALL = Input(uniform(-1.5, 1.5))
# gates on both sides of the hard sigmoid's kinks, at -2.5 and 2.5, but not near them
_KINKED = (Input(lambda rng, shape, dtype: rng.integers(-1, 2, shape) * 4 + rng.uniform(-1, 1, shape)),
           *[Input(uniform(-0.2, 0.2))] * 4)


def _soft(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _hard(x: Any) -> Any:
    return np.clip(0.2 * x + 0.5, 0, 1)


def _slope(y: Any, hard: bool) -> Any:
    return np.where((y > 0) & (y < 1), 0.2, 0.0) if hard else y * (1 - y)


def _strips(x: Any, order: str) -> dict:
    return dict(zip(order, np.split(x, len(order), -1)))


def _lstm(a: Any, b: Any, c: Any, order: str = "ifgo", hard: bool = False, forget_bias: float = 0.0) -> list:
    s, x = _hard if hard else _soft, _strips(a + b, order)
    c = s(x["f"] + forget_bias) * c + s(x["i"]) * np.tanh(x["g"])
    return [s(x["o"]) * np.tanh(c), c]


def _lstm_grad(a: Any, b: Any, c: Any, gh: Any, gc: Any, order: str = "ifgo", hard: bool = False,
               forget_bias: float = 0.0) -> list:
    s, x = _hard if hard else _soft, _strips(a + b, order)
    i, f, o, g = s(x["i"]), s(x["f"] + forget_bias), s(x["o"]), np.tanh(x["g"])
    t = np.tanh(f * c + i * g)
    d = gc + gh * o * (1 - t * t)
    out = {"i": d * g * _slope(i, hard), "f": d * c * _slope(f, hard), "g": d * i * (1 - g * g),
           "o": gh * t * _slope(o, hard)}
    return [np.concatenate([out[k] for k in order], -1), d * f]


def _gru(a: Any, hid: Any, b: Any, h: Any, order: str = "zrn", hard: bool = False) -> Any:
    s, x, y = _hard if hard else _soft, _strips(a, order), _strips(hid + b, order)
    z, r = s(x["z"] + y["z"]), s(x["r"] + y["r"])
    return z * h + (1 - z) * np.tanh(x["n"] + r * y["n"])


def _gru_grad(a: Any, hid: Any, b: Any, h: Any, g: Any, order: str = "zrn", hard: bool = False) -> list:
    s, x, y = _hard if hard else _soft, _strips(a, order), _strips(hid + b, order)
    z, r = s(x["z"] + y["z"]), s(x["r"] + y["r"])
    n = np.tanh(x["n"] + r * y["n"])
    dn = g * (1 - z) * (1 - n * n)
    out = {"z": g * (h - n) * _slope(z, hard), "r": dn * y["n"] * _slope(r, hard), "n": dn}
    return [np.concatenate([p[k] for k in order], -1) for p in (out, {**out, "n": dn * r})] + [g * z]


def _mix(z: Any, a: Any, b: Any, h: Any) -> Any:
    return z * h + (1 - z) * np.tanh(a + b)


def _lstm_grad_call(a: Any, b: Any, c: Any, gh: Any, gc: Any, order: str = "ifgo", hard: bool = False,
                    forget_bias: float = 0.0) -> Any:
    return execute(recurrent._LSTM_GRAD, (a, b, c, gh, gc), recurrent._attrs(order, hard, forget_bias))


def _gru_grad_call(a: Any, hid: Any, b: Any, h: Any, g: Any, order: str = "zrn", hard: bool = False) -> Any:
    return execute(recurrent._GRU_GRAD, (a, hid, b, h, g), recurrent._attrs(order, hard, 0.0))


def _cases(gates: int, widths: str, sizes: tuple = _SIZES, **attrs: Any) -> tuple:
    return tuple(Case(tuple((gates * u,) if w == "v" else (n, u if w == "s" else gates * u) for w in widths), attrs)
                 for n, u in sizes)


def _row(name: str, call: Any, twin: Any, cases: tuple, inputs: int, **more: Any) -> Row:
    """Results are sums of a few products of numbers below 2: errors in units of one."""
    numbers = _KINKED[:inputs] if "hard" in name else (_SMALL,) * inputs
    return Row(name, call, twin, numbers, cases, tolerance=Rounded(6, lambda *x, **how: np.array(2.0)),
               gradient=2e-5, **more)


_WIDE = ("float32", "float64", "float16")
_FEW = ((2, 5), (5, 31))

ROWS = (
    _row("lstm_cell", recurrent.lstm_cell, _lstm,
         (*_cases(4, "ggs"), *_cases(4, "gvs", _FEW, order="igfo", forget_bias=1.0)), 3, dtypes=_WIDE),
    _row("lstm_cell of hard sigmoids", recurrent.lstm_cell, _lstm, _cases(4, "gvs", _FEW, hard=True), 3,
         covers=("lstm_cell",)),
    _row("lstm_cell_grad", _lstm_grad_call, _lstm_grad,
         (*_cases(4, "ggsss"), *_cases(4, "gvsss", _FEW, order="igfo", forget_bias=1.0)), 5,
         dtypes=_WIDE, order=1),
    _row("lstm_cell_grad of hard sigmoids", _lstm_grad_call, _lstm_grad, _cases(4, "gvsss", _FEW, hard=True), 5,
         covers=("lstm_cell_grad",), order=1),
    _row("gru_cell", recurrent.gru_cell, _gru,
         (*_cases(3, "ggvs"), *_cases(3, "gggs", _FEW, order="rzn")), 4, dtypes=_WIDE),
    _row("gru_cell of hard sigmoids", recurrent.gru_cell, _gru, _cases(3, "ggvs", _FEW, hard=True), 4,
         covers=("gru_cell",)),
    _row("gru_cell_grad", _gru_grad_call, _gru_grad,
         (*_cases(3, "ggvss"), *_cases(3, "gggss", _FEW, order="rzn")), 5, dtypes=_WIDE, order=1),
    _row("gru_cell_grad of hard sigmoids", _gru_grad_call, _gru_grad, _cases(3, "ggvss", _FEW, hard=True), 5,
         covers=("gru_cell_grad",), order=1),
    *(_row("gru_reset" + "_hard" * hard, lambda a, b, h, hard=hard: recurrent.gru_reset(a, b, h, hard),
           lambda a, b, h, hard=hard: (_hard if hard else _soft)(a + b) * h, _cases(1, "sss"), 3)
      for hard in (False, True)),
    *(_row("gru_mix" + "_hard" * hard, lambda *x, hard=hard: recurrent.gru_mix(*x, hard),
           lambda *x, hard=hard: _mix((_hard if hard else _soft)(x[0] + x[1]), *x[2:]), _cases(1, "sssss"), 5)
      for hard in (False, True)),
)
