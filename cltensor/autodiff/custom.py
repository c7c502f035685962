"""custom_gradient: a function that brings its own gradient.

The ops inside are recorded like any others. The outputs are then re-labelled, as fresh tensors whose
record is the custom one: so the first order never looks inside, and the second goes through `grad_fn`,
which is recorded itself and may use intermediates of the forward pass.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from cltensor.autodiff.backprop import Record
from cltensor.base import nest
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.core.dispatch import state
from cltensor.core.op import OpDef
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.array import stop_gradient
from cltensor.ops.variable import Variable

__all__ = ["custom_gradient"]


class _Reads:
    """A recorder that only notes which variables are read, and the values they had."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[Variable, Tensor]] = {}

    def record(self, op: OpDef, attrs: tuple, inputs: tuple, out: Any) -> None:
        """Ops are none of its business."""

    def waits(self, entry: tuple) -> None:
        """Nor are those that wait."""

    def record_custom(self, record: Record) -> None:
        """Nor are custom gradients inside."""

    def read(self, variable: Variable, value: Tensor) -> None:
        if variable.trainable:
            self.found.setdefault(id(variable), (variable, value))


class CustomRecord(Record):
    """The record of one call of a function with its own gradient."""

    __slots__ = ("grad_fn", "count", "variables")

    def __init__(self, name: str, inputs: list, outs: list, grad_fn: Callable, reads: list):
        self.name, self.grad_fn, self.count = name, grad_fn, len(inputs)
        self.variables = [v for v, _ in reads]
        values = [t for _, t in reads]
        self.in_uids = tuple(t.uid for t in inputs + values)
        self.in_specs = tuple(t.spec for t in inputs + values)
        self.out_uids = tuple(t.uid for t in outs)
        self.out_specs = tuple(t.spec for t in outs)

    def backward(self, gradients: tuple, wanted: tuple) -> list:
        if self.variables:
            answer, by_variable = self.grad_fn(*gradients, variables=self.variables)
            if len(by_variable) != len(self.variables):
                raise InvalidArgumentError(f"custom_gradient: {self.name} read {len(self.variables)} variables, its "
                                           f"grad_fn returned {len(by_variable)} gradients for them")
        else:
            answer, by_variable = self.grad_fn(*gradients), []
        flat = list(answer) if isinstance(answer, (list, tuple)) else [answer]
        if len(flat) != self.count:
            raise InvalidArgumentError(f"custom_gradient: {self.name} has {self.count} inputs, its grad_fn returned "
                                       f"{len(flat)} gradients")
        return [None if g is None else g if not isinstance(g, (int, float)) else float(g)
                for g in flat + list(by_variable)]


def custom_gradient(f: Callable) -> Callable:
    """Decorator for a function that returns `(result, grad_fn)`.

    `grad_fn` takes one upstream gradient per result (zeros for a result nobody used) and returns one
    gradient per input, or a list of them; None means no gradient. If f reads trainable variables, grad_fn
    must take `variables=` and return (input gradients, variable gradients).

    Args:
        f: takes tensors (Python and NumPy values are converted) and keyword arguments, which stay as they are.

    Raises: TypeError when variables are read and grad_fn has no `variables` parameter; what grad_fn raises
        comes out unchanged.

    Example:
        >>> import cltensor as tf
        >>> @tf.custom_gradient
        ... def twice(x):
        ...     return x * 2., lambda dy: dy * 100.
        >>> tf.contrib.eager.gradients_function(twice)(1.)[0].numpy()
        np.float32(100.0)
    """
    @functools.wraps(f)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        tensors = [a.as_tensor() if isinstance(a, Variable) else convert(a, op=name) for a in args]
        reads = _Reads()
        state.recorders.append(reads)
        try:
            answer = f(*tensors, **kwargs)
        finally:
            state.recorders.remove(reads)
        if not isinstance(answer, tuple) or len(answer) != 2 or not callable(answer[1]):
            raise InvalidArgumentError(f"custom_gradient: {name} must return (result, grad_fn), it returned a "
                                       f"{type(answer).__name__}")
        result, grad_fn = answer
        inputs = {t.uid for t in tensors}
        found = [(v, t) for v, t in reads.found.values() if t.uid not in inputs]
        if found and not _takes_variables(grad_fn):
            raise DTypeError(f"custom_gradient: {name} reads {len(found)} variables ({found[0][0].name}, ...), so its "
                             "grad_fn must take `variables=` and return (input gradients, variable gradients)")
        flat = [convert(r, op=name) for r in nest.flatten(result)]
        # while ops are recorded or wait, a fresh result without a gradient of its own
        outs = [stop_gradient(t) if t.sig.device is None or t.pending is not None else
                Tensor(t.sig, t.buffer, t.host) for t in flat]
        record = CustomRecord(name, tensors, outs, grad_fn, found)
        for recorder in state.recorders:
            recorder.record_custom(record)
        if state.interpreter is not None:
            state.interpreter.record_custom(record)
        return nest.pack_sequence_as(result, outs)

    name = getattr(f, "__name__", "function")
    return decorated


def _takes_variables(grad_fn: Callable) -> bool:
    parameters = inspect.signature(grad_fn).parameters.values()
    return any(p.name == "variables" or p.kind is p.VAR_KEYWORD for p in parameters)
