"""while_loop: Python's own `while` where ops run at once, a node with a test and a body while they are recorded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from cltensor.base import nest
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import state
from cltensor.core.lists import fits, merged
from cltensor.core.spec import Spec, sig_of
from cltensor.core.tensor import Tensor, convert
from cltensor.graph.body import Leaves
from cltensor.graph.control import checked_predicate, cond
from cltensor.graph.deferred import defer_loop, install, new_body
from cltensor.graph.turns import record_loop
from cltensor.interpret.record import OpenShape, Recording, Symbol
from cltensor.ops import math

__all__ = ["while_loop"]


def while_loop(cond: Callable, body: Callable, loop_vars: Any, shape_invariants: Any = None,
               parallel_iterations: int = 10, back_prop: bool = True, swap_memory: bool = False,
               name: str | None = None, maximum_iterations: Any = None, return_same_structure: bool = False) -> Any:
    """Call `body(*loop_vars)` for new loop variables while `cond(*loop_vars)` holds.

    Where ops are recorded, both functions are recorded once and every run turns as often as its values ask for.
    Each turn reads the condition on the host: free where it is computed from counters (whole numbers, `i < n`), a wait
    for the device where it looks at other tensors.

    Args:
        loop_vars: list or tuple of nests of tensors and TensorArrays.
        shape_invariants: shapes in the structure of loop_vars, None for sizes that change from turn to turn. A graph
            runs such a loop op by op; a traced function refuses it.
        maximum_iterations: a bound on the turns: a number or an integer scalar.

    `parallel_iterations`, `back_prop` and `swap_memory` are accepted; they change nothing here.

    Returns: the last loop variables; a single one by itself unless return_same_structure.
    Raises: InvalidArgumentError where body returns another structure or shape than it got, DTypeError for another
        dtype, or a condition that is no boolean.

    Example:
        >>> import cltensor as tf
        >>> tf.while_loop(lambda i: i < 10, lambda i: i + 3, [tf.constant(0)]).numpy()
        np.int32(12)
    """
    if not callable(cond) or not callable(body):
        raise InvalidArgumentError("while_loop: cond and body must be functions of the loop variables")
    if not isinstance(loop_vars, (list, tuple)) or not loop_vars:
        raise InvalidArgumentError("while_loop: loop_vars must be a list or tuple with at least one entry")
    if not isinstance(state.interpreter, Recording):
        now = _run(cond, body, loop_vars, maximum_iterations)
    else:
        now = _record(cond, body, loop_vars, shape_invariants, maximum_iterations)
    if len(now) == 1 and not return_same_structure:
        return now[0]
    return type(loop_vars)(now) if type(loop_vars) in (list, tuple) else now


def _returned(new: Any, count: int) -> list:
    now = list(new) if isinstance(new, (list, tuple)) else [new]
    if len(now) != count:
        raise InvalidArgumentError(f"while_loop: body returned {len(now)} values for {count} loop variables")
    return now


def _run(cond: Callable, body: Callable, loop_vars: Any, limit: Any) -> list:
    now = list(loop_vars)
    turns = 0
    while (limit is None or turns < int(limit)) and bool(cond(*now)):
        now = _returned(body(*now), len(loop_vars))
        turns += 1
    return now


def _record(cond: Callable, body: Callable, loop_vars: Any, invariants: Any, limit: Any) -> list:
    if limit is not None:           # counted as one more loop variable, in front
        bound = convert(limit)

        def counted(turn: Any, *now: Any) -> Any:
            held = cond(*now)
            return math.logical_and(math.less(turn, bound), held)
        return _record(counted, lambda turn, *now: (turn + 1, *_returned(body(*now), len(loop_vars))),
                       [convert(0, bound.dtype), *loop_vars],
                       None if invariants is None else [(), *invariants], None)[1:]
    outer = state.interpreter
    template = Leaves(list(loop_vars))
    initial = template.tensors()
    names = _names(body, loop_vars)
    wanted = _shapes(initial, invariants, loop_vars, names)
    carried = [Symbol(Spec(shape, t.dtype)) for t, shape in zip(initial, wanted)]
    if outer.symbolic:
        for symbol in carried:
            outer.own(symbol)
    starts: dict = {}
    test, turn = new_body(outer, starts), new_body(outer, starts)
    with test.inside():
        held = convert(cond(*template.packed(carried)))
        test.results = [held]
    checked_predicate("while_loop: what cond returns", held)
    if test.assigns:
        raise InvalidArgumentError("while_loop: cond must not assign variables; do it in body")
    with turn.inside():
        given = Leaves(_returned(body(*template.packed(carried)), len(loop_vars)))
        try:
            nest.assert_same_structure(template.structure, given.structure, check_types=False)
        except InvalidArgumentError as error:
            raise InvalidArgumentError("while_loop: body must return the structure of loop_vars "
                                       f"({error})") from None
        turn.results = given.tensors(carried)
    for name, symbol, result in zip(names, carried, turn.results):
        _check(name, symbol, result, outer.symbolic, invariants is not None)
    out = (defer_loop if outer.symbolic else record_loop)(initial, carried, test, turn, outer)
    return template.packed(out, outer)


def _names(body: Callable, loop_vars: Any) -> list[str]:
    """What errors call each leaf of the loop variables: its place, and the parameter of body it comes in as."""
    try:
        parameters = list(inspect.signature(body).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    out = []
    for path, _ in nest.flatten_with_paths(list(loop_vars)):
        called = f" ({plain[path[0]]})" if path[0] < len(plain) else ""
        out.append("loop variable " + "".join(f"[{p!r}]" if i else str(p) for i, p in enumerate(path)) + called)
    return out


def _shapes(initial: list[Tensor], invariants: Any, loop_vars: Any, names: list[str]) -> list:
    """The shape each loop variable keeps: its invariant, or the one it enters with."""
    if invariants is None:
        return [t.spec.shape for t in initial]
    flat = [s for one, var in zip(invariants, loop_vars) for s in _invariants(one, var)]
    if len(flat) != len(initial):
        raise InvalidArgumentError(f"while_loop: shape_invariants has {len(flat)} shapes for {len(initial)} loop "
                                   "variables")
    out = []
    for name, t, shape in zip(names, initial, flat):
        if t.dtype.kind == "list":
            shape = t.spec.shape
        elif not fits(shape, t.spec.shape) or _wider(shape, t.spec.shape):
            raise InvalidArgumentError(f"while_loop: {name} enters with shape {_text(t.spec.shape)}, its shape "
                                       f"invariant is {_text(shape)}")
        out.append(shape if state.interpreter.symbolic else t.spec.shape)
    return out


def _invariants(one: Any, var: Any) -> list:
    """The shapes of one loop variable, a nest of them where it is one."""
    if nest.is_sequence(var):
        return [s for part, sub in zip(nest.flatten(one, lists=False) if not isinstance(one, list) else one,
                                       nest.flatten(var)) for s in _invariants(part, sub)]
    dims = one.as_list() if hasattr(one, "as_list") else one
    return [None if dims is None else tuple(getattr(d, "value", d) for d in dims)]


def _wider(invariant: Any, shape: Any) -> bool:
    """True where the shape leaves open what the invariant says."""
    return invariant is not None and (shape is None or any(
        m is not None and n is None for m, n in zip(invariant, shape)))


def _text(shape: Any) -> str:
    return "unknown" if shape is None else show(shape)


def _check(name: str, symbol: Symbol, result: Tensor, symbolic: bool, invariant: bool) -> None:
    """A loop variable must leave a turn as it entered it."""
    if result.dtype is not symbol.dtype:
        raise DTypeError(f"while_loop: {name} enters a turn with dtype {symbol.dtype.name} and body returns "
                         f"{result.dtype.name}; cast it")
    before, after = symbol.spec.shape, result.spec.shape
    if symbol.dtype.kind == "list":         # the first write tells the shape of the elements
        if fits(before, after):
            symbol.sig = sig_of(Spec(merged(before, after), symbol.dtype), None)
            return
    elif before == after or symbolic and fits(before, after) and not _wider(before, after):
        return
    text = f"while_loop: {name} enters a turn with shape {_text(before)} and body returns shape {_text(after)}"
    if symbolic:
        raise InvalidArgumentError(f"{text}; a shape that changes needs shape_invariants")
    raise OpenShape(f"{text}; in a traced function it must keep its shape" + (
        ", whatever shape_invariants says: run the loop eagerly or in a tf.Session" if invariant else ""))


install(cond=cond, while_loop=while_loop)
