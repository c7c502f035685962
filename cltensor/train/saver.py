"""tf.train.Saver: variables saved under their names, as programs for graphs do it.

The file is that of container.py, written so that a crash leaves the old one; a Checkpoint goes by the attributes of
objects instead, and neither reads the other's files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from cltensor.base.errors import (
    DTypeError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnimplementedError,
)
from cltensor.base.shapes import show
from cltensor.core.dispatch import state
from cltensor.graph.graph import Graph
from cltensor.graph.variables import global_variables
from cltensor.interpret.record import Symbol
from cltensor.ops.variable import Variable
from cltensor.train import container
from cltensor.train.checkpoint import get_checkpoint_state, write_state

__all__ = ["Saver"]

_KIND = "saver"
_SHOWN = 5          # missing names an error lists


def _named(var_list: Any) -> dict[str, Variable]:
    """The variables by the names they are saved under."""
    given = var_list.items() if isinstance(var_list, Mapping) else [(None, v) for v in var_list]
    named: dict[str, Variable] = {}
    for name, v in given:
        if not isinstance(v, Variable):
            raise DTypeError(f"Saver: variables are wanted, {v!r:.60} is a {type(v).__name__}")
        name = v.name[:-2] if name is None else str(name)
        if named.get(name, v) is not v:
            raise InvalidArgumentError(f"Saver: two variables have the name {name}; give a dict of names")
        named[name] = v
    if not named:
        raise InvalidArgumentError("Saver: there are no variables to save")
    return named


class Saver:
    """Saves variables by name, and restores them.

    Args:
        var_list: list of variables, or a dict from names to them; the global variables of the graph unless given.
        reshape: not offered.
        sharded: unused, as there is one file.
        max_to_keep: how many of this saver's files stay; None or 0 for all.
        keep_checkpoint_every_n_hours: one file in so many hours stays beyond that.
        name: unused.

    Raises: InvalidArgumentError (a ValueError) without variables, eagerly without var_list, or where two have one
        name; DTypeError (a TypeError) for what is no variable.

    Example:
        >>> import cltensor as tf, tempfile, os
        >>> folder = tempfile.mkdtemp()
        >>> with tf.Graph().as_default(), tf.Session() as sess:
        ...     v = tf.get_variable("v", initializer=1.0)
        ...     saver = tf.train.Saver()
        ...     sess.run(tf.global_variables_initializer())
        ...     path = saver.save(sess, os.path.join(folder, "model.ckpt"), global_step=10)
        ...     _ = sess.run(v.assign(2.0))
        ...     saver.restore(sess, tf.train.latest_checkpoint(folder))
        ...     print(os.path.basename(path), sess.run(v))
        model.ckpt-10 1.0
    """

    def __init__(self, var_list: Any = None, reshape: bool = False, sharded: bool = False,
                 max_to_keep: int | None = 5, keep_checkpoint_every_n_hours: float = 10000.0,
                 name: str | None = None):
        if reshape:
            raise UnimplementedError("Saver: values are restored in the shape they were saved in; leave reshape out")
        if var_list is None and not isinstance(state.interpreter, Graph):
            raise InvalidArgumentError("Saver: eagerly no list of all variables is kept; give var_list, or use "
                                       "tf.train.Checkpoint")
        self._variables = _named(global_variables() if var_list is None else var_list)
        self._max_to_keep = max_to_keep or 0
        self._every_s = keep_checkpoint_every_n_hours * 3600
        self._stays_after = time.time() + self._every_s
        self._saved: list[tuple[str, float]] = []       # paths and times, oldest first

    def save(self, sess: Any, save_path: Any, global_step: Any = None, latest_filename: str | None = None,
             meta_graph_suffix: str = "meta", write_meta_graph: bool = True, write_state: bool = True) -> str:
        """Write all values to `save_path`, or `save_path-N` with N the global step.

        Args:
            sess: session of the variables' graph; None eagerly.
            global_step: a number, a variable, or a tensor.
            latest_filename: of the text file that says which is the latest; "checkpoint" unless given.
            write_meta_graph: unused: graphs are saved by tf.saved_model.
            write_state: whether that text file is written, and files beyond max_to_keep are removed.

        Returns: the path for `restore`; the file itself also ends in `.safetensors`.
        Raises: FailedPreconditionError for a variable that was not initialised; InvalidArgumentError for a session
            of another graph; OSError. The files before are untouched then.
        """
        path = container.as_path("Saver.save", save_path)
        self._check("save", sess)
        for v in self._variables.values():
            if v.graph is not None and not v.graph.is_initialized(v):
                raise FailedPreconditionError(f"Saver.save: variable {v.name} is not initialised; run "
                                              "tf.global_variables_initializer() first")
        if global_step is not None:
            now = sess.run(global_step) if isinstance(global_step, Symbol) else global_step
            path = f"{path}-{int(now)}"
        container.write(path + container.SUFFIX, {n: v.numpy() for n, v in self._variables.items()}, "", _KIND)
        if write_state:
            self._note(path, latest_filename)
        return path

    def _check(self, what: str, sess: Any) -> None:
        for v in self._variables.values():
            if v.graph is not None and getattr(sess, "graph", None) is not v.graph:
                raise InvalidArgumentError(f"Saver.{what}: variable {v.name} belongs to another graph than the session")

    def _note(self, path: str, latest_filename: str | None) -> None:
        """Keep the list of files, and remove the oldest once the list on disk no longer has them."""
        before = {p for p, _ in self._saved}
        self._saved = [entry for entry in self._saved if entry[0] != path] + [(path, time.time())]
        dropped = []
        while self._max_to_keep and len(self._saved) > self._max_to_keep:
            old, saved_at = self._saved.pop(0)
            if saved_at > self._stays_after:
                self._stays_after += self._every_s
            else:
                dropped.append(old)
        folder = os.path.dirname(path)
        found = get_checkpoint_state(folder or ".", latest_filename)
        mine = {os.path.basename(p) for p in before | {path}}
        others = [os.path.basename(p) for p in found.all_model_checkpoint_paths] if found else []
        names = [n for n in others if n not in mine] + [os.path.basename(p) for p, _ in self._saved]
        write_state(folder, names, latest_filename)
        for old in dropped:
            try:
                os.remove(old + container.SUFFIX)
            except OSError:
                pass        # somebody else's to keep, or gone already

    def restore(self, sess: Any, save_path: Any) -> None:
        """Give the variables their saved values; they need no initializer then.

        Args:
            sess: session of the variables' graph; None eagerly.
            save_path: what `save` returned, or tf.train.latest_checkpoint.

        Raises: InvalidArgumentError (a ValueError) for None, or where a shape differs; DTypeError; NotFoundError
            without such a file, or where it has not all of the names; DataLossError for a damaged file. Nothing is
            restored then.
        """
        if save_path is None:
            raise InvalidArgumentError("Saver.restore: save_path is None, there is nothing to restore")
        path = container.as_path("Saver.restore", save_path)
        self._check("restore", sess)
        values, _ = container.read(path if path.endswith(container.SUFFIX) else path + container.SUFFIX, _KIND)
        missing = [name for name in self._variables if name not in values]
        if missing:
            more = len(missing) - _SHOWN
            raise NotFoundError(f"Saver.restore: {path} has no value for {', '.join(missing[:_SHOWN])}"
                                + (f" and {more} more" if more > 0 else ""))
        for name, v in self._variables.items():
            value = values[name]
            if value.dtype != v.dtype.np:
                raise DTypeError(f"Saver.restore: {name} was saved with dtype {value.dtype}, the variable has "
                                 f"{v.dtype.name}")
            if value.shape != v.spec.shape:
                raise InvalidArgumentError(f"Saver.restore: {name} was saved with shape {show(value.shape)}, the "
                                           f"variable has {show(v.spec.shape)}")
        for name, v in self._variables.items():
            v._restore_value(values[name])

    @property
    def last_checkpoints(self) -> list[str]:
        """Paths of this saver's files that count towards max_to_keep, oldest first."""
        return [path for path, _ in self._saved]

    def set_last_checkpoints(self, last_checkpoints: Iterable[str]) -> None:
        """Take over files of an earlier run, so that the oldest of them are removed as if saved by this one."""
        self._saved = [(path, 0.0) for path in last_checkpoints]
