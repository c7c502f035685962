"""What deferred execution is for: loops of small ops, a loss looked at now and then, an update of many values.

Every value is used by the next one or read, so that nothing can be left out.
"""

from __future__ import annotations

import numpy as np

from benchmarks.workload import Bar, Workload, both, floats
from benchmarks.workloads.training import optimizers

_RATE, _STEPS, _EVERY = 0.01, 200, 20
_SHAPES = ((784, 512), (512,), (512, 512), (512,), (512, 10), (10,))


def _loop(x):
    """A thousand ops, each on the result of the one before."""
    def call():
        y = x
        for _ in range(250):
            y = y * 0.999
            y = y + 0.001
            y = y * x
            y = y + x
        return y
    return call


def _loop_numpy(np_, x):
    def call():
        y, factor, term = x, np.float32(0.999), np.float32(0.001)
        for _ in range(250):
            y = y * factor
            y = y + term
            y = y * x
            y = y + x
        return y
    return call


def _watched_tf(tf, x, y):
    def call():
        w, b = tf.Variable(5.0), tf.Variable(10.0)
        for i in range(_STEPS):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(x * w + b - y))
            dw, db = tape.gradient(loss, [w, b])
            w.assign_sub(dw * _RATE)
            b.assign_sub(db * _RATE)
            if i % _EVERY == 0:
                float(loss)
        return loss
    return call


def _watched_torch(torch, x, y):
    def call():
        w, b = torch.tensor(5.0, requires_grad=True), torch.tensor(10.0, requires_grad=True)
        for i in range(_STEPS):
            loss = torch.mean(torch.square(x * w + b - y))
            dw, db = torch.autograd.grad(loss, [w, b])
            with torch.no_grad():
                w.sub_(dw * _RATE)
                b.sub_(db * _RATE)
            if i % _EVERY == 0:
                loss.item()
        return loss
    return call


def _line():
    x, noise = floats((1000,), (1000,), seed=1)
    return x, 3 * x + 2 + noise


def _adam_tf(tf, *given):
    variables, gradients = [tf.Variable(a) for a in given[:6]], given[6:]
    optimizer = optimizers(tf).AdamOptimizer(1e-3)

    def call():
        optimizer.apply_gradients(zip(gradients, variables))
        return variables[3].read_value()
    return call


def _adam_torch(torch, *given):
    variables = [a.clone().requires_grad_() for a in given[:6]]
    for v, g in zip(variables, given[6:]):
        v.grad = g
    optimizer = torch.optim.Adam(variables, 1e-3)

    def call():
        optimizer.step()
        return variables[3]
    return call


def _adam_numpy(np_, *given):
    variables = [[a.copy(), np.zeros_like(a), np.zeros_like(a)] for a in given[:6]]
    gradients, powers = given[6:], [1.0, 1.0]

    def call():
        powers[:] = powers[0] * 0.9, powers[1] * 0.999
        rate = np.float32(1e-3 * np.sqrt(1 - powers[1]) / (1 - powers[0]))
        for v, g in zip(variables, gradients):
            v[1] = v[1] + (g - v[1]) * np.float32(0.1)
            v[2] = v[2] + (g * g - v[2]) * np.float32(0.001)
            v[0] = v[0] - rate * v[1] / (np.sqrt(v[2]) + np.float32(1e-8))
        return variables[3][0]
    return call


WORKLOADS = [
    Workload("loop of 1000 ops", "1,000 ops on 16 elements in a loop, eager, per loop",
             lambda: (np.float32(0.1) * floats((16,))[0],), {
        **both(lambda tf, x: _loop(x)), "torch": lambda torch, x: _loop(x), "jax": lambda jax, x: _loop(x),
        "numpy": _loop_numpy}, (Bar(("torch",), 1.0, 0.7),), tolerance=1e-3, seconds=0.1),
    Workload("watched regression", "guide's linear regression, 200 steps, loss read every 20, eager", _line,
             {**both(_watched_tf), "torch": _watched_torch}, (Bar(("torch",), 0.8, 0.4),), tolerance=1e-4, seconds=0.1),
    Workload("Adam update", "Adam update of 6 variables, 670 K values, eager",
             lambda: floats(*_SHAPES, *_SHAPES, seed=4), {
                 **both(_adam_tf), "torch": _adam_torch, "numpy": _adam_numpy}, (Bar(("numpy",), 0.4, 0.25),),
             tolerance=1e-3, seconds=0.1),
]
