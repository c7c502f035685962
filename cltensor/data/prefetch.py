"""Prefetching: a thread that works ahead of the loop, and ends when the loop does.

The thread knows the channel, never the iterator the user holds; so dropping that iterator half-way closes
the channel, the thread closes its own input (another prefetch's channel perhaps) and ends. At the end of
the program open channels are closed and their threads awaited for a moment, for a thread that is inside a
driver while the driver is taken down may crash the process.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

from cltensor.core.dispatch import device_scope, state
from cltensor.data.stages import Stage

__all__ = ["Prefetch"]

_LAST_WAIT_S = 2.0
_DEFAULT_BUFFER = 2


class _Channel:
    """A bounded queue with an end and, perhaps, an error to raise there."""

    def __init__(self, size: int):
        self._size = size
        self._items: deque = deque()
        self._changed = threading.Condition()
        self._done = False
        self._error: BaseException | None = None
        self.closed = False

    def put(self, item: Any) -> bool:
        """Adds an item once there is room; False when nobody will take it."""
        with self._changed:
            while len(self._items) >= self._size and not self.closed:
                self._changed.wait()
            if self.closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def finish(self, error: BaseException | None) -> None:
        with self._changed:
            self._done, self._error = True, error
            self._changed.notify_all()

    def get(self) -> Any:
        """The next item; StopIteration at the end, or the producer's error."""
        with self._changed:
            while not self._items and not self._done:
                self._changed.wait()
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._items.clear()
            self._changed.notify_all()


def _produce(channel: _Channel, stage: Stage, key: tuple, device: Any) -> None:
    error = None
    values = None
    try:
        with device_scope(device):
            values = stage.elements(key)
            for value in values:
                if not channel.put(value):
                    break
                del value               # the loop may hold its last element for long
    except BaseException as caught:     # it belongs to the loop that asked for the elements
        error = caught
    finally:
        close = getattr(values, "close", None)
        if close is not None:
            close()
        channel.finish(error)


_open: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()      # thread -> its channel


def _close_all() -> None:
    waiting = list(_open.items())
    for _, channel in waiting:
        channel.close()
    for thread, _ in waiting:
        thread.join(_LAST_WAIT_S)


atexit.register(_close_all)


class _Ahead:
    """The iterator of a prefetch; its end, or its loss, ends the thread."""

    def __init__(self, stage: Stage, key: tuple, size: int):
        self._channel = channel = _Channel(size)
        # Ops inside run where the loop's would: the device scope belongs to a thread.
        thread = threading.Thread(target=_produce, args=(channel, stage, key, state.device),
                                  name="cltensor-prefetch", daemon=True)
        self._end = weakref.finalize(self, channel.close)
        _open[thread] = channel
        thread.start()

    def __iter__(self) -> _Ahead:
        return self

    def __next__(self) -> Any:
        return self._channel.get()

    def close(self) -> None:
        self._end()


class Prefetch(Stage):
    """The input, up to `size` elements ahead of the reader."""

    def __init__(self, source: Stage, size: int):
        self.source, self.table = source, source.table
        self.size = size if size > 0 else _DEFAULT_BUFFER

    def elements(self, key: tuple) -> Iterator[Any]:
        return _Ahead(self.source, key, self.size)

    def rows(self, key: tuple) -> Iterator:
        return self.source.rows(key)
