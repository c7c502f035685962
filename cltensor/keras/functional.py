"""Models made of inputs and outputs: `Input` begins, layers are called on what is yet to come, `Model` closes.

    x = Input((784,))  ->  y = Dense(10)(x)  ->  Model(x, y)

A *flow* stands for a tensor to come: it has a spec and knows the call of a layer that makes it. A layer called on
flows is recorded on symbols of two sizes, which builds it and shows the specs of its results: sizes that differ
follow an open size of the input. Nothing is computed. A model walks back from its outputs and keeps the calls in an
order in which they can run.
"""

from __future__ import annotations

from typing import Any

from cltensor.base import nest
from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core.dispatch import install_reader
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor
from cltensor.interpret.record import Recording, Symbol

ASSUMED = ((2, 32), (3, 64))     # sizes of an open batch and of other open dimensions, for the two recordings

__all__ = ["Flow", "Call", "Network", "begin", "flows_in", "flow_through"]


class Call:
    """A layer called on flows: what it read, and the flows it made."""

    __slots__ = ("layer", "inputs", "args", "kwargs", "outputs")

    def __init__(self, layer: Any, inputs: Any, args: tuple = (), kwargs: Any = None):
        self.layer, self.inputs, self.args, self.kwargs = layer, inputs, args, kwargs or {}
        self.outputs: Any = None


class Flow(Symbol):
    """A tensor to come: an Input, or the result of a layer called on one."""

    __slots__ = ("call",)

    def __init__(self, spec: Spec, call: Call):
        super().__init__(spec)
        self.call = call

    def as_tensor(self) -> Any:
        """Refuses: an op asked for a value."""
        raise TypeError(f"{self!r} is a part of a model to be, made by {self.call.layer.name}: only layers take it; "
                        "put ops into a tf.keras.layers.Lambda")

    @property
    def buffer(self) -> Any:
        return self.as_tensor()

    __hash__ = Tensor.__hash__


install_reader(Flow)        # so that an op that meets one asks for as_tensor, and gets the sentence above


def begin(layer: Any, shape: tuple, dtype: Any) -> Flow:
    """The flow an input layer starts."""
    call = Call(layer, None)
    call.outputs = Flow(Spec(shape, as_dtype(dtype)), call)
    return call.outputs


def flows_in(structure: Any) -> list:
    """The flows in a nest of inputs."""
    if isinstance(structure, Flow):
        return [structure]
    return [x for x in nest.flatten(structure) if isinstance(x, Flow)] if isinstance(structure, (list, tuple, dict)) \
        else []


def _assumed(spec: Spec, sizes: tuple) -> Spec:
    """The spec with its batch and its other open sizes as assumed."""
    return Spec(tuple(d if d is not None else sizes[i > 0] for i, d in enumerate(spec.shape)), spec.dtype)


def _replaced(structure: Any, values: dict) -> Any:
    return nest.map_structure(lambda x: values[x.uid] if isinstance(x, Flow) else x, structure)


def flow_through(layer: Any, inputs: Any, args: tuple, kwargs: dict) -> Any:
    """Calls a layer on flows: the flows of its results.

    Raises: what the layer raises for inputs of these shapes; TypeError where it looks at values.
    """
    call = Call(layer, inputs, args, kwargs)
    results = []
    for sizes in ASSUMED:
        symbols = {f.uid: Symbol(_assumed(f.spec, sizes)) for f in flows_in([inputs, list(args), kwargs])}
        with Recording():
            results.append(layer(_replaced(inputs, symbols), *_replaced(list(args), symbols),
                                 **_replaced(kwargs, symbols)))

    def follow(a: Any, b: Any) -> Any:
        if not isinstance(a, Tensor):
            return a
        return Flow(Spec(tuple(m if m == n else None for m, n in zip(a.spec.shape, b.spec.shape)), a.dtype), call)
    call.outputs = nest.map_structure(follow, *results)
    layer._state.call = call
    if isinstance(call.outputs, Flow):
        layer._state.output_shape = call.outputs.spec.shape
    return call.outputs


class Network:
    """The calls between some inputs and outputs, in an order in which they can run.

    Raises: InvalidArgumentError for what is no flow, an input that no Input made, outputs that need another input, or
        two layers of one name.
    """

    def __init__(self, name: str, inputs: Any, outputs: Any):
        self.name, self.inputs, self.outputs = name, inputs, outputs
        self.begins, ends = nest.flatten(inputs), nest.flatten(outputs)
        for what, some in (("inputs", self.begins), ("outputs", ends)):
            for f in some:
                if not isinstance(f, Flow):
                    raise InvalidArgumentError(f"{name}: {what} must come from tf.keras.Input and layers called on it, "
                                               f"{f!r:.60} is a {type(f).__name__}")
        self.calls: list[Call] = []
        seen = {f.uid for f in self.begins}
        done: set[int] = set()
        stack = [(f.call, False) for f in reversed(ends) if f.uid not in seen]
        while stack:            # depth first without recursion: models may be deep
            call, ready = stack.pop()
            if ready:
                self.calls.append(call)
            elif id(call) not in done:
                done.add(id(call))
                if call.inputs is None:
                    raise InvalidArgumentError(f"{name}: the outputs depend on {call.layer.name}, an Input of shape "
                                               f"{show(call.outputs.spec.shape)} that is not among the inputs")
                stack.append((call, True))
                stack += [(f.call, False) for f in reversed(flows_in([call.inputs, list(call.args), call.kwargs]))
                          if f.uid not in seen]
        by_name: dict[str, Any] = {}
        for layer in self.layers:
            if by_name.setdefault(layer.name, layer) is not layer:
                raise InvalidArgumentError(f"{name}: two layers are named {layer.name!r}; names must differ")

    @property
    def layers(self) -> list:
        """Every layer once: those of the inputs, then in the order of the calls."""
        out: list = []
        for call in [f.call for f in self.begins] + self.calls:
            if not any(call.layer is known for known in out):
                out.append(call.layer)
        return out

    def run(self, inputs: Any, training: Any) -> Any:
        """The outputs for these inputs.

        Raises: InvalidArgumentError for another number of inputs, or a shape that does not fit an Input.
        """
        if isinstance(inputs, dict) and not isinstance(self.inputs, dict):
            inputs = [inputs.get(f.call.layer.name) for f in self.begins]
        given = nest.flatten(inputs)
        if len(given) != len(self.begins) or not all(isinstance(x, Tensor) for x in given):
            raise InvalidArgumentError(f"{self.name}: the model has {len(self.begins)} inputs ("
                                       + ", ".join(f.call.layer.name for f in self.begins) + "), it was called with "
                                       f"{sum(isinstance(x, Tensor) for x in given)} tensors")
        values: dict[int, Any] = {}
        for f, x in zip(self.begins, given):
            if not TensorShape(f.spec.shape).is_compatible_with(x.shape):
                raise InvalidArgumentError(f"{self.name}: {f.call.layer.name} takes shape {show(f.spec.shape)}, the "
                                           f"input has shape {show(x.spec.shape)}")
            values[f.uid] = x
        for call in self.calls:
            kwargs = _replaced(call.kwargs, values)
            if training is not None and "training" not in kwargs:
                kwargs["training"] = training
            made = call.layer(_replaced(call.inputs, values), *_replaced(list(call.args), values), **kwargs)
            for f, x in zip(nest.flatten(call.outputs), nest.flatten(made)):
                if isinstance(f, Flow):
                    values[f.uid] = x
        return _replaced(self.outputs, values)
