"""The op table in a graph whose placeholders leave every size open: a Session's values are eager mode's, bit for bit.

Where a result's sizes cannot be told from open ones, the graph keeps the call for the run (graph/example.py).
"""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from tests.device.test_graph_table import SMALL
from tests.device.test_op_table import flat, tensors
from tests.op_table import ROWS
from tests.ops.row import Row, draw

FEW = 5             # cases of a row
STRUCTURE = {"squeeze", "unstack", "split"}         # which or how many results there are depends on the sizes
DEPTH = {"gather_nd", "scatter_nd", "conv2d of groups", "separable_conv2d", "depthwise_conv2d"}     # so do their axes


def applies(row: Row, how: str) -> bool:
    """Whether the row has inputs, and a graph can do without the sizes."""
    return row.symbolic and any(c.shapes for c in row.cases) and row.name not in STRUCTURE \
        and not (how == "all" and row.name in DEPTH)


def dims_of(shape: tuple, how: str, i: int) -> list:
    if how == "all":
        return [None] * len(shape)
    return [None if axis == 0 and (how == "batch" or i == 0) else d for axis, d in enumerate(shape)]


@pytest.mark.parametrize("row, how", [pytest.param(row, how, id=f"{row.name}-{how}") for row in ROWS
                                      for how in ("all", "batch", "batch of the first") if applies(row, how)])
def test_values_of_open_shapes(row: Row, how: str) -> None:
    fitting = [c for c in row.cases if c.size <= SMALL]
    for one in fitting[::max(1, len(fitting) // FEW)][:FEW]:
        given = tensors(draw(row, one, row.dtypes[0]))
        tf.set_random_seed(1)
        want = [r.numpy() for r in flat(row.call(*given, **one.attrs))]
        tf.set_random_seed(1)
        with tf.Graph().as_default() as graph:
            fed = [tf.placeholder(t.dtype, dims_of(t.spec.shape, how, i)) for i, t in enumerate(given)]
            made = flat(row.call(*fed, **one.attrs))
        got = tf.Session(graph=graph).run(made, dict(zip(fed, [t.numpy() for t in given])))
        for symbol, g, w in zip(made, got, want, strict=True):
            assert np.array_equal(g, w, equal_nan=w.dtype.kind == "f") and g.dtype == w.dtype, f"{row.name} {one}"
            assert symbol.shape.is_compatible_with(w.shape) and symbol.dtype == w.dtype, f"{row.name} {one}: {symbol}"
