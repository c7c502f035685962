"""Variables of a graph: which there are, and the operations that give them their first values."""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import FailedPreconditionError
from cltensor.core.dispatch import state
from cltensor.graph.collections import GraphKeys, get_collection
from cltensor.graph.graph import Graph, Operation, graph_for
from cltensor.interpret.record import Symbol
from cltensor.ops.variable import Variable

__all__ = ["global_variables", "local_variables", "model_variables", "trainable_variables",
           "moving_average_variables", "all_variables", "global_variables_initializer", "local_variables_initializer",
           "variables_initializer", "initialize_variables", "initialize_all_variables", "is_variable_initialized",
           "assert_variables_initialized", "report_uninitialized_variables"]


def _named(what: str, key: str, scope: str | None) -> list:
    graph_for(what)
    return get_collection(key, scope)


def global_variables(scope: str | None = None) -> list:
    """Variables of the default graph, without the local ones; `scope` begins their names."""
    return _named("global_variables", GraphKeys.GLOBAL_VARIABLES, scope)


def local_variables(scope: str | None = None) -> list:
    """Variables made with collections=[tf.GraphKeys.LOCAL_VARIABLES]."""
    return _named("local_variables", GraphKeys.LOCAL_VARIABLES, scope)


def model_variables(scope: str | None = None) -> list:
    """Variables made with tf.GraphKeys.MODEL_VARIABLES among their collections."""
    return _named("model_variables", GraphKeys.MODEL_VARIABLES, scope)


def moving_average_variables(scope: str | None = None) -> list:
    """Variables in tf.GraphKeys.MOVING_AVERAGE_VARIABLES."""
    return _named("moving_average_variables", GraphKeys.MOVING_AVERAGE_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list:
    """Trainable variables of the default graph; `scope` begins their names."""
    return _named("trainable_variables", GraphKeys.TRAINABLE_VARIABLES, scope)


all_variables = global_variables


def variables_initializer(var_list: Any, name: str = "init") -> Operation | None:
    """An operation that gives these variables their first values; eagerly they have them.

    Example:
        >>> import cltensor as tf
        >>> with tf.Session(graph=tf.Graph()) as sess:
        ...     v = tf.Variable([1., 2.])
        ...     sess.run(tf.variables_initializer([v]))
        ...     print(sess.run(v))
        [1. 2.]
    """
    graph = state.interpreter
    if not isinstance(graph, Graph):
        return None
    return _initializer(graph, lambda: list(var_list), list(var_list), name)


def _initializer(graph: Graph, which: Any, now: list, name: str) -> Operation:
    def initialize() -> None:
        for v in which():
            graph.start(v)
    reached = [graph.effect(initialize)]
    for v in now:
        first = graph.first.get(id(v))
        if isinstance(first, Symbol):           # a run computes it
            reached.append(v.assign(first))
    return Operation(graph, reached, graph.unique_name(name))     # type: ignore[arg-type]


def global_variables_initializer() -> Operation | None:
    """An operation that gives every global variable of the graph its first value; eagerly they have it.

    Variables made after this call are included, as long as their first values are known.
    """
    graph = state.interpreter
    if not isinstance(graph, Graph):
        return None

    def which() -> list:
        return list(graph.collections.get(GraphKeys.GLOBAL_VARIABLES, ()))
    return _initializer(graph, which, which(), "init")


def local_variables_initializer() -> Operation | None:
    """As global_variables_initializer, for local variables."""
    return variables_initializer(local_variables(), "init_local") if isinstance(state.interpreter, Graph) else None


initialize_variables, initialize_all_variables = variables_initializer, global_variables_initializer


def is_variable_initialized(variable: Variable) -> Any:
    """Whether the variable has a value: True eagerly, in a graph an operation that tells when it is run."""
    graph = state.interpreter
    if not isinstance(graph, Graph):
        return True
    return Operation(graph, [], graph.unique_name("IsVariableInitialized"),
                     answer=lambda: id(variable) not in graph.uninitialized)


def report_uninitialized_variables(var_list: Any = None, name: str = "report_uninitialized_variables") -> Any:
    """Names of variables without a value: a list eagerly (empty), in a graph an operation whose run gives it."""
    graph = state.interpreter
    if not isinstance(graph, Graph):
        return []

    def answer() -> list:
        chosen = [v for k in (GraphKeys.GLOBAL_VARIABLES, GraphKeys.LOCAL_VARIABLES)
                  for v in graph.collections.get(k, ())] if var_list is None else list(var_list)
        return [v.name[:-2] for v in chosen if id(v) in graph.uninitialized]
    return Operation(graph, [], graph.unique_name(name), answer=answer)


def assert_variables_initialized(var_list: Any = None) -> Any:
    """An operation whose run raises FailedPreconditionError while a variable has no value."""
    report = report_uninitialized_variables(var_list, "assert_variables_initialized")
    if isinstance(report, Operation):
        asked = report.answer
        assert asked is not None

        def answer() -> None:
            missing = asked()
            if missing:
                raise FailedPreconditionError(f"assert_variables_initialized: no value yet in {', '.join(missing)}")
        report.answer = answer
    return report
