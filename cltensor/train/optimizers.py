"""The optimizers of TensorFlow 1.x: defaults, slots and numbers; the update rules are rows of ops/update.py."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError, UnimplementedError
from cltensor.core.dispatch import eagerly, state
from cltensor.core.late import Late, Source
from cltensor.core.op import OpDef
from cltensor.core.tensor import Tensor
from cltensor.graph.given import number_at_run
from cltensor.interpret.record import Symbol
from cltensor.ops import update
from cltensor.ops.array import reshape
from cltensor.ops.math import cast
from cltensor.ops.variable import Variable, as_if
from cltensor.train.optimizer import Optimizer

__all__ = ["GradientDescentOptimizer", "MomentumOptimizer", "AdamOptimizer", "RMSPropOptimizer", "AdagradOptimizer",
           "AdadeltaOptimizer", "FtrlOptimizer"]


class _Numbers(Optimizer):
    """An optimizer whose numbers are looked up once per step and scaled for none of the variables."""

    def __init__(self, use_locking: bool, name: str, **hyper: Any):
        super().__init__(use_locking, name)
        self._hyper.update(hyper)
        self._now: dict[str, Any] = {}

    _untracked: tuple = ("_now", "_step")

    def _prepare(self) -> None:
        self._now = {name: self._value(name) for name in self._hyper}

    def _prepare_late(self) -> None:
        with eagerly():
            self._prepare()
        read = {name: tensor for name in self._now if (tensor := self._read(name)) is not None}
        given = {name: now for name, value in self._now.items() if isinstance(value, Symbol)
                 if (now := number_at_run(state.interpreter, value)) is not None}
        before = () if state.interpreter.symbolic else tuple(state.interpreter.changes)
        step: dict[str, Any] = {}           # the numbers of this step: one call may take several

        def look_up() -> None:
            with as_if(before):
                self._prepare()
                step.update((name, given[name]() if name in given else float(value)) for name, value in
                            self._now.items() if name not in read)
        source = Source(look_up)
        self._now = {name: read[name] if name in read else Late(lambda name=name: step[name], (source,))
                     for name in self._now}
        self._step = step

    def _read(self, name: str) -> Any:
        """The number as a tensor that a recorded step reads; None for one that each replay looks up on the host."""
        value, graph = self._hyper.get(name), state.interpreter
        if isinstance(value, Variable):
            feedable = graph.symbolic and not value.on_host
            return value.as_tensor() if feedable or value.held.host is None else None
        value = self._now[name]
        if isinstance(value, Symbol):
            return reshape(value, ()) if number_at_run(graph, value) is None else None
        return value if isinstance(value, Tensor) and not callable(self._hyper[name]) else None

    def _finish_late(self) -> Callable[[], Any]:
        step = self._step

        def finish() -> None:
            self._now = dict(step)
            self._finish()
        return finish

    def _at(self, name: str, variable: Variable) -> Any:
        """The number in the variable's dtype where a device holds it."""
        value = self._now[name]
        return value if isinstance(value, (float, Late)) else cast(value, variable.dtype)

    def _rest(self, name: str, variable: Variable) -> Any:
        return 1.0 - self._at(name, variable)


class GradientDescentOptimizer(_Numbers):
    """var -= learning_rate * gradient; of sparse gradients, duplicate rows all count.

    Args:
        learning_rate: float, scalar tensor or variable, or a function of no arguments that gives one; read at
            each step.

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable([1., 2.])
        >>> tf.train.GradientDescentOptimizer(0.5).apply_gradients([(tf.constant([1., 1.]), w)])
        >>> w.numpy().tolist()
        [0.5, 1.5]
    """

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent"):
        super().__init__(use_locking, name, learning_rate=learning_rate)

    def _rule(self, variable: Variable) -> tuple[OpDef, tuple]:
        return update.GRADIENT_DESCENT, (self._at("learning_rate", variable),)


class MomentumOptimizer(_Numbers):
    """accum = momentum * accum + gradient; var -= learning_rate * accum (slot "momentum").

    Args:
        learning_rate, momentum: numbers as in GradientDescentOptimizer.
        use_nesterov: step by learning_rate * (gradient + momentum * accum) instead, as Sutskever et al.
            (2013) do. The gradient is taken at the variable as it is.

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable(1.)
        >>> sgd = tf.train.MomentumOptimizer(0.1, 0.9)
        >>> for _ in range(3):
        ...     sgd.apply_gradients([(tf.constant(1.), w)])
        >>> round(float(w), 3)
        0.439
    """

    _slot_start = {"momentum": 0.0}
    _lazy_rows = True

    def __init__(self, learning_rate: Any, momentum: Any, use_locking: bool = False, name: str = "Momentum",
                 use_nesterov: bool = False):
        super().__init__(use_locking, name, learning_rate=learning_rate, momentum=momentum)
        self._row = update.NESTEROV if use_nesterov else update.MOMENTUM

    def _rule(self, variable: Variable) -> tuple[OpDef, tuple]:
        return self._row, (self._at("learning_rate", variable), self._at("momentum", variable))


class AdamOptimizer(_Numbers):
    """Adam (Kingma and Ba 2014), with epsilon outside the bias correction ("epsilon hat" in the paper).

        lr_t = learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t)
        m += (1 - beta1) (g - m);  v += (1 - beta2) (g^2 - v);  var -= lr_t m / (sqrt(v) + epsilon)

    Sparse gradients are not lazy: the moments of all rows decay, and all rows move. Slots "m" and "v"; the
    powers of the betas are the variables `beta1_power` and `beta2_power`, kept on the host.

    Args:
        learning_rate, beta1, beta2, epsilon: numbers as in GradientDescentOptimizer.

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable(1.)
        >>> adam = tf.train.AdamOptimizer(0.1)
        >>> for g in (.1, .2, .3):
        ...     adam.apply_gradients([(tf.constant(g), w)])
        >>> round(float(w), 5)
        0.70768
    """

    _slot_start = {"m": 0.0, "v": 0.0}

    def __init__(self, learning_rate: Any = 0.001, beta1: Any = 0.9, beta2: Any = 0.999, epsilon: Any = 1e-8,
                 use_locking: bool = False, name: str = "Adam"):
        super().__init__(use_locking, name, learning_rate=learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon)

    def _power(self, name: str, beta: float) -> Variable:
        power = self.__dict__.get(name)
        if power is None:
            power = Variable(np.float32(beta), trainable=False, name=name, host=True)
            setattr(self, name, power)
        return power

    def _prepare(self) -> None:
        super()._prepare()
        for name in ("beta1", "beta2"):
            if isinstance(self._now[name], Symbol):
                raise UnimplementedError(f"{self._name}: {name} is a tensor that has no value yet, and its powers are "
                                         "kept on the host; give a number, a variable, or a function that returns one")
            # The powers live on the host, so a beta computed on a device has to come there, too. It is rounded
            # like its power: 1 - beta2 in v and in the correction then have the same error, and it cancels.
            self._now[name] = float(np.float32(self._now[name]))
        first = float(self._power("beta1_power", self._now["beta1"]))
        second = float(self._power("beta2_power", self._now["beta2"]))
        self._now["correction"] = sqrt(1.0 - second) / (1.0 - first)

    def _rule(self, variable: Variable) -> tuple[OpDef, tuple]:
        return update.ADAM, (self._at("learning_rate", variable) * self._at("correction", variable),
                             self._rest("beta1", variable), self._rest("beta2", variable),
                             self._at("epsilon", variable))

    def _finish(self) -> None:
        for name in ("beta1", "beta2"):
            power = self.__dict__[f"{name}_power"]
            power.assign(power.numpy() * np.float32(self._now[name]))


class RMSPropOptimizer(_Numbers):
    """RMSProp (Tieleman and Hinton 2012), epsilon inside the root; the mean of squares starts at 1.

        rms = decay rms + (1 - decay) g^2
        mom = momentum mom + learning_rate g / sqrt(rms + epsilon);  var -= mom

    Args:
        learning_rate, decay, momentum, epsilon: numbers as in GradientDescentOptimizer.
        centered: divide by the estimated standard deviation instead (one more slot, "mg").

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable(1.)
        >>> tf.train.RMSPropOptimizer(0.1).apply_gradients([(tf.constant(2.), w)])
        >>> round(float(w), 4)
        0.8246
    """

    _slot_start = {"rms": 1.0, "momentum": 0.0}
    _lazy_rows = True

    def __init__(self, learning_rate: Any, decay: Any = 0.9, momentum: Any = 0.0, epsilon: Any = 1e-10,
                 use_locking: bool = False, centered: bool = False, name: str = "RMSProp"):
        super().__init__(use_locking, name, learning_rate=learning_rate, decay=decay, momentum=momentum,
                         epsilon=epsilon)
        if centered:
            self._slot_start = {**self._slot_start, "mg": 0.0}
        self._row = update.CENTERED_RMSPROP if centered else update.RMSPROP

    _untracked = ("_slot_start",)

    def _rule(self, variable: Variable) -> tuple[OpDef, tuple]:
        return self._row, (self._at("learning_rate", variable), self._rest("decay", variable),
                           self._at("momentum", variable), self._at("epsilon", variable))


class AdagradOptimizer(_Numbers):
    """Adagrad (Duchi et al. 2011): each coordinate's rate falls with the squares of its gradients.

        accumulator += g^2;  var -= learning_rate g / sqrt(accumulator)

    Args:
        learning_rate: number as in GradientDescentOptimizer.
        initial_accumulator_value: start of the slot "accumulator", positive.

    Raises: InvalidArgumentError (a ValueError) when initial_accumulator_value is not positive.

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable(1.)
        >>> tf.train.AdagradOptimizer(0.1).apply_gradients([(tf.constant(2.), w)])
        >>> round(float(w), 5)
        0.90123
    """

    _untracked = ("_slot_start",)

    def __init__(self, learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False,
                 name: str = "Adagrad"):
        if not initial_accumulator_value > 0:
            raise InvalidArgumentError("AdagradOptimizer: initial_accumulator_value must be positive, it is "
                                       f"{initial_accumulator_value}")
        super().__init__(use_locking, name, learning_rate=learning_rate)
        self._slot_start = {"accumulator": float(initial_accumulator_value)}

    def _rule(self, variable: Variable) -> tuple[OpDef, tuple]:
        return update.ADAGRAD, (self._at("learning_rate", variable),)


class AdadeltaOptimizer(_Numbers):
    """Adadelta (Zeiler 2012): steps in the unit of the variable; slots "accum" and "accum_update".

    Args:
        learning_rate, rho, epsilon: numbers as in GradientDescentOptimizer. The paper's rate is 1.

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable(1.)
        >>> tf.train.AdadeltaOptimizer(1.0).apply_gradients([(tf.constant(2.), w)])
        >>> bool(w < 1.)
        True
    """

    _slot_start = {"accum": 0.0, "accum_update": 0.0}
    _lazy_rows = True

    def __init__(self, learning_rate: Any = 0.001, rho: Any = 0.95, epsilon: Any = 1e-8, use_locking: bool = False,
                 name: str = "Adadelta"):
        super().__init__(use_locking, name, learning_rate=learning_rate, rho=rho, epsilon=epsilon)

    def _rule(self, variable: Variable) -> tuple[OpDef, tuple]:
        return update.ADADELTA, (self._at("learning_rate", variable), self._at("rho", variable),
                                 self._rest("rho", variable), self._at("epsilon", variable))


class FtrlOptimizer(_Numbers):
    """FTRL-proximal (McMahan et al. 2013): l1 makes weights exactly 0; slots "accum" and "linear".

    Args:
        learning_rate: number as in GradientDescentOptimizer.
        learning_rate_power: at most 0; -0.5 is the paper's.
        initial_accumulator_value: start of the slot "accum", positive.
        l1_regularization_strength, l2_regularization_strength: not negative.

    Raises: InvalidArgumentError (a ValueError) for a number out of range.

    Example:
        >>> import cltensor as tf
        >>> w = tf.Variable(0.)
        >>> tf.train.FtrlOptimizer(0.1, l1_regularization_strength=5.).apply_gradients([(tf.constant(1.), w)])
        >>> w.numpy()
        np.float32(0.0)
    """

    _untracked = ("_slot_start",)
    _lazy_rows = True

    def __init__(self, learning_rate: Any, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
                 l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
                 use_locking: bool = False, name: str = "Ftrl"):
        for what, value, fits in (("learning_rate_power", learning_rate_power, learning_rate_power <= 0),
                                  ("initial_accumulator_value", initial_accumulator_value,
                                   initial_accumulator_value > 0),
                                  ("l1_regularization_strength", l1_regularization_strength,
                                   l1_regularization_strength >= 0),
                                  ("l2_regularization_strength", l2_regularization_strength,
                                   l2_regularization_strength >= 0)):
            if not fits:
                rule = {"learning_rate_power": "at most 0", "initial_accumulator_value": "positive"}
                raise InvalidArgumentError(f"FtrlOptimizer: {what} must be {rule.get(what, 'at least 0')}, it is "
                                           f"{value}")
        super().__init__(use_locking, name, learning_rate=learning_rate)
        self._slot_start = {"accum": float(initial_accumulator_value), "linear": 0.0}
        self._numbers: tuple = (float(l1_regularization_strength), 2.0 * l2_regularization_strength)
        self._row = update.FTRL
        if learning_rate_power != -0.5:
            self._row, self._numbers = update.FTRL_POWER, (*self._numbers, -float(learning_rate_power))

    def _rule(self, variable: Variable) -> tuple[OpDef, tuple]:
        return self._row, (self._at("learning_rate", variable), *self._numbers)
