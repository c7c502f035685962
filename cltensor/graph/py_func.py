"""py_func: a Python function as an op of a graph; its body runs eagerly each time the graph does.

`tfe.py_func` is differentiable: the body runs under a tape, and the gradient is another such island, which plays
that tape. Of its own gradient the body runs again, under a tape around a tape: so any order follows, and the body
runs once for a value and a first gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.autodiff.custom import custom_gradient
from cltensor.autodiff.tape import GradientTape
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


PY_FUNC = OpDef("py_func", ("inp",), _infer, run=_run, types="any", pure=False, doc="A Python function in a graph.")


def py_func(func: Callable, inp: Any, Tout: Any, name: str | None = None) -> Any:
    """Call a Python function when the graph runs; inside it, ops execute eagerly.

    Args:
        func: takes eager tensors, returns a tensor, or a list of them where Tout is a list.
        inp: list of tensors.
        Tout: dtype of the result, or a list of dtypes.

    Returns: tensor(s) of unknown shape; eagerly, the function's result. Gradients of any order pass through it to
        `inp`, not to variables the body reads.

    Example:
        >>> import cltensor as tf
        >>> with tf.Session() as sess:
        ...     x = tf.placeholder(tf.float32)
        ...     print(sess.run(tf.contrib.eager.py_func(lambda v: v * 2., [x], tf.float32), {x: [1., 2.]}))
        [2. 4.]
    """
    inputs = [convert(x) for x in (inp if isinstance(inp, (list, tuple)) else [inp])]
    if state.interpreter is None or not any(x.dtype.is_floating for x in inputs):
        return _call(func, inputs, Tout, False)
    return _differentiable(func, inputs, Tout)


def _differentiable(func: Callable, inputs: list, Tout: Any, again: Callable | None = None) -> Any:
    """The island as an op with a gradient; `again` stands for `func` where that gradient is differentiated."""
    inputs = [_here(x) for x in inputs]
    plays: list = []            # the latest call: inputs, results, tape

    def forward(*xs: Tensor) -> Any:
        if again is not None:           # a gradient: what differentiates it starts from the function itself
            return func(*xs)
        results, tape, many = _taped(func, xs)
        plays[:] = [(xs, results, tape)]
        return results if many else results[0]

    @custom_gradient
    def call(*xs: Tensor) -> Any:
        out = _call(forward, list(xs), Tout, False)
        floating = [i for i, x in enumerate(xs) if x.dtype.is_floating]

        def gradients(results: list, tape: GradientTape, values: tuple, weights: tuple) -> list:
            pairs = [(y, g) for y, g in zip(results, weights) if y.dtype.is_floating]
            return tape.gradient([y for y, _ in pairs], [values[i] for i in floating],
                                 output_gradients=[g for _, g in pairs], unconnected_gradients="zero")

        def anew(*given: Tensor) -> list:
            values, weights = given[:len(xs)], given[len(xs):]
            results, tape, _ = _taped(again or func, values)
            return gradients(results, tape, values, weights)

        def played(*given: Tensor) -> list:
            values, weights = given[:len(xs)], given[len(xs):]
            if not plays or any(a is not b for a, b in zip(plays[0][0], values)):
                return anew(*given)
            _, results, tape = plays.pop()
            return gradients(results, tape, values, weights)

        def grad_fn(*upstream: Tensor) -> list:
            here = [_here(x) for x in xs]
            found = iter(_differentiable(played, [*here, *upstream], [xs[i].dtype for i in floating], anew))
            return [next(found) if i in floating else None for i in range(len(xs))]
        return out, grad_fn
    return call(*inputs)


def _taped(func: Callable, xs: tuple) -> tuple[list, GradientTape, bool]:
    """The function's results, the tape that saw them made, and whether they are a list."""
    with GradientTape(persistent=True) as tape:
        tape.watch([x for x in xs if x.dtype.is_floating])
        answer = func(*xs)
        many = isinstance(answer, (list, tuple))
        return [convert(y) for y in (answer if many else [answer])], tape, many


def _here(x: Tensor) -> Tensor:
    """The value of a symbol in the run that is going on, as gradients of graphs are called with symbols at hand."""
    return x if state.substitute is None else state.substitute.get(x.uid, x)


def numpy_func(func: Callable, inp: Any, Tout: Any, stateful: bool = True, name: str | None = None) -> Any:
    """As `py_func`, with NumPy arrays instead of tensors, and no gradient: TensorFlow's `tf.py_func`."""
    return _call(func, inp, Tout, True)


def _call(func: Callable, inp: Any, Tout: Any, arrays: bool) -> Any:
    alone = not isinstance(Tout, (list, tuple))
    dtypes = tuple(as_dtype(d) for d in ([Tout] if alone else Tout))
    inputs = tuple(_here(convert(x)) for x in (inp if isinstance(inp, (list, tuple)) else [inp]))
    if state.interpreter is None:
        return _run(*inputs, func=func, dtypes=dtypes, alone=alone, arrays=arrays)
    out = execute(PY_FUNC, inputs, (("func", func), ("dtypes", dtypes), ("alone", alone), ("arrays", arrays)))
    return (out if not isinstance(out, tuple) else out[0]) if alone else list(out if isinstance(out, tuple) else (out,))
