"""Gradients of functions, autograd style: `gradients_function(f)` returns the function of the gradient."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from cltensor.autodiff.tape import GradientTape
from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.array import identity
from cltensor.ops.variable import Variable

__all__ = ["gradients_function", "value_and_gradients_function", "implicit_gradients",
           "implicit_value_and_gradients", "make_vjp"]


def _chosen(f: Callable, params: Any, count: int) -> list[int]:
    """Positions of the arguments to differentiate by."""
    if params is None:
        return list(range(count))
    names = list(inspect.signature(f).parameters)
    out = []
    for p in params:
        if isinstance(p, str) and p in names:
            out.append(names.index(p))
        elif isinstance(p, int) and 0 <= p < count:
            out.append(p)
        else:
            raise InvalidArgumentError(f"gradients_function: params holds {p!r}, which is neither a parameter name of "
                                       f"{getattr(f, '__name__', f)} ({', '.join(names)}) nor an index below {count}")
    return out


def _bind(f: Callable, args: tuple, kwargs: dict) -> list:
    """Arguments in the order of the signature, keyword arguments and given defaults included."""
    if not kwargs:
        return list(args)
    bound = inspect.signature(f).bind(*args, **kwargs)
    return list(bound.args)


def _fresh(argument: Any) -> Any:
    """The argument as tensors of their own, so that one object passed twice gets two gradients."""
    def one(x: Any) -> Any:
        return identity(x.as_tensor() if isinstance(x, Variable) else convert(x, op="gradients_function"))
    is_nest = isinstance(argument, dict) or (isinstance(argument, (list, tuple)) and any(
        isinstance(x, (Tensor, Variable)) for x in nest.flatten(argument)))
    return nest.map_structure(one, argument) if is_nest else one(argument)


def value_and_gradients_function(f: Callable, params: Any = None) -> Callable:
    """A function that returns `f(*args)` and its gradients by the arguments.

    Args:
        f: takes tensors, returns a tensor or a nest of them (whose sum is differentiated).
        params: indices or names of the arguments to differentiate by; all unless given.

    Returns: function of f's arguments, and `dy`, a weight of the result; it returns (value, list), the list
        holding one gradient per argument, None for one that is integer or unconnected.
    Raises: ValueError when f returns None.

    Example:
        >>> import cltensor as tf
        >>> value, grads = tf.contrib.eager.value_and_gradients_function(lambda x: x * x)(3.)
        >>> value.numpy(), grads[0].numpy()
        (np.float32(9.0), np.float32(6.0))
    """
    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> tuple:
        dy = kwargs.pop("dy", None)
        arguments = _bind(f, args, kwargs)
        chosen = _chosen(f, params, len(arguments))
        if not chosen:
            raise InvalidArgumentError("gradients_function: there is no argument to differentiate by")
        # fresh before the tape: outer tapes see the identity, this one only the tensors it watches
        for i in dict.fromkeys(chosen):
            arguments[i] = _fresh(arguments[i])
        with GradientTape() as tape:
            tape.watch([t for i in chosen for t in nest.flatten(arguments[i])])
            value = f(*arguments)
        if value is None:
            raise InvalidArgumentError(f"gradients_function: {getattr(f, '__name__', f)} returned None, it must "
                                       "return a tensor to differentiate")
        value = nest.map_structure(lambda v: v if isinstance(v, (Tensor, Variable)) else convert(v), value)
        sources = [arguments[i] for i in chosen]
        return value, tape.gradient(value, sources, output_gradients=dy)
    return call


def gradients_function(f: Callable, params: Any = None) -> Callable:
    """A function that returns the gradients of `f` by its arguments; see value_and_gradients_function.

    Example:
        >>> import cltensor as tf
        >>> grad = tf.contrib.eager.gradients_function(lambda x: x * x)
        >>> grad(3.)[0].numpy()
        np.float32(6.0)
    """
    both = value_and_gradients_function(f, params)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> list:
        return both(*args, **kwargs)[1]
    return call


def implicit_value_and_gradients(f: Callable) -> Callable:
    """A function that returns `f(*args)` and [(gradient, variable)] for each trainable variable f reads.

    Variables come in the order of their creation; one that is read but unconnected has gradient None.

    Raises: ValueError when f returns None or reads no trainable variable.

    Example:
        >>> import cltensor as tf
        >>> v = tf.Variable(3.)
        >>> value, pairs = tf.contrib.eager.implicit_value_and_gradients(lambda: v * v)()
        >>> value.numpy(), pairs[0][0].numpy(), pairs[0][1] is v
        (np.float32(9.0), np.float32(6.0), True)
    """
    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> tuple:
        with GradientTape() as tape:
            value = f(*args, **kwargs)
        name = getattr(f, "__name__", f)
        if value is None:
            raise InvalidArgumentError(f"implicit_gradients: {name} returned None, it must return a tensor to "
                                       "differentiate")
        variables = list(tape.watched_variables())
        if not variables:
            raise InvalidArgumentError(f"implicit_gradients: {name} read no trainable variable")
        return value, list(zip(tape.gradient(value, variables), variables))
    return call


def implicit_gradients(f: Callable) -> Callable:
    """A function that returns [(gradient, variable)] for each trainable variable f reads.

    Example:
        >>> import cltensor as tf
        >>> v = tf.Variable(3.)
        >>> tf.contrib.eager.implicit_gradients(lambda: v * v)()[0][0].numpy()
        np.float32(6.0)
    """
    both = implicit_value_and_gradients(f)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> list:
        return both(*args, **kwargs)[1]
    return call


def make_vjp(f: Callable, params: Any = None) -> Callable:
    """A function that returns `f(*args)` and the function from a weight of the result to the gradients.

    Example:
        >>> import cltensor as tf
        >>> y, vjp = tf.contrib.eager.make_vjp(lambda x: x * x)(tf.constant(3.))
        >>> vjp(2.)[0].numpy()
        np.float32(12.0)
    """
    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> tuple:
        arguments = _bind(f, args, kwargs)
        chosen = _chosen(f, params, len(arguments))
        for i in chosen:
            arguments[i] = _fresh(arguments[i])
        with GradientTape(persistent=True) as tape:
            tape.watch([t for i in chosen for t in nest.flatten(arguments[i])])
            value = f(*arguments)
        sources = [arguments[i] for i in chosen]
        return value, lambda dy=None: tape.gradient(value, sources, output_gradients=dy)
    return call
