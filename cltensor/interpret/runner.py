"""Bound plans: a Plan with its kernels compiled and its constants uploaded, ready to run on a device.

Arguments live in OpenCL's kernel object, so every bound plan owns its Kernel objects; the queue's lock
covers setting arguments and enqueueing. `set_args` keeps no buffer alive: inputs and results are held by
the caller until everything is enqueued, after which the in-order queue makes reuse safe.
"""

from __future__ import annotations

import math
from typing import Any, Callable

import numpy as np

from cltensor.base.errors import DeviceError, InvalidArgumentError
from cltensor.core.op import OpDef
from cltensor.core.spec import sig_of
from cltensor.core.tensor import Tensor
from cltensor.kernels import build
from cltensor.runtime.queue import arm

__all__ = ["bind_plan", "Run"]

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


def _to_int(op: str, low: int, high: int) -> Callable[[Any], int]:
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
    if ctype == "double":
        return float
    info = np.iinfo(_NUMPY[ctype])
    return _to_int(op.name, int(info.min), int(info.max))


class _Step:
    """One launch: the argument template and where buffers and slots go into it."""

    __slots__ = ("kernel", "template", "ins", "outs", "works", "slots", "held", "global_size",
                 "local_size", "may_fail")

    def __init__(self, op: OpDef, device: Any, launch: Any, halves: tuple):
        self.kernel = build.kernel(device, launch.template, launch.params, launch.kernel)
        self.template: list = []
        self.ins: list = []
        self.outs: list = []
        self.works: list = []
        self.slots: list = []
        self.held: list = []            # constant tables: set_args keeps no buffer alive
        self.may_fail = op.may_fail
        self.global_size, self.local_size = launch.global_size, launch.local_size
        dtypes: list = []
        for at, arg in enumerate(launch.args):
            kind, value, dtype = arg[0], None, None
            if kind == "in":
                self.ins.append((at, arg[1]))
            elif kind == "out":
                self.outs.append((at, arg[1]))
            elif kind == "work":
                self.works.append((at, arg[1]))
            elif kind == "scalar":
                dtype = _NUMPY[arg[1]]
                value = float(arg[2]) if arg[1] in ("float", "double") else int(arg[2])
            elif kind == "slot":
                dtype = _NUMPY[arg[2]]
                self.slots.append((at, arg[1], slot_cast(op, arg[2], halves[arg[1]])))
            elif kind == "table":
                block = device.memory.allocate(8 * len(arg[1]))
                device.queue.write(block, np.array(arg[1], np.int64))
                self.held.append(block)
                value = block.mem
            elif kind == "error":
                value = device.queue.error_word
            elif kind == "opid":
                value, dtype = arm(op.name, op.fails or "indices"), np.int32
            self.template.append(value)
            dtypes.append(dtype)
        self.kernel.set_scalar_arg_dtypes(dtypes)


def bind_plan(op: OpDef, plan: Any, device: Any, ins: tuple, outs: tuple) -> Run:
    """Compile a plan for a device: the returned function takes inputs and gives the result tensor(s)."""
    for spec in (*ins, *outs):
        if spec.dtype.name == "float64" and not device.traits.fp64:
            raise DeviceError(f"{op.name}: {device.label} has no float64; use float32, or a device with fp64 "
                              "(python -m cltensor info lists them)")
    halves = tuple(s.dtype.name == "float16" for s in ins)
    steps = [_Step(op, device, launch, halves) for launch in plan.launches]
    sigs = [sig_of(s, device) for s in outs]
    if len(steps) == 1 and len(sigs) == 1 and not plan.workspace:
        return _single(steps[0], device, sigs[0])
    return _several(steps, device, sigs, plan.workspace, len(outs) == 1 and op.outputs == 1)


def _single(step: _Step, device: Any, sig: Any) -> Run:
    """The hot path: one launch, one result."""
    allocate, launch = device.memory.allocate, device.queue.launch
    template, ins, slots = step.template, step.ins, step.slots
    outs = [at for at, _ in step.outs]
    kernel, global_size, local_size, may_fail = step.kernel, step.global_size, step.local_size, step.may_fail
    tables = step.held
    nbytes = sig.spec.nbytes

    def run(inputs: tuple) -> Tensor:
        args = template.copy()
        for at, i in ins:
            args[at] = inputs[i].buffer.mem
        for at, i, cast in slots:
            args[at] = cast(inputs[i])
        block = allocate(nbytes)
        for at in outs:
            args[at] = block.mem
        launch(kernel, args, global_size, local_size, may_fail)
        return Tensor(sig, block)
    run.__dict__["tables"] = tables
    return run


def _several(steps: list, device: Any, sigs: list, workspace: tuple, alone: bool) -> Run:
    allocate, launch = device.memory.allocate, device.queue.launch

    def run(inputs: tuple) -> Any:
        held = [x.buffer if isinstance(x, Tensor) else None for x in inputs]
        slots = [[(at, cast(inputs[i])) for at, i, cast in step.slots] for step in steps]
        blocks = [allocate(s.spec.nbytes) if s.spec.size else None for s in sigs]
        works = [allocate(n) for n in workspace]
        for step, values in zip(steps, slots):
            args = step.template.copy()
            for at, i in step.ins:
                args[at] = held[i].mem
            for at, i in step.outs:
                args[at] = blocks[i].mem
            for at, i in step.works:
                args[at] = works[i].mem
            for at, value in values:
                args[at] = value
            launch(step.kernel, args, step.global_size, step.local_size, step.may_fail)
        if alone:
            return Tensor(sigs[0], blocks[0])
        return tuple(_result(s, b) for s, b in zip(sigs, blocks))
    return run


def _result(sig: Any, block: Any) -> Tensor:
    return Tensor(sig, block) if block is not None else Tensor(sig, None, np.empty(sig.spec.shape, sig.spec.dtype.np))
