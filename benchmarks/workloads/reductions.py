"""Sums over all, the first, the last and a middle axis, maxima, argmax, softmax and log-softmax, mostly of a million
elements and more."""

from __future__ import annotations

import numpy as np

from benchmarks.workload import Bar, Workload, floats

_BAR = (Bar(("numpy", "torch"), 1.0, 0.5),)


def _numpy_softmax(x, out):
    np.subtract(x, x.max(-1, keepdims=True), out=out)
    np.exp(out, out=out)
    np.divide(out, out.sum(-1, keepdims=True), out=out)
    return out


def _numpy_log_softmax(x, out):
    np.subtract(x, x.max(-1, keepdims=True), out=out)
    out -= np.log(np.exp(out).sum(-1, keepdims=True))
    return out


def _row(name: str, title: str, shape: tuple, forms: dict, writes: int, each: int = 1) -> Workload:
    n = int(np.prod(shape))
    return Workload(name, title, lambda: floats(shape), forms, _BAR, flop=each * n,
                    moved=4 * (n + writes), tolerance=1e-4)


def total(shape: tuple, axis: int | None) -> Workload:
    """Sum over one axis, or all."""
    where = {None: "all axes", 0: "the first axis", -1: "the last axis"}[axis]
    text = "x".join(map(str, shape))
    writes = 1 if axis is None else int(np.prod(shape)) // shape[axis]
    out = None if axis is None else np.empty(np.delete(shape, axis), np.float32)
    return _row(f"sum {text} axis {'all' if axis is None else axis}", f"sum of {text} over {where}", shape, {
        "cltensor": lambda tf, x: lambda: tf.reduce_sum(x, axis),
        "tensorflow": lambda tf, x: lambda: tf.reduce_sum(x, axis),
        "numpy": lambda np_, x: lambda: np.sum(x, axis, out=out),
        "torch": lambda torch, x: (x.sum if axis is None else lambda: torch.sum(x, axis)),
        "jax": lambda jax, x: lambda: jax.numpy.sum(x, axis),
        "tinygrad": lambda tg, x: lambda: x.sum(axis).realize(),
    }, writes)


def middle(shape: tuple) -> Workload:
    """Sum over the axis between two others."""
    text = "x".join(map(str, shape))
    out = np.empty((shape[0], shape[2]), np.float32)
    return _row(f"sum {text} axis 1", f"sum of {text} over the middle axis", shape, {
        "cltensor": lambda tf, x: lambda: tf.reduce_sum(x, 1),
        "tensorflow": lambda tf, x: lambda: tf.reduce_sum(x, 1),
        "numpy": lambda np_, x: lambda: np.sum(x, 1, out=out),
        "torch": lambda torch, x: lambda: torch.sum(x, 1),
        "jax": lambda jax, x: lambda: jax.numpy.sum(x, 1),
        "tinygrad": lambda tg, x: lambda: x.sum(1).realize(),
    }, out.size)


def largest(shape: tuple) -> Workload:
    """The largest element of each row."""
    text = "x".join(map(str, shape))
    out = np.empty(shape[:1], np.float32)
    return _row(f"max {text} axis -1", f"largest of the rows of {text}", shape, {
        "cltensor": lambda tf, x: lambda: tf.reduce_max(x, -1),
        "tensorflow": lambda tf, x: lambda: tf.reduce_max(x, -1),
        "numpy": lambda np_, x: lambda: np.max(x, -1, out=out),
        "torch": lambda torch, x: lambda: torch.amax(x, -1),
        "jax": lambda jax, x: lambda: jax.numpy.max(x, -1),
        "tinygrad": lambda tg, x: lambda: x.max(-1).realize(),
    }, shape[0])


def argmax(shape: tuple) -> Workload:
    """Position of the largest element of each row."""
    text = "x".join(map(str, shape))
    return _row(f"argmax {text}", f"argmax of the rows of {text}", shape, {
        "cltensor": lambda tf, x: lambda: tf.argmax(x, -1),
        "tensorflow": lambda tf, x: lambda: tf.argmax(x, -1),
        "numpy": lambda np_, x: lambda: np.argmax(x, -1),
        "torch": lambda torch, x: lambda: torch.argmax(x, -1),
        "jax": lambda jax, x: lambda: jax.numpy.argmax(x, -1),
        "tinygrad": lambda tg, x: lambda: x.argmax(-1).realize(),
    }, 2 * shape[0])


def softmax(shape: tuple, log: bool = False) -> Workload:
    """Softmax, or its logarithm, of each row."""
    text, name = "x".join(map(str, shape)), "log_softmax" if log else "softmax"
    own = _numpy_log_softmax if log else _numpy_softmax

    def numpy_form(np_, x):
        out = np.empty(shape, np.float32)
        return lambda: own(x, out)

    return _row(f"{name} {text}", f"{name} of the rows of {text}", shape, {
        "cltensor": lambda tf, x: lambda: getattr(tf.nn, name)(x),
        "tensorflow": lambda tf, x: lambda: getattr(tf.nn, name)(x),
        "numpy": numpy_form,
        "torch": lambda torch, x: lambda: getattr(torch, name)(x, -1),
        "jax": lambda jax, x: lambda: getattr(jax.nn, name)(x),
        "tinygrad": lambda tg, x: lambda: getattr(x, name)(-1).realize(),
    }, int(np.prod(shape)), 24)          # a maximum, a subtraction, exp as 20, a sum, a scale


WORKLOADS = [
    total((4096, 1024), None), total((4096, 1024), 0), total((4096, 1024), -1),
    total((65536, 64), 0), total((65536, 64), -1), total((16384, 1000), 0), total((16384, 1000), None),
    total((1000000, 2), 0), largest((1000000, 2)), middle((64, 512, 16)), middle((100, 100, 100)),
    total((512, 512), None), argmax((16384, 1000)), argmax((65536, 64)),
    softmax((4096, 1024)), softmax((65536, 64)), softmax((16384, 1000)),
    softmax((4096, 1024), log=True),
]
