"""The eager interpreter: bind an op to specs once, so that a repeated call is one dict look-up.

`bind` infers, checks dtypes, lowers and compiles; what it returns takes the inputs and gives the
result. Empty tensors never reach a kernel: an empty result needs no launch, an empty input with a
non-empty result (the sum of nothing) is the row's identity.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.base.errors import DTypeError, InternalError, InvalidArgumentError
from cltensor.core import dispatch
from cltensor.core.dispatch import SLOTS, describe, letters, slot_dtype
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec, sig_of
from cltensor.core.tensor import Tensor, from_numpy, to_array
from cltensor.interpret.first import bind_expression
from cltensor.interpret.runner import Run, bind_plan
from cltensor.kernels.expression import lower_expression, single
from cltensor.runtime import device as devices

__all__ = ["bind", "bind_specs", "bind_host", "moving", "input_specs", "infer_specs", "needs_no_kernel", "copy_to",
           "lower", "place", "expression_text"]


def input_specs(op: OpDef, inputs: tuple) -> tuple:
    """The specs `infer` sees: a Python scalar takes the dtype of a tensor of its letter.

    Raises: DTypeError where tensors of one letter have several dtypes, or a scalar does not fit.
    """
    groups = letters(op, len(inputs))
    known: dict[str, Any] = {}
    for letter, x in zip(groups, inputs):
        if isinstance(x, Tensor):
            first = known.setdefault(letter, x.spec.dtype)
            if first is not x.spec.dtype:
                raise DTypeError(f"{op.name}: dtypes differ, {first.name} != {x.spec.dtype.name}: "
                                 f"{describe(op, inputs)}; use cast")
    specs = []
    for i, (letter, x) in enumerate(zip(groups, inputs)):
        if isinstance(x, Tensor):
            specs.append(x.spec)
        elif op.slots is True:
            specs.append(Spec((), slot_dtype(op, i, SLOTS[type(x)], known[letter])))
        else:
            specs.append(Spec((), _scalar_spec(op, i)))
    return tuple(specs)


def _scalar_spec(op: OpDef, i: int) -> Any:
    ctype = op.slots[i]
    names = {"float": "float32", "double": "float64", "int": "int32", "uint": "int32", "long": "int64",
             "ulong": "int64", "char": "int8", "uchar": "uint8", "short": "int16"}
    return names[ctype]


def infer_specs(op: OpDef, specs: tuple, attrs: tuple) -> tuple:
    """Result specs as a tuple."""
    out = op.infer(*specs, **dict(attrs))
    return out if isinstance(out, tuple) else (out,)


def expression_text(op: OpDef, ins: tuple, attrs: tuple) -> Any:
    """The text (or one per result) of an expression row for these specs."""
    text = op.expr(*ins, **dict(attrs)) if callable(op.expr) else op.expr
    return text[ins[-1].dtype.kind] if isinstance(text, dict) else text


def lower(op: OpDef, ins: tuple, slots: tuple, outs: tuple, attrs: tuple, target: Any) -> Any:
    """The Plan of an expression or kernel row: a pure function of specs, attributes and device traits."""
    if op.expr is not None:
        return lower_expression(single(expression_text(op, ins, attrs), ins, slots, outs), ins, outs, target)
    assert op.lower is not None
    return op.lower(ins, outs, target, **dict(attrs))


def bind(op: OpDef, inputs: tuple, attrs: tuple) -> Run:
    """What runs this op on inputs of these specs. Raises what `infer` raises; nothing has run then."""
    device = place(inputs)
    if op.run is not None:
        return bind_host(op, device, attrs)
    ins = input_specs(op, inputs)
    run = bind_specs(op, ins, tuple(not isinstance(x, Tensor) for x in inputs), infer_specs(op, ins, attrs), attrs,
                     device)
    moves = tuple(i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.placed_on is not device)
    return moving(run, device, moves) if moves else run


def bind_specs(op: OpDef, ins: tuple, slots: tuple, outs: tuple, attrs: tuple, device: Any) -> Run:
    """What runs a view, expression or kernel row on inputs of these specs that are on the device.

    `slots` tells which inputs are Python scalars; `outs` are the result specs that `infer` gave.
    """
    if any(s.size is None for s in outs):
        raise InternalError(f"{op.name}: infer left the result shape open: {outs}")
    if op.view:
        return _view(sig_of(outs[0], device))
    if needs_no_kernel(op, ins, slots, outs):
        return (_empty if all(s.size == 0 for s in outs) else _filled)(op, device, outs)
    if op.expr is not None:
        return bind_expression(op, single(expression_text(op, ins, attrs), ins, slots, outs), ins, outs, device)
    return bind_plan(op, lower(op, ins, slots, outs, attrs, device.traits), device, ins, outs)


def needs_no_kernel(op: OpDef, ins: tuple, slots: tuple, outs: tuple) -> bool:
    """Whether the result is empty, or the row's identity as an input is: it is then known without the inputs."""
    return all(s.size == 0 for s in outs) or (op.slots is not True and op.identity is not None and any(
        s.size == 0 for s, slot in zip(ins, slots) if not slot))


def place(inputs: tuple) -> Any:
    """The device an op on these inputs runs on: that of the scope, else of the first input that lives on one."""
    scope = dispatch.state.device
    if scope is not None:
        return scope
    first = None
    for x in inputs:
        if isinstance(x, Tensor):
            if x.host is None:      # a small value known to the host goes where the others are
                return x.placed_on
            first = first or x.placed_on
    return first or devices.default()


def _view(sig: Any) -> Run:
    def run(inputs: tuple) -> Tensor:
        x = inputs[0]
        host = x.host
        # a host copy stays visible to infer; its view uploads for itself if a kernel asks, which is rare
        return Tensor(sig, x.buffer) if host is None else Tensor(sig, None, host.reshape(sig.spec.shape))
    return run


def _empty(op: OpDef, device: Any, outs: tuple) -> Run:
    made = tuple(Tensor(sig_of(s, device), None, np.empty(s.shape, s.dtype.np)) for s in outs)

    def run(inputs: tuple) -> Any:
        fresh = tuple(Tensor(t.sig, None, t.host) for t in made)
        return fresh[0] if op.outputs == 1 and len(fresh) == 1 else fresh
    return run


def _filled(op: OpDef, device: Any, outs: tuple) -> Run:
    def run(inputs: tuple) -> Any:
        made = tuple(from_numpy(np.full(s.shape, _identity(op, s), s.dtype.np), device) for s in outs)
        return made[0] if op.outputs == 1 and len(made) == 1 else made
    return run


def _identity(op: OpDef, spec: Spec) -> Any:
    return op.identity(spec.dtype) if callable(op.identity) else op.identity


def bind_host(op: OpDef, device: Any, attrs: tuple) -> Run:
    """What runs a host row."""
    keywords = dict(attrs)
    body = op.run
    assert body is not None

    def run(inputs: tuple) -> Any:
        with dispatch.device_scope(device):
            return body(*inputs, **keywords)
    return run


def moving(run: Run, device: Any, moves: tuple) -> Run:
    """`run` with the inputs at these positions copied to the device first."""
    def moved(inputs: tuple) -> Any:
        here = list(inputs)
        for i in moves:
            here[i] = copy_to(here[i], device)
        return run(tuple(here))
    return moved


def copy_to(x: Tensor, device: Any) -> Tensor:
    """The tensor's value on another device; through the host, as contexts cannot see each other."""
    if x.placed_on is device:
        return x
    sig = sig_of(x.spec, device)
    if x.host is not None:
        return Tensor(sig, None, x.host)
    if not isinstance(x.spec.size, int):
        raise InvalidArgumentError("copy: the tensor has no value yet")
    value = to_array(x)
    block = device.memory.allocate(value.nbytes)
    device.queue.write(block, value)
    return Tensor(sig, block)


dispatch.install_eager(bind)
