"""Pictures and words for programs: Graphviz text that holds together, and `python -m cltensor show`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cltensor as tf
from cltensor.__main__ import main

BOX = re.compile(r'^\s*(n\d+) \[label="((?:[^"\\]|\\.)*)", shape=(\w+)', re.M)
ARROW = re.compile(r'^\s*(n\d+) -> (n\d+)(?: \[(?:label="([^"]*)")?(?:, )?(style=dashed)?\])?;$', re.M)


def parts(text: str) -> tuple[dict, list]:
    """Boxes by name and arrows; every line of the text is one that is known."""
    boxes = {name: (label.replace("\\n", "\n"), shape) for name, label, shape in BOX.findall(text)}
    arrows = ARROW.findall(text)
    assert text.count("{") == text.count("}") and text.startswith("digraph")
    assert len(boxes) == len(re.findall(r"^ *n\d+ \[", text, re.M)) and len(arrows) == text.count(" -> ")
    assert all(a in boxes and b in boxes for a, b, *_ in arrows)
    return boxes, arrows


def labels(boxes: dict, shape: str) -> list[str]:
    return sorted(label.split("\n")[0] for label, s in boxes.values() if s == shape)


def test_a_training_step() -> None:
    w = tf.Variable(tf.ones([8, 3]), name="w")
    optimizer = tf.train.GradientDescentOptimizer(0.1)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.matmul(x, w) - y) * 0.5)
        optimizer.apply_gradients([(tape.gradient(loss, w), w)])
        return loss
    boxes, arrows = parts(step.to_dot(tf.zeros([4, 8]), tf.zeros([4, 3])))
    assert labels(boxes, "cylinder") == ["w:0"] and labels(boxes, "ellipse") == ["feed", "feed"]
    assert labels(boxes, "octagon") == ["assign w:0", "result"]
    assert "apply_gradient_descent (late)" in labels(boxes, "box")
    assert ("float32 (8, 3)" in {label for _, _, label, _ in arrows})
    assert "one kernel of" in step.to_dot(tf.zeros([4, 8]), tf.zeros([4, 3]))


def test_a_graph_with_control_dependencies_and_gradients() -> None:
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 2], name="x")
        v = tf.Variable([1.0, 2.0], name='quo"ted')
        y = tf.reduce_sum(x * v)
        done = v.assign_add([1.0, 1.0])
        with tf.control_dependencies([done]):
            tf.sqrt(y)
        tf.gradients(y, x)
    boxes, arrows = parts(graph.to_dot())
    assert any(dashed for *_, dashed in arrows)
    assert labels(boxes, "octagon") == ['assign quo\\"ted:0'] and labels(boxes, "ellipse") == ["x"]
    text = graph.to_text()
    assert "sqrt" in text and "%0 = feed (?, 2) float32" in text


def test_numbers_attributes_and_constants_are_in_the_boxes() -> None:
    table = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    f = tf.function(lambda x: tf.reduce_sum(tf.matmul(x, table, transpose_b=True) ** 2.5, axis=1))
    boxes, _ = parts(f.to_dot(tf.zeros([3, 2])))
    whole = "\n".join(label for label, _ in boxes.values())
    for words in ("transpose_b=True", "pow (2.5)", "axis=(1,)", "constant\nfloat32 (2, 2)"):
        assert words in whole


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table, count = tf.constant([5.0, 6.0, 7.0]), tf.Variable(0.0, trainable=False, name="count")
    dense = tf.keras.layers.Dense(3, activation="tanh", input_shape=(4,))
    dense(tf.zeros([1, 4]))

    def serve(x):
        count.assign_add(1.0)
        return {"y": dense(x) * table + tf.random_normal([x.shape[0], 3], seed=4), "n": tf.shape(x), "kind": "tanh"}
    tf.saved_model.save(dense, tmp_path, signatures={"serve": serve, "plain": dense},
                        input_signature=[tf.TensorSpec([None, 4])])
    return tmp_path


def test_show(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["show", str(folder), "--ops"]) == 0
    out = capsys.readouterr().out
    for words in ("3 variables with 16 parameters (15 trainable, 64 B), 1 constant\n",
                  "serve(x: float32[batch, 4])\n    returns kind: 'tanh', n: int32[2], y: float32[batch, 3]\n",
                  "plain(inputs: float32[batch, 4])", "assigns count", "= matmul(x, kernel) float32[batch, 3]",
                  "draw(seed 4)", "constant 0"):
        assert words in out, words
    assert main(["show", str(folder), "--signature", "plain"]) == 0
    assert "serve(" not in capsys.readouterr().out
    assert main(["show", str(folder), "--signature", "plain", "--dot"]) == 0
    boxes, _ = parts(capsys.readouterr().out)
    assert labels(boxes, "cylinder") == ["bias", "kernel"] and labels(boxes, "octagon") == ["result"]
    loaded = tf.saved_model.load(folder)
    boxes, _ = parts(loaded.serve.to_dot())
    assert "assign count" in labels(boxes, "octagon") and "serve(x: float32[batch, 4])" in repr(loaded)


def newton(x, turns):
    def step(i, r):
        return i + 1, tf.cond(tf.equal(i % 2, 0), lambda: 0.5 * (r + x / r), lambda: r)
    return tf.while_loop(lambda i, r: i < turns, step, [tf.constant(0), tf.ones_like(x)])[1]


def test_branches_and_loops_are_clusters(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    titles = {"test of while_loop", "body of while_loop", "true_fn of cond"}
    drawn = tf.function(newton).to_dot(tf.ones([3]), tf.constant(2))
    spec = [tf.TensorSpec([None]), tf.TensorSpec([], tf.int32)]
    saved = tf.saved_model.load(tf.saved_model.save(newton, tmp_path, input_signature=spec))
    for text in (drawn, saved.serving_default.to_dot()):
        boxes, _ = parts(text)
        names = {label.split("\n")[0] for label, _ in boxes.values()}
        assert {"while_loop", "cond"} <= {name.split(" ")[0] for name in names}, names
        assert titles <= set(re.findall(r'label="([^"]*)"; fontname', text))
    assert main(["show", str(tmp_path), "--ops"]) == 0
    out = capsys.readouterr().out
    for words in ("test(x0: int32[], x1: float32[batch]", " = less(x0, x", "returns %", "true_fn("):
        assert words in out, out


def test_show_says_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["show", str(folder), "--signature", "other"]) == 2
    assert "there is no function 'other', there are serve, plain" in capsys.readouterr().err
    text = folder / "saved_model.json"
    text.write_text(text.read_text()[:-40])
    assert main(["show", str(folder)]) == 2
    assert "is truncated or damaged" in capsys.readouterr().err
