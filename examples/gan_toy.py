"""A generative adversarial network that learns to place points on a ring of eight Gaussians.

    python examples/gan_toy.py [--steps 1500] [--picture ring.png]

A generator turns noise into points of the plane, a discriminator tells them from real ones, and each is trained
against the other (Goodfellow et al. 2014), with the non-saturating loss. Told at the end: how many of the eight
blobs the generator reaches, and which share of its points lies near one of them. Exit status 0 only if it reaches
at least four.
"""

import argparse
import sys
import time

import numpy as np
from tqdm import tqdm

import cltensor as tf

tfe = tf.contrib.eager
BLOBS, RADIUS, WIDTH, BATCH, NOISE = 8, 2.0, 0.1, 128, 8
CENTRES = RADIUS * np.stack([np.cos(2 * np.pi * np.arange(BLOBS) / BLOBS),
                             np.sin(2 * np.pi * np.arange(BLOBS) / BLOBS)], 1).astype(np.float32)


def network(outputs):
    """Two hidden layers."""
    return tf.keras.Sequential([
        tf.keras.layers.Dense(64, activation="tanh"),
        tf.keras.layers.Dense(64, activation="tanh"),
        tf.keras.layers.Dense(outputs),
    ])


def real_points(count, rng):
    """Points of the ring."""
    return (CENTRES[rng.integers(0, BLOBS, count)] + WIDTH * rng.standard_normal((count, 2))).astype(np.float32)


def cross_entropy(logits, label):
    """Mean sigmoid cross entropy where all labels are equal."""
    return tf.losses.sigmoid_cross_entropy(tf.fill(tf.shape(logits), label), logits)


def step(generator, discriminator, optimizers, real):
    """One step of both networks; returns their losses."""
    noise = tf.random_normal([BATCH, NOISE])
    with tf.GradientTape(persistent=True) as tape:
        made = generator(noise)
        on_made, on_real = discriminator(made), discriminator(real)
        judge_loss = cross_entropy(on_real, 1.0) + cross_entropy(on_made, 0.0)
        maker_loss = cross_entropy(on_made, 1.0)
    for model, loss, optimizer in ((discriminator, judge_loss, optimizers[0]), (generator, maker_loss, optimizers[1])):
        optimizer.apply_gradients(zip(tape.gradient(loss, model.variables), model.variables))
    return judge_loss, maker_loss


def judge(points):
    """Blobs with at least 2 % of the points within five widths, and the share of points near any blob."""
    distance = np.linalg.norm(points[:, None] - CENTRES, axis=2)
    near = distance.min(1) < 5 * WIDTH
    counts = np.bincount(distance.argmin(1)[near], minlength=BLOBS)
    return int((counts >= 0.02 * len(points)).sum()), float(near.mean())


def picture(path, points, real):
    """Both sets of points, as a PNG."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(figsize=(5, 5))
    axes.scatter(*real.T, s=4, alpha=0.4, label="real")
    axes.scatter(*points.T, s=4, alpha=0.4, label="made")
    axes.set(aspect="equal", title="Points on a ring")
    axes.legend(loc="center")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=1500, help="training steps")
    parser.add_argument("--seed", type=int, default=0, help="of weights, noise and points")
    parser.add_argument("--picture", metavar="FILE", help="draw the points into a PNG (needs matplotlib)")
    chosen = parser.parse_args(arguments)

    tf.enable_eager_execution()
    device = tfe.default_device()
    print(f"Device: {device.short} = {device.label}")
    tf.set_random_seed(chosen.seed)
    rng = np.random.default_rng(chosen.seed)
    generator, discriminator = network(2), network(1)
    optimizers = tf.train.AdamOptimizer(0.001, beta1=0.5), tf.train.AdamOptimizer(0.001, beta1=0.5)
    started = time.perf_counter()
    with tqdm(total=chosen.steps, desc="Training", unit="step") as progress:
        for i in range(1, chosen.steps + 1):
            losses = step(generator, discriminator, optimizers, tf.constant(real_points(BATCH, rng)))
            if i % 500 == 0:
                progress.write(f"Step {i}: discriminator {float(losses[0]):.3f}, generator {float(losses[1]):.3f}")
            progress.update()
    points = generator(tf.random_normal([2000, NOISE])).numpy()
    reached, share = judge(points)
    print(f"Trained in {time.perf_counter() - started:.1f} s")
    print(f"The generator reaches {reached} of {BLOBS} blobs; {100 * share:.0f} % of its points are near one")
    if chosen.picture:
        picture(chosen.picture, points, real_points(2000, rng))
        print(f"Picture: {chosen.picture}")
    return 0 if reached >= 4 else 1


if __name__ == "__main__":
    sys.exit(main())
