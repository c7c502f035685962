"""Rows of random tensors. The twin is Philox4x32-10 as published, in NumPy: not a distribution is compared, but bits.

Blocks of four words are dealt to results in groups: sixteen neighbouring blocks make 64 words, word w of block j
being result w * 16 + j of the group (64-bit results: 32 pairs of words).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from scipy import special as sc

import cltensor as tf
from tests.ops.row import EXACT, Case, Input, Row, Ulps

_SEED, _STREAM = 2**40 + 7, 5
_LOW = np.uint64(0xFFFFFFFF)


def words(n: int) -> np.ndarray:
    """Words of the first blocks, (groups, 4, 16), enough for n results of 32 bits."""
    groups = -(-max(n, 1) // 64)
    c = [np.arange(groups * 16, dtype=np.uint64)] + [np.full(groups * 16, v, np.uint64) for v in (0, _STREAM, 0)]
    k = [_SEED & 0xFFFFFFFF, _SEED >> 32]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]), b & _LOW, (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]),
            a & _LOW]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack([w.reshape(groups, 16) for w in c], 1)


def _deal(groups: np.ndarray, to: tuple) -> np.ndarray:
    return groups.reshape(-1)[:prod(to)].reshape(to)


def _pairs(w: np.ndarray) -> np.ndarray:
    return w[:, 1::2] << np.uint64(32) | w[:, 0::2]


def _unit(to: tuple) -> np.ndarray:
    return _deal(words(prod(to)) >> np.uint64(8), to) * 2.0**-24


def _unit64(to: tuple) -> np.ndarray:
    return _deal(_pairs(words(2 * prod(to))) >> np.uint64(11), to) * 2.0**-53


def _integer(to: tuple, low: int, high: int) -> np.ndarray:
    return _deal((words(prod(to)) * np.uint64(high - low)) >> np.uint64(32), to).astype(np.int64) + low


def _normal(to: tuple, mean: float = 0.0, stddev: float = 1.0) -> np.ndarray:
    u = (words(prod(to)) >> np.uint64(8)) * 2.0**-24
    radius, turn = np.sqrt(-2 * np.log(u[:, 0::2] + 2.0**-24)), 2 * u[:, 1::2]
    turn = np.where(turn > 1, turn - 2, turn)           # exact; keeps the argument of sin and cos small
    cosine, sine = _cospi(turn), _sinpi(turn)
    z = np.stack([radius * cosine, radius * sine], 2).reshape(len(u), 4, 16)
    return _deal(z, to) * stddev + mean


def _sinpi(t: Any) -> Any:
    half = np.where(np.abs(t) > 0.5, np.copysign(1, t) - t, t)       # sin(pi - x) = sin x, exact at multiples
    return np.sin(np.pi * half)


def _cospi(t: Any) -> Any:
    return _sinpi(0.5 - np.abs(t))


def _truncated(to: tuple) -> np.ndarray:
    x = (_deal(words(prod(to)) >> np.uint64(8), to).astype(np.int64) * 2 + 1 - 2**24) * 2.0**-24
    return np.sqrt(2) * sc.erfinv(x * sc.erf(np.sqrt(2)))


def _seeded(draw: Any) -> Any:
    def call(*inputs: Any, **attrs: Any) -> Any:
        tf.set_random_seed(_SEED)
        return draw(*inputs, **attrs)
    return call


_SHAPES = tuple(Case((), {"to": to}) for to in ((), (0,), (1,), (63,), (64,), (65,), (3, 50), (20_011,)))
_NONE: tuple = ()


def _drop(x: Any, keep: float) -> Any:
    return np.where(_unit(x.shape) < np.float32(keep), x / np.float32(keep), 0)


ROWS = (
    Row("random_uniform", _seeded(lambda to: tf.random_uniform(to, seed=_STREAM)), _unit, _NONE, _SHAPES, order=0),
    Row("random_uniform between bounds", _seeded(lambda to: tf.random_uniform(to, -2., 3., seed=_STREAM)),
        lambda to: -2 + 5 * _unit(to), _NONE, _SHAPES, ("random_uniform",), 0, Ulps(1, 4)),
    Row("random_uniform of float64", _seeded(lambda to: tf.random_uniform(to, dtype=tf.float64, seed=_STREAM)),
        _unit64, _NONE, _SHAPES, ("random_uniform",), 0, EXACT, result="float64"),
    Row("random_integer", _seeded(lambda to: tf.random_uniform(to, -5, 1000, tf.int32, seed=_STREAM)),
        lambda to: _integer(to, -5, 1000), _NONE, _SHAPES, order=0, result="int32"),
    Row("random_integer of int64", _seeded(lambda to: tf.random_uniform(to, 0, 2**62, tf.int64, seed=_STREAM)),
        lambda to: _deal(_pairs(words(2 * prod(to))) >> np.uint64(2), to).astype(np.int64), _NONE, _SHAPES,
        ("random_integer",), 0, result="int64"),
    Row("random_normal", _seeded(lambda to: tf.random_normal(to, seed=_STREAM)), _normal, _NONE, _SHAPES, order=0,
        tolerance=Ulps(4)),
    Row("random_normal scaled", _seeded(lambda to: tf.random_normal(to, 3., 0.5, seed=_STREAM)),
        lambda to: _normal(to, 3, 0.5), _NONE, _SHAPES, ("random_normal",), 0, Ulps(1, 12)),
    Row("random_truncated", _seeded(lambda to: tf.truncated_normal(to, seed=_STREAM)), _truncated, _NONE, _SHAPES,
        order=0, tolerance=Ulps(16)),
    Row("dropout", _seeded(lambda x, keep: tf.nn.dropout(x, keep, seed=_STREAM)), _drop, (Input(),),
        tuple(Case((s,), {"keep": 0.7}) for s in ((), (0,), (17,), (7, 13), (20_011,))),
        ("keep_scaled", "random_uniform"),
        tolerance=Ulps(2.5)),
)
