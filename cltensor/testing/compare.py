"""Assertions on values: tensors, variables, arrays, numbers, and lists and dicts of them."""

from __future__ import annotations

import unittest
from collections.abc import Mapping
from typing import Any

import numpy as np

from cltensor.core.tensor import Tensor
from cltensor.ops.variable import Variable

__all__ = ["Comparisons"]


class Comparisons(unittest.TestCase):
    """unittest.TestCase with TensorFlow 1.x's comparisons; a subclass says in `evaluate` how tensors get values."""

    def evaluate(self, tensors: Any) -> Any:
        """Values of tensors."""
        raise NotImplementedError

    def _array(self, x: Any) -> np.ndarray:
        if isinstance(x, (Tensor, Variable)):
            return np.asarray(self.evaluate(x))
        if isinstance(x, (list, tuple)):
            return np.array([self._array(item) for item in x])
        return np.asarray(x)

    def _pair(self, a: Any, b: Any, msg: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Both as arrays of one shape: NumPy would broadcast, and an expected 0 would equal any zeros."""
        x, y = self._array(a), self._array(b)
        self.assertEqual(x.shape, y.shape, msg or f"shapes differ: {x.shape} and {y.shape}")
        return x, y

    # -- equal, near
    def assertAllEqual(self, a: Any, b: Any, msg: Any = None) -> None:
        """One shape, and equal elements; NaN equals NaN."""
        x, y = self._pair(a, b, msg)
        np.testing.assert_array_equal(x, y, err_msg=msg or "")

    def assertNotAllEqual(self, a: Any, b: Any, msg: Any = None) -> None:
        """Another shape, or an element that differs."""
        self._assert_fails(lambda: self.assertAllEqual(a, b), msg or "all elements are equal")

    def assertAllClose(self, a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-6, msg: Any = None) -> None:
        """One structure and shape, and |a - b| <= atol + rtol * |b| everywhere; NaN is close to NaN."""
        if isinstance(a, Mapping) or isinstance(b, Mapping):
            self.assertIsInstance(a, Mapping, msg)
            self.assertIsInstance(b, Mapping, msg)
            self.assertEqual(set(a), set(b), msg)
            for key in a:
                self.assertAllClose(a[key], b[key], rtol, atol, msg or f"at {key!r}")
        elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
            self.assertEqual(len(a), len(b), msg)
            for i, (x, y) in enumerate(zip(a, b)):
                self.assertAllClose(x, y, rtol, atol, msg or f"at [{i}]")
        else:
            x, y = self._pair(a, b, msg)
            np.testing.assert_allclose(x, y, rtol=rtol, atol=atol, err_msg=msg or "")

    def assertNotAllClose(self, a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-6, msg: Any = None) -> None:
        """`assertAllClose` fails."""
        self._assert_fails(lambda: self.assertAllClose(a, b, rtol, atol), msg or "all elements are close")

    def _assert_fails(self, check: Any, sentence: str) -> None:
        try:
            check()
        except AssertionError:
            return
        self.fail(sentence)

    def assertAllCloseAccordingToType(self, a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-6,
                                      float_rtol: float = 1e-6, float_atol: float = 1e-6, half_rtol: float = 1e-3,
                                      half_atol: float = 1e-3, bfloat16_rtol: float = 1e-2,
                                      bfloat16_atol: float = 1e-2, msg: Any = None) -> None:
        """`assertAllClose`, with bounds no narrower than the float_ ones for float32 and the half_ ones for float16."""
        x, y = self._array(a), self._array(b)
        for dtype, wider_r, wider_a in ((np.float32, float_rtol, float_atol), (np.float16, half_rtol, half_atol)):
            if dtype in (x.dtype, y.dtype):
                rtol, atol = max(rtol, wider_r), max(atol, wider_a)
        self.assertAllClose(x, y, rtol, atol, msg)

    def assertNear(self, f1: Any, f2: Any, err: float, msg: Any = None) -> None:
        """Two numbers, at most `err` apart."""
        x, y = float(self._array(f1)), float(self._array(f2))
        self.assertTrue(x == y or abs(x - y) <= err, msg or f"{x} and {y} are more than {err} apart")

    def assertArrayNear(self, farray1: Any, farray2: Any, err: float, msg: Any = None) -> None:
        """Two lists of one length, each pair at most `err` apart."""
        self.assertEqual(len(farray1), len(farray2), msg)
        for x, y in zip(farray1, farray2):
            self.assertNear(x, y, err, msg)

    def assertNDArrayNear(self, ndarray1: Any, ndarray2: Any, err: float, msg: Any = None) -> None:
        """One shape, and a Euclidean distance below `err`."""
        x, y = self._pair(ndarray1, ndarray2, msg)
        distance = float(np.linalg.norm(x.astype(np.float64) - y))
        self.assertLess(distance, err, msg)

    # -- ranges
    def assertAllGreater(self, a: Any, comparison_target: Any) -> None:
        """Every element is above the target."""
        self.assertGreater(np.min(self._array(a)), comparison_target)

    def assertAllLess(self, a: Any, comparison_target: Any) -> None:
        """Every element is below the target."""
        self.assertLess(np.max(self._array(a)), comparison_target)

    def assertAllGreaterEqual(self, a: Any, comparison_target: Any) -> None:
        """Every element is the target or above."""
        self.assertGreaterEqual(np.min(self._array(a)), comparison_target)

    def assertAllLessEqual(self, a: Any, comparison_target: Any) -> None:
        """Every element is the target or below."""
        self.assertLessEqual(np.max(self._array(a)), comparison_target)

    def assertAllInRange(self, target: Any, lower_bound: Any, upper_bound: Any, open_lower_bound: bool = False,
                         open_upper_bound: bool = False) -> None:
        """Every element lies in the interval; an open bound is outside of it. NaN lies nowhere."""
        x = self._array(target)
        above = x > lower_bound if open_lower_bound else x >= lower_bound
        below = x < upper_bound if open_upper_bound else x <= upper_bound
        outside = x[~(above & below)]
        self.assertEqual(outside.size, 0, f"{outside.size} elements are outside of the range, {outside.flat[:5]}")

    def assertAllInSet(self, target: Any, expected_set: Any) -> None:
        """Every element is one of these."""
        strange = set(self._array(target).reshape(-1).tolist()) - set(expected_set)
        self.assertFalse(strange, f"not in the set: {sorted(strange)[:5]}")

    # -- shapes, dtypes
    def assertShapeEqual(self, np_array: Any, tf_tensor: Any, msg: Any = None) -> None:
        """The array has the shape the tensor states."""
        self.assertIsInstance(np_array, (np.ndarray, np.generic), msg)
        self.assertEqual(list(np_array.shape), tf_tensor.shape.as_list(), msg)

    def assertDTypeEqual(self, target: Any, expected_dtype: Any) -> None:
        """The values have this NumPy dtype."""
        self.assertEqual(self._array(target).dtype, np.dtype(expected_dtype))

    def assertStartsWith(self, actual: str, expected_start: str, msg: Any = None) -> None:
        """A text begins with another."""
        self.assertTrue(actual.startswith(expected_start), msg or f"{actual!r} does not start with {expected_start!r}")
