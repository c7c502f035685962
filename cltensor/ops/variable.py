"""Variable: mutable state. It holds one immutable Tensor at a time; assigning puts another in its place.

So a value once read stays what it was, whatever is assigned later, and the old buffer returns to the
pool as soon as nobody holds it. `host=True` keeps the value in host memory: counters and metric state
cost no launch and no sync, and float64 works on devices without it.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from cltensor.base.dtypes import DType, as_dtype
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core import dispatch, scope
from cltensor.core.dispatch import current_device, eagerly, state
from cltensor.core.spec import Spec, sig_of
from cltensor.core.tensor import Tensor, convert, from_numpy, static_value, to_array
from cltensor.core.trackable import Leaf
from cltensor.interpret.eager import copy_to
from cltensor.ops import math
from cltensor.ops.array import stop_gradient

__all__ = ["Variable", "as_if", "assign", "assign_add", "assign_sub"]

_order = itertools.count().__next__


class Variable(Leaf):
    """A value that can be assigned, watched by every GradientTape that sees it read.

    Args:
        initial_value: number, list, ndarray, Tensor, or a function that returns one; its shape stays.
        trainable: whether tapes watch it by themselves and optimizers may update it.
        name: shown when printed; need not be unique.
        dtype: dtype of the value.
        host: keep the value in host memory.

    Raises: DTypeError, InvalidArgumentError as `constant` does.

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable([1., 2.], name="w")
        >>> _ = w.assign_add([1., 1.])
        >>> w
        <tf.Variable 'w:0' shape=(2,) dtype=float32, numpy=array([2., 3.], dtype=float32)>
    """

    __array_priority__ = 100

    def __init__(self, initial_value: Any = None, trainable: bool = True, collections: Any = None,
                 validate_shape: bool = True, caching_device: Any = None, name: str | None = None,
                 dtype: Any = None, constraint: Any = None, use_resource: bool | None = None,
                 host: bool = False):
        if initial_value is None:
            raise InvalidArgumentError("Variable: initial_value is missing; give a number, an array, a tensor or a "
                                       "function that returns one")
        if callable(initial_value):
            with eagerly():         # made once, even where the call that makes it is being recorded
                value = initial_value()
        else:
            value = initial_value
        want = None if dtype is None else as_dtype(dtype)
        t = convert(value, want, op="Variable")
        computed = None
        if not t.sig.device:
            computed, t = t, self._until_computed(t)
        device = t.placed_on if host else state.device or (t.placed_on if t.host is None else current_device())
        self._host = host
        self._value = self._relabel(t, device)
        self._trainable, self._name, self.order = trainable, scope.full_name(name or "Variable"), _order()
        self.constraint = constraint
        self.collections = collections
        self.graph: Any = None          # the graph it waits in for its first value
        if state.interpreter is not None:
            state.interpreter.made(self)
            if computed is not None:
                state.interpreter.starts_from(self, computed)

    @staticmethod
    def _until_computed(t: Tensor) -> Tensor:
        """What to hold until a run computes the first value; only the initializer of a graph can."""
        if not getattr(state.interpreter, "symbolic", False):
            raise InvalidArgumentError("Variable: initial_value has no value yet, as ops are being recorded here; give "
                                       "a function that returns it, or make the variable outside")
        shape = t.spec.shape
        if shape is None or None in shape:
            raise InvalidArgumentError(f"Variable: initial_value must have a shape that is fully known, it is {t}")
        with eagerly():
            return from_numpy(np.zeros(shape, t.dtype.np), keep=True)

    def _relabel(self, t: Tensor, device: Any) -> Tensor:
        """The value as a tensor of its own: assigning has no gradient, so no tape may follow it here."""
        sig = sig_of(t.spec, device)
        if self._host or not t.spec.size:
            return Tensor(sig, None, to_array(t))
        block = copy_to(t, device).buffer
        return Tensor(sig, block, t.host)

    # -- what it is
    @property
    def name(self) -> str:
        return f"{self._name}:0"

    @property
    def shape(self) -> TensorShape:
        return self._value.shape

    def get_shape(self) -> TensorShape:
        """The shape, as TensorFlow 1.x spells it."""
        return self._value.shape

    @property
    def spec(self) -> Spec:
        return self._value.spec

    @property
    def dtype(self) -> DType:
        return self._value.dtype

    @property
    def ndim(self) -> int:
        return self._value.ndim

    @property
    def device(self) -> str:
        return self._value.device

    @property
    def placed_on(self) -> Any:
        return self._value.placed_on

    @property
    def trainable(self) -> bool:
        return self._trainable

    @property
    def initialized(self) -> bool:
        return True

    # -- reading
    def as_tensor(self) -> Tensor:
        """The value now; tapes are told that it was read."""
        here = state.here
        value = self._value if here.interpreter is None else here.interpreter.read(self, self._value)
        for recorder in here.recorders:
            recorder.read(self, value)
        return value

    @property
    def on_host(self) -> bool:
        """Whether the value is kept in host memory."""
        return self._host

    def exchange(self, t: Tensor) -> Tensor:
        """Put a tensor of the variable's signature in place, unchecked; returns the one it held."""
        old, self._value = self._value, t
        return old

    @property
    def held(self) -> Tensor:
        """The tensor it holds, whatever is being recorded."""
        return self._value

    def current(self) -> Tensor:
        """The value now, without telling the tapes."""
        interpreter = state.interpreter
        return self._value if interpreter is None else interpreter.read(self, self._value)

    def read_value(self) -> Tensor:
        """The value now, as a tensor that later assignments leave alone."""
        return self.as_tensor()

    value = read_value

    def initialized_value(self) -> Tensor:
        """The value; in a graph the first one, which other first values may be made of."""
        first = getattr(state.interpreter, "first", {}).get(id(self))
        return self.as_tensor() if first is None else first

    @property
    def initial_value(self) -> Tensor:
        """The first value, in a graph."""
        return self.initialized_value()

    @property
    def initializer(self) -> Any:
        """The operation of a graph that gives the first value; None eagerly."""
        initialize = getattr(state.interpreter, "initialize", None)
        return None if initialize is None else initialize(self)

    @property
    def op(self) -> Any:
        """The operation of a graph that is called as the variable is."""
        graph = self.current().graph    # type: ignore[attr-defined]
        return graph.operation_of(self)

    def eval(self, session: Any = None) -> Any:
        """The value, computed by a session (the default one)."""
        return self.current().eval(session=session)         # type: ignore[attr-defined]

    def numpy(self) -> np.ndarray:
        """The value as a NumPy array."""
        return self._value.numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._value.__array__(dtype, copy)

    # -- writing
    def assign(self, value: Any, use_locking: bool | None = None, name: str | None = None,
               read_value: bool = True) -> Any:
        """Put a value of the variable's shape and dtype in its place.

        Returns: the variable.
        Raises: InvalidArgumentError for another shape, DTypeError for another dtype; nothing is written.
        """
        t = convert(value, None if isinstance(value, Tensor) else self.dtype, self.placed_on, "assign")
        return self._put(t, "assign")

    def assign_add(self, delta: Any, use_locking: bool | None = None, name: str | None = None,
                   read_value: bool = True) -> Any:
        """Add delta in place. Returns: the variable."""
        return self._update(math.add, np.add, delta, "assign_add")

    def assign_sub(self, delta: Any, use_locking: bool | None = None, name: str | None = None,
                   read_value: bool = True) -> Any:
        """Subtract delta in place. Returns: the variable."""
        return self._update(math.subtract, np.subtract, delta, "assign_sub")

    def _update(self, op: Any, on_host: Any, delta: Any, what: str) -> Any:
        here = state.here
        recorders, here.recorders = here.recorders, []       # assigning has no gradient
        scope = here.device
        try:
            if here.interpreter is not None and self._host:
                done = here.interpreter.effect(lambda: self._update(op, on_host, delta, what), (self,))
                return done if here.interpreter.symbolic else self
            if self._host:
                array = static_value(convert(delta, self.dtype, op=what) if not isinstance(delta, Tensor) else delta)
                with np.errstate(over="ignore"):
                    return self._put_array(on_host(to_array(self._value), array), what)
            mine = self._value.sig
            if type(delta) is not Tensor or delta.sig.device is not mine.device or scope not in (None, mine.device):
                state.device = mine.device
            t = op(self._value if here.interpreter is None else self.current(), delta)
            if here.interpreter is None and t.sig is mine and t.pending is not None:
                self._value = t         # nobody else has it, and no tape saw it
                return self
            return self._put(t, what)
        finally:
            here.recorders = recorders
            if here.device is not scope:
                state.device = scope

    def _put(self, t: Tensor, what: str) -> Any:
        mine = self._value.sig
        if state.interpreter is not None:
            return self._put_later(t, what)
        if t.sig is mine and not self._host and t.spec.size:
            # the usual case: same spec, same device
            self._value = Tensor(mine, t.buffer, t.host) if t.pending is None else stop_gradient(t)
            return self
        self.check_fits(t, what)
        self._value = self._relabel(t, mine.device)
        return self

    def _put_later(self, t: Tensor, what: str) -> Any:
        """Recorded: a value of its own again, as no gradient passes through an assignment."""
        self.check_fits(t, what)
        done = state.interpreter.assign(self, stop_gradient(t) if t.sig.device is None else t)
        return self if done is None else done

    def check_fits(self, t: Tensor, what: str) -> None:
        """Raise what assigning this value would: DTypeError, InvalidArgumentError for another shape."""
        if t.dtype is not self.dtype:
            raise DTypeError(f"{what}: the value has dtype {t.dtype.name}, the variable {self.name} has "
                             f"{self.dtype.name}; use cast")
        if not t.shape.is_compatible_with(self._value.spec.shape):
            raise InvalidArgumentError(f"{what}: the value has shape {show(t.spec.shape)}, the variable {self.name} "
                                       f"has {show(self._value.spec.shape)}")

    def _put_array(self, array: np.ndarray, what: str) -> Variable:
        spec = self._value.spec
        if array.shape != spec.shape:
            raise InvalidArgumentError(f"{what}: the value has shape {show(array.shape)}, the variable {self.name} has "
                                       f"{show(spec.shape)}")
        fixed = np.array(array, spec.dtype.np)
        fixed.flags.writeable = False
        self._value = Tensor(self._value.sig, None, fixed)
        return self

    def _restore_value(self, value: np.ndarray) -> None:
        with eagerly():
            if self._host:
                self._put_array(value, "restore")
            else:
                self._put(convert(value, self.dtype, self.placed_on, "restore"), "restore")
        if self.graph is not None:
            self.graph.restored(self)

    def load(self, value: Any, session: Any = None) -> None:
        """Assign a NumPy value, at once in a graph, too."""
        self._restore_value(to_array(convert(value, self.dtype, op="load")))

    def __deepcopy__(self, memo: dict) -> Variable:
        with dispatch.device_scope(self.placed_on), scope.at(""):
            return type(self)(to_array(self._value), self._trainable, name=self._name, host=self._host)

    def __copy__(self) -> Variable:
        return self.__deepcopy__({})

    # -- as a Python value and as text
    def __bool__(self) -> bool:
        return bool(self.as_tensor())

    def __int__(self) -> int:
        return int(self._value)

    def __float__(self) -> float:
        return float(self._value)

    def __index__(self) -> int:
        return self._value.__index__()

    def __len__(self) -> int:
        return len(self._value)

    def __format__(self, spec: str) -> str:
        return format(self._value, spec) if spec else str(self)

    def __repr__(self) -> str:
        value = self._value.numpy()
        text = repr(value.item()) if value.ndim == 0 else repr(value)
        return (f"<tf.Variable '{self.name}' shape={show(self._value.spec.shape)} dtype={self.dtype.name}, "
                f"numpy={text}>")

    __str__ = __repr__
    __hash__ = object.__hash__


class as_if:
    """Context manager: inside, host variables are as these changes would make them, pairs of a call and what it writes.

    A replay makes its changes when all has worked; a learning rate looked up for the third of three steps in one
    call must see the global step of the third.
    """

    def __init__(self, changes: Any):
        self._changes = tuple(changes)

    def __enter__(self) -> None:
        self._held = [(v, v.held) for _, written in self._changes for v in written]
        try:
            for call, _ in self._changes:
                call()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exc: Any) -> None:
        for variable, value in reversed(self._held):
            variable._value = value


dispatch.install_reader(Variable)


def assign(ref: Variable, value: Any, validate_shape: bool = True, use_locking: bool | None = None,
           name: str | None = None) -> Variable:
    """`ref.assign(value)`."""
    return ref.assign(value)


def assign_add(ref: Variable, value: Any, use_locking: bool | None = None, name: str | None = None) -> Variable:
    """`ref.assign_add(value)`."""
    return ref.assign_add(value)


def assign_sub(ref: Variable, value: Any, use_locking: bool | None = None, name: str | None = None) -> Variable:
    """`ref.assign_sub(value)`."""
    return ref.assign_sub(value)
