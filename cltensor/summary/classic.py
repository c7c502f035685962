"""tf.summary: summaries as values, which a FileWriter is given, as TensorFlow 1.x's graph programs write them.

    tf.summary.scalar("loss", loss)
    merged = tf.summary.merge_all()
    writer = tf.summary.FileWriter(folder, sess.graph)
    summary, _ = sess.run([merged, train])
    writer.add_summary(summary, step)

A summary is the bytes of TensorBoard's Summary message: at once eagerly, in a graph what a run of its operation gives.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from typing import Any

from cltensor.base.errors import DTypeError
from cltensor.base.optional import load
from cltensor.core import scope
from cltensor.core.dispatch import state
from cltensor.graph.collections import GraphKeys, add_to_collections, get_collection
from cltensor.graph.deferred import GraphBody
from cltensor.graph.graph import Graph
from cltensor.graph.operation import Operation
from cltensor.graph.session import get_default_session
from cltensor.interpret.record import Labelled
from cltensor.summary import ops
from cltensor.summary.recording import record_if
from cltensor.summary.writer import create_file_writer, use_writer

__all__ = ["scalar", "histogram", "image", "merge", "merge_all", "FileWriter", "Summary", "SummaryOperation"]

_MESSAGES = "tensorboard.compat.proto.summary_pb2"
_ILLEGAL = re.compile(r"[^-/\w.]")


class SummaryOperation(Operation):
    """An operation whose run gives the bytes of a summary."""

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """The summary, made by a session (the default one)."""
        return (session or get_default_session(self.graph)).run(self, feed_dict)


class _Caught:
    """A writer that only serialises what it is given."""

    def __init__(self) -> None:
        self.made = b""

    def add(self, step: int, make: Callable) -> None:
        self.made += make().SerializeToString()


def _serialized(record: Callable, tag: str, value: Any, **more: Any) -> bytes:
    caught: Any = _Caught()
    with use_writer(caught), record_if(True):
        record(tag, value, step=0, **more)
    return caught.made


def _summary(record: Callable, name: Any, tensor: Any, collections: Any, family: str | None, **more: Any) -> Any:
    if not isinstance(name, str):
        raise DTypeError(f"summary: name must be text, {name!r:.80} is a {type(name).__name__}")
    legal = _ILLEGAL.sub("_", name).lstrip("/")
    if legal != name:
        warnings.warn(f"summary: {name!r} is no name for a summary, it becomes {legal!r}", stacklevel=3)
    legal = f"{family}/{legal}" if family else legal
    graph = state.interpreter
    if not isinstance(graph, Graph):
        tag = scope.current() + legal
        return _serialized(record, f"{family}/{tag}" if family else tag, tensor, **more)
    held = threading.local()

    def keep(value: Any) -> None:
        held.made = _serialized(record, f"{family}/{made.name}" if family else made.name, value, **more)
    with scope.at(scope.current() + f"{family}/" if family else scope.current()):
        report = graph.report(keep, (tensor,), legal)
    made = SummaryOperation(graph, report.symbols, report.name, answer=lambda: held.made)
    if not isinstance(graph, GraphBody):        # of a branch or a loop nothing can be used outside
        add_to_collections([GraphKeys.SUMMARIES] if collections is None else collections, made)
    return made


def scalar(name: str, tensor: Any, collections: Any = None, family: str | None = None) -> Any:
    """A summary of a number.

    Args:
        name: its tag, under the name scope; with `family` `family/name`, which groups TensorBoard's pictures.
        tensor: a scalar of any dtype.
        collections: keys of the collections it is added to; `tf.GraphKeys.SUMMARIES`.

    Returns: bytes; in a graph an operation that gives them.
    Raises: InvalidArgumentError for another shape.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default(), tf.Session() as sess:
        ...     x = tf.placeholder(tf.float32, [])
        ...     _ = tf.summary.scalar("twice", x * 2.)
        ...     made = sess.run(tf.summary.merge_all(), {x: 3.})
        >>> tf.Summary.FromString(made).value[0].simple_value
        6.0
    """
    return _summary(ops.scalar, name, tensor, collections, family)


def histogram(name: str, values: Any, collections: Any = None, family: str | None = None) -> Any:
    """A summary of how values are distributed; arguments as for `scalar`, of any shape.

    Raises: InvalidArgumentError when a value is not finite.
    """
    return _summary(ops.histogram, name, values, collections, family)


def image(name: str, tensor: Any, max_outputs: int = 3, collections: Any = None, family: str | None = None) -> Any:
    """A summary of pictures, shape (n, height, width, channels 1, 3 or 4); other arguments as for `scalar`.

    Raises: InvalidArgumentError for another shape, DTypeError unless uint8 or floating.
    """
    return _summary(ops.image, name, tensor, collections, family, max_images=max_outputs)


def merge(inputs: Any, collections: Any = None, name: str | None = None) -> Any:
    """One summary of several: bytes eagerly, in a graph an operation that gives them.

    Raises: DTypeError for what is no summary.
    """
    parts = list(inputs)
    graph = state.interpreter
    kinds = (SummaryOperation,) if isinstance(graph, Graph) else (bytes,)
    for part in parts:
        if not isinstance(part, kinds):
            raise DTypeError(f"summary.merge: what tf.summary functions gave is wanted, {part!r:.60} is a "
                             f"{type(part).__name__}")
    if not isinstance(graph, Graph):
        return b"".join(parts)                  # messages of a repeated field add up
    symbols = list(dict.fromkeys(s for part in parts for s in part.symbols))
    made = SummaryOperation(graph, symbols, graph.unique_name(name or "Merge/MergeSummary"),
                            answer=lambda: b"".join(part.answer() for part in parts))
    add_to_collections(collections, made)
    return made


def merge_all(key: Any = GraphKeys.SUMMARIES, scope: str | None = None, name: str | None = None) -> Any:
    """One summary of all in the graph's collection, None if there are none (eagerly none are collected)."""
    found = get_collection(key, scope)
    return merge(found, name=name) if found else None


class Summary:
    """TensorBoard's Summary message, for summaries of a program's own.

    Example:
        >>> import cltensor as tf
        >>> made = tf.Summary(value=[tf.Summary.Value(tag="score", simple_value=0.5)])
        >>> made.value[0].tag
        'score'
    """

    def __new__(cls, **fields: Any) -> Any:
        return load(_MESSAGES, extra="tensorboard").Summary(**fields)

    @staticmethod
    def Value(**fields: Any) -> Any:
        """A Summary.Value message."""
        return load(_MESSAGES, extra="tensorboard").Summary.Value(**fields)

    @staticmethod
    def FromString(data: bytes) -> Any:
        """The message of these bytes."""
        return load(_MESSAGES, extra="tensorboard").Summary.FromString(data)


class FileWriter:
    """Writes summaries to a file that TensorBoard reads; a context manager that closes it.

    Args:
        logdir: folder, made if missing.
        graph: one to write, too, as `add_graph` does.
        max_queue: summaries that may wait before they are written.
        flush_secs: longest time between writes, looked at when a summary comes.

    Raises: ImportError that says what to install, without the tensorboard package.

    Example:
        >>> import cltensor as tf, os, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with tf.summary.FileWriter(folder) as writer:
        ...     writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="loss", simple_value=1.)]), global_step=3)
        >>> len(os.listdir(folder))
        1
    """

    def __init__(self, logdir: Any, graph: Any = None, max_queue: int = 10, flush_secs: float = 120,
                 graph_def: Any = None, filename_suffix: str | None = None, session: Any = None):
        self._logdir = logdir
        self._again = (logdir, max_queue, int(flush_secs * 1000), filename_suffix or "")
        self._writer = create_file_writer(*self._again)
        if graph is not None:
            self.add_graph(graph)

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def get_logdir(self) -> Any:
        """The folder."""
        return self._logdir

    def add_summary(self, summary: Any, global_step: Any = None) -> None:
        """Queue a summary: the bytes a run gave, or a `tf.Summary`.

        Args:
            global_step: the step it belongs to; 0.

        Raises: DTypeError for anything else; FailedPreconditionError after `close`.
        """
        if isinstance(summary, bytes):
            message = Summary.FromString(summary)
        elif hasattr(summary, "SerializeToString"):
            message = summary
        else:
            raise DTypeError(f"FileWriter.add_summary: the bytes of a summary are wanted, {summary!r:.60} is a "
                             f"{type(summary).__name__}" + ("; run it in a session first"
                                                            if isinstance(summary, Operation) else ""))
        self._writer.add(0 if global_step is None else int(global_step), lambda: message)

    def add_graph(self, graph: Any, global_step: Any = None, graph_def: Any = None) -> None:
        """Write the ops of a graph and what they read, for TensorBoard's page of graphs."""
        described = _described(graph)
        self._writer.add(0 if global_step is None else int(global_step), lambda: described)

    def flush(self) -> None:
        """Write what waits."""
        self._writer.flush()

    def close(self) -> None:
        """Write what waits and close the file."""
        self._writer.close()

    def reopen(self) -> None:
        """Go on in a new file, after `close`."""
        self._writer = create_file_writer(*self._again)


def _described(graph: Graph) -> bytes:
    """A GraphDef of names, ops and edges."""
    messages = load("tensorboard.compat.proto.graph_pb2", extra="tensorboard")
    definition = load("tensorboard.compat.proto.node_def_pb2", extra="tensorboard").NodeDef
    return messages.GraphDef(node=[
        definition(name=o.name, op=o.type, input=[
            *(x.name.removesuffix(":0") for x in o.inputs if isinstance(x, Labelled)),
            *(f"^{before.name}" for before in o.control_inputs)])
        for o in graph.get_operations()]).SerializeToString()
