"""A convolutional network on handwritten digits: LeNet (LeCun et al. 1998), trained by `compile` and `fit`.

    python examples/cnn.py [--epochs 15]

The data are scikit-learn's 1,797 scans of real handwritten digits, 8 x 8 pixels, split once: stratified, 25 % for
testing. Exit status 0 only if the test accuracy is at least 0.96.
"""

import argparse
import sys
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import cltensor as tf

layers = tf.keras.layers
GOAL = 0.96


def load():
    """Images (n, 8, 8, 1) in [0, 1] and labels (n,), for training and for testing."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[..., None]
    return train_test_split(images, digits.target.astype(np.int32), test_size=0.25, stratify=digits.target,
                            random_state=0)


def make_model():
    """LeNet for small images: two convolutions, each followed by pooling, then dense layers."""
    return tf.keras.Sequential([
        layers.Conv2D(16, 3, padding="same", activation="relu", input_shape=(8, 8, 1)),
        layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.25),
        layers.Dense(10, activation="softmax"),
    ])


def confusions(labels, answers):
    """The pairs that are confused most often, as text."""
    wrong = [(int(a), int(b)) for a, b in zip(labels, answers) if a != b]
    pairs = sorted({p: wrong.count(p) for p in wrong}.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{a} taken for {b} ({n}x)" for (a, b), n in pairs[:3]) or "none"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=15, help="passes over the training set")
    parser.add_argument("--batch", type=int, default=32, help="images in a batch")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout")
    chosen = parser.parse_args(arguments)

    tf.enable_eager_execution()
    device = tf.contrib.eager.default_device()
    print(f"Device: {device.short} = {device.label}")
    train_images, test_images, train_labels, test_labels = load()
    tf.set_random_seed(chosen.seed)
    model = make_model()
    model.compile(tf.train.AdamOptimizer(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.summary()
    started = time.perf_counter()
    model.fit(train_images, train_labels, batch_size=chosen.batch, epochs=chosen.epochs,
              validation_data=(test_images, test_labels))
    loss, accuracy = model.evaluate(test_images, test_labels, verbose=0)
    answers = model.predict(test_images).argmax(axis=1)
    print(f"Trained in {time.perf_counter() - started:.1f} s; confused most: {confusions(test_labels, answers)}")
    good = accuracy >= GOAL
    print(f"Test loss {loss:.3f}, accuracy {accuracy:.4f}, goal {GOAL}: {'reached' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
