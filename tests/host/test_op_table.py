"""The op table's own promises, checked without a device: twins are NumPy's, rows say what they cover."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import pytest

from cltensor.core import dispatch
from cltensor.core.op import registry
from tests.op_table import ROWS, covered
from tests.ops.row import draw, wide


def names_of(code: CodeType) -> Iterator[str]:
    """Names a function uses, and the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_of(constant)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_twin_never_calls_the_library(row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"the twin of {row.name} calls cltensor")
    monkeypatch.setattr(dispatch, "execute", refuse)
    if isinstance(row.twin, FunctionType):
        assert "tf" not in set(names_of(row.twin.__code__))
    for one in row.cases:
        if one.size < 1000:
            with np.errstate(all="ignore"):
                found = row.twin(*wide(draw(row, one, row.dtypes[0])), **one.attrs)
            for part in found if isinstance(found, (list, tuple)) else [found]:
                assert isinstance(np.asarray(part), np.ndarray) and np.asarray(part).dtype != object


def test_inputs_repeat() -> None:
    for row in ROWS:
        first, again = (draw(row, row.cases[0], row.dtypes[0]) for _ in range(2))
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again)), row.name


# Rows that stand for something else in a graph and compute nothing: test_session.py and test_control_graph.py in
# tests/device have their tests
OF_GRAPHS = {"effect", "gradients", "later", "report", "inspect", "py_func", "control", "counter", "one_holds"}


def test_every_registered_op_has_a_row() -> None:
    missing = sorted(set(registry()) - covered() - OF_GRAPHS)
    assert not missing, f"ops without a row in tests/ops: {', '.join(missing)}"
    unknown = sorted(covered() - set(registry()))
    assert not unknown, f"rows cover ops that are not registered: {', '.join(unknown)}"


def test_every_differentiable_op_is_differentiated() -> None:
    """An op with a gradient rule has a row that checks the rule, not only the value."""
    checked = {name for row in ROWS if row.order for name in row.ops}
    missing = sorted(name for name, op in registry().items() if any(op.vjps) and name not in checked)
    assert not missing, f"ops whose gradients no row checks: {', '.join(missing)}"
