"""cond and case: Python's own `if` where the condition has a value, a node with bodies while ops are recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base import nest
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute, state
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, to_array
from cltensor.graph.body import Leaves
from cltensor.graph.branches import record_cond
from cltensor.graph.deferred import defer_cond, new_body
from cltensor.interpret.record import Symbol

__all__ = ["cond", "case"]


def cond(pred: Any, true_fn: Callable | None = None, false_fn: Callable | None = None, strict: bool = False,
         name: str | None = None, fn1: Callable | None = None, fn2: Callable | None = None) -> Any:
    """`true_fn()` if the condition holds, else `false_fn()`.

    Where ops are recorded and the condition is a tensor without a value, both functions are recorded, and each run
    takes one of them: its ops, assignments and Python functions run, the other's do not. A run reads the condition on
    the host, which waits for the device unless it was computed from counters or fed.

    Args:
        pred: boolean scalar: tensor or Python value.
        true_fn, false_fn: functions without arguments (old names fn1, fn2).

    Returns: what the function returned.
    Raises: InvalidArgumentError for functions that are none, or, recorded, return different structures or shapes;
        DTypeError for different dtypes, or a condition that is no boolean.

    Example:
        >>> import cltensor as tf
        >>> @tf.contrib.eager.defun
        ... def size(x):
        ...     return tf.cond(tf.reduce_sum(x) > 1., lambda: x * 10., lambda: x)
        >>> size(tf.constant([2.])).numpy().tolist(), size(tf.constant([0.5])).numpy().tolist()
        ([20.0], [0.5])
    """
    yes, no = true_fn or fn1, false_fn or fn2
    if not callable(yes) or not callable(no):
        raise InvalidArgumentError("cond: true_fn and false_fn must be functions without arguments")
    outer = state.interpreter
    if outer is not None and hasattr(type(pred), "as_tensor"):
        pred = pred.as_tensor()
    if outer is None or not isinstance(pred, Symbol):
        return yes() if bool(pred) else no()
    checked_predicate("cond: pred", pred)
    starts: dict = {}
    bodies = [new_body(outer, starts) for _ in range(2)]
    leaves = []
    for body, function in zip(bodies, (no, yes)):
        with body.inside():
            leaves.append(Leaves(function()))
    try:
        nest.assert_same_structure(leaves[1].structure, leaves[0].structure)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"cond: true_fn and false_fn must return the same structure ({error})") from None
    for body, mine, other in zip(bodies, leaves, reversed(leaves)):
        with body.inside():
            body.results = mine.tensors(other.given)
    for i, (a, b) in enumerate(zip(bodies[1].results, bodies[0].results)):
        if a.dtype is not b.dtype:
            raise DTypeError(f"cond: result {i} has dtype {a.dtype.name} from true_fn and {b.dtype.name} from "
                             "false_fn; cast one of them")
    out = (defer_cond if outer.symbolic else record_cond)(pred, bodies, outer)
    return leaves[1].packed(out, outer)


def checked_predicate(what: str, pred: Tensor) -> None:
    """Raise where a condition is no boolean scalar."""
    if not pred.dtype.is_bool:
        raise DTypeError(f"{what} must be boolean, it has dtype {pred.dtype.name}")
    if pred.spec.shape not in ((), None):
        raise InvalidArgumentError(f"{what} must be a scalar, it has shape {show(pred.spec.shape)}")


def _one_holds(*preds: Tensor, exclusive: bool, default: bool) -> Any:
    count = sum(bool(to_array(p)) for p in preds)
    if exclusive and count > 1:
        raise InvalidArgumentError(f"case: {count} conditions hold, exclusive=True allows one")
    if not count and not default:
        raise InvalidArgumentError("case: no condition holds, and there is no default")
    return convert(True)


ONE_HOLDS = OpDef("one_holds", ("preds",), lambda *preds, **how: Spec((), "bool"), run=_one_holds, types="*",
                  pure=False, doc="Checks the conditions of a case.")


def case(pred_fn_pairs: Any, default: Callable | None = None, exclusive: bool = False, strict: bool = False,
         name: str | None = None) -> Any:
    """The first function whose condition holds; `default` if none does.

    Args:
        pred_fn_pairs: list of (condition, function), or dict.
        exclusive: raise if more than one condition holds.

    Raises: InvalidArgumentError when none holds and there is no default, or several hold with `exclusive`; where
        conditions are tensors without a value, when it runs.

    Example:
        >>> import cltensor as tf
        >>> tf.case([(tf.constant(False), lambda: 1), (tf.constant(True), lambda: 2)])
        2
    """
    pairs = list(pred_fn_pairs.items()) if isinstance(pred_fn_pairs, dict) else list(pred_fn_pairs)
    if not pairs or not all(isinstance(p, (tuple, list)) and len(p) == 2 and callable(p[1]) for p in pairs):
        raise InvalidArgumentError("case: pred_fn_pairs must hold (condition, function) pairs")
    preds = [p.as_tensor() if hasattr(type(p), "as_tensor") else p for p, _ in pairs]
    functions = [function for _, function in pairs]
    if any(isinstance(p, Symbol) for p in preds) and state.interpreter is not None:
        return _recorded_case([convert(p) for p in preds], functions, default, exclusive)
    holding = []
    for pred, function in zip(preds, functions):
        if bool(pred):
            holding.append(function)
            if not exclusive:
                break
    if len(holding) > 1:
        raise InvalidArgumentError(f"case: {len(holding)} conditions hold, exclusive=True allows one")
    if not holding and default is None:
        raise InvalidArgumentError("case: no condition holds, and there is no default")
    chosen = holding[0] if holding else default
    assert chosen is not None
    return chosen()


def _recorded_case(preds: list[Tensor], functions: list, default: Callable | None, exclusive: bool) -> Any:
    if exclusive or default is None:
        held = execute(ONE_HOLDS, tuple(preds), (("exclusive", exclusive), ("default", default is not None)))
        preds = [held & p for p in preds]           # a graph runs the check because the first condition reads it
    if default is None:
        default = functions[-1]
        preds, functions = preds[:-1], functions[:-1]
    if not preds:
        return default()
    return _chain(preds, functions, default)


def _chain(preds: list, functions: list, default: Callable) -> Any:
    rest = default if len(preds) == 1 else lambda: _chain(preds[1:], functions[1:], default)
    return cond(preds[0], functions[0], rest)


