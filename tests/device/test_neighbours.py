"""An element's bits do not depend on its neighbours: else a value would differ in a fused kernel, whose last vector has
other padding. Each row of expressions, on values that drivers treat in ways of their own."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor.base.errors import DeviceError
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef, registry
from cltensor.core.tensor import from_numpy
from cltensor.interpret import defer
from cltensor.runtime.device import Device

# left out: rows over integers and booleans, whose lanes no driver mixes, and updates, which take attributes
OTHER = {"cast", "where", "invert", "bitwise_and", "bitwise_or", "bitwise_xor", "logical_and", "logical_not",
         "logical_or", "logical_xor"}
ROWS = sorted(name for name, op in registry().items()
              if op.expr is not None and name not in OTHER and not name.startswith("apply_"))
DOUBLES = ["sin", "cos", "tan", "exp", "log", "pow", "mod", "tanh", "erf"]
BITS = {"float32": np.uint32, "float64": np.uint64}


def hurtful(dtype: str) -> np.ndarray:
    """Any bits, values of all sizes, and those around which a function may change its way."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64 - 1, 512, np.uint64).astype(BITS[dtype]).view(dtype)
    sizes = rng.standard_normal(512) * 10.0 ** rng.integers(-6, 12, 512)
    limits = [0, -0., 1, -1, np.inf, -np.inf, np.nan, 39000, 131071, 131072, 2**22, 2**23 - 1, 2**23, 2**24, 88, 89,
              -88, -104, 700, 709, 710, 1e-38, 1e-45]
    with np.errstate(over="ignore"):
        parts = (bits, sizes, rng.standard_normal(512), np.array(limits))
        return np.concatenate([p.astype(dtype) for p in parts])


def run(op: OpDef, arrays: list) -> np.ndarray:
    with defer.using("0"):
        return execute(op, tuple(from_numpy(np.ascontiguousarray(a)) for a in arrays)).numpy()


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where the bits are equal, or both are nan."""
    bits = {1: np.uint8, 4: np.uint32, 8: np.uint64}[a.dtype.itemsize]
    return (a.view(bits) == b.view(bits)) | ((a != a) & (b != b))


def check(name: str, dtype: str) -> None:
    op, x = registry()[name], hurtful(dtype)
    rng = np.random.default_rng(1)
    arrays = [x, *(rng.permutation(x) for _ in op.args[1:])]
    alone = run(op, [np.repeat(a, 16) for a in arrays]).reshape(-1, 16)
    assert same(alone, np.ascontiguousarray(np.broadcast_to(alone[:, :1], alone.shape))).all()
    for _ in range(4):
        order = rng.permutation(len(x))
        mixed = run(op, [a[order] for a in arrays])
        other = ~same(mixed, alone[order, 0].copy())
        assert not other.any(), [a[order][other][:5] for a in arrays]


@pytest.mark.parametrize("name", ROWS)
def test_neighbours(name: str) -> None:
    check(name, "float32")


@pytest.mark.parametrize("name", DOUBLES)
def test_neighbours_of_doubles(name: str, device: Device) -> None:
    if device.traits.fp64:
        check(name, "float64")
    else:
        with pytest.raises(DeviceError, match="has no float64"):
            check(name, "float64")


@pytest.mark.parametrize("name, limit", [("sin", 4), ("cos", 4), ("tan", 5)])
def test_angles_of_all_sizes(name: str, limit: float, schedule: str) -> None:
    rng = np.random.default_rng(2)
    ends = np.array([1e-44, 1e-3, 1, 1e3, 131072, 1e8, 3e38], np.float32).view(np.uint32)
    x = np.concatenate([rng.integers(a, b, 5000, np.uint32).view(np.float32) for a, b in zip(ends, ends[1:])])
    x *= rng.choice(np.array([-1, 1], np.float32), len(x))
    found, want = getattr(tf, name)(tf.constant(x)).numpy(), getattr(np, name)(x.astype(np.float64))
    ulps = np.abs(found - want) / np.spacing(np.abs(want.astype(np.float32)))
    assert ulps.max() <= limit, (x[ulps.argmax()], found[ulps.argmax()], want[ulps.argmax()])
