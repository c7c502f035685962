"""Graph: ops recorded to be run later, by a Session, as TensorFlow 1.x does.

A graph is a recording in which variables are operations: reading gives the value a run starts from,
assigning gives an operation that counts only in runs that reach it. Shapes may be unknown until values
are fed, so nothing is computed from them here: gradients are one deferred node, expanded when a run knows
the shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError
from cltensor.core import mode, scope
from cltensor.core.dispatch import state
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert
from cltensor.graph import collections, example
from cltensor.graph.connected import connected
from cltensor.graph.dot import draw
from cltensor.graph.lookup import Lookup
from cltensor.graph.names import Names
from cltensor.graph.nodes import GRADIENTS, LATER, REPORT
from cltensor.graph.operation import Operation
from cltensor.graph.program import Program
from cltensor.interpret.record import EFFECT, Node, Recording, Symbol
from cltensor.ops.array import identity
from cltensor.ops.variable import Variable

__all__ = ["Graph", "Operation", "graph_for", "get_default_graph", "reset_default_graph", "on_reset"]


class Graph(Lookup, collections.Collections, Recording):
    """A graph of operations.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default() as graph:
        ...     x = tf.placeholder(tf.float32, [None, 2])
        ...     y = tf.reduce_sum(x * 2., axis=1)
        >>> with tf.Session(graph=graph) as sess:
        ...     sess.run(y, feed_dict={x: [[1., 2.], [3., 4.]]}).tolist()
        [6.0, 14.0]
    """

    symbolic = True
    finalized = False
    outer: Graph | None = None          # of a body: what it is inside of

    def __init__(self) -> None:
        super().__init__()
        self.owned: set[int] = set()                    # uids of symbols of this graph
        self.created: list[Variable] = []               # variables made while it was the default
        self.first: dict[int, Tensor] = {}              # their first values
        self.starts_again: dict[int, Callable] = {}     # of slots: what gives them theirs
        self.uninitialized: set[int] = set()
        self.assignments: dict[int, Variable] = {}      # uid of an assignment's result -> its variable
        self.controls: dict[int, tuple] = {}            # id of a node -> symbols to be computed before
        self.records: list[Any] = []                    # of custom gradients
        self.collections: dict[Any, list] = {}
        self.names = Names()
        self.within: dict[int, Graph] = {}              # uid of what a branch or a loop makes -> its body
        self.sources: dict[int, tuple] = {}             # uid of a tensor a run pulls -> where from, see `pull`
        self.numbers: dict[int, Any] = {}               # of what may be a number: what gives it, see given.py
        self.variable_store: Any = None                 # of tf.get_variable
        self._scopes: list[tuple] = []                  # of control_dependencies
        self._prefixes: list = []                       # of name scopes, to be left with the graph
        self.examples: dict[int, Any] = {}              # what open sizes lead to, see example.py
        self.plans: dict[tuple, Any] = {}               # of Session: compiled runs,
        self.routes: dict[tuple, Any] = {}              # and what they pull and report

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """Record ops here inside the `with`."""
        with self:
            yield self

    @contextmanager
    def outermost(self) -> Iterator[Graph]:
        """Record in the graph that this is a body of, or in the graph itself."""
        graph: Graph = self
        while graph.outer is not None:
            graph = graph.outer
        with nullcontext() if graph is self else graph:
            yield graph

    def __enter__(self) -> Graph:
        self._prefixes.append(scope.at(scope.current() if state.interpreter is self else ""))
        self._prefixes[-1].__enter__()
        super().__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)
        self._prefixes.pop().__exit__()

    def execute(self, op: OpDef, inputs: tuple, attrs: tuple) -> Any:
        for x in inputs:
            self.check_mine(op.name, x)
        count = len(self.nodes)
        out = super().execute(op, inputs, attrs)
        self._take(self.nodes[count])
        return out

    def check_mine(self, what: str, x: Any) -> None:
        """Raises InvalidArgumentError for a tensor of another graph, or of a branch or a loop that is not around."""
        if not isinstance(x, Symbol):
            return
        if x.uid not in self.owned:
            raise InvalidArgumentError(f"{what}: {x} belongs to another graph; tensors of two graphs do not mix")
        body, here = self.within.get(x.uid), self
        while body is not None and here is not body:
            if here.outer is None:
                raise InvalidArgumentError(f"{what}: {x} is computed inside a branch or a loop, and has no value "
                                           "outside; have the function return it")
            here = here.outer

    def append(self, node: Node, name: str | None = None) -> None:
        """Add a node made elsewhere."""
        self.nodes.append(node)
        self._take(node, name)

    def finalize(self) -> None:
        """Forbid further ops, so that a loop cannot make the graph grow by mistake."""
        self.finalized = True

    def drop(self, count: int) -> None:
        """Forget the nodes after the first `count`: the call that recorded them has failed."""
        self.names.forget(self.nodes[count:])
        del self.nodes[count:]

    def wait(self, node: Node, symbols: list[Symbol]) -> None:
        """Have the node wait for these, besides the control dependencies it is made under."""
        if symbols:
            self.controls[id(node)] = (*self.controls.get(id(node), ()), *symbols)

    def _take(self, node: Node, name: str | None = None) -> None:
        if self.finalized:
            self.nodes.remove(node)
            raise FailedPreconditionError(f"{name or node.op.name}: the graph is finalized, nothing can be added to it")
        self.owned.update(o.uid for o in node.outputs)
        if name is None:
            name = str(dict(node.attrs)["call"]) if node.op is LATER else node.op.name
        self.names.give(self, node.outputs, name)
        symbols = tuple(s for group in self._scopes for s in group)
        if symbols:
            self.controls[id(node)] = symbols

    def infer(self, op: OpDef, specs: tuple, attrs: tuple) -> tuple:
        """Specs of the results, as far as open sizes tell them."""
        return example.infer(op, specs, attrs)

    def attempt(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """Call a function that looks at sizes; where they are open, it is called by the runs."""
        return example.attempt(self, function, args, kwargs)

    def own(self, symbol: Symbol, name: str = "Placeholder") -> Symbol:
        """Take a symbol that no node makes (a placeholder, a variable's value) into the graph."""
        if symbol.uid not in self.owned:
            self.owned.add(symbol.uid)
            self.names.give(self, (symbol,), name)
        return symbol

    def constant(self, value: Tensor) -> Tensor:
        """A constant that user code made gets a name here; it has its value at once."""
        named = self.names.constant(value)
        if named is not value:
            self.names.give(self, (named,), "Const")
        return named

    # -- variables
    def made(self, variable: Variable) -> None:
        """A variable was created while this graph was the default: it waits for its initializer."""
        variable.graph = self
        self.created.append(variable)
        self.first[id(variable)] = variable.held
        self.uninitialized.add(id(variable))
        for key in collections.keys_for(variable):
            self.collections.setdefault(key, []).append(variable)

    def joined(self, variable: Variable, start: Callable[[], Any]) -> None:
        """A variable that has its value already belongs to the graph: initializers call `start`."""
        if id(variable) not in self.starts_again:
            self.starts_again[id(variable)] = start
            for key in collections.keys_for(variable):
                self.collections.setdefault(key, []).append(variable)

    def restored(self, variable: Variable) -> None:
        """The variable has a value from elsewhere."""
        self.uninitialized.discard(id(variable))

    def is_initialized(self, variable: Variable) -> bool:
        """Whether the variable has a value."""
        return id(variable) not in self.uninitialized

    def starts_as(self, variable: Variable) -> Symbol | None:
        """The tensor that is its value at the start of a run, None where no run reads it."""
        held = self.variables.get(id(variable))
        return None if held is None else held.start

    def starts_from(self, variable: Variable, value: Tensor) -> None:
        """Its initializer computes this value."""
        self.first[id(variable)] = value

    def start(self, variable: Variable) -> None:
        """Give the variable its first value now, unless a run computes it."""
        if id(variable) in self.starts_again:
            self.starts_again[id(variable)]()
        first = self.first.get(id(variable))
        if first is not None and not isinstance(first, Symbol):
            variable.assign(first)
        self.uninitialized.discard(id(variable))

    def initialize(self, variable: Variable) -> Operation:
        """The operation that gives the variable its first value."""
        def done() -> None:
            self.start(variable)
        first = self.first.get(id(variable))
        computed: list = [variable.assign(first)] if isinstance(first, Symbol) else []
        computed.append(self.effect(done))
        return Operation(self, computed, self.unique_name(f"{variable.name[:-2]}/Assign"))

    def read(self, variable: Any, value: Tensor) -> Tensor:
        for symbol in reversed([s for group in self._scopes for s in group]):
            if self.assignments.get(symbol.uid) is variable:        # read after an assignment it depends on
                return symbol
        return self.own(super().read(variable, value), f"{variable.name[:-2]}/read")      # type: ignore[arg-type]

    def assign(self, variable: Any, value: Tensor) -> Any:
        self.read(variable, variable.held)
        out = identity(value)
        self.assignments[out.uid] = variable
        return out

    def operation_of(self, variable: Variable) -> Operation:
        """The variable as an operation, which has its name and reads it."""
        return Operation(self, [self.read(variable, variable.held)], variable.name[:-2])    # type: ignore[list-item]

    def took(self, variable: Any, symbol: Symbol) -> None:
        """A node that has this result assigns it to the variable."""
        self.assignments[symbol.uid] = variable

    def operation(self, first: int, name: str) -> Operation:
        """One operation of all assignments and effects recorded since there were `first` nodes."""
        return Operation(self, [o for n in self.nodes[first:] for o in n.outputs
                                if o.uid in self.assignments or n.op is EFFECT], name)

    # -- as text and as a picture
    def to_text(self) -> str:
        """What is recorded, a line per op."""
        made = {o.uid for n in self.nodes for o in n.outputs}
        read = {x.uid: x for n in self.nodes for x in n.inputs if isinstance(x, Symbol) and x.uid not in made}
        return str(Program(tuple(self.nodes), tuple(read.values()), ()))

    def to_dot(self, name: str = "graph") -> str:
        """A picture for Graphviz: `dot -Tsvg` draws it; see graph/dot.py.

        Example:
            >>> import cltensor as tf
            >>> with tf.Graph().as_default() as graph:
            ...     y = tf.sqrt(tf.placeholder(tf.float32, [None]))
            >>> print(graph.to_dot().splitlines()[-2])
              n0 -> n1 [label="float32 (?,)"];
        """
        made = {o.uid: o for n in self.nodes for o in n.outputs}
        results = {f"assign {v.name}": made[uid] for uid, v in self.assignments.items()}
        variables = {s.start.uid: s.variable.name for s in self.variables.values()}
        names = {s.uid: op for op, symbols in self.names.ops.items() for s in symbols}
        return draw(name, self.nodes, (), results, variables, self.controls, names)

    # -- what Python brings to a run, and does with it
    def report(self, call: Callable, inputs: Any, name: str) -> Operation:
        """An operation whose run ends with `call(*values)`, NumPy values of the inputs, when all has worked."""
        given = tuple(convert(x) for x in inputs)
        for x in given:
            self.check_mine(REPORT.name, x)
        node = Node(REPORT, given, (("call", call),), (), state.device)
        node.outputs = (Symbol(Spec((), "bool"), node),)
        self.append(node, name)
        return Operation(self, list(node.outputs), node.outputs[0].label[:-2])

    def pull(self, make: Callable[[], list], specs: list[Spec], name: str) -> list[Symbol]:
        """Tensors whose values `make()` brings, once in each run that needs one of them."""
        symbols = [self.own(Symbol(s), name) for s in specs]
        self.sources.update((s.uid, (make, symbols)) for s in symbols)
        return symbols

    # -- gradients
    def record_custom(self, record: Any) -> None:
        self.records.append(record)

    def gradients(self, ys: list, xs: list, grad_ys: list) -> list:
        """Symbols of the gradients of the sum of ys by xs; None where no path of differentiable ops connects them."""
        sources = [x.current() if isinstance(x, Variable) else x for x in xs]
        for y in ys:
            self.check_mine("gradients", y)
        found = connected({x.uid for x in sources}, ys, self.all_nodes(), self.all_records())
        node = Node(GRADIENTS, tuple(ys) + tuple(g for g in grad_ys if g is not None),
                    (("ys", tuple(ys)), ("xs", tuple(sources)), ("weights", tuple(grad_ys))), (), state.device)
        node.outputs = tuple(Symbol(x.spec, node, i) for i, x in enumerate(sources))
        self.append(node)
        return [o if x.uid in found and x.dtype.is_floating else None for o, x in zip(node.outputs, sources)]

    def all_nodes(self) -> list[Node]:
        """The nodes recorded so far; in a body those around it, too."""
        return self.nodes

    def all_records(self) -> list:
        """The custom gradients recorded so far."""
        return self.records


# -- what users call inside a graph
def graph_for(what: str) -> Graph:
    """The graph that records ops now; `what` asks. Raises: InvalidArgumentError where none does."""
    interpreter = state.interpreter
    if not isinstance(interpreter, Graph):
        raise InvalidArgumentError(f"{what}: it needs a graph; use it inside `with tf.Graph().as_default():` or "
                                   "`with tf.Session():`")
    return interpreter


def get_default_graph() -> Graph:
    """The graph that records ops now.

    Raises: InvalidArgumentError when ops execute eagerly.
    """
    return graph_for("get_default_graph")


def reset_default_graph() -> None:
    """Forget the default graph of a process in graph mode, and the global step."""
    for call in (collections.forget, *_on_reset):
        call()
    if isinstance(state.interpreter, Graph) and state.interpreter in _process:
        state.interpreter = _process[0] = Graph()


_process: list[Graph] = []          # the default graph of a process that started in graph mode
_on_reset: list[Callable[[], Any]] = []


def on_reset(call: Callable[[], Any]) -> None:
    """Have something else forgotten by reset_default_graph."""
    _on_reset.append(call)


def _start_graph_mode() -> None:
    _process[:] = [Graph()]
    state.interpreter = _process[0]


mode.install_graph_mode(_start_graph_mode)
