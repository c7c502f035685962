"""What operators are written with: an ONNX graph under construction, its names, constants and open sizes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base import optional
from cltensor.base.dtypes import DType, int32
from cltensor.base.errors import UnimplementedError
from cltensor.core.dispatch import letters
from cltensor.core.op import registry
from cltensor.saved_model.graph_def import Bundle, GraphDef, NodeDef, Ref, SizedConstant, Value
from cltensor.saved_model.sizes import Size, fit, points, value_of

__all__ = ["Builder", "Call", "OPSET"]

OPSET = 18
_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


class Builder:
    """An ONNX graph: nodes and initializers, each value by its name.

    Args:
        operators: op -> function of a Call that writes it, and returns the names of its results.
    """

    def __init__(self, graph: GraphDef, bundle: Bundle, operators: dict[str, Callable[[Call], Any]]):
        self.graph, self.bundle, self.operators = graph, bundle, operators
        self.outermost = graph
        self.onnx = optional.load("onnx", extra="onnx")
        self.nodes: list[Any] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.points = points(list(graph.sizes), set())
        self._known: dict[tuple, str] = {}              # bytes of a constant -> its name
        self._images: dict[str, str] = {}               # an NHWC value -> the NCHW value it was made from
        self._taken: set[str] = {f.name for f in graph.feeds}
        self._made: list[tuple[str, ...]] = []          # names of each node's results

    # -- names and nodes
    def name(self, wish: str) -> str:
        """A name nothing else has."""
        found, n = wish, 0
        while found in self._taken:
            n += 1
            found = f"{wish}_{n}"
        self._taken.add(found)
        return found

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attrs: Any) -> Any:
        """Append a node; the name of its result, or a list of names."""
        names = [self.name(op) for _ in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), names, name=self.name(f"{op}_node"), **attrs))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: Any = np.int64, wish: str = "constant") -> str:
        """An array kept in the file; equal ones share a name."""
        array = np.array(value, dtype.np if isinstance(dtype, DType) else dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.name(wish)
            self.initializers[self._known[key]] = array
        return self._known[key]

    def array_of(self, ref: Any) -> np.ndarray | None:
        """The value of a variable or constant, None for what is computed."""
        if isinstance(ref, Ref) and ref.kind in ("variable", "constant"):
            return (self.bundle.values if ref.kind == "variable" else self.bundle.constants)[ref.index]
        return None

    def read(self, ref: Ref) -> str:
        """The name of what a reference stands for."""
        if ref.kind == "feed":
            return self.graph.feeds[ref.index].name
        if ref.kind == "node":
            return self._made[ref.index][ref.output]
        array = self.array_of(ref)
        wish = self.bundle.variables[ref.index].name if ref.kind == "variable" else "constant"
        return self.constant(array, array.dtype, wish)      # type: ignore[union-attr]

    def write(self) -> None:
        """Append what the graph's nodes are in ONNX.

        Raises: UnimplementedError naming an op without a counterpart.
        """
        for i, node in enumerate(self.graph.nodes):
            call = Call(self, i, node)
            if node.op not in self.operators:
                raise call.refuse()
            names = self.operators[node.op](call)
            self._made.append((names,) if isinstance(names, str) else tuple(names))

    def within(self, graph: GraphDef) -> Builder:
        """A builder that appends another graph's nodes where this one stands."""
        other = copy.copy(self)
        other.graph, other._made = graph, []
        return other

    def body(self) -> Builder:
        """A builder of a graph inside this one, which sees what is here; here, nobody sees what is there."""
        other = copy.copy(self)
        other.nodes, other._known, other._images = [], dict(self._known), dict(self._images)
        return other

    def info(self, name: str, value: Value) -> Any:
        """What ONNX is told of an input or output."""
        dims = [d if d is None or isinstance(d, int) else str(d) for d in value.shape]
        return self.onnx.helper.make_tensor_value_info(name, self.kind(value.dtype), dims)

    # -- layout
    def transposed(self, ref: Any, name: str, perm: tuple) -> str:
        """A value with other order of dimensions; one that is kept in the file is kept in that order."""
        array = self.array_of(ref)
        if array is not None:
            return self.constant(np.ascontiguousarray(array.transpose(perm)), array.dtype, name)
        return self("Transpose", name, perm=list(perm))

    def image(self, name: str) -> str:
        """The NCHW form of an NHWC image."""
        return self._images.get(name) or self("Transpose", name, perm=list(_TO_NCHW))

    def from_image(self, name: str) -> str:
        """The NHWC form of an NCHW image."""
        out = self("Transpose", name, perm=list(_TO_NHWC))
        self._images[out] = name
        return out

    # -- open sizes
    def over_sizes(self, compute: Callable[[dict], tuple], what: str) -> tuple:
        """Integers that are computed from sizes, as data: `compute` is asked for several sizes.

        Raises: UnimplementedError where they follow from the open sizes in another way than by sums and products.
        """
        columns = zip(*(compute(at) for at in self.points))
        found = tuple(fit(list(c), self.points) for c in columns)
        if None in found:
            raise UnimplementedError(f"onnx.export: {what} depends on the open sizes {', '.join(self.graph.sizes)} in "
                                     "a way that is not offered; give these sizes in input_signature")
        return found

    def sizes(self, dims: tuple) -> str:
        """A vector of int64 with these numbers, open sizes looked up when the model runs."""
        if all(isinstance(d, int) for d in dims):
            return self.constant(dims)
        if None in dims:
            raise UnimplementedError("onnx.export: a size is needed that does not follow by sums and products from the "
                                     f"open sizes {', '.join(self.graph.sizes)}; give these in input_signature")
        parts = [self._size(d) if isinstance(d, Size) else self.constant([d]) for d in dims]
        return parts[0] if len(parts) == 1 else self("Concat", *parts, axis=0)

    def _size(self, size: Size) -> str:
        total = ""
        for factor, names in size.terms:
            term = self.constant([factor]) if factor != 1 or not names else ""
            for name in names:
                term = self("Mul", term, self._named(name)) if term else self._named(name)
            total = self("Add", total, term) if total else term
        return total

    def _named(self, name: str) -> str:
        key = ("size", name)
        if key not in self._known:
            feed, axis = next((f, i) for f in self.outermost.feeds for i, d in enumerate(f.value.shape)
                              if isinstance(d, Size) and d.name == name)
            self._known[key] = self("Shape", feed.name, start=axis, end=axis + 1)
        return self._known[key]

    def number(self, value: Any, dtype: DType) -> str:
        """A Python number, or one that follows from open sizes, as a scalar."""
        if isinstance(value, SizedConstant):
            flat = self("Cast", self.sizes(value.elements), to=self.kind(value.dtype))
            return self("Reshape", flat, self.constant(value.shape or (), np.int64))
        if not isinstance(value, Size):
            return self.constant(value, dtype)
        whole = self("Cast", self._size(Size(value.terms)), to=self.kind(dtype))
        scalar = self("Reshape", whole, self.constant([], np.int64))
        return self("Reciprocal", scalar) if value.kind == "inverse" else scalar

    def kind(self, dtype: DType) -> int:
        """ONNX's number of a dtype."""
        return self.onnx.helper.np_dtype_to_tensor_dtype(dtype.np)


class Call:
    """One node to be written: its inputs' names and values, its attributes, its results' values."""

    def __init__(self, builder: Builder, index: int, node: NodeDef):
        self.builder, self.index, self.node, self.op = builder, index, node, node.op
        self.attrs = dict(node.attrs)
        self.out = node.outputs[0]
        self.specs = self._specs()

    def _specs(self) -> list[Value]:
        """Shape and dtype of each input; a number has the dtype of the tensors beside it."""
        graph, bundle = self.builder.graph, self.builder.bundle
        found = [bundle.value_of(graph, x) if isinstance(x, Ref) else Value(x.shape, x.dtype)
                 if isinstance(x, SizedConstant) else getattr(x, "like", None) for x in self.node.inputs]
        row = registry().get(self.op)       # none for branches and loops
        groups = letters(row, len(found)) if row else "".join(map(chr, range(len(found))))
        beside = {g: v.dtype for g, v in zip(groups, found) if v is not None}
        return [v or Value((), beside.get(g, self.out.dtype if self.out.dtype.is_floating else int32))
                for g, v in zip(groups, found)]

    def input(self, i: int) -> str:
        """Name of an input."""
        x = self.node.inputs[i]
        return self.builder.read(x) if isinstance(x, Ref) else self.builder.number(x, self.specs[i].dtype)

    @property
    def inputs(self) -> list[str]:
        """Names of all inputs."""
        return [self.input(i) for i in range(len(self.node.inputs))]

    def shape_at(self, i: int, at: dict) -> tuple:
        """Shape of an input for given sizes.

        Raises: UnimplementedError where it does not follow from them by sums and products.
        """
        shape = value_of(self.specs[i].shape, at)
        if None in shape:
            raise self.refuse("reads a tensor whose size is not known before the model runs")
        return shape

    def refuse(self, why: str = "has no counterpart in ONNX that is offered") -> UnimplementedError:
        """The error for a node that cannot be written."""
        given = ", ".join(map(str, self.specs)) or "nothing"
        return UnimplementedError(f"onnx.export: op {self.op} {why}: it is op {self.index} of "
                                  f"{self.builder.graph.name}, which makes {self.out} of {given}")
