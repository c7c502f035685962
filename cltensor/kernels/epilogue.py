"""Epilogue: what a product or a convolution still does to each finished number before it is stored.

The seam by which bias, activation and the like are computed while the sums are in registers. An epilogue is an
Expression, the same plain data as an elementwise op or a fused chain of them:

    input 0         the finished element, as the unfused op would have stored it (float16: rounded to it)
    inputs 1, 2 ..  the inputs of the plan after the op's own (2, 3, ...), in the same order; each is of a kind, told
                    by its shape:

        "full"      the shape of the result                 a residual, a mask
        "column"    one value per column (last dimension)   a bias
        "one"       a single value                          a 0-d tensor
        "slot"      a Python number, known at the call

    one output      of the result's shape and dtype

It is rendered from the same statements with the same vector width as the elementwise template would, so the bits are
those of the separate ops. `epilogue_of` says whether an expression has this form; kernels take what it returns:

    matmul.plan(product, target, epilogue)
    convolution.forward(window, target, epilogue), convolution.input_gradient(window, target, epilogue)
    batch_normalization.lower_batch_norm(ins, outs, target, epsilon, epilogue)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from cltensor.base.dtypes import as_dtype
from cltensor.kernels.expression import WIDTH, Expression, statement_lines
from cltensor.kernels.plan import IN, SLOT

__all__ = ["Epilogue", "epilogue_of"]


@dataclass(frozen=True)
class Epilogue:
    """An expression over a finished element, and the kind of each of its further inputs."""

    expression: Expression
    kinds: tuple[str, ...]

    @property
    def args(self) -> tuple:
        """Arguments of a kernel of two inputs with this epilogue, its last ones."""
        return self.after(2)

    def after(self, inputs: int) -> tuple:
        """The last arguments of a kernel of so many inputs: the epilogue's come behind them."""
        found = []
        for i, kind in enumerate(self.kinds):
            dtype = self.expression.inputs[i + 1][0]
            found.append(SLOT(inputs + i, as_dtype(dtype).compute) if kind == "slot" else IN(inputs + i))
        return tuple(found)

    def text(self, schedule: str) -> tuple:
        """What the templates are given: ((kind, dtype) of inputs 1, 2, ..., C statements, number of the result)."""
        dtypes = (d for d, _ in self.expression.inputs[1:])
        return (tuple(zip(self.kinds, dtypes)), statement_lines(self.expression, WIDTH[schedule]),
                self.expression.outputs[0])


def epilogue_of(expression: Expression, shapes: tuple, out: tuple, dtype: Any) -> Epilogue | None:
    """The epilogue that computes `expression`, None if it has not that form.

    Args:
        expression: input 0 stands for the product's result.
        shapes: of inputs 1, 2, ...; for slots anything.
        out, dtype: of the result.

    Example:
        >>> from cltensor.kernels.expression import Expression, Statement
        >>> add = Statement("x0 + x1", (0, 1), "float32")
        >>> relu = Expression((("float32", False), ("float32", False)),
        ...                   (add, Statement("fmax(x0, K(0))", (2,), "float32")), (3,))
        >>> epilogue_of(relu, ((8,),), (32, 8), "float32").kinds
        ('column',)
        >>> epilogue_of(relu, ((32, 1),), (32, 8), "float32") is None
        True
    """
    dtype = as_dtype(dtype)
    first, *others = expression.inputs
    if (first != (dtype.name, False) or len(expression.outputs) != 1 or len(shapes) != len(others)
            or expression.dtype_of(expression.outputs[0]) != dtype.name):
        return None
    kinds = []
    for (_, slot), shape in zip(others, shapes):
        if slot:
            kinds.append("slot")
        elif prod(shape) == 1 and len(shape) <= len(out):
            kinds.append("one")
        elif tuple(shape) == tuple(out):
            kinds.append("full")
        elif prod(shape) == shape[-1] == out[-1] and len(shape) <= len(out):
            kinds.append("column")
        else:
            return None
    return Epilogue(expression, tuple(kinds))
