"""Bound plans: a Plan with its kernels compiled and its constants uploaded, ready to run on a device.

Arguments live in OpenCL's kernel object, so every bound plan owns its Kernel objects; the queue's lock
covers setting arguments and enqueueing. `set_args` keeps no buffer alive: inputs and results are held by
the caller until everything is enqueued, after which the in-order queue makes reuse safe.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import is_
from typing import Any

import numpy as np

from cltensor.base.errors import DeviceError, InternalError, InvalidArgumentError
from cltensor.core.op import OpDef
from cltensor.core.spec import sig_of
from cltensor.core.tensor import Tensor
from cltensor.kernels import build
from cltensor.runtime.queue import arm

__all__ = ["bind_plan", "bind_launches", "BoundLaunch", "Run"]

_NUMPY = {"float": np.float32, "double": np.float64, "int": np.int32, "uint": np.uint32, "long": np.int64,
          "ulong": np.uint64, "char": np.int8, "uchar": np.uint8, "short": np.int16, "ushort": np.uint16}
_FLOAT_MAX = float(np.finfo(np.float32).max)
Run = Callable[[tuple], Any]


def _to_float(value: Any) -> float:
    v = float(value)
    return v if -_FLOAT_MAX <= v <= _FLOAT_MAX or v != v else math.copysign(math.inf, v)


def _to_half(value: Any) -> float:
    with np.errstate(over="ignore"):
        return float(np.float16(value))


def _to_int(op: str, dtype: Any) -> Callable[[Any], int]:
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)

    def check(value: Any) -> int:
        v = int(value)
        if not low <= v <= high:
            raise InvalidArgumentError(f"{op}: {v} does not fit the integer type [{low}, {high}] of the other input")
        return v
    return check


def slot_cast(op: OpDef, ctype: str, half: bool) -> Callable[[Any], Any]:
    """How a Python scalar becomes the kernel argument of this type."""
    if ctype == "float":
        return _to_half if half else _to_float
    return float if ctype == "double" else _to_int(op.name, _NUMPY[ctype])


class BoundLaunch:
    """One launch: a kernel, its constant arguments, and what goes into the others at each call.

    Setting a buffer costs a tenth of setting all arguments, setting one number more than all: so without
    slots only the buffers are set (`at`), with slots everything, from a template; unless `remember` was called.
    """

    __slots__ = ("kernel", "held", "ins", "outs", "works", "slots", "at", "template", "dtypes", "global_size",
                 "local_size", "may_fail", "before", "__weakref__")

    def __init__(self, op: OpDef, device: Any, launch: Any, halves: tuple, specs: dict[str, tuple]):
        self.kernel = build.kernel(device, launch.template, launch.params, launch.kernel)
        self.may_fail = op.may_fail
        self.global_size, self.local_size = launch.global_size, launch.local_size
        self.held: list = []            # constant tables: set_arg keeps no buffer alive
        groups: dict[str, list] = {"in": [], "out": [], "work": [], "slot": []}
        self.template: list = []
        dtypes: list = []
        self.dtypes = dtypes
        for at, arg in enumerate(launch.args):
            value = dtype = None
            if arg[0] in groups:
                groups[arg[0]].append((at, arg))
                dtype = _NUMPY[arg[2]] if arg[0] == "slot" else None
            else:
                value = self._constant(op, device, arg)
                dtype = type(value) if isinstance(value, np.generic) else None
                self.kernel.set_arg(at, value)
            self.template.append(value.item() if isinstance(value, np.generic) else value)
            dtypes.append(dtype)
        self.kernel.set_scalar_arg_dtypes(dtypes)
        self.ins = [arg[1] for _, arg in groups["in"]]
        self.outs = [arg[1] for _, arg in groups["out"]]
        self.works = [arg[1] for _, arg in groups["work"]]
        self.slots = [(arg[1], slot_cast(op, arg[2], halves[arg[1]])) for _, arg in groups["slot"]]
        self.at = tuple(at for kind in ("in", "out", "work", "slot") for at, _ in groups[kind])
        # for profiles: whose launch it is, and the bytes of its buffers, each counted once
        buffers = {arg[:2] for kind in specs for _, arg in groups[kind]}
        self.kernel.work = op.name, sum(specs[kind][i].nbytes for kind, i in buffers)
        self.before: Any = None         # by `remember`: a list of what was set last

    def typed(self, at: int, value: Any) -> Any:
        """A number as the argument at this position takes it by itself."""
        return self.dtypes[at](value)

    def run(self, launch: Any, values: list) -> None:
        """Launch with these inputs, results, workspaces and slot values, in this order."""
        if self.before is not None:
            launch(self.kernel, values, self.global_size, self.local_size, self.may_fail, self._set_changed)
        elif self.slots:
            args = self.template.copy()
            for at, value in zip(self.at, values):
                args[at] = value
            launch(self.kernel, args, self.global_size, self.local_size, self.may_fail)
        else:
            launch(self.kernel, values, self.global_size, self.local_size, self.may_fail, self.at)

    def remember(self, memory: Any) -> None:
        """From now on, set only what is another object than the last time, and all where a number is. For a kernel that
        runs again and again on the same small buffers: they are kept until `memory` wants them back."""
        self.before = []
        self.forget()
        memory.watch(self)

    def forget(self) -> None:
        """Let go of the buffers set last."""
        self.before[:] = [self] * len(self.at)      # nobody's argument

    def _set_changed(self, kernel: Any, values: list) -> None:
        """With the queue's lock held."""
        before, first = self.before, len(values) - len(self.slots)
        if all(map(is_, values[first:], before[first:])):
            for i, value in enumerate(values[:first]):
                if value is not before[i]:
                    kernel.set_arg(self.at[i], value)
                    before[i] = value
        else:
            args = self.template.copy()
            for at, value in zip(self.at, values):
                args[at] = value
            self.forget()           # if setting fails, nobody knows what is set
            kernel.set_args(*args)
            before[:] = values

    def _constant(self, op: OpDef, device: Any, arg: tuple) -> Any:
        kind = arg[0]
        if kind == "scalar":
            return _NUMPY[arg[1]](arg[2])
        if kind == "table":
            self.held.append(device.memory.constant(np.array(arg[1], np.int64)))
            return self.held[-1]
        if kind == "error":
            return device.queue.error_word
        if kind == "tally":
            return device.queue.tally
        if kind == "opid":
            return np.int32(arm(op.name, op.fails or "indices"))
        if kind == "null":
            return None
        raise InternalError(f"{op.name}: its plan holds an argument of unknown kind {kind!r}")


def bind_launches(op: Any, plan: Any, device: Any, ins: tuple, outs: tuple) -> list[BoundLaunch]:
    """The launches of a plan with kernels of their own, for whoever sets their arguments himself.

    Raises: DeviceError for float64 on a device without it.
    """
    for spec in (*ins, *outs):
        if spec.dtype.name == "float64" and not device.traits.fp64:
            raise DeviceError(f"{op.name}: {device.label} has no float64; use float32, or a device with fp64 "
                              "(python -m cltensor info lists them)")
    halves = tuple(s.dtype.name == "float16" for s in ins)
    specs = {"in": ins, "out": outs}
    return [BoundLaunch(op, device, launch, halves, specs) for launch in plan.launches]


def bind_plan(op: Any, plan: Any, device: Any, ins: tuple, outs: tuple) -> Run:
    """Compile a plan for a device: the returned function takes inputs and gives the result tensor(s).

    `op` lends its name, `outputs`, `may_fail` and `fails`; a fused plan brings its own.
    """
    steps = bind_launches(op, plan, device, ins, outs)
    sigs = [sig_of(s, device) for s in outs]
    if len(steps) == 1 and len(sigs) == 1 and not plan.workspace and len(steps[0].outs) == 1:
        return _single(steps[0], device, sigs[0])
    return _several(steps, device, sigs, plan.workspace, len(outs) == 1 and op.outputs == 1)


def _single(step: BoundLaunch, device: Any, sig: Any) -> Run:
    """The hot path: one launch, one result."""
    allocate, launch = device.memory.allocate, device.queue.launch
    ins, slots = tuple(step.ins), tuple(step.slots)
    nbytes = sig.spec.nbytes

    def run(inputs: tuple) -> Tensor:
        held = [inputs[i].buffer for i in ins]      # another thread may give a tensor that waited its own copy
        values = [block.mem for block in held]
        if slots:
            numbers = [cast(inputs[i]) for i, cast in slots]
            block = allocate(nbytes)
            values.append(block.mem)
            values += numbers
        else:
            block = allocate(nbytes)
            values.append(block.mem)
        step.run(launch, values)
        return Tensor(sig, block)
    return run


def _several(steps: list, device: Any, sigs: list, workspace: tuple, alone: bool) -> Run:
    allocate, launch = device.memory.allocate, device.queue.launch

    def run(inputs: tuple) -> Any:
        held = [x.buffer if isinstance(x, Tensor) else None for x in inputs]
        slots = [[cast(inputs[i]) for i, cast in step.slots] for step in steps]
        blocks = [allocate(s.spec.nbytes) if s.spec.size else None for s in sigs]
        works = [allocate(n) for n in workspace]
        for step, numbers in zip(steps, slots):
            args = [held[i].mem for i in step.ins]
            args += [blocks[i].mem for i in step.outs]
            args += [works[i].mem for i in step.works]
            step.run(launch, args + numbers)
        if alone:
            return Tensor(sigs[0], blocks[0])
        return tuple(_result(s, b) for s, b in zip(sigs, blocks))
    return run


def _result(sig: Any, block: Any) -> Tensor:
    return Tensor(sig, block) if block is not None else Tensor(sig, None, np.empty(sig.spec.shape, sig.spec.dtype.np))
