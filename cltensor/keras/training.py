"""compile, fit, evaluate and predict: the training loop of Keras, for any model whose output is one tensor."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.autodiff.tape import GradientTape
from cltensor.base.dtypes import float32
from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError, UnimplementedError
from cltensor.base.optional import load
from cltensor.core.dispatch import eagerly, state
from cltensor.core.tensor import Tensor, convert
from cltensor.keras import losses, metrics, optimizers
from cltensor.keras.batches import Batches
from cltensor.keras.callbacks import History
from cltensor.keras.inputs import as_inputs
from cltensor.ops.array import reshape
from cltensor.ops.join import stack
from cltensor.ops.math import add_n, cast
from cltensor.ops.reduce import reduce_mean, reduce_sum

__all__ = ["Trainable"]

_SHOWN_EVERY_S = 0.25       # showing the loss waits for the device
_HELD = 256                 # losses kept on the device before they are read, all at once


def _at_once(method: Callable) -> Callable:
    """Decorator: training and evaluating happen now, in a graph, too, whose variables then have their values."""
    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if state.interpreter is None:
            return method(self, *args, **kwargs)
        with eagerly():
            answer = method(self, *args, **kwargs)
        for v in self.variables:
            if v.graph is not None:
                v.graph.restored(v)
        return answer
    return call


class _Running:
    """Means of losses and metrics over batches, read from the device a few hundred at a time."""

    def __init__(self, names: list):
        self.names = names
        self._held: list = []
        self._sums, self._count = np.zeros(len(names)), 0.0

    def add(self, values: list, size: int) -> None:
        self._held.append((values, size))
        if len(self._held) >= _HELD:
            self._read()

    def _read(self) -> None:
        if self._held:
            flat = [cast(v, "float32") for values, _ in self._held for v in values]
            table = stack(flat).numpy().astype(np.float64).reshape(len(self._held), -1)
            sizes = np.array([n for _, n in self._held], np.float64)
            self._sums, self._count = self._sums + sizes @ table, self._count + sizes.sum()
            self._held = []

    def means(self) -> dict:
        self._read()
        return dict(zip(self.names, (self._sums / max(self._count, 1.0)).tolist()))


class Trainable:
    """The part of a Model that trains it; the model itself is callable, with `training`."""

    optimizer: Any = None
    stop_training = False
    _loss: Any = None
    _metrics: tuple = ()

    def compile(self, optimizer: Any, loss: Any = None, metrics: Any = None, loss_weights: Any = None,
                sample_weight_mode: Any = None, weighted_metrics: Any = None, **kwargs: Any) -> None:
        """Say how to train.

        Args:
            optimizer: one of tf.train or tf.keras.optimizers, or a name: "sgd", "adam", ...
            loss: name, or function of (y_true, y_pred) that gives one loss per example or their mean.
            metrics: list of names ("accuracy", "mae", ...) or such functions.

        Raises: InvalidArgumentError for unknown names; UnimplementedError for several outputs.

        Example:
            >>> import cltensor as tf
            >>> model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(1,))])
            >>> model.compile(tf.train.GradientDescentOptimizer(0.3), "mse")
            >>> history = model.fit([[0.], [1.]], [[1.], [3.]], epochs=50, verbose=0)
            >>> bool(history.history["loss"][-1] < 0.1)
            True
        """
        if loss_weights is not None or isinstance(loss, (list, tuple, dict)):
            raise UnimplementedError("Model.compile: one output and one loss are offered")
        self.optimizer = optimizers.get(optimizer)
        self._loss = None if loss is None else losses.get(loss)
        given = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics or ())
        names = ["acc" if m == "accuracy" else m if isinstance(m, str) else getattr(m, "__name__", "metric")
                 for m in given]
        for m in given:
            _metric(m, self._loss, None)
        self._metrics = tuple(zip(names, given))

    @property
    def metrics_names(self) -> list:
        """What `evaluate` returns: "loss", then the metrics."""
        return ["loss", *(name for name, _ in self._metrics)]

    def _ready(self, op: str) -> None:
        if self._loss is None:
            raise FailedPreconditionError(f"Model.{op}: call compile(optimizer, loss) first")

    # -- one batch
    def _losses(self, x: Any, y: Any, weights: Any, training: bool) -> tuple[Tensor, list, int]:
        """Loss to differentiate, values to report, number of examples."""
        x = as_inputs(x, float32)
        prediction = self(x, training=training)         # type: ignore[operator]
        if not isinstance(prediction, Tensor):
            raise UnimplementedError("Model.fit: a model of one output is wanted, it gives a "
                                     f"{type(prediction).__name__}")
        y = convert(y)
        if len(y.spec.shape) == len(prediction.spec.shape) - 1 and prediction.spec.shape[-1] == 1:
            y = reshape(y, prediction.spec.shape)       # one number per example, as a column
        size = prediction.spec.shape[0] if prediction.spec.shape else 1
        each = self._loss(y, prediction)
        total = _mean(each, weights, size)
        inner = self.losses                             # type: ignore[attr-defined]
        if inner:
            total = add_n([total, *(reduce_sum(extra) for extra in inner)])
        report = [total]
        width = prediction.spec.shape[-1] if prediction.spec.shape else None
        for _, metric in self._metrics:
            report.append(reduce_mean(_metric(metric, self._loss, width)(y, prediction)))
        return total, report, size

    def _train(self, x: Any, y: Any, weights: Any) -> tuple[list, int]:
        with GradientTape() as tape:
            loss, report, size = self._losses(x, y, weights, True)
        variables = self.trainable_variables            # type: ignore[attr-defined]
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return report, size

    @_at_once
    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        """One step on one batch; returns what `evaluate` returns for it."""
        self._ready("train_on_batch")
        report, _ = self._train(x, y, sample_weight)
        return _answer([float(v) for v in report])

    @_at_once
    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        """Loss and metrics of one batch."""
        self._ready("test_on_batch")
        return _answer([float(v) for v in self._losses(x, y, sample_weight, False)[1]])

    @_at_once
    def predict_on_batch(self, x: Any) -> Any:
        """Output for one batch, as a tensor."""
        return self(as_inputs(x, float32), training=False)         # type: ignore[operator]

    # -- many
    @_at_once
    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: int = 1,
            callbacks: Any = None, validation_split: float = 0.0, validation_data: Any = None, shuffle: bool = True,
            class_weight: Any = None, sample_weight: Any = None, initial_epoch: int = 0,
            steps_per_epoch: int | None = None, validation_steps: int | None = None, **kwargs: Any) -> History:
        """Train for a number of epochs.

        Args:
            x, y: arrays of examples and labels (x may be a list or dict of arrays); or x a Dataset or iterable of
                batches (x, y) or (x, y, weights).
            batch_size: of arrays, 32 unless given.
            epochs: passes over the data.
            verbose: 0 silent, 1 a progress bar per epoch, 2 a line per epoch.
            callbacks: list of tf.keras.callbacks.
            validation_split: share of the arrays, at their end, to evaluate on after each epoch.
            validation_data: (x, y) or (x, y, weights), or a Dataset, to evaluate on.
            shuffle: arrays in a new order each epoch.
            sample_weight: factor of each example's loss.
            steps_per_epoch: batches per epoch; needed for data without end.

        Returns: History; `history.history["loss"]` has one mean per epoch.
        Raises: FailedPreconditionError before `compile`; InvalidArgumentError when arrays do not fit together.
        """
        self._ready("fit")
        if class_weight is not None:
            raise UnimplementedError("Model.fit: class_weight is not offered; use sample_weight")
        if validation_split:
            x, y, sample_weight, validation_data = _held_out(x, y, sample_weight, validation_split)
        batches = Batches("Model.fit", x, y, sample_weight, batch_size, shuffle, steps_per_epoch)
        history = History()
        listeners = [history, *(callbacks or ())]
        for c in listeners:
            c.set_model(self)
            c.set_params({"epochs": epochs, "steps": batches.steps, "metrics": self.metrics_names})
        self.stop_training = False
        _tell(listeners, "on_train_begin", {})
        for epoch in range(initial_epoch, epochs):
            _tell(listeners, "on_epoch_begin", epoch, {})
            logs = self._epoch(batches, listeners, f"Epoch {epoch + 1}/{epochs}", verbose)
            if validation_data is not None:
                values = self._validate(validation_data, batch_size, validation_steps)
                logs.update({f"val_{k}": v for k, v in values.items()})
            if verbose == 2 or (verbose and validation_data is not None):
                print(f"Epoch {epoch + 1}/{epochs}: " + ", ".join(f"{k} {v:.4f}" for k, v in logs.items()))
            _tell(listeners, "on_epoch_end", epoch, logs)
            if self.stop_training:
                break
        _tell(listeners, "on_train_end", {})
        return history

    def _epoch(self, batches: Batches, listeners: list, title: str, verbose: int) -> dict:
        running, shown, bar = _Running(self.metrics_names), time.monotonic(), _bar(title, batches.steps, verbose)
        for i, (x, y, weights) in enumerate(batches):
            _tell(listeners, "on_batch_begin", i, {})
            running.add(*self._train(x, y, weights))
            _tell(listeners, "on_batch_end", i, {})
            if bar is not None:
                bar.update()
                if time.monotonic() - shown > _SHOWN_EVERY_S:
                    bar.set_postfix({k: f"{v:.4f}" for k, v in running.means().items()}, refresh=False)
                    shown = time.monotonic()
        logs = running.means()
        if bar is not None:
            bar.set_postfix({k: f"{v:.4f}" for k, v in logs.items()})
            bar.close()
        return logs

    def _validate(self, data: Any, batch_size: Any, steps: Any) -> dict:
        parts = data if isinstance(data, (tuple, list)) else (data,)
        x, y, weights = (*parts, None, None)[:3]
        size = batch_size if y is not None else None
        return self._evaluate(Batches("Model.fit: validation_data", x, y, weights, size, False, steps), None)

    def _evaluate(self, batches: Batches, bar: Any) -> dict:
        running = _Running(self.metrics_names)
        for x, y, weights in batches:
            _, report, size = self._losses(x, y, weights, False)
            running.add(report, size)
            if bar is not None:
                bar.update()
        return running.means()

    @_at_once
    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: int = 1,
                 sample_weight: Any = None, steps: int | None = None) -> Any:
        """Mean loss and metrics over data, as for `fit`.

        Returns: the loss, or with metrics a list of it and theirs.
        """
        self._ready("evaluate")
        batches = Batches("Model.evaluate", x, y, sample_weight, batch_size, False, steps)
        bar = _bar("Evaluate", batches.steps, verbose)
        values = self._evaluate(batches, bar)
        if bar is not None:
            bar.close()
        return _answer(list(values.values()))

    @_at_once
    def predict(self, x: Any, batch_size: int | None = None, verbose: int = 0, steps: int | None = None) -> Any:
        """Outputs for all examples, as one array.

        Args:
            x: array, list or dict of arrays; or a Dataset or iterable of batches x, or of (x, ...).
        """
        batches = Batches("Model.predict", x, None, None, batch_size, False, steps, labelled=False)
        bar, outputs = _bar("Predict", batches.steps, verbose), []
        for part, _, _ in batches:
            outputs.append(self.predict_on_batch(part))
            if bar is not None:
                bar.update()
        if bar is not None:
            bar.close()
        if not outputs:
            raise InvalidArgumentError("Model.predict: there is no example")
        return np.concatenate([y.numpy() for y in outputs])


def _metric(metric: Any, loss: Any, width: Any) -> Callable:
    return metrics.get(metric, loss, width)


def _mean(each: Tensor, weights: Any, size: int) -> Tensor:
    if weights is None:
        return reduce_mean(each)
    if not each.spec.shape:
        raise InvalidArgumentError("Model.fit: sample_weight needs a loss that gives one number per example")
    if len(each.spec.shape) > 1:
        each = reduce_mean(reshape(each, (size, -1)), -1)
    return reduce_mean(each * cast(convert(weights), each.dtype))


def _held_out(x: Any, y: Any, weights: Any, share: float) -> tuple:
    """Arrays without their end, and the end as validation data."""
    if y is None or not 0 < share < 1:
        raise InvalidArgumentError(f"Model.fit: validation_split must lie in (0, 1) and needs arrays, it is {share}")
    y = np.asarray(y)
    cut = int(len(y) * (1 - share))

    def parts(value: Any, first: bool) -> Any:
        if isinstance(value, dict):
            return {k: parts(v, first) for k, v in value.items()}
        if isinstance(value, list) and any(isinstance(v, (np.ndarray, Tensor)) for v in value):
            return [parts(v, first) for v in value]
        array = value.numpy() if hasattr(type(value), "numpy") else np.asarray(value)
        return array[:cut] if first else array[cut:]
    kept = None if weights is None else parts(weights, True)
    end = (parts(x, False), y[cut:]) if weights is None else (parts(x, False), y[cut:], parts(weights, False))
    return parts(x, True), y[:cut], kept, end


def _tell(listeners: list, event: str, *args: Any) -> None:
    for listener in listeners:
        getattr(listener, event)(*args)


def _bar(title: str, steps: Any, verbose: int) -> Any:
    return load("tqdm", extra="examples").tqdm(desc=title, total=steps, unit="step") if verbose == 1 else None


def _answer(values: list) -> Any:
    return values[0] if len(values) == 1 else values
