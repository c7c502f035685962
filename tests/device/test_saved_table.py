"""The op table through a file: every recordable row saved, loaded, and run, with the bits of eager mode."""

from __future__ import annotations

from pathlib import Path

import pytest

import cltensor as tf
from tests.device.test_graph_table import bits, chosen
from tests.device.test_op_table import each, flat, tensors
from tests.op_table import ROWS
from tests.ops.randoms import _SEED  # what rows of random ops set themselves, while they are traced
from tests.ops.row import Row, draw


@each(row for row in ROWS if row.symbolic)
def test_values(row: Row, tmp_path: Path) -> None:
    for one in chosen(row):
        given = tensors(draw(row, one, row.dtypes[0]))

        def call(*xs, one=one):
            return flat(row.call(*xs, **one.attrs))
        tf.set_random_seed(_SEED)
        want = bits(call(*given))
        try:
            tf.saved_model.save(call, tmp_path, input_signature=list(given))
        except tf.errors.UnimplementedError as error:
            pytest.skip(str(error))
        loaded = tf.saved_model.load(tmp_path)
        tf.set_random_seed(_SEED)
        assert bits(loaded(*given)) == want, f"{row.name} {one}"
