"""What a small eager op costs, and chains of ten ops: overhead at 16 elements, memory traffic at 1 M and 16 M."""

from __future__ import annotations

import numpy as np

from benchmarks.workload import Bar, Workload, both, floats
from benchmarks.workloads.matmul import product


def _chain(tf, x):
    """Ten ops, as a user writes them; the same text for every package with these names."""
    y = x * 1.01
    y = y + 0.5
    y = tf.tanh(y)
    y = y * x
    y = y - 0.25
    y = y * y
    y = y + 1.0
    y = tf.sqrt(y)
    y = y / 1.5
    return tf.maximum(y, x)


def _torch_chain(torch, x):
    def call():
        y = torch.tanh(x * 1.01 + 0.5) * x - 0.25
        return torch.maximum(torch.sqrt(y * y + 1.0) / 1.5, x)
    return call


def _tinygrad_chain(tinygrad, x):
    def call():
        y = (x * 1.01 + 0.5).tanh() * x - 0.25
        return ((y * y + 1.0).sqrt() / 1.5).maximum(x).realize()
    return call


def chain(n: int, size: str) -> Workload:
    """Ten elementwise ops over n floats, each an eager op."""
    return Workload(f"chain of 10 {size}", f"10-op chain, {size} floats, eager", lambda: floats((n,)), {
        **both(lambda tf, x: lambda: _chain(tf, x)),
        "numpy": lambda np_, x: lambda: _chain(np_, x),
        "torch": _torch_chain,
        "jax": lambda jax, x: lambda: _chain(jax.numpy, x),
        "tinygrad": _tinygrad_chain,
    }, (Bar(("tensorflow",), 0.5, 0.2),), flop=10 * n, moved=96 * n, tolerance=1e-5, seconds=0.1)


def small(op: str) -> Workload:
    """One op on 16 elements: overhead alone."""
    def tf_form(tf, a, b):
        f = {"add": tf.add, "mul": tf.multiply}[op]
        return lambda: f(a, b)

    operators = {"add": lambda a, b: lambda: a + b, "mul": lambda a, b: lambda: a * b}[op]
    lazy = {"add": lambda a, b: lambda: (a + b).realize(), "mul": lambda a, b: lambda: (a * b).realize()}[op]
    return Workload(f"{op} of 16", f"{op} of 16 elements, eager", lambda: floats((16,), (16,)), {
        **both(tf_form),
        "numpy": lambda np_, a, b: operators(a, b), "torch": lambda torch, a, b: operators(a, b),
        "jax": lambda jax, a, b: operators(a, b), "tinygrad": lambda tg, a, b: lazy(a, b),
    }, (Bar(("tensorflow",), 0.5, 0.3),), tolerance=1e-6)


def recorded() -> Workload:
    """Ten additions recorded by a tape; the tape is made anew each time."""
    def tf_form(tf, a, b):
        def call():
            with tf.GradientTape() as tape:
                tape.watch(a)
                y = a
                for _ in range(10):
                    y = tf.add(y, b)
            return y
        return call

    return Workload("10 adds of 16 in a tape", "10 additions of 16 elements in a tape", lambda: floats((16,), (16,)),
                    both(tf_form), tolerance=1e-5)


def read_back() -> Workload:
    """A product of 1000 x 1000 whose result is brought to the host each time."""
    base = product(1000, 1000, 1000, ())

    def fetched(form, get):
        def make(module, a, b):
            call = form(module, a, b)
            return lambda: get(call())
        return make

    getters = {"cltensor": lambda t: t.numpy(), "tensorflow": lambda t: t.numpy().copy(), "jax": np.array}
    return Workload("matmul 1000 to host", "matmul 1000, result copied to the host each time", base.inputs,
                    {name: fetched(base.forms[name], get) for name, get in getters.items()},
                    flop=base.flop, tolerance=1e-4, result=np.asarray)


WORKLOADS = [small("add"), small("mul"), recorded(), read_back(), chain(2**20, "1M"), chain(2**24, "16M")]
