"""Products under the gpu schedule around the borders of its tiles, large and small, tuned and not."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.spec import Spec
from cltensor.interpret.runner import bind_plan
from cltensor.kernels import matmul, tuning
from cltensor.ops.linalg import MATMUL

FLAGS = list(itertools.product((False, True), repeat=2))
# One element less, as many, one more than a tile; k around steps and chunks; lines that are and are not aligned
BORDERS = [(31, 15, 33), (32, 16, 32), (33, 17, 31), (64, 4, 36), (3, 1, 5), (1, 31, 64), (35, 32, 2), (32, 33, 30)]
# The large tile of these parameters is so small that small products are made of many
SMALL = {"mwg": 32, "nwg": 32, "mdimc": 8, "ndimc": 8, "kwg": 8, "vwm": 2, "large_groups": 16}
LARGE = [(129, 9, 128), (128, 8, 128), (128, 7, 129), (127, 20, 157)]


def multiplied(device: Any, dtype: str, m: int, k: int, n: int, ta: bool, tb: bool, **tune: int) -> tuple:
    """Our product of small whole numbers, exact in every dtype, the truth, and the tile that was chosen."""
    rng = np.random.default_rng(m + 7 * k + 49 * n)
    a, b = (rng.integers(-3, 4, (2, *s)) for s in ((k, m) if ta else (m, k), (n, k) if tb else (k, n)))
    p = matmul.Product(tf.as_dtype(dtype), m, n, k, ta, tb, (2,), (1,), (1,), 2, 2, 2)
    with tuning.using(matmul=tune):
        plan = matmul.plan(p, replace(device.traits, schedule="gpu"))
    inputs = tuple(tf.constant(v.astype(dtype)) for v in (a, b))
    got = bind_plan(MATMUL, plan, device, tuple(t.spec for t in inputs), (Spec((2, m, n), p.dtype),))(inputs).numpy()
    left, right = (np.swapaxes(v, 1, 2) if t else v for v, t in ((a, ta), (b, tb)))
    return got, left @ right, dict(plan.launches[0].params)


@pytest.mark.oclgrind
@pytest.mark.parametrize("ta,tb", FLAGS)
def test_borders_of_the_small_tile(device: Any, ta: bool, tb: bool) -> None:
    for m, k, n in BORDERS:
        got, want, _ = multiplied(device, "float32", m, k, n, ta, tb)
        np.testing.assert_array_equal(got, want)


@pytest.mark.oclgrind
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_borders_of_the_large_tile(device: Any, dtype: str) -> None:
    for (m, k, n), (ta, tb) in zip(LARGE, FLAGS):
        got, want, tile = multiplied(device, dtype, m, k, n, ta, tb, **SMALL)
        np.testing.assert_array_equal(got, want)
        assert tile["kwg"] == 8 and tile["vwm"] == 2


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64"])
def test_dtypes_of_the_small_tile(device: Any, dtype: str) -> None:
    if dtype == "float64" and not device.traits.fp64:
        pytest.skip("no doubles")
    for (m, k, n), (ta, tb) in zip(BORDERS, FLAGS):
        got, want, tile = multiplied(device, dtype, m, k, n, ta, tb, large_groups=16)
        np.testing.assert_array_equal(got, want)
        assert tile["mwg"] == 32


def test_the_untuned_large_tile(device: Any) -> None:
    got, want, tile = multiplied(device, "float32", 1025, 19, 1023, False, False)
    np.testing.assert_array_equal(got, want)
    assert (tile["mwg"], tile["nwg"]) == (128, 128)


def test_the_tile_fits_the_device_and_the_product(device: Any) -> None:
    target = replace(device.traits, schedule="gpu", local_mem=2**15, max_group=256)

    def rows(m: int, n: int, target: Any = target, **tune: int) -> int:
        with tuning.using(matmul=tune):
            plan = matmul.plan(matmul.Product(tf.float32, m, n, 64, False, False, (), (), (), 1, 1, 1), target)
        return dict(plan.launches[0].params)["mwg"]
    assert rows(4096, 4096) == 128
    assert rows(25088, 64) == 32                                       # half of each tile would be padding
    assert rows(256, 256) == 32                                        # four groups for a whole device
    assert rows(4096, 4096, replace(target, max_group=128)) == 32
    assert rows(4096, 4096, kwg=32) == 32                              # 68 KB of local memory
    assert rows(256, 256, small_mwg=64, small_nwg=64, small_kwg=32) == 32
    assert rows(256, 256, small_mwg=64) == 64
