"""Reductions, rearranging, gathering and making of tensors in ONNX's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base.shapes import row_major_strides
from cltensor.base.slices import resolve_key
from cltensor.onnx.builder import Call
from cltensor.saved_model.sizes import value_of

__all__ = ["OPERATORS"]

_FAR = -(2 ** 62)       # an end below every element, for slices that run backwards to the first


# -- reductions
def _reduce(name: str) -> Callable[[Call], str]:
    def write(c: Call) -> str:
        b, axis = c.builder, c.attrs["axis"]
        axes = [] if axis is None else [b.constant(axis)]
        if axis == ():
            return c.input(0)
        return b(name, c.input(0), *axes, keepdims=int(c.attrs["keepdims"]))
    return write


def _reduce_bool(name: str) -> Callable[[Call], str]:
    def write(c: Call) -> str:
        b, axis = c.builder, c.attrs["axis"]
        axes = [] if axis is None else [b.constant(axis)]
        whole = b("Cast", c.input(0), to=b.onnx.TensorProto.INT32)
        return b("Cast", b(name, whole, *axes, keepdims=int(c.attrs["keepdims"])), to=b.onnx.TensorProto.BOOL)
    return write


def _arg(name: str) -> Callable[[Call], str]:
    def write(c: Call) -> str:
        found = c.builder(name, c.input(0), axis=c.attrs["axis"], keepdims=0)
        return found if c.out.dtype.size == 8 else c.builder("Cast", found, to=c.builder.kind(c.out.dtype))
    return write


def _cumsum(c: Call) -> str:
    return c.builder("CumSum", c.input(0), c.builder.constant(c.attrs["axis"]), exclusive=int(c.attrs["exclusive"]),
                     reverse=int(c.attrs["reverse"]))


def _l2_loss(c: Call) -> str:
    b, x = c.builder, c.input(0)
    return b("Mul", b("ReduceSumSquare", x, keepdims=0), b.constant(0.5, c.out.dtype))


def _sum_to(c: Call) -> str:
    have, want = c.specs[0].shape, c.out.shape
    full = (1,) * (len(have) - len(want)) + want
    axes = tuple(i for i, (h, w) in enumerate(zip(have, full)) if h != w)
    summed = c.builder("ReduceSum", c.input(0), c.builder.constant(axes), keepdims=1) if axes else c.input(0)
    return _shaped(c, summed)


# -- the same elements under another shape
def _shaped(c: Call, name: str) -> str:
    """The value under the shape of the result; one open size is left to ONNX."""
    dims = c.out.shape
    odd = [d for d in dims if not isinstance(d, int)]
    empty = any(d == 0 for d in dims if isinstance(d, int))
    if len(odd) == 1 and not empty:
        dims = tuple(d if isinstance(d, int) else -1 for d in dims)
    return c.builder("Reshape", name, c.builder.sizes(dims), allowzero=int(empty))


def _reshape(c: Call) -> str:
    return _shaped(c, c.input(0))


def _expand_dims(c: Call) -> str:
    return c.builder("Unsqueeze", c.input(0), c.builder.constant([c.attrs["axis"]]))


def _squeeze(c: Call) -> str:
    axis = c.attrs["axis"]
    if axis is None:
        axis = tuple(i for i, d in enumerate(c.specs[0].shape) if d == 1)
    return c.builder("Squeeze", c.input(0), c.builder.constant(axis))


def _transpose(c: Call) -> str:
    perm = c.attrs["perm"] or tuple(reversed(range(len(c.out.shape))))
    return c.builder.transposed(c.node.inputs[0], c.input(0), perm)


def _broadcast_to(c: Call) -> str:
    return c.builder("Expand", c.input(0), c.builder.sizes(c.out.shape))


# -- parts and wholes
def _concat(c: Call) -> str:
    return c.builder("Concat", *c.inputs, axis=c.attrs["axis"])


def _stack(c: Call) -> str:
    b, axis = c.builder, c.attrs["axis"]
    return b("Concat", *(b("Unsqueeze", x, b.constant([axis])) for x in c.inputs), axis=axis)


def _split(c: Call) -> Any:
    sizes = c.attrs["sizes"]
    if len(sizes) == 1:
        return c.input(0)
    return c.builder("Split", c.input(0), c.builder.sizes(sizes), outputs=len(sizes), axis=c.attrs["axis"])


def _unstack(c: Call) -> list[str]:
    b = c.builder
    return [b("Gather", c.input(0), b.constant(i), axis=c.attrs["axis"]) for i in range(len(c.node.outputs))]


def _cut(c: Call, region: Callable[[dict], tuple]) -> str:
    """The elements of a region: `region` gives first, step and size of each dimension for given sizes."""
    b, rank = c.builder, len(c.specs[0].shape)

    def bounds(at: dict) -> tuple:
        first, step, size = region(at)
        last = tuple(f + n * s if f + n * s >= 0 else _FAR for f, n, s in zip(first, size, step))
        return (*first, *last, *step)
    found = b.over_sizes(bounds, f"op {c.index} ({c.op})")
    starts, ends, steps = found[:rank], found[rank:2 * rank], found[2 * rank:]
    if not rank:
        return _shaped(c, c.input(0))
    name = b("Slice", c.input(0), b.sizes(starts), b.sizes(ends), b.constant(tuple(range(rank))), b.sizes(steps))
    return name if len(c.out.shape) == rank else _shaped(c, name)


def _strided_slice(c: Call) -> str:
    def region(at: dict) -> tuple:
        found = resolve_key("slice", c.shape_at(0, at), value_of(c.attrs["key"], at))
        return found.begin, found.step, found.size
    return _cut(c, region)


def _take_at(c: Call) -> str:
    def region(at: dict) -> tuple:
        shape, offset = c.shape_at(0, at), value_of(c.node.inputs[1], at)
        first = []
        for stride in row_major_strides(shape):
            first.append(offset // stride if stride else 0)
            offset -= first[-1] * stride
        return tuple(first), value_of(c.attrs["step"], at), value_of(c.attrs["size"], at)
    return _cut(c, region)


def _pad(c: Call) -> str:
    b, paddings = c.builder, c.attrs["paddings"]
    ends = tuple(p[0] for p in paddings) + tuple(p[1] for p in paddings)
    return b("Pad", c.input(0), b.sizes(ends), b.constant(c.attrs.get("value", 0), c.out.dtype))


# -- by index
def _gather(c: Call) -> str:
    return c.builder("Gather", *c.inputs, axis=c.attrs["axis"])


def _gather_nd(c: Call) -> str:
    b, (x, at) = c.builder, c.inputs
    return b("GatherND", x, at if c.specs[1].dtype.size == 8 else b("Cast", at, to=b.onnx.TensorProto.INT64))


def _scatter_nd(c: Call) -> str:
    b, (updates, at) = c.builder, c.inputs
    zeros = b("Expand", b.constant(0, c.out.dtype), b.sizes(c.out.shape))
    at = at if c.specs[1].dtype.size == 8 else b("Cast", at, to=b.onnx.TensorProto.INT64)
    return b("ScatterND", zeros, at, updates, reduction="add")


def _one_hot(c: Call) -> str:
    """By comparing, as an index outside gives a row of `off`: ONNX's OneHot counts negative ones from the end."""
    b, dtype = c.builder, c.out.dtype
    rank = len(c.out.shape)
    axis = c.attrs["axis"] % rank
    places = np.arange(c.attrs["depth"]).reshape([-1 if i == axis else 1 for i in range(rank)])
    at = b("Cast", b("Unsqueeze", c.input(0), b.constant([axis])), to=b.onnx.TensorProto.INT64)
    on, off = (np.array(c.attrs[k], f"u{dtype.size}").view(dtype.np) for k in ("on", "off"))
    return b("Where", b("Equal", at, b.constant(places)), b.constant(on, dtype), b.constant(off, dtype))


def _argsort(c: Call) -> str:
    """All elements as the k best: of equal ones the first comes first, there and here."""
    b = c.builder
    _, at = b("TopK", c.input(0), b.sizes(c.out.shape[-1:]), outputs=2, axis=-1, largest=int(c.attrs["descending"]))
    return b("Cast", at, to=b.kind(c.out.dtype))


# -- made from nothing
def _fill(c: Call) -> str:
    value = c.node.inputs[0]
    name = c.builder.constant(value, c.out.dtype) if isinstance(value, (int, float)) else \
        c.builder("Cast", c.input(0), to=c.builder.kind(c.out.dtype))
    return c.builder("Expand", name, c.builder.sizes(c.out.shape))


def _full_like(c: Call) -> str:
    return c.builder("Expand", c.builder.constant(c.attrs["value"], c.out.dtype), c.builder("Shape", c.input(0)))


def _eye(c: Call) -> str:
    if not all(isinstance(d, int) for d in c.out.shape):
        raise c.refuse("of an open size is not offered in ONNX")
    return c.builder.constant(np.eye(*c.out.shape), c.out.dtype)


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "reduce_sum": _reduce("ReduceSum"), "reduce_mean": _reduce("ReduceMean"), "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"), "reduce_prod": _reduce("ReduceProd"), "reduce_all": _reduce_bool("ReduceMin"),
    "reduce_any": _reduce_bool("ReduceMax"), "argmax": _arg("ArgMax"), "argmin": _arg("ArgMin"), "cumsum": _cumsum,
    "l2_loss": _l2_loss, "sum_to": _sum_to, "reshape": _reshape, "expand_dims": _expand_dims, "squeeze": _squeeze,
    "transpose": _transpose, "broadcast_to": _broadcast_to, "concat": _concat, "stack": _stack, "split": _split,
    "unstack": _unstack, "strided_slice": _strided_slice, "take_at": _take_at, "pad": _pad, "gather": _gather,
    "gather_nd": _gather_nd, "scatter_nd": _scatter_nd, "one_hot": _one_hot, "fill": _fill, "full_like": _full_like,
    "eye": _eye, "argsort": _argsort,
}
