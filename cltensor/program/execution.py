"""The switches between synchronous and asynchronous execution, which here is always asynchronous."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cltensor.base.errors import InvalidArgumentError
from cltensor.runtime.device import devices

__all__ = ["SYNC", "ASYNC", "execution_mode", "set_execution_mode", "async_wait"]

SYNC, ASYNC = 0, 1


def set_execution_mode(mode: int | None) -> None:
    """Accepted for TensorFlow's sake: kernels are enqueued and values waited for in either mode.

    Raises: InvalidArgumentError for what is neither SYNC, ASYNC nor None.
    """
    if mode not in (SYNC, ASYNC, None):
        raise InvalidArgumentError(f"execution_mode: {mode!r} is none of tfe.SYNC, tfe.ASYNC, None")


@contextmanager
def execution_mode(mode: int | None) -> Iterator[None]:
    """As set_execution_mode, for a block; at its end all that was enqueued is done."""
    set_execution_mode(mode)
    yield
    async_wait()


def async_wait() -> None:
    """Wait until all devices have done what was enqueued; raises what a kernel reported."""
    for device in devices():
        device.queue.finish()
        device.queue.check_errors()
