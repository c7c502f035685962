"""Compiled code: the training steps of the other tables behind each framework's own compiler.

The same texts as in the eager tables, with `tf.function` (ours and TensorFlow's) or `jax.jit` around the step. PyTorch
runs eagerly, but for the LSTM, where it has a fused layer of its own. "cltensor eager" is ours without it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.workload import Bar, Workload, floats
from benchmarks.workloads import recurrent, resnet, training

__all__ = ["WORKLOADS", "STEPS", "deep"]

CHAIN = 10      # ops


def _function(form: Callable) -> Callable:
    """A form with `tf.function` around its step."""
    return lambda tf, *given: form(tf, *given, compiled=tf.function)


def _compiled(workload: Workload, name: str, title: str, bar: Bar, **forms: Callable) -> Workload:
    """An eager row as a row of compiled steps."""
    own, jax = workload.forms["cltensor"], workload.forms["jax"]
    found = {"cltensor": _function(own), "cltensor eager": own, "tensorflow": _function(own),
             "jax": lambda jax_, *given: jax(jax_, *given, compiled=jax_.jit), "torch": workload.forms["torch"]}
    return Workload(name, title, workload.inputs, found | forms, (bar,), flop=workload.flop,
                    tolerance=workload.tolerance, checks=workload.checks, seconds=workload.seconds)


# --- a chain of ten elementwise ops

def _chain(tanh: Callable, maximum: Callable, sqrt: Callable, x: Any) -> Any:
    h = tanh((x * 1.01 + 0.5) * x)
    return sqrt(maximum(h * 0.3 - 0.1, 0.0) + 0.2) + 1.0


def _chain_tf(tf, x, compiled=training.as_written):
    return partial(compiled(lambda x: _chain(tf.tanh, tf.maximum, tf.sqrt, x)), x)


def _chain_jax(jax, x, compiled=training.as_written):
    np = jax.numpy
    return partial(compiled(lambda x: _chain(np.tanh, np.maximum, np.sqrt, x)), x)


def _chain_torch(torch, x):
    return partial(_chain, torch.tanh, lambda h, low: torch.clamp(h, min=low), torch.sqrt, x)


def chain(n: int, size: str, must: float, goal: float) -> Workload:
    """Ten ops over n floats."""
    row = Workload(f"chain {size}", "", lambda: floats((n,)),
                   {"cltensor": _chain_tf, "jax": _chain_jax, "torch": _chain_torch}, tolerance=1e-5)
    return _compiled(row, row.name, f"chain of {CHAIN} ops on {size} floats", Bar(("jax",), must, goal))


# --- PyTorch's own LSTM layer, its weights laid out from ours

def _lstm_torch(torch, x, w, b):
    units = w.shape[1] // 4
    i, j, f, o = (torch.cat([w, b[None]]).chunk(4, 1))
    layer = torch.nn.LSTM(units, units)
    with torch.no_grad():
        ours = torch.cat([i, f, j, o], 1)              # PyTorch's order of the gates; its forget gate adds no 1
        layer.weight_ih_l0.copy_(ours[:units].T)
        layer.weight_hh_l0.copy_(ours[units:-1].T)
        layer.bias_ih_l0.copy_(ours[-1])
        layer.bias_ih_l0[units:2 * units] += 1.0
        layer.bias_hh_l0.zero_()
    optimizer = torch.optim.SGD([layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0], lr=0.01)

    def step():
        optimizer.zero_grad()
        value = torch.mean(torch.square(layer(x)[0][-1]))
        value.backward()
        optimizer.step()
        return value
    return step


# --- fifty equal layers

def deep(tf: Any, compiled: Any, layers: int = 50, width: int = 64, batch: int = 32) -> Callable:
    """A training step of a perceptron of `layers` equal layers, with a residual connection around each."""
    x, *weights = floats((batch, width), *[(width, width)] * layers, seed=9, scale=0.05)
    variables = [tf.Variable(w) for w in weights] + [tf.Variable(w[0]) for w in weights]
    x = tf.constant(x)

    def loss():
        h = x
        for w, b in zip(variables, variables[layers:]):
            h = h + tf.nn.relu(tf.matmul(h, w) + b)
        return tf.reduce_mean(tf.square(h))
    optimizer = training.optimizers(tf).AdamOptimizer(1e-3)
    return training.stepper(tf, loss, variables, optimizer, compiled)


_LINE, _MLP = (next(w for w in training.WORKLOADS if w.name == name) for name in ("linear regression", "MLP SGD"))
STEPS = {"linear regression": _LINE, "MLP SGD": _MLP, "CNN Adam": training.CNN, "LSTM SGD": recurrent.WORKLOADS[0],
         "ResNet50 SGD": resnet.WORKLOADS[0]}

WORKLOADS = [
    _compiled(_LINE, "compiled linear regression", "guide's linear regression, 200 steps",
              Bar(("torch",), 1.0, 0.3)),
    _compiled(_MLP, "compiled MLP SGD", "MLP 784-512-512-10, batch 128, SGD step", Bar(("jax",), 1.1, 1.0)),
    chain(2**20, "1M", 0.6, 0.3),
    chain(2**24, "16M", 0.4, 0.2),
    _compiled(training.CNN, "compiled CNN Adam", "LeNet-like CNN, batch 64, Adam step", Bar(("tensorflow",), 1.2, 1.0)),
    _compiled(STEPS["LSTM SGD"], "compiled LSTM SGD", "LSTM 32x50x256 training step (PyTorch: nn.LSTM)",
              Bar(("torch",), 1.5, 1.0), torch=_lstm_torch),
    _compiled(STEPS["ResNet50 SGD"], "compiled ResNet50 SGD", "ResNet50, batch 4 of 224x224, training step",
              Bar(("tensorflow",), 1.2, 1.0)),
]
