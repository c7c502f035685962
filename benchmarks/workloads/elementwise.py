"""Elementwise ops at 1 M and 16 M floats; NumPy and PyTorch write into an array that exists (`out=`)."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from benchmarks.workload import Bar, Workload, floats

_BAR = (Bar(("numpy", "torch"), 1.2, 1.0),)
_A, _B = math.sqrt(2 / math.pi), 0.044715


def _numpy_gelu(x, t, out):
    """0.5 x (1 + tanh(a (x + b x^3))), every pass into an array that exists."""
    np.multiply(x, x, out=t)
    np.multiply(t, _B, out=t)
    np.add(t, 1, out=t)
    np.multiply(t, x, out=t)
    np.multiply(t, _A, out=t)
    np.tanh(t, out=t)
    np.add(t, 1, out=t)
    np.multiply(t, x, out=t)
    return np.multiply(t, 0.5, out=out)


def _written_out(tf, x):
    return 0.5 * x * (1 + tf.tanh(_A * (x + _B * x * x * x)))


def _gelu(module, x):
    """The package's gelu in its tanh form; written out in ops where there is none."""
    own = getattr(module.nn, "gelu", None)
    return (lambda: own(x, approximate=True)) if own else (lambda: _written_out(module, x))


def _torch_gelu(torch, a, b):
    return lambda: torch.nn.functional.gelu(a, approximate="tanh")


FORMS: dict[str, dict] = {
    "add": {
        "cltensor": lambda tf, a, b: lambda: tf.add(a, b), "tensorflow": lambda tf, a, b: lambda: tf.add(a, b),
        "numpy": lambda np_, a, b: partial(np.add, a, b, out=np.empty_like(a)),
        "torch": lambda torch, a, b: partial(torch.add, a, b, out=torch.empty_like(a)),
        "jax": lambda jax, a, b: lambda: a + b, "tinygrad": lambda tg, a, b: lambda: (a + b).realize()},
    "exp": {
        "cltensor": lambda tf, a, b: lambda: tf.exp(a), "tensorflow": lambda tf, a, b: lambda: tf.exp(a),
        "numpy": lambda np_, a, b: partial(np.exp, a, out=np.empty_like(a)),
        "torch": lambda torch, a, b: partial(torch.exp, a, out=torch.empty_like(a)),
        "jax": lambda jax, a, b: lambda: jax.numpy.exp(a), "tinygrad": lambda tg, a, b: lambda: a.exp().realize()},
    "tanh": {
        "cltensor": lambda tf, a, b: lambda: tf.tanh(a), "tensorflow": lambda tf, a, b: lambda: tf.tanh(a),
        "numpy": lambda np_, a, b: partial(np.tanh, a, out=np.empty_like(a)),
        "torch": lambda torch, a, b: partial(torch.tanh, a, out=torch.empty_like(a)),
        "jax": lambda jax, a, b: lambda: jax.numpy.tanh(a), "tinygrad": lambda tg, a, b: lambda: a.tanh().realize()},
    "sin": {
        "cltensor": lambda tf, a, b: lambda: tf.sin(a), "tensorflow": lambda tf, a, b: lambda: tf.sin(a),
        "numpy": lambda np_, a, b: partial(np.sin, a, out=np.empty_like(a)),
        "torch": lambda torch, a, b: partial(torch.sin, a, out=torch.empty_like(a)),
        "jax": lambda jax, a, b: lambda: jax.numpy.sin(a), "tinygrad": lambda tg, a, b: lambda: a.sin().realize()},
    "gelu": {
        "cltensor": lambda tf, a, b: _gelu(tf, a), "tensorflow": lambda tf, a, b: _gelu(tf, a),
        "numpy": lambda np_, a, b: partial(_numpy_gelu, a, np.empty_like(a), np.empty_like(a)),
        "torch": _torch_gelu,
        "jax": lambda jax, a, b: lambda: jax.nn.gelu(a, approximate=True),
        "tinygrad": lambda tg, a, b: lambda: a.gelu().realize()},
}


def elementwise(op: str, n: int, size: str) -> Workload:
    """One op over n floats."""
    return Workload(f"{op} {size}", f"{op} of {size} floats", lambda: floats((n,), (n,)), FORMS[op], _BAR,
                    flop=n * {"add": 1, "exp": 20, "tanh": 20, "sin": 25, "gelu": 28}[op],
                    moved=n * (12 if op == "add" else 8), tolerance=1e-5)


WORKLOADS = [elementwise(op, n, size) for n, size in ((2**20, "1M"), (2**24, "16M")) for op in FORMS]
