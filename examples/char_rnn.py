"""Teach an LSTM to write, one character at a time, from a page of text.

    python examples/char_rnn.py [--steps 300] [--units 128]

The text below was written for this example. The network sees 40 characters and predicts each next one; what it
learned is told in bits per character, beside what one would need knowing how often each character occurs and
nothing else. Then it writes a few lines itself. Exit status 0 only if it got below half of that.
"""

import argparse
import sys
import time

import numpy as np
from tqdm import tqdm

import cltensor as tf

tfe = tf.contrib.eager
LENGTH, BATCH = 40, 32

TEXT = """
The lamp keeper climbed the stairs at dusk, as he had done each night for thirty years. There were two hundred
and twelve steps, and he knew every one of them. The ninth was cracked, the fortieth was loose, and on the
hundredth somebody, long before his time, had cut a small ship into the stone. He always touched the ship with
one finger, for luck, and he always went on without looking back.

At the top of the stairs the sea was wide and grey. The wind came from the north, and it smelled of salt and
rain. The keeper filled the lamp, and trimmed the wick, and lit it, and the light went out over the water. Far
away a ship saw the light and turned her bow towards the harbour. The captain said to the boy at the wheel: keep
the light on your left hand, and the wind behind you, and we shall be home before the rain.

The boy kept the light on his left hand. The wind was behind him, and the sails were full, and the sea ran white
along the side of the ship. He thought of the keeper in the tower, whom he had never seen. He thought that the
keeper must be very old, and that he must know the name of every ship. But the keeper did not know the names of
the ships. He knew the wind, and the water, and the stairs, and the small stone ship on the hundredth step.

When the ship came into the harbour the rain began to fall. The captain went home, and the sailors went home,
and the boy stood on the wall and looked up at the light. It went out over the water, and came back, and went out
again. There were two hundred and twelve steps, and he counted them as he climbed. At the hundredth he stopped,
and saw the small ship in the stone, and touched it with one finger, for luck.
"""


class Writer(tf.keras.Model):
    """Characters to scores of the next character."""

    def __init__(self, characters, units):
        super().__init__()
        self.embedding = tf.keras.layers.Embedding(characters, 32)
        self.memory = tf.keras.layers.LSTM(units, recurrent_activation="sigmoid", return_sequences=True,
                                           return_state=True)
        self.scores = tf.keras.layers.Dense(characters)

    def call(self, numbers, states=None):
        y, *states = self.memory(self.embedding(numbers), initial_state=states)
        return self.scores(y), states


def batches(numbers, steps, seed):
    """Random windows of the text and the same windows one character on."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        starts = rng.integers(0, len(numbers) - LENGTH - 1, BATCH)
        windows = numbers[starts[:, None] + np.arange(LENGTH + 1)]
        yield tf.constant(windows[:, :-1]), tf.constant(windows[:, 1:])


def loss(model, x, y):
    """Mean cross entropy of the next characters, in nats."""
    scores, _ = model(x)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=scores))


def write(model, alphabet, start, length, sharpness):
    """Let the model write on from `start`, each character drawn by its probability."""
    numbers = [alphabet.index(c) for c in start]
    scores, states = model(tf.constant([numbers], tf.int32))
    last = scores[:, -1]
    for _ in range(length):
        drawn = tf.multinomial(last * sharpness, 1)
        numbers.append(int(drawn[0, 0]))
        scores, states = model(tf.cast(drawn, tf.int32), states)
        last = scores[:, -1]
    return "".join(alphabet[n] for n in numbers)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=300, help="training steps")
    parser.add_argument("--units", type=int, default=128, help="units of the LSTM")
    parser.add_argument("--write", type=int, default=240, help="characters to write at the end")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and drawing")
    chosen = parser.parse_args(arguments)

    tf.enable_eager_execution()
    device = tfe.default_device()
    print(f"Device: {device.short} = {device.label}")
    text = " ".join(TEXT.split())
    alphabet = sorted(set(text))
    numbers = np.array([alphabet.index(c) for c in text], np.int32)
    share = np.bincount(numbers) / len(numbers)
    alone = float(-(share * np.log2(share)).sum())
    print(f"Text: {len(text)} characters, {len(alphabet)} different; {alone:.2f} bits each by their frequency alone")

    tf.set_random_seed(chosen.seed)
    model, optimizer = Writer(len(alphabet), chosen.units), tf.train.AdamOptimizer(0.005)
    started, recent, bits = time.perf_counter(), [], alone
    with tqdm(total=chosen.steps, desc="Training", unit="step") as progress:
        for step, (x, y) in enumerate(batches(numbers, chosen.steps, chosen.seed), 1):
            with tf.GradientTape() as tape:
                value = loss(model, x, y)
            gradients = tape.gradient(value, model.variables)
            gradients, _ = tf.clip_by_global_norm(gradients, 5.0)
            optimizer.apply_gradients(zip(gradients, model.variables))
            recent.append(value)            # a tensor: reading it now would wait for the device
            if step % 25 == 0 or step == chosen.steps:
                bits = float(tf.reduce_mean(tf.stack(recent))) / np.log(2)
                progress.set_postfix_str(f"{bits:.2f} bits per character")
                if step % 100 == 0:
                    progress.write(f"Step {step}: {bits:.2f} bits per character")
                recent = []
            progress.update()
    print(f"Trained in {time.perf_counter() - started:.1f} s")
    print(f"The model writes:\n\n    {write(model, alphabet, 'the ', chosen.write, 1.5)}\n")
    good = bits < alone / 2
    print(f"Final: {bits:.2f} bits per character, goal {alone / 2:.2f}: {'reached' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
