"""py_func: a Python function as an op of a graph; its body runs eagerly each time the graph does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import execute, state
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert

__all__ = ["py_func"]


def _infer(*specs: Spec, func: Callable, dtypes: tuple, alone: bool, arrays: bool) -> tuple:
    return tuple(Spec(None, d) for d in dtypes)


def _run(*inputs: Tensor, func: Callable, dtypes: tuple, alone: bool, arrays: bool) -> Any:
    answer = func(*[x.numpy() if arrays else x for x in inputs])
    flat = [answer] if alone else list(answer)
    if len(flat) != len(dtypes):
        raise InvalidArgumentError(f"py_func: {getattr(func, '__name__', func)} returned {len(flat)} values, Tout "
                                   f"names {len(dtypes)}")
    out = tuple(convert(v, d, op="py_func: the function's result") for v, d in zip(flat, dtypes))
    return out[0] if alone else out


PY_FUNC = OpDef("py_func", ("inp",), _infer, run=_run, types="*", pure=False, doc="A Python function in a graph.")
# inputs may differ in dtype, unlike those of other variadic ops
PY_FUNC.types = ""


def py_func(func: Callable, inp: Any, Tout: Any, name: str | None = None) -> Any:
    """Call a Python function when the graph runs; inside it, ops execute eagerly.

    Args:
        func: takes eager tensors, returns a tensor, or a list of them where Tout is a list.
        inp: list of tensors.
        Tout: dtype of the result, or a list of dtypes.

    Returns: tensor(s) of unknown shape; eagerly, the function's result.

    Example:
        >>> import cltensor as tf
        >>> with tf.Session() as sess:
        ...     x = tf.placeholder(tf.float32)
        ...     print(sess.run(tf.contrib.eager.py_func(lambda v: v * 2., [x], tf.float32), {x: [1., 2.]}))
        [2. 4.]
    """
    return _call(func, inp, Tout, False)


def numpy_func(func: Callable, inp: Any, Tout: Any, stateful: bool = True, name: str | None = None) -> Any:
    """As `py_func`, with NumPy arrays instead of tensors: TensorFlow's `tf.py_func`."""
    return _call(func, inp, Tout, True)


def _call(func: Callable, inp: Any, Tout: Any, arrays: bool) -> Any:
    alone = not isinstance(Tout, (list, tuple))
    dtypes = tuple(as_dtype(d) for d in ([Tout] if alone else Tout))
    inputs = tuple(convert(x) for x in (inp if isinstance(inp, (list, tuple)) else [inp]))
    if state.interpreter is None:
        return _run(*inputs, func=func, dtypes=dtypes, alone=alone, arrays=arrays)
    out = execute(PY_FUNC, inputs, (("func", func), ("dtypes", dtypes), ("alone", alone), ("arrays", arrays)))
    return (out if not isinstance(out, tuple) else out[0]) if alone else list(out if isinstance(out, tuple) else (out,))
