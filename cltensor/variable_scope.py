"""tf.variable_scope and tf.get_variable: variables found again by name.

    with tf.variable_scope("layer", reuse=tf.AUTO_REUSE):
        w = tf.get_variable("w", [3, 2])            # "layer/w:0", the same variable each time

A graph has one store of such variables. Eagerly objects own their variables, so there is none, unless an
EagerVariableStore is made the default one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from cltensor import initializers
from cltensor.base.dtypes import as_dtype, float32
from cltensor.base.errors import DTypeError, FailedPreconditionError, InvalidArgumentError, UnimplementedError
from cltensor.base.shapes import TensorShape, show
from cltensor.core import scope as names
from cltensor.core.dispatch import state
from cltensor.core.tensor import Tensor
from cltensor.graph.collections import GraphKeys, add_to_collection, get_collection
from cltensor.graph.names import name_scope
from cltensor.ops.variable import Variable

__all__ = ["AUTO_REUSE", "VariableScope", "EagerVariableStore", "variable_scope", "get_variable",
           "get_variable_scope", "variable_op_scope", "no_regularizer"]


class _AutoReuse:
    def __repr__(self) -> str:
        return "tf.AUTO_REUSE"


AUTO_REUSE: Any = _AutoReuse()


def no_regularizer(value: Any) -> None:
    """A regularizer that says: none here, whatever the scope has."""


class _Store:
    """Variables by full name, the names of scopes that were opened, and in a graph the scopes that are open."""

    def __init__(self) -> None:
        self.variables: dict[str, Variable] = {}
        self.opened: set[str] = set()
        self.scopes: list[VariableScope] = []


class _Here(threading.local):
    def __init__(self) -> None:
        self.stores: list[_Store] = []          # eager ones that are in force
        self.scopes: list[VariableScope] = []   # open ones of eager programs


_here = _Here()


def _symbolic() -> bool:
    return getattr(state.interpreter, "symbolic", False)


def _store() -> _Store | None:
    """The store in force, None where variables belong to objects."""
    graph = state.interpreter
    if not _symbolic():
        return _here.stores[-1] if _here.stores else None
    if graph.variable_store is None:
        graph.variable_store = _Store()
    return graph.variable_store


def _open() -> list[VariableScope]:
    store = _store() if _symbolic() else None
    return _here.scopes if store is None else store.scopes


class VariableScope:
    """The defaults that `get_variable` takes from its surroundings.

    Attributes: `name`; `reuse`: False, True, or AUTO_REUSE; `initializer`, `regularizer`, `dtype`, `constraint`,
    `custom_getter`; `original_name_scope`, the prefix ops had when it was opened first.
    """

    def __init__(self, reuse: Any = False, name: str = "", initializer: Any = None, regularizer: Any = None,
                 custom_getter: Callable | None = None, name_scope: str = "", dtype: Any = float32,
                 constraint: Any = None):
        self.reuse, self.name, self.initializer, self.regularizer = reuse, name, initializer, regularizer
        self.custom_getter, self.original_name_scope, self.dtype = custom_getter, name_scope, as_dtype(dtype)
        self.constraint = constraint
        self.use_resource, self.caching_device = True, None

    def reuse_variables(self) -> None:
        """From here on variables must exist."""
        self.reuse = True

    def set_initializer(self, initializer: Any) -> None:
        """The initializer of variables that bring none."""
        self.initializer = initializer

    def set_regularizer(self, regularizer: Any) -> None:
        """The regularizer of variables that bring none."""
        self.regularizer = regularizer

    def set_dtype(self, dtype: Any) -> None:
        """The dtype of variables that bring none."""
        self.dtype = as_dtype(dtype)

    def set_custom_getter(self, custom_getter: Callable | None) -> None:
        """A function called in get_variable's place."""
        self.custom_getter = custom_getter

    def get_collection(self, name: Any) -> list:
        """What a collection has below this scope."""
        return get_collection(name, f"{self.name}/" if self.name else None)

    def global_variables(self) -> list:
        """Global variables below this scope."""
        return self.get_collection(GraphKeys.GLOBAL_VARIABLES)

    def local_variables(self) -> list:
        """Local variables below this scope."""
        return self.get_collection(GraphKeys.LOCAL_VARIABLES)

    def trainable_variables(self) -> list:
        """Trainable variables below this scope."""
        return self.get_collection(GraphKeys.TRAINABLE_VARIABLES)

    def get_variable(self, name: str, *args: Any, **kwargs: Any) -> Variable:
        """`tf.get_variable` in this scope."""
        with _within(self):
            return get_variable(name, *args, **kwargs)

    def _with(self, **changed: Any) -> VariableScope:
        kept = {"reuse": self.reuse, "name": self.name, "initializer": self.initializer,
                "regularizer": self.regularizer, "custom_getter": self.custom_getter,
                "name_scope": self.original_name_scope, "dtype": self.dtype, "constraint": self.constraint}
        return VariableScope(**{**kept, **{k: v for k, v in changed.items() if v is not None}})


def get_variable_scope() -> VariableScope:
    """The innermost scope; one without a name outside of all.

    Example:
        >>> import cltensor as tf
        >>> with tf.variable_scope("a"), tf.variable_scope("b"):
        ...     print(tf.get_variable_scope().name)
        a/b
    """
    scopes = _open()
    if not scopes:
        scopes.append(VariableScope())
    return scopes[-1]


@contextmanager
def _within(scope: VariableScope) -> Iterator[VariableScope]:
    get_variable_scope()            # the outermost stays
    scopes = _open()
    scopes.append(scope)
    try:
        yield scope
    finally:
        scopes.pop()


@contextmanager
def variable_scope(name_or_scope: Any, default_name: str | None = None, values: Any = None, initializer: Any = None,
                   regularizer: Any = None, caching_device: Any = None, partitioner: Any = None,
                   custom_getter: Callable | None = None, reuse: Any = None, dtype: Any = None,
                   use_resource: bool | None = None, constraint: Any = None,
                   auxiliary_name_scope: bool = True) -> Iterator[VariableScope]:
    """Inside, `get_variable` makes and finds variables under this name, with these defaults.

    Args:
        name_or_scope: a name, which is put after the current one, or a VariableScope, which is entered again.
        default_name: used, made unique, where name_or_scope is None.
        reuse: True: variables must exist; AUTO_REUSE: they are made at the first call; None: as outside.
        custom_getter: called as `custom_getter(getter, name, **arguments)` in get_variable's place.

    Yields: the VariableScope. Ops and plain variables get its name as their name scope.
    Raises: InvalidArgumentError (a ValueError) without any name; UnimplementedError for a partitioner.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default():
        ...     with tf.variable_scope("layer") as scope:
        ...         w = tf.get_variable("w", [2])
        ...     with tf.variable_scope(scope, reuse=True):
        ...         print(w.name, tf.get_variable("w", [2]) is w)
        layer/w:0 True
    """
    if partitioner is not None:
        raise UnimplementedError("variable_scope: partitioned variables are not offered; leave partitioner out")
    outer = get_variable_scope()
    again = isinstance(name_or_scope, VariableScope)
    if not again and name_or_scope is None and default_name is None:
        raise InvalidArgumentError("variable_scope: give a name, a scope or a default_name")
    changed = {"initializer": initializer, "regularizer": regularizer, "dtype": dtype, "constraint": constraint}
    if again:
        scope = name_or_scope._with(reuse=reuse or name_or_scope.reuse, **changed,
                                    custom_getter=_chained(custom_getter, name_or_scope.custom_getter))
        prefix = name_or_scope.name.rpartition("/")[2]
    else:
        prefix = _unique(outer.name, default_name) if name_or_scope is None else str(name_or_scope)
        full = f"{outer.name}/{prefix}" if outer.name and prefix else outer.name or prefix
        scope = outer._with(name=full, reuse=reuse or outer.reuse, **changed,
                            custom_getter=_chained(custom_getter, outer.custom_getter))
    store = _store()
    opened_before = set(store.opened) if store is not None else set()
    if store is not None and not again:
        store.opened.add(scope.name)
    with name_scope(prefix) if auxiliary_name_scope and prefix else nullcontext(names.current()) as opened:
        if not again:
            scope.original_name_scope = opened
        try:
            with _within(scope):
                yield scope
        finally:
            if store is not None:       # default names inside start over when the scope is entered again
                below = {name for name in store.opened if scope.name and name.startswith(f"{scope.name}/")}
                store.opened = opened_before if again else store.opened - below


variable_op_scope = variable_scope


def _unique(outer: str, name: Any) -> str:
    """The default name, or name_1, ... where a scope of that name was open before."""
    store = _store()
    if store is None:
        return name
    tried, n = name, 0
    while (f"{outer}/{tried}" if outer else tried) in store.opened:
        n += 1
        tried = f"{name}_{n}"
    return tried


def _chained(inner: Callable | None, outer: Callable | None) -> Callable | None:
    """Getters of nested scopes: the inner one's `getter` is the outer one."""
    if inner is None or outer is None:
        return inner or outer
    return lambda getter, name, *args, **kwargs: inner(
        lambda name, *a, **k: outer(getter, name, *a, **k), name, *args, **kwargs)


def get_variable(name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
                 trainable: bool = True, collections: Any = None, caching_device: Any = None, partitioner: Any = None,
                 validate_shape: bool = True, use_resource: bool | None = None, custom_getter: Callable | None = None,
                 constraint: Any = None) -> Variable:
    """The variable of this name in the current variable scope: a new one, or the one there is.

    Args:
        shape: its sizes; not needed where the initializer is a value.
        dtype: float32, or the scope's, unless given.
        initializer: function of a shape (and dtype=), or a value; the scope's, else glorot uniform (zeros for
            integers and booleans).
        regularizer: function of the variable; its loss enters tf.GraphKeys.REGULARIZATION_LOSSES of a graph.

    Raises: InvalidArgumentError (a ValueError) when it exists and reuse is not asked for, when it is to be reused
        and does not exist, or has another shape or dtype; FailedPreconditionError (a RuntimeError) for reuse in
        eager execution outside of an EagerVariableStore.
    """
    if partitioner is not None:
        raise UnimplementedError("get_variable: partitioned variables are not offered; leave partitioner out")
    if not isinstance(name, str) or not name:
        raise DTypeError(f"get_variable: a name is text, {name!r:.60} is a {type(name).__name__}")
    scope = get_variable_scope()
    full = f"{scope.name}/{name}" if scope.name else name
    arguments = {"shape": shape, "dtype": scope.dtype if dtype is None else as_dtype(dtype),
                 "initializer": scope.initializer if initializer is None else initializer,
                 "regularizer": scope.regularizer if regularizer is None else regularizer,
                 "trainable": trainable, "collections": collections, "reuse": scope.reuse,
                 "constraint": scope.constraint if constraint is None else constraint}
    getter = _chained(custom_getter, scope.custom_getter)
    return _get(full, **arguments) if getter is None else getter(_get, full, **arguments)


def _get(name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
         trainable: bool = True, collections: Any = None, reuse: Any = False, constraint: Any = None,
         **other: Any) -> Variable:
    store = _store()
    dims = None if shape is None else TensorShape(shape).as_list()
    if store is None and reuse is True:
        raise FailedPreconditionError(f"get_variable: {name} cannot be reused, as eager execution keeps no variables "
                                      "by name; keep the object, or use a tf.contrib.eager.EagerVariableStore")
    if store is not None and name in store.variables:
        return _found(store.variables[name], name, dims, dtype, reuse or not _symbolic())
    if reuse is True and _symbolic():
        raise InvalidArgumentError(f"get_variable: variable {name} does not exist, or was not created with "
                                   "tf.get_variable(); did you mean to set reuse=tf.AUTO_REUSE?")
    kind = as_dtype(dtype or float32)
    if callable(initializer) or initializer is None:
        if dims is None or None in dims:
            raise InvalidArgumentError(f"get_variable: the shape of {name} must be fully known, it is {shape}")
        make = initializer or initializers.get("glorot_uniform" if kind.is_floating else "zeros")
        first: Any = lambda: _made(make, dims, kind)
    else:
        kind = initializer.dtype if isinstance(initializer, (Tensor, Variable)) else kind
        first = initializer
        have = tuple(getattr(initializer, "shape", None) or np.shape(initializer))
        if dims is not None and tuple(dims) != tuple(have):
            raise InvalidArgumentError(f"get_variable: {name} is to have shape {show(tuple(dims))}, its initial value "
                                       f"has shape {show(have)}")
    with names.at(""):
        variable = Variable(first, trainable=trainable, collections=collections, name=name, dtype=kind,
                            constraint=constraint)
    if store is not None:
        store.variables[name] = variable
    if regularizer is not None and _symbolic():
        with state.interpreter.outermost(), name_scope(f"{name}/Regularizer/"):     # it is read outside of a branch
            loss = regularizer(variable)
        if loss is not None:
            add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)
    return variable


def _made(make: Callable, dims: list, kind: Any) -> Any:
    try:
        return make(dims, dtype=kind)
    except TypeError:                           # a function of the shape alone
        return make(dims)


def _found(variable: Variable, name: str, dims: list | None, dtype: Any, reuse: Any) -> Variable:
    if not reuse:
        raise InvalidArgumentError(f"get_variable: variable {name} already exists, disallowed; did you mean to set "
                                   "reuse=True or reuse=tf.AUTO_REUSE in the variable scope?")
    if dims is not None and not variable.shape.is_compatible_with(dims):
        raise InvalidArgumentError(f"get_variable: trying to share variable {name}, but specified shape "
                                   f"{show(tuple(dims))} and found shape {variable.shape}")
    if dtype is not None and as_dtype(dtype) is not variable.dtype:
        raise DTypeError(f"get_variable: trying to share variable {name}, but specified dtype {as_dtype(dtype).name} "
                         f"and found dtype {variable.dtype.name}")
    return variable


class EagerVariableStore:
    """Keeps the variables that `get_variable` makes in eager execution, so that code written for graphs runs.

    Example:
        >>> import cltensor as tf
        >>> store = tf.contrib.eager.EagerVariableStore()
        >>> for _ in range(2):
        ...     with store.as_default():
        ...         w = tf.get_variable("w", [2])
        >>> [v is w for v in store.variables()]
        [True]
    """

    def __init__(self, store: EagerVariableStore | None = None):
        self._store: _Store = _Store() if store is None else store._store

    @contextmanager
    def as_default(self) -> Iterator[EagerVariableStore]:
        """`get_variable` finds and keeps its variables here inside."""
        _here.stores.append(self._store)
        self._store.opened.clear()              # default names count from the start in each call
        try:
            yield self
        finally:
            _here.stores.pop()

    def variables(self) -> list:
        """All of them, by name."""
        return [v for _, v in sorted(self._store.variables.items())]

    def trainable_variables(self) -> list:
        """Those that are trainable."""
        return [v for v in self.variables() if v.trainable]

    def non_trainable_variables(self) -> list:
        """The others."""
        return [v for v in self.variables() if not v.trainable]

    def copy(self) -> EagerVariableStore:
        """A store of copies."""
        other = EagerVariableStore()
        other._store.variables.update((name, v.__copy__()) for name, v in self._store.variables.items())
        return other
