"""Train a classifier on MNIST, from the IDX files of its authors.

    python examples/mnist.py --data FOLDER [--epochs 2]

FOLDER holds the four files of MNIST (or of a set of the same form, such as Fashion-MNIST), packed by gzip or not:

    train-images-idx3-ubyte   train-labels-idx1-ubyte   t10k-images-idx3-ubyte   t10k-labels-idx1-ubyte

Nothing is downloaded. `train(folder)` and `test(folder)` have the form of TensorFlow's official/mnist/dataset.py,
which the eager-execution guide imports, and the training loop is the guide's.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import cltensor as tf

CLASSES = 10


def find(folder, name):
    """The file `name` of the folder, packed or not; some copies of the set write a dot for the second dash."""
    folder = Path(folder)
    if not folder.is_dir():
        raise tf.errors.NotFoundError(f"mnist: there is no folder {folder}")
    for candidate in (name, name.replace("-idx", ".idx")):
        for path in (folder / candidate, folder / f"{candidate}.gz"):
            if path.is_file():
                return path
    raise tf.errors.NotFoundError(f"mnist: the folder {folder} has neither {name} nor {name}.gz")


def load(folder, part):
    """Images (n, rows * columns) in [0, 1] and labels (n,) of "train" or "t10k"; the files must fit together."""
    images_path, labels_path = find(folder, f"{part}-images-idx3-ubyte"), find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = tf.data.read_idx(images_path), tf.data.read_idx(labels_path)
    for path, array, rank in ((images_path, images, 3), (labels_path, labels, 1)):
        if array.ndim != rank or array.dtype != np.uint8:
            raise tf.errors.InvalidArgumentError(f"mnist: {path} holds {array.dtype} values of shape {array.shape}; "
                                                 f"wanted are uint8 in {rank} dimensions")
    if len(images) != len(labels) or len(images) == 0:
        raise tf.errors.InvalidArgumentError(
            f"mnist: {images_path} has {len(images)} images, {labels_path} has {len(labels)} labels")
    if labels.max() >= CLASSES:
        raise tf.errors.InvalidArgumentError(f"mnist: {labels_path} has the label {labels.max()}, the largest is "
                                             f"{CLASSES - 1}")
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels.astype(np.int32)


def train(folder):
    """The training set as a tf.data.Dataset of (image, label)."""
    return tf.data.Dataset.from_tensor_slices(load(folder, "train"))


def test(folder):
    """The test set as a tf.data.Dataset of (image, label)."""
    return tf.data.Dataset.from_tensor_slices(load(folder, "t10k"))


def loss(model, x, y):
    """Mean cross entropy of a batch."""
    prediction = model(x)
    return tf.losses.sparse_softmax_cross_entropy(labels=y, logits=prediction)


def grad(model, inputs, targets):
    """Gradients of the loss by the model's variables."""
    with tf.GradientTape() as tape:
        loss_value = loss(model, inputs, targets)
    return tape.gradient(loss_value, model.variables)


def accuracy(model, dataset):
    """Share of images whose largest logit is the label's."""
    metric = tf.contrib.eager.metrics.Accuracy()
    for x, y in dataset.batch(500):
        metric(labels=tf.cast(y, tf.int64), predictions=tf.argmax(model(x), axis=1))
    return float(metric.result())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="folder of the four IDX files")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the training set")
    parser.add_argument("--batch", type=int, default=64, help="images in a batch")
    chosen = parser.parse_args(arguments)

    tf.enable_eager_execution()
    try:
        dataset_train, dataset_test = train(chosen.data), test(chosen.data)
    except tf.errors.OpError as error:
        print(error, file=sys.stderr)
        return 2

    model = tf.keras.Sequential([
        tf.keras.layers.Dense(128, activation="relu"),
        tf.keras.layers.Dense(CLASSES),
    ])
    optimizer = tf.train.AdamOptimizer(learning_rate=0.001)
    batches = dataset_train.shuffle(60000).repeat(chosen.epochs).batch(chosen.batch)
    started = time.perf_counter()
    for (i, (x, y)) in enumerate(batches):
        grads = grad(model, x, y)
        optimizer.apply_gradients(zip(grads, model.variables),
                                  global_step=tf.train.get_or_create_global_step())
        if i % 200 == 0:
            print(f"Loss at step {i:04d}: {loss(model, x, y):.3f}")
    print(f"Final loss: {loss(model, x, y):.3f}")
    print(f"Test accuracy: {accuracy(model, dataset_test):.4f}, trained in {time.perf_counter() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
