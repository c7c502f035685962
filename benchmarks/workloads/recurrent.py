"""A training step of an LSTM over 50 steps of a batch of 32, 256 units: an eager Python loop, then SGD."""

from __future__ import annotations

import numpy as np

from benchmarks.workload import Bar, Workload, both, floats
from benchmarks.workloads.training import as_written, jax_call, optimizers, stepper

_STEPS, _BATCH, _UNITS = 50, 32, 256
_RATE = 0.01


def _inputs():
    x, w = floats((_STEPS, _BATCH, _UNITS), (2 * _UNITS, 4 * _UNITS), seed=6)
    return x, w * np.float32(_UNITS ** -0.5 / 2), np.zeros(4 * _UNITS, np.float32)


def _tf(tf, x, w, b, compiled=as_written):
    w, b = tf.Variable(w), tf.Variable(b)
    steps = tf.unstack(x)
    start = tf.zeros([_BATCH, _UNITS])

    def loss():
        h = c = start
        for now in steps:
            z = tf.matmul(tf.concat([now, h], 1), w) + b
            i, j, f, o = tf.split(z, 4, 1)
            c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
            h = tf.tanh(c) * tf.sigmoid(o)
        return tf.reduce_mean(tf.square(h))
    return stepper(tf, loss, [w, b], optimizers(tf).GradientDescentOptimizer(_RATE), compiled)


def _torch(torch, x, w, b):
    w, b = w.clone().requires_grad_(), b.clone().requires_grad_()
    steps, start, optimizer = x.unbind(), torch.zeros(_BATCH, _UNITS), torch.optim.SGD([w, b], lr=_RATE)

    def step():
        optimizer.zero_grad()
        h = c = start
        for now in steps:
            i, j, f, o = torch.addmm(b, torch.cat([now, h], 1), w).chunk(4, 1)
            c = c * torch.sigmoid(f + 1.0) + torch.sigmoid(i) * torch.tanh(j)
            h = torch.tanh(c) * torch.sigmoid(o)
        value = torch.mean(torch.square(h))
        value.backward()
        optimizer.step()
        return value
    return step


def _jax(jax, x, w, b, compiled=as_written):
    jnp, nn = jax.numpy, jax.nn
    state, steps, start = [(w, b)], list(x), jax.numpy.zeros((_BATCH, _UNITS), jax.numpy.float32)

    def loss(weights):
        w, b = weights
        h = c = start
        for now in steps:
            i, j, f, o = jnp.split(jnp.concatenate([now, h], 1) @ w + b, 4, 1)
            c = c * nn.sigmoid(f + 1.0) + nn.sigmoid(i) * jnp.tanh(j)
            h = jnp.tanh(c) * nn.sigmoid(o)
        return jnp.mean(jnp.square(h))
    grad = jax.value_and_grad(loss)

    @compiled
    def step(weights):
        value, d = grad(weights)
        return value, tuple(v - _RATE * g for v, g in zip(weights, d))
    return jax_call(step, state)


WORKLOADS = [Workload("LSTM SGD", "LSTM 32x50x256 training step, eager Python loop", _inputs,
                      {**both(_tf), "torch": _torch, "jax": _jax}, (Bar(("torch",), 1.5, 1.0),),
                      flop=4.19e9, tolerance=1e-3, checks=3, seconds=0.3)]
