"""The seam for fused layers: what an epilogue computes has the bits of the separate ops, in every form of kernel."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.spec import Spec
from cltensor.interpret.runner import bind_plan
from cltensor.kernels import convolution, matmul
from cltensor.kernels.epilogue import Epilogue, epilogue_of
from cltensor.kernels.expression import Expression, Statement
from cltensor.ops.linalg import MATMUL

FLAGS = list(itertools.product((False, True), repeat=2))
# Each form: vector (strip, dots, swapped), tiles narrow and wide, several ranges of k; whole vectors and tails
SIZES = [(1, 300, 400), (3, 700, 5), (300, 257, 2), (7, 5, 3), (40, 600, 48), (65, 20, 129), (9, 300, 20)]


def chain(dtype: str, *texts: tuple, extra: tuple = ()) -> Expression:
    """An expression over the product, `extra` inputs; texts are (text, operands)."""
    statements = tuple(Statement(text, operands, dtype) for text, operands in texts)
    return Expression(((dtype, False), *extra), statements, (len(extra) + len(texts),))


def activated(dtype: str) -> Expression:
    """tanh(x + bias) * slot + residual, in the words of the rows of these ops."""
    return chain(dtype, ("x0 + x1", (0, 1)), ("tanh_fast(x0)", (4,)), ("x0 * x1", (5, 2)), ("x0 + x1", (6, 3)),
                 extra=((dtype, False), (dtype, True), (dtype, False)))


def values(shape: tuple, dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(-50, 50, shape) if dtype.startswith("int") else rng.standard_normal(shape)
    return drawn.astype(dtype)


def separate(x: Any, bias: Any, scale: float, rest: Any) -> np.ndarray:
    return (tf.tanh(x + bias) * scale + rest).numpy()


def product(device: Any, dtype: str, m: int, k: int, n: int, ta: bool, tb: bool, batch: int = 1) -> matmul.Product:
    return matmul.Product(tf.as_dtype(dtype), m, n, k, ta, tb, (batch,), (1,), (1,), batch, batch, batch)


def run(plan: Any, device: Any, inputs: tuple, shape: tuple, dtype: str) -> np.ndarray:
    specs = tuple(t.spec if hasattr(t, "spec") else Spec((), tf.as_dtype(dtype)) for t in inputs)
    return bind_plan(MATMUL, plan, device, specs, (Spec(shape, tf.as_dtype(dtype)),))(inputs).numpy()


@pytest.mark.parametrize("ta,tb", FLAGS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_matmul_epilogue_has_the_bits_of_separate_ops(device: Any, ta: bool, tb: bool, dtype: str) -> None:
    for m, k, n in SIZES:
        a, b = values((k, m) if ta else (m, k), dtype, 0), values((n, k) if tb else (k, n), dtype, 1)
        a = a / np.float32(k ** 0.5)
        left, right = tf.constant(a.astype(dtype)), tf.constant(b)
        bias, rest = tf.constant(values((n,), dtype, 2)), tf.constant(values((m, n), dtype, 3))
        end = epilogue_of(activated(dtype), ((n,), (), (m, n)), (m, n), dtype)
        assert end is not None and end.kinds == ("column", "slot", "full")
        plan = matmul.plan(product(device, dtype, m, k, n, ta, tb), device.traits, end)
        got = run(plan, device, (left, right, bias, 0.75, rest), (m, n), dtype)
        np.testing.assert_array_equal(got, separate(tf.matmul(left, right, ta, tb), bias, 0.75, rest))


def test_large_products_and_other_dtypes(device: Any) -> None:
    for dtype, m, k, n in [("float32", 520, 30, 519), ("float64", 33, 40, 50), ("int32", 40, 20, 35)]:
        if dtype == "float64" and not device.traits.fp64:
            continue
        left, right, one = (tf.constant(values(s, dtype, i)) for i, s in enumerate([(m, k), (k, n), ()]))
        end = epilogue_of(chain(dtype, ("x0 * x1", (0, 1)), extra=((dtype, False),)), ((),), (m, n), dtype)
        assert end is not None and end.kinds == ("one",)
        got = run(matmul.plan(product(device, dtype, m, k, n, False, False), device.traits, end), device,
                  (left, right, one), (m, n), dtype)
        np.testing.assert_array_equal(got, (tf.matmul(left, right) * one).numpy())


def test_batches(device: Any) -> None:
    left, right = tf.constant(values((3, 9, 20), "float32", 0)), tf.constant(values((3, 20, 33), "float32", 1))
    rest = tf.constant(values((3, 9, 33), "float32", 2))
    end = epilogue_of(chain("float32", ("x0 + x1", (0, 1)), extra=(("float32", False),)), ((3, 9, 33),), (3, 9, 33),
                      "float32")
    assert end is not None
    got = run(matmul.plan(product(device, "float32", 9, 20, 33, False, False, 3), device.traits, end), device,
              (left, right, rest), (3, 9, 33), "float32")
    np.testing.assert_array_equal(got, (tf.matmul(left, right) + rest).numpy())


# (n, side, c, o, window, stride, dilation, depthwise): several blocks of columns, phases without taps, 1x1 as a product
CONVOLUTIONS = [(2, 9, 5, 70, 3, 1, 1, False), (1, 8, 3, 20, 3, 2, 1, False), (1, 9, 4, 7, 1, 2, 1, False),
                (2, 6, 40, 33, 1, 1, 1, False), (1, 9, 19, 19, 3, 1, 2, True)]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("part", ["forward", "dx"])
def test_convolution_epilogue_has_the_bits_of_separate_ops(device: Any, dtype: str, part: str) -> None:
    for n, side, c, o, size, stride, dilation, depthwise in CONVOLUTIONS:
        out = -(-side // stride)
        before = max(0, ((out - 1) * stride + (size - 1) * dilation + 1 - side)) // 2
        w = convolution.Window(tf.as_dtype(dtype), depthwise, n, side, side, c, size, size, o, out, out, stride, stride,
                               dilation, dilation, before, before)
        x, y = (n, side, side, c), (n, out, out, o)
        source, shape = (x, y) if part == "forward" else (y, x)
        f = values((size, size, c) if depthwise else (size, size, c, o), dtype, 0) / 10
        end = epilogue_of(activated(dtype), ((shape[3],), (), shape), shape, dtype)
        assert end is not None
        a, b = tf.constant(values(source, dtype, 1)), tf.constant(f.astype(dtype))
        bias, rest = tf.constant(values(shape[3:], dtype, 2)), tf.constant(values(shape, dtype, 3))
        lower = convolution.forward if part == "forward" else convolution.input_gradient
        plain = run(lower(w, device.traits), device, (a, b), shape, dtype)
        got = run(lower(w, device.traits, end), device, (a, b, bias, 0.75, rest), shape, dtype)
        np.testing.assert_array_equal(got, separate(tf.constant(plain), bias, 0.75, rest))


def test_what_is_no_epilogue() -> None:
    add = chain("float32", ("x0 + x1", (0, 1)), extra=(("float32", False),))
    assert isinstance(epilogue_of(add, ((1, 8),), (4, 8), "float32"), Epilogue)
    assert epilogue_of(add, ((4, 1),), (4, 8), "float32") is None          # a value per row
    assert epilogue_of(add, ((2, 4, 8),), (4, 8), "float32") is None       # broadcasts the product
    assert epilogue_of(add, ((8,),), (4, 8), "float16") is None            # the product has another dtype
    compare = Expression((("float32", False),), (Statement("BOOL(x0 > K(0))", (0,), "bool"),), (1,))
    assert epilogue_of(compare, (), (4, 8), "float32") is None             # the result has another dtype
