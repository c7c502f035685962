"""How an expression row becomes an op: result spec, dtype rule, public function, all from one line.

    tanh = elementwise("tanh", "tanh(x0)", lambda g, y: g * (1 - y * y), doc="Hyperbolic tangent.")

defines the row and returns the public function `tanh(x, name=None)`. Texts are explained in
kernels/expression.py, gradient rules in core/op.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base import shapes
from cltensor.base.dtypes import DType
from cltensor.base.errors import DTypeError
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.interpret.shortcuts import binary, unary

__all__ = ["elementwise", "FLOAT", "NUMBER", "ANY", "INTEGER", "BOOL"]

FLOAT, INTEGER, BOOL = ("float",), ("int",), ("bool",)
NUMBER, ANY = ("float", "int"), ("float", "int", "bool")
_WORDS = {"float": "floating", "int": "integer", "bool": "boolean"}


def _infer(name: str, args: tuple, kinds: tuple, result: DType | None) -> Callable:
    def infer(*specs: Spec) -> Spec:
        for arg, s in zip(args, specs):
            if s.dtype.kind not in kinds:
                words = " or ".join(_WORDS[k] for k in kinds)
                raise DTypeError(f"{name}: {arg} must be {words}, it has dtype {s.dtype.name} and shape "
                                 f"{shapes.show(s.shape)}" + ("; use cast" if s.dtype.kind != "bool" else ""))
        shape = specs[0].shape
        for i in range(1, len(specs)):
            shape = shapes.broadcast(name, shape, specs[i].shape, (args[i - 1], args[i]))
        return Spec(shape, result or specs[-1].dtype)
    return infer


def elementwise(name: str, expr: Any, *vjps: Callable | None, args: tuple | None = None, kinds: tuple = FLOAT,
                result: DType | None = None, doc: str, example: str = "", types: str = "") -> Callable:
    """Define an expression row and return its public function.

    Args:
        name: op name; also the public function's.
        expr: text over x0, x1, ...; {"float": text, "int": text, "bool": text} by the dtype's kind; or a
            function of the input specs that gives either.
        vjps: a rule or None per input; none given: no gradient.
        args: names of the inputs; (x,), (x, y) by the number of inputs in the text.
        kinds: dtype kinds the inputs may have.
        result: dtype of the result where it is not the inputs' (comparisons: bool).
        doc: first line of the docstring; `example`: lines for its doctest.
    """
    text = expr if isinstance(expr, str) else "" if callable(expr) else next(iter(expr.values()))
    names = args or (("x", "y") if "x1" in text else ("x",))
    op = OpDef(name, names, _infer(name, names, kinds, result), expr=expr, vjps=vjps, slots=True, types=types,
               doc=doc)

    if len(names) == 1:
        public = unary(op)
    elif len(names) == 2:
        public = binary(op)
    else:
        raise ValueError(f"elementwise {name}: write the public function by hand for {len(names)} inputs")
    public.__name__ = public.__qualname__ = name.split("/")[-1]
    public.__module__ = __name__
    public.__doc__ = _docstring(name, names, kinds, result, doc, bool(vjps), example)
    public.op = op            # type: ignore[attr-defined]
    return public


def _docstring(name: str, args: tuple, kinds: tuple, result: DType | None, doc: str, smooth: bool,
               example: str) -> str:
    words = " or ".join(_WORDS[k] for k in kinds)
    one = f"    {args[0]}: {words} tensor of any shape; Python and NumPy values convert."
    two = (f"    {', '.join(args)}: {words} tensors of one dtype whose shapes broadcast; Python and NumPy values\n"
           "        take the dtype of the other.")
    lines = [doc, "", "Args:", one if len(args) == 1 else two, "",
             f"Returns: tensor of {'the same shape' if len(args) == 1 else 'the broadcast shape'}, dtype "
             f"{result.name if result else 'that of the input'}"
             f"{'.' if smooth else '; not differentiable.'}",
             "Raises: DTypeError for another dtype" + ("." if len(args) == 1 else
             " or two dtypes; InvalidArgumentError where shapes do not broadcast.")]
    if example:
        lines += ["", "Example:", "    >>> import cltensor as tf"] + ["    " + e for e in example.split("\n")]
    return "\n".join(lines) + "\n"

