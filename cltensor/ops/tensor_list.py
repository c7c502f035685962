"""Ops on lists of tensors: what TensorArrays and the gradients of loops are made of.

All are host rows: Python moves references, and indices are read on the host (a loop counter is there already).
An element is written once, so the gradient of a write takes the element and leaves the list's gradient as it is.
In a gradient nothing written means zero: `fill` is the spec of the zeros to give then.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError, OutOfRangeError
from cltensor.core.dispatch import eagerly, execute, state
from cltensor.core.lists import ListTensor, empty_list, fits, list_of, list_spec, merged
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, from_numpy, to_array
from cltensor.interpret.record import OpenShape
from cltensor.ops.creation import zeros
from cltensor.ops.join import concat, split, stack, unstack
from cltensor.ops.math import add

__all__ = ["list_new", "list_write", "list_read", "list_add", "list_stack", "list_unstack", "list_gather",
           "list_scatter", "list_concat", "list_split", "list_size", "list_lengths", "zeros_of", "LIST_ROWS", "AGAIN"]


def _element(spec: Spec) -> Spec:
    return Spec(spec.shape, spec.dtype.element)         # type: ignore[attr-defined]


def zeros_of(spec: Spec) -> Tensor:
    """Zeros of a spec; of a list, one in which nothing is written."""
    return empty_list(spec) if spec.dtype.kind == "list" else zeros(spec.shape, spec.dtype)


def _at(items: list, i: int, fill: Spec | None, what: str) -> Tensor:
    found = items[i] if 0 <= i < len(items) else None
    if found is not None:
        return copy.copy(found)                         # a tensor of its own, so that no tape mistakes it for the first
    if fill is None:
        raise OutOfRangeError(f"{what}: element {i} was not written, the TensorArray has size {len(items)}")
    return zeros_of(fill)


def _all(items: list, fill: Spec | None, what: str) -> list:
    for i, x in enumerate(items):
        if x is None and fill is None:
            raise InvalidArgumentError(f"{what}: element {i} of {len(items)} was not written")
    return [x if x is not None else zeros_of(fill) for x in items]         # type: ignore[arg-type]


def _put(whole: ListTensor, at: list, values: list, grow: bool, summed: bool) -> ListTensor:
    items = list(whole.items)
    for i, value in zip(at, values):
        if i >= len(items) and grow and i >= 0:
            items += [None] * (i + 1 - len(items))
        if not 0 <= i < len(items):
            raise OutOfRangeError(f"TensorArray.write: index {i} is outside size {len(items)}; dynamic_size=True "
                                  "lets it grow")
        if items[i] is not None and not summed:
            raise InvalidArgumentError(f"TensorArray.write: element {i} was written before; an element is written "
                                       "once")
        items[i] = value if items[i] is None else add(items[i], value)
    shape = whole.spec.shape
    for value in values:
        shape = _joined(shape, value.spec.shape)
    return ListTensor(Spec(shape, whole.dtype), items)


def _joined(a: tuple | None, b: tuple | None) -> tuple | None:
    """The shape of elements when one of shape b comes to those of shape a."""
    return merged(a, b) if fits(a, b) else None


def _decided(out: Any, what: str) -> Any:
    """A result, refused where ops are compiled and its shape depends on values."""
    interpreter = state.interpreter
    if interpreter is not None and not interpreter.symbolic and out.spec.size is None and out.dtype.kind != "list":
        raise OpenShape(f"TensorArray.{what}: the shape of the result is not known while ops are recorded: give "
                        "element_shape, and size in place of dynamic_size, or run this eagerly or in a tf.Session")
    return out


# -- making
def _new_run(size: Tensor, spec: Spec) -> ListTensor:
    return ListTensor(spec, [None] * int(to_array(size)))


LIST_NEW = OpDef("list_new", ("size",), lambda size, spec: spec, run=_new_run, types="A",
                 doc="A list of unwritten elements.")


def list_new(size: Any, spec: Spec) -> Any:
    """A list of `size` unwritten elements; spec is that of such lists of any length."""
    known = static_int(size)
    if known is None:
        return execute(LIST_NEW, (size,), (("spec", spec),))
    return empty_list(Spec(spec.shape, list_of(spec.dtype.element, known)))     # type: ignore[attr-defined]


def static_int(value: Any) -> int | None:
    """A scalar that is known while ops are recorded: a number, a constant, or what pure ops make of constants."""
    if isinstance(value, Tensor):
        found = _constant(value)
        return None if found is None else int(to_array(found))
    return int(to_array(value.as_tensor()) if hasattr(type(value), "as_tensor") else value)


def _constant(x: Any) -> Any:
    if not isinstance(x, Tensor) or x.sig.device is not None:
        return x
    node = getattr(x, "node", None)
    if node is None or not node.op.pure or node.op.run is not None or len(node.outputs) != 1 \
            or (x.spec.size or 99) > 16:
        return None
    inputs = [_constant(i) if isinstance(i, (Tensor, int, float)) else None for i in node.inputs]
    if any(i is None for i in inputs):
        return None
    with eagerly():
        return execute(node.op, tuple(inputs), node.attrs)


# -- one element
LIST_WRITE = OpDef("list_write", ("array", "index", "value"),
                   lambda a, i, v, grow: Spec(_joined(a.shape, v.shape), a.dtype),
                   run=lambda a, i, v, grow: _put(a, [int(to_array(i))], [v], grow, False), types="ABC",
                   vjps=(lambda g: g, None, lambda g, x1, s2: list_read(g, x1, s2)),
                   doc="A list with one more element.")


def list_write(array: Any, index: Any, value: Any, grow: bool = False) -> Any:
    """The list with `value` at `index`, where nothing was; past the end only if it may `grow`."""
    return execute(LIST_WRITE, (array, index, value), (("grow", grow),))


LIST_READ = OpDef("list_read", ("array", "index"), lambda a, i, fill: _element(a) if fill is None else fill,
                  run=lambda a, i, fill: _at(a.items, int(to_array(i)), fill, "TensorArray.read"), types="AB",
                  vjps=(lambda g, x1, s0: list_write(empty_list(s0), x1, g, True), None), doc="An element of a list.")


def list_read(array: Any, index: Any, fill: Spec | None = None) -> Any:
    """The element at `index`; zeros of spec `fill`, if given, where nothing was written."""
    return _decided(execute(LIST_READ, (array, index), (("fill", fill),)), "read")


def _add_run(a: ListTensor, b: ListTensor) -> ListTensor:
    long, short = (a.items, b.items) if len(a.items) >= len(b.items) else (b.items, a.items)
    items = list(long)
    for i, x in enumerate(short):
        if x is not None:
            items[i] = x if items[i] is None else _sum(items[i], x)
    return ListTensor(Spec(_joined(a.spec.shape, b.spec.shape), a.dtype), items)


def _sum(a: Tensor, b: Tensor) -> Any:
    return list_add(a, b) if isinstance(a, ListTensor) else add(a, b)


LIST_ADD = OpDef("list_add", ("a", "b"), lambda a, b: Spec(_joined(a.shape, b.shape), a.dtype), run=_add_run,
                 types="AB", vjps=(lambda g: g, lambda g: g), doc="The sum of two gradients that are lists.")


def list_add(a: Any, b: Any) -> Any:
    """Element by element; what is not written counts as zero."""
    return execute(LIST_ADD, (a, b))


# -- all elements
def _stacked(spec: Spec, n: Any) -> Spec:
    return Spec(None if spec.shape is None else (n, *spec.shape), spec.dtype.element)   # type: ignore[attr-defined]


def _stack_run(a: ListTensor, fill: Spec | None) -> Any:
    parts = _all(a.items, fill, "TensorArray.stack")
    if parts:
        return stack(parts)
    if a.spec.shape is None or None in a.spec.shape:
        raise InvalidArgumentError("TensorArray.stack: it has no elements, so their shape is unknown; give "
                                   "element_shape")
    return zeros((0, *a.spec.shape), _element(a.spec).dtype)


LIST_STACK = OpDef("list_stack", ("array",), lambda a, fill: _stacked(a, a.dtype.length), run=_stack_run,
                   vjps=(lambda g, s0: list_unstack(g, s0),), doc="All elements as one tensor.")
LIST_UNSTACK = OpDef("list_unstack", ("value",), lambda v, spec, fixed: Spec(
    spec.shape if v.shape is None else merged(spec.shape, v.shape[1:]), spec.dtype),
                     run=lambda v, spec, fixed: ListTensor(Spec(v.spec.shape[1:], spec.dtype),
                                                           list(unstack(v)) if v.spec.shape[0] else []),
                     vjps=(lambda g, s0: _restacked(g, s0),), doc="A list of the rows.")


def list_stack(array: Any, fill: Spec | None = None) -> Any:
    """The elements side by side; `fill` as for `list_read`."""
    return _decided(execute(LIST_STACK, (array,), (("fill", fill),)), "stack")


def list_unstack(value: Any, spec: Spec, fixed: bool = False) -> Any:
    """The rows of `value` as a list of type `spec.dtype`, of their number if that is `fixed`."""
    if fixed:
        spec = Spec(spec.shape, list_of(spec.dtype.element,         # type: ignore[attr-defined]
                                        value.spec.shape and value.spec.shape[0]))
    return execute(LIST_UNSTACK, (value,), (("spec", spec), ("fixed", fixed)))


def _restacked(g: Any, like: Spec) -> Any:
    """The gradient of the rows, of which those that nobody read are missing at the end of the list, too."""
    row = Spec(like.shape[1:], like.dtype)
    at = from_numpy(np.arange(like.shape[0], dtype=np.int32))
    return list_gather(g, at, row)


# -- chosen elements
LIST_GATHER = OpDef("list_gather", ("array", "indices"), lambda a, i, fill: _stacked(
    list_spec(fill) if fill else a, i.shape[0]), run=lambda a, i, fill: _gather_run(a, i, fill), types="AB",
                    vjps=(lambda g, x1, s0: list_scatter(empty_list(s0), x1, g, True, True), None),
                    doc="Chosen elements as one tensor.")


def _gather_run(a: ListTensor, indices: Tensor, fill: Spec | None) -> Any:
    at = to_array(indices)
    if not at.size:         # nothing to stack, of elements of known shape
        return _stack_run(ListTensor(a.spec if fill is None else list_spec(fill), []), fill)
    return stack([_at(a.items, i, fill, "TensorArray.gather") for i in at])


def list_gather(array: Any, indices: Any, fill: Spec | None = None) -> Any:
    """The elements at `indices` side by side."""
    return _decided(execute(LIST_GATHER, (array, indices), (("fill", fill),)), "gather")


LIST_SCATTER = OpDef("list_scatter", ("array", "indices", "value"),
                     lambda a, i, v, grow, summed: Spec(_joined(a.shape, v.shape and v.shape[1:]), a.dtype),
                     run=lambda a, i, v, grow, summed: _put(a, [int(k) for k in to_array(i)], list(unstack(v)), grow,
                                                            summed), types="ABC",
                     vjps=(lambda g: g, None, lambda g, x1, s2: list_gather(g, x1, Spec(s2.shape[1:], s2.dtype))),
                     doc="Rows as elements of a list.")


def list_scatter(array: Any, indices: Any, value: Any, grow: bool = False, summed: bool = False) -> Any:
    """The list with the rows of `value` at `indices`; where an index comes twice they are `summed`, or refused."""
    return execute(LIST_SCATTER, (array, indices, value), (("grow", grow), ("summed", summed)))


# -- one after the other
def _concat_spec(a: Spec) -> Spec:
    if a.shape is None or not a.shape:
        return Spec(None, a.dtype.element)          # type: ignore[attr-defined]
    n = a.dtype.length                              # type: ignore[attr-defined]
    first = None if n is None or a.shape[0] is None else n * a.shape[0]
    return Spec((first, *a.shape[1:]), a.dtype.element)         # type: ignore[attr-defined]


LIST_CONCAT = OpDef("list_concat", ("array", "lengths"), lambda a, n, fill: _concat_spec(a) if fill is None else fill,
                    run=lambda a, n, fill: _concat_run(a, n, fill), types="AB",
                    vjps=(lambda g, x1, s0: execute(LIST_SPLIT, (g, x1), (("spec", s0),)), None),
                    doc="All elements one after the other.")


def _concat_run(a: ListTensor, lengths: Tensor, fill: Spec | None) -> Any:
    if fill is None:
        return concat(_all(a.items, None, "TensorArray.concat"), 0)
    rest = fill.shape[1:]
    items = a.items + [None] * (len(to_array(lengths)) - len(a.items))
    return concat([x if x is not None else zeros((int(n), *rest), fill.dtype)
                   for x, n in zip(items, to_array(lengths))], 0)


def list_concat(array: Any, lengths: Any = None, fill: Spec | None = None) -> Any:
    """The elements one after the other along their first dimension."""
    lengths = list_lengths(array) if lengths is None else lengths
    return _decided(execute(LIST_CONCAT, (array, lengths), (("fill", fill),)), "concat")


LIST_SPLIT: OpDef = OpDef("list_split", ("value", "lengths"), lambda v, n, spec: Spec(
    spec.shape if v.shape is None else merged(spec.shape, (None, *v.shape[1:])), spec.dtype),
                   run=lambda v, n, spec: _split_run(v, n, spec), types="AB",
                   vjps=(lambda g, x1, s0: list_concat(g, x1, s0), None),
                   doc="A list of parts of given lengths.")


def _split_run(value: Tensor, lengths: Tensor, spec: Spec) -> ListTensor:
    sizes = [int(n) for n in to_array(lengths)]
    return ListTensor(Spec(spec.shape, spec.dtype), list(split(value, sizes)))


def list_split(value: Any, lengths: Any, spec: Spec) -> Any:
    """Parts of `lengths` rows each as a list of type `spec.dtype`; of one shape, where they are known to have it."""
    known = _constant(lengths)
    sizes = [] if known is None else to_array(known).tolist()
    if sizes and len(set(sizes)) == 1 and spec.dtype.length in (None, len(sizes)):      # type: ignore[attr-defined]
        spec = Spec(merged(spec.shape, (sizes[0], *value.spec.shape[1:])), spec.dtype)
    return execute(LIST_SPLIT, (value, lengths), (("spec", spec),))


# -- what is known of a list
def _counted(values: list) -> Tensor:
    return from_numpy(np.array(values, np.int32))


LIST_SIZE = OpDef("list_size", ("array",), lambda a: Spec((), "int32"),
                  run=lambda a: from_numpy(np.array(len(a.items), np.int32)), doc="The number of elements.")
LIST_LENGTHS = OpDef("list_lengths", ("array",), lambda a: Spec((a.dtype.length,), "int32"),
                     run=lambda a: _counted([0 if x is None else x.spec.shape[0] if x.spec.shape else 1
                                             for x in a.items]), doc="The first sizes of the elements.")


def list_size(array: Any) -> Any:
    """The number of elements, an int32 scalar known to the host."""
    if array.dtype.length is not None:
        return convert(array.dtype.length)
    return execute(LIST_SIZE, (array,))


def list_lengths(array: Any) -> Any:
    """The first dimension of each element: what undoes `list_concat`."""
    return execute(LIST_LENGTHS, (array,))


LIST_ROWS = frozenset((LIST_NEW, LIST_WRITE, LIST_READ, LIST_ADD, LIST_STACK, LIST_UNSTACK, LIST_GATHER, LIST_SCATTER,
                       LIST_CONCAT, LIST_SPLIT, LIST_SIZE, LIST_LENGTHS))
# these give more than they did when a graph was built, once the shapes are known: the walk calls them anew
AGAIN = {LIST_NEW: list_new, LIST_SIZE: list_size, LIST_UNSTACK: list_unstack, LIST_READ: list_read,
         LIST_STACK: list_stack, LIST_GATHER: list_gather, LIST_CONCAT: list_concat, LIST_SPLIT: list_split}
