"""The op table in graph mode: every recordable row traced, optimised and replayed, with the bits of eager mode.

Values and first gradients; random rows are compared from the same seed. In eager mode a gradient is taken op by
op, in a trace it is part of the program and fused like everything else.
"""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.op import registry
from cltensor.graph.function import defun
from tests.device.test_op_table import each, flat, tensors
from tests.op_table import ROWS
from tests.ops.row import Case, Row, draw

SMALL = 3000            # elements of a case


def chosen(row: Row) -> list[Case]:
    """One case of a row: each trace compiles programs of its own."""
    fitting = [c for c in row.cases if c.size <= SMALL]
    return fitting[len(fitting) // 2:][:1]


def bits(results: list) -> list:
    return [(r.dtype.name, tuple(r.shape.as_list()), r.numpy().tobytes()) for r in results]


@each(row for row in ROWS if row.symbolic)
def test_values(row: Row) -> None:
    for one in chosen(row):
        given = tensors(draw(row, one, row.dtypes[0]))
        traced = defun(lambda *xs, one=one: flat(row.call(*xs, **one.attrs)))
        tf.set_random_seed(1)
        want = bits(flat(row.call(*given, **one.attrs)))
        tf.set_random_seed(1)
        assert bits(traced(*given)) == want, f"{row.name} {one}"
        if all(registry()[name].pure for name in row.ops):          # else another draw
            assert bits(traced(*given)) == want, f"{row.name} {one}, replayed"


@each(row for row in ROWS if row.symbolic and row.order >= 1)
def test_gradients(row: Row) -> None:
    for one in chosen(row)[-1:]:
        given = tensors(draw(row, one, row.dtypes[0]))
        floating = [i for i, t in enumerate(given) if t.dtype.is_floating]
        if not floating:
            pytest.skip("no floating input in this case")

        def gradients(*xs, one=one, floating=floating):
            with tf.GradientTape() as tape:
                tape.watch([xs[i] for i in floating])
                results = [r for r in flat(row.call(*xs, **one.attrs)) if r.dtype.is_floating]
            found = tape.gradient(results, [xs[i] for i in floating])
            return [tf.convert_to_tensor(g) for g in found if g is not None]
        tf.set_random_seed(1)
        want = gradients(*given)
        tf.set_random_seed(1)
        got = defun(gradients)(*given)
        for g, w in zip(got, want, strict=True):
            assert np.array_equal(g.numpy(), w.numpy(), equal_nan=True), f"{row.name} {one}"
