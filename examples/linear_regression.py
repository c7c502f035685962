"""Fit a line to noisy points: the training loop of the eager-execution guide, checked against the exact answer.

    python examples/linear_regression.py [--steps 300] [--examples 2000]

The points are y = 3 x + 2 + noise. Gradient descent must come to the least-squares line, which NumPy's `lstsq`
computes directly; the exit status is 0 only if both agree.
"""

import argparse
import sys
import time

import numpy as np
from tqdm import tqdm

import cltensor as tf

tfe = tf.contrib.eager


class Line(tf.keras.Model):
    """prediction = W x + B"""

    def __init__(self):
        super().__init__()
        self.W = tfe.Variable(5., name="weight")
        self.B = tfe.Variable(10., name="bias")

    def call(self, inputs):
        return inputs * self.W + self.B


def loss(model, inputs, targets):
    """Mean squared error."""
    return tf.reduce_mean(tf.square(model(inputs) - targets))


def grad(model, inputs, targets):
    """Its gradients by W and B."""
    with tf.GradientTape() as tape:
        loss_value = loss(model, inputs, targets)
    return tape.gradient(loss_value, [model.W, model.B])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=300, help="steps of gradient descent")
    parser.add_argument("--examples", type=int, default=2000, help="number of points")
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate")
    parser.add_argument("--seed", type=int, default=0, help="of points and noise")
    chosen = parser.parse_args(arguments)

    tf.enable_eager_execution()
    device = tfe.default_device()
    print(f"Device: {device.short} = {device.label}")
    tf.set_random_seed(chosen.seed)
    inputs = tf.random_normal([chosen.examples])
    targets = inputs * 3 + 2 + tf.random_normal([chosen.examples])

    model = Line()
    optimizer = tf.train.GradientDescentOptimizer(learning_rate=chosen.rate)
    started = time.perf_counter()
    print(f"Initial loss: {loss(model, inputs, targets):.3f}")
    with tqdm(total=chosen.steps, desc="Training", unit="step") as progress:
        for step in range(chosen.steps):
            grads = grad(model, inputs, targets)
            optimizer.apply_gradients(zip(grads, [model.W, model.B]),
                                      global_step=tf.train.get_or_create_global_step())
            if step % 50 == 0:
                progress.write(f"Loss at step {step:03d}: {loss(model, inputs, targets):.3f}")
            progress.update()
    print(f"Final loss: {loss(model, inputs, targets):.3f} after {time.perf_counter() - started:.1f} s")

    columns = np.stack([inputs.numpy(), np.ones(chosen.examples)], 1).astype(np.float64)
    (weight, bias), *_ = np.linalg.lstsq(columns, targets.numpy().astype(np.float64), rcond=None)
    W, B = float(model.W), float(model.B)
    print(f"Found W = {W:.4f}, B = {B:.4f}; least squares: W = {weight:.4f}, B = {bias:.4f}; made with 3 and 2")
    good = abs(W - weight) + abs(B - bias) < 0.01
    print("Both agree." if good else "They DIFFER: more steps are needed.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
