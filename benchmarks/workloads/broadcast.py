"""Additions that broadcast, additions of a transposed matrix, and plain transposes."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.workload import Bar, Workload, floats

_BAR = (Bar(("numpy",), 1.2, 0.6),)


def add(a_shape: tuple, b_shape: tuple) -> Workload:
    """a + b with NumPy's broadcasting."""
    name = f"[{','.join(map(str, a_shape))}]+[{','.join(map(str, b_shape))}]"
    n = int(np.prod(a_shape))
    return Workload(name, f"{name}, broadcast", lambda: floats(a_shape, b_shape), {
        "cltensor": lambda tf, a, b: lambda: tf.add(a, b),
        "tensorflow": lambda tf, a, b: lambda: tf.add(a, b),
        "numpy": lambda np_, a, b: partial(np.add, a, b, out=np.empty_like(a)),
        "torch": lambda torch, a, b: partial(torch.add, a, b, out=torch.empty_like(a)),
        "jax": lambda jax, a, b: lambda: a + b,
        "tinygrad": lambda tg, a, b: lambda: (a + b).realize(),
    }, _BAR, flop=n, moved=4 * (2 * n + int(np.prod(b_shape))), tolerance=1e-6)


def _numpy_turn(axes: tuple, shape: tuple):
    out_shape = tuple(shape[i] for i in axes)

    def form(np_, x):
        out = np.empty(out_shape, np.float32)

        def call():
            np.copyto(out, x.transpose(axes))
            return out
        return call
    return form


def _torch_turn(axes: tuple, shape: tuple):
    out_shape = tuple(shape[i] for i in axes)

    def form(torch, x):
        out = torch.empty(out_shape)
        return lambda: out.copy_(x.permute(axes))
    return form


def transpose(shape: tuple, axes: tuple) -> Workload:
    """A transpose that moves the data."""
    text = "x".join(map(str, shape))
    n = int(np.prod(shape))
    return Workload(f"transpose {text} {''.join(map(str, axes))}", f"transpose of {text} to axes {axes}",
                    lambda: floats(shape), {
        "cltensor": lambda tf, x: lambda: tf.transpose(x, axes),
        "tensorflow": lambda tf, x: lambda: tf.transpose(x, axes),
        "numpy": _numpy_turn(axes, shape),
        "torch": _torch_turn(axes, shape),
        "jax": lambda jax, x: lambda: jax.numpy.transpose(x, axes),
        "tinygrad": lambda tg, x: lambda: x.permute(axes).contiguous().realize(),
    }, _BAR, moved=8 * n, tolerance=0)


def add_turned(side: int) -> Workload:
    """a + transpose(b): a strided view in NumPy and PyTorch, two ops where there are no views."""
    def torch_form(torch, a, b):
        return partial(torch.add, a, b.T, out=torch.empty_like(a))

    n = side * side
    return Workload(f"a+b.T {side}", f"a + transpose(b), {side}x{side}", lambda: floats((side, side), (side, side)), {
        "cltensor": lambda tf, a, b: lambda: tf.add(a, tf.transpose(b)),
        "tensorflow": lambda tf, a, b: lambda: tf.add(a, tf.transpose(b)),
        "numpy": lambda np_, a, b: partial(np.add, a, b.T, out=np.empty_like(a)),
        "torch": torch_form,
        "jax": lambda jax, a, b: lambda: a + b.T,
        "tinygrad": lambda tg, a, b: lambda: (a + b.T).realize(),
    }, _BAR, flop=n, moved=12 * n, tolerance=1e-6)


WORKLOADS = [
    add((1024, 1024), (1024,)), add((1024, 1024), (1024, 1)), add((64, 256, 64), (64, 1, 64)), add((131072, 8), (8,)),
    add_turned(1024), transpose((1024, 1024), (1, 0)), transpose((32, 56, 56, 16), (0, 3, 1, 2)),
]
