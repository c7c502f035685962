"""Eager or graph: which of the two executes ops now, and what pins it."""

from __future__ import annotations

import logging
from typing import Any

from cltensor.base import config
from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError, UnimplementedError
from cltensor.core.dispatch import device_scope, every_thread, state
from cltensor.core.numerics import numerics_check
from cltensor.runtime import device as devices

__all__ = ["enable_eager_execution", "disable_eager_execution", "executing_eagerly", "device"]

_log = logging.getLogger("cltensor")
_pinned: list = []


def enable_eager_execution(config: Any = None, device_policy: Any = None, execution_mode: Any = None) -> None:
    """Pin eager execution, which is the default, for the whole process; it cannot be turned off afterwards.

    Raises: FailedPreconditionError inside a recording.

    Example:
        >>> import cltensor as tf
        >>> tf.enable_eager_execution()
        >>> tf.executing_eagerly()
        True
    """
    if state.interpreter is not None:
        raise FailedPreconditionError("enable_eager_execution: it must be called at program start, here ops are being "
                                      "recorded")
    _pinned.append(True)


def disable_eager_execution() -> None:
    """Ask for graph execution at program start.

    Raises: FailedPreconditionError after enable_eager_execution; UnimplementedError else, as graphs are not
        part of this version.
    """
    if _pinned:
        raise FailedPreconditionError("disable_eager_execution: enable_eager_execution() was called, and eager "
                                      "execution cannot be turned off; start a new Python session")
    raise UnimplementedError("disable_eager_execution: this version executes eagerly only")


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
    if name is None or isinstance(name, devices.Device):
        return device_scope(name)
    if not isinstance(name, str):
        raise InvalidArgumentError(f"device: {name!r} is a {type(name).__name__}, a device name is a string like "
                                   "'gpu:0'")
    return device_scope(devices.find(name))


def start() -> None:
    """What the environment asks for when the package is imported.

    Raises: UnimplementedError for CLTENSOR_EXECUTION=graph, which this version does not offer.
    """
    if config.get("EXECUTION") == "graph":
        raise UnimplementedError("CLTENSOR_EXECUTION=graph: this version executes eagerly only; unset the variable")
    if config.debug(1) and not _log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("cltensor: %(message)s"))
        _log.addHandler(handler)
        _log.setLevel(logging.INFO)
    if config.get("CHECK_NUMERICS"):
        every_thread(numerics_check())
