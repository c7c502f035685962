"""Programs in a process of their own: one that asks for no namespace, as what is imported later must not be missed;
one that learns something, as a process that has built nothing waits for every program it needs."""

import os
import subprocess
import sys

PROGRAM = """
import cltensor as tf
for n in (1, 11, 4096):
    x = tf.fill([n], 2.0)
    for _ in range(4):
        y = tf.reduce_sum(tf.log(x * 2.0 + 1.0) - tf.exp(x))
    print(round(float(y) / n, 4))
with tf.GradientTape() as tape:
    tape.watch(x)
    y = tf.reduce_sum(tf.nn.relu(x) * x)
print(float(tape.gradient(y, x)[0]))
"""

REGRESSION = """
import numpy as np
import cltensor as tf
from cltensor.kernels import build
x, noise = np.linspace(-1, 1, 1000, dtype=np.float32), np.cos(np.arange(1000, dtype=np.float32))
x, y = tf.constant(x), tf.constant(3 * x + 2 + noise)
w, b = tf.Variable(5.0), tf.Variable(10.0)
for step in range(30):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(x * w + b - y))
    dw, db = tape.gradient(loss, [w, b])
    w.assign_sub(dw * 0.1)
    b.assign_sub(db * 0.1)
float(loss)
print([template for template, *_ in build.programs()])
"""


def test_a_program_of_ops_alone():
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True,
                          env=os.environ)
    assert (done.returncode, done.stdout.split()) == (0, ["-5.7796"] * 3 + ["4.0"]), done.stderr


def test_a_regression_builds_the_interpreter_alone(device):
    done = subprocess.run([sys.executable, "-W", "error", "-c", REGRESSION], capture_output=True, text=True,
                          env={**os.environ, "CLTENSOR_DEFER": "auto"})
    assert done.returncode == 0, done.stderr
    if device.traits.schedule == "cpu":
        assert done.stdout.strip() == "['vm']"
