"""The gate: every op, eager or recorded, goes through `execute`.

    execute(op, inputs, attrs)
        pending    where ops may wait and run together: append to the thread's pending block
        eager      one dict look-up: (attrs, device scope, sigs) -> bound plan; run it
        else       the current interpreter's own execute (a graph appends a node)
        then       tell the recorders (tapes, profiler, NaN check): one list test when there are none

Lower floors know nothing of the higher: the eager interpreter installs its `bind` here, deferred execution
its `append`, a tape or a graph pushes itself on the thread's state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import ref

import numpy as np

from cltensor.base.dtypes import DType
from cltensor.base.errors import DTypeError
from cltensor.core.late import Late, LateInt
from cltensor.core.op import OpDef
from cltensor.runtime import device as devices

__all__ = ["execute", "state", "Here", "current_device", "device_scope", "eagerly", "quietly", "SLOTS",
           "describe"]


class Here:
    """What the gate looks at in one thread, gathered in one object, as reading a thread-local is dear.

    `pending` is the block that ops are appended to now (interpret/pending.py), None while there is none. It
    belongs to a device and to eager execution: who changes the interpreter or the device puts it away, and the
    next op finds the right one again. `immediate` counts the ops to run at once before that is tried.
    """

    __slots__ = ("interpreter", "device", "substitute", "recorders", "pending", "immediate", "blocks", "logs",
                 "__weakref__")

    def __init__(self) -> None:
        self.interpreter: Any = None
        self.device: Any = None
        self.substitute: dict | None = None     # values that stand for symbols of a graph while it runs
        self.recorders: list = list(_always)
        self.pending: Any = None
        self.immediate = 0
        self.blocks: dict = {}                  # device -> its pending block
        self.logs: list = []                    # references to tapes that may have noted ops that wait

    def __del__(self) -> None:
        catch_up(self)                          # the thread has ended
        for block in self.blocks.values():
            block.leave()


def catch_up(here: Here) -> None:
    """Have tapes look at what they noted: afterwards they hold only values that gradient rules read."""
    if here.logs:
        tapes = [tape for log in here.logs if (tape := log()) is not None]
        here.logs = [ref(tape) for tape in tapes if tape.catch_up()]


def listen(tape: Any) -> None:
    """Add a tape to this thread's recorders."""
    here = state.here
    here.recorders.append(tape)
    here.logs.append(ref(tape))
    if len(here.logs) > LOGS:       # where nothing waits nobody looks at them
        here.logs = [log for log in here.logs if (tape := log()) is not None and tape.noting]


class _State(threading.local):
    """Of one thread: the interpreter (None: eager), the device scope, the recorders."""

    def __init__(self) -> None:
        self.here = Here()

    @property
    def interpreter(self) -> Any:
        return self.here.interpreter

    @interpreter.setter
    def interpreter(self, interpreter: Any) -> None:
        here = self.here
        here.interpreter, here.pending = interpreter, None

    @property
    def device(self) -> Any:
        return self.here.device

    @device.setter
    def device(self, device: Any) -> None:
        here = self.here
        here.device = device
        if device is not None and here.pending is not None and here.pending.device is not device:
            here.pending = None

    @property
    def recorders(self) -> list:
        return self.here.recorders

    @recorders.setter
    def recorders(self, recorders: list) -> None:
        self.here.recorders = recorders

    @property
    def substitute(self) -> dict | None:
        return self.here.substitute

    @substitute.setter
    def substitute(self, values: dict | None) -> None:
        self.here.substitute = values


_always: list = []
state = _State()


def every_thread(recorder: Any) -> None:
    """Add a recorder to this thread and to all that start later."""
    _always.append(recorder)
    state.recorders.append(recorder)


class SlotSig:
    """Stands for a Python scalar in a memo key: its kind, never its value."""

    __slots__ = ("slot",)

    def __init__(self, slot: str):
        self.slot = slot

    def __repr__(self) -> str:
        return f"<a Python {self.slot}>"


_BOOL, _INT, _FLOAT = SlotSig("bool"), SlotSig("int"), SlotSig("float")
# NumPy scalars that are subclasses of Python's, or come out of Python arithmetic, are weak like them
SLOTS: dict[type, SlotSig] = {bool: _BOOL, np.bool_: _BOOL, int: _INT, float: _FLOAT, np.float64: _FLOAT,
                              np.float32: _FLOAT, np.int64: _INT, np.int32: _INT, Late: _FLOAT, LateInt: _INT}
readers: set = set()          # classes with a cheap as_tensor(): variables
_Tensor: Any = None
_convert: Callable
_bind: Callable
_append: Callable[[Here, OpDef, tuple, tuple], Any]
MEMO_LIMIT = 4096
LOGS = 16                     # of tapes, before those that ended are forgotten


def install_tensor(tensor: type, convert: Callable) -> None:
    """core/tensor.py tells the gate what a tensor is."""
    global _Tensor, _convert
    _Tensor, _convert = tensor, convert


def install_reader(cls: type) -> None:
    """Name a class whose instances become tensors by `as_tensor()`."""
    readers.add(cls)


def install_eager(bind: Callable) -> None:
    """interpret/eager.py tells the gate how to bind an op to specs."""
    global _bind
    _bind = bind


def install_deferred(append: Callable[[Here, OpDef, tuple, tuple], Any]) -> None:
    """interpret/defer.py tells the gate how an op is put off; `append` gives None where it cannot be."""
    global _append
    _append = append


def execute(op: OpDef, inputs: tuple, attrs: tuple = ()) -> Any:
    """Run (or record) one op on tensors and values convertible to tensors.

    Returns: a Tensor, or a tuple of them for an op with several results.
    Raises: what the op's `infer` raises; nothing has run then.
    """
    here = state.here
    if here.interpreter is not None:
        return here.interpreter.execute(op, inputs, attrs)
    if op.defers:
        if here.immediate:
            here.immediate -= 1
        else:
            out = _append(here, op, inputs, attrs)
            if out is not None:
                return out
    key: list = [attrs, here.device]
    slots = op.slots
    for x in inputs:
        kind = type(x)
        if kind is _Tensor:
            key.append(x.sig)
        elif slots and kind in SLOTS:
            key.append(SLOTS[kind])
        elif kind in readers:          # a variable: read it, and look again
            return execute(op, tuple([x.as_tensor() if type(x) in readers else x for x in inputs]), attrs)
        else:
            inputs, key = prepare(op, inputs, attrs)
            break
    found = op.memo.get(k := tuple(key))
    if found is None:
        inputs, found = _miss(op, k, inputs, attrs)
    out = found(inputs)
    if here.recorders:
        for r in here.recorders:
            r.record(op, attrs, inputs, out)
    return out


def _miss(op: OpDef, key: tuple, inputs: tuple, attrs: tuple) -> tuple:
    resolved = resolve_slots(op, inputs)
    if resolved is not inputs:
        return resolved, _bind(op, resolved, attrs)
    _ran[:] = [True]
    bound = _bind(op, inputs, attrs)
    if len(op.memo) >= MEMO_LIMIT:      # shapes that never come back must not pile up
        op.memo.clear()
    op.memo[key] = bound
    return inputs, bound


def bound(op: OpDef, inputs: tuple, attrs: tuple, make: bool = True) -> Any:
    """What `execute` runs for these tensors and Python scalars outside any device scope.

    With `make` False signatures do as well as tensors, and it is None where that is not bound yet.
    """
    key = (attrs, None, *[SLOTS[type(x)] if type(x) in SLOTS else getattr(x, "sig", x) for x in inputs])
    found = op.memo.get(key)
    if found is None and make:
        with device_scope(None):
            _, found = _miss(op, key, inputs, attrs)
    return found


_ran: list = []


def ran_eagerly() -> bool:
    """True once an op has been executed eagerly in this process."""
    return bool(_ran)


def letters(op: OpDef, n: int) -> str:
    """One letter per input; equal letters must have equal dtypes."""
    if op.types == "any":
        return "".join(map(chr, range(n)))
    return "T" * n if op.types in ("", "*") else op.types


def prepare(op: OpDef, inputs: tuple, attrs: tuple) -> tuple[tuple, list]:
    """Convert what is neither tensor nor slot; a value takes the dtype of a tensor of its letter."""
    groups = letters(op, len(inputs))
    out = [x.as_tensor() if hasattr(type(x), "as_tensor") else x for x in inputs]
    if state.substitute is not None:
        out = [state.substitute.get(x.uid, x) if isinstance(x, _Tensor) else x for x in out]
    known: dict[str, DType] = {}
    device = state.device
    for letter, x in zip(groups, out):
        if isinstance(x, _Tensor):
            known.setdefault(letter, x.dtype)
            device = device or x.sig.device
    for i, (letter, x) in enumerate(zip(groups, out)):
        if isinstance(x, _Tensor) or (op.slots and type(x) in SLOTS):
            continue
        out[i] = _convert(x, known.get(letter), device, f"{op.name}: {_arg(op, i)}")
        known.setdefault(letter, out[i].dtype)
    key: list = [attrs, state.device]
    key += [x.sig if isinstance(x, _Tensor) else SLOTS[type(x)] for x in out]
    return tuple(out), key


def resolve_slots(op: OpDef, inputs: tuple) -> tuple:
    """Where all inputs of a letter are Python scalars, the first of the widest kind becomes a tensor."""
    if op.slots is not True:
        return inputs
    groups = letters(op, len(inputs))
    known = {letter for letter, x in zip(groups, inputs) if isinstance(x, _Tensor)}
    if all(letter in known for letter in groups):
        return inputs
    out = list(inputs)
    for letter in dict.fromkeys(groups):
        if letter not in known:
            members = [i for i, other in enumerate(groups) if other == letter]
            widest = max(members, key=lambda i: (("bool", "int", "float").index(SLOTS[type(out[i])].slot), -i))
            out[widest] = _convert(out[widest], None, state.device, op.name)
    return tuple(out)


def slot_dtype(op: OpDef, i: int, sig: SlotSig, dtype: DType) -> DType:
    """The dtype a Python scalar takes beside tensors of `dtype`; raises DTypeError where it cannot."""
    fits = {"float": dtype.is_floating, "int": not dtype.is_bool, "bool": dtype.is_bool}[sig.slot]
    if not fits:
        raise DTypeError(f"{op.name}: {_arg(op, i)} is {'an' if sig.slot == 'int' else 'a'} {sig.slot}, the other "
                         f"input has dtype {dtype.name}; use cast")
    return dtype


def _arg(op: OpDef, i: int) -> str:
    return op.args[i] if i < len(op.args) else f"{op.args[-1]}[{i}]" if op.variadic else f"input {i}"


def describe(op: OpDef, inputs: tuple) -> str:
    """The inputs for an error sentence: name, shape and dtype of each."""
    parts = []
    for i, x in enumerate(inputs):
        spec = getattr(x, "spec", None)
        parts.append(f"{_arg(op, i)} has shape {spec.shape} and dtype {spec.dtype.name}" if spec is not None
                     else f"{_arg(op, i)} = {x!r}")
    return ", ".join(parts)


def current_device() -> Any:
    """The device of the innermost `tf.device` scope, else the default one."""
    return state.device or devices.default()


class device_scope:
    """Context manager: ops and variables created inside live on this device (None: no preference)."""

    def __init__(self, device: Any):
        self._device = device
        self._before: list = []

    def __enter__(self) -> device_scope:
        self._before.append(state.device)
        state.device = self._device
        return self

    def __exit__(self, *exc: Any) -> None:
        state.device = self._before.pop()


class eagerly:
    """Context manager: inside, ops run at once and no recorder listens, whatever records outside.

    What makes state (a variable's first value, an optimizer's slot) must happen once, not in a recording.
    """

    def __enter__(self) -> eagerly:
        self._before = (state.interpreter, state.recorders)
        state.interpreter, state.recorders = None, []
        return self

    def __exit__(self, *exc: Any) -> None:
        state.interpreter, state.recorders = self._before


class quietly:
    """Context manager: no recorder listens inside: assigning has no gradient, a trace is nobody's computation."""

    def __enter__(self) -> None:
        self._before, state.recorders = state.recorders, []

    def __exit__(self, *exc: Any) -> None:
        state.recorders = self._before
