"""Eager or graph: which of the two executes ops now, and what pins it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from cltensor.base import config
from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError
from cltensor.core.dispatch import device_scope, every_thread, ran_eagerly, state
from cltensor.core.numerics import numerics_check
from cltensor.runtime import device as devices

__all__ = ["enable_eager_execution", "disable_eager_execution", "executing_eagerly", "device"]

_log = logging.getLogger("cltensor")
_pinned: list = []
_started_as_graph: list = []
_graph_mode: list[Callable[[], None]] = []


def install_graph_mode(start: Callable[[], None]) -> None:
    """The graph package tells how a process starts in graph mode."""
    _graph_mode.append(start)


def enable_eager_execution(config: Any = None, device_policy: Any = None, execution_mode: Any = None) -> None:
    """Pin eager execution, which is the default, for the whole process; it cannot be turned off afterwards.

    Raises: FailedPreconditionError inside a graph, or after ops were recorded in graph mode.

    Example:
        >>> import cltensor as tf
        >>> tf.enable_eager_execution()
        >>> tf.executing_eagerly()
        True
    """
    interpreter = state.interpreter
    if interpreter is not None:
        if not _started_as_graph or interpreter.nodes:
            raise FailedPreconditionError("enable_eager_execution: it must be called at program start, here ops are "
                                          "being recorded")
        state.interpreter = None
        _started_as_graph.clear()
    _pinned.append(True)


def disable_eager_execution() -> None:
    """Record ops in a default graph, for a Session to run; at program start, on the main thread.

    Raises: FailedPreconditionError after enable_eager_execution or the first eager op.
    """
    if _pinned:
        raise FailedPreconditionError("disable_eager_execution: enable_eager_execution() was called, and eager "
                                      "execution cannot be turned off; start a new Python session")
    if ran_eagerly():
        raise FailedPreconditionError("disable_eager_execution: ops have been executed eagerly already; call it at "
                                      "program start")
    if not _started_as_graph:
        _graph_mode[0]()
        _started_as_graph.append(True)


def executing_eagerly() -> bool:
    """True when ops run at once, False while they are recorded.

    Example:
        >>> import cltensor as tf
        >>> tf.executing_eagerly()
        True
    """
    return state.interpreter is None


def device(device_name_or_function: Any) -> device_scope:
    """Context manager: ops run and variables live on this device inside it.

    Args:
        device_name_or_function: "/gpu:0", "cpu:0", a full TensorFlow device name, or None for no preference.

    Raises: InvalidArgumentError for what is no device name; DeviceError, naming the devices there are, for a
        missing one (a warning after `set_soft_device_placement(True)`).

    Example:
        >>> import cltensor as tf
        >>> with tf.device("/cpu:0"):
        ...     x = tf.zeros([2])
        >>> x.device
        '/job:localhost/replica:0/task:0/device:CPU:0'
    """
    name = device_name_or_function
    name = name.to_string() if hasattr(name, "to_string") else name
    if name is None or isinstance(name, devices.Device):
        return device_scope(name)
    if not isinstance(name, str):
        raise InvalidArgumentError(f"device: {name!r} is a {type(name).__name__}, a device name is a string like "
                                   "'gpu:0'")
    return device_scope(devices.find(name))


def start() -> None:
    """What the environment asks for when the package is imported."""
    if config.get("EXECUTION") == "graph":
        disable_eager_execution()
    if config.debug(1) and not _log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("cltensor: %(message)s"))
        _log.addHandler(handler)
        _log.setLevel(logging.INFO)
    if config.get("CHECK_NUMERICS"):
        every_thread(numerics_check())
