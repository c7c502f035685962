"""The random state: which words of the Philox generator the next draw takes, and Philox on the host.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011) turns a key and a counter into four 32-bit words; there
is nothing else to remember. So the whole state of a program's randomness is a key, one counter, and one
more counter per op seed in use: small, exact to save, and drawing costs no device work. Kernels compute the
words (kernels/random.cl.mako); `words` is the same function in NumPy.

Seeds follow TensorFlow 1.x: without any seed the key is fresh entropy; `set_random_seed` makes the
sequence of unseeded draws reproducible; a draw with a seed of its own has a sequence of its own, which
depends on both seeds.
"""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple

import numpy as np

from cltensor.base.errors import DTypeError, InvalidArgumentError

__all__ = ["Generator", "Draw", "generator", "philox", "words"]

_MASK64, _DEFAULT_KEY = 2**64 - 1, 87654321     # the graph seed TensorFlow uses beside an op seed alone
_SHARED = 2**63                                 # stream of draws without a seed of their own
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: tuple, key: tuple) -> tuple:
    """Ten rounds of Philox4x32 on four counter words (ints or uint64 arrays) and two key words.

    Example:
        >>> [f"{int(w):08x}" for w in philox((0, 0, 0, 0), (0, 0))]
        ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = ((p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW,
                          (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW)
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


class Draw(NamedTuple):
    """A reserved range of blocks: key words, number of the first block, stream; all that a kernel needs."""

    key0: int
    key1: int
    counter: int
    stream: int


def words(draw: Draw, n: int) -> np.ndarray:
    """The first `n` words of a draw in the order kernels store them: 16 blocks by 4 words at a time."""
    block = np.arange(-(-n // 64) * 16, dtype=np.uint64) + np.uint64(draw.counter)
    out = philox((block & _LOW, block >> _HALF, draw.stream & 0xFFFFFFFF, draw.stream >> 32),
                 (draw.key0, draw.key1))
    return np.stack([w.reshape(-1, 16) for w in np.broadcast_arrays(*out)], 1).reshape(-1)[:n].astype(np.uint32)


class Generator:
    """Key and counters. Thread-safe: two draws never share a word.

    Example:
        >>> g = Generator(7); before = g.get_state(); first = g.reserve(16)
        >>> g.set_state(before); g.reserve(16) == first, g.reserve(16) == first
        (True, False)
    """

    def __init__(self, seed: int | None = None):
        self._lock = threading.Lock()
        self.reseed(seed)

    def reseed(self, seed: int | None) -> None:
        """Start over from this seed; None: from fresh entropy."""
        with self._lock:
            self._seeded = seed is not None
            self._key = int.from_bytes(os.urandom(8), "little") if seed is None else seed & _MASK64
            self._counters: dict[int, int] = {_SHARED: 0}

    def reserve(self, blocks: int, seed: int | None = None) -> Draw:
        """Take the next `blocks` blocks of four words, of the shared sequence or of an op seed's own."""
        stream = _SHARED if seed is None else seed & (_SHARED - 1)
        with self._lock:
            counter = self._counters.get(stream, 0)
            self._counters[stream] = (counter + blocks) & _MASK64
            key = self._key if seed is None or self._seeded else _DEFAULT_KEY
        return Draw(key & 0xFFFFFFFF, key >> 32, counter, stream)

    def get_state(self) -> np.ndarray:
        """The state as uint64 numbers: seeded or not, key, then stream and counter of every stream used."""
        with self._lock:
            pairs = [n for pair in self._counters.items() for n in pair]
            return np.array([int(self._seeded), self._key, *pairs], np.uint64)

    def set_state(self, state: Any) -> None:
        """Resume exactly where `get_state` was called.

        Raises: DTypeError, InvalidArgumentError when it is no such state.
        """
        array = np.asarray(state)
        if array.dtype != np.uint64:
            raise DTypeError(f"set_state: state must have dtype uint64, it has {array.dtype}")
        if array.ndim != 1 or array.size < 4 or array.size % 2:
            raise InvalidArgumentError("set_state: state must be a vector of an even number (4 or more) of values, "
                                       f"it has shape {array.shape}")
        seeded, key, *pairs = (int(v) for v in array)
        with self._lock:
            self._seeded, self._key = bool(seeded), key
            self._counters = dict(zip(pairs[::2], pairs[1::2]))


generator = Generator()
