"""Train a classifier of handwritten digits, end to end: data, model, training, checkpoint, TensorBoard, pictures.

    python examples/digits.py            writes ./digits_output/

The data are scikit-learn's 1,797 scans of real handwritten digits (8 x 8 pixels; E. Alpaydin, C. Kaynak,
UCI repository 1998), split once: stratified, 25 % for testing, seed 0. Three models that differ in their
initial weights are trained; the exit status is 0 only if the median test accuracy is at least 0.96 and a
checkpoint restored into a fresh model answers exactly like the model that was saved.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import cltensor as tf

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend must be chosen first: there may be no screen)

tfe = tf.contrib.eager
GOAL = 0.96
EPOCHS, BATCH = 30, 64


def load():
    """Images (n, 64) in [0, 1] and labels (n,), for training and for testing."""
    digits = load_digits()
    images = (digits.data / 16.0).astype(np.float32)
    return train_test_split(images, digits.target.astype(np.int32), test_size=0.25, stratify=digits.target,
                            random_state=0)


def make_model():
    """A network of three dense layers."""
    return tf.keras.Sequential([
        tf.keras.layers.Dense(128, activation="relu", input_shape=(64,)),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(10),
    ])


def loss(model, x, y):
    """Mean cross entropy of a batch."""
    prediction = model(x)
    return tf.losses.sparse_softmax_cross_entropy(labels=y, logits=prediction)


def grad(model, inputs, targets):
    """Loss, and its gradients by the model's variables."""
    with tf.GradientTape() as tape:
        loss_value = loss(model, inputs, targets)
    return loss_value, tape.gradient(loss_value, model.variables)


def accuracy(model, images, labels):
    """Share of images whose largest logit is the label's."""
    metric = tfe.metrics.Accuracy()
    metric(labels=tf.constant(labels, tf.int64), predictions=tf.argmax(model(tf.constant(images)), axis=1))
    return float(metric.result())


def train(model, optimizer, images, labels, global_step, steps, progress):
    """The training loop of the guide; returns the loss of each step."""
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images)).repeat(EPOCHS).batch(BATCH)
    losses = []
    for (i, (x, y)) in enumerate(dataset):
        loss_value, grads = grad(model, x, y)
        optimizer.apply_gradients(zip(grads, model.variables), global_step=global_step)
        losses.append(loss_value)           # a tensor: reading it now would wait for the device
        with tf.contrib.summary.record_summaries_every_n_global_steps(10):
            tf.contrib.summary.scalar("loss", loss_value)
        if i % 200 == 0:
            progress.write(f"Loss at step {i:04d}: {loss(model, x, y):.3f}")
        progress.update()
    return [float(value) for value in losses]


def pictures(curve, model, images, labels, folder):
    """The loss curve, and some test digits with what the model says."""
    fig, ax = plt.subplots(figsize=(7, 4))
    ax.plot(curve, linewidth=0.5, alpha=0.5, label="each step")
    smooth = np.convolve(curve, np.ones(25) / 25, mode="valid")
    ax.plot(np.arange(len(smooth)) + 12, smooth, label="mean of 25 steps")
    ax.set(xlabel="step", ylabel="cross entropy", yscale="log", title="Training loss")
    ax.legend()
    fig.tight_layout()
    fig.savefig(folder / "loss.png", dpi=120)
    said = tf.argmax(model(tf.constant(images[:24])), axis=1).numpy()
    fig, axes = plt.subplots(3, 8, figsize=(8, 3.8))
    for ax, image, answer, label in zip(axes.flat, images, said, labels):
        ax.imshow(image.reshape(8, 8), cmap="gray_r")
        ax.set_title(f"{answer}" if answer == label else f"{answer} (is {label})",
                     color="black" if answer == label else "red", fontsize=9)
        ax.axis("off")
    fig.suptitle("Test digits and what the model says")
    fig.tight_layout()
    fig.savefig(folder / "predictions.png", dpi=120)
    plt.close("all")


def events_read_back(folder, steps):
    """Number of loss values that TensorBoard's own reader finds."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return len(reader.Scalars("loss"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("digits_output"), help="folder for what is written")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()

    tf.enable_eager_execution()
    device = tfe.default_device()
    print(f"Device: {device.short} = {device.label}")
    print(f"Chosen because {device.reason}")
    train_images, test_images, train_labels, test_labels = load()
    print(f"Data: {len(train_images)} digits for training, {len(test_images)} for testing")

    steps = -(-len(train_images) * EPOCHS // BATCH)
    scores, curves = [], []
    for run in range(3):
        tf.reset_default_graph()            # a global step of its own
        tf.set_random_seed(run)
        model, optimizer = make_model(), tf.train.AdamOptimizer(learning_rate=0.001)
        global_step = tf.train.get_or_create_global_step()
        writer = tf.contrib.summary.create_file_writer(str(folder / f"run{run}"))
        with writer.as_default(), tqdm(total=steps, desc=f"Run {run + 1} of 3", unit="step") as progress:
            curve = train(model, optimizer, train_images, train_labels, global_step, steps, progress)
        writer.close()
        scores.append(accuracy(model, test_images, test_labels))
        curves.append(curve)
        print(f"Run {run + 1}: final loss {curve[-1]:.3f}, test accuracy {scores[-1]:.4f}")

    checkpoint = tfe.Checkpoint(model=model, optimizer=optimizer, optimizer_step=global_step)
    path = checkpoint.save(str(folder / "checkpoint" / "ckpt"))
    fresh, fresh_optimizer = make_model(), tf.train.AdamOptimizer(learning_rate=0.001)
    tf.reset_default_graph()
    fresh_step = tf.train.get_or_create_global_step()
    tfe.Checkpoint(model=fresh, optimizer=fresh_optimizer, optimizer_step=fresh_step).restore(path)
    restored = accuracy(fresh, test_images, test_labels)
    same = restored == scores[-1] and int(fresh_step) == steps
    print(f"Checkpoint: {path} restored into a fresh model: accuracy {restored:.4f}, step {int(fresh_step)}: "
          f"{'the same' if same else 'DIFFERENT'}")

    read = events_read_back(folder / "run2", steps)
    print(f"TensorBoard: {read} loss values read back; look at them with `tensorboard --logdir {folder}`")
    pictures(curves[-1], model, test_images, test_labels, folder)
    print(f"Pictures: {folder / 'loss.png'}, {folder / 'predictions.png'}")

    median = statistics.median(scores)
    good = median >= GOAL and same and read == steps // 10
    print(f"Test accuracy: median {median:.4f} of 3 runs ({', '.join(f'{s:.4f}' for s in scores)}), goal {GOAL}")
    print(f"{'Done' if good else 'FAILED'} in {time.perf_counter() - started:.1f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
