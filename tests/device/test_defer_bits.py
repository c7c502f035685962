"""The same bits at once, op by op, through the interpreter kernel and compiled: random programs, by fixed seeds.

`python -m tests.device.test_defer_bits 300 10000` compares the programs of these seeds, and prints what differs.
"""

from __future__ import annotations

import random
import sys
from math import prod

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
COMPARE = [tf.greater, tf.greater_equal, tf.less, tf.less_equal, tf.equal, tf.not_equal]
REDUCE = [tf.reduce_sum, tf.reduce_mean, tf.reduce_max]
LARGEST = 100_000       # elements a broadcast may grow to
SHAPES = [(1,), (5,), (16,), (1000,), (5003,), (70001,), (3, 17), (300, 257)]


def broadcast(a: tf.Tensor, shape: tuple) -> tuple | None:
    """The shape of `a` broadcast with another, None where it cannot be."""
    try:
        return np.broadcast_shapes(a.spec.shape, shape)
    except ValueError:
        return None


class Program:
    """The random program of a seed: tensors by dtype, and the next op on some of them."""

    def __init__(self, seed: int):
        self.r, self.rng = random.Random(seed), np.random.default_rng(seed)
        self.shape = shape = SHAPES[seed % len(SHAPES)]
        self.halves = seed % 5 == 4
        self.floats = [self.new(shape) for _ in range(3)] + [self.new(()), self.new(())]
        if len(shape) == 2:
            self.floats += [self.new(shape[1:]), self.new((shape[0], 1))]
        self.masks = [tf.greater(self.floats[0], 0.0)]
        self.variables = [tf.Variable(self.new(s)) for s in (shape, ())]
        self.out: list = []

    def new(self, shape: tuple) -> tf.Tensor:
        x = self.rng.standard_normal(shape) * 10.0 ** self.r.choice([-3, 0, 0, 0, 3])
        return from_numpy(np.asarray(x, np.float16 if self.halves else np.float32), keep=False)

    def beside(self, a: tf.Tensor, values: list) -> tf.Tensor:
        """One of the values that broadcasts against `a`."""
        def fits(b: tf.Tensor) -> bool:
            both = broadcast(a, b.spec.shape)
            return both is not None and prod(both) <= max(LARGEST, a.spec.size, b.spec.size)
        return self.r.choice([b for b in values if fits(b)] or [a])

    def number(self) -> float:
        return self.r.choice([2, -0.5, 0.0, round(self.r.uniform(-2, 2), 3)])

    def expression(self, a: tf.Tensor) -> tf.Tensor:
        r, kind = self.r, self.r.random()
        if kind < 0.4:
            return r.choice(UNARY)(a)
        if kind < 0.6:
            return r.choice(BINARY)(a, self.number())
        if kind < 0.65:
            return r.choice(BINARY)(self.number(), a)
        if kind < 0.9:
            return r.choice(BINARY)(a, self.beside(a, self.floats))
        if kind < 0.93:
            return tf.clip_by_value(a, -0.75, abs(self.number()))
        return tf.add_n([a, self.beside(a, [v for v in self.floats if v.shape == a.shape]), a])

    def logic(self, a: tf.Tensor) -> tf.Tensor | None:
        """A mask more, or a value chosen by one."""
        r, kind = self.r, self.r.random()
        if kind < 0.35:
            self.masks.append(r.choice(COMPARE)(a, self.beside(a, self.floats) if r.random() < 0.5 else self.number()))
            return None
        mask = self.beside(a, [*self.masks, tf.less(a, 0.5)])
        if kind < 0.5:
            other = self.beside(mask, self.masks)
            self.masks.append(r.choice([tf.logical_and, tf.logical_or])(tf.logical_not(mask), other))
            return None
        if kind < 0.65:
            return tf.cast(mask, a.dtype) * a
        return tf.where(mask, a, a * -0.5) if mask.shape == a.shape else tf.where(tf.less(a, 0.0), a, -a)

    def shaped(self, a: tf.Tensor) -> tf.Tensor:
        """A sum, a view, a piece, a cast: some wait, some make what waits run."""
        r, kind, rank = self.r, self.r.random(), len(a.shape)
        if kind < 0.25:
            return r.choice([tf.reduce_sum, tf.reduce_mean])(a, keepdims=r.random() < 0.2)
        if kind < 0.4 and rank == 2:
            return r.choice(REDUCE)(a, r.choice([0, 1, -1]), keepdims=r.random() < 0.5)
        if kind < 0.45:
            return tf.reduce_max(a)
        if kind < 0.52:
            return tf.stop_gradient(a)
        if kind < 0.59:
            return tf.reshape(a, [-1] if r.random() < 0.5 else [1, *a.shape])
        if kind < 0.66:
            return tf.expand_dims(a, r.choice([0, -1]))
        if kind < 0.73:
            return tf.squeeze(a)
        if kind < 0.78 and rank == 2:
            return tf.transpose(a)
        if kind < 0.84 and rank:
            return a[1:] if a.shape[0] > 1 else a[:]
        if kind < 0.88:
            return tf.cast(tf.cast(tf.clip_by_value(a, -100.0, 100.0), tf.int32), a.dtype)
        if kind < 0.94 and not self.halves:
            return tf.cast(tf.cast(a, tf.float16), tf.float32)
        return tf.broadcast_to(a, self.shape) if broadcast(a, self.shape) == self.shape else tf.identity(a)

    def state(self) -> tf.Tensor:
        """An assignment, between reads of the variable."""
        r, v = self.r, self.r.choice(self.variables)
        before = v.read_value() if r.random() < 0.5 else v * 0.5
        same = [x for x in self.floats if x.shape == v.shape]
        if same:
            r.choice([v.assign, v.assign_add, v.assign_sub])(r.choice(same))
        return before

    def slope(self, a: tf.Tensor) -> tf.Tensor:
        """A gradient."""
        with tf.GradientTape() as tape:
            tape.watch(a)
            y = tf.tanh(a * self.number()) * a
            y = tf.reduce_sum(y) if self.r.random() < 0.7 else y * y
        return tape.gradient(y, a)

    def run(self) -> list:
        """Every value it reads on its way or holds at its end, as arrays."""
        r = self.r
        for _ in range(r.randint(3, 40)):
            a, kind = r.choice(self.floats), r.random()
            make = (self.expression if kind < 0.68 else self.logic if kind < 0.78 else self.shaped if kind < 0.93
                    else lambda a: self.state() if kind < 0.97 else self.slope(a))
            t = make(a)
            if t is not None:
                self.floats.append(t)
            del a, t
            for values in (self.floats, self.masks):
                if r.random() < 0.35 and len(values) > 3:
                    values.pop(r.randrange(len(values)))
            if r.random() < 0.03:
                self.out.append(self.floats[-1].numpy())
        return self.out + [v.numpy() for v in (*self.floats, *self.masks, *self.variables)]


def program(seed: int) -> list:
    """Every value the program of this seed reads on its way or holds at its end."""
    return Program(seed).run()


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    """True if any bit differs, but for the payload of NaNs."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return True
    if a.dtype == bool:
        return not np.array_equal(a, b)
    bits = {4: np.uint32, 2: np.uint16}[a.dtype.itemsize]
    same = a.reshape(-1).view(bits) == b.reshape(-1).view(bits)
    return not bool(np.all(same | (np.isnan(a) & np.isnan(b)).reshape(-1)))


def compare(seeds: range, compiled: int = COMPILED) -> list[str]:
    """What differs from immediate execution in the programs of these seeds."""
    wrong = []
    with defer.using("0"):
        want = [program(seed) for seed in seeds]
    for tier in tiers.TIERS:
        with defer.using("1"), tiers.forced(tier):
            for seed, expected in zip(seeds, want):
                if tier == "compiled" and seed % compiled:
                    continue
                found = program(seed)
                at = [i for i, (a, b) in enumerate(zip(expected, found)) if differ(a, b)]
                if at or len(found) != len(expected):
                    wrong.append(f"{tier}, program {seed}: values {at} of {len(expected)}, {len(found)}")
    return wrong


@pytest.mark.parametrize("first", range(0, PROGRAMS, TOGETHER))
def test_random_programs(first):
    assert not compare(range(first, first + TOGETHER))


if __name__ == "__main__":
    low, high = map(int, sys.argv[1:])
    for first in range(low, high, TOGETHER):
        for line in compare(range(first, first + TOGETHER)):
            print(line, flush=True)
    print(f"{high - low} programs from {low} on")
