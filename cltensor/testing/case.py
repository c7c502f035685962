"""TestCase: unittest's, with values of tensors in both modes, sessions, and errors of the library."""

from __future__ import annotations

import random
import re
import tempfile
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from cltensor.base import nest
from cltensor.base.errors import OpError
from cltensor.core.dispatch import state
from cltensor.core.tensor import Tensor, to_array
from cltensor.graph.graph import Graph, reset_default_graph
from cltensor.graph.session import Session, get_default_session
from cltensor.ops.random import set_random_seed
from cltensor.ops.variable import Variable
from cltensor.runtime import device
from cltensor.testing.compare import Comparisons

__all__ = ["TestCase", "main", "get_temp_dir", "is_gpu_available", "gpu_device_name", "is_built_with_cuda"]

_SEED = 1234


class TestCase(Comparisons):
    """Base class of tests, with TensorFlow 1.x's assertions.

    `setUp` makes each test start alike: seeds are set, and the default graph is a new one.

    Example:
        >>> import cltensor as tf, unittest
        >>> class SquareTest(tf.test.TestCase):
        ...     def testSquare(self):
        ...         self.assertAllClose(tf.square([2., 3.]), [4., 9.])
        ...     def testInAGraph(self):
        ...         with tf.Graph().as_default(), self.session() as sess:
        ...             self.assertAllClose(sess.run(tf.square([2., 3.])), [4., 9.])
        >>> result = unittest.TestResult()
        >>> unittest.defaultTestLoader.loadTestsFromTestCase(SquareTest).run(result).wasSuccessful()
        True
    """

    def setUp(self) -> None:
        super().setUp()
        random.seed(_SEED)
        np.random.seed(_SEED)
        reset_default_graph()
        set_random_seed(_SEED)

    def evaluate(self, tensors: Any) -> Any:
        """NumPy values in the structure of `tensors`: of eager ones, or computed by the session in force.

        Raises: InvalidArgumentError for a tensor of a graph outside of a session.
        """
        if isinstance(state.interpreter, Graph):
            return get_default_session().run(tensors)
        return nest.map_structure(_value, tensors)

    @contextmanager
    def session(self, graph: Graph | None = None, config: Any = None, use_gpu: bool = False,
                force_gpu: bool = False) -> Iterator[Session | None]:
        """A session that is the default one inside; the current graph is recorded and run.

        Args:
            graph: another graph than the current one.

        Yields: the session; None where ops execute eagerly and no graph is given, as there is nothing to run.
        """
        if graph is None and not isinstance(state.interpreter, Graph):
            yield None
            return
        with Session(graph=graph, config=config) as sess:
            yield sess

    def cached_session(self, graph: Graph | None = None, config: Any = None, use_gpu: bool = False,
                       force_gpu: bool = False) -> Any:
        """`session`. Variables keep their values from one session of a test to the next, as they are the graph's."""
        return self.session(graph, config, use_gpu, force_gpu)

    @property
    def test_session(self) -> Callable:
        """`cached_session` under its old name. A property, so that no loader takes it for a test."""
        return self.cached_session

    def get_temp_dir(self) -> str:
        """A folder of this test, the same one at each call, removed after the test."""
        if not hasattr(self, "_folder"):
            self._folder = tempfile.TemporaryDirectory()
            self.addCleanup(self._folder.cleanup)
        return self._folder.name

    # -- errors
    @contextmanager
    def assertRaisesWithPredicateMatch(self, exception_type: Any, expected_err_re_or_predicate: Any) -> Iterator[None]:
        """Inside, this exception is raised, and its text has the pattern, or the function says True of it."""
        accepts = expected_err_re_or_predicate
        if not callable(accepts):
            pattern = re.compile(expected_err_re_or_predicate)
            accepts = lambda error: pattern.search(str(error)) is not None          # noqa: E731
        try:
            yield
        except exception_type as error:
            if not accepts(error):
                raise AssertionError(f"another error than expected, {type(error).__name__}: {error}") from error
        else:
            self.fail(f"no {getattr(exception_type, '__name__', exception_type)} was raised")

    def assertRaisesOpError(self, expected_err_re_or_predicate: Any) -> Any:
        """Inside, a tf.errors.OpError is raised whose text has the pattern."""
        return self.assertRaisesWithPredicateMatch(OpError, expected_err_re_or_predicate)


def _value(x: Any) -> Any:
    """The value of an eager tensor or variable; anything else as it is."""
    if isinstance(x, Variable):
        return x.numpy()
    if not isinstance(x, Tensor):
        return x
    value = to_array(x)
    return value[()] if value.ndim == 0 else np.array(value)


def main(argv: Any = None) -> None:
    """Run all tests of the program, and end it: `if __name__ == "__main__": tf.test.main()`."""
    unittest.main(argv=argv)


_folders: list[tempfile.TemporaryDirectory] = []


def get_temp_dir() -> str:
    """A folder for tests, one per process, removed at its end.

    Example:
        >>> import cltensor as tf
        >>> tf.test.get_temp_dir() == tf.test.get_temp_dir()
        True
    """
    if not _folders:
        _folders.append(tempfile.TemporaryDirectory())
    return _folders[0].name


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: Any = None) -> bool:
    """Whether ops can run on a GPU.

    Args:
        cuda_only: ask for CUDA, through which nothing runs here: False then.
    """
    return not cuda_only and device.num_gpus() > 0


def gpu_device_name() -> str:
    """Name of the first GPU for `tf.device`, "/device:GPU:0"; empty text without one."""
    return "/device:GPU:0" if device.num_gpus() else ""


def is_built_with_cuda() -> bool:
    """False: kernels run through OpenCL."""
    return False
