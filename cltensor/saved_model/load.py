"""tf.saved_model.load: variables, and functions of them, from a folder."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from cltensor.base import nest
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import eagerly, quietly, state
from cltensor.core.tensor import Tensor, convert, from_numpy
from cltensor.core.trackable import Trackable
from cltensor.graph.function import Function
from cltensor.graph.tensor_spec import TensorSpec
from cltensor.ops.variable import Variable
from cltensor.saved_model import folder
from cltensor.saved_model.graph_def import Bundle, GraphDef
from cltensor.saved_model.run import run, verify
from cltensor.saved_model.show import dot
from cltensor.saved_model.sizes import Size

__all__ = ["load", "Loaded", "LoadedFunction", "DEFAULT"]

DEFAULT = "serving_default"     # the signature that calling the loaded object runs


class LoadedFunction:
    """A function of a saved model; called as the saved one was, traced once per shapes of its arguments.

    Attributes: `name`; `input_signature`, a TensorSpec (or a nest) per argument; `graph`, its nodes as data;
    `function`, the traced function behind it.
    """

    def __init__(self, graph: GraphDef, bundle: Bundle, variables: list, constants: list):
        self.graph, self.name, self._bundle = graph, graph.name, bundle
        self._variables, self._constants = variables, constants
        self.function = Function(self._run, graph.name)

    @property
    def input_signature(self) -> list:
        """What the arguments must look like; None where a size is open."""
        specs = [TensorSpec([None if isinstance(d, Size) else d for d in f.value.shape], f.value.dtype, f.name)
                 for f in self.graph.feeds]
        return [nest.map_structure(lambda i: specs[i], s) for _, s in self.graph.arguments]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it on tensors, or what converts to them.

        Raises: InvalidArgumentError for missing or unknown arguments and shapes that do not fit, DTypeError for
            another dtype.
        """
        tensors = self._tensors(args, kwargs)
        interpreter = state.interpreter
        # a graph that does not know the sizes keeps the call until it does
        return self.function(*tensors) if interpreter is None else interpreter.attempt(self._run, tuple(tensors), {})

    def _tensors(self, args: tuple, kwargs: dict) -> list:
        names = [name for name, _ in self.graph.arguments]
        given = dict(zip(names, args))
        twice = sorted(given.keys() & kwargs.keys())
        given |= kwargs
        if len(args) > len(names) or twice or given.keys() != set(names):
            raise InvalidArgumentError(f"{self.name}: it takes {', '.join(names) or 'no arguments'}; {len(args)} "
                                       "values are given" + (f" and {', '.join(kwargs)}" if kwargs else ""))
        out: list = [None] * len(self.graph.feeds)
        for name, structure in self.graph.arguments:
            if nest.is_sequence(structure):
                nest.assert_same_structure(structure, given[name], check_types=False)
            for i, x in zip(nest.flatten(structure), nest.flatten(given[name]) if nest.is_sequence(structure)
                            else [given[name]]):
                feed = self.graph.feeds[i]
                t = convert(x, None if isinstance(x, (Tensor, Variable)) else feed.value.dtype, op=self.name)
                if t.dtype is not feed.value.dtype:
                    raise DTypeError(f"{self.name}: {feed.name} must have dtype {feed.value.dtype.name}, it has "
                                     f"{t.dtype.name}; use cast")
                out[i] = t
        self._sizes(out)
        return out

    def _sizes(self, tensors: list) -> dict[str, Any]:
        """The open sizes these tensors give.

        Raises: InvalidArgumentError where a size differs from the signature's, or between tensors.
        """
        known: dict[Any, Any] = {}
        for feed, t in zip(self.graph.feeds, tensors):
            shape, want = t.spec.shape, feed.value.shape
            fits = shape is not None and len(shape) == len(want)
            for n, d in zip(shape, want) if fits else ():
                expected = known.setdefault(d.name, n) if isinstance(d, Size) else d
                fits = fits and (n is None or expected is None or n == expected)
            if not fits:
                shown = ", ".join(str(known.get(d.name, d)) if isinstance(d, Size) else str(d) for d in want)
                raise InvalidArgumentError(f"{self.name}: {feed.name} must have shape ({shown}), it has shape "
                                           f"{show(shape)}")
        return known

    def positional(self, *args: Any) -> Any:
        """The nodes as a Python function of the arguments, not traced by itself."""
        return self._run(*self._tensors(args, {}))

    def _run(self, *tensors: Tensor) -> Any:
        """The nodes as a Python function of tensors."""
        values = [v.as_tensor() for v in self._variables]
        result, writes = run(self.graph, list(tensors), values, self._constants, self._sizes(list(tensors)))
        for i, value in writes:
            self._variables[i].assign(value)
        return result

    def to_dot(self) -> str:
        """A picture of the nodes for Graphviz: `dot -Tsvg` draws it."""
        return dot(self.graph, self._bundle)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{f.name}: {f.value}" for f in self.graph.feeds)
        return f"<saved function {self.name}({arguments}), {len(self.graph.nodes)} ops>"


class Loaded(Trackable):
    """A saved model in memory: call it, differentiate by its variables, train them, save it again.

    Attributes: `signatures`, its functions by name; each is an attribute, too.
    """

    _untracked: tuple = ("signatures",)

    def __init__(self, bundle: Bundle):
        self._variables = [Variable(lambda v=v: v, d.trainable, name=d.name, dtype=d.value.dtype, host=d.host)
                           for d, v in zip(bundle.variables, bundle.values)]
        constants = [from_numpy(c) for c in bundle.constants]
        bundle = replace(bundle, values=())         # they live in the variables from now on
        self.signatures = {name: LoadedFunction(f, bundle, self._variables, constants)
                           for name, f in bundle.functions.items()}

    @property
    def variables(self) -> list:
        """All variables, in the order of the file; `name` is the one they were saved under."""
        return list(self._variables)

    @property
    def trainable_variables(self) -> list:
        """Those an optimizer may change."""
        return [v for v in self._variables if v.trainable]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the signature "serving_default", or the only one.

        Raises: InvalidArgumentError where there are several and none has that name.
        """
        found = self.signatures
        if DEFAULT not in found and len(found) != 1:
            raise InvalidArgumentError(f"saved_model: there are several functions, call one of {', '.join(found)} of "
                                       "`signatures`")
        return (found[DEFAULT] if DEFAULT in found else next(iter(found.values())))(*args, **kwargs)

    def __repr__(self) -> str:
        functions = ", ".join(map(repr, self.signatures.values()))
        return f"<loaded model: {functions}; variables: {len(self._variables)}>"

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__.get("signatures", {})
        if name in found:
            return found[name]
        raise AttributeError(f"the loaded model has no attribute {name!r}; its functions are {', '.join(found)}")


def load(export_dir: Any, tags: Any = None) -> Loaded:
    """The saved model of a folder, on the current device.

    Nothing of it is code: ops are looked up by name, attributes are plain data. Every reference, shape and checksum
    is tested before anything is made.

    Args:
        export_dir: the folder `save` wrote.

    Returns: an object that is called like what was saved, with `signatures`, `variables`, `trainable_variables`.
    Raises: NotFoundError where there is none; DataLossError for a damaged one; InvalidArgumentError for one written
        by a newer version.

    Example:
        >>> import cltensor as tf, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> double = tf.function(lambda x: x * 2., input_signature=[tf.TensorSpec([None])])
        >>> _ = tf.saved_model.save(double, folder)
        >>> tf.saved_model.load(folder)([1., 2., 3.]).numpy().tolist()
        [2.0, 4.0, 6.0]
    """
    path = os.fspath(export_dir)
    bundle = folder.read(path)
    with quietly():
        for graph in bundle.functions.values():
            verify(graph, bundle, path)
    with eagerly():
        return Loaded(bundle)
