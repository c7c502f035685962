"""Steps of recurrent cells after their matrix product: LSTM and GRU, one kernel forwards and one backwards.

A step's gradient comes from one kernel for all inputs, so the rows are variadic: one rule for all of them. The
rows of the gradients have rules themselves, written in public ops, so any order follows.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import convert
from cltensor.kernels.plan import Plan
from cltensor.kernels.recurrent import lower_cell
from cltensor.ops.creation import zeros
from cltensor.ops.functions import sigmoid, tanh
from cltensor.ops.join import concat, split
from cltensor.ops.math import clip_by_value, greater, less, logical_and, square, where

__all__ = ["lstm_cell", "gru_cell", "gru_reset", "gru_mix"]

_LSTM_ORDERS, _GRU_ORDERS = ("ifgo", "igfo"), ("zrn", "rzn")


def _check(op: str, gates: int, names: tuple, widths: str, specs: tuple) -> None:
    """Width "g" is [batch, gates * units], "v" that or [gates * units], "s" [batch, units]; all are floating."""
    state = specs[widths.index("s")]
    if not state.dtype.is_floating:
        raise DTypeError(f"{op}: {names[widths.index('s')]} must be floating, it has dtype {state.dtype.name} and "
                         f"shape {show(state.shape)}")
    if any(s.rank is None for s in specs):
        return
    rows, units = state.shape if state.rank == 2 else (None, None)
    for width, s in zip(widths, specs):
        want = (rows, units if width == "s" or units is None else gates * units)
        if width == "v" and s.rank == 1:
            want = want[1:]
        if state.rank != 2 or s.rank != len(want) or any(None not in (a, b) and a != b for a, b in zip(s.shape, want)):
            raise InvalidArgumentError(
                f"{op}: shapes do not fit: gates must be [batch, {gates} * units] and states [batch, units], "
                + ", ".join(f"{n} has shape {show(x.shape)}" for n, x in zip(names, specs)))


def _row(name: str, args: tuple, widths: str, results: str, orders: tuple, vjp: Any, doc: str) -> OpDef:
    """A row; `widths` and `results` tell of each input and result whether it is gates, a vector or a state."""
    gates = len(orders[0])

    def infer(*specs: Spec, order: str, hard: bool, forget: float) -> Any:
        if order not in orders:
            raise InvalidArgumentError(f"{name}: order must be one of {', '.join(orders)}, it is {order!r}")
        _check(name, gates, args, widths, specs)
        out = tuple(specs[0] if r == "g" else specs[widths.index("s")] for r in results)
        return out if len(out) > 1 else out[0]

    def lower(ins: tuple, outs: tuple, target: Any, order: str, hard: bool, forget: float) -> Plan:
        return lower_cell(ins, outs, target, kind=name.replace("_cell", ""), order=order, hard=hard, forget=forget,
                          vector=widths.index("v"), state=widths.index("s"))
    return OpDef(name, args, infer, lower=lower, types="*", vjps=(vjp,), outputs=len(results), doc=doc)


def _attrs(order: str, hard: bool, forget: float) -> tuple:
    return (("order", order), ("hard", hard), ("forget", forget))


def _squash(x: Any, hard: bool) -> Any:
    """The sigmoid of x, or the hard one."""
    return clip_by_value(x * 0.2 + 0.5, 0.0, 1.0) if hard else sigmoid(x)


def _slope(y: Any, hard: bool) -> Any:
    """Its derivative, from its value."""
    return where(logical_and(greater(y, 0.0), less(y, 1.0)), 0.2, y * 0.0) if hard else y * (1.0 - y)


def _bend(y: Any, hard: bool) -> Any:
    """Its second derivative."""
    return y * 0.0 if hard else y * (1.0 - y) * (1.0 - y * 2.0)


class _Squash:
    """A sigmoid of x with its first two derivatives, in public ops."""

    def __init__(self, x: Any, hard: bool):
        self.value = _squash(x, hard)
        self.slope, self.bend = _slope(self.value, hard), _bend(self.value, hard)


def _strips(x: Any, order: str) -> dict:
    return dict(zip(order, split(x, len(order), -1)))


def _join(parts: dict, order: str) -> Any:
    return concat([parts[gate] for gate in order], -1)


# -- LSTM
def _lstm_vjp(g0: Any, g1: Any, x0: Any, x1: Any, x2: Any, order: str, hard: bool, forget: float) -> list:
    dgates, dc = execute(_LSTM_GRAD, (x0, x1, x2, g0, g1), _attrs(order, hard, forget))
    return [dgates, dgates, dc]


def _lstm_grad_vjp(g0: Any, g1: Any, x0: Any, x1: Any, x2: Any, x3: Any, x4: Any, order: str, hard: bool,
                   forget: float) -> list:
    """Of G . dgates + Gc * dc, where dgates are d * (g I, c F, i (1 - g^2)) and gh t O, dc is d * f."""
    a, G = _strips(x0 + x1, order), _strips(g0, order)
    i, f, o = (_Squash(x, hard) for x in (a["i"], a["f"] + forget, a["o"]))
    g, c, gh = tanh(a["g"]), x2, x3
    dg, t = 1.0 - square(g), tanh(f.value * c + i.value * g)
    dt = 1.0 - square(t)
    d = x4 + gh * o.value * dt
    by_d = G["i"] * g * i.slope + G["f"] * c * f.slope + G["g"] * i.value * dg + g1 * f.value
    by_c1 = (by_d * gh * o.value * t * -2.0 + G["o"] * gh * o.slope) * dt
    out = {
        "i": d * (G["i"] * g * i.bend + G["g"] * i.slope * dg) + by_c1 * g * i.slope,
        "f": d * (G["f"] * c * f.bend + g1 * f.slope) + by_c1 * c * f.slope,
        "g": d * (G["i"] * i.slope - G["g"] * i.value * g * 2.0) * dg + by_c1 * i.value * dg,
        "o": by_d * gh * o.slope * dt + G["o"] * gh * t * o.bend,
    }
    gates = _join(out, order)
    return [gates, gates, d * G["f"] * f.slope + by_c1 * f.value, by_d * o.value * dt + G["o"] * t * o.slope, by_d]


_LSTM = _row("lstm_cell", ("gates", "added", "c"), "gvs", "ss", _LSTM_ORDERS, _lstm_vjp,
             "One step of an LSTM (Hochreiter and Schmidhuber 1997; forget gates: Gers et al. 2000).")
_LSTM_GRAD = _row("lstm_cell_grad", ("gates", "added", "c", "grad_h", "grad_c"), "gvsss", "gs", _LSTM_ORDERS,
                  _lstm_grad_vjp, "Gradient of lstm_cell.")


def lstm_cell(gates: Any, added: Any, c: Any, order: str = "ifgo", hard: bool = False, forget_bias: float = 0.0,
              name: str | None = None) -> tuple:
    """One step of an LSTM from its gates before activation.

    With a = gates + added, cut into input, forget, candidate and output strips:
    c' = s(f + forget_bias) * c + s(i) * tanh(g), h = s(o) * tanh(c').

    Args:
        gates: floating tensor [batch, 4 * units], a matrix product.
        added: of the same dtype and shape, the other product; or [4 * units], a bias.
        c: state [batch, units].
        order: of the strips, "ifgo" (Keras) or "igfo" (BasicLSTMCell).
        hard: s is the hard sigmoid, 0.2 x + 0.5 within [0, 1].
        forget_bias: a number.

    Returns: (h, c'), both [batch, units].
    Raises: InvalidArgumentError for shapes that do not fit or another order; DTypeError.

    Example:
        >>> import cltensor as tf
        >>> from cltensor.ops.recurrent import lstm_cell
        >>> h, c = lstm_cell(tf.zeros([1, 8]), tf.zeros([8]), tf.ones([1, 2]))
        >>> c.numpy().tolist()
        [[0.5, 0.5]]
    """
    return execute(_LSTM, (gates, added, c), _attrs(order, bool(hard), float(forget_bias)))


# -- GRU
def _gru_vjp(g: Any, x0: Any, x1: Any, x2: Any, x3: Any, order: str, hard: bool, forget: float) -> list:
    dgates, dhidden, dh = execute(_GRU_GRAD, (x0, x1, x2, x3, g), _attrs(order, hard, forget))
    return [dgates, dhidden, dhidden, dh]


def _gru_grad_vjp(g0: Any, g1: Any, g2: Any, x0: Any, x1: Any, x2: Any, x3: Any, x4: Any, order: str, hard: bool,
                  forget: float) -> list:
    """Of G . dgates + H . dhidden + Gh * dh, where dgates are g (h - n) Z, dn hid R and dn = g (1 - z) (1 - n^2)."""
    x, hid, G, H = (_strips(v, order) for v in (x0, x1 + x2, g0, g1))
    z, r = (_Squash(x[k] + hid[k], hard) for k in "zr")
    n, h, g = tanh(x["n"] + r.value * hid["n"]), x3, x4
    steep, rest = 1.0 - square(n), 1.0 - z.value
    dn = g * rest * steep
    by_z, by_r = G["z"] + H["z"], G["r"] + H["r"]
    by_dn = by_r * hid["n"] * r.slope + G["n"] + H["n"] * r.value
    by_n = (by_z * z.slope + by_dn * rest * n * 2.0) * g * steep * -1.0
    out = {
        "z": g * (by_z * (h - n) * z.bend - by_dn * steep * z.slope + g2 * z.slope),
        "r": by_n * hid["n"] * r.slope + dn * (by_r * hid["n"] * r.bend + H["n"] * r.slope),
        "n": by_n,
    }
    hidden = _join({**out, "n": by_n * r.value + by_r * dn * r.slope}, order)
    return [_join(out, order), hidden, hidden, by_z * g * z.slope,
            by_z * (h - n) * z.slope + by_dn * rest * steep + g2 * z.value]


_GRU = _row("gru_cell", ("gates", "hidden", "bias", "h"), "ggvs", "s", _GRU_ORDERS, _gru_vjp,
            "One step of a GRU (Cho et al. 2014) whose reset gate comes after the matrix product.")
_GRU_GRAD = _row("gru_cell_grad", ("gates", "hidden", "bias", "h", "grad"), "ggvss", "ggs", _GRU_ORDERS, _gru_grad_vjp,
                 "Gradient of gru_cell.")


def gru_cell(gates: Any, hidden: Any, bias: Any, h: Any, order: str = "zrn", hard: bool = False,
             name: str | None = None) -> Any:
    """One step of a GRU whose reset gate is applied after the matrix product with the state.

    With hid = hidden + bias, z = s(gates_z + hid_z) and r = s(gates_r + hid_r):
    h' = z * h + (1 - z) * tanh(gates_n + r * hid_n).

    Args:
        gates: floating tensor [batch, 3 * units], the product with the input.
        hidden: of the same shape, the product with the state.
        bias: [3 * units], or None.
        h: state [batch, units].
        order: of the strips, "zrn" (Keras) or "rzn".
        hard: s is the hard sigmoid, 0.2 x + 0.5 within [0, 1].

    Returns: h', [batch, units].
    Raises: InvalidArgumentError for shapes that do not fit or another order; DTypeError.

    Example:
        >>> import cltensor as tf
        >>> from cltensor.ops.recurrent import gru_cell
        >>> gru_cell(tf.zeros([1, 6]), tf.zeros([1, 6]), None, tf.ones([1, 2])).numpy().tolist()
        [[0.5, 0.5]]
    """
    if bias is None:
        hidden = convert(hidden)
        bias = zeros(hidden.spec.shape[-1:], hidden.dtype)
    return execute(_GRU, (gates, hidden, bias, h), _attrs(order, bool(hard), 0.0))


# -- the GRU whose reset gate comes before the product: two products, and an expression row after each
def _same_infer(name: str, args: tuple) -> Any:
    def infer(*specs: Spec) -> Spec:
        for arg, s in zip(args, specs):
            if not s.dtype.is_floating:
                raise DTypeError(f"{name}: {arg} must be floating, it has dtype {s.dtype.name}; use cast")
            if s.shape != specs[0].shape:
                raise InvalidArgumentError(f"{name}: shapes differ, {show(s.shape)} != {show(specs[0].shape)}: {arg} "
                                           f"and {args[0]}")
        return specs[0]
    return infer


def _pair(name: str, args: tuple, text: str, rules: Any, doc: str) -> dict:
    """The row with the sigmoid and with the hard one, of which `text` knows the value as s."""
    values = {False: "T s = K(1) / (K(1) + exp(-(x0 + x1))); ",
              True: "T s = clamp((x0 + x1) * K(0.2) + K(0.5), K(0), K(1)); "}
    return {hard: OpDef(name + "_hard" * hard, args, _same_infer(name, args), expr=_by_dtype(value + text),
                        vjps=rules(hard), doc=doc) for hard, value in values.items()}


def _by_dtype(text: str) -> Any:
    """The text for float64, with the own tanh for the types calculated in float."""
    return lambda *specs: text if specs[-1].dtype.name == "float64" else text.replace("tanh(", "tanh_fast(")


def _reset_rules(hard: bool) -> tuple:
    def gate(g: Any, x0: Any, x1: Any, x2: Any) -> Any:
        return g * x2 * _slope(_squash(x0 + x1, hard), hard)
    return gate, gate, lambda g, x0, x1: g * _squash(x0 + x1, hard)


def _mix_rules(hard: bool) -> tuple:
    def gate(g: Any, x0: Any, x1: Any, x2: Any, x3: Any, x4: Any) -> Any:
        return g * (x4 - tanh(x2 + x3)) * _slope(_squash(x0 + x1, hard), hard)

    def candidate(g: Any, x0: Any, x1: Any, x2: Any, x3: Any) -> Any:
        return g * (1.0 - _squash(x0 + x1, hard)) * (1.0 - square(tanh(x2 + x3)))
    return gate, gate, candidate, candidate, lambda g, x0, x1: g * _squash(x0 + x1, hard)


_RESET = _pair("gru_reset", ("gates", "hidden", "h"), "s * x2", _reset_rules, "Reset gate times state.")
_MIX = _pair("gru_mix", ("gates", "hidden", "candidate", "product", "h"),
             "T n = tanh(x2 + x3); s * x4 + (K(1) - s) * n", _mix_rules, "Update gate between state and candidate.")


def gru_reset(gates: Any, hidden: Any, h: Any, hard: bool = False, name: str | None = None) -> Any:
    """s(gates + hidden) * h, all [batch, units]: what the second product of a GRU takes.

    Raises: InvalidArgumentError when shapes differ; DTypeError.
    """
    return execute(_RESET[bool(hard)], (gates, hidden, h))


def gru_mix(gates: Any, hidden: Any, candidate: Any, product: Any, h: Any, hard: bool = False,
            name: str | None = None) -> Any:
    """z * h + (1 - z) * tanh(candidate + product) with z = s(gates + hidden), all [batch, units].

    Raises: InvalidArgumentError when shapes differ; DTypeError.
    """
    return execute(_MIX[bool(hard)], (gates, hidden, candidate, product, h))
