"""Which rows the interpreter kernel knows: texts that are common in float32 code and cheap to compile.

Each instruction costs every process's first op its share of the program's build, so this is a short list. What is
missing runs in a kernel of its own; nothing but time depends on it.
"""

from __future__ import annotations

from functools import lru_cache

from cltensor.base.dtypes import bool_, float32
from cltensor.core.op import OpDef, registry
from cltensor.core.spec import Spec
from cltensor.interpret.eager import expression_text, infer_specs
from cltensor.kernels import vm_code

__all__ = ["collect", "known", "ROWS"]

# name of the row, its operands (f float32, b bool), its attributes
ROWS: tuple[tuple, ...] = (
    ("add", "ff"), ("subtract", "ff"), ("multiply", "ff"), ("realdiv", "ff"), ("negative", "f"), ("square", "f"),
    ("squared_difference", "ff"), ("maximum", "ff"), ("minimum", "ff"), ("abs", "f"), ("sign", "f"), ("sqrt", "f"),
    ("rsqrt", "f"), ("reciprocal", "f"), ("relu", "f"), ("exp", "f"), ("log", "f"), ("tanh", "f"), ("sigmoid", "f"),
    ("equal", "ff"), ("greater", "ff"), ("greater_equal", "ff"), ("less", "ff"), ("less_equal", "ff"),
    ("where", "bff"), ("clip_by_value", "fff"), ("cast", "b", ("dtype", float32)),
    ("apply_gradient_descent", "fff"), ("scale_shift", "fff"), ("keep_scaled", "fff"), ("leaky_relu", "ff"),
    ("floor", "f"), ("not_equal", "ff"), ("logical_and", "bb"), ("logical_or", "bb"), ("logical_not", "b"),
)
_DTYPES = {"f": float32, "b": bool_}


def collect() -> tuple[vm_code.Instruction, ...]:
    """The instructions: text, dtypes of the operands, dtype of the result; equal ones once."""
    found: dict[vm_code.Instruction, bool] = {("x0", ("float32",), "float32"): True}        # broadcasting
    for name, operands, *attrs in ROWS:
        op = registry()[name]
        specs = tuple(Spec((), _DTYPES[o]) for o in operands)
        out, = infer_specs(op, specs, tuple(attrs))
        found[expression_text(op, specs, tuple(attrs)), tuple(s.dtype.name for s in specs), out.dtype.name] = True
    return tuple(found)


@lru_cache(maxsize=1)
def _known() -> frozenset[vm_code.Instruction]:
    return frozenset(collect())


def known(op: OpDef, ins: tuple, out: Spec, attrs: tuple) -> bool:
    """True if the interpreter kernel has this expression row for these specs."""
    text = expression_text(op, ins, attrs)
    return (text, tuple(s.dtype.name for s in ins), out.dtype.name) in _known()


vm_code.install(collect)
