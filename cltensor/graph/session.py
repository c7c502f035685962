"""Session: runs parts of a graph.

`run` takes what is fetched, walks the nodes it needs in order, and does so in one of two ways: where all
shapes follow from the feeds, the walk is recorded anew with known shapes, optimised and compiled, and
kept for the next run with such feeds; where a shape is known only when data is there (py_func), the ops
of the walk just run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from cltensor.base import nest
from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import eagerly, state
from cltensor.core.tensor import Tensor, convert, to_array
from cltensor.graph.control import ONE_HOLDS
from cltensor.graph.deferred import Deferred
from cltensor.graph.given import giving
from cltensor.graph.graph import Graph, Operation
from cltensor.graph.nodes import GRADIENTS, LATER, REPORT, WALKED, needed
from cltensor.graph.program import Program
from cltensor.graph.replay import Replay, prepare
from cltensor.graph.walk import walk
from cltensor.interpret.record import Node, NoValue, Recording, State, Symbol, find_session
from cltensor.ops.tensor_list import LIST_ROWS
from cltensor.ops.variable import Variable

__all__ = ["Session", "InteractiveSession", "get_default_session"]

_here = threading.local()
_COMPILED = {*WALKED, ONE_HOLDS} | LIST_ROWS         # host rows that may be in a compiled run


class Session:
    """Runs a graph.

    Args:
        graph: the graph; the default one, or a new one, unless given.

    Used as a context manager, ops inside the `with` are recorded in its graph.

    Raises: FailedPreconditionError for a variable that was not initialised.

    Example:
        >>> import cltensor as tf
        >>> with tf.Session() as sess:
        ...     x = tf.placeholder(dtype=tf.float32)
        ...     print(sess.run(tf.matmul(x, x), feed_dict={x: [[2.0]]}))
        [[4.]]
    """

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None):
        current = state.interpreter
        self.graph: Graph = graph or (current if isinstance(current, Graph) else Graph())
        self._closed = False

    def __enter__(self) -> Session:
        self._enter()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._leave()
        self.close()

    def _enter(self) -> None:
        _here.__dict__.setdefault("stack", []).append(self)
        self.graph.__enter__()

    def _leave(self) -> None:
        self.graph.__exit__()
        _here.stack.remove(self)

    def close(self) -> None:
        """Forbid further runs."""
        self._closed = True

    @contextmanager
    def as_default(self) -> Iterator[Session]:
        """The default session inside, and its graph the default graph; it stays open."""
        self._enter()
        try:
            yield self
        finally:
            self._leave()

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Compute what is fetched.

        Args:
            fetches: tensor, operation, variable, or a nest of them.
            feed_dict: tensor -> value; any tensor of the graph may be fed.

        Returns: NumPy values in the structure of `fetches`; None for operations.
        Raises: InvalidArgumentError for a feed of another shape or dtype, or a tensor of another graph;
            FailedPreconditionError for an uninitialised variable. Nothing is assigned then.
        """
        if self._closed:
            raise FailedPreconditionError("Session.run: the session is closed")
        with eagerly():
            feeds = self._feeds(feed_dict or {})
            leaves = [self.graph.as_graph_element(f) if isinstance(f, str) else f for f in nest.flatten(fetches)]
            wanted = [self._wanted(f) for f in leaves]
            flat = [s for some in wanted for s in some]
            pulls, reports = self._route(flat, feeds)
            with giving(feeds):
                for make, symbols in pulls:
                    feeds.update(self._feeds(dict(zip(symbols, make()))))
                values = self._compute(flat + [x for node in reports for x in node.inputs],
                                       dict(sorted(feeds.items())))
            out: list = []
            for node in reports:
                dict(node.attrs)["call"](*[_numpy(values[x.uid]) for x in node.inputs])
            for f in leaves:
                out.append((f.answer and f.answer()) if isinstance(f, Operation) else
                           _numpy(values[self._symbol(f).uid]))
        return nest.pack_sequence_as(fetches, out)

    def make_callable(self, fetches: Any, feed_list: Any = None) -> Any:
        """A function whose arguments are fed to the tensors of `feed_list`, and which returns what `run` does.

        Example:
            >>> import cltensor as tf
            >>> with tf.Session(graph=tf.Graph()) as sess:
            ...     x = tf.placeholder(tf.float32, [])
            ...     print(sess.make_callable(x * 2., [x])(3.))
            6.0
        """
        symbols = list(feed_list or ())

        def call(*values: Any) -> Any:
            if len(values) != len(symbols):
                raise InvalidArgumentError(f"Session.make_callable: feed_list has {len(symbols)} tensors, "
                                           f"{len(values)} values are given")
            return self.run(fetches, dict(zip(symbols, values)))
        return call

    # -- feeds and fetches
    def _feeds(self, feed_dict: Any) -> dict[int, tuple[Symbol, Tensor]]:
        feeds = {}
        for key, value in feed_dict.items():
            symbol = self._symbol(key)
            given = value if isinstance(value, Tensor) else convert(value, symbol.dtype, op="Session.run: feed")
            if given.dtype is not symbol.dtype or not symbol.shape.is_compatible_with(given.spec.shape):
                raise InvalidArgumentError(f"Session.run: {symbol} is fed a value of shape {show(given.spec.shape)} "
                                           f"and dtype {given.dtype.name}")
            feeds[symbol.uid] = (symbol, given)
        return dict(sorted(feeds.items()))          # one order for the key of a plan and for its arguments

    def _symbol(self, x: Any) -> Any:
        if isinstance(x, str):
            return self.graph.get_tensor_by_name(x)
        if isinstance(x, Variable):
            return self.graph.read(x, x.held)
        if isinstance(x, Symbol):
            self.graph.check_mine("Session.run", x)
            return x
        if isinstance(x, Tensor):
            return x
        raise InvalidArgumentError(f"Session.run: {x!r:.60} is neither a tensor nor an operation of a graph")

    def _wanted(self, fetch: Any) -> list:
        if isinstance(fetch, Operation):
            if fetch.graph is not self.graph and not any(s.uid in self.graph.within for s in fetch.symbols):
                raise InvalidArgumentError(f"Session.run: {fetch!r} belongs to another graph")
            for s in fetch.symbols:
                self.graph.check_mine(f"Session.run: {fetch!r}", s)
            return list(fetch.symbols)
        return [self._symbol(fetch)]

    # -- what a run needs
    def _route(self, wanted: list, feeds: dict) -> tuple[list, list]:
        """What to pull before a run, and which reports it ends with."""
        graph = self.graph
        key = (tuple(x.uid for x in wanted), tuple(feeds), len(graph.nodes))
        known = graph.routes.get(key)
        if known is None:
            nodes = needed(graph, wanted, feeds)
            met = {x.uid: x for x in (*wanted, *(x for n in nodes for x in n.inputs)) if isinstance(x, Symbol)}
            pulls: dict[int, tuple] = {}
            for uid in sorted(met):
                if uid in graph.sources and uid not in feeds:
                    make, symbols = graph.sources[uid]
                    pulls[symbols[0].uid] = (make, symbols)
            if len(graph.routes) >= 64:
                graph.routes.clear()
            known = graph.routes[key] = (list(pulls.values()), [n for n in nodes if n.op is REPORT])
        return known

    def _compute(self, wanted: list, feeds: dict) -> dict[int, Tensor]:
        graph = self.graph
        key = (tuple(x.uid for x in wanted), tuple((uid, t.sig) for uid, (_, t) in feeds.items()), len(graph.nodes),
               state.device)
        known = graph.plans.get(key)
        if known is not None:
            self._check_initialized(known[0], feeds)
            if known[1] is not None:
                return dict(zip(key[0], known[1]([t for _, t in feeds.values()])))
        nodes = needed(graph, wanted, feeds)
        states = self._states(nodes, wanted)
        reads = self._read(nodes, wanted)
        needs = [s for s in states if s.start.uid in reads]         # the others are assigned only
        self._check_initialized(needs, feeds)
        for x in wanted:
            if isinstance(x, Symbol) and not _known_here(x, nodes, states, feeds):
                raise InvalidArgumentError(f"Session.run: {x} is a placeholder, and nothing is fed for it")
        replay = None
        if known is None and not _values_decide(nodes):
            try:
                replay = self._compile(nodes, wanted, feeds, states, needs)
            except NoValue:         # a shape depends on values
                pass
        if len(graph.plans) >= 64:
            graph.plans.clear()
        graph.plans[key] = (needs, replay)
        if replay is None:
            return self._interpret(nodes, wanted, feeds, states)
        return dict(zip(key[0], replay([t for _, t in feeds.values()])))

    def _check_initialized(self, states: list, feeds: dict) -> None:
        for s in states:
            if id(s.variable) in self.graph.uninitialized and s.start.uid not in feeds:
                raise FailedPreconditionError(f"Session.run: variable {s.variable.name} is not initialised; run "
                                              "tf.global_variables_initializer() first")

    @staticmethod
    def _read(nodes: list, wanted: list) -> set[int]:
        """Uids of what these nodes read, and of what is wanted."""
        read = {x.uid for n in nodes for x in n.inputs if isinstance(x, Symbol)} | {x.uid for x in wanted}
        return read | {x.uid for n in nodes if n.op is GRADIENTS for x in dict(n.attrs)["xs"]}

    def _states(self, nodes: list, wanted: list) -> list[State]:
        read = self._read(nodes, wanted)
        assigned = {id(self.graph.assignments[o.uid]) for n in nodes for o in n.outputs
                    if o.uid in self.graph.assignments}
        return [s for s in self.graph.variables.values() if s.start.uid in read or id(s.variable) in assigned]

    def _assigned(self, nodes: list, wanted: list) -> dict[int, Symbol]:
        """The last assignment to each variable that the run reaches; a call kept for later may make more. What branches
        and loops assign is reached with them."""
        graph = self.graph
        reached = self._read(nodes, wanted) | {s.uid for n in nodes for s in graph.controls.get(id(n), ())}
        return {id(graph.assignments[o.uid]): o for n in nodes for o in n.outputs
                if o.uid in graph.assignments and (o.uid in reached or isinstance(n.op, Deferred))}

    # -- the two ways
    def _interpret(self, nodes: list, wanted: list, feeds: dict, states: list) -> dict[int, Tensor]:
        """Run the ops one by one; variables are written when all has worked."""
        env: dict[int, Any] = {uid: t for uid, (_, t) in feeds.items()}
        for s in states:
            env.setdefault(s.start.uid, s.variable.held)
        effects = walk(self.graph, nodes, env)
        variables = {id(s.variable): s.variable for s in states}
        writes = [(variables[held], env[symbol.uid]) for held, symbol in self._assigned(nodes, wanted).items()]
        for variable, value in writes:          # all fit before the first is written
            variable.check_fits(value, "assign")
        for variable, value in writes:
            variable._put(value, "assign")
        for call in effects:
            call()
        return {x.uid: env.get(x.uid, x) for x in wanted}

    def _compile(self, nodes: list, wanted: list, feeds: dict, states: list, needs: list) -> Replay:
        """Record the walk anew with the shapes of the feeds; optimise; compile."""
        with Recording() as recording:
            inputs = {uid: Symbol(t.spec) for uid, (_, t) in feeds.items()}
            starts = {id(s.variable): State(s.variable, Symbol(s.variable.spec)) for s in states}
            env: dict[int, Any] = dict(inputs)
            for s in states:        # one that is fed reads as the feed; what it holds, an assignment may write over
                start = starts[id(s.variable)]
                start.now = env.setdefault(s.start.uid, start.start)
            recording.variables.update(starts)      # calls made in the walk read them by object
            effects = walk(self.graph, nodes, env)
            for call in effects:
                recording.effect(call)
        met = [s for h, s in recording.variables.items() if h not in starts]     # variables that only such calls read
        self._check_initialized(met, feeds)
        needs += met
        starts.update((id(s.variable), s) for s in met)
        assigned = self._assigned(nodes, wanted)
        left = {id(v) for n in nodes if n.op is LATER for v in dict(n.attrs)["call"].writes} - set(assigned)
        for h in left & set(starts):
            starts[h].written = False
        written = [(h, s.now) for h, s in starts.items() if s.written and h not in assigned]
        for held, symbol in assigned.items():
            starts[held].written = True
            starts[held].variable.check_fits(env[symbol.uid], "assign")
            written.append((held, env[symbol.uid]))
        fed = {id(s.variable) for s in states if s.start.uid in inputs}
        kept = [s for h, s in starts.items() if h not in fed or s.written]
        order = {h: i for i, h in enumerate(starts)}
        written.sort(key=lambda pair: order[pair[0]])
        program = Program(tuple(recording.nodes), tuple(inputs.values()),
                          tuple(env.get(x.uid, x) for x in wanted) + tuple(value for _, value in written), tuple(kept))
        return prepare(program, state.device)


class InteractiveSession(Session):
    """A session that is the default one from its creation to its `close`, for use in a shell.

    Example:
        >>> import cltensor as tf
        >>> sess = tf.InteractiveSession(graph=tf.Graph())
        >>> (tf.constant(2.) * tf.placeholder_with_default(3., [])).eval()
        np.float32(6.0)
        >>> sess.close()
    """

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None):
        super().__init__(target, graph, config)
        self._enter()

    def close(self) -> None:
        """Forbid further runs, and give the default session back."""
        if not self._closed:
            self._leave()
        super().close()


def _values_decide(nodes: list[Node], inner: bool = False) -> bool:
    """Whether shapes follow only from values: host rows have such results, in bodies, too, where reports are calls."""
    return any(any(_values_decide(b.nodes, True) for b in n.op.bodies) if isinstance(n.op, Deferred) else
               n.op.run is not None and n.op not in _COMPILED or inner and n.op is REPORT for n in nodes)


def _known_here(x: Symbol, nodes: list, states: list, feeds: dict) -> bool:
    return (x.uid in feeds or any(x.uid == s.start.uid for s in states)
            or any(o.uid == x.uid for n in nodes for o in n.outputs))


def _numpy(t: Tensor) -> Any:
    value = to_array(t)
    return value[()] if value.ndim == 0 else np.array(value)


def get_default_session(graph: Graph | None = None) -> Session:
    """The innermost session of a `with`, of this graph if one is given.

    Raises: InvalidArgumentError when there is none.
    """
    for session in reversed(getattr(_here, "stack", [])):
        if graph is None or session.graph is graph:
            return session
    raise InvalidArgumentError("eval: there is no default session; use `with tf.Session():` or pass session=")


find_session.append(get_default_session)
