"""Copies before any device sees them: keys against Python's slices, merged dimensions against NumPy's strides."""

from types import SimpleNamespace

import numpy as np
import pytest

from cltensor.base.errors import InvalidArgumentError, OutOfRangeError
from cltensor.base.slices import key_of_masks, resolve_key
from cltensor.kernels.plan import IN, OUT
from cltensor.kernels.strided import canonical, copy_launch


def element_strides(a):
    return [s // a.itemsize for s in a.strides]


def test_canonical_copies_what_numpy_copies():
    rng = np.random.default_rng(0)
    for _ in range(200):
        shape = tuple(int(n) for n in rng.choice([1, 2, 3, 4], rng.integers(1, 6)))
        base = np.arange(np.prod(shape)).reshape(shape)
        flip = tuple(slice(None, None, int(rng.choice([1, -1]))) for _ in shape)
        view = base[flip].transpose(rng.permutation(len(shape)))
        target = np.zeros(view.shape, int)
        back = target[tuple(slice(None, None, int(rng.choice([1, -1]))) for _ in view.shape)]
        start = (view.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // base.itemsize
        to = (back.__array_interface__["data"][0] - target.__array_interface__["data"][0]) // base.itemsize
        dims, start, to = canonical(view.shape, element_strides(view), element_strides(back), start, to)
        assert all(n > 1 or len(dims) == 1 for n, _, _ in dims)
        assert [t for _, _, t in dims] == sorted((t for _, _, t in dims), reverse=True)
        flat = np.zeros(base.size, int)
        for index in np.ndindex(*[n for n, _, _ in dims]):
            flat[to + sum(i * t for i, (_, _, t) in zip(index, dims))] = \
                base.ravel()[start + sum(i * s for i, (_, s, _) in zip(index, dims))]
        back[...] = view
        assert np.array_equal(flat, target.ravel())


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_form_follows_the_strides(schedule):
    target = SimpleNamespace(schedule=schedule)

    def form(shape, perm):
        a = np.empty(shape, np.float32).transpose(perm)
        dense = np.empty(a.shape, np.float32)
        return copy_launch(target, 4, a.shape, IN(0), element_strides(a), OUT(), element_strides(dense)).kernel
    rows = "copy_rows" if schedule == "cpu" else "copy_any"
    assert form((8, 9, 10), (0, 1, 2)) == rows and form((8, 9, 64), (1, 0, 2)) == rows
    assert form((64, 64), (1, 0)) == "copy_tile" and form((5, 64, 40), (0, 2, 1)) == "copy_tile"
    assert form((64, 3), (1, 0)) == "copy_any"


def test_keys():
    rng = np.random.default_rng(1)
    for _ in range(300):
        n = int(rng.integers(0, 6))
        cut = slice(*(None if rng.random() < .3 else int(rng.integers(-7, 8)) for _ in range(2)),
                    int(rng.choice([1, 2, -1, -3])))
        region = resolve_key("index", (n,), (("cut", cut.start, cut.stop, cut.step),))
        got = [region.begin[0] + i * region.step[0] for i in range(region.size[0])]
        assert got == list(range(n))[cut] and region.shape == (len(got),)
    assert resolve_key("index", (2, 3, 4), (("rest",), ("new",), ("at", -1))).shape == (2, 3, 1)
    assert resolve_key("slice", (None, 4), (("window", 0, 2), ("window", 1, -1))).shape == (2, 3)
    assert key_of_masks((0, 0, 1), (0, 0, 2), (1, 1, 1), 0, 0, 1, 2, 4) == (("rest",), ("new",), ("at", 1))
    for error, key in ((OutOfRangeError, (("at", 2),)), (InvalidArgumentError, (("at", 0), ("at", 0))),
                       (InvalidArgumentError, (("window", 1, 2),)), (InvalidArgumentError, (("cut", 0, 1, 0),))):
        with pytest.raises(error):
            resolve_key("index", (2,), key)
