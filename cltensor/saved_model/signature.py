"""Signatures: which tensors a saved function takes, under which names, and which of their sizes are open."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from cltensor.base import nest
from cltensor.base.errors import InvalidArgumentError
from cltensor.graph.function import Function
from cltensor.graph.tensor_spec import TensorSpec, as_tensor_spec, is_spec_like
from cltensor.keras.layer import Layer
from cltensor.keras.network import Model
from cltensor.saved_model.graph_def import Feed, GraphDef, Value
from cltensor.saved_model.sizes import Size

__all__ = ["Signature", "readings", "specs_of", "parameter_names"]


class Signature:
    """The arguments of a function.

    Args:
        names: of the arguments.
        specs: a TensorSpec, or a nest of them, per argument.
        shared: open sizes at one position have one name for all tensors, "batch" at the first; else each its own.

    Attributes: `arguments`, `feeds` as in GraphDef; `sizes`, the names of open sizes; `batch`, those that stand first.
    """

    def __init__(self, names: list[str], specs: list, shared: bool):
        feeds: list[Feed] = []
        self.sizes: list[str] = []
        self.batch: set[str] = set()
        arguments: list[tuple[str, Any]] = []
        for argument, structure in zip(names, specs):
            numbers = []
            for path, spec in nest.flatten_with_paths(structure):
                name = spec.name or "/".join([argument, *map(str, path)])
                if any(f.name == name for f in feeds):
                    raise InvalidArgumentError(f"saved_model.save: two inputs are named {name!r}")
                numbers.append(len(feeds))
                feeds.append(Feed(name, Value(self._dims(name, spec, shared), spec.dtype)))
            arguments.append((argument, nest.pack_sequence_as(structure, numbers)))
        self.arguments: tuple = tuple(arguments)
        self.feeds: tuple[Feed, ...] = tuple(feeds)

    @classmethod
    def of(cls, graph: GraphDef) -> Signature:
        """The signature a saved function has."""
        self = cls([], [], True)
        self.arguments, self.feeds, self.sizes = graph.arguments, graph.feeds, list(graph.sizes)
        self.batch = {n for n in self.sizes if n.rpartition(".")[2] == "batch"}
        return self

    def _dims(self, name: str, spec: TensorSpec, shared: bool) -> tuple:
        if spec.dims is None:
            raise InvalidArgumentError(f"saved_model.save: the rank of input {name!r} must be known; give its shape, "
                                       "with None for sizes that vary")
        dims: list = []
        for axis, n in enumerate(spec.dims):
            if n is None:
                size = ("" if shared else f"{name}.") + ("batch" if axis == 0 else f"size{axis}")
                if size not in self.sizes:
                    self.sizes.append(size)
                if axis == 0:
                    self.batch.add(size)
                n = Size(((1, (size,)),))
            dims.append(n)
        return tuple(dims)

    def pack(self, tensors: list) -> list:
        """Arguments made of one tensor per feed."""
        return [nest.map_structure(lambda i: tensors[i], structure) for _, structure in self.arguments]


def readings(names: list[str], specs: list) -> list[Signature]:
    """Readings of open sizes to try: each tensor's its own, then shared by all; one where there is no difference."""
    shared = Signature(names, specs, True)
    if len({f.name for f in shared.feeds if any(isinstance(d, Size) for d in f.value.shape)}) < 2:
        return [shared]
    return [Signature(names, specs, False), shared]


def parameter_names(function: Callable, count: int) -> list[str]:
    """Names of the first parameters; arg0, arg1, ... where they have none."""
    target = function.call if isinstance(function, Layer) else function
    try:
        found = [p.name for p in inspect.signature(target).parameters.values()
                 if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        found = []
    return [found[i] if i < len(found) else f"arg{i}" for i in range(count)]


def specs_of(function: Any, given: Any, name: str) -> list:
    """One TensorSpec, or a nest of them, per argument: as given, as the function knows, or as a layer was built.

    Raises: InvalidArgumentError where nothing is known.
    """
    if given is None and isinstance(function, Function):
        given = function.input_signature
    if given is None and isinstance(function, Layer):
        given = _built_for(function)
    if given is None:
        raise InvalidArgumentError(f"saved_model.save: the shapes that {name} takes are not known; give "
                                   "input_signature, a list with a tf.TensorSpec for each argument")
    alone = isinstance(given, TensorSpec) or not isinstance(given, (list, tuple))
    return [_specs(x) for x in ([given] if alone else given)]


def _specs(value: Any) -> Any:
    if is_spec_like(value) or not nest.is_sequence(value):
        return as_tensor_spec(value, "saved_model.save: input_signature")
    if isinstance(value, dict):
        return {k: _specs(v) for k, v in value.items()}
    return type(value)(_specs(v) for v in value) if not nest.is_namedtuple(value) else tuple(map(_specs, value))


def _built_for(layer: Layer) -> list | None:
    """The input a layer says it takes, or was built for; with any batch size."""
    if isinstance(layer, Model) and layer._network is not None:
        return [nest.map_structure(lambda x: TensorSpec(x.spec.shape, x.dtype), layer._network.inputs)]
    known = layer._state.built_for
    if known is not None:
        return [nest.map_structure(lambda s: TensorSpec((None, *s.shape[1:]) if s.shape else s.shape, s.dtype), known)]
    first: Any = layer
    while first is not None:
        if first._state.input_shape is not None:
            return [TensorSpec((None, *first._state.input_shape[1:]), first.input_dtype or first.dtype or "float32")]
        first = next(iter(getattr(first, "_stack", ())), None)
    return None
