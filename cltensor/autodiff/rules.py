"""Running a gradient rule: op by op, or, when nobody watches, as one fused kernel.

tanh's rule `g * (1 - y * y)` is three ops. If no recorder listens (no outer tape wants the second order),
the rule is traced once per signature; when all it records are expression rows, they run as one kernel
with the same bits. A rule that reduces, reshapes or gathers runs as it is written. So does one that the interpreter
kernel knows when it reads a pending tensor: its ops join those that wait.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.shapes import broadcast_many
from cltensor.core.dispatch import MEMO_LIMIT, state
from cltensor.core.op import Vjp
from cltensor.core.tensor import Tensor
from cltensor.interpret.eager import input_specs
from cltensor.interpret.first import bind_expression
from cltensor.interpret.fusion import fuse
from cltensor.interpret.instructions import known
from cltensor.interpret.record import Recording, Symbol

__all__ = ["call"]

_memo: dict[tuple, Any] = {}


class _Fused:
    """Lends a fused rule its name."""

    __slots__ = ("name",)
    outputs, may_fail, fails = 1, False, ""

    def __init__(self, name: str):
        self.name = name


def call(name: str, index: int, vjp: Vjp, values: list) -> Any:
    """The rule's answer for what it reads; `name` and `index` tell which op's and which input's rule it is."""
    here = state.here
    if here.recorders or here.interpreter is not None:
        return vjp.rule(*values)
    if vjp.waits and _wait(values):
        return vjp.rule(*values)
    key = [name, index, here.device]
    for v in values:
        if type(v) is not Tensor:
            return vjp.rule(*values)
        key.append(v.sig)
    k = tuple(key)
    if k not in _memo:
        if len(_memo) >= MEMO_LIMIT:
            _memo.clear()
        _memo[k] = _trace(name, vjp, values)
        if vjp.waits and _wait(values):         # known only now
            return vjp.rule(*values)
    run = _memo[k]
    return vjp.rule(*values) if run is None else run(tuple(values))


def _wait(values: list) -> bool:
    for v in values:            # any() with a generator costs as much as the rest
        if type(v) is Tensor and v.pending is not None:
            return True
    return False


def _trace(name: str, vjp: Vjp, values: list) -> Any:
    """The bound kernel of a rule, None where it is not one."""
    device = values[0].placed_on
    if state.device not in (None, device) or any(v.placed_on is not device or not v.spec.size for v in values):
        return None
    symbols = [Symbol(v.spec) for v in values]
    try:
        with Recording() as recording:
            result = vjp.rule(*symbols)
    except Exception:       # a rule may look at values; run as written, it works or raises its own error
        return None
    if not isinstance(result, Symbol) or len(recording.nodes) < 2:
        return None
    expression = fuse(recording.nodes, symbols, [result])
    if expression is None or not result.spec.size:
        return None
    ins, outs = tuple(v.spec for v in values), (result.spec,)
    if broadcast_many(name, [s.shape for s in ins]) != result.spec.shape:
        return None

    def run(inputs: tuple) -> Any:          # bound when it is first wanted: not at all where ops wait
        if not bound:
            bound.append(bind_expression(_Fused(f"gradient of {name}"), expression, ins, outs, device))
        return bound[0](inputs)
    bound: list = []
    vjp.waits = all(known(n.op, input_specs(n.op, n.inputs), n.outputs[0].spec, n.attrs) for n in recording.nodes)
    return run
