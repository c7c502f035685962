"""The text of a saved model: `saved_model.json`, written from and read into a Bundle. Version 1.

    {"format": "cltensor.saved_model", "version": 1, "checksum": CRC32 of the rest,
     "weights": "weights-1a2b3c4d.safetensors",     tensors "variable/0", ..., "constant/0", ...
     "variables": [{"name": "dense/kernel", "dtype": "float32", "shape": [8, 4], "trainable": true}],
     "functions": {"serving_default": {
         "name": "call", "sizes": {"batch": 53},    open sizes, each with one it was traced with
         "feeds": [{"name": "x", "dtype": "float32", "shape": ["batch", 8]}],
         "arguments": [["x", 0]],                   parameter and number of its feed, or a structure of them
         "nodes": [{"op": "matmul", "inputs": [{"feed": 0}, {"variable": 0}],
                    "attrs": {"transpose_a": false, "transpose_b": false},
                    "outputs": [{"dtype": "float32", "shape": ["batch", 4]}]}],
         "result": {"node": 0},
         "writes": [[0, {"node": 0}]],              variables that get a new value
         "customs": []}}}

A size of a result that is null follows from the nodes (it is a rounded quotient). Plain values stand for themselves,
lists are tuples. What JSON has no word for is an object with one key:

    {"feed": i} {"variable": i} {"constant": i}     what is read; {"node": i} or {"node": [i, output]}
    {"size": [[2, "batch"], [1]]}                   2 * batch + 1; also "float_size", and "inverse_size", one over it
    {"dtype": "float32"} {"float": "nan"}           {"draw": seed}, {"sized": [elements, shape, dtype]}
    {"list": [...]} {"tuple": [...]} {"dict": {}}   structures of arguments and results
    {"spec": {"dtype", "shape"}}                    as an attribute; {"empty_list": {"dtype", "shape"}} as an input
    {"block": {"feeds", "nodes", "results"}}        a branch, or a test or body of a loop: it reads its own feeds

A dtype that is a list [dtype, length] is that of a list of tensors; its shape, that of the elements, may be null.

Reading checks everything: nothing but these forms is taken, every reference leads to something made before.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from cltensor.base.dtypes import ALL, DType, as_dtype
from cltensor.base.nest import is_sequence
from cltensor.saved_model.graph_def import (
    Block,
    CustomDef,
    Draw,
    EmptyList,
    Feed,
    GraphDef,
    ListKind,
    NodeDef,
    Ref,
    SizedConstant,
    Value,
    VariableDef,
)
from cltensor.saved_model.sizes import Size

__all__ = ["VERSION", "FORMAT", "to_text", "from_text", "Newer"]

FORMAT, VERSION = "cltensor.saved_model", 1
_KINDS = {"int": "size", "float": "float_size", "inverse": "inverse_size"}
_DTYPES = {d.name for d in ALL}


class Newer(ValueError):
    """The text is of a version that is not known here."""


def to_text(functions: Mapping[str, GraphDef], variables: tuple[VariableDef, ...], weights: str) -> str:
    """The JSON text."""
    body = {"weights": weights,
            "variables": [{"name": v.name, **_value(v.value), "trainable": v.trainable,
                           **({"host": True} if v.host else {})} for v in variables],
            "functions": {name: _function(f) for name, f in functions.items()}}
    return _lines({"format": FORMAT, "version": VERSION, "checksum": _checksum(body), **body}, 0) + "\n"


def _lines(x: Any, depth: int) -> str:
    """JSON for readers: what is long is broken at its keys and elements, a node stands on one line."""
    text = json.dumps(x)
    if len(text) <= 100 or not isinstance(x, (dict, list)) or "op" in x:
        return text
    pad, (left, right) = " " * (depth + 1), "{}" if isinstance(x, dict) else "[]"
    parts = [f"{json.dumps(k)}: {_lines(v, depth + 1)}" for k, v in x.items()] if isinstance(x, dict) else [
        _lines(v, depth + 1) for v in x]
    return left + "\n" + ",\n".join(pad + part for part in parts) + "\n" + " " * depth + right


def _checksum(body: dict) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


# -- writing
def _function(f: GraphDef) -> dict:
    return {"name": f.name, "sizes": f.sizes,
            "feeds": [{"name": x.name, **_value(x.value)} for x in f.feeds],
            "arguments": [[name, _structure(s)] for name, s in f.arguments],
            "nodes": _nodes(f.nodes),
            "result": _structure(f.result),
            "writes": [[v, _plain(ref)] for v, ref in f.writes],
            "customs": [[c.name, [_plain(r) for r in c.inputs], [_plain(r) for r in c.outputs]] for c in f.customs]}


def _nodes(nodes: tuple) -> list:
    return [{"op": n.op, "inputs": [_plain(x) for x in n.inputs], "attrs": {k: _plain(v) for k, v in n.attrs},
             "outputs": [_value(v) for v in n.outputs]} for n in nodes]


def _value(v: Value) -> dict:
    dtype = [v.dtype.element.name, _plain(v.dtype.length)] if isinstance(v.dtype, ListKind) else v.dtype.name
    return {"dtype": dtype, "shape": None if v.shape is None else [
        d.name or _plain(d) if isinstance(d, Size) else d for d in v.shape]}


def _plain(x: Any) -> Any:
    if isinstance(x, Ref):
        return {x.kind: [x.index, x.output] if x.output else x.index}
    if isinstance(x, Size):
        return {_KINDS[x.kind]: [[factor, *names] for factor, names in x.terms]}
    if isinstance(x, DType):
        return {"dtype": x.name}
    if isinstance(x, float) and (x != x or abs(x) == float("inf")):
        return {"float": repr(x)}
    if isinstance(x, Draw):
        return {"draw": x.seed}
    if isinstance(x, SizedConstant):
        return {"sized": [_plain(x.elements), list(x.shape), x.dtype.name]}
    if isinstance(x, Block):
        return {"block": {"feeds": [_value(v) for v in x.feeds], "nodes": _nodes(x.nodes),
                          "results": [_plain(r) for r in x.results]}}
    if isinstance(x, Value):
        return {"spec": _value(x)}
    if isinstance(x, EmptyList):
        return {"empty_list": _value(x.like)}
    if isinstance(x, tuple):
        return [_plain(v) for v in x]
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    raise TypeError(f"{x!r:.60} is a {type(x).__name__}, which is no plain data")


def _structure(x: Any) -> Any:
    if isinstance(x, Mapping):
        if not all(isinstance(k, str) for k in x):
            raise TypeError("the keys of dicts must be strings")
        return {"dict": {k: _structure(v) for k, v in x.items()}}
    if is_sequence(x):
        return {"list" if isinstance(x, list) else "tuple": [_structure(v) for v in x]}
    return _plain(x)


# -- reading
def from_text(text: str) -> tuple[dict[str, GraphDef], tuple[VariableDef, ...], str]:
    """Functions, variables and the name of the weights' file.

    Raises: Newer; ValueError, TypeError, KeyError for what is not as described above.
    """
    body = json.loads(text)
    if not isinstance(body, dict) or body.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    version = body.pop("version", None)
    if type(version) is not int or version > VERSION:
        raise Newer(f"it has version {version!r}")
    if body.pop("checksum", None) != _checksum(body):
        raise ValueError("its checksum differs")
    variables = tuple(VariableDef(_text(v["name"]), _read_value(v, None), v["trainable"] is True, v.get("host") is True)
                      for v in body["variables"])
    if len({v.name for v in variables}) != len(variables):
        raise ValueError("two variables have one name")
    functions = {name: _read_function(f, len(variables)) for name, f in body["functions"].items()}
    weights = _text(body["weights"])
    if not weights.startswith("weights-") or set(weights) & set("/\\:"):
        raise ValueError(f"{weights!r} is no name of a weights file")
    return functions, variables, weights


def _text(x: Any) -> str:
    if not isinstance(x, str):
        raise ValueError(f"{x!r:.40} is no text")
    return x


def _count(x: Any) -> int:
    if type(x) is not int or x < 0:
        raise ValueError(f"{x!r:.40} is no number of something")
    return x


def _dtype(x: Any) -> DType:
    if x not in _DTYPES:
        raise ValueError(f"{x!r:.40} is no dtype")
    return as_dtype(x)


class _Reader:
    """Reads one function; knows what has been made so far."""

    def __init__(self, sizes: dict, variables: int):
        self.sizes, self.feeds, self.variables = sizes, 0, variables
        self.outputs: list[int] = []

    def ref(self, kind: str, at: Any) -> Ref:
        index, output = at if isinstance(at, list) else (at, 0)
        made = {"feed": self.feeds, "variable": self.variables, "node": len(self.outputs), "constant": None}[kind]
        if made is not None and _count(index) >= made or (kind == "node" and _count(output) >= self.outputs[index]):
            raise ValueError(f"{kind} {index} is read and is not there")
        return Ref(kind, _count(index), _count(output))

    def plain(self, x: Any) -> Any:
        if isinstance(x, list):
            return tuple(self.plain(v) for v in x)
        if not isinstance(x, dict):
            return x
        (key, value), = x.items()
        if key in ("feed", "variable", "constant", "node"):
            return self.ref(key, value)
        if key == "dtype":
            return _dtype(value)
        if key == "float":
            return {"nan": float("nan"), "inf": float("inf"), "-inf": -float("inf")}[value]
        if key == "draw":
            return Draw(None if value is None else int(value))
        if key == "sized":
            elements, shape, dtype = value
            return SizedConstant(self.plain(elements), tuple(map(_count, shape)), _dtype(dtype))
        if key == "block":
            return self.block(value)
        if key in ("spec", "empty_list"):
            found = _read_value(value, self.sizes)
            return found if key == "spec" else EmptyList(found)
        kinds = {word: kind for kind, word in _KINDS.items()}
        return _size(value, kinds[key], self.sizes)

    def block(self, x: dict) -> Block:
        """A block; it sees its own feeds and nodes, and the constants."""
        inner = _Reader(self.sizes, 0)
        feeds = tuple(_read_value(v, self.sizes) for v in x["feeds"])
        inner.feeds = len(feeds)
        return Block(feeds, inner.nodes(x["nodes"]), tuple(inner.plain(r) for r in x["results"]))

    def nodes(self, nodes: Any) -> tuple[NodeDef, ...]:
        """Nodes, each of which reads what came before it."""
        out = []
        for n in nodes:
            node = NodeDef(_text(n["op"]), tuple(self.plain(x) for x in n["inputs"]),
                           tuple((k, self.plain(v)) for k, v in n["attrs"].items()),
                           tuple(_read_value(v, self.sizes) for v in n["outputs"]))
            out.append(node)
            self.outputs.append(len(node.outputs))
        return tuple(out)

    def structure(self, x: Any) -> Any:
        if isinstance(x, dict) and set(x) == {"dict"}:
            return {_text(k): self.structure(v) for k, v in x["dict"].items()}
        if isinstance(x, dict) and set(x) == {"list"}:
            return [self.structure(v) for v in x["list"]]
        if isinstance(x, dict) and set(x) == {"tuple"}:
            return tuple(self.structure(v) for v in x["tuple"])
        return self.plain(x)


def _size(terms: Any, kind: str, sizes: dict) -> Size:
    found = tuple((factor, tuple(names)) for factor, *names in terms)
    if not found or any(type(f) is not int or any(n not in sizes for n in names) for f, names in found):
        raise ValueError(f"{terms!r:.60} is no size")
    return Size(found, kind)


def _read_value(x: dict, sizes: Any) -> Value:
    def dim(d: Any) -> Any:
        if d is None:
            return None
        if isinstance(d, str):
            return _size([[1, d]], "int", sizes)
        return _size(d["size"], "int", sizes) if isinstance(d, dict) else _count(d)
    if sizes is None:           # of a variable
        return Value(tuple(_count(d) for d in x["shape"]), _dtype(x["dtype"]))
    dtype: Any = x["dtype"]
    if isinstance(dtype, list):
        element, length = dtype
        dtype = ListKind(_dtype(element), dim(length))
    else:
        dtype = _dtype(dtype)
    if x["shape"] is None and isinstance(dtype, ListKind):
        return Value(None, dtype)
    return Value(tuple(dim(d) for d in x["shape"]), dtype)


def _read_function(f: dict, variables: int) -> GraphDef:
    sizes = {_text(k): _count(v) for k, v in f["sizes"].items()}
    read = _Reader(sizes, variables)
    feeds = tuple(Feed(_text(x["name"]), _read_value(x, sizes)) for x in f["feeds"])
    if any(f.value.shape is None or None in f.value.shape for f in feeds):
        raise ValueError("a feed has a size without a name")
    read.feeds = len(feeds)
    nodes = read.nodes(f["nodes"])
    arguments = tuple((_text(name), read.structure(s)) for name, s in f["arguments"])
    customs = tuple(CustomDef(_text(name), read.plain(ins), read.plain(outs)) for name, ins, outs in f["customs"])
    return GraphDef(_text(f["name"]), arguments, feeds, nodes, read.structure(f["result"]),
                    tuple((read.ref("variable", v).index, read.plain(x)) for v, x in f["writes"]), sizes, customs)
