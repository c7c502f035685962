"""ExponentialMovingAverage: a shadow of each variable that follows it slowly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.dispatch import device_scope, execute
from cltensor.core.trackable import Trackable
from cltensor.ops.update import MOVING_AVERAGE
from cltensor.ops.variable import Variable
from cltensor.train.optimizer import number, quietly

__all__ = ["ExponentialMovingAverage", "assign_moving_average"]


def assign_moving_average(variable: Variable, value: Any, decay: float) -> Variable:
    """variable = decay * variable + (1 - decay) * value, in one launch and unseen by tapes. Returns: the variable."""
    with quietly(), device_scope(variable.placed_on):
        return variable._put(execute(MOVING_AVERAGE, (variable, value, 1.0 - decay)), "assign_moving_average")


class ExponentialMovingAverage(Trackable):
    """shadow = decay * shadow + (1 - decay) * variable, for each variable.

    Args:
        decay: number below 1; near 1 the shadow follows slowly.
        num_updates: a count; then the decay is min(decay, (1 + num_updates) / (10 + num_updates)), so that
            it follows faster at first.
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

    def apply(self, var_list: Iterable) -> None:
        """Move the shadows of these variables; the first call makes them, equal to the variables."""
        decay = float(number("ExponentialMovingAverage: decay", self._decay))
        if self._num_updates is not None:
            count = float(number("ExponentialMovingAverage: num_updates", self._num_updates))
            decay = min(decay, (1.0 + count) / (10.0 + count))
        for v in var_list:
            if v in self._slots.get(self.name, {}):
                with quietly():
                    value = v.as_tensor()
                assign_moving_average(self._slots[self.name][v], value, decay)
            else:
                self._create_slot_hook(v, self.name)

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
        with quietly(), device_scope(variable.placed_on):
            slot = Variable(variable.as_tensor(), trainable=False, name=self.average_name(variable))
        self._slots.setdefault(slot_name, {})[variable] = slot
        self._deferred_slot(variable, slot_name, slot)
        return slot
