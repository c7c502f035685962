"""tf.train.Checkpoint: saves what objects hold under the names their attributes give it, and restores it.

Layers: container.py (the file), object_graph.py (the names), restore.py (matching), and here the class
users see, the numbering, and the `checkpoint` text file that says which one is the latest.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

import numpy as np

from cltensor.base.errors import DTypeError, FailedPreconditionError, NotFoundError
from cltensor.core import scope
from cltensor.core.dispatch import eagerly
from cltensor.core.trackable import Trackable, as_node, walk
from cltensor.interpret.record import find_session
from cltensor.ops.variable import Variable
from cltensor.train import container, object_graph
from cltensor.train.restore import Restoration

__all__ = ["Checkpoint", "CheckpointState", "LoadStatus", "latest_checkpoint", "get_checkpoint_state",
           "checkpoint_exists", "MAX_TO_KEEP", "write_state"]

MAX_TO_KEEP = 5
_SHOWN = 5          # unmatched names an error lists


class LoadStatus:
    """What became of a restore; each method returns the status, so that they chain."""

    def __init__(self, root: Any, restoration: Restoration | None):
        self._root, self._restoration = root, restoration

    def _need(self) -> Restoration:
        if self._restoration is None:
            raise AssertionError("Checkpoint.restore: no checkpoint was given (save_path is None), "
                                 "so nothing was restored")
        self._restoration.sync()
        return self._restoration

    def _unmatched_objects(self, restoration: Restoration, leaves_only: bool) -> list[str]:
        found = restoration.unmatched_objects(self._root, leaves_only)
        # A file of `write` has no counter; that is not the program's fault.
        counted = "save_counter" in restoration.nodes[0].children
        return [name for name in found if counted or name != "save_counter"]

    def assert_consumed(self) -> LoadStatus:
        """Checks that every saved value has found its object and every object its value.

        Raises: AssertionError naming those that have not, while layers are unbuilt for instance.
        """
        restoration = self._need()
        saved = [restoration.name_of(n) for n in restoration.unmatched()]
        if saved:
            raise AssertionError(f"Checkpoint.restore: {len(saved)} saved values have no object yet: "
                                 + _list(saved))
        self._check_objects(restoration, leaves_only=False)
        return self

    def assert_existing_objects_matched(self) -> LoadStatus:
        """Checks that every variable there is got a value; saved values may be left over.

        Raises: AssertionError naming those without.
        """
        self._check_objects(self._need(), leaves_only=True)
        return self

    def assert_nontrivial_match(self) -> LoadStatus:
        """Checks that something besides the root got a value.

        Raises: AssertionError.
        """
        if not self._need().restored:
            raise AssertionError("Checkpoint.restore: no object below the root matches anything saved")
        return self

    def _check_objects(self, restoration: Restoration, leaves_only: bool) -> None:
        objects = self._unmatched_objects(restoration, leaves_only)
        if objects:
            raise AssertionError(f"Checkpoint.restore: {len(objects)} objects have no value in "
                                 f"{restoration.path}: " + _list(objects))

    def expect_partial(self) -> LoadStatus:
        """Says that leftovers are meant; nothing is reported about them anyway."""
        return self

    def run_restore_ops(self, session: Any = None) -> None:
        """In a graph: assign the saved values again, as an initializer may have run since. Eagerly they are there.

        Raises: AssertionError when there was no checkpoint.
        """
        restoration = self._need()
        if any(v.graph is not None for v in _variables(self._root)):
            _read_into(self._root, restoration.path)

    def initialize_or_restore(self, session: Any = None) -> None:
        """In a graph: every variable of the objects gets its saved value, or else its first one, if it has none yet.

        Eagerly there is nothing to do: variables start with a value, and `restore` has replaced those it knows.
        """
        if self._restoration is not None:
            self.run_restore_ops(session)
        waiting = [v for v in _variables(self._root) if v.graph is not None and not v.graph.is_initialized(v)]
        for graph in {id(v.graph): v.graph for v in waiting}.values():
            mine = [v for v in waiting if v.graph is graph]
            with graph.as_default():
                first = [graph.initialize(v) for v in mine]
            (session or find_session[0](graph)).run(first)


def _variables(root: Any) -> list[Variable]:
    """All variables below an object."""
    return [node for _, node in walk(root) if isinstance(node, Variable)]


def _list(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


class Checkpoint(Trackable):
    """Saves and restores a group of objects: variables, layers, models, optimizers, metrics.

    Args:
        **kwargs: objects by the name they are saved under. More may be added as attributes later.

    Raises: DTypeError (a TypeError, a ValueError) for a value nothing can be saved of.

    Example:
        >>> import cltensor as tf, tempfile, os
        >>> x = tf.Variable(10.)
        >>> checkpoint = tf.train.Checkpoint(x=x)
        >>> folder = tempfile.mkdtemp()
        >>> path = checkpoint.save(os.path.join(folder, "ckpt"))
        >>> _ = x.assign(11.)
        >>> _ = checkpoint.restore(path).assert_consumed()
        >>> float(x), os.path.basename(path)
        (10.0, 'ckpt-1')
    """

    def __init__(self, **kwargs: Any):
        for name, value in kwargs.items():
            if as_node(value, empty=True) is None:
                raise DTypeError(f"Checkpoint: {name} = {value!r:.80} is a {type(value).__name__}; only "
                                 "variables, layers, models, optimizers, and lists and dicts of them can be "
                                 "saved")
            setattr(self, name, value)

    def _counter(self) -> Any:
        counter = self.__dict__.get("save_counter")
        if counter is None:
            with eagerly(), scope.at(""):
                counter = Variable(0, trainable=False, name="save_counter", dtype="int64", host=True)
            self.save_counter = counter
        return counter

    def save(self, file_prefix: Any, session: Any = None) -> str:
        """Writes `<file_prefix>-<N>`, N counting this checkpoint's saves, and keeps the last 5 of a prefix.

        Returns: that path, for `restore`; the file itself also ends in `.safetensors`.
        Raises: OSError when the file cannot be written; the files before are untouched then.
        """
        prefix, counter = container.as_path("Checkpoint.save", file_prefix), self._counter()
        before = int(counter.numpy())
        counter._restore_value(np.int64(before + 1))
        path = f"{prefix}-{before + 1}"
        try:
            self.write(path)
        except BaseException:
            counter._restore_value(np.int64(before))
            raise
        _note_saved(prefix, path)
        return path

    def write(self, file_prefix: Any, session: Any = None) -> str:
        """Writes `file_prefix` as it is: no number, no entry in the `checkpoint` file.

        Returns: the path. Raises: OSError when the file cannot be written.
        """
        path = container.as_path("Checkpoint.write", file_prefix)
        for v in _variables(self):
            if v.graph is not None and not v.graph.is_initialized(v):
                raise FailedPreconditionError(f"Checkpoint.write: variable {v.name} is not initialised; run "
                                              "tf.global_variables_initializer() first")
        tensors, graph = object_graph.capture(self)
        container.write(path + container.SUFFIX, tensors, graph)
        return path

    def restore(self, save_path: Any) -> LoadStatus:
        """Reads a checkpoint into the objects there are, and into those to come as they are made.

        Args:
            save_path: what `save` returned, or None (as `latest_checkpoint` may give): then nothing happens.

        Returns: a LoadStatus, whose `assert_consumed()` checks that all of it has found a place.
        Raises: NotFoundError; DataLossError for a damaged file; InvalidArgumentError where a shape or
            dtype differs. Nothing is assigned in any of these cases.
        """
        if save_path is None:
            return LoadStatus(self, None)
        restoration = _read_into(self, _file(container.as_path("Checkpoint.restore", save_path)))
        self._counter()
        return LoadStatus(self, restoration)

    def read(self, save_path: Any) -> LoadStatus:
        """`restore`, under the name that goes with `write`."""
        return self.restore(save_path)


def _read_into(root: Any, path: str) -> Restoration:
    """Values of the file, verified, into the objects there are."""
    tensors, graph = container.read(path)
    restoration = Restoration(object_graph.parse(graph, tensors, path), tensors, path)
    restoration.match(root, 0)
    return restoration


def _file(path: str) -> str:
    if path.endswith(container.SUFFIX) and os.path.isfile(path):
        return path
    if not os.path.isfile(path + container.SUFFIX):
        raise NotFoundError(f"Checkpoint.restore: there is no checkpoint {path} "
                            f"(no file {path}{container.SUFFIX})")
    return path + container.SUFFIX


def checkpoint_exists(checkpoint_prefix: Any) -> bool:
    """True when `restore` would find a file under this path."""
    path = container.as_path("checkpoint_exists", checkpoint_prefix)
    whole = path.endswith(container.SUFFIX) and os.path.isfile(path)
    return whole or os.path.isfile(path + container.SUFFIX)


class CheckpointState(NamedTuple):
    """What a folder's `checkpoint` file says: the latest path, and all that are kept, oldest first."""

    model_checkpoint_path: str
    all_model_checkpoint_paths: list[str]


_LINE = re.compile(r'^\s*(all_)?model_checkpoint_paths?:\s*("(?:[^"\\]|\\.)*")\s*$')


def get_checkpoint_state(checkpoint_dir: Any, latest_filename: str | None = None) -> CheckpointState | None:
    """The folder's `checkpoint` file, in TensorFlow's text form; None without one that makes sense.

    Example:
        >>> import cltensor as tf, tempfile
        >>> tf.train.get_checkpoint_state(tempfile.mkdtemp()) is None
        True
    """
    folder = container.as_path("get_checkpoint_state", checkpoint_dir)
    try:
        with open(os.path.join(folder, latest_filename or "checkpoint"), encoding="utf-8") as f:
            lines = [_LINE.match(line) for line in f]
        found = [(bool(m[1]), os.path.join(folder, json.loads(m[2]))) for m in lines if m]
    except (OSError, ValueError):
        return None
    latest = [path for many, path in found if not many]
    return CheckpointState(latest[-1], [path for many, path in found if many] or latest) if latest else None


def latest_checkpoint(checkpoint_dir: Any, latest_filename: str | None = None) -> str | None:
    """Path of the latest checkpoint in a folder that is still there, for `restore`; None without one.

    Example:
        >>> import cltensor as tf, tempfile
        >>> tf.train.latest_checkpoint(tempfile.mkdtemp()) is None
        True
    """
    state = get_checkpoint_state(checkpoint_dir, latest_filename)
    if state is None:
        return None
    newest_first = [state.model_checkpoint_path, *reversed(state.all_model_checkpoint_paths)]
    return next((path for path in newest_first if checkpoint_exists(path)), None)


def _note_saved(prefix: str, path: str) -> None:
    """Puts `path` into its folder's `checkpoint` file and removes the oldest of the same prefix."""
    folder, name = os.path.split(path)
    state = get_checkpoint_state(folder or ".")
    names = [os.path.basename(p) for p in state.all_model_checkpoint_paths] if state else []
    names = [n for n in names if n != name] + [name]
    ours = re.compile(re.escape(os.path.basename(prefix)) + r"-\d+$")
    dropped = [n for n in names if ours.match(n)][:-MAX_TO_KEEP]
    kept = [n for n in names if n not in dropped]
    write_state(folder, kept)
    for n in dropped:
        try:
            os.remove(os.path.join(folder, n) + container.SUFFIX)
        except OSError:
            pass        # somebody else's to keep, or gone already


def write_state(folder: str, names: list[str], latest_filename: str | None = None) -> None:
    """The folder's `checkpoint` file: these names are kept, oldest first, and the last one is the latest."""
    lines = [f"model_checkpoint_path: {json.dumps(names[-1])}"]
    lines += [f"all_model_checkpoint_paths: {json.dumps(n)}" for n in names]
    container.replace_file(os.path.join(folder, latest_filename or "checkpoint"), ("\n".join(lines) + "\n").encode())
