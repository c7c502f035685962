"""Training steps, eager: the guide's linear regression, a perceptron with SGD, a LeNet-like network with Adam.

Weights start alike everywhere; what is compared is the loss after three steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workload import Bar, Workload, both, floats

_RATE = 0.01


def optimizers(tf: Any) -> Any:
    """TF 1.x's optimizers: TensorFlow keeps them under compat.v1."""
    return tf.train if tf.__name__ == "cltensor" else tf.compat.v1.train


def cross_entropy(tf: Any, labels: Any, logits: Any) -> Any:
    """Mean cross entropy of integer labels."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def as_written(function: Any) -> Any:
    """In place of a framework's compiler: the function as it is. Forms take the compiler of their steps."""
    return function


def stepper(tf: Any, loss: Any, variables: list, optimizer: Any, compiled: Any = as_written) -> Any:
    """A call that does one step and returns the loss."""
    @compiled
    def step():
        with tf.GradientTape() as tape:
            value = loss()
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
        return value
    return step


def jax_call(step: Any, state: list) -> Any:
    """The call that does `step(state) -> loss, state` and keeps the state in the list."""
    def call():
        value, state[0] = step(state[0])
        return value
    return call


# --- the guide's linear regression, 200 steps from the same start

def _line_inputs():
    x, noise = floats((1000,), (1000,), seed=1)
    return x, 3 * x + 2 + noise


def _line_tf(tf, x, y, compiled=as_written):
    W, B = tf.Variable(5.), tf.Variable(10.)

    def loss():
        return tf.reduce_mean(tf.square(x * W + B - y))

    @compiled
    def step():
        with tf.GradientTape() as tape:
            value = loss()
        dW, dB = tape.gradient(value, [W, B])
        W.assign_sub(dW * _RATE)
        B.assign_sub(dB * _RATE)

    def run():
        W.assign(5.)
        B.assign(10.)
        for _ in range(200):
            step()
        return loss()
    return run


def _line_torch(torch, x, y):
    def run():
        W, B = torch.tensor(5., requires_grad=True), torch.tensor(10., requires_grad=True)
        for _ in range(200):
            dW, dB = torch.autograd.grad(torch.mean(torch.square(x * W + B - y)), [W, B])
            with torch.no_grad():
                W.sub_(dW * _RATE)
                B.sub_(dB * _RATE)
        return torch.mean(torch.square(x * W + B - y))
    return run


def _line_jax(jax, x, y, compiled=as_written):
    def loss(w):
        return jax.numpy.mean(jax.numpy.square(x * w[0] + w[1] - y))
    grad = jax.grad(loss)

    @compiled
    def step(w):
        d = grad(w)
        return w[0] - d[0] * _RATE, w[1] - d[1] * _RATE

    def run():
        w = (jax.numpy.float32(5), jax.numpy.float32(10))
        for _ in range(200):
            w = step(w)
        return loss(w)
    return run


def _line_numpy(np_, x, y):
    def run():
        w = b = np.float32(0)
        w, b = np.float32(5), np.float32(10)
        for _ in range(200):
            e = x * w + b - y
            w, b = w - np.float32(_RATE) * 2 * np.mean(e * x), b - np.float32(_RATE) * 2 * np.mean(e)
        return np.mean(np.square(x * w + b - y))
    return run


# --- perceptron 784-512-512-10, batch 128, SGD

_LAYERS = (784, 512, 512, 10)


def _mlp_inputs():
    x, *weights = floats((128, 784), *zip(_LAYERS, _LAYERS[1:]), seed=2)
    y = np.random.default_rng(3).integers(0, 10, 128).astype(np.int32)
    weights = [w * np.float32((2 / len(w)) ** 0.5) for w in weights]
    return x, y, *weights, *(np.zeros(n, np.float32) for n in _LAYERS[1:])


def _mlp_tf(tf, x, y, *start, compiled=as_written):
    weights = [tf.Variable(w) for w in start]
    (w1, w2, w3, b1, b2, b3) = weights

    def loss():
        h = tf.nn.relu(tf.matmul(x, w1) + b1)
        h = tf.nn.relu(tf.matmul(h, w2) + b2)
        return cross_entropy(tf, y, tf.matmul(h, w3) + b3)
    return stepper(tf, loss, weights, optimizers(tf).GradientDescentOptimizer(_RATE), compiled)


def _mlp_torch(torch, x, y, *start):
    weights = [w.clone().requires_grad_() for w in start]
    (w1, w2, w3, b1, b2, b3) = weights
    y, optimizer, F = y.long(), torch.optim.SGD(weights, lr=_RATE), torch.nn.functional

    def step():
        optimizer.zero_grad()
        h = F.relu(torch.addmm(b1, x, w1))
        h = F.relu(torch.addmm(b2, h, w2))
        value = F.cross_entropy(torch.addmm(b3, h, w3), y)
        value.backward()
        optimizer.step()
        return value
    return step


def _mlp_jax(jax, x, y, *start, compiled=as_written):
    jnp, state = jax.numpy, [list(start)]

    def loss(weights):
        w1, w2, w3, b1, b2, b3 = weights
        h = jax.nn.relu(x @ w1 + b1)
        h = jax.nn.relu(h @ w2 + b2)
        return -jnp.mean(jax.nn.log_softmax(h @ w3 + b3)[jnp.arange(128), y])
    grad = jax.value_and_grad(loss)

    @compiled
    def step(weights):
        value, d = grad(weights)
        return value, [w - _RATE * g for w, g in zip(weights, d)]
    return jax_call(step, state)


def _mlp_numpy(np_, x, y, *start):
    w1, w2, w3, b1, b2, b3 = weights = [w.copy() for w in start]
    rows = np.arange(128)

    def step():
        h1 = np.maximum(x @ w1 + b1, 0)
        h2 = np.maximum(h1 @ w2 + b2, 0)
        z = h2 @ w3 + b3
        z -= z.max(1, keepdims=True)
        p = np.exp(z)
        s = p.sum(1, keepdims=True)
        value = np.mean(np.log(s[:, 0]) - z[rows, y])
        p /= s
        p[rows, y] -= 1
        p /= 128
        d2 = (p @ w3.T) * (h2 > 0)
        d1 = (d2 @ w2.T) * (h1 > 0)
        for w, g in zip(weights, (x.T @ d1, h1.T @ d2, h2.T @ p, d1.sum(0), d2.sum(0), p.sum(0))):
            w -= np.float32(_RATE) * g
        return value
    return step


# --- LeNet-like: 28x28x1, two 5x5 convolutions (32, 64) with pooling, 1024, 10; batch 64, Adam

def _cnn_inputs():
    shapes = ((5, 5, 1, 32), (5, 5, 32, 64), (7 * 7 * 64, 1024), (1024, 10))
    x, *weights = floats((64, 28, 28, 1), *shapes, seed=4)
    y = np.random.default_rng(5).integers(0, 10, 64).astype(np.int32)
    weights = [w * np.float32((2 / np.prod(w.shape[:-1])) ** 0.5) for w in weights]
    return x, y, *weights, *(np.zeros(w.shape[-1], np.float32) for w in weights)


def _cnn_tf(tf, x, y, *start, compiled=as_written):
    weights = [tf.Variable(w) for w in start]
    (w1, w2, w3, w4, b1, b2, b3, b4) = weights
    pool = getattr(tf.nn, "max_pool2d", None) or tf.nn.max_pool

    def convolve(x, w, b):
        h = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME"), b))
        return pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")

    def loss():
        h = tf.reshape(convolve(convolve(x, w1, b1), w2, b2), [64, 7 * 7 * 64])
        h = tf.nn.relu(tf.matmul(h, w3) + b3)
        return cross_entropy(tf, y, tf.matmul(h, w4) + b4)
    return stepper(tf, loss, weights, optimizers(tf).AdamOptimizer(1e-3), compiled)


def _cnn_torch(torch, x, y, *start):
    F, last = torch.nn.functional, torch.channels_last
    x = x.permute(0, 3, 1, 2).contiguous(memory_format=last)
    weights = [w.permute(3, 2, 0, 1).contiguous(memory_format=last) if w.dim() == 4 else w.clone() for w in start]
    (w1, w2, w3, w4, b1, b2, b3, b4) = weights = [w.requires_grad_() for w in weights]
    y, optimizer = y.long(), torch.optim.Adam(weights, lr=1e-3)

    def step():
        optimizer.zero_grad()
        h = F.max_pool2d(F.relu(F.conv2d(x, w1, b1, padding=2)), 2)
        h = F.max_pool2d(F.relu(F.conv2d(h, w2, b2, padding=2)), 2)
        h = h.permute(0, 2, 3, 1).reshape(64, 7 * 7 * 64)       # rows of w3 go by height, width, channel
        h = F.relu(torch.addmm(b3, h, w3))
        value = F.cross_entropy(torch.addmm(b4, h, w4), y)
        value.backward()
        optimizer.step()
        return value
    return step


def _cnn_jax(jax, x, y, *start, compiled=as_written):
    jnp, lax = jax.numpy, jax.lax
    state = (list(start), [jnp.zeros_like(w) for w in start], [jnp.zeros_like(w) for w in start], 0)

    def convolve(x, w, b):
        h = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return lax.reduce_window(jax.nn.relu(h + b), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")

    def loss(weights):
        w1, w2, w3, w4, b1, b2, b3, b4 = weights
        h = convolve(convolve(x, w1, b1), w2, b2).reshape(64, 7 * 7 * 64)
        h = jax.nn.relu(h @ w3 + b3)
        return -jnp.mean(jax.nn.log_softmax(h @ w4 + b4)[jnp.arange(64), y])
    grad = jax.value_and_grad(loss)

    @compiled
    def step(state):
        weights, m, v, t = state
        value, d = grad(weights)
        t += 1
        m = [0.9 * a + 0.1 * g for a, g in zip(m, d)]
        v = [0.999 * a + 0.001 * g * g for a, g in zip(v, d)]
        rate = 1e-3 * (1 - 0.999 ** t) ** 0.5 / (1 - 0.9 ** t)
        return value, ([w - rate * a / (jnp.sqrt(b) + 1e-8) for w, a, b in zip(weights, m, v)], m, v, t)
    return jax_call(step, [state])


CNN = Workload("CNN Adam", "LeNet-like CNN, batch 64, Adam step, eager", _cnn_inputs,
               {**both(_cnn_tf), "torch": _cnn_torch, "jax": _cnn_jax}, (Bar(("torch",), 1.2, 0.9),),
               flop=5.25e9, tolerance=1e-2, checks=3, seconds=0.2)

WORKLOADS = [
    Workload("linear regression", "guide's linear regression, 200 steps, eager", _line_inputs,
             {**both(_line_tf), "torch": _line_torch, "jax": _line_jax, "numpy": _line_numpy},
             (Bar(("tensorflow",), 0.4, 0.2),), tolerance=1e-4, seconds=0.1),
    Workload("MLP SGD", "MLP 784-512-512-10, batch 128, SGD step, eager", _mlp_inputs,
             {**both(_mlp_tf), "torch": _mlp_torch, "jax": _mlp_jax, "numpy": _mlp_numpy},
             (Bar(("torch",), 1.2, 1.0),), flop=0.41e9, tolerance=1e-3, checks=3, seconds=0.1),
    CNN,
]
