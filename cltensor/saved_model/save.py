"""tf.saved_model.save: functions and their variables into a folder that needs no Python code to run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import state
from cltensor.core.tensor import to_array
from cltensor.core.trackable import Trackable, is_leaf, walk
from cltensor.graph.function import Function
from cltensor.graph.graph import Graph
from cltensor.ops.variable import Variable
from cltensor.saved_model import folder
from cltensor.saved_model.graph_def import Bundle, GraphDef, Value, VariableDef
from cltensor.saved_model.load import DEFAULT, Loaded, LoadedFunction
from cltensor.saved_model.signature import Signature, parameter_names, readings, specs_of
from cltensor.saved_model.trace import Store, trace

__all__ = ["save", "describe", "bundle_of", "trace_readings"]


def save(obj: Any, export_dir: Any, signatures: Any = None, input_signature: Any = None) -> str:
    """Writes functions as data: ops by name, weights beside them; `load` runs them anywhere.

    A function is traced with open sizes: what is None in its input signature may vary later. Random draws are drawn
    anew at each call; values that are looked up in Python at each call cannot be saved.

    Args:
        obj: a `tf.function`, a Keras model or layer, any Python function of tensors, or a loaded model.
        export_dir: folder; made if need be. A saved model in it is replaced, as a whole or not at all.
        signatures: dict of name -> function, saved instead of `obj` itself: several that share the variables of
            `obj`. A single function has the name "serving_default".
        input_signature: list with a `tf.TensorSpec` (or a nest of them) per argument. Unless given: that of the
            `tf.function`; for a model the input it was built for, with any batch size.

    Returns: the folder.
    Raises: InvalidArgumentError where shapes are not known, or an open size decides what is computed;
        UnimplementedError for Python code in the function (`py_func`, an optimizer's step). Nothing is written then.
        OSError when the folder cannot be written.

    Example:
        >>> import cltensor as tf, tempfile
        >>> model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
        >>> folder = tf.saved_model.save(model, tempfile.mkdtemp())
        >>> loaded = tf.saved_model.load(folder)
        >>> loaded(tf.zeros([5, 3])).shape, [v.name for v in loaded.variables]
        (TensorShape([5, 2]), ['layer-0/kernel:0', 'layer-0/bias:0'])
    """
    path = os.fspath(export_dir)
    folder.write(path, describe(obj, signatures, input_signature))
    return path


def describe(obj: Any, signatures: Any = None, input_signature: Any = None) -> Bundle:
    """What `save` writes, as data.

    Raises: as `save`.
    """
    if isinstance(state.interpreter, Graph):
        raise InvalidArgumentError("saved_model.save: ops are being recorded in a graph; use simple_save(session, ...) "
                                   "or call it outside")
    functions = _functions(obj, signatures)
    store = Store(_names(obj, list(functions.values())))
    return bundle_of({name: _trace(name, f, input_signature, store) for name, f in functions.items()}, store)


def bundle_of(graphs: dict[str, GraphDef], store: Store) -> Bundle:
    """Traced functions with the variables and constants they met."""
    taken: set[str] = set()
    definitions = []
    for v in store.variables:
        name = base = store.name(v)
        n = 0
        while name in taken:
            name, n = f"{base}_{n + 1}", n + 1
        taken.add(name)
        definitions.append(VariableDef(name, Value(v.spec.shape, v.dtype), v.trainable, v._host))
    return Bundle(graphs, tuple(definitions), tuple(to_array(v.held) for v in store.variables), tuple(store.constants))


def _functions(obj: Any, signatures: Any) -> dict[str, Callable]:
    if signatures is None:
        if isinstance(obj, Loaded):
            return dict(obj.signatures)
        if not callable(obj):
            raise InvalidArgumentError(f"saved_model.save: a function or a model is wanted, {obj!r:.60} is a "
                                       f"{type(obj).__name__}; or give `signatures`")
        return {DEFAULT: obj}
    found = dict(signatures) if isinstance(signatures, Mapping) else {DEFAULT: signatures}
    wrong = [name for name, f in found.items() if not isinstance(name, str) or not callable(f)]
    if wrong or not found:
        raise InvalidArgumentError("saved_model.save: signatures must be a dict of name -> function"
                                   + (f", {wrong[0]!r:.60} is not" if wrong else ", it is empty"))
    return found


def _trace(name: str, function: Callable, given: Any, store: Store) -> GraphDef:
    if isinstance(function, LoadedFunction):
        signature = Signature.of(function.graph)
        return trace(name, function.positional, signature, store)
    specs = specs_of(function, given, getattr(function, "name", None) or name)
    body = function.python_function if isinstance(function, Function) else function
    return trace_readings(name, body, parameter_names(function, len(specs)), specs, store)


def trace_readings(name: str, body: Callable, names: list[str], specs: list, store: Store) -> GraphDef:
    """The function traced, with each tensor's open sizes its own if that works, else with shared ones."""
    failed: InvalidArgumentError | None = None
    for signature in readings(names, specs):
        try:
            return trace(name, body, signature, store)
        except InvalidArgumentError as error:       # sizes that must be equal were read as different ones
            failed = error
    assert failed is not None
    raise failed


def _names(obj: Any, functions: list) -> Callable[[Variable], str]:
    """Names of variables: the attributes that lead to them, else their own."""
    names: dict[int, str] = {}
    for root in (obj, *functions):
        owner = getattr(getattr(root, "python_function", root), "__self__", root)
        if isinstance(owner, Trackable) and not isinstance(owner, Loaded):
            for path, node in walk(owner):
                if is_leaf(node):
                    names.setdefault(id(node), "/".join(path))
    return lambda v: names.get(id(v), v.name.removesuffix(":0"))
