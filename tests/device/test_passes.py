"""Passes that change which kernels run: the bits stay, and the program shows that they did something."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.graph.program import verify
from cltensor.graph.replay import PASSES

tfe = tf.contrib.eager
rng = np.random.default_rng(0)


def array(*shape):
    return tf.constant(rng.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("shape", [(5, 40, 24), (33, 70, 65), (32, 256, 512)])
def test_a_matrix_that_several_products_take_transposed_is_turned_once(shape):
    m, n, k = shape
    w, xs = tf.Variable(array(n, k)), [array(m, k) for _ in range(4)]

    def f(*xs):
        return [tf.matmul(x, w, transpose_b=True) for x in xs]
    g = tfe.defun(f)
    for got, want in zip(g(*xs), f(*xs)):
        assert got.numpy().tobytes() == want.numpy().tobytes()
    assert str(g.get_concrete_function(*xs).program).count("transpose(") == 1


@pytest.mark.parametrize(("shape", "axis", "sizes"), [((5, 80), 1, 4), ((12, 7), 0, [3, 3, 6]), ((3, 8, 7), 1, 2),
                                                      ((2, 3, 52), 2, [17, 17, 18]), ((6,), 0, 3), ((4, 3, 2), 2, 2)])
def test_pieces_are_read_where_they_lie(shape, axis, sizes, device):
    z = array(*shape)
    first = tf.split(z, sizes, axis)[0]
    other = array(*first.shape.as_list())
    bias = array(first.shape.as_list()[-1])

    def f(z, other, bias):
        a, b, *_ = tf.split(z * 2.0, sizes, axis)
        return tf.tanh(a) * other + tf.sigmoid(b) * bias, tf.exp(b - a)
    g = tfe.defun(f)
    for _ in range(2):
        for got, want in zip(g(z, other, bias), f(z, other, bias)):
            assert got.numpy().tobytes() == want.numpy().tobytes()
    short = shape in ((6,), (4, 3, 2))          # too little in a row
    assert ("split" in str(g.get_concrete_function(z, other, bias).program)) == short
    h = tfe.defun(lambda z: (lambda parts: (parts[0] + parts[1], parts[0]))(tf.split(z * 2.0, sizes, axis)))
    assert np.array_equal(h(z)[1].numpy(), tf.split(z * 2.0, sizes, axis)[0].numpy())       # one is wanted as it is


@pytest.mark.parametrize("shape", [(5, 7, 3), (128, 784, 512), (1, 300, 200), (70, 33, 1), (64, 512, 1024)])
def test_epilogues_of_products_keep_their_bits(shape):
    m, k, n = shape
    x, w, b, y = array(m, k), array(k, n), array(n), array(m, n)

    def f(x, w, b, y):
        h = tf.nn.relu(tf.matmul(x, w) + b)
        masked = tf.where(tf.greater(y, 0.0), tf.matmul(x, w * 0.5), tf.zeros_like(y))
        return h, masked, tf.tanh(tf.matmul(x, w)) * y, tf.matmul(x, w)
    g = tfe.defun(f)
    for got, want in zip(g(x, w, b, y), f(x, w, b, y)):
        assert got.numpy().tobytes() == want.numpy().tobytes()
    alone = tfe.defun(lambda x, w, b: tf.nn.relu(tf.matmul(x, w) + b))
    assert alone(x, w, b).numpy().tobytes() == tf.nn.relu(tf.matmul(x, w) + b).numpy().tobytes()
    assert "matmul + fused(add, relu)" in str(alone.get_concrete_function(x, w, b).program)


def test_constants_fold_and_repeats_run_once():
    k = tf.constant([2.0, 3.0])

    def f(x):
        table = tf.exp(k) * 2.0                     # known when traced
        return tf.exp(x) * table + tf.exp(x), x * 1.0
    replay = tfe.defun(f).get_concrete_function(tf.constant([0.5, 0.25]))
    names = " ".join(n.op.name for n in replay.program.nodes)
    assert names.count("exp") == 1
    verify(replay.program)
    assert [p.__name__ for p in PASSES] == ["prune", "fold", "simplify", "cse", "count_on_host", "turn_shared",
                                            "fuse_sums", "fuse_elementwise", "read_pieces", "prune",
                                            "absorb_epilogues", "merge_updates"]
    x = tf.constant([0.5, 0.25])
    for got, want in zip(tfe.defun(f)(x), f(x)):
        assert got.numpy().tobytes() == want.numpy().tobytes()
