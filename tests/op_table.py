"""The op table: every public op, its NumPy twin, its inputs and its tolerance, one row each, by family.

Rows are in tests/ops/<family>.py, what they may say in tests/ops/row.py. tests/device/test_op_table.py
multiplies them by {value, inferred, gradient, second order} x {cpu, gpu schedule}; tests/host/test_op_table.py
demands a row for every registered op. Adding an op is one row of the library and one row here.
"""

from __future__ import annotations

from tests.ops import (
    arrays,
    convolution,
    elementwise,
    functions,
    gathers,
    lists,
    matrices,
    neural,
    normalization,
    orders,
    products,
    randoms,
    recurrent,
    reductions,
    updates,
)
from tests.ops.row import Row

__all__ = ["ROWS", "covered"]

ROWS: tuple[Row, ...] = (*elementwise.ROWS, *functions.ROWS, *reductions.ROWS, *arrays.ROWS, *gathers.ROWS, *lists.ROWS,
                         *neural.ROWS, *products.ROWS, *convolution.ROWS,
                         *normalization.ROWS, *matrices.ROWS, *orders.ROWS, *randoms.ROWS, *updates.ROWS,
                         *recurrent.ROWS)


def covered() -> set[str]:
    """Names of the registered ops that some row reaches."""
    return {name for row in ROWS for name in row.ops}


_names = [row.name for row in ROWS]
assert len(set(_names)) == len(_names), sorted(n for n in _names if _names.count(n) > 1)
