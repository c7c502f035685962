"""Update rules of the optimizers: one expression row per rule, so one launch per variable and step.

A row takes the variable, its slots, the gradient and numbers (learning rate, decay rates), and gives the new
variable and the new slots. Numbers are late-bound scalar arguments: a decaying learning rate makes no new
plan. Rows have no gradient: what an optimizer assigns is not differentiated.

Formulas are those of TensorFlow 1.x (core/kernels/training_ops.cc); the papers are named beside each row.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec

__all__ = ["GRADIENT_DESCENT", "MOMENTUM", "NESTEROV", "ADAM", "RMSPROP", "CENTERED_RMSPROP", "ADAGRAD", "ADADELTA",
           "FTRL", "FTRL_POWER", "MOVING_AVERAGE"]


def _infer(name: str, tensors: list, numbers: list, results: int) -> Callable:
    def infer(*specs: Spec) -> Spec | tuple:
        var = specs[0]
        if not var.dtype.is_floating:
            raise DTypeError(f"{name}: var must be floating, it has dtype {var.dtype.name} and shape {show(var.shape)}")
        for arg, s in zip(tensors[1:], specs[1:]):
            if s.shape != var.shape:
                raise InvalidArgumentError(f"{name}: {arg} must have the shape of var, {show(s.shape)} != "
                                           f"{show(var.shape)}")
        for arg, s in zip(numbers, specs[len(tensors):]):
            if s.shape != ():
                raise InvalidArgumentError(f"{name}: {arg} must be a scalar, it has shape {show(s.shape)}")
        return var if results == 1 else (var,) * results
    return infer


def _row(name: str, tensors: str, numbers: str, *texts: str, doc: str) -> OpDef:
    """A row from the names of its tensors, then of its numbers, and one text per result in these names.

    Each result has a text of its own, so steps they share are written into each; the compiler finds them again.
    """
    args = (*tensors.split(), *numbers.split())
    place = {arg: f"x{i}" for i, arg in enumerate(args)}
    spelled = tuple(re.sub(r"\b[a-z]\w*\b", lambda m: place.get(m[0], m[0]), text) for text in texts)
    return OpDef(name, args, _infer(name, tensors.split(), numbers.split(), len(texts)),
                 expr=spelled if len(spelled) > 1 else spelled[0], slots=True, outputs=len(texts), doc=doc)


GRADIENT_DESCENT = _row("apply_gradient_descent", "var grad", "lr", "var - lr * grad",
                        doc="A step against the gradient.")

_ACCUM = "T accum_new = accum * momentum + grad; "
MOMENTUM = _row("apply_momentum", "var accum grad", "lr momentum",
                _ACCUM + "var - lr * accum_new", _ACCUM + "accum_new",
                doc="Heavy ball: Polyak (1964).")
NESTEROV = _row("apply_nesterov_momentum", "var accum grad", "lr momentum",
                _ACCUM + "var - (lr * grad + lr * momentum * accum_new)", _ACCUM + "accum_new",
                doc="Accelerated gradient: Nesterov (1983), in the form of Sutskever et al. (2013).")

# rest is 1 - beta; lr_t holds the correction of the bias
_M, _V = "T m_new = m + (grad - m) * rest1; ", "T v_new = v + (grad * grad - v) * rest2; "
ADAM = _row("apply_adam", "var m v grad", "lr_t rest1 rest2 epsilon",
            _M + _V + "var - lr_t * m_new / (sqrt(v_new) + epsilon)", _M + "m_new", _V + "v_new",
            doc="Adam: Kingma and Ba (2014), the efficient form at the end of section 2.")

_MS, _MG = "T ms_new = ms + (grad * grad - ms) * rest; ", "T mg_new = mg + (grad - mg) * rest; "
_STEP = "T mom_new = mom * momentum + lr * grad / sqrt(ms_new + epsilon); "
_CENTRED = "T mom_new = mom * momentum + lr * grad / sqrt(ms_new - mg_new * mg_new + epsilon); "
RMSPROP = _row("apply_rmsprop", "var ms mom grad", "lr rest momentum epsilon",
               _MS + _STEP + "var - mom_new", _MS + "ms_new", _MS + _STEP + "mom_new",
               doc="RMSProp: Tieleman and Hinton (2012), lecture 6.5.")
CENTERED_RMSPROP = _row("apply_centered_rmsprop", "var ms mom mg grad", "lr rest momentum epsilon",
                        _MS + _MG + _CENTRED + "var - mom_new", _MS + "ms_new", _MS + _MG + _CENTRED + "mom_new",
                        _MG + "mg_new", doc="RMSProp by the variance: Graves (2013), equations 38 to 45.")

_SUM = "T accum_new = accum + grad * grad; "
ADAGRAD = _row("apply_adagrad", "var accum grad", "lr", _SUM + "var - lr * grad / sqrt(accum_new)", _SUM + "accum_new",
               doc="Adagrad: Duchi et al. (2011).")

_MEAN = "T accum_new = accum * rho + grad * grad * rest; "
_DELTA = "T delta = sqrt(accum_update + epsilon) / sqrt(accum_new + epsilon) * grad; "
ADADELTA = _row("apply_adadelta", "var accum accum_update grad", "lr rho rest epsilon",
                _MEAN + _DELTA + "var - lr * delta", _MEAN + "accum_new",
                _MEAN + _DELTA + "accum_update * rho + delta * delta * rest",
                doc="Adadelta: Zeiler (2012), algorithm 1.")


def _ftrl(name: str, numbers: str, power: str, doc: str) -> OpDef:
    """The row with accum^p spelled as `power` of @."""
    powers = f"T p_new = {power.replace('@', 'accum_new')}; T p_old = {power.replace('@', 'accum')}; "
    linear = _SUM + powers + "T linear_new = linear + grad - (p_new - p_old) / lr * var; "
    return _row(name, "var accum linear grad", numbers,
                linear + "T size = fabs(linear_new); T l1_signed = copysign(l1, linear_new); "
                "T quadratic = p_new / lr + l2_twice; "
                "select((($T)(K(0))), (l1_signed - linear_new) / quadratic, size > l1)",
                _SUM + "accum_new", linear + "linear_new", doc=doc)


FTRL = _ftrl("apply_ftrl", "lr l1 l2_twice", "sqrt(@)",
             doc="FTRL-proximal: McMahan et al. (2013), algorithm 1.")
# exp and log, as accumulators are positive and one runtime's vector pow for float64 is wrong beside a 0
FTRL_POWER = _ftrl("apply_ftrl_power", "lr l1 l2_twice minus_power", "exp(minus_power * log(@))",
                   doc="FTRL-proximal with another power of the accumulator than 1/2.")

MOVING_AVERAGE = _row("apply_moving_average", "var value", "rest", "var - (var - value) * rest",
                      doc="Exponential moving average; rest is 1 - decay.")
