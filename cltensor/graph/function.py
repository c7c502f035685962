"""defun: a Python function traced once per signature and replayed as one compiled plan.

    step = tf.contrib.eager.defun(train_step)
    for x, y in dataset:
        loss = step(x, y)

A signature is the structure of the arguments, shapes and dtypes of tensors, the values of everything else,
and the device scope. Variables are read at each call and written at its end; a tape and an optimizer inside
are part of the trace, so a whole training step becomes one plan.

A call seen by a tape outside runs a trace of the function and its backward pass that is cut in two (halves.py): the
call, and its gradient. Where it cannot be cut, or the gradient is itself recorded, the gradient is a traced function of
its own, which computes the forward pass again with the random draws of the call; so it has a gradient, too: any order
follows.
"""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from cltensor.autodiff.tape import GradientTape
from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError, PerformanceWarning
from cltensor.core.dispatch import quietly, state
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.late import Draws, Source, collecting
from cltensor.core.tensor import Tensor, convert
from cltensor.graph.body import repeatable, without_effects
from cltensor.graph.call_record import CallRecord
from cltensor.graph.halves import Halves, cut
from cltensor.graph.program import Program
from cltensor.graph.replay import Replay, prepare
from cltensor.graph.tensor_spec import as_tensor_spec
from cltensor.interpret.record import Recording, Symbol
from cltensor.ops.variable import Variable

__all__ = ["defun", "Function", "MANY", "result_leaves"]

MANY = 8            # traces after which a warning says what keeps changing


class _Traced:
    """One trace: what to run, and how to put results back into the structure the function returned."""

    __slots__ = ("program", "device", "result", "kinds", "variables", "draws", "repeatable", "describe", "gradient",
                 "_replay", "_halves", "_lock")

    def __init__(self, program: Program, device: Any, result: Any, kinds: list, draws: list[Source], describe: str):
        self.program, self.device, self.result, self.kinds = program, device, result, kinds
        self.variables = [s.variable for s in program.states]
        self.draws, self.repeatable, self.describe = draws, repeatable(list(program.nodes)), describe
        self.gradient: Function | None = None
        self._replay: Replay | None = None
        self._halves: Halves | None | bool = False
        self._lock = threading.RLock()

    @property
    def floating(self) -> list[Variable]:
        """The variables that may have a gradient."""
        return [v for v in self.variables if v.dtype.is_floating]

    @property
    def replay(self) -> Replay:
        """The compiled call; a function that is only called under tapes needs none."""
        with self._lock:
            if self._replay is None:
                self._replay = prepare(self.program, self.device)
            return self._replay

    def halves(self, call: Callable, tensors: list) -> Halves | None:
        """Call and gradient as two replays; None where they cannot be."""
        with self._lock:
            if self._halves is False:
                self._halves = cut(call, tensors, self.variables, self.device)
            return self._halves         # type: ignore[return-value]


class Function:
    """A traced function; made by `defun`.

    Attributes: `python_function`; `input_signature`, None unless given; `traces`, the number of signatures seen.
    """

    def __init__(self, python_function: Callable, name: str | None = None, input_signature: Any = None):
        functools.update_wrapper(self, python_function)
        self.python_function, self.input_signature = python_function, input_signature
        self._name = str(name or getattr(python_function, "__name__", "function"))
        self._traced: dict[tuple, _Traced] = {}
        self._lock = threading.RLock()
        self._warned = False

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: one Function per instance, kept on it."""
        if instance is None:
            return self
        name = f"_defun_{self._name}"
        bound = instance.__dict__.get(name)
        if bound is None:
            bound = Function(self.python_function.__get__(instance, owner), self._name, self.input_signature)
            instance.__dict__[name] = bound
        return bound

    @property
    def name(self) -> str:
        """The name of the function, for errors."""
        return self._name

    @property
    def traces(self) -> int:
        """Number of signatures traced so far."""
        return len(self._traced)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(args, kwargs)

    def call(self, args: tuple, kwargs: dict, again: Draws | None = None) -> Any:
        """Call it with these arguments; with `again`, its random draws are those of another call."""
        if state.interpreter is not None:           # inside another trace it is part of that one
            with nullcontext() if again is None else again.fixed():
                return self.python_function(*args, **kwargs)
        flat, tensors, key = self._signature(args, kwargs)
        traced = self._traced.get(key)
        if traced is None:
            with self._lock:
                traced = self._traced.get(key)
                if traced is None:
                    traced = self._traced[key] = self._trace(args, kwargs, flat, tensors)
                    self._watch_retracing()
        if state.recorders and not traced.repeatable:       # its gradient must not call Python functions again
            return self.python_function(*args, **kwargs)
        return self._run(traced, tensors, flat, args, kwargs, again)

    # -- signatures
    def _signature(self, args: tuple, kwargs: dict) -> tuple[list, list, tuple]:
        simple = not kwargs and all([type(x) in _LEAVES for x in args])     # the usual call, without looking inside
        flat = list(args) if simple else nest.flatten((args, dict(kwargs)))
        tensors, key = [], [state.device, len(args), tuple(sorted(kwargs))]
        for i, x in enumerate(flat):
            if isinstance(x, np.ndarray):
                x = flat[i] = convert(x, op=self._name)
            if isinstance(x, Tensor):
                tensors.append(x)
                key.append(x.sig)
            elif isinstance(x, (bool, int, float, str, bytes, type(None))):
                key.append((type(x), repr(x)))          # 0.0 is not -0.0, and nan is nan
            else:
                key.append(_Same(x))
        if not simple:
            key.append(_structure((args, kwargs)))
        return flat, tensors, tuple(key)

    def _watch_retracing(self) -> None:
        if len(self._traced) >= MANY and not self._warned:
            self._warned = True
            signatures = [t.describe for t in self._traced.values()][-3:]
            warnings.warn(f"defun: {self._name} was traced {len(self._traced)} times; its arguments keep changing "
                          f"shape, dtype or Python value: {'; '.join(signatures)}. Pass numbers that change as "
                          "tensors, and batches of one size", PerformanceWarning, stacklevel=4)

    # -- tracing
    def _called_with(self, tensors: list, flat: list, args: tuple, kwargs: dict) -> Any:
        """What the Python function returns for these tensors in place of those it was called with."""
        given = iter(tensors)
        leaves = [next(given) if isinstance(x, Tensor) else x for x in flat]
        new_args, new_kwargs = nest.pack_sequence_as((args, dict(kwargs)), leaves)
        return self.python_function(*new_args, **new_kwargs)

    def _trace(self, args: tuple, kwargs: dict, flat: list, tensors: list) -> _Traced:
        with quietly(), Recording() as recording, collecting() as draws:
            symbols = [Symbol(t.spec) for t in tensors]
            result = self._called_with(symbols, flat, args, kwargs)
            leaves = result_leaves(result)
        kinds = [isinstance(leaf, Tensor) for leaf in leaves]
        fetches = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        states = tuple(recording.variables.values())
        written = [s.now for s in states if s.written]
        program = Program(tuple(recording.nodes), tuple(symbols) + tuple(s.start for s in states),
                          tuple(fetches) + tuple(written), states)
        described = ", ".join(f"{t.spec.shape} {t.dtype.name}" for t in tensors) + "".join(
            f", {x!r:.20}" for x in flat if not isinstance(x, Tensor))
        return _Traced(program, _device(tensors, states), result, kinds, draws, f"({described})")

    # -- running
    def _run(self, traced: _Traced, tensors: list, flat: list, args: tuple, kwargs: dict, again: Draws | None) -> Any:
        if state.recorders:
            out = self._run_watched(traced, tensors, flat, args, kwargs, again)
        else:
            with nullcontext() if again is None else Draws().during(traced.draws, again):
                out = traced.replay(tensors)
        if not nest.is_sequence(traced.result):
            return out[0] if traced.kinds[0] else traced.result
        given = iter(out)
        leaves = [next(given) if kind else leaf for kind, leaf in zip(traced.kinds, nest.flatten(traced.result))]
        return nest.pack_sequence_as(traced.result, leaves) if leaves else traced.result

    def _run_watched(self, traced: _Traced, tensors: list, flat: list, args: tuple, kwargs: dict,
                     again: Draws | None) -> list:
        """Run it and tell the recorders; for a tape that will want the gradient, by the forward half."""
        watched = state.recorders
        values = [v.current() for v in traced.variables]
        for variable, value in zip(traced.variables, values):
            for recorder in watched:
                recorder.read(variable, value)
        uids = [t.uid for t in tensors + values]
        halves = None
        if any([isinstance(r, GradientTape) and r.tracks(uids) for r in watched]):
            def call(symbols: list) -> list:
                leaves = result_leaves(self._called_with(symbols, flat, args, kwargs))
                return [leaf for leaf in leaves if isinstance(leaf, Tensor)]
            halves = traced.halves(call, tensors)
        draws = Draws() if traced.draws else None
        with nullcontext() if draws is None else draws.during(halves.draws if halves else traced.draws, again):
            out = (halves.forward if halves else traced.replay)(tensors)
        record = CallRecord(self, traced, tensors, values, out, draws, flat, args, kwargs, halves)
        for recorder in watched:
            recorder.record_custom(record)
        return out

    def backward(self, traced: _Traced, flat: list, args: tuple, kwargs: dict) -> Function:
        """The traced function from (inputs, values the variables had, upstream gradients) to all gradients."""
        if traced.gradient is not None:
            return traced.gradient
        floating = traced.floating

        def gradients(inputs: list, values: list, upstream: list) -> list:
            interpreter = state.interpreter
            for v, value in zip(traced.variables, values):      # what they were at the call, whatever they are now
                interpreter.assign(v, value)
            with GradientTape() as tape:
                tape.watch([x for x in inputs if x.dtype.is_floating] + floating)
                result = self._called_with(inputs, flat, args, kwargs)
            for v in traced.variables:      # the gradient must not assign what the call has assigned
                interpreter.variables[id(v)].written = False
            interpreter.nodes[:] = without_effects(interpreter.nodes)
            results = [r for r in nest.flatten(result) if isinstance(r, Tensor)]
            pairs = [(r, g) for r, g in zip(results, upstream) if r.dtype.is_floating]
            return tape.gradient([r for r, _ in pairs], list(inputs) + floating,
                                 output_gradients=[g for _, g in pairs])

        traced.gradient = Function(gradients, f"gradient of {self._name}")
        return traced.gradient

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> Replay:
        """The compiled replay for arguments like these, tracing if need be.

        Its `graph` is what was recorded (`inputs`, `outputs`, `get_operations()`, text), its `program` prints the
        optimised nodes.
        """
        flat, tensors, key = self._signature(args, kwargs)
        with self._lock:
            if key not in self._traced:
                self._traced[key] = self._trace(args, kwargs, flat, tensors)
        return self._traced[key].replay

    def to_dot(self, *args: Any, **kwargs: Any) -> str:
        """A picture for Graphviz of the optimised program for arguments like these; see graph/dot.py."""
        return self.get_concrete_function(*args, **kwargs).program.to_dot(self._name)


def result_leaves(result: Any) -> list:
    """Leaves of what a function returned while it was recorded; variables and sparse gradients as tensors."""
    out = []
    for leaf in nest.flatten(result):
        if isinstance(leaf, Variable):
            leaf = leaf.current()
        out.append(leaf.as_tensor() if isinstance(leaf, IndexedSlices) else leaf)
    return out


class _Same:
    """An object in a key: equal only to itself, and kept alive so that its identity is not used again."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


_LEAVES = frozenset((Tensor, np.ndarray, bool, int, float, str, bytes, type(None)))


def _structure(value: Any) -> Any:
    if isinstance(value, dict):
        return ("dict", tuple((k, _structure(value[k])) for k in sorted(value, key=repr)))
    if isinstance(value, (list, tuple)):
        return (type(value), tuple(_structure(v) for v in value))
    return None


def _device(tensors: list, states: tuple) -> Any:
    if state.device is not None:
        return state.device
    for t in tensors:
        if t.host is None:
            return t.placed_on
    return states[0].variable.placed_on if states else tensors[0].placed_on if tensors else None


def defun(func: Callable | None = None, input_signature: Any = None, autograph: Any = None,
          compiled: bool | None = None, name: str | None = None) -> Any:
    """Trace a function once per signature and replay it as one compiled plan.

    Args:
        func: takes and returns nests of tensors and Python values. It runs only while it is traced, so
            Python side effects (print, list.append) happen then; Python `if` and `while` may depend on Python
            values and shapes, not on tensors.
        input_signature: list of TensorSpecs, or (shape, dtype) pairs, that the tensor arguments must have.

    Returns: a Function, called like `func`.
    Raises: InvalidArgumentError for arguments that do not fit the input signature; TypeError when the
        function asks a tensor for its value while it is traced.

    Example:
        >>> import cltensor as tf
        >>> @tf.contrib.eager.defun
        ... def norm(x):
        ...     return tf.sqrt(tf.reduce_sum(x * x))
        >>> norm(tf.constant([3., 4.])).numpy()
        np.float32(5.0)
    """
    if func is None:
        return lambda f: defun(f, input_signature, autograph, compiled, name)
    if not callable(func):
        raise InvalidArgumentError(f"defun: a function is wanted, {func!r:.60} is a {type(func).__name__}")
    if isinstance(func, Function):
        return func
    return Function(func if input_signature is None else _checked(func, input_signature), name, input_signature)


def _checked(func: Callable, signature: Any) -> Callable:
    wanted = [as_tensor_spec(s, "defun") for s in signature]

    @functools.wraps(func)
    def checked(*args: Any) -> Any:
        if len(args) != len(wanted):
            raise InvalidArgumentError(f"defun: the input signature has {len(wanted)} tensors, {len(args)} arguments "
                                       "are given")
        fitted = [x if isinstance(x, Tensor) else convert(x, s.dtype, op="defun") for x, s in zip(args, wanted)]
        for i, (x, s) in enumerate(zip(fitted, wanted)):
            if not s.is_compatible_with(x):
                raise InvalidArgumentError(f"defun: argument {i} must have shape {s.shape} and dtype {s.dtype.name}, "
                                           f"it has {x.shape} and {x.dtype.name}")
        return func(*fitted)
    checked.__signature__ = inspect.signature(func)          # type: ignore[attr-defined]
    return checked


