"""Export of functions and models to ONNX, the format other runtimes read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from cltensor.base import nest
from cltensor.base.errors import UnimplementedError
from cltensor.onnx import arrays, control, elementwise, neural
from cltensor.onnx.builder import OPSET, Builder
from cltensor.saved_model.graph_def import Bundle, GraphDef, Ref, Value
from cltensor.saved_model.load import DEFAULT
from cltensor.saved_model.save import describe
from cltensor.saved_model.sizes import Size
from cltensor.train.container import replace_file

__all__ = ["export", "OPERATORS"]

OPERATORS = {**elementwise.OPERATORS, **arrays.OPERATORS, **neural.OPERATORS, **control.OPERATORS}
_IR_VERSION = 8         # goes with the opset; runtimes refuse a newer one than they know


def export(obj: Any, path: Any, input_signature: Any = None) -> str:
    """Writes a function as an ONNX model (opset 18), open sizes as named dimensions, variables as its weights.

    Inputs are named after the function's parameters, outputs after the keys of a returned dict, else "output" or
    "output_0", "output_1", ...; onnx.checker tests the model before it is written.

    Args:
        obj: a `tf.function`, a Keras model or layer, a function of tensors, or a loaded model; what
            `tf.saved_model.save` takes.
        path: of the file, most often ending in ".onnx".
        input_signature: as for `tf.saved_model.save`.

    Returns: the path.
    Raises: UnimplementedError naming an op that has no counterpart, random draws and assignments among them;
        ImportError without the package onnx (`pip install "cltensor[onnx]"`); as `tf.saved_model.save`. Nothing is
        written then.

    Example:
        >>> import cltensor as tf, tempfile, os
        >>> model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
        >>> path = tf.contrib.onnx.export(model, os.path.join(tempfile.mkdtemp(), "dense.onnx"))
        >>> import onnx
        >>> [n.op_type for n in onnx.load(path).graph.node]
        ['MatMul', 'Add', 'Identity']
    """
    bundle = describe(obj, None, input_signature)
    if len(bundle.functions) > 1 and DEFAULT not in bundle.functions:
        raise UnimplementedError("onnx.export: a model has one function, here are " + ", ".join(bundle.functions)
                                 + "; export one of `signatures`")
    graph = bundle.functions.get(DEFAULT) or next(iter(bundle.functions.values()))
    model = _model(graph, bundle)
    target = os.fspath(path)
    replace_file(target, model.SerializeToString())
    return target


def _model(graph: GraphDef, bundle: Bundle) -> Any:
    """The ONNX model, checked."""
    b = Builder(graph, bundle, OPERATORS)
    if graph.writes:
        name = bundle.variables[graph.writes[0][0]].name
        raise UnimplementedError(f"onnx.export: {graph.name} assigns variable {name}, which ONNX has no word for; "
                                 "export the model as it is used after training")
    b.write()
    outputs = []
    for name, ref in _outputs(graph):
        made, value = (b.read(ref), bundle.value_of(graph, ref)) if isinstance(ref, Ref) else \
            (b.number(ref, ref.dtype), Value(ref.shape, ref.dtype))
        b.nodes.append(b.onnx.helper.make_node("Identity", [made], [name], name=b.name("Identity_node")))
        outputs.append(b.info(name, value))
    inputs = [b.info(f.name, f.value) for f in graph.feeds]
    read = set(_read(b.nodes))          # a filter that is kept in another order is not read as it was
    weights = [b.onnx.numpy_helper.from_array(a, name) for name, a in b.initializers.items() if name in read]
    made = b.onnx.helper.make_graph(b.nodes, graph.name, inputs, outputs, weights)
    model = b.onnx.helper.make_model(made, producer_name="cltensor", ir_version=_IR_VERSION,
                                     opset_imports=[b.onnx.helper.make_opsetid("", OPSET)])
    b.onnx.checker.check_model(model, full_check=True)
    return model


def _outputs(graph: GraphDef) -> list[tuple[str, Any]]:
    """Names and references of the tensors among the results."""
    feeds = {f.name for f in graph.feeds}
    found = [(path, leaf) for path, leaf in nest.flatten_with_paths(graph.result)
             if leaf is not None and not isinstance(leaf, (bool, int, float, str, Size))]
    named = [("/".join(map(str, path)) if path and isinstance(path[0], str) else
              "_".join(["output", *map(str, path)]), leaf) for path, leaf in found]
    return [(f"{name}_out" if name in feeds else name, leaf) for name, leaf in named]


def _read(nodes: Any) -> Iterator[str]:
    """Names that nodes read, those inside of branches and loops too."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            yield from _read(attribute.g.node)
