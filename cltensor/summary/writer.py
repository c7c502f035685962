"""Writers of TensorBoard's event files, on the writer and protocol buffers of the tensorboard package.

Scalars wait in the writer as tensors and are read when the queue is written out, so that recording one
does not wait for the device. The queue is written when it holds more than `max_queue` events, when the
last time is more than `flush_millis` ago, by `flush()`, `close()`, and at the end of the program.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.base.errors import DTypeError, FailedPreconditionError, InvalidArgumentError
from cltensor.base.optional import load
from cltensor.core.dispatch import state

__all__ = ["SummaryWriter", "create_file_writer", "create_summary_file_writer", "current_writer", "flush"]

_MAX_QUEUE, _FLUSH_MILLIS = 10, 120_000


class _Default(threading.local):
    """Writers of `as_default` blocks of a thread; below them the one of the whole process."""

    process: Any = None

    def __init__(self) -> None:
        self.stack: list = []


_default = _Default()


def current_writer() -> SummaryWriter | None:
    """The default writer here, or None."""
    return _default.stack[-1] if _default.stack else _Default.process


@contextmanager
def use_writer(writer: SummaryWriter) -> Iterator[None]:
    """Makes it the default inside, without a flush at the end."""
    _default.stack.append(writer)
    try:
        yield
    finally:
        _default.stack.remove(writer)


class _File:
    """The event file and what waits to be written to it; outlives its SummaryWriter by one last flush."""

    def __init__(self, logdir: str, suffix: str):
        writers = load("tensorboard.summary.writer.event_file_writer", extra="tensorboard")
        self.events = load("tensorboard.compat.proto.event_pb2", extra="tensorboard")
        self._file = writers.EventFileWriter(logdir, filename_suffix=suffix)
        self._lock = threading.Lock()
        self.waiting: list[tuple[float, int, Callable]] = []
        self.last = time.monotonic()
        self.closed = False

    def add(self, step: int, make: Callable) -> int:
        with self._lock:
            self.waiting.append((time.time(), step, make))
            return len(self.waiting)

    def flush(self) -> None:
        with self._lock:
            if self.closed:
                return
            waiting, self.waiting = self.waiting, []
            for wall_time, step, make in waiting:
                made = make()               # a summary, or the bytes of a graph
                kind = "graph_def" if isinstance(made, bytes) else "summary"
                self._file.add_event(self.events.Event(wall_time=wall_time, step=step, **{kind: made}))
            self._file.flush()
            self.last = time.monotonic()

    def close(self) -> None:
        self.flush()
        with self._lock:
            if not self.closed:
                self.closed = True
                self._file.close()


class SummaryWriter:
    """Writes summaries to one event file. Made by `create_file_writer`.

    Raises: FailedPreconditionError for a summary after `close()`.
    """

    def __init__(self, logdir: str | None, max_queue: int, flush_millis: int, suffix: str):
        self._max_queue, self._flush_s = max_queue, flush_millis / 1000
        self._file = None if logdir is None else _File(logdir, suffix)
        if self._file is not None:
            weakref.finalize(self, self._file.close)

    def set_as_default(self) -> None:
        """Makes this the writer of summaries everywhere."""
        _Default.process = self

    @contextmanager
    def as_default(self) -> Iterator[SummaryWriter]:
        """Makes this the writer inside the `with`, and flushes it at the end."""
        _default.stack.append(self)
        try:
            yield self
        finally:
            _default.stack.remove(self)
            self.flush()

    def add(self, step: int, make: Callable) -> None:
        """Queues an event whose Summary message (or bytes of a GraphDef) `make()` builds when it is written."""
        if self._file is None:
            return
        if self._file.closed:
            raise FailedPreconditionError("summary: the writer is closed")
        waiting = self._file.add(step, make)
        if waiting > self._max_queue or time.monotonic() - self._file.last > self._flush_s:
            self._file.flush()

    def flush(self) -> None:
        """Writes what waits, to the disk."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Writes what waits and closes the file; a second call does nothing."""
        if self._file is not None:
            self._file.close()

    def init(self) -> None:
        """Nothing to do; TensorFlow's graph mode has an op here."""


def create_file_writer(logdir: Any, max_queue: Any = None, flush_millis: Any = None, filename_suffix: Any = None,
                       name: str | None = None) -> SummaryWriter:
    """A writer of event files that TensorBoard reads.

    Args:
        logdir: folder, made if missing; None gives a writer that discards.
        max_queue: events that may wait before they are written (10).
        flush_millis: longest time between writes, looked at when a summary comes (2 minutes).
        filename_suffix: end of the file's name (".v2").

    Raises: ImportError that says what to install, without the tensorboard package; DTypeError or
        InvalidArgumentError for arguments that are no path or number.

    Example:
        >>> import cltensor as tf, os, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> writer = tf.contrib.summary.create_file_writer(folder)
        >>> with writer.as_default(), tf.contrib.summary.always_record_summaries():
        ...     tf.contrib.summary.scalar("loss", 0.5, step=1)
        >>> len(os.listdir(folder))
        1
    """
    if logdir is not None:
        try:
            logdir = os.fsdecode(logdir)
        except TypeError:
            raise DTypeError(f"create_file_writer: logdir must be a path, {logdir!r:.80} is a "
                             f"{type(logdir).__name__}") from None
    return SummaryWriter(logdir, _number("max_queue", max_queue, _MAX_QUEUE),
                         _number("flush_millis", flush_millis, _FLUSH_MILLIS),
                         ".v2" if filename_suffix is None else str(filename_suffix))


def _number(name: str, value: Any, usual: int) -> int:
    number = usual if value is None else value
    if not hasattr(type(number), "__index__") or number < 0:
        raise InvalidArgumentError(f"create_file_writer: {name} must be an integer of at least 0, not {value!r}")
    return int(number)


create_summary_file_writer = create_file_writer


def flush(writer: SummaryWriter | None = None, name: str | None = None) -> Any:
    """Writes what waits in the writer, or in the default one; in a graph, the operation that does it."""
    target = current_writer() if writer is None else writer
    if target is not None and getattr(state.interpreter, "symbolic", False):
        return state.interpreter.report(target.flush, (), name or "flush")
    if target is not None:
        target.flush()
    return None
