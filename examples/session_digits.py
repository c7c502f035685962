"""Classify handwritten digits the way of TensorFlow 1.x: build a graph once, then feed it and run it in a session.

    python examples/session_digits.py            writes ./session_output/

All that such programs are made of: a pipeline that is fed when it is initialised and serves training and testing,
`tf.layers` in variable scopes, batch normalisation and its updates, a decaying learning rate, `tf.metrics`,
summaries for TensorBoard, and a `tf.train.Saver` whose file a second session goes on from. The data are scikit-learn's
1,797 scans of real handwritten digits. The exit status is 0 if the test accuracy is at least 0.96 and the second
session answers like the first.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import cltensor as tf

GOAL = 0.96


def network(images, training):
    """Logits of a small convolutional network."""
    h = tf.reshape(images, [-1, 8, 8, 1])
    with tf.variable_scope("convolutions"):
        for filters in (16, 32):
            h = tf.layers.conv2d(h, filters, 3, padding="same", use_bias=False)
            h = tf.nn.relu(tf.layers.batch_normalization(h, training=training, momentum=0.9))
            h = tf.layers.max_pooling2d(h, 2, 2)
    h = tf.layers.dropout(tf.layers.flatten(h), rate=0.3, training=training)
    return tf.layers.dense(h, 10, name="logits")


class Program:
    """The graph: what a session can run, as attributes."""

    def __init__(self, batch):
        self.images, self.labels = tf.placeholder(tf.float32, [None, 64]), tf.placeholder(tf.int64, [None])
        self.training = tf.placeholder_with_default(False, [], name="training")
        data = tf.data.Dataset.from_tensor_slices((self.images, self.labels))
        for_training, for_testing = data.shuffle(2000).batch(batch), data.batch(500)
        iterator = tf.data.Iterator.from_structure(for_training.output_types, for_training.output_shapes)
        self.for_training = iterator.make_initializer(for_training)
        self.for_testing = iterator.make_initializer(for_testing)
        images, labels = iterator.get_next()

        logits = network(images, self.training)
        self.loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
        self.step = tf.train.get_or_create_global_step()
        rate = tf.train.exponential_decay(0.01, self.step, decay_steps=100, decay_rate=0.7, staircase=True)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            self.train = tf.train.AdamOptimizer(rate).minimize(self.loss, global_step=self.step)

        self.accuracy, self.count = tf.metrics.accuracy(labels=labels, predictions=tf.argmax(logits, axis=1))
        self.reset = tf.local_variables_initializer()
        tf.summary.scalar("loss", self.loss)
        tf.summary.scalar("rate", rate)
        for v in tf.trainable_variables():
            tf.summary.histogram(v.op.name, v)
        self.summaries = tf.summary.merge_all()


def through(sess, start, feed, run):
    """Calls `run` for each batch of a pass."""
    sess.run(start, feed)
    try:
        while True:
            run()
    except tf.errors.OutOfRangeError:
        pass


def tested(sess, program, images, labels):
    """The accuracy over all test batches."""
    sess.run(program.reset)
    through(sess, program.for_testing, {program.images: images, program.labels: labels},
            lambda: sess.run(program.count))
    return sess.run(program.accuracy)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("session_output"), help="folder for what is written")
    parser.add_argument("--epochs", type=int, default=15, help="passes over the training data")
    given = parser.parse_args(arguments)
    digits = load_digits()
    images, test_images, labels, test_labels = train_test_split(
        (digits.data / 16.0).astype(np.float32), digits.target, test_size=0.25, stratify=digits.target, random_state=0)

    with tf.Graph().as_default() as graph:
        tf.set_random_seed(0)
        program = Program(batch=64)
        saver = tf.train.Saver()
        init = tf.global_variables_initializer()

    with tf.Session(graph=graph) as sess, tf.summary.FileWriter(str(given.output), graph) as writer:
        sess.run(init)

        def train_batch():
            summary, _, step = sess.run([program.summaries, program.train, program.step], {program.training: True})
            if step % 10 == 0:
                writer.add_summary(summary, step)
        for epoch in range(given.epochs):
            through(sess, program.for_training, {program.images: images, program.labels: labels}, train_batch)
            if epoch % 5 == 4:
                print(f"Epoch {epoch + 1}: test accuracy {tested(sess, program, test_images, test_labels):.4f}")
        score = tested(sess, program, test_images, test_labels)
        path = saver.save(sess, str(given.output / "model"), global_step=program.step)

    with tf.Session(graph=graph) as sess:
        sess.run(init)                      # forget all, then take the file's
        saver.restore(sess, path)
        again = tested(sess, program, test_images, test_labels)
    print(f"Test accuracy {score:.4f}, goal {GOAL}; a second session from {path}: {again:.4f}")
    return 0 if score >= GOAL and again == score else 1


if __name__ == "__main__":
    sys.exit(main())
