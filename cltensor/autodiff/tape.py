"""GradientTape: a recorder that notes the ops which depend on what it watches, and plays them backwards.

It pushes itself on the thread's recorders and holds records, never tensors' boxes: printing, `bool(x)`
and NumPy calls inside leave it alone. Tapes nest; an outer one records the inner one's gradient.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.autodiff.backprop import OpRecord, Record, backprop, ones, wanting, zeros
from cltensor.autodiff.recall import question
from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import listen, state
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.op import OpDef
from cltensor.core.tensor import Tensor, convert
from cltensor.interpret import defer
from cltensor.ops.creation import zeros_like
from cltensor.ops.variable import Variable

__all__ = ["GradientTape", "UnconnectedGradients"]

_catching = threading.RLock()


class UnconnectedGradients:
    """What `gradient` answers for a source the target does not depend on."""

    NONE = "none"
    ZERO = "zero"


class GradientTape:
    """Records ops for automatic differentiation.

    Trainable variables that are read inside are watched by themselves, tensors after `watch`. A tape
    computes one gradient and drops what it held; a persistent one computes several.

    Args:
        persistent: keep the records, so that `gradient` may be called again.
        watch_accessed_variables: watch trainable variables as they are read.

    Raises: RuntimeError at the second `gradient` of a tape that is not persistent; ValueError when it is
        entered while active.

    Example:
        >>> import cltensor as tf
        >>> x = tf.constant(3.0)
        >>> with tf.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.gradient(y, x).numpy()
        np.float32(6.0)
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True):
        self._persistent, self._watch_reads = persistent, watch_accessed_variables
        self._active = False
        self.reset()

    # -- recording: called by the gate
    def record(self, op: OpDef, attrs: tuple, inputs: tuple, out: Any) -> None:
        """An op ran; keep it if it depends on something watched and has a gradient."""
        if self._log or self._seen:
            self.catch_up()
        self._keep(op, attrs, inputs, out)

    def record_custom(self, record: Record) -> None:
        """A custom gradient's record, kept on the same terms."""
        self.catch_up()
        if not self._tracked.isdisjoint(record.in_uids):
            self._records.append(record)
            self._tracked.update(record.out_uids)

    def tracks(self, uids: list) -> bool:
        """True if a gradient by any of these tensors may be asked for."""
        self.catch_up()
        return not self._tracked.isdisjoint(uids)

    def read(self, variable: Variable, value: Tensor) -> None:
        """A variable was read."""
        self._seen.append((len(self._log), variable, value))

    def catch_up(self) -> bool:
        """Make records of what the log says: a record holds only values that rules read. Returns: may more come?"""
        with _catching:                 # a tape may be asked for gradients in another thread than the block's
            log, self._log[:] = self._log[:], []
            seen, self._seen[:] = self._seen[:], []
            done = 0
            for at, variable, value in seen:
                for entry in log[done:at]:
                    self._keep(*entry)
                done = at
                if variable is None:
                    self._tracked.add(value.uid)
                elif self._counts(variable):
                    self._note(variable, value)
            for entry in log[done:]:
                self._keep(*entry)
        return self._active

    @property
    def noting(self) -> bool:
        """True while it records, or has not looked yet at all it noted."""
        return self._active or bool(self._log)

    def _keep(self, op: OpDef, attrs: tuple, inputs: tuple, out: Any) -> None:
        if not op.vjps:
            return
        tracked = self._tracked
        if len(inputs) == 2:            # most ops: a loop would cost as much as all else
            a, b = inputs
            found: tuple = (isinstance(a, Tensor) and a.uid in tracked, isinstance(b, Tensor) and b.uid in tracked)
        else:
            found = tuple([isinstance(x, Tensor) and x.uid in tracked for x in inputs])
        if True not in found:
            return
        need = wanting(op, found)
        if need is None:
            return
        outs = out if type(out) is tuple else (out,)
        floating = [y.uid for y in outs if y.sig.spec.dtype.is_floating]
        if floating:
            self._records.append(OpRecord(op, attrs, inputs, outs, need))
            tracked.update(floating)

    def _counts(self, variable: Variable) -> bool:
        """Is a variable watched when it is read?"""
        return (self._watch_reads and variable.trainable) or id(variable) in self._watched

    def _note(self, variable: Variable, value: Tensor) -> None:
        if value.dtype.is_floating:
            self._tracked.add(value.uid)
            self._reads.setdefault(id(variable), (variable, []))
            uids = self._reads[id(variable)][1]
            if value.uid not in uids:
                uids.append(value.uid)

    # -- the user's side
    def __enter__(self) -> GradientTape:
        if self._active:
            raise ValueError("GradientTape: the tape is already recording")
        defer.pause()               # every step of a training loop begins here: so blocks are cut alike
        self._listen()
        return self

    def _listen(self) -> None:
        self._active = True
        listen(self)

    def __exit__(self, *exc: Any) -> None:
        self._active = False
        if self in state.recorders:
            state.recorders.remove(self)

    def watch(self, tensor: Any) -> None:
        """Track a tensor or variable, or a nest of them, from here on. Only floating ones have gradients."""
        for t in nest.flatten(tensor):
            if isinstance(t, Variable):
                self.catch_up()
                self._watched[id(t)] = t
                self.read(t, t.current())
            elif isinstance(t, Tensor):
                if t.dtype.is_floating:
                    self._seen.append((len(self._log), None, t))
            else:
                raise InvalidArgumentError(f"GradientTape.watch: {t!r:.60} is neither a tensor nor a variable")

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Inside, ops are not recorded.

        Raises: ValueError when the tape is not recording.
        """
        if not self._active:
            raise ValueError("GradientTape.stop_recording: the tape is not recording")
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def reset(self) -> None:
        """Forget everything recorded and watched."""
        self._records: list = []
        # What happened since: (op, attributes, inputs, result) of ops that wait, as the gate tells `waits`; and how
        # many these were, variable (or None), value when something was read or watched. Looked at when it must be:
        # often never, as recall.py knows the gradient already.
        self._log: list[tuple] = []
        self._seen: list[tuple] = []
        self.waits = self._log.append
        self._tracked: set = set()
        self._watched: dict[int, Variable] = {}
        self._reads: dict[int, tuple[Variable, list]] = {}
        self._used = False

    def watched_variables(self) -> tuple:
        """Variables seen, in the order of their creation."""
        self.catch_up()
        return tuple(sorted((v for v, _ in self._reads.values()), key=lambda v: v.order))

    def gradient(self, target: Any, sources: Any, output_gradients: Any = None,
                 unconnected_gradients: str = UnconnectedGradients.NONE) -> Any:
        """Gradient of the target (the sum of several) by the sources.

        Args:
            target: tensor, or a nest of them.
            sources: tensor or variable, or any nest of them; the answer has its structure.
            output_gradients: weights of the targets, of their shapes; ones unless given.
            unconnected_gradients: "none" or "zero": what a source gets that the target does not depend on.

        Returns: tensors, IndexedSlices for the sparse gradient of a gather, or None.
        Raises: RuntimeError at a second call of a tape that is not persistent.
        """
        if self._used and not self._persistent:
            raise RuntimeError("GradientTape.gradient: a tape that is not persistent computes one gradient; "
                               "use GradientTape(persistent=True)")
        if unconnected_gradients not in (UnconnectedGradients.NONE, UnconnectedGradients.ZERO):
            raise InvalidArgumentError(f"GradientTape.gradient: unconnected_gradients must be 'none' or 'zero', it is "
                                       f"{unconnected_gradients!r}")
        plain = type(sources) is list and all([type(s) is Variable for s in sources])
        flat = sources if plain else nest.flatten(sources)
        for s in () if plain else flat:
            if not isinstance(s, (Tensor, Variable)):
                raise InvalidArgumentError(f"GradientTape.gradient: sources must be tensors or variables, "
                                           f"{s!r:.60} is a {type(s).__name__}")
        interpreter = state.here.interpreter
        if interpreter is not None and getattr(interpreter, "symbolic", False):
            return nest.pack_sequence_as(sources, self._in_graph(target, flat, output_gradients, unconnected_gradients))
        here = self._active and not self._persistent
        if here:
            self.__exit__()
        try:
            out = self._gradient(target, flat, output_gradients, unconnected_gradients)
        finally:
            if not self._persistent:
                self._log.clear()
                self._seen.clear()
                self._records, self._tracked = [], set()
            if here:
                self._listen()
        if self._persistent:        # its records go on holding the values
            defer.flush()
        return out if plain else nest.pack_sequence_as(sources, out)

    def _gradient(self, target: Any, sources: list, output_gradients: Any, unconnected: str) -> list:
        asked = None
        if output_gradients is None and not self._tracked:
            targets = [target] if type(target) is Tensor else nest.flatten(target)
            asked = question(self._log, self._seen, self._counts, targets, sources)
        if asked is None:
            self.catch_up()
            return self._walk(target, sources, output_gradients, unconnected)
        out = asked.recall()
        if out is None:
            log = self._log[:]
            self.catch_up()
            asked.prepare(log, self._records)
            del log
            out = self._walk(target, sources, None, unconnected)
            asked.remember(out)
        self._used = True
        return out

    def _walk(self, target: Any, sources: list, output_gradients: Any, unconnected: str) -> list:
        uids = [self._uids_of(s) for s in sources]
        seeds = self._seeds(target, output_gradients)
        self._used = True
        found = backprop(self._records, seeds, {u for some in uids for u in some}, consume=not self._persistent)
        return [self._total(found, some, s, unconnected) for some, s in zip(uids, sources)]

    def _in_graph(self, target: Any, sources: list, output_gradients: Any, unconnected: str) -> list:
        """Where shapes may be open the graph defers the walk; the tape says which sources it watched."""
        self._used = True
        self.catch_up()
        ys = [t.current() if isinstance(t, Variable) else t for t in nest.flatten(target)]
        given = [None] * len(ys) if output_gradients is None else nest.flatten(output_gradients)
        if len(given) != len(ys):
            raise InvalidArgumentError(f"GradientTape.gradient: there are {len(ys)} targets and {len(given)} "
                                       "output_gradients")
        weights = [None if g is None else convert(g, y.dtype, op="GradientTape.gradient: output_gradients")
                   for y, g in zip(ys, given)]
        found = state.interpreter.gradients(ys, sources, weights)
        watched = [any(u in self._tracked for u in self._uids_of(s)) for s in sources]
        return [g if seen and g is not None else zeros_like(s) if unconnected == UnconnectedGradients.ZERO else None
                for g, seen, s in zip(found, watched, sources)]

    def _uids_of(self, source: Any) -> list:
        if isinstance(source, Variable):
            return self._reads.get(id(source), (source, []))[1]
        return [source.uid]

    def _seeds(self, target: Any, output_gradients: Any) -> dict[int, list]:
        targets = nest.flatten(target)
        given = [None] * len(targets) if output_gradients is None else nest.flatten(output_gradients)
        if len(given) != len(targets):
            raise InvalidArgumentError(f"GradientTape.gradient: there are {len(targets)} targets and {len(given)} "
                                       "output_gradients")
        seeds: dict[int, list] = {}
        for t, g in zip(targets, given):
            if t is None:
                raise InvalidArgumentError("GradientTape.gradient: a target is None")
            if isinstance(t, Variable):         # the gradient of a variable by itself is one
                self._note(t, t.current())
                t = t.current()
            if not isinstance(t, Tensor):
                continue
            if g is not None:
                g = convert(g, t.dtype, op="GradientTape.gradient: output_gradients")
                if g.spec.shape != t.spec.shape:
                    raise InvalidArgumentError(f"GradientTape.gradient: output_gradients has shape "
                                               f"{show(g.spec.shape)}, the target {show(t.spec.shape)}")
            if t.dtype.is_floating:
                seeds.setdefault(t.uid, []).append(ones(t.spec, t.placed_on) if g is None else g)
        return seeds

    def _total(self, found: dict, uids: list, source: Any, unconnected: str) -> Any:
        parts = [found[u] for u in uids if u in found]
        if not parts:
            if unconnected == UnconnectedGradients.ZERO and source.dtype.is_floating:
                return zeros(source.spec, source.placed_on)
            return None
        if len(parts) == 1:
            return parts[0]
        total = parts[0]
        for p in parts[1:]:
            total = (total.as_tensor() if isinstance(total, IndexedSlices) else total) + \
                (p.as_tensor() if isinstance(p, IndexedSlices) else p)
        return total
