"""Matrix products: large ones that meet the machine's peak, and the thin ones of small networks."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.workload import Bar, Workload, both, floats


def product(m: int, k: int, n: int, bars: tuple, transpose_b: bool = False) -> Workload:
    """C[m, n] = A[m, k] B[k, n]; with `transpose_b`, B is stored as [n, k]."""
    def inputs():
        return floats((m, k), (n, k) if transpose_b else (k, n))

    def tf_form(tf, a, b):
        return (lambda: tf.matmul(a, b, transpose_b=True)) if transpose_b else (lambda: tf.matmul(a, b))

    def numpy_form(np_, a, b):
        return partial(np.matmul, a, b.T if transpose_b else b, out=np.empty((m, n), np.float32))

    def torch_form(torch, a, b):
        return partial(torch.matmul, a, b.T if transpose_b else b, out=torch.empty(m, n))

    def jax_form(jax, a, b):
        return lambda: jax.numpy.matmul(a, b.T if transpose_b else b)

    def tinygrad_form(tinygrad, a, b):
        return lambda: (a @ (b.T if transpose_b else b)).realize()

    name = f"matmul {m}x{k}x{n}" if not m == k == n else f"matmul {m}"
    return Workload(name + (" NT" if transpose_b else ""), name + (", B transposed" if transpose_b else ""), inputs,
                    {**both(tf_form), "numpy": numpy_form, "torch": torch_form, "jax": jax_form,
                     "tinygrad": tinygrad_form}, bars, flop=2 * m * k * n, moved=4 * (m * k + k * n + m * n),
                    tolerance=1e-4)


_PEAK = Bar(("tensorflow",), 1.1, 1.0)
_WIDE = (Bar(("numpy",), 0.6, 0.53), Bar(("torch",), 0.6, 0.53))
_THIN = (Bar(("numpy",), 1.3, 1.0),)

WORKLOADS = [
    product(1000, 1000, 1000, (_PEAK, *_WIDE)),
    product(1024, 1024, 1024, (_PEAK,)),
    product(2048, 2048, 2048, (_PEAK,)),
    product(1024, 1024, 1024, (), transpose_b=True),
    product(128, 784, 512, _WIDE),
    product(128, 512, 10, _THIN),
    product(1, 1024, 1024, _THIN),
]
