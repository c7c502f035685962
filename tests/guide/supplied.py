"""What the guide's samples use and do not define: a data set, an excerpt's surroundings, a model."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import cltensor as tf


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 handwritten digits, 8 x 8, made MNIST's size: every pixel 3 x 3, a border of 2."""
    images, labels = load_digits(return_X_y=True)
    large = np.kron(images.reshape(-1, 8, 8), np.ones((3, 3))) / 16
    large = np.pad(large, ((0, 0), (2, 2), (2, 2)))
    return large.reshape(-1, 784).astype(np.float32), labels.astype(np.int32)


def dataset_module() -> types.ModuleType:
    """Stands for the dataset.py that the guide says to download."""
    module = types.ModuleType("dataset")

    def train(directory: str) -> tf.data.Dataset:
        assert directory == "./datasets"
        return tf.data.Dataset.from_tensor_slices(digits())
    module.train = train           # type: ignore[attr-defined]
    return module


class ExcerptModel(tf.keras.Model):
    """For the excerpt that calls `model(images, training=True)`."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = tf.keras.layers.Dense(10)
        self.dropout = tf.keras.layers.Dropout(0.1)

    def call(self, images: Any, training: bool = False) -> Any:
        return self.dense(self.dropout(images, training=training))


def for_the_excerpt() -> dict[str, Any]:
    """The names around the excerpt of mnist_eager.py; one image is one batch there."""
    images, labels = digits()
    return {
        "data": types.SimpleNamespace(train=types.SimpleNamespace(images=images[:8, None], labels=labels[:8, None])),
        "model": ExcerptModel(),
        "optimizer": tf.train.GradientDescentOptimizer(0.01),
        "loss": lambda logits, labels: tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits),
    }


class MyModel(tf.keras.Model):
    """The model the guide saves."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = tf.keras.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.dense(x)
