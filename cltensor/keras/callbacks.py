"""tf.keras.callbacks: what `fit` tells its listeners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.errors import InvalidArgumentError

__all__ = ["Callback", "History", "LambdaCallback", "EarlyStopping", "ModelCheckpoint"]


class Callback:
    """Base of callbacks: override what you want to hear; `self.model` and `self.params` are set before training."""

    model: Any = None
    params: Any = None

    def set_model(self, model: Any) -> None:
        """The model that is trained."""
        self.model = model

    def set_params(self, params: dict) -> None:
        """Its number of epochs and steps."""
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Any = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After an epoch; `logs` holds its mean loss and metrics, those of the validation as "val_...\"."""

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a training step."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a training step; `logs` is empty, as reading the loss would wait for the device."""


class History(Callback):
    """What `fit` returns: `history`, a dict of lists with one entry per epoch, and `epoch`, their numbers."""

    def __init__(self) -> None:
        self.epoch: list = []
        self.history: dict = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class LambdaCallback(Callback):
    """A callback of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))`.

    Raises: InvalidArgumentError for a name no callback has.
    """

    def __init__(self, **functions: Callable | None):
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise InvalidArgumentError(f"LambdaCallback: there is no {name!r}; there are "
                                           + ", ".join(n for n in vars(Callback) if n.startswith("on_")))
            if function is not None:
                setattr(self, name, function)


def _direction(mode: str, monitor: str) -> int:
    if mode not in ("auto", "min", "max"):
        raise InvalidArgumentError(f"callbacks: mode must be 'auto', 'min' or 'max', it is {mode!r}")
    return 1 if mode == "max" or (mode == "auto" and "acc" in monitor) else -1


class EarlyStopping(Callback):
    """Stops training when a value has not improved for `patience` epochs.

    Args:
        monitor: name in the logs.
        min_delta: smallest change that counts.
        mode: "min", "max", or "auto": "max" for accuracies.
    """

    def __init__(self, monitor: str = "val_loss", min_delta: float = 0.0, patience: int = 0, verbose: int = 0,
                 mode: str = "auto", baseline: float | None = None):
        self.monitor, self.min_delta, self.patience = monitor, abs(min_delta), patience
        self._sign, self._baseline = _direction(mode, monitor), baseline
        self.stopped_epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._wait = 0
        self._best = self._sign * self._baseline if self._baseline is not None else -float("inf")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        value = _monitored(self, logs)
        if self._sign * value > self._best + self.min_delta:
            self._best, self._wait = self._sign * value, 0
            return
        self._wait += 1
        if self._wait > self.patience:
            self.stopped_epoch, self.model.stop_training = epoch, True


def _monitored(callback: Any, logs: Any) -> float:
    if callback.monitor not in (logs or {}):
        raise InvalidArgumentError(f"{type(callback).__name__}: there is no {callback.monitor!r} in the logs; there "
                                   f"are {', '.join(logs or {})}")
    return logs[callback.monitor]


class ModelCheckpoint(Callback):
    """Saves the model's weights after each epoch, or each that was better than those before.

    Args:
        filepath: may hold `{epoch}` and names of the logs, e.g. "w{epoch:02d}-{val_loss:.2f}".
        save_best_only: only epochs whose `monitor` is the best so far.
    """

    def __init__(self, filepath: str, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
                 save_weights_only: bool = False, mode: str = "auto", period: int = 1):
        self.filepath, self.monitor, self.save_best_only, self.period = filepath, monitor, save_best_only, period
        self._sign = _direction(mode, monitor)
        self._best = -float("inf")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (epoch + 1) % self.period:
            return
        if self.save_best_only:
            value = self._sign * _monitored(self, logs)
            if value <= self._best:
                return
            self._best = value
        self.model.save_weights(str(self.filepath).format(epoch=epoch + 1, **(logs or {})))
