"""Optimizer: what all optimizers share; the formulas are in optimizers.py, their kernels in ops/update.py.

A step launches one kernel per variable and waits for nothing: learning rates and powers of decay rates are
numbers on the host, which travel with the launch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cltensor.autodiff.tape import GradientTape
from cltensor.base import nest
from cltensor.base.errors import DTypeError, InvalidArgumentError, UnimplementedError
from cltensor.base.shapes import show
from cltensor.core import scope
from cltensor.core.dispatch import device_scope, eagerly, execute, quietly, state
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.op import OpDef
from cltensor.core.tensor import Tensor, convert, host_value
from cltensor.core.trackable import Trackable
from cltensor.graph.collections import GraphKeys, get_collection
from cltensor.graph.graph import Graph
from cltensor.interpret import defer, donation
from cltensor.ops.array import reshape
from cltensor.ops.creation import full_like, ones
from cltensor.ops.gather import unsorted_segment_sum
from cltensor.ops.math import greater, where
from cltensor.ops.variable import Variable

__all__ = ["Optimizer", "number"]


def number(what: str, value: Any) -> Any:
    """A hyperparameter now: a callable is called; a Python float where the host knows it, else a tensor.

    Raises: InvalidArgumentError unless it is a scalar.
    """
    value = value() if callable(value) else value
    if isinstance(value, (int, float)):
        return float(value)
    known = host_value(value)
    shape = value.spec.shape if known is None else known.shape
    if shape not in ((), None):
        raise InvalidArgumentError(f"{what} must be a scalar, it has shape {show(shape)}")
    if known is not None:
        if known.dtype.kind not in "fiu":
            raise DTypeError(f"{what} must be a number, it is {value!r:.60}")
        return float(known)
    return value


class Optimizer(Trackable):
    """Base class of optimizers: subclasses say which slots they keep and which rule updates a variable.

    A subclass defines `_slot_start`, `_prepare()`, called once per step before the updates, and `_rule()`, the
    row of ops/update.py and its numbers; see optimizers.py.

    Args:
        use_locking: unused, as updates of a variable are never concurrent.
        name: of the optimizer.

    Raises: InvalidArgumentError (a ValueError) for a missing name.
    """

    GATE_NONE, GATE_OP, GATE_GRAPH = 0, 1, 2

    _untracked: tuple = ("_hyper",)
    _slot_start: dict = {}          # slot name -> value it starts from
    _lazy_rows = False              # sparse gradients leave the other rows and their slots alone

    def __init__(self, use_locking: bool, name: str):
        if not name:
            raise InvalidArgumentError("Optimizer: an optimizer must have a name, it is empty")
        self._name = name
        self._hyper: dict[str, Any] = {}
        self._slots: dict[str, dict] = {}

    # -- what a subclass says
    def _prepare(self) -> None:
        """Look up the numbers of this step."""

    def _prepare_late(self) -> None:
        """`_prepare` where ops are recorded: each replay looks its numbers up, none is baked in."""
        raise UnimplementedError(f"{self._name}.apply_gradients: this optimizer cannot be recorded; apply its "
                                 "gradients outside the function")

    def _rule(self, variable: Variable) -> tuple[OpDef, tuple]:
        """The row that updates the variable, and its numbers."""
        raise NotImplementedError

    def _finish(self) -> None:
        """After the updates of a step."""

    def _finish_late(self) -> Callable[[], Any]:
        """`_finish` for a step that was recorded."""
        return self._finish

    def _value(self, name: str) -> Any:
        return number(f"{self._name}: {name}", self._hyper[name])

    # -- what users call
    def get_name(self) -> str:
        """The name given to the optimizer."""
        return self._name

    def minimize(self, loss: Callable, global_step: Any = None, var_list: Any = None, gate_gradients: int = 1,
                 aggregation_method: Any = None, colocate_gradients_with_ops: bool = False, name: str | None = None,
                 grad_loss: Any = None) -> Any:
        """`compute_gradients`, then `apply_gradients`.

        Args:
            loss: function without arguments that returns the loss; in a graph the loss tensor.
            global_step: variable to add 1 to.
            var_list: variables to update; all trainable ones that `loss` reads (in a graph: that it has) unless
                given.

        Returns: None; in a graph the operation that does it.

        Raises: RuntimeError when loss is not callable; ValueError when no variable has a gradient.

        Example:
            >>> import cltensor as tf
            >>> w = tf.Variable(1.)
            >>> tf.train.GradientDescentOptimizer(0.25).minimize(lambda: w * w)
            >>> w.numpy()
            np.float32(0.5)
        """
        pairs = self.compute_gradients(loss, var_list, grad_loss=grad_loss)
        return self.apply_gradients(pairs, global_step=global_step, name=name)

    def compute_gradients(self, loss: Callable, var_list: Any = None, gate_gradients: int = 1,
                          aggregation_method: Any = None, colocate_gradients_with_ops: bool = False,
                          grad_loss: Any = None) -> list:
        """Gradients of a loss.

        Args:
            loss: function without arguments that returns a tensor.
            var_list: variables (any nest of them); all trainable ones that `loss` reads unless given.
            grad_loss: weight of the loss, of its shape.

        Returns: list of (gradient or None, variable).
        Raises: RuntimeError when loss is not callable; InvalidArgumentError (a ValueError) when there is no
            variable.
        """
        graph = state.interpreter if isinstance(state.interpreter, Graph) else None
        if graph is not None:
            value = loss() if callable(loss) else loss
            variables = nest.flatten(get_collection(GraphKeys.TRAINABLE_VARIABLES) if var_list is None else var_list)
            if not variables:
                raise InvalidArgumentError(f"{self._name}.compute_gradients: the graph has no trainable variable")
            weights = [None] if grad_loss is None else [convert(grad_loss)]
            return list(zip(graph.gradients([value], variables, weights), variables))
        if not callable(loss):
            raise RuntimeError(f"{self._name}.compute_gradients: when executing eagerly loss must be a function that "
                               f"computes it, it is a {type(loss).__name__}")
        with GradientTape() as tape:
            if var_list is not None:
                tape.watch(var_list)
            value = loss()
        variables = list(tape.watched_variables()) if var_list is None else nest.flatten(var_list)
        if not variables:
            raise InvalidArgumentError(f"{self._name}.compute_gradients: loss read no trainable variable")
        return list(zip(tape.gradient(value, variables, output_gradients=grad_loss), variables))

    def apply_gradients(self, grads_and_vars: Iterable, global_step: Any = None, name: str | None = None) -> Any:
        """Update variables by their gradients, one launch each; None gradients are skipped.

        Args:
            grads_and_vars: (gradient, variable) pairs; gradients are tensors of the variable's shape and dtype
                or IndexedSlices.
            global_step: variable to add 1 to.

        Raises: InvalidArgumentError (a ValueError) without variables, without any gradient, for a variable named
            twice, for another shape; DTypeError. Nothing is updated when the pairs themselves are wrong.
        """
        pairs = [self._pair(p) for p in grads_and_vars]
        if not pairs:
            raise InvalidArgumentError(f"{self._name}.apply_gradients: no variables were given")
        seen: set = set()
        for _, v in pairs:
            if id(v) in seen:
                raise InvalidArgumentError(f"{self._name}.apply_gradients: variable {v.name} is given twice; sum its "
                                           "gradients")
            seen.add(id(v))
        given = [(g, v) for g, v in pairs if g is not None]
        if not given:
            raise InvalidArgumentError(f"{self._name}.apply_gradients: no gradient for any variable: "
                                       f"{', '.join(v.name for _, v in pairs[:5])}{', ...' if pairs[5:] else ''}")
        graph = state.interpreter if isinstance(state.interpreter, Graph) else None
        first = len(graph.nodes) if graph is not None else 0
        with quietly():
            if state.interpreter is None:
                self._prepare()
            else:
                self._prepare_late()
            for g, v in given:
                with device_scope(v.placed_on):
                    self._update(g, v)
            if state.interpreter is None:
                self._finish()
            else:
                state.interpreter.effect(self._finish_late(), tuple(v for v in self.variables() if v.on_host))
            if global_step is not None:
                global_step.assign_add(1)
        defer.pause()
        if graph is None:
            return None
        self._join(graph)
        return graph.operation(first, name or self._name)

    def _join(self, graph: Graph) -> None:
        """What it keeps are variables of the graph: initializers start them anew."""
        for variable, name, slot in self._slot_items():
            graph.joined(slot, lambda v=variable, s=slot, start=self._slot_start[name]: s.assign(full_like(v, start)))
        for own in self.variables():
            if own.on_host:
                graph.joined(own, lambda v=own, start=own.held: v.assign(start))

    def _pair(self, pair: Any) -> tuple:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidArgumentError(f"{self._name}.apply_gradients: pairs (gradient, variable) are wanted, one is a "
                                       f"{type(pair).__name__}")
        g, v = pair
        if not isinstance(v, Variable):
            raise DTypeError(f"{self._name}.apply_gradients: only variables can be updated, a {type(v).__name__} is "
                             "given")
        if g is not None and not isinstance(g, (Tensor, IndexedSlices)):
            g = convert(g, v.dtype, op=f"{self._name}.apply_gradients")
        if g is not None:
            shape = g.dense_shape if isinstance(g, IndexedSlices) else g.spec.shape
            if shape != v.spec.shape:
                raise InvalidArgumentError(f"{self._name}.apply_gradients: the gradient of {v.name} has shape "
                                           f"{show(shape)}, the variable {show(v.spec.shape)}")
            if g.dtype is not v.dtype:
                raise DTypeError(f"{self._name}.apply_gradients: the gradient of {v.name} has dtype {g.dtype.name}, "
                                 f"the variable {v.dtype.name}; use cast")
        return g, v

    # -- one variable
    def _update(self, gradient: Any, variable: Variable) -> None:
        sparse = isinstance(gradient, IndexedSlices)
        state_variables = [variable] + [self._slot(variable, name) for name in self._slot_start]
        row, numbers = self._rule(variable)
        if row.outputs > 1 and state.interpreter is None and not sparse and donation.update(
                row, state_variables, (gradient, *numbers)):
            self._constrain(variable)
            return
        before = [v.as_tensor() for v in state_variables]
        after = execute(row, (*before, gradient.as_tensor() if sparse else gradient, *numbers))
        after = after if isinstance(after, tuple) else (after,)
        if sparse and self._lazy_rows and len(variable.spec.shape):
            touched = _touched(gradient, variable)
            after = tuple(where(touched, new, old) for new, old in zip(after, before))
        for v, value in zip(state_variables, after):
            v._put(value, row.name)
        self._constrain(variable)

    @staticmethod
    def _constrain(variable: Variable) -> None:
        if variable.constraint is not None:
            variable._put(variable.constraint(variable.as_tensor()), "constraint")

    # -- slots
    def _slot(self, variable: Variable, slot_name: str) -> Variable:
        named = self._slots.get(slot_name)
        if named is None:
            named = self._slots[slot_name] = {}
        slot = named.get(variable)
        return self._make_slot(variable, slot_name) if slot is None else slot

    def _make_slot(self, variable: Variable, slot_name: str) -> Variable:
        with eagerly(), device_scope(variable.placed_on), scope.at(""):
            value = full_like(variable, self._slot_start[slot_name])
            slot = Variable(value, trainable=False, name=f"{variable.name[:-2]}/{self._name}/{slot_name}")
        self._slots.setdefault(slot_name, {})[variable] = slot
        self._deferred_slot(variable, slot_name, slot)
        return slot

    def get_slot(self, var: Variable, name: str) -> Variable | None:
        """The slot variable of this name that belongs to `var`; None before the first step or for another name."""
        return self._slots.get(name, {}).get(var)

    def get_slot_names(self) -> list:
        """Names of the slots that exist, sorted."""
        return sorted(self._slots)

    def variables(self) -> list:
        """All state of the optimizer: what is not a slot first, then the slots."""
        own = [v for v in self.__dict__.values() if isinstance(v, Variable)]
        return own + [slot for name in self._slots for slot in self._slots[name].values()]

    def _slot_items(self) -> Iterable:
        return [(v, name, slot) for name, named in self._slots.items() for v, slot in named.items()]

    def _create_slot_hook(self, variable: Any, slot_name: str) -> Any:
        return self._make_slot(variable, slot_name) if slot_name in self._slot_start else None


def _touched(gradient: IndexedSlices, variable: Variable) -> Tensor:
    """Booleans of shape (rows, 1, ..., 1): which rows the slices name."""
    shape = variable.spec.shape
    counts = unsorted_segment_sum(ones(gradient.indices.spec.shape), gradient.indices, shape[0])
    return reshape(greater(counts, 0.0), (shape[0],) + (1,) * (len(shape) - 1))

