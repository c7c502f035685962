"""A training step of ResNet50 on four images of 224 x 224: functional ops, batch statistics, SGD.

Paddings are explicit, so that all frameworks compute the same; the first pooling is 2 x 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.workload import Bar, Workload, both
from benchmarks.workloads.training import as_written, cross_entropy, jax_call, optimizers, stepper

_BATCH, _SIDE, _CLASSES, _RATE = 4, 224, 1000, 1e-3
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))      # channels, blocks, stride of the first


def _convolutions() -> Iterator[tuple[int, int, int]]:
    """(window, input channels, output channels) in the order they run."""
    yield 7, 3, 64
    cin = 64
    for channels, blocks, _ in _STAGES:
        for block in range(blocks):
            yield 1, cin, channels
            yield 3, channels, channels
            yield 1, channels, 4 * channels
            if block == 0:
                yield 1, cin, 4 * channels
            cin = 4 * channels


def _inputs() -> tuple:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((_BATCH, _SIDE, _SIDE, 3), np.float32)
    y = rng.integers(0, _CLASSES, _BATCH).astype(np.int32)
    weights = []
    for k, cin, cout in _convolutions():
        weights.append(rng.standard_normal((k, k, cin, cout), np.float32) * np.float32((2 / (k * k * cin)) ** 0.5))
        weights += [np.ones(cout, np.float32), np.zeros(cout, np.float32)]
    weights += [rng.standard_normal((2048, _CLASSES), np.float32) * np.float32(0.01), np.zeros(_CLASSES, np.float32)]
    return x, y, *weights


def _logits(x: Any, weights: list, unit: Any, relu: Any, pool: Any, mean: Any, dense: Any) -> Any:
    """The network over five functions; `unit(x, w, scale, offset, stride)` is convolution and normalization."""
    left = iter(weights)

    def convolve(x: Any, stride: int = 1) -> Any:
        return unit(x, next(left), next(left), next(left), stride)

    x = pool(relu(convolve(x, 2)))
    for _, blocks, stride in _STAGES:
        for block in range(blocks):
            first = stride if block == 0 else 1
            h = relu(convolve(x))
            h = relu(convolve(h, first))
            h = convolve(h)
            x = relu(h + (convolve(x, first) if block == 0 else x))
    return dense(mean(x), next(left), next(left))


def _tf(tf, x, y, *start, compiled=as_written):
    weights = [tf.Variable(w) for w in start]
    nn = tf.nn if tf.__name__ == "cltensor" else tf.compat.v1.nn
    pool = getattr(tf.nn, "max_pool2d", None) or tf.nn.max_pool

    def unit(x, w, scale, offset, stride):
        pad = int(w.shape[0]) // 2
        pads = [[0, 0], [pad, pad], [pad, pad], [0, 0]] if pad else "VALID"
        h = tf.nn.conv2d(x, w, strides=[1, stride, stride, 1], padding=pads)
        return nn.fused_batch_norm(h, scale, offset, epsilon=1e-3, is_training=True)[0]

    def loss():
        return cross_entropy(tf, y, _logits(
            x, weights, unit, tf.nn.relu, lambda h: pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "VALID"),
            lambda h: tf.reduce_mean(h, [1, 2]), lambda h, w, b: tf.matmul(h, w) + b))
    return stepper(tf, loss, weights, optimizers(tf).GradientDescentOptimizer(_RATE), compiled)


def _torch(torch, x, y, *start):
    F, last = torch.nn.functional, torch.channels_last
    x, y = x.permute(0, 3, 1, 2).contiguous(memory_format=last), y.long()
    weights = [w.permute(3, 2, 0, 1).contiguous(memory_format=last) if w.dim() == 4 else w.clone() for w in start]
    weights = [w.requires_grad_() for w in weights]
    optimizer = torch.optim.SGD(weights, lr=_RATE)

    def unit(x, w, scale, offset, stride):
        h = F.conv2d(x, w, stride=stride, padding=w.shape[-1] // 2)
        return F.batch_norm(h, None, None, scale, offset, training=True, eps=1e-3)

    def step():
        optimizer.zero_grad()
        value = F.cross_entropy(_logits(x, weights, unit, F.relu, lambda h: F.max_pool2d(h, 2),
                                        lambda h: h.mean((2, 3)), lambda h, w, b: torch.addmm(b, h, w)), y)
        value.backward()
        optimizer.step()
        return value
    return step


def _jax(jax, x, y, *start, compiled=as_written):
    jnp, lax, state = jax.numpy, jax.lax, [list(start)]

    def unit(x, w, scale, offset, stride):
        pad = w.shape[0] // 2
        h = lax.conv_general_dilated(x, w, (stride, stride), ((pad, pad), (pad, pad)),
                                     dimension_numbers=("NHWC", "HWIO", "NHWC"))
        mean, var = jnp.mean(h, (0, 1, 2)), jnp.var(h, (0, 1, 2))
        return (h - mean) * (lax.rsqrt(var + 1e-3) * scale) + offset

    def loss(weights):
        z = _logits(x, weights, unit, jax.nn.relu,
                    lambda h: lax.reduce_window(h, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
                    lambda h: jnp.mean(h, (1, 2)), lambda h, w, b: h @ w + b)
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(_BATCH), y])
    grad = jax.value_and_grad(loss)

    @compiled
    def step(weights):
        value, d = grad(weights)
        return value, [w - _RATE * g for w, g in zip(weights, d)]
    return jax_call(step, state)


WORKLOADS = [Workload("ResNet50 SGD", "ResNet50, batch 4 of 224x224, training step, eager", _inputs,
                      {**both(_tf), "torch": _torch, "jax": _jax}, (Bar(("torch",), 1.2, 1.0),),
                      flop=91.6e9, tolerance=2e-2, checks=2, seconds=0.5)]
