"""The global step: one int64 variable on the host that counts training steps, per process, or per graph.

On the host, so that counting costs no launch and summaries can ask for its value without a sync.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core import scope
from cltensor.core.dispatch import state
from cltensor.graph.collections import GraphKeys, get_collection_ref
from cltensor.graph.graph import on_reset
from cltensor.ops.variable import Variable

__all__ = ["get_global_step", "get_or_create_global_step", "create_global_step", "assert_global_step",
           "global_step", "reset_global_step"]

_the_step: list[Variable] = []


def get_global_step(graph: Any = None) -> Variable | None:
    """The global step, or None before it was made.

    Example:
        >>> import cltensor as tf
        >>> step = tf.train.get_or_create_global_step()
        >>> tf.train.get_global_step() is step
        True
    """
    kept = _kept()
    return kept[0] if kept else None


def get_or_create_global_step(graph: Any = None) -> Variable:
    """The global step, the same int64 variable each time; it starts at 0.

    Example:
        >>> import cltensor as tf
        >>> tf.train.get_or_create_global_step().dtype
        tf.int64
    """
    kept = _kept()
    if not kept:
        with scope.at(""):
            kept.append(Variable(0, trainable=False, name="global_step", dtype="int64", host=True))
    return kept[0]


def _kept() -> list[Variable]:
    """Where it is: a graph has its own, eager programs one."""
    graph = state.interpreter
    return get_collection_ref(GraphKeys.GLOBAL_STEP) if getattr(graph, "symbolic", False) else _the_step


def create_global_step(graph: Any = None) -> Variable:
    """The global step, which must not exist yet.

    Raises: InvalidArgumentError (a ValueError) when it does.
    """
    if _kept():
        raise InvalidArgumentError('create_global_step: "global_step" already exists; '
                                   "get_or_create_global_step returns it")
    return get_or_create_global_step()


def assert_global_step(global_step_tensor: Any) -> None:
    """Checks that this can count steps: an integer scalar variable or tensor.

    Raises: DTypeError, InvalidArgumentError.
    """
    spec = getattr(global_step_tensor, "spec", None)
    if spec is None or not spec.dtype.is_integer:
        raise DTypeError("assert_global_step: the global step must be an integer variable or tensor, it is "
                         + (f"{global_step_tensor!r:.60}" if spec is None else f"of dtype {spec.dtype.name}"))
    if spec.shape not in ((), (1,)):
        raise InvalidArgumentError(f"assert_global_step: the global step must be a scalar, it has shape "
                                   f"{show(spec.shape)}")


def global_step(sess: Any, global_step_tensor: Any) -> int:
    """The value of a global step as a Python int; `sess` is not looked at.

    Example:
        >>> import cltensor as tf
        >>> tf.train.global_step(None, tf.Variable(7, dtype=tf.int64))
        7
    """
    return int(global_step_tensor)


def reset_global_step() -> None:
    """Forget the global step: the next one starts at 0. What `reset_default_graph` calls."""
    _the_step.clear()


on_reset(reset_global_step)
