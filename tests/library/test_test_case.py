"""tf.test: assertions hold and fail as they should, in both modes; loaders find a program's tests and nothing else."""

import os
import unittest

import numpy as np
import pytest

import cltensor as tf


class AssertionsTest(tf.test.TestCase):
    """Used as a program would use it; pytest runs it as it is."""

    def check(self, holds, fails):
        holds()
        with self.assertRaises(AssertionError):
            fails()

    def test_equal(self):
        x = tf.constant([1.0, np.nan])
        self.check(lambda: self.assertAllEqual(x, [1.0, np.nan]), lambda: self.assertAllEqual(x, [1.0, 2.0]))
        self.check(lambda: self.assertNotAllEqual(x, [2.0, np.nan]), lambda: self.assertNotAllEqual(x, x))
        self.check(lambda: self.assertAllEqual(0, tf.constant(0)), lambda: self.assertAllEqual(0, tf.zeros([2])))
        self.check(lambda: self.assertAllEqual(tf.zeros([0, 3]), np.zeros([0, 3])),
                   lambda: self.assertAllEqual(tf.zeros([0, 3]), np.zeros([3, 0])))

    def test_close(self):
        v = tf.Variable([1.0, 2.0])
        self.check(lambda: self.assertAllClose(v, [1.0, 2.0 + 1e-6]), lambda: self.assertAllClose(v, [1.0, 2.001]))
        self.check(lambda: self.assertAllClose(v, [1.0, 2.1], rtol=0.1), lambda: self.assertAllClose(v, [1.0]))
        self.check(lambda: self.assertAllClose({"a": v, "b": [v, 3.0]}, {"a": [1.0, 2.0], "b": [[1.0, 2.0], 3.0]}),
                   lambda: self.assertAllClose({"a": v}, {"b": v}))
        self.check(lambda: self.assertAllClose([v, [1.0]], [v, [1.0]]), lambda: self.assertAllClose([v], [v, v]))
        self.check(lambda: self.assertNotAllClose(v, [1.0, 2.1]), lambda: self.assertNotAllClose(v, v))

    def test_close_by_type(self):
        half = tf.cast([1.0], tf.float16)
        self.check(lambda: self.assertAllCloseAccordingToType(half, [1.001]),
                   lambda: self.assertAllCloseAccordingToType(tf.constant([1.0]), [1.001]))

    def test_numbers_and_ranges(self):
        x = tf.constant([1.0, 3.0])
        self.check(lambda: self.assertNear(tf.constant(1.0), 1.5, 0.5), lambda: self.assertNear(1.0, 1.6, 0.5))
        self.check(lambda: self.assertArrayNear([1.0, 2.0], [1.1, 2.0], 0.2),
                   lambda: self.assertArrayNear([1.0], [1.0, 2.0], 0.2))
        self.check(lambda: self.assertNDArrayNear(x, [1.0, 3.1], 0.2), lambda: self.assertNDArrayNear(x, x + 1.0, 0.2))
        self.check(lambda: self.assertAllGreater(x, 0.5), lambda: self.assertAllGreater(x, 1.0))
        self.check(lambda: self.assertAllGreaterEqual(x, 1.0), lambda: self.assertAllGreaterEqual(x, 1.5))
        self.check(lambda: self.assertAllLess(x, 3.5), lambda: self.assertAllLess(x, 3.0))
        self.check(lambda: self.assertAllLessEqual(x, 3.0), lambda: self.assertAllLessEqual(x, 2.0))
        self.check(lambda: self.assertAllInRange(x, 1, 3), lambda: self.assertAllInRange(x, 1, 3, True))
        self.check(lambda: self.assertAllInRange([0.0], -1, 1), lambda: self.assertAllInRange([np.nan], -1, 1))
        self.check(lambda: self.assertAllInSet(x, {1, 3, 5}), lambda: self.assertAllInSet(x, {1, 5}))

    def test_shapes_and_dtypes(self):
        x = tf.zeros([2, 3])
        self.check(lambda: self.assertShapeEqual(np.ones([2, 3]), x), lambda: self.assertShapeEqual(np.ones([3, 2]), x))
        self.check(lambda: self.assertDTypeEqual(x, np.float32), lambda: self.assertDTypeEqual(x, np.float64))
        self.check(lambda: self.assertStartsWith("abc", "ab"), lambda: self.assertStartsWith("abc", "b"))

    def test_errors(self):
        def wrong():
            tf.matmul([[1.0]], [[1.0, 2.0], [3.0, 4.0]])
        with self.assertRaisesOpError("matmul"):
            wrong()
        with self.assertRaisesWithPredicateMatch(ValueError, lambda error: "matmul" in str(error)):
            wrong()
        with self.assertRaisesRegex(AssertionError, "another error"), self.assertRaisesOpError("no such text"):
            wrong()
        with self.assertRaisesRegex(AssertionError, "no OpError"), self.assertRaisesOpError(""):
            pass
        with self.assertRaises(KeyError), self.assertRaisesOpError(""):
            raise KeyError

    def test_values_of_both_modes(self):
        with self.test_session() as nothing:
            self.assertIsNone(nothing)
            self.assertEqual(self.evaluate({"a": tf.constant(2.0), "b": [tf.Variable([1]), 7]}),
                             {"a": np.float32(2.0), "b": [np.array([1]), 7]})
        with tf.Graph().as_default():
            v = tf.Variable([1.0, 2.0])
            doubled = v * 2.0
            with self.cached_session() as sess:
                sess.run(tf.global_variables_initializer())
                self.assertAllClose(doubled, [2.0, 4.0])
                with self.assertRaises(AssertionError):
                    self.assertAllClose(doubled, [2.0, 5.0])
                self.evaluate(v.assign_add([1.0, 1.0]))
            with self.test_session():
                self.assertAllEqual(self.evaluate([v, doubled]), [[2.0, 3.0], [4.0, 6.0]])
        other = tf.Graph()
        with self.session(graph=other) as sess:
            self.assertIs(sess.graph, other)
            self.assertAllEqual(tf.add(1.0, 2.0), 3.0)

    def test_each_test_starts_alike(self):
        first = tf.random_normal([3]).numpy(), np.random.rand()
        self.setUp()
        self.assertAllEqual(first[0], tf.random_normal([3]))
        self.assertEqual(first[1], np.random.rand())

    def test_folder(self):
        folder = self.get_temp_dir()
        self.assertEqual(folder, self.get_temp_dir())
        self.assertTrue(os.path.isdir(folder))
        self.doCleanups()
        self.assertFalse(os.path.exists(folder))


def test_loaders_find_the_tests_only():
    class Mine(tf.test.TestCase):
        def testOne(self):
            pass
    assert unittest.defaultTestLoader.getTestCaseNames(Mine) == ["testOne"]


def test_main_runs_the_tests(monkeypatch):
    class Mine(tf.test.TestCase):
        def testOne(self):
            self.assertAllEqual(tf.ones([2]), [1.0, 2.0])
    monkeypatch.setattr("__main__.Mine", Mine, raising=False)
    with pytest.raises(SystemExit) as end:
        tf.test.main(["program", "Mine"])
    assert end.value.code


def test_what_there_is():
    gpus = tf.contrib.eager.num_gpus()
    assert tf.test.is_gpu_available() == (gpus > 0) and not tf.test.is_gpu_available(cuda_only=True)
    assert tf.test.gpu_device_name() == ("/device:GPU:0" if gpus else "")
    assert not tf.test.is_built_with_cuda() and os.path.isdir(tf.test.get_temp_dir())
