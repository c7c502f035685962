"""A profile: what the devices did while a piece of a program ran, op by op, and how much of the time they had work."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from cltensor.base.errors import FailedPreconditionError
from cltensor.interpret import defer
from cltensor.runtime import device as devices
from cltensor.runtime.events import Event, watching

__all__ = ["Profile", "Row"]

LEFT = 4096             # newest events that are not asked for their times yet: that would wait for them


class Row(NamedTuple):
    """All launches of one kernel for one op: seconds on the device, bytes of the buffers."""

    op: str
    kernel: str
    device: str
    calls: int
    seconds: float
    nbytes: int


class Profile:
    """Context manager: inside, every kernel and every transfer is timed by the driver, and named by its op.

    Ops that wait run together as always, as `block of ...`; so do the fused ops of traced functions. Times are those
    of the driver's own clock, and cost the program little: nothing is waited for but at the end.

    Args:
        at_once: run each eager op of this thread at its call, to see what each costs alone.

    Attributes: `events` (cltensor.runtime.events.Event) in their order; `rows`, their sums by op and kernel, longest
    first; `seconds` from beginning to end; `busy`, the seconds in which a device had work. Printing it shows the rows.

    Raises: FailedPreconditionError when a profile is being taken already, and for results before its end.

    Example:
        >>> import cltensor as tf
        >>> with tf.profiler.Profile() as profile:
        ...     y = tf.matmul(tf.ones([64, 64]), tf.ones([64, 64])).numpy()
        >>> {"matmul", "read"} <= {row.op for row in profile.rows}
        True
    """

    def __init__(self, at_once: bool = False):
        self._at_once = at_once
        self._events: list[Event] = []
        self._lock, self._settled = threading.Lock(), 0
        self._open = ExitStack()
        self._begun = self._ended = 0.0

    def __enter__(self) -> Profile:
        if self._begun:
            raise FailedPreconditionError("profiler: this profile was taken; make another")
        defer.flush()
        with ExitStack() as stack:
            stack.enter_context(watching(self._note))
            if self._at_once:
                stack.enter_context(defer.using("0"))
            stack.callback(self._timed, False)
            self._timed(True)
            self._open = stack.pop_all()
        self._begun = time.perf_counter()
        return self

    def __exit__(self, *exc: Any) -> None:
        with self._open:
            try:
                defer.flush()
                for device in self._queues():
                    device.queue.finish()
            finally:
                self._ended = time.perf_counter()
        self._settle()

    def _queues(self) -> list[Any]:
        """The devices in use; those that come into use later are timed from their start."""
        return [d for d in devices.devices() if "queue" in d.__dict__]

    def _timed(self, yes: bool) -> None:
        for device in self._queues():
            device.queue.timed(yes)

    def _note(self, event: Event) -> None:
        with self._lock:                # devices have locks of their own
            self._events.append(event)
            if len(self._events) >= self._settled + 2 * LEFT:
                self._settle(LEFT)

    def _settle(self, keep: int = 0) -> None:
        until = len(self._events) - keep
        for event in self._events[self._settled:until]:
            event.settle()
        self._settled = until

    # -- results
    def _finished(self) -> None:
        if not self._ended:
            raise FailedPreconditionError("profiler: a profile has results after its `with` block")

    @property
    def events(self) -> list[Event]:
        """What happened on the devices, in the order of the program."""
        self._finished()
        return self._events

    @property
    def seconds(self) -> float:
        """From beginning to end, on the host's clock."""
        self._finished()
        return self._ended - self._begun

    @property
    def busy(self) -> float:
        """Seconds in which a device had work."""
        spans: dict[str, list[tuple[float, float]]] = {}
        for e in self.events:
            spans.setdefault(e.device, []).append((e.begin, e.end))
        total = 0.0
        for some in spans.values():
            until = float("-inf")
            for begin, end in sorted(some):
                total += max(0.0, end - max(begin, until))
                until = max(until, end)
        return total

    @property
    def rows(self) -> list[Row]:
        """Sums over the events of each op's kernel and device, longest first."""
        found: dict[tuple, list] = {}
        for e in self.events:
            sums = found.setdefault((e.op, e.kernel, e.device), [0, 0.0, 0])
            sums[0] += 1
            sums[1] += e.end - e.begin
            sums[2] += e.nbytes
        return sorted((Row(*key, *sums) for key, sums in found.items()), key=lambda r: -r.seconds)

    def __str__(self) -> str:
        rows, total = self.rows, sum(e.end - e.begin for e in self.events)
        several = len({r.device for r in rows}) > 1
        names = [f"{r.op} on {r.device}" if several else r.op for r in rows]
        wide = min(60, max([len(n) for n in names] + [2]))
        kernels = max([len(r.kernel) for r in rows] + [6])
        launches = sum(r.calls for r in rows if r.kernel not in ("read", "write", "copy"))
        lines = [f"{self.seconds * 1e3:.2f} ms, {launches} launches, a device had work {self.busy * 1e3:.2f} ms of it "
                 f"({self.busy / max(self.seconds, 1e-9):.0%})",
                 f"{'op':{wide}}  {'kernel':{kernels}}   calls         ms  share    us each    GB/s"]
        for name, r in zip(names, rows):
            shown = name if len(name) <= wide else name[:wide - 3] + "..."
            lines.append(f"{shown:{wide}}  {r.kernel:{kernels}}  {r.calls:6}  {r.seconds * 1e3:9.3f}  "
                         f"{r.seconds / max(total, 1e-12):5.0%}  {r.seconds / r.calls * 1e6:9.1f}  "
                         f"{r.nbytes / max(r.seconds, 1e-12) / 1e9:6.1f}")
        return "\n".join(lines)

    def save(self, path: Any) -> None:
        """Write the events for Chrome's trace viewer (chrome://tracing, ui.perfetto.dev): a line per device, and one
        for the host's calls."""
        offset: dict[str, float] = {}       # a device has a clock of its own: its first event was queued as we asked
        out: list[dict[str, Any]] = []
        for e in self.events:
            shift = offset.setdefault(e.device, e.asked - e.queued)
            shown = {"name": e.op, "ph": "X", "pid": 0, "args": {"kernel": e.kernel, "bytes": e.nbytes}}
            out.append({**shown, "tid": e.device, "ts": (e.begin + shift - self._begun) * 1e6,
                        "dur": (e.end - e.begin) * 1e6})
            out.append({**shown, "tid": "host", "ts": (e.asked - self._begun) * 1e6, "dur": (e.left - e.asked) * 1e6})
        Path(path).write_text(json.dumps({"traceEvents": out, "displayTimeUnit": "ms"}), encoding="utf-8")
