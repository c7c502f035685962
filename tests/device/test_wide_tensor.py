"""One tensor of more than 2^31 elements, where memory permits: copies, expressions, reductions, positions, slices."""

from __future__ import annotations

import os

import numpy as np
import pytest

import cltensor as tf
from cltensor.runtime import device

ZEROS = 2 ** 31 + 42


def _room() -> bool:
    if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return False
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    here = device.default()
    return min(free, here.memory.limit) > 3 * ZEROS and here.traits.max_alloc > 2 ** 31 + 2 ** 29


def test_elements_past_two_to_the_thirty_first() -> None:
    if device.default().traits.schedule != "cpu" or not _room():
        pytest.skip("slow under the gpu schedule, or there is no memory for three tensors of 2 GiB")
    tail = np.array([3, -5, 100, 7, 1], np.int8)
    x = tf.concat([tf.zeros([ZEROS], tf.int8), tail], 0)
    assert x.shape == (ZEROS + 5,)
    assert x[ZEROS - 1:].numpy().tolist() == [0, *tail]
    assert x[ZEROS + 2].numpy() == 100
    assert tf.gather(x, [ZEROS + 1, 0, ZEROS + 4]).numpy().tolist() == [-5, 0, 1]
    assert tf.reduce_max(x).numpy() == 100 and tf.reduce_min(x).numpy() == -5
    assert tf.argmax(x).numpy() == ZEROS + 2
    y = x + x
    x = None
    assert y[-5:].numpy().tolist() == (tail + tail).tolist()
    assert tf.reshape(y, [5, -1]).shape[1] * 5 == ZEROS + 5


@pytest.fixture(autouse=True)
def _give_back():
    yield
    device.default().memory.trim()
