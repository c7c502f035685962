"""What users call to build a graph: placeholders, gradients, control dependencies, groups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cltensor.base import nest
from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import state
from cltensor.core.spec import Spec
from cltensor.core.tensor import convert
from cltensor.graph.graph import Graph, Operation, graph_for
from cltensor.interpret.record import Symbol
from cltensor.ops.array import identity

__all__ = ["placeholder", "placeholder_with_default", "gradients", "control_dependencies", "group", "no_op"]


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Symbol:
    """A tensor whose value is fed at each run.

    Args:
        dtype: its dtype.
        shape: its shape, None for sizes that vary; None for any rank.

    Raises: InvalidArgumentError outside a graph.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default():
        ...     print(tf.placeholder(tf.float32, [None, 3]))
        Tensor("Placeholder:0", shape=(?, 3), dtype=float32)
    """
    dims = None if shape is None else tuple(None if d is None or d == -1 else int(d)
                                            for d in ([shape] if isinstance(shape, int) else shape))
    graph = graph_for("placeholder")
    made = graph.own(Symbol(Spec(dims, as_dtype(dtype))))
    if not dims:
        graph.numbers[made.uid] = None
    return made


def placeholder_with_default(input: Any, shape: Any = None, name: str | None = None) -> Symbol:
    """The value of `input` unless another is fed."""
    graph_for("placeholder_with_default")
    value = identity(convert(input))
    if shape is not None and not value.shape.is_compatible_with(shape):
        raise InvalidArgumentError(f"placeholder_with_default: the value has shape {value.shape}, shape is {shape}")
    return value


def gradients(ys: Any, xs: Any, grad_ys: Any = None, name: str | None = None, colocate_gradients_with_ops: bool = False,
              gate_gradients: bool = False, aggregation_method: Any = None, stop_gradients: Any = None) -> list:
    """Symbolic gradients of the sum of `ys` by each of `xs`, in a graph.

    Args:
        ys, xs: tensor (xs: or variable), or lists of them.
        grad_ys: weights of the ys; ones unless given.

    Returns: list with a tensor, or None where unconnected, per x.
    Raises: InvalidArgumentError when ops execute eagerly: use tf.GradientTape.

    Example:
        >>> import cltensor as tf
        >>> with tf.Session() as sess:
        ...     x = tf.placeholder(tf.float32, [])
        ...     print(sess.run(tf.gradients(x * x, x), {x: 3.}))
        [np.float32(6.0)]
    """
    graph = graph_for("gradients")
    flat = [convert(y) for y in nest.flatten(ys)]
    weights = [None] * len(flat) if grad_ys is None else nest.flatten(grad_ys)
    if len(weights) != len(flat):
        raise InvalidArgumentError(f"gradients: there are {len(flat)} ys and {len(weights)} grad_ys")
    known = [None if g is None else convert(g, y.dtype) for g, y in zip(weights, flat)]
    return graph.gradients(flat, nest.flatten(xs), known)


@contextmanager
def control_dependencies(control_inputs: Any) -> Iterator[None]:
    """Ops made inside run only after these tensors and operations; eagerly, nothing to do."""
    interpreter = state.interpreter
    if not isinstance(interpreter, Graph):
        yield
        return
    symbols: list = []
    for c in control_inputs or ():
        symbols += c.symbols if isinstance(c, Operation) else [c] if isinstance(c, Symbol) else []
    for s in symbols:
        interpreter.check_mine("control_dependencies", s)
    interpreter._scopes.append(tuple(symbols))
    try:
        yield
    finally:
        interpreter._scopes.pop()


def group(*inputs: Any, **kwargs: Any) -> Operation | None:
    """One operation that runs all of these."""
    interpreter = state.interpreter
    if not isinstance(interpreter, Graph):
        return None
    symbols: list = []
    for c in nest.flatten(inputs):
        symbols += c.symbols if isinstance(c, Operation) else [c] if isinstance(c, Symbol) else []
    for s in symbols:
        interpreter.check_mine("group", s)
    return Operation(interpreter, symbols, interpreter.unique_name(kwargs.get("name") or "group_deps"))


def no_op(name: str | None = None) -> Operation | None:
    """An operation that does nothing."""
    return group(name=name or "no_op")
