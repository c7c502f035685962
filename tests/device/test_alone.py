"""Programs that ask for no namespace: what is imported later must not be missed."""

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


def test_a_program_of_ops_alone():
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True,
                          env=os.environ)
    assert (done.returncode, done.stdout.split()) == (0, ["-5.7796"] * 3 + ["4.0"]), done.stderr
