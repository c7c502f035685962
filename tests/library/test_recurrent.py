"""Recurrent layers and cells against NumPy in float64: values, gradients by differences of the twin, states, masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cltensor as tf
from cltensor.core import dispatch
from cltensor.keras import rnn_cell
from cltensor.keras.rnn import dynamic_rnn, static_rnn

layers = tf.keras.layers
RNG = np.random.default_rng(7)
X = RNG.standard_normal((3, 5, 4)).astype(np.float32)


def soft(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def hard(x: Any) -> Any:
    return np.clip(0.2 * x + 0.5, 0, 1)


# -- twins: one step each, of weights as get_weights gives them
def simple(x: Any, s: list, w: list, gate: Any, act: Any) -> list:
    return [act(x @ w[0] + s[0] @ w[1] + w[2])]


def lstm(x: Any, s: list, w: list, gate: Any, act: Any) -> list:
    i, f, g, o = np.split(x @ w[0] + s[0] @ w[1] + w[2], 4, -1)
    c = gate(f) * s[1] + gate(i) * act(g)
    return [gate(o) * act(c), c]


def gru(x: Any, s: list, w: list, gate: Any, act: Any) -> list:
    n = w[1].shape[0]
    a = x @ w[0] + w[2]
    z, r = (gate(a[:, k * n:(k + 1) * n] + s[0] @ w[1][:, k * n:(k + 1) * n]) for k in (0, 1))
    return [z * s[0] + (1 - z) * act(a[:, 2 * n:] + (r * s[0]) @ w[1][:, 2 * n:])]


def gru_after(x: Any, s: list, w: list, gate: Any, act: Any) -> list:
    z, r, n = np.split(x @ w[0] + w[2][0], 3, -1)
    hz, hr, hn = np.split(s[0] @ w[1] + w[2][1], 3, -1)
    z, r = gate(z + hz), gate(r + hr)
    return [z * s[0] + (1 - z) * act(n + r * hn)]


def unrolled(step: Any, x: Any, w: list, units: int, states: int, gate: Any = hard, act: Any = np.tanh,
             start: Any = None) -> tuple[Any, list]:
    s = start or [np.zeros((len(x), units))] * states
    out = []
    for t in range(x.shape[1]):
        s = step(x[:, t], s, w, gate, act)
        out.append(s[0])
    return np.stack(out, 1), s


LAYERS = {
    "SimpleRNN": (lambda **k: layers.SimpleRNN(6, bias_initializer="normal", **k), simple, 1, {}),
    "LSTM": (lambda **k: layers.LSTM(6, **k), lstm, 2, {}),
    "LSTM, sigmoid": (lambda **k: layers.LSTM(6, recurrent_activation="sigmoid", **k), lstm, 2, {"gate": soft}),
    "CuDNNLSTM": (lambda **k: layers.CuDNNLSTM(6, **k), lstm, 2, {"gate": soft}),
    "LSTM, softsign": (lambda **k: layers.LSTM(6, activation="softsign", **k), lstm, 2,
                       {"act": lambda x: x / (1 + abs(x))}),
    "GRU": (lambda **k: layers.GRU(6, bias_initializer="normal", **k), gru, 1, {}),
    "GRU, sigmoid": (lambda **k: layers.GRU(6, recurrent_activation="sigmoid", **k), gru, 1, {"gate": soft}),
    "GRU, softsign": (lambda **k: layers.GRU(6, activation="softsign", **k), gru, 1,
                      {"act": lambda x: x / (1 + abs(x))}),
    "GRU, reset after": (lambda **k: layers.GRU(6, reset_after=True, bias_initializer="normal", **k), gru_after, 1,
                         {}),
    "CuDNNGRU": (lambda **k: layers.CuDNNGRU(6, **k), gru_after, 1, {"gate": soft}),
    "GRU, reset after, softsign": (lambda **k: layers.GRU(6, reset_after=True, activation="softsign", **k), gru_after,
                                   1, {"act": lambda x: x / (1 + abs(x))}),
}


def wide(arrays: Any) -> list:
    return [np.asarray(a, np.float64) for a in arrays]


@pytest.fixture(params=sorted(LAYERS))
def kind(request: pytest.FixtureRequest) -> tuple:
    return LAYERS[request.param]


def test_outputs_and_states(kind):
    make, step, states, how = kind
    layer = make(return_sequences=True, return_state=True)
    y, *after = layer(X)
    want, last = unrolled(step, X.astype(float), wide(layer.get_weights()), 6, states, **how)
    np.testing.assert_allclose(y.numpy(), want, atol=2e-6)
    assert len(after) == states
    for got, s in zip(after, last):
        np.testing.assert_allclose(got.numpy(), s, atol=2e-6)
    start = [RNG.standard_normal((3, 6)) for _ in range(states)]
    y, *_ = layer(X, initial_state=[s.astype(np.float32) for s in start])
    want, _ = unrolled(step, X.astype(float), wide(layer.get_weights()), 6, states, start=start, **how)
    np.testing.assert_allclose(y.numpy(), want, atol=3e-6)


def test_gradients(kind):
    make, step, states, how = kind
    layer = make()
    x = tf.constant(X)
    weigh = RNG.standard_normal((3, 6)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x) * weigh)
    gradients = tape.gradient(loss, [x, *layer.variables])
    start = wide([X, *layer.get_weights()])
    along = [RNG.uniform(-1, 1, a.shape) for a in start]

    def f(t: float) -> float:
        a = [p + t * d for p, d in zip(start, along)]
        return float((unrolled(step, a[0], a[1:], 6, states, **how)[0][:, -1] * weigh).sum())
    got = sum(float((g.numpy().astype(float) * d).sum()) for g, d in zip(gradients, along))
    scale = sum(float(np.abs(g.numpy() * d).sum()) for g, d in zip(gradients, along))
    want = (8 * (f(1e-4) - f(-1e-4)) - (f(2e-4) - f(-2e-4))) / 12e-4
    assert abs(got - want) < 1e-5 * scale


def test_mask_and_direction():
    layer = layers.LSTM(6, return_sequences=True, return_state=True)
    mask = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [1, 1, 1, 1, 1]], bool)
    y, h, _ = layer(X, mask=mask)
    whole = layer(X[:1, :3])
    np.testing.assert_allclose(h.numpy()[0], whole[1].numpy()[0], atol=1e-6)
    np.testing.assert_allclose(y.numpy()[0, 3:], np.repeat(y.numpy()[:1, 2], 2, 0))
    assert not y.numpy()[1, 0].any() and (y.numpy()[1, 1] == y.numpy()[1, 2]).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="mask must have shape"):
        layer(X, mask=mask[:, :2])
    back = layers.LSTM(6, return_sequences=True, go_backwards=True)
    back.build([None, 5, 4])
    back.set_weights(layer.get_weights())
    np.testing.assert_allclose(back(X).numpy(), layer(X[:, ::-1].copy())[0].numpy(), atol=1e-6)


def test_stateful():
    layer = layers.GRU(6, stateful=True)
    plain = layers.GRU(6)
    first, second = layer(X[:, :2]), layer(X[:, 2:])
    plain.build([None, None, 4])
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(second.numpy(), plain(X).numpy(), atol=1e-6)
    layer.reset_states()
    np.testing.assert_allclose(layer(X[:, :2]).numpy(), first.numpy())
    with pytest.raises(tf.errors.InvalidArgumentError, match="reset_states"):
        layer(X[:2])


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_bidirectional(mode):
    layer = layers.Bidirectional(layers.LSTM(6, return_sequences=True), merge_mode=mode)
    y = layer(X)
    assert len(layer.variables) == 6 and layer.variables[0].name.startswith("forward_lstm")
    assert layer.variables[3].name.startswith("backward_lstm")
    w = wide(layer.get_weights())
    there, _ = unrolled(lstm, X.astype(float), w[:3], 6, 2)
    back, _ = unrolled(lstm, X[:, ::-1].astype(float), w[3:], 6, 2)
    back = back[:, ::-1]
    want = {"concat": np.concatenate([there, back], -1), "sum": there + back, "mul": there * back,
            "ave": (there + back) / 2, None: np.stack([there, back])}[mode]
    got = np.stack([v.numpy() for v in y]) if mode is None else y.numpy()
    np.testing.assert_allclose(got, want, atol=3e-6)
    if mode == "concat":
        assert layer.compute_output_shape([None, 5, 4]).as_list() == [None, 5, 12]
        tail = layers.Bidirectional(layers.LSTM(2, return_state=True))
        out = tail(X)
        assert len(out) == 5 and out[0].shape == (3, 4)
        again = tail(X, initial_state=out[1:])
        assert not np.array_equal(again[0].numpy(), out[0].numpy())


def test_time_distributed():
    layer = layers.TimeDistributed(layers.Dense(2))
    y = layer(X)
    np.testing.assert_allclose(y.numpy(), X @ layer.get_weights()[0], atol=1e-6)
    model = tf.keras.Sequential([layers.TimeDistributed(layers.Dense(2), input_shape=(5, 4)), layers.SimpleRNN(3)])
    assert [tuple(v.shape) for v in model.variables] == [(4, 2), (2,), (2, 3), (3, 3), (3,)]


def test_cells_of_the_user():
    class Sum(layers.Layer):
        state_size = 4

        def call(self, x, states):
            return x + states[0], [x + states[0]]
    y, s = layers.RNN(Sum(), return_sequences=True, return_state=True)(X)
    np.testing.assert_allclose(y.numpy(), X.cumsum(1), rtol=1e-5)
    np.testing.assert_allclose(s.numpy(), X.sum(1), rtol=1e-4, atol=1e-6)
    stacked = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_state=True)
    y, *states = stacked(X)
    assert y.shape == (3, 2) and [s.shape[1] for s in states] == [3, 3, 2] and len(stacked.variables) == 6
    with pytest.raises(tf.errors.InvalidArgumentError, match="a cell must have"):
        layers.RNN(3)


def test_dropout_and_names():
    tf.set_random_seed(1)
    layer = layers.LSTM(50, dropout=0.5, recurrent_dropout=0.5, name="memory")
    calm = layer(X).numpy()
    assert np.array_equal(calm, layer(X, training=False).numpy())
    assert not np.array_equal(calm, layer(X, training=True).numpy())
    assert [v.name for v in layer.variables] == ["memory/kernel:0", "memory/recurrent_kernel:0", "memory/bias:0"]
    assert layer.get_weights()[2].tolist() == [0] * 50 + [1] * 50 + [0] * 100
    twin = layers.LSTM.from_config(layer.get_config())
    assert twin.cell.dropout == 0.5 and twin.name == "memory"


def test_float16_and_float64(device):
    for dtype in ["float16"] + ["float64"] * device.traits.fp64:
        layer = layers.LSTM(6, dtype=dtype)
        y = layer(X.astype(dtype))
        assert y.dtype.name == dtype
        want, _ = unrolled(lstm, X.astype(float), wide(layer.get_weights()), 6, 2)
        np.testing.assert_allclose(y.numpy(), want[:, -1], atol=5e-3 if dtype == "float16" else 1e-12)


def test_one_launch_per_product_and_step(device):
    """A step of LSTM is a matrix product and a kernel; of GRU too, with the reset gate after."""
    for make in (lambda: layers.LSTM(6), lambda: layers.GRU(6, reset_after=True)):
        layer = make()
        seen: list = []

        class Names:
            def record(self, op, attrs, inputs, out, into=seen):
                into.append(op.name)

            def waits(self, entry):
                self.record(*entry)

            def read(self, variable, value):
                pass
        layer(X)
        recorders, names = dispatch.state.recorders, Names()
        recorders.append(names)
        layer(X)
        recorders.remove(names)
        assert seen.count("matmul") == 6 and sum(n.endswith("_cell") for n in seen) == 5
        assert len(seen) <= 6 + 5 + 8


def test_bad_input():
    error = tf.errors.InvalidArgumentError
    with pytest.raises(error, match="must be .batch, time"):
        layers.LSTM(3)(X[0])
    with pytest.raises(error, match="at least one time step"):
        layers.LSTM(3)(X[:, :0])
    with pytest.raises(error, match="2 states, 1 initial"):
        layers.LSTM(3)(X, initial_state=[np.zeros((3, 3), np.float32)])
    with pytest.raises(error, match="units must be positive"):
        layers.GRU(0)
    with pytest.raises(error, match="dropout must lie"):
        layers.GRU(2, dropout=1.0)
    with pytest.raises(NotImplementedError, match="use LSTM"):
        layers.CuDNNLSTM(3, activation="relu")
    assert layers.LSTM(3)(X[:0]).numpy().shape == (0, 3)


# -- tf.nn.rnn_cell
def test_basic_lstm_cell():
    cell = rnn_cell.BasicLSTMCell(6)
    outputs, state = dynamic_rnn(cell, X, dtype=tf.float32)
    kernel, bias = wide(cell.get_weights())
    c, h, out = np.zeros((3, 6)), np.zeros((3, 6)), []
    for t in range(5):
        i, j, f, o = np.split(np.concatenate([X[:, t], h], 1) @ kernel + bias, 4, 1)
        c = c * soft(f + 1) + soft(i) * np.tanh(j)
        h = np.tanh(c) * soft(o)
        out.append(h)
    np.testing.assert_allclose(outputs.numpy(), np.stack(out, 1), atol=2e-6)
    np.testing.assert_allclose(state.c.numpy(), c, atol=2e-6)
    flat = rnn_cell.BasicLSTMCell(6, state_is_tuple=False)
    flat(X[:, 0], flat.zero_state(3, tf.float32))
    flat.set_weights(cell.get_weights())
    _, joined = dynamic_rnn(flat, X)
    np.testing.assert_allclose(joined.numpy(), np.concatenate([c, h], 1), atol=2e-6)


def test_gru_and_multi_cells():
    cell = rnn_cell.GRUCell(6)
    outputs, h = static_rnn(cell, list(np.swapaxes(X, 0, 1)))
    wg, bg, wc, bc = wide(cell.get_weights())
    s = np.zeros((3, 6))
    for t in range(5):
        r, u = np.split(soft(np.concatenate([X[:, t], s], 1) @ wg + bg), 2, 1)
        s = u * s + (1 - u) * np.tanh(np.concatenate([X[:, t], r * s], 1) @ wc + bc)
    assert len(outputs) == 5
    np.testing.assert_allclose(h.numpy(), s, atol=2e-6)
    deep = rnn_cell.MultiRNNCell([rnn_cell.DropoutWrapper(rnn_cell.BasicLSTMCell(3), output_keep_prob=0.9),
                                  rnn_cell.BasicRNNCell(2)])
    outputs, (low, high) = dynamic_rnn(deep, np.swapaxes(X, 0, 1), time_major=True, dtype=tf.float32)
    assert outputs.shape == (5, 3, 2) and low.h.shape == (3, 3) and len(deep.variables) == 4
    np.testing.assert_array_equal(outputs.numpy()[-1], high.numpy())


def test_sequence_length():
    cell = rnn_cell.BasicLSTMCell(6)
    outputs, state = dynamic_rnn(cell, X, sequence_length=[5, 2, 0])
    short, after = dynamic_rnn(cell, X[1:2, :2])
    np.testing.assert_allclose(outputs.numpy()[1, :2], short.numpy()[0], atol=1e-6)
    np.testing.assert_allclose(state.c.numpy()[1], after.c.numpy()[0], atol=1e-6)
    assert not outputs.numpy()[1, 2:].any() and not outputs.numpy()[2].any() and not state.h.numpy()[2].any()
    with pytest.raises(tf.errors.InvalidArgumentError, match="one entry per sequence"):
        dynamic_rnn(cell, X, sequence_length=[1, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one tensor"):
        static_rnn(cell, [])
