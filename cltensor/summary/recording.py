"""When summaries are recorded: conditions that hold inside a `with`, in the thread that entered it.

Nothing is recorded outside of one, as in TensorFlow; a loop says how often it wants its summaries.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import static_value
from cltensor.train.global_step import get_or_create_global_step

__all__ = ["should_record_summaries", "always_record_summaries", "never_record_summaries",
           "record_summaries_every_n_global_steps", "record_if"]


class _Conditions(threading.local):
    def __init__(self) -> None:
        self.stack: list[Callable[[], bool]] = []


_conditions = _Conditions()


def should_record_summaries() -> bool:
    """Whether a summary made here and now would be recorded, given a writer.

    Example:
        >>> import cltensor as tf
        >>> tf.contrib.summary.should_record_summaries()
        False
        >>> with tf.contrib.summary.always_record_summaries():
        ...     tf.contrib.summary.should_record_summaries()
        True
    """
    return bool(_conditions.stack and _conditions.stack[-1]())


def condition() -> Callable[[], bool]:
    """What decides here, to be asked later: the operations of a graph ask when they run."""
    return _conditions.stack[-1] if _conditions.stack else lambda: False


@contextmanager
def record_if(condition: Any) -> Iterator[None]:
    """Records summaries inside where `condition` holds: a bool, or a function asked at each summary."""
    ask = condition if callable(condition) else lambda: condition
    _conditions.stack.append(lambda: bool(static_value(ask())))
    try:
        yield
    finally:
        _conditions.stack.pop()


def always_record_summaries() -> Any:
    """Records every summary inside."""
    return record_if(True)


def never_record_summaries() -> Any:
    """Records no summary inside."""
    return record_if(False)


def record_summaries_every_n_global_steps(n: Any, global_step: Any = None) -> Any:
    """Records summaries inside while the global step is a multiple of `n`.

    Args:
        n: a positive integer.
        global_step: the variable to go by, if not the global one.

    Raises: InvalidArgumentError for another `n`.
    """
    every = np.asarray(static_value(n))
    if every.ndim or every.dtype.kind not in "iu" or every < 1:
        raise InvalidArgumentError(f"record_summaries_every_n_global_steps: n must be a positive integer, not {n!r}")
    step = get_or_create_global_step() if global_step is None else global_step
    return record_if(lambda: static_value(step) % every == 0)
