"""Saved models: the same bits after loading, in this process and in another; open sizes; gradients; damaged files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cltensor as tf
from cltensor.saved_model import folder as files
from cltensor.saved_model import format as text_format
from cltensor.saved_model.sizes import Size, fit, points

L = tf.keras.layers
ROOT = Path(__file__).resolve().parents[2]


def rand(*shape: int) -> np.ndarray:
    return np.random.RandomState(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def mlp() -> tf.keras.Sequential:
    return tf.keras.Sequential([L.Dense(7, activation="tanh", input_shape=(5,)), L.Dense(3)])


def cnn() -> tf.keras.Sequential:
    return tf.keras.Sequential([L.Conv2D(4, 3, activation="relu", input_shape=(9, 9, 3)), L.BatchNormalization(),
                                L.MaxPool2D(), L.Flatten(), L.Dropout(0.5), L.Dense(3)])


def lstm() -> tf.keras.Sequential:
    return tf.keras.Sequential([L.LSTM(6, return_sequences=True, input_shape=(5, 3)), L.GRU(4), L.Dense(2)])


MODELS = {"mlp": (mlp, (5,)), "cnn": (cnn, (9, 9, 3)), "lstm": (lstm, (5, 3))}


@pytest.mark.parametrize("name", MODELS)
def test_models_have_the_same_bits_at_every_batch_size(name: str, tmp_path: Path) -> None:
    make, shape = MODELS[name]
    model = make()
    loaded = tf.saved_model.load(tf.saved_model.save(model, tmp_path / "m"))
    for batch in (1, 2, 5):
        x = rand(batch, *shape)
        assert loaded(x).numpy().tobytes() == model(tf.constant(x)).numpy().tobytes()
    assert loaded(np.zeros((0, *shape), np.float32)).shape == model(tf.zeros((0, *shape))).shape
    assert len(loaded.variables) == len(model.variables)


class Two(tf.keras.Model):
    """A subclass with two functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = L.Dense(4, activation="relu"), L.Dense(2)

    def call(self, x):
        return {"scores": self.second(self.first(x)), "rows": tf.shape(x)[0]}

    def embed(self, x):
        return self.first(x)


def test_subclass_with_several_functions_and_structured_results(tmp_path: Path) -> None:
    model = Two()
    x = rand(3, 5)
    want = model(tf.constant(x))["scores"].numpy()
    spec = [tf.TensorSpec([None, 5], tf.float32)]
    tf.saved_model.save(model, tmp_path, input_signature=spec,
                        signatures={"serving_default": lambda x: {"scores": model(x)["scores"]}, "embed": model.embed})
    loaded = tf.saved_model.load(tmp_path)
    assert np.array_equal(loaded(x)["scores"].numpy(), want)
    assert np.array_equal(loaded.embed(x=x).numpy(), model.embed(tf.constant(x)).numpy())
    assert sorted(loaded.signatures) == ["embed", "serving_default"]
    assert [v.name for v in loaded.variables] == ["first/kernel:0", "first/bias:0", "second/kernel:0", "second/bias:0"]
    with pytest.raises(AttributeError, match="its functions are serving_default, embed"):
        loaded.other        # noqa: B018


def test_another_process_needs_nothing_but_the_folder(tmp_path: Path) -> None:
    model = cnn()
    x = rand(2, 9, 9, 3)
    tf.saved_model.save(model, tmp_path / "m")
    np.save(tmp_path / "x.npy", x)
    code = ("import sys, numpy as np, cltensor as tf\n"
            "y = tf.saved_model.load(sys.argv[1] + '/m')(np.load(sys.argv[1] + '/x.npy'))\n"
            "np.save(sys.argv[1] + '/y.npy', y.numpy())\n")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT, env=os.environ)
    assert np.load(tmp_path / "y.npy").tobytes() == model(tf.constant(x)).numpy().tobytes()


def test_gradients_inside_defun_and_training(tmp_path: Path) -> None:
    model = mlp()
    loaded = tf.saved_model.load(tf.saved_model.save(model, tmp_path))
    x = tf.constant(rand(4, 5))

    def gradients(f, variables):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(f(x)))
        return tape.gradient(loss, [x, *variables])

    want = gradients(model, model.variables)
    for got in (gradients(loaded, loaded.variables),
                tf.function(lambda: gradients(loaded, loaded.variables))()):
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=2e-6, atol=1e-6)
    optimizer = tf.train.GradientDescentOptimizer(0.01)
    before = float(tf.reduce_sum(tf.square(loaded(x))))
    optimizer.apply_gradients(zip(gradients(loaded, loaded.variables)[1:], loaded.variables))
    assert float(tf.reduce_sum(tf.square(loaded(x)))) < before
    again = tf.saved_model.load(tf.saved_model.save(loaded, tmp_path))        # over the old one
    assert again(x).numpy().tobytes() == loaded(x).numpy().tobytes() != model(x).numpy().tobytes()
    assert [v.name for v in again.variables] == [v.name for v in loaded.variables]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_training_pass_as_a_signature(tmp_path: Path) -> None:
    model = tf.keras.Sequential([L.Dense(8, input_shape=(5,)), L.BatchNormalization(), L.Dropout(0.3), L.Dense(2)])
    tf.saved_model.save(model, tmp_path, input_signature=[tf.TensorSpec([None, 5])],
                        signatures={"serving_default": model, "train": lambda x: model(x, training=True)})
    loaded = tf.saved_model.load(tmp_path)
    mean = next(v for v in loaded.variables if "moving_mean" in v.name)
    optimizer, x = tf.train.AdamOptimizer(0.02), tf.constant(rand(16, 5) + 1.0)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(loaded.train(x) - 1.0))
        optimizer.apply_gradients(zip(tape.gradient(loss, loaded.trainable_variables), loaded.trainable_variables))
        return loss
    losses = [float(step(x)) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0] and step.traces == 1 and float(tf.reduce_sum(tf.abs(mean))) > 0.0
    assert np.array_equal(loaded(x).numpy(), loaded(x).numpy())         # no dropout here


def test_saved_again_is_the_same_text(tmp_path: Path) -> None:
    first = Path(tf.saved_model.save(lstm(), tmp_path / "a"))
    second = Path(tf.saved_model.save(tf.saved_model.load(first), tmp_path / "b"))
    assert (first / files.TEXT).read_text() == (second / files.TEXT).read_text()


def test_nests_names_constants_and_state(tmp_path: Path) -> None:
    count = tf.Variable(0.0, name="count", trainable=False)
    table = np.arange(5000, dtype=np.float32)

    def f(x, pair):
        count.assign_add(1.0)
        return {"sum": x + pair["a"] * tf.constant(table[:3]), "n": tf.shape(x), "text": "kept", "none": None,
                "table": tf.constant(table)[:2]}, [pair["b"]]

    spec = [tf.TensorSpec([None, 3]), {"a": ([None, 3], tf.float32), "b": ([], tf.int32)}]
    loaded = tf.saved_model.load(tf.saved_model.save(f, tmp_path, input_signature=spec))
    x, a = rand(4, 3), rand(4, 3)
    out, (b,) = loaded(x, {"a": a, "b": 7})
    np.testing.assert_array_equal(out["sum"].numpy(), x + a * table[:3])
    assert out["n"].numpy().tolist() == [4, 3] and out["text"] == "kept" and out["none"] is None
    assert int(b) == 7 and out["table"].numpy().tolist() == [0.0, 1.0]
    loaded(x, pair={"a": a, "b": 7})
    assert float(loaded.variables[0]) == 2.0 and loaded.trainable_variables == []


def test_two_inputs_have_sizes_of_their_own_unless_they_must_agree(tmp_path: Path) -> None:
    spec = [tf.TensorSpec([None, 3]), tf.TensorSpec([None, 3])]
    product = tf.saved_model.load(tf.saved_model.save(lambda q, k: tf.matmul(q, k, transpose_b=True), tmp_path / "a",
                                                      input_signature=spec))
    assert product(rand(2, 3), rand(5, 3)).shape == (2, 5)
    total = tf.saved_model.load(tf.saved_model.save(lambda a, b: a + b, tmp_path / "b", input_signature=spec))
    assert total(rand(4, 3), rand(4, 3)).shape == (4, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"b must have shape \(4, 3\), it has shape \(1, 3\)"):
        total(rand(4, 3), rand(1, 3))


def test_open_images_and_open_batch_and_time_in_products(tmp_path: Path) -> None:
    layer = tf.keras.Sequential([L.Conv2D(2, 3, padding="same"), L.GlobalAveragePooling2D()])
    layer(tf.zeros([1, 8, 8, 3]))
    loaded = tf.saved_model.load(tf.saved_model.save(layer, tmp_path / "a",
                                                     input_signature=[tf.TensorSpec([None, None, None, 3])]))
    x = rand(2, 7, 12, 3)
    assert loaded(x).numpy().tobytes() == layer(tf.constant(x)).numpy().tobytes()
    flat = tf.saved_model.load(tf.saved_model.save(
        lambda x: tf.reshape(x, [x.shape[0] * x.shape[1] * 2]), tmp_path / "b",
        input_signature=[tf.TensorSpec([None, None, 2])]))
    assert flat(rand(3, 5, 2)).shape == (30,)


def test_random_draws_are_drawn_anew(tmp_path: Path) -> None:
    spec = [tf.TensorSpec([None, 40])]
    loaded = tf.saved_model.load(tf.saved_model.save(
        lambda x: tf.nn.dropout(x, 0.5) + tf.random_normal([x.shape[0], 40], seed=3), tmp_path, input_signature=spec))
    x = rand(6, 40)
    tf.set_random_seed(1)
    want = tf.nn.dropout(x, 0.5) + tf.random_normal([6, 40], seed=3)
    tf.set_random_seed(1)
    first, second = loaded(x).numpy(), loaded(x).numpy()
    assert np.array_equal(first, want.numpy()) and not np.array_equal(first, second)


def test_gradient_of_a_custom_gradient_is_refused_in_a_sentence(tmp_path: Path) -> None:
    @tf.custom_gradient
    def clipped(x):
        return x * 2.0, lambda dy: tf.clip_by_norm(dy, 1.0)
    loaded = tf.saved_model.load(tf.saved_model.save(lambda x: clipped(x) + x, tmp_path,
                                                     input_signature=[tf.TensorSpec([3])]))
    loaded = tf.saved_model.load(tf.saved_model.save(loaded, tmp_path))
    x = tf.constant([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = loaded(x)
    assert y.numpy().tolist() == [3.0, 6.0, 9.0]
    with pytest.raises(tf.errors.UnimplementedError, match="clipped in the loaded function"):
        tape.gradient(y, x)


def test_model_made_of_inputs_and_outputs(tmp_path: Path) -> None:
    a, b = tf.keras.Input((4,)), tf.keras.Input((3, 2))
    y = L.Dense(2)(L.concatenate([L.Dense(3)(a), L.Flatten()(b)]))
    model = tf.keras.Model([a, b], y)
    loaded = tf.saved_model.load(tf.saved_model.save(model, tmp_path))
    given = [rand(5, 4), rand(5, 3, 2)]
    assert np.array_equal(loaded(given).numpy(), model([tf.constant(x) for x in given]).numpy())


# -- control flow
def newton(x, turns):
    """A loop whose number of turns is a tensor, with a branch inside."""
    def step(i, r):
        return i + 1, tf.cond(tf.equal(i % 2, 0), lambda: 0.5 * (r + x / r), lambda: r - (r * r - x) / (2.0 * r))
    return tf.while_loop(lambda i, r: i < turns, step, [tf.constant(0), tf.ones_like(x)])[1]


def by_rows(x):
    """scan and map_fn over an open number of rows."""
    sums = tf.scan(lambda total, row: total + row, x)
    return {"sums": sums, "squares": tf.map_fn(lambda row: row * row, x), "last": sums[-1]}


def test_loops_and_branches(tmp_path: Path) -> None:
    loaded = tf.saved_model.load(tf.saved_model.save(
        newton, tmp_path, input_signature=[tf.TensorSpec([None]), tf.TensorSpec([], tf.int32)]))
    x = np.array([2.0, 9.0, 30.0], np.float32)
    for turns in (0, 1, 7):
        assert loaded(x, turns).numpy().tobytes() == newton(tf.constant(x), tf.constant(turns)).numpy().tobytes()
    np.testing.assert_allclose(loaded(x, 7).numpy(), np.sqrt(x), rtol=1e-5)

    def slope(f):
        with tf.GradientTape() as tape:
            tape.watch(given := tf.constant(x))
            y = tf.reduce_sum(f(given, tf.constant(6)))
        return tape.gradient(y, given).numpy()
    np.testing.assert_allclose(slope(loaded), 0.5 / np.sqrt(x), rtol=1e-4)
    np.testing.assert_allclose(slope(tf.function(lambda *a: loaded(*a))), slope(newton), rtol=1e-6)
    text = (tmp_path / files.TEXT).read_text()
    again = tf.saved_model.load(tf.saved_model.save(loaded, tmp_path / "again"))
    assert again(x[:1], 3).numpy().tobytes() == newton(tf.constant(x[:1]), tf.constant(3)).numpy().tobytes()
    assert text.count('"op": "while_loop"') == 1 and text.count('"op": "cond"') == 1


def test_lists_over_an_open_number_of_rows(tmp_path: Path) -> None:
    loaded = tf.saved_model.load(tf.saved_model.save(tf.function(by_rows), tmp_path,
                                                     input_signature=[tf.TensorSpec([None, 3])]))
    for rows in (1, 2, 5):
        x = rand(rows, 3)
        want = by_rows(tf.constant(x))
        for name, got in loaded(x).items():
            np.testing.assert_array_equal(got.numpy(), want[name].numpy())


def test_gradients_of_loops_are_saved_and_of_branches_refused(tmp_path: Path) -> None:
    def slope(y, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = y(x)
        return tape.gradient(out, x)
    cube = tf.function(lambda x: slope(lambda v: tf.while_loop(
        lambda i, p: i < 3, lambda i, p: (i + 1, p * v), [tf.constant(0), tf.ones_like(v)])[1], x))
    spec = [tf.TensorSpec([None])]
    loaded = tf.saved_model.load(tf.saved_model.save(cube, tmp_path / "a", input_signature=spec))
    assert loaded([2.0, 3.0]).numpy().tolist() == [12.0, 27.0]
    refuse(lambda x: slope(lambda v: tf.cond(tf.reduce_sum(v) > 0.0, lambda: v * v * v, lambda: -v), x), spec,
           tf.errors.UnimplementedError, "a gradient passes through a cond", tmp_path)


def test_state_in_branches_and_sessions_with_loops(tmp_path: Path) -> None:
    count = tf.Variable(0.0, name="count")

    def f(x):
        return tf.cond(tf.reduce_sum(x) > 0.0, lambda: count.assign_add(1.0) + x, lambda: x - count)
    f = tf.function(f)
    loaded = tf.saved_model.load(tf.saved_model.save(f, tmp_path / "a", input_signature=[tf.TensorSpec([2])]))
    results = [loaded(np.array(v, np.float32)).numpy().tolist() for v in ([1, 1], [-1, -1], [2, 0], [-1, 0])]
    assert results == [[2.0, 2.0], [-2.0, -2.0], [4.0, 2.0], [-3.0, -2.0]]
    with tf.Session(graph=tf.Graph()) as sess:
        n, x = tf.placeholder(tf.int32, []), tf.placeholder(tf.float32, [None])
        _, y = tf.while_loop(lambda i, v: i < n, lambda i, v: (i + 1, v * 2.0), [tf.constant(0), x])
        tf.saved_model.simple_save(sess, tmp_path / "b", {"n": n, "x": x}, {"y": y})
    doubled = tf.saved_model.load(tmp_path / "b")
    assert doubled(n=3, x=[1.0, 2.0])["y"].numpy().tolist() == [8.0, 16.0]
    assert doubled(n=0, x=[1.0])["y"].numpy().tolist() == [1.0]


def test_damaged_blocks(tmp_path: Path) -> None:
    def change(at, **what):
        def apply(body):
            nodes = body["functions"]["serving_default"]["nodes"]
            loop = next(n for n in nodes if n["op"] == "while_loop")
            loop["attrs"]["bodies"][at]["block"].update(what)
        return apply
    for damage in (change(0, results=[]), change(1, results=[{"feed": 0}]), change(1, nodes=[{
            "op": "py_func", "inputs": [], "attrs": {}, "outputs": []}]), change(0, results=[{"node": 77}]),
            change(1, feeds=[])):
        path = Path(tf.saved_model.save(newton, tmp_path, input_signature=[
            tf.TensorSpec([None]), tf.TensorSpec([], tf.int32)]))
        rewrite(path, damage)
        with pytest.raises(tf.errors.DataLossError) as caught:
            tf.saved_model.load(path)
        assert "\n" not in str(caught.value)


# -- sessions
def test_simple_save_of_a_trained_graph(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x, y = tf.placeholder(tf.float32, [None, 3], name="x"), tf.placeholder(tf.float32, [None, 1])
        w, used = tf.Variable(rand(3, 1), name="w"), tf.Variable(0.0, name="used")
        guess = tf.matmul(x, w)
        loss = tf.reduce_mean(tf.square(guess - y))
        slope, = tf.gradients(loss, x)
        train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        count = used.assign_add(1.0)
        init = tf.global_variables_initializer()
    with tf.Session(graph=graph) as sess:
        with pytest.raises(tf.errors.FailedPreconditionError, match="w:0 is not initialised"):
            tf.saved_model.simple_save(sess, tmp_path, {"x": x}, {"y": guess})
        sess.run(init)
        sess.run(train, {x: rand(4, 3), y: rand(4, 1)})
        with pytest.raises(tf.errors.InvalidArgumentError, match="placeholder .* is not among the inputs"):
            tf.saved_model.simple_save(sess, tmp_path, {"x": x}, {"loss": loss})
        with pytest.raises(tf.errors.InvalidArgumentError, match="not a tensor of the session's graph"):
            tf.saved_model.simple_save(sess, tmp_path, {"x": tf.Variable}, {"loss": loss})
        with pytest.raises(tf.errors.UnimplementedError):
            tf.saved_model.simple_save(sess, tmp_path, {"x": x, "y": y}, {"init": init.symbols[0]})
        tf.saved_model.simple_save(sess, tmp_path, {"x": x, "y": y},
                                   {"guess": guess, "slope": slope, "count": count, "w": w})
        want = sess.run([guess, slope, w], {x: rand(6, 3), y: rand(6, 1)})
    loaded = tf.saved_model.load(tmp_path)
    out = loaded(x=rand(6, 3), y=rand(6, 1))
    for name, value in zip(("guess", "slope", "w"), want, strict=True):
        assert out[name].numpy().tobytes() == value.tobytes()
    assert float(out["count"]) == 1.0 and float(loaded(rand(1, 3), rand(1, 1))["count"]) == 2.0
    assert sorted(v.name for v in loaded.variables) == ["used:0", "w:0"]


def test_a_loaded_model_inside_a_graph_with_open_sizes(tmp_path: Path) -> None:
    model = lstm()
    loaded = tf.saved_model.load(tf.saved_model.save(model, tmp_path / "a"))
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 5, 3])
        y = loaded(x)
        total = tf.reduce_sum(y)
        slopes = tf.gradients(total, [x, loaded.variables[0]])
    sess = tf.Session(graph=graph)
    for batch in (2, 3):
        given = rand(batch, 5, 3)
        got, dx, dw = sess.run([y, *slopes], {x: given})
        assert got.tobytes() == model(tf.constant(given)).numpy().tobytes()
        with tf.GradientTape() as tape:
            tape.watch(fed := tf.constant(given))
            want = tf.reduce_sum(model(fed))
        for g, w in zip((dx, dw), tape.gradient(want, [fed, model.variables[0]]), strict=True):
            np.testing.assert_allclose(g, w.numpy(), rtol=1e-5, atol=1e-6)
    tf.saved_model.simple_save(sess, tmp_path / "b", {"x": x}, {"y": y})
    assert np.array_equal(tf.saved_model.load(tmp_path / "b")(given)["y"].numpy(), got)


def test_another_device(tmp_path: Path, with_environment: Any) -> None:
    model = cnn()
    x = rand(2, 9, 9, 3)
    want = model(tf.constant(x)).numpy()
    tf.saved_model.save(model, tmp_path)
    with_environment(VIRTUAL_GPUS=2)
    with tf.device("/gpu:1"):
        loaded = tf.saved_model.load(tmp_path)
        out = loaded(x)
    assert out.device.endswith("GPU:1") and all(v.device.endswith("GPU:1") for v in loaded.variables)
    np.testing.assert_array_equal(out.numpy(), want)


def test_simple_save_keeps_the_mark_of_a_custom_gradient(tmp_path: Path) -> None:
    @tf.custom_gradient
    def twice(v):
        return v * 2.0, lambda dy: dy
    with tf.Session() as sess:
        x = tf.placeholder(tf.float32, [2])
        tf.saved_model.simple_save(sess, tmp_path, {"x": x}, {"y": twice(x)})
    loaded, x = tf.saved_model.load(tmp_path), tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = loaded(x)["y"]
    assert y.numpy().tolist() == [2.0, 4.0]
    with pytest.raises(tf.errors.UnimplementedError, match="twice"):
        tape.gradient(y, x)


# -- what cannot be saved
def refuse(f, spec, error, match: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=match):
        tf.saved_model.save(f, tmp_path / "none", input_signature=spec)
    assert not (tmp_path / "none").exists()


def test_refusals(tmp_path: Path) -> None:
    E = tf.errors
    x = [tf.TensorSpec([None, 3])]
    refuse(mlp().layers[0].call, None, E.InvalidArgumentError, "give input_signature", tmp_path)
    refuse(lambda x: tf.py_func(np.sin, [x], tf.float32), x, E.UnimplementedError, "calls Python code .sin.", tmp_path)
    refuse(lambda x: tf.add_n([x * float(i) for i in range(x.shape[0])]), x, E.InvalidArgumentError,
           "it runs other ops for other sizes: .* ops for", tmp_path)
    refuse(lambda x: tf.reshape(x, [-1])[:x.shape[0] // 2], x, E.InvalidArgumentError,
           "size of op 1 .take_at.* sums and products", tmp_path)
    refuse(lambda x: x + np.random.rand(90, 1)[:, 0].mean(), x, E.InvalidArgumentError, "sums and products", tmp_path)
    refuse(lambda x: x * float(x), [tf.TensorSpec([])], TypeError, "has no value", tmp_path)
    refuse(lambda x: x, [tf.TensorSpec(None)], E.InvalidArgumentError, "the rank of input 'x'", tmp_path)
    refuse(lambda x: tf.unique(x)[0] + 1.0, [tf.TensorSpec([6])], E.UnimplementedError, "depends on values", tmp_path)
    variable, optimizer = tf.Variable([1.0, 1.0, 1.0]), tf.train.AdamOptimizer(0.1)

    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(x * variable)
        optimizer.apply_gradients([(tape.gradient(loss, variable), variable)])
        return loss
    refuse(step, x, E.UnimplementedError, "looked up at each call|calls Python code", tmp_path)
    with pytest.raises(E.InvalidArgumentError, match="signatures must be a dict"):
        tf.saved_model.save(mlp(), tmp_path / "none", signatures={"a": 3})
    with tf.Graph().as_default(), pytest.raises(E.InvalidArgumentError, match="simple_save"):
        tf.saved_model.save(mlp(), tmp_path / "none")


def test_calls_that_do_not_fit(tmp_path: Path) -> None:
    loaded = tf.saved_model.load(tf.saved_model.save(mlp(), tmp_path))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"inputs must have shape \(2, 5\), it has shape \(2, 6\)"):
        loaded(rand(2, 6))
    with pytest.raises(TypeError, match="inputs must have dtype float32, it has int32"):
        loaded(tf.zeros([2, 5], tf.int32))
    for args, kwargs in (((), {}), ((rand(2, 5),) * 2, {}), ((rand(2, 5),), {"inputs": rand(2, 5)}), ((), {"y": 1.0})):
        with pytest.raises(tf.errors.InvalidArgumentError, match="it takes inputs"):
            loaded(*args, **kwargs)


# -- damage
def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    path = Path(tf.saved_model.save(mlp(), tmp_path))
    weights = next(path.glob("weights-*"))
    for file in (path / files.TEXT, weights):
        whole = file.read_bytes()
        rng = np.random.RandomState(0)
        for cut in [0, 1, len(whole) - 2, *rng.randint(1, len(whole) - 1, 10)]:
            file.write_bytes(whole[:cut])
            with pytest.raises(tf.errors.DataLossError):
                tf.saved_model.load(path)
        for at in rng.randint(0, len(whole), 30):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randint(7)]) + whole[at + 1:])
            try:
                tf.saved_model.load(path)       # a flipped space is no damage
            except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
                assert str(error).count("\n") == 0
        file.write_bytes(whole)
    tf.saved_model.load(path)
    weights.unlink()
    with pytest.raises(tf.errors.DataLossError, match="weights file weights-.* is missing"):
        tf.saved_model.load(path)
    with pytest.raises(tf.errors.NotFoundError, match="there is no saved model in"):
        tf.saved_model.load(tmp_path / "nowhere")


def rewrite(path: Path, change) -> None:
    """Another writer's text, with a right checksum."""
    body = json.loads((path / files.TEXT).read_text())
    head = {k: body.pop(k) for k in ("format", "version", "checksum")}
    head = change(body) or head
    head["checksum"] = zlib.crc32(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())
    (path / files.TEXT).write_text(json.dumps({**head, **body}))


def node(body: dict, i: int) -> dict:
    return body["functions"]["serving_default"]["nodes"][i]


BAD = {
    "no op": lambda b: node(b, 0).update(op="system"),
    "py_func": lambda b: node(b, 0).update(op="py_func"),
    "effect": lambda b: node(b, 0).update(op="effect", attrs={"call": "exit"}, inputs=[]),
    "reads itself": lambda b: node(b, 0).update(inputs=[{"node": 0}, {"variable": 0}]),
    "reads the future": lambda b: node(b, 0).update(inputs=[{"node": 1}, {"variable": 0}]),
    "no such variable": lambda b: node(b, 0).update(inputs=[{"feed": 0}, {"variable": 9}]),
    "no such constant": lambda b: node(b, 0).update(inputs=[{"feed": 0}, {"constant": 0}]),
    "negative": lambda b: node(b, 0).update(inputs=[{"feed": -1}, {"variable": 0}]),
    "too few inputs": lambda b: node(b, 0).update(inputs=[{"feed": 0}]),
    "unknown attribute": lambda b: node(b, 0)["attrs"].update(other=1),
    "missing attribute": lambda b: node(b, 0).update(attrs={}),
    "strange attribute": lambda b: node(b, 0)["attrs"].update(transpose_a={"eval": "1"}),
    "other shape": lambda b: node(b, 0).update(outputs=[{"dtype": "float32", "shape": ["batch", 8]}]),
    "other dtype": lambda b: node(b, 0).update(outputs=[{"dtype": "object", "shape": ["batch", 7]}]),
    "unknown size": lambda b: node(b, 0).update(outputs=[{"dtype": "float32", "shape": ["rows", 7]}]),
    "weights elsewhere": lambda b: b.update(weights="weights-/../../x.safetensors"),
    "variable's shape": lambda b: b["variables"][0].update(shape=[7, 5]),
    "equal names": lambda b: b["variables"][0].update(name=b["variables"][1]["name"]),
    "result nowhere": lambda b: b["functions"]["serving_default"].update(result={"node": 99}),
    "writes nowhere": lambda b: b["functions"]["serving_default"].update(writes=[[9, {"node": 0}]]),
    "writes what does not fit": lambda b: b["functions"]["serving_default"].update(writes=[[0, {"node": 0}]]),
    "no functions": lambda b: b.pop("functions"),
    "functions a list": lambda b: b.update(functions=[1]),
    "other format": lambda b: {"format": "onnx", "version": 1},
}


@pytest.mark.parametrize("what", BAD)
def test_texts_that_make_no_sense(what: str, tmp_path: Path) -> None:
    path = Path(tf.saved_model.save(mlp(), tmp_path))
    rewrite(path, BAD[what])
    with pytest.raises(tf.errors.DataLossError) as caught:
        tf.saved_model.load(path)
    assert "\n" not in str(caught.value)


def test_newer_version(tmp_path: Path) -> None:
    path = Path(tf.saved_model.save(mlp(), tmp_path))
    rewrite(path, lambda b: {"format": text_format.FORMAT, "version": 2})
    with pytest.raises(tf.errors.InvalidArgumentError, match="it has version 2, this reads versions up to 1"):
        tf.saved_model.load(path)


def test_a_crash_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = mlp()
    path = tf.saved_model.save(old, tmp_path)

    def crash(*args: object) -> None:
        raise OSError("disk full")
    for name in ("write", "replace_file"):
        with monkeypatch.context() as patch:
            patch.setattr(files.container, name, crash)
            with pytest.raises(OSError, match="disk full"):
                tf.saved_model.save(cnn(), tmp_path)
        x = rand(2, 5)
        assert np.array_equal(tf.saved_model.load(path)(x).numpy(), old(tf.constant(x)).numpy())


# -- sizes
def test_fit_finds_sums_and_products_only() -> None:
    at = points(["n", "t"], {"n"})
    n, t = ([p[k] for p in at] for k in ("n", "t"))
    assert fit([5] * 4, at) == 5
    assert str(fit([3 * a + 2 * b - 1 for a, b in zip(n, t)], at)) == "3*n + 2*t + -1"
    assert str(fit([6 * a * b for a, b in zip(n, t)], at)) == "6*n*t"
    assert str(fit([1.0 / (a * b) for a, b in zip(n, t)], at)) == "1/(n*t)"
    assert str(fit([float(a) for a in n], at)) == "float(n)"
    for odd in ([a // 2 for a in n], [-(-a // 4) for a in n], [a % 7 for a in n], [a ** 0.5 for a in n],
                [max(a, b) // 3 * 3 for a, b in zip(n, t)]):
        assert fit(odd, at) is None
    assert Size(((2, ("n",)), (1, ())), "inverse").value({"n": 2}) == 0.2
