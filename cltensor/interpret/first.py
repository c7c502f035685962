"""First sight: an expression whose kernel is not built yet runs through the interpreter kernel.

A process that meets fifteen ops would wait for fifteen compilations (0.08 to 0.25 s each) before its first second of
work. The interpreter is compiled once, and has the same bits; it loses a little on every run. When a row has lost a
fifth of what a build costs, its kernel is built beside the program and takes over.
"""

from __future__ import annotations

from math import prod
from typing import Any

from cltensor.base import config
from cltensor.base.shapes import broadcast_many
from cltensor.interpret import builder
from cltensor.interpret.runner import Run, bind_plan
from cltensor.kernels import build
from cltensor.kernels.block import Block, Leaf, Step
from cltensor.kernels.expression import Expression, lower_expression
from cltensor.kernels.vm import lower_interpreted
from cltensor.kernels.vm_code import uneven

__all__ = ["bind_expression", "PER_RUN", "PER_ELEMENT"]

# Seconds the interpreter loses on a lone op, by measurement; where an operand is walked in another order than the
# result, it goes element by element.
PER_RUN, PER_ELEMENT, PER_WALKED = 1e-6, 6e-11, 1.6e-9
# What may be lost before a build begins, as a share of what the build costs: it runs beside the program, not in its
# way, so less than all of it. Seconds of processor time from empty caches, median (Intel's runtime, 2 cores):
#     share                                    0.05   0.2   0.5   1
#     12 rows of 1 M elements, 200 times        1.9   1.5   1.5   1.6
#     200 steps of a perceptron, immediate      4.0   3.7     -   3.8
#     200 steps of a perceptron, deferred       3.7   3.6     -   3.7
# Too early loses builds that never pay; from 0.2 on nothing changes but how long a steady program waits for them.
SHARE = 0.2


def bind_expression(op: Any, expression: Expression, ins: tuple, outs: tuple, device: Any) -> Run:
    """What runs an expression on inputs of these specs: its own kernel if that is built, else the interpreter.

    Its own always where launches are traced (CLTENSOR_DEBUG=2): they are named after their kernels.
    """
    plan = lower_expression(expression, ins, outs, device.traits)
    if not config.debug(2) and not all(build.known(device, one.template, one.params) for one in plan.launches):
        at_once = lower_interpreted(_block(op.name, expression, ins), device.traits)
        if at_once is not None:
            return _First(op, at_once, plan, device, ins, outs).run
    return bind_plan(op, plan, device, ins, outs)


def _block(name: str, expression: Expression, ins: tuple) -> Block:
    values: list[Any] = [Leaf(s.shape, dtype, slot) for s, (dtype, slot) in zip(ins, expression.inputs)]
    for s in expression.statements:
        shape: Any = broadcast_many(name, [values[v].shape for v in s.operands])
        values.append(Step(s.text, "", s.operands, shape, s.dtype))
    n = len(ins)
    return Block(tuple(values[:n]), tuple(values[n:]), expression.outputs)


class _First:
    """An expression that is interpreted for now; `now` is what runs it."""

    __slots__ = ("now", "left")
    now: Run

    def __init__(self, op: Any, at_once: Any, plan: Any, device: Any, ins: tuple, outs: tuple):
        interpreted = bind_plan(op, at_once, device, ins, outs)
        self.left = SHARE * builder.build_seconds()
        size = max(s.size for s in outs)
        shape = max((s.shape for s in outs), key=prod)
        walked = sum(uneven(s.shape, shape) for s in ins if s.size not in (1, size))
        loss = PER_RUN + (PER_ELEMENT + PER_WALKED * walked) * size

        def take_over() -> None:
            builder.rehearse(op, plan, device, ins, outs)
            self.now = bind_plan(op, plan, device, ins, outs)

        def counted(inputs: tuple) -> Any:
            self.left -= loss
            if self.left < 0:
                self.now = interpreted
                builder.later(take_over, op.name)
            return interpreted(inputs)
        self.now = counted

    def run(self, inputs: tuple) -> Any:
        """The result."""
        return self.now(inputs)
