"""One expression over several sets of arrays in one launch: the host half of groups.cl.mako."""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import as_dtype
from cltensor.kernels.expression import WIDTH, Expression, groups_for, statement_lines
from cltensor.kernels.plan import IN, OUT, SCALAR, SLOT, Plan, launch

__all__ = ["lower_groups", "most_sets"]

POINTERS = 64           # a kernel may take 1024 bytes of arguments for certain: these, and two sizes per set


def most_sets(expression: Expression) -> int:
    """How many sets one launch takes."""
    tensors = sum(not slot for _, slot in expression.inputs)
    return max(1, POINTERS // (tensors + len(expression.outputs)))


def lower_groups(expression: Expression, sizes: tuple, sets: tuple, target: Any) -> Plan:
    """The launch that computes the expression for each set.

    Args:
        sizes: elements of the arrays of each set.
        sets: per set, the positions among the plan's inputs of the expression's inputs, tensors and slots alike. The
            results of set s are s * len(outputs) and the following.
    """
    slot = [s for _, s in expression.inputs]
    numbers = list(dict.fromkeys(at for given in sets for at, s in zip(given, slot) if s))
    args: list[tuple] = []
    end = 0
    for s, (n, given) in enumerate(zip(sizes, sets)):
        units = -(-n // (WIDTH[target.schedule] * (1 if target.schedule == "cpu" else 64)))
        end += groups_for(n, units, target) if target.schedule == "cpu" else min(units, 256)
        args += [OUT(s * len(expression.outputs) + k) for k in range(len(expression.outputs))]
        args += [IN(at) for at, is_slot in zip(given, slot) if not is_slot]
        args += [SCALAR("ulong", n), SCALAR("ulong", end)]
    ctypes = {at: as_dtype(d).compute for given in sets for at, (d, s) in zip(given, expression.inputs) if s}
    args += [SLOT(at, ctypes[at]) for at in numbers]
    own = tuple(tuple(numbers.index(at) for at, s in zip(given, slot) if s) for given in sets)
    outputs = tuple((o, expression.dtype_of(o)) for o in expression.outputs)
    lines = statement_lines(expression, WIDTH[target.schedule])
    local = 1 if target.schedule == "cpu" else 64
    return Plan((launch("groups", "groups", args, (end * local,), (local,), schedule=target.schedule,
                        inputs=expression.inputs, lines=lines, outputs=outputs, sets=own),))
