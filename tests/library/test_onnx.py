"""ONNX export: onnxruntime computes what cltensor computes, for models and for every op of the table it is told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import cltensor as tf
from cltensor.onnx.export import OPERATORS
from tests.device.test_graph_table import chosen
from tests.device.test_op_table import each, flat, tensors
from tests.op_table import ROWS
from tests.ops.row import Row, draw

L = tf.keras.layers
export = tf.contrib.onnx.export


def rand(*shape: int) -> np.ndarray:
    return np.random.RandomState(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def run(path: Any, *inputs: np.ndarray) -> list[np.ndarray]:
    """What onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def mlp() -> Any:
    return tf.keras.Sequential([L.Dense(17, activation="relu", input_shape=(9,)), L.Dense(8, activation="tanh"),
                                L.Dropout(0.5), L.Dense(4, activation="softmax")])


def cnn() -> Any:
    return tf.keras.Sequential([
        L.Conv2D(6, 3, padding="same", input_shape=(13, 11, 3)), L.BatchNormalization(), L.Activation("relu"),
        L.MaxPool2D(), L.Conv2D(5, 3, strides=2, padding="same", activation="elu"),
        L.DepthwiseConv2D(3, padding="same"), L.AveragePooling2D(2, padding="same"),
        L.Conv2DTranspose(4, 3, strides=2, padding="same"), L.Flatten(), L.Dropout(0.3), L.Dense(7)])


def lstm() -> Any:
    return tf.keras.Sequential([L.Embedding(20, 5, input_length=6), L.LSTM(8, return_sequences=True), L.GRU(6),
                                L.Dense(2)])


def residual() -> Any:
    """A small ResNet made of inputs and outputs."""
    def block(x, filters, strides):
        y = L.BatchNormalization()(L.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x))
        y = L.Activation("relu")(y)
        y = L.BatchNormalization()(L.Conv2D(filters, 3, padding="same", use_bias=False)(y))
        return L.Activation("relu")(L.add([y, L.Conv2D(filters, 1, strides=strides)(x)]))
    x = tf.keras.Input((32, 32, 3))
    y = L.MaxPool2D(3, 2, padding="same")(L.Conv2D(8, 7, strides=2, padding="same")(L.ZeroPadding2D(3)(x)))
    y = block(block(y, 8, 1), 16, 2)
    return tf.keras.Model(x, L.Dense(10, activation="softmax")(L.GlobalAveragePooling2D()(y)))


@pytest.mark.parametrize("make, shape", [(mlp, (9,)), (cnn, (13, 11, 3)), (lstm, (6,)), (residual, (32, 32, 3))],
                         ids=["mlp", "cnn", "lstm", "residual"])
def test_models_at_every_batch_size(make: Any, shape: tuple, tmp_path: Path) -> None:
    model = make()
    path = export(model, tmp_path / "m.onnx")
    graph = onnx.load(path).graph
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert {w.name for w in graph.initializer} <= {name for n in graph.node for name in n.input}
    for batch in (1, 3, 8):
        x = rand(batch, *shape) if make is not lstm else np.random.RandomState(0).randint(0, 20, (batch, 6), np.int32)
        got, = run(path, x)
        np.testing.assert_allclose(got, model(tf.constant(x)).numpy(), rtol=2e-5, atol=2e-6)


def test_inputs_outputs_and_open_sizes(tmp_path: Path) -> None:
    def f(query, keys):
        scores = tf.nn.softmax(tf.matmul(query, keys, transpose_b=True))
        return {"mix": tf.matmul(scores, keys), "rows": tf.shape(query)[0], "twice": tf.concat([query, query], 0),
                "last": keys[-1], "halves": keys[::-2], "zeros": tf.zeros([query.shape[0] * 2, 3]) + 1.0}
    spec = [tf.TensorSpec([None, 5], name="q"), tf.TensorSpec([None, 5])]
    path = export(f, tmp_path / "f.onnx", input_signature=spec)
    graph = onnx.load(path).graph
    assert [i.name for i in graph.input] == ["q", "keys"]
    assert [o.name for o in graph.output] == ["halves", "last", "mix", "rows", "twice", "zeros"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "q.batch"
    assert graph.output[4].type.tensor_type.shape.dim[0].dim_param == "2*q.batch"
    for n, m in ((2, 3), (5, 4)):
        q, k = rand(n, 5), rand(m, 5)
        want = f(tf.constant(q), tf.constant(k))
        for name, got in zip(sorted(want), run(path, q, k), strict=True):
            np.testing.assert_allclose(got, want[name].numpy(), rtol=1e-5, atol=1e-6)


def test_branches_and_loops(tmp_path: Path) -> None:
    table = tf.Variable([[1.0, 2.0], [3.0, 4.0]], name="table")

    def f(x, turns):
        def step(i, r):
            return i + 1, tf.cond(tf.equal(i % 2, 0), lambda: tf.matmul(r, table) * 0.5,
                                  lambda: r - tf.cast(tf.shape(x)[0], tf.float32))
        i, y = tf.while_loop(lambda i, r: i < turns, step, [tf.constant(0), x])
        return {"turns": i, "y": tf.cond(tf.reduce_sum(y) > 0.0, lambda: y, lambda: tf.zeros_like(y))}
    path = export(f, tmp_path / "f.onnx", input_signature=[tf.TensorSpec([None, 2]), tf.TensorSpec([], tf.int32)])
    for rows, turns in ((1, 0), (1, 1), (3, 2), (2, 5)):
        x = np.abs(rand(rows, 2)) * 9
        want = f(tf.constant(x), tf.constant(turns))
        i, y = run(path, x, np.array(turns, np.int32))
        assert int(i) == turns
        np.testing.assert_allclose(y, want["y"].numpy(), rtol=1e-5)
    with pytest.raises(tf.errors.UnimplementedError, match="list|TensorArray"):
        export(tf.function(lambda x: tf.scan(lambda a, b: a + b, x)), path, input_signature=[tf.TensorSpec([None, 2])])


def test_a_loaded_model_exports(tmp_path: Path) -> None:
    model = mlp()
    loaded = tf.saved_model.load(tf.saved_model.save(model, tmp_path / "m"))
    got, = run(export(loaded, tmp_path / "m.onnx"), rand(4, 9))
    np.testing.assert_allclose(got, model(tf.constant(rand(4, 9))).numpy(), rtol=1e-5, atol=1e-6)


def test_refusals_name_the_op_and_write_nothing(tmp_path: Path) -> None:
    path, spec = tmp_path / "none.onnx", [tf.TensorSpec([None, 3])]
    for f, match in ((lambda x: tf.nn.dropout(x, 0.5) * 1.0, "random_uniform has no counterpart .*: it is op 0 of"),
                     (lambda x: tf.cumprod(x, 1), r"cumprod .* makes float32\[batch, 3\] of float32\[batch, 3\]")):
        with pytest.raises(tf.errors.UnimplementedError, match=match):
            export(f, path, input_signature=spec)
    count = tf.Variable(0.0, name="count")

    def counting(x):
        count.assign_add(1.0)
        return x
    with pytest.raises(tf.errors.UnimplementedError, match="assigns variable count"):
        export(counting, path, input_signature=spec)
    assert not path.exists()


# Rows of a dtype for which onnxruntime has no kernel, though ONNX has the op.
NO_KERNEL = {"one_hot of other values"}


@each(row for row in ROWS if row.symbolic)
def test_the_op_table(row: Row, tmp_path: Path) -> None:
    one, = chosen(row) or [None]
    if one is None:
        pytest.skip("no small case")
    given = tensors(draw(row, one, row.dtypes[0]))

    def call(*xs):
        return flat(row.call(*xs, **one.attrs))
    path = tmp_path / "op.onnx"
    try:
        export(call, path, input_signature=list(given))
    except tf.errors.UnimplementedError as error:
        assert str(error).split()[2] not in OPERATORS, error
        return
    want = [r.numpy() for r in call(*given)]
    inputs = [np.asarray(t.numpy()) for t in given]
    if row.name in NO_KERNEL:
        with pytest.raises(Exception, match="NOT_IMPLEMENTED"):
            run(path, *inputs)
        return
    got = run(path, *inputs)
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype and g.shape == w.shape
        np.testing.assert_allclose(g.astype(np.float64), w.astype(np.float64), rtol=1e-4, atol=1e-5)
