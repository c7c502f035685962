"""ExponentialMovingAverage: a shadow of each variable that follows it slowly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError, UnimplementedError
from cltensor.core import scope
from cltensor.core.dispatch import device_scope, eagerly, execute, quietly, state
from cltensor.core.late import Late, Source
from cltensor.core.trackable import Trackable
from cltensor.graph.building import group
from cltensor.graph.collections import GraphKeys, add_to_collection
from cltensor.graph.graph import Graph
from cltensor.graph.variables import trainable_variables
from cltensor.interpret.record import Symbol
from cltensor.ops.update import MOVING_AVERAGE
from cltensor.ops.variable import Variable, as_if
from cltensor.train.optimizer import number

__all__ = ["ExponentialMovingAverage", "assign_moving_average"]


def assign_moving_average(variable: Variable, value: Any, decay: float) -> Variable:
    """variable = decay * variable + (1 - decay) * value, in one launch and unseen by tapes. Returns: the variable."""
    with quietly(), device_scope(variable.placed_on):
        return variable._put(execute(MOVING_AVERAGE, (variable, value, 1.0 - decay)), "assign_moving_average")


class ExponentialMovingAverage(Trackable):
    """shadow = decay * shadow + (1 - decay) * variable, for each variable.

    Args:
        decay: number below 1; near 1 the shadow follows slowly.
        num_updates: a count (number, variable or function); then the decay is
            min(decay, (1 + num_updates) / (10 + num_updates)), so that it follows faster at first.
        zero_debias: not offered.

    Example:
        >>> import cltensor as tf
        >>> v = tf.Variable(0.)
        >>> ema = tf.train.ExponentialMovingAverage(0.75)
        >>> ema.apply([v])
        >>> _ = v.assign(4.)
        >>> ema.apply([v])
        >>> ema.average(v).numpy()
        np.float32(1.0)
    """

    def __init__(self, decay: Any, num_updates: Any = None, zero_debias: bool = False,
                 name: str = "ExponentialMovingAverage"):
        if zero_debias:
            raise InvalidArgumentError("ExponentialMovingAverage: zero_debias is not offered; shadows start at the "
                                       "variable's value, which has no bias")
        self.name = name
        self._decay, self._num_updates = decay, num_updates
        self._slots: dict[str, dict] = {}

    _untracked = ("_decay", "_num_updates")

    def apply(self, var_list: Iterable | None = None) -> Any:
        """Move the shadows of these variables; the first call makes them, equal to the variables.

        Args:
            var_list: floating variables; in a graph its trainable ones unless given.

        Returns: None eagerly; in a graph the operation that moves the shadows, and decay and num_updates count as
            they are when it runs.
        Raises: InvalidArgumentError eagerly without var_list; DTypeError for what is no floating variable.
        """
        graph = state.interpreter if isinstance(state.interpreter, Graph) else None
        if var_list is None and graph is None:
            raise InvalidArgumentError("ExponentialMovingAverage.apply: var_list is missing; eagerly no list of all "
                                       "variables is kept")
        chosen = trainable_variables() if var_list is None else list(var_list)
        for v in chosen:
            if not isinstance(v, Variable) or not v.dtype.is_floating:
                raise DTypeError(f"ExponentialMovingAverage.apply: floating variables are wanted, there is {v!r:.80}")
        moved, decay = [], self._decay_now()
        for v in chosen:
            slot = self._slots.get(self.name, {}).get(v)
            if slot is None:
                slot = self._create_slot_hook(v, self.name)
                if state.interpreter is None:       # equal already
                    continue
                if graph is not None:
                    add_to_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, v)
            with quietly():
                value = v.as_tensor()
            moved.append(assign_moving_average(slot, value, decay))
        return group(*moved, name=self.name)

    def _decay_now(self) -> Any:
        """The decay: a number, or, where ops are recorded and it may change, one that each run looks up."""
        if state.interpreter is None or all(isinstance(x, (int, float)) or x is None
                                            for x in (self._decay, self._num_updates)):
            return self._look_up()
        if isinstance(self._decay, Symbol) or isinstance(self._num_updates, Symbol):
            raise UnimplementedError("ExponentialMovingAverage.apply: decay or num_updates is a tensor without a value "
                                     "yet; give a number, a variable, or a function that returns one")
        before = () if state.interpreter.symbolic else tuple(state.interpreter.changes)
        step: list[float] = [0.0]

        def look_up() -> None:
            with as_if(before):
                step[0] = self._look_up()
        return Late(lambda: step[0], (Source(look_up),))

    def _look_up(self) -> float:
        with eagerly():
            decay = float(number("ExponentialMovingAverage: decay", self._decay))
            if self._num_updates is None:
                return decay
            count = float(number("ExponentialMovingAverage: num_updates", self._num_updates))
        return min(decay, (1.0 + count) / (10.0 + count))

    def average(self, var: Variable) -> Variable | None:
        """The shadow of a variable; None before `apply`."""
        return self._slots.get(self.name, {}).get(var)

    def average_name(self, var: Variable) -> str:
        """Name of the shadow of a variable."""
        return f"{var.name[:-2]}/{self.name}"

    def _slot_items(self) -> Iterable:
        return [(v, name, slot) for name, named in self._slots.items() for v, slot in named.items()]

    def _create_slot_hook(self, variable: Any, slot_name: str) -> Any:
        if slot_name != self.name:
            return None
        with quietly(), device_scope(variable.placed_on), scope.at(""):
            # in a graph the shadow starts from what the variable starts from, as neither has a value before
            first = variable.initialized_value() if isinstance(state.interpreter, Graph) else variable.as_tensor
            slot = Variable(first, trainable=False, name=self.average_name(variable))
        self._slots.setdefault(slot_name, {})[variable] = slot
        self._deferred_slot(variable, slot_name, slot)
        return slot
