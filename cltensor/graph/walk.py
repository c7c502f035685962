"""The walk over a graph: its nodes executed again, eagerly or into a recording, with values in place of symbols.

A run is such a walk with the feeds put in. Deferred gradients are expanded here, by the one `backprop`, over records
of what the walk has executed; calls kept for later are made.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from cltensor.autodiff.backprop import backprop, ones, zeros
from cltensor.autodiff.custom import CustomRecord
from cltensor.autodiff.notes import Notes
from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import device_scope, state
from cltensor.core.tensor import Tensor, convert, to_array
from cltensor.graph.deferred import Deferred
from cltensor.graph.nodes import GRADIENTS, LATER, REPORT, late_now, perform
from cltensor.interpret.record import EFFECT, Node, Symbol
from cltensor.ops.tensor_list import AGAIN

if TYPE_CHECKING:
    from cltensor.graph.graph import Graph

__all__ = ["walk", "rebound"]


def walk(graph: Graph, nodes: list[Node], env: dict[int, Any], tape: list | None = None) -> list:
    """Execute nodes (eagerly, or into the active recording) with the symbols of `env` put in their place.

    `tape` holds the records of what was walked around a body.

    Returns: the effects met, to be called at the end.
    """
    effects: list = []
    begun: dict[int, Any] = {}
    customs = {r.out_uids[-1]: r for r in graph.records}
    noting, inner = _differentiates(nodes), tape is not None
    if tape is None:
        tape = []
    elif state.interpreter is None:         # the walk around notes what runs here
        noting = False
    else:
        tape = list(tape)

    def walked(body: Any, values: dict[int, Any]) -> list:
        here = {**env, **values}
        for call in walk(body, body.nodes, here, tape):
            if state.interpreter is None:
                effects.append(call)
            else:
                state.interpreter.effect(call)
        return [here.get(r.uid, r) for r in body.results]

    with _Substitute(env), Notes(tape) if noting else nullcontext():
        for node in nodes:
            if node.op is EFFECT:
                effects.append(dict(node.attrs)["call"])
                env[node.outputs[0].uid] = convert(True)
                continue
            if node.op is REPORT:               # the session makes it after the run
                if inner:
                    effects.append(_reported(node, env))
                env[node.outputs[0].uid] = convert(True)
                continue
            if node.op is GRADIENTS:
                _expand(node, env, tape)
                continue
            inputs = tuple(_here_now(x, env, begun) for x in node.inputs)
            with device_scope(node.device) if node.device is not None else nullcontext():
                if node.op is LATER:
                    outs = dict(node.attrs)["call"].outputs(env)
                elif isinstance(node.op, Deferred):
                    outs = node.op.again(inputs, walked)
                elif node.op in AGAIN:
                    again: Any = AGAIN[node.op]
                    outs = (again(*inputs, **dict(node.attrs)),)
                else:
                    outs = perform(node, inputs)
            for symbol, value in zip(node.outputs, outs):
                env[symbol.uid] = value
                if symbol.uid in customs:
                    record = rebound(customs[symbol.uid], env)
                    for recorder in state.recorders:
                        recorder.record_custom(record)
    return effects


def _reported(node: Node, env: dict) -> Any:
    """A report inside a branch or a loop, as a call for the end of the run."""
    values = [to_array(env.get(x.uid, x)) for x in node.inputs]
    return lambda: dict(node.attrs)["call"](*values)


def _differentiates(nodes: list[Node]) -> bool:
    return any(n.op is GRADIENTS or isinstance(n.op, Deferred) and any(_differentiates(b.nodes) for b in n.op.bodies)
               for n in nodes)


def _here_now(x: Any, env: dict, begun: dict) -> Any:
    if isinstance(x, Symbol):
        if x.uid not in env:
            raise InvalidArgumentError(f"Session.run: {x} is a placeholder, and nothing is fed for it")
        return env[x.uid]
    if isinstance(x, Tensor):
        return env.get(x.uid, x)            # a constant may be fed
    return late_now(x, begun) if state.interpreter is None else x


def _expand(node: Node, env: dict, tape: list) -> None:
    """A deferred gradient: the backward pass over what ran so far."""
    attrs = dict(node.attrs)
    seeds: dict[int, list] = {}
    for y, g in zip(attrs["ys"], attrs["weights"]):
        value = env.get(y.uid, y)
        seeds.setdefault(value.uid, []).append(ones(value.spec, value.placed_on) if g is None else env.get(g.uid, g))
    values = [env.get(x.uid, x) for x in attrs["xs"]]
    found = backprop(tape, seeds, {v.uid for v in values}, consume=False)
    for symbol, v in zip(node.outputs, values):
        if v.uid in found:
            g = found[v.uid]
            env[symbol.uid] = g if isinstance(g, Tensor) else g.as_tensor()
        elif v.dtype.is_floating:           # connected by a branch that this run does not take
            env[symbol.uid] = zeros(v.spec, v.placed_on)


def rebound(record: CustomRecord, env: dict) -> CustomRecord:
    """A custom record whose uids are those of the values now, and whose function sees these values."""
    def grad_fn(*gradients: Any, **variables: Any) -> Any:
        with _Substitute(env):
            return record.grad_fn(*gradients, **variables)

    out = object.__new__(CustomRecord)
    out.name, out.grad_fn, out.count, out.variables = record.name, grad_fn, record.count, record.variables
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
