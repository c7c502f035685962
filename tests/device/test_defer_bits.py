"""The same bits at once, op by op, through the interpreter kernel and compiled: random programs, by fixed seeds."""

from __future__ import annotations

import random

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.tensor import from_numpy
from cltensor.interpret import defer, tiers

PROGRAMS, TOGETHER = 300, 20
COMPILED = 6            # every sixth program is compiled too, since each is a few builds
UNARY = [tf.sqrt, tf.negative, tf.square, tf.tanh, tf.exp, tf.abs, tf.sigmoid, tf.nn.relu, tf.sign, tf.log, tf.sin,
         tf.reciprocal]
BINARY = [tf.add, tf.subtract, tf.multiply, tf.divide, tf.maximum, tf.minimum, tf.squared_difference]
SHAPES = [(1,), (5,), (16,), (1000,), (5003,), (70001,), (3, 17), (300, 257)]


def program(seed: int) -> list:
    """Every value the program of this seed reads on its way or holds at its end."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    shape = SHAPES[seed % len(SHAPES)]
    values = [from_numpy(rng.standard_normal(shape).astype(np.float32), keep=False) for _ in range(3)]
    values += [tf.constant(np.float32(rng.standard_normal())), tf.constant(np.float32(rng.standard_normal()))]
    if len(shape) == 2:
        values.append(from_numpy(rng.standard_normal(shape[1:]).astype(np.float32), keep=False))
    out = []
    for _ in range(r.randint(3, 40)):
        a, kind = r.choice(values), r.random()
        if kind < 0.35:
            t = r.choice(UNARY)(a)
        elif kind < 0.5:
            t = r.choice(BINARY)(a, round(r.uniform(-2, 2), 3))
        elif kind < 0.55:
            t = r.choice(BINARY)(r.choice([2, -0.5]), a)
        elif kind < 0.8:
            t = r.choice(BINARY)(a, r.choice(values))
        elif kind < 0.87:
            t = tf.where(tf.greater(a, 0.25), a, tf.multiply(a, -0.5))
        elif kind < 0.91:
            t = tf.reduce_sum(a)
        elif kind < 0.95:
            t = tf.reduce_mean(a)
        elif kind < 0.97:
            t = tf.stop_gradient(a)
        else:
            t = tf.broadcast_to(a, shape)
        values.append(t)
        if r.random() < 0.35:
            values.pop(r.randrange(len(values)))
        if r.random() < 0.03:
            out.append(values[-1].numpy())
        del a, t
    return out + [v.numpy() for v in values]


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    """True if any bit differs, but for the payload of NaNs."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return True
    same = a.reshape(-1).view(np.uint32) == b.reshape(-1).view(np.uint32)
    return not bool(np.all(same | (np.isnan(a) & np.isnan(b)).reshape(-1)))


@pytest.mark.parametrize("first", range(0, PROGRAMS, TOGETHER))
def test_random_programs(first):
    seeds = range(first, first + TOGETHER)
    with defer.using("0"):
        want = [program(seed) for seed in seeds]
    for tier in tiers.TIERS:
        with defer.using("1"), tiers.forced(tier):
            for seed, expected in zip(seeds, want):
                if tier == "compiled" and seed % COMPILED:
                    continue
                found = program(seed)
                wrong = [i for i, (a, b) in enumerate(zip(expected, found)) if differ(a, b)]
                assert len(found) == len(expected) and not wrong, f"{tier}, program {seed}: values {wrong}"
