"""The walk over a graph: its nodes executed again, eagerly or into a recording, with values in place of symbols.

A run is such a walk with the feeds put in. Deferred gradients are expanded here, by the one `backprop`, over records
of what the walk has executed; calls kept for later are made.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from cltensor.autodiff.backprop import OpRecord, backprop, ones
from cltensor.autodiff.custom import CustomRecord
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import device_scope, state
from cltensor.core.tensor import Tensor, convert
from cltensor.graph.nodes import GRADIENTS, LATER, REPORT, late_now, perform
from cltensor.interpret.record import EFFECT, Node, Symbol

if TYPE_CHECKING:
    from cltensor.graph.graph import Graph

__all__ = ["walk", "rebound"]


def walk(graph: Graph, nodes: list[Node], env: dict[int, Any]) -> list:
    """Execute nodes (eagerly, or into the active recording) with the symbols of `env` put in their place.

    Returns: the effects met, to be called at the end.
    """
    tape: list = []
    effects: list = []
    begun: dict[int, Any] = {}
    customs = {r.out_uids[0]: r for r in graph.records}
    differentiated = any(n.op is GRADIENTS for n in nodes)
    with _Substitute(env), _Everything(tape) if differentiated else nullcontext():
        for node in nodes:
            if node.op is EFFECT:
                effects.append(dict(node.attrs)["call"])
                env[node.outputs[0].uid] = convert(True)
                continue
            if node.op is REPORT:               # the session makes it after the run
                env[node.outputs[0].uid] = convert(True)
                continue
            if node.op is GRADIENTS:
                _expand(node, env, tape)
                continue
            inputs = tuple(_here_now(x, env, begun) for x in node.inputs)
            with device_scope(node.device) if node.device is not None else nullcontext():
                outs = dict(node.attrs)["call"].outputs(env) if node.op is LATER else perform(node, inputs)
            for symbol, value in zip(node.outputs, outs):
                env[symbol.uid] = value
                if symbol.uid in customs:
                    tape.append(customs[symbol.uid])
    return effects


class _Everything:
    """A recorder that keeps a record of every differentiable op, those of a backward pass included."""

    def __init__(self, tape: list):
        self._tape = tape

    def record(self, op: Any, attrs: tuple, inputs: tuple, out: Any) -> None:
        """An op ran."""
        if op.vjps:
            floating = tuple(isinstance(x, Tensor) and x.dtype.is_floating and (op.variadic or op.vjps[i] is not None)
                             for i, x in enumerate(inputs))
            if any(floating):
                self._tape.append(OpRecord(op, attrs, inputs, out if isinstance(out, tuple) else (out,), floating))

    def record_custom(self, record: Any) -> None:
        """A custom gradient inside the walk."""
        self._tape.append(record)

    def read(self, variable: Any, value: Tensor) -> None:
        """Variables are fed by the walk."""

    def __enter__(self) -> None:
        state.recorders.append(self)

    def __exit__(self, *exc: Any) -> None:
        state.recorders.remove(self)


def _here_now(x: Any, env: dict, begun: dict) -> Any:
    if isinstance(x, Symbol):
        if x.uid not in env:
            raise InvalidArgumentError(f"Session.run: {x} is a placeholder, and nothing is fed for it")
        return env[x.uid]
    return late_now(x, begun) if state.interpreter is None else x


def _expand(node: Node, env: dict, tape: list) -> None:
    """A deferred gradient: the backward pass over what ran so far."""
    attrs = dict(node.attrs)
    seeds: dict[int, list] = {}
    for y, g in zip(attrs["ys"], attrs["weights"]):
        value = env.get(y.uid, y)
        seeds.setdefault(value.uid, []).append(ones(value.spec, value.placed_on) if g is None else env.get(g.uid, g))
    values = [env.get(x.uid, x) for x in attrs["xs"]]
    records = [rebound(r, env) if isinstance(r, CustomRecord) and r.out_uids[0] in env else r for r in tape]
    found = backprop(records, seeds, {v.uid for v in values}, consume=False)
    for symbol, v in zip(node.outputs, values):
        if v.uid in found:
            g = found[v.uid]
            env[symbol.uid] = g if isinstance(g, Tensor) else g.as_tensor()


def rebound(record: CustomRecord, env: dict) -> CustomRecord:
    """A custom record whose uids are those of the values now."""
    out = object.__new__(CustomRecord)
    out.name, out.grad_fn, out.count, out.variables = record.name, record.grad_fn, record.count, record.variables
    pairs = [(env[u].uid, env[u].spec) if u in env else (u, s) for u, s in zip(record.in_uids, record.in_specs)]
    out.in_uids, out.in_specs = tuple(u for u, _ in pairs), tuple(s for _, s in pairs)
    made = [env[u] for u in record.out_uids]
    out.out_uids, out.out_specs = tuple(t.uid for t in made), tuple(t.spec for t in made)
    return out


class _Substitute:
    """While it is active, symbols of the graph that a gradient function closed over stand for their values now."""

    def __init__(self, env: dict):
        self._env = env

    def __enter__(self) -> None:
        self._before = getattr(state, "substitute", None)
        state.substitute = self._env

    def __exit__(self, *exc: Any) -> None:
        state.substitute = self._before
