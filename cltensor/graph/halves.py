"""A traced function in two halves, for a tape outside: what computes its results, and what computes its gradients.

    forward     inputs, variables            -> results, and what the gradient reads of it on its way
    backward    all that, upstream gradients -> gradients of inputs and variables; a program for each choice of them

Both are cut from one trace of the function and its backward pass, so nothing is computed twice; in exchange the values
between live until the gradient is taken, as they do in eager mode. What the backward pass of a branch or a loop reads
of each turn are further results of the forward node, so such nodes are cut like any other. Where a trace cannot be cut
(the user's own gradient draws random numbers) the caller has another way (function.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cltensor.autodiff.tape import GradientTape
from cltensor.core.dispatch import quietly
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.late import Late, Source, collecting
from cltensor.graph.body import Control, without_effects
from cltensor.graph.program import Program
from cltensor.graph.replay import Replay, prepare
from cltensor.interpret.record import Node, Recording, State, Symbol

__all__ = ["Halves", "cut"]


class Halves:
    """Both halves of a function for one signature.

    Attributes: `forward`, a replay that gives the results and, behind them, what `gradients` calls `between`; the
        `draws` it makes.
    """

    def __init__(self, recording: Recording, symbols: list[Symbol], results: list, draws: list[Source],
                 states: tuple[State, ...], upstream: dict[int, Symbol], found: list, nodes: list[Node], device: Any):
        self.draws = draws
        self._device, self._nodes, self._found, self._upstream = device, nodes, found, upstream
        self._given = [*symbols, *(s.start for s in states)]        # by the caller, at both halves
        given = {s.uid for s in (*self._given, *upstream.values())}
        made = {o.uid for n in nodes for o in n.outputs}
        read = [x for n in nodes for x in n.inputs] + [x for g in found if g is not None for x in _parts(g)]
        between = {x.uid: x for x in read if isinstance(x, Symbol) and x.uid not in given and x.uid not in made}
        self._between = list(between.values())
        written = [s.now for s in states if s.written]
        self.forward: Replay = prepare(Program(tuple(recording.nodes), tuple(self._given),
                                               (*results, *self._between, *written), states), device)
        self._backward: dict[tuple, Replay] = {}
        self._lock = threading.Lock()

    def gradients(self, tensors: list, values: list, between: list, upstream: tuple, wanted: tuple) -> list:
        """Gradients, by inputs and then variables, of those wanted; None where there is none.

        Args:
            tensors, values: what the call was given, and what its variables were.
            between: what `forward` gave behind the results.
            upstream: a gradient for each result.
            wanted: a flag for each input, and then for each floating variable.
        """
        chosen = [g if want else None for g, want in zip(self._found, wanted)]
        if all(g is None for g in chosen):
            return chosen
        replay = self._backward.get(wanted)
        if replay is None:
            with self._lock:
                replay = self._backward.get(wanted)
                if replay is None:
                    fetches = [x for g in chosen if g is not None for x in _parts(g)]
                    feeds = (*self._given, *self._between, *self._upstream.values())
                    replay = self._backward[wanted] = prepare(Program(tuple(self._nodes), feeds, tuple(fetches)),
                                                              self._device)
        given = [g for i, g in enumerate(upstream) if i in self._upstream]
        out = iter(replay([*tensors, *values, *between, *given]))
        return [None if g is None else IndexedSlices(next(out), next(out), g.dense_shape)
                if isinstance(g, IndexedSlices) else next(out) for g in chosen]


def cut(call: Callable[[list], list], tensors: list, variables: list, device: Any) -> Halves | None:
    """Trace a function together with its backward pass, and cut the trace between them.

    Args:
        call: takes symbols for the tensors; gives its results, tensors of this trace.
        variables: those it reads.

    Returns: None where the backward pass is more than ops on values of the forward pass.
    """
    floating = [v for v in variables if v.dtype.is_floating]
    with quietly(), Recording() as recording, collecting() as draws:
        symbols = [Symbol(t.spec) for t in tensors]
        with GradientTape(persistent=True) as tape:
            tape.watch([s for s in symbols if s.dtype.is_floating] + floating)
            results = call(symbols)
        count = len(recording.nodes)
        upstream = {i: Symbol(r.spec) for i, r in enumerate(results) if r.dtype.is_floating}
        try:
            found = tape.gradient([results[i] for i in upstream], symbols + floating,
                                  output_gradients=list(upstream.values()))
        except Exception:       # of the user's code, or a gradient there is not: told to who asks for the gradient
            return None
        nodes = without_effects(recording.nodes[count:])
        del recording.nodes[count:]
    if _late(nodes) or {id(s.variable) for s in recording.variables.values()} != set(map(id, variables)):
        return None
    states = tuple(recording.variables[id(v)] for v in variables)
    return Halves(recording, symbols, results, draws, states, upstream, found, nodes, device)


def _late(nodes: list[Node]) -> bool:
    """Whether running these nodes later is not the same: numbers known at the call, effects, draws."""
    return any(not n.op.pure or any(isinstance(x, Late) for x in n.inputs)
               or isinstance(n.op, Control) and any(_late(b.nodes) for b in n.op.bodies) for n in nodes)


def _parts(gradient: Any) -> tuple:
    return (gradient.values, gradient.indices) if isinstance(gradient, IndexedSlices) else (gradient,)
