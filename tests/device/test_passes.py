"""Passes that change which kernels run: the bits stay, and the program shows that they did something."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.graph.program import verify
from cltensor.graph.replay import PASSES, prepare
from cltensor.ops.batch_norm import normalize_batch

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


@pytest.mark.parametrize(("n", "h", "w", "c", "k", "o", "stride", "padding"), [
    (2, 9, 7, 5, 3, 37, 1, "SAME"), (1, 8, 8, 16, 1, 24, 1, "SAME"), (3, 11, 10, 3, 5, 8, 2, "SAME"),
    (2, 6, 6, 64, 3, 64, 1, "VALID"), (1, 7, 7, 9, 1, 33, 2, "SAME")])
def test_epilogues_of_convolutions_keep_their_bits(n, h, w, c, k, o, stride, padding):
    x, f, b, mask = array(n, h, w, c), array(k, k, c, o), array(o), array(n, h, w, c)
    y = tf.nn.conv2d(x, f, stride, padding)
    g, strides, d = array(*y.shape.as_list()), [1, stride, stride, 1], array(k, k, c, 1)

    def several(x, f, b, g, mask, d):
        forward = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, f, stride, padding), b))
        slope = tf.nn.conv2d_backprop_input(tf.shape(x), f, g, strides, padding)
        masked = tf.where(tf.greater(mask, 0.0), slope, tf.zeros_like(mask))
        each = tf.tanh(tf.nn.depthwise_conv2d(x, d, strides, padding)) * 0.5
        return forward, masked, each, tf.nn.conv2d(x, f * 0.5, stride, padding) + g
    compiled = tfe.defun(several)
    inputs = x, f, b, g, mask, d
    for got, want in zip(compiled(*inputs), several(*inputs)):
        assert got.numpy().tobytes() == want.numpy().tobytes()
    program = str(compiled.get_concrete_function(*inputs).program)
    for absorbed in ("conv2d + fused(add, relu)", "conv2d_backprop_input + fused(", "depthwise_conv2d_native + fused(",
                     "conv2d + fused(add)("):
        assert absorbed in program, program


@pytest.mark.parametrize("shape", [(3, 5, 4, 7), (2, 9, 8, 64), (300, 33), (1, 2, 2, 130)])
def test_epilogues_of_batch_norm_keep_their_bits(shape):
    x, rest, scale, offset = array(*shape), array(*shape), array(shape[-1]), array(shape[-1])

    def several(x, rest, scale, offset):
        y, mean, variance = normalize_batch(x, scale, offset)
        z, *_ = normalize_batch(x * 2.0, scale, offset)
        u, *_ = normalize_batch(rest, offset, scale)
        return tf.nn.relu(y), mean * 0.5, variance, tf.nn.relu(z + u), u
    compiled = tfe.defun(several)
    inputs = x, rest, scale, offset
    for got, want in zip(compiled(*inputs), several(*inputs)):
        assert got.numpy().tobytes() == want.numpy().tobytes()
    program = compiled.get_concrete_function(*inputs).program
    verify(program)
    assert "fused_batch_norm + fused(relu)(" in str(program), program


def test_masks_are_made_where_they_are_used():
    """The sign of an activation is not kept beside it: the forward pass ends in one launch, the gradient asks again."""
    x, f, b, v = array(2, 8, 8, 3), array(3, 3, 3, 20), array(20), array(20, 20)

    def step(x, f, b, v):
        with tf.GradientTape() as tape:
            tape.watch([x, f, b])
            y = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, f, 1, "SAME"), b))
            z = tf.nn.relu(tf.nn.conv2d(tf.nn.max_pool(y, 2, 2, "SAME"), tf.reshape(v, (1, 1, 20, 20)), 1, "SAME"))
            loss = tf.reduce_sum(z * z)
        return tape.gradient(loss, [x, f, b])
    compiled = tfe.defun(step)
    for got, want in zip(compiled(x, f, b, v), step(x, f, b, v)):
        assert got.numpy().tobytes() == want.numpy().tobytes()
    program = compiled.get_concrete_function(x, f, b, v).program
    assert "conv2d + fused(add, relu)" in str(program)
    assert not any(o.dtype == tf.bool for n in program.nodes if not n.op.name.startswith("effect") for o in n.outputs)
    kept = tfe.defun(lambda x: (lambda y: (y, tf.where(y > 0.0, tf.matmul(y, v), y)))(tf.sqrt(x * 2.0)))
    y, chosen = (t.numpy() for t in kept(v * v))         # what the mask is made of is wanted by itself
    assert np.array_equal(chosen, np.where(y > 0, tf.matmul(tf.constant(y), v).numpy(), y))


def test_constants_fold_and_repeats_run_once():
    k = tf.constant([2.0, 3.0])

    def f(x):
        table = tf.exp(k) * 2.0                     # known when traced
        return tf.exp(x) * table + tf.exp(x), x * 1.0
    replay = tfe.defun(f).get_concrete_function(tf.constant([0.5, 0.25]))
    names = " ".join(n.op.name for n in replay.program.nodes)
    assert names.count("exp") == 1
    verify(replay.program)
    assert [p.__name__ for p in PASSES] == ["prune", "fold", "simplify", "cse", "count_on_host", "narrow_products",
                                            "turn_shared", "sum_products", "fuse_sums", "fuse_elementwise",
                                            "read_pieces", "prune", "write_places", "absorb_prologues",
                                            "absorb_epilogues", "merge_updates"]
    x = tf.constant([0.5, 0.25])
    for got, want in zip(tfe.defun(f)(x), f(x)):
        assert got.numpy().tobytes() == want.numpy().tobytes()


@pytest.mark.parametrize(("m", "k", "sizes", "used"), [(260, 33, (7, 40), [1]), (256, 20, (5, 4, 6, 3), [1, 2]),
                                                       (300, 17, (64, 1), [1]), (3, 30, (20, 20), [0]),
                                                       (256, 64, (32, 32), [0, 1])])
@pytest.mark.parametrize("turned", [False, True])
def test_columns_that_nobody_reads_are_not_computed(m, k, sizes, used, turned):
    x, w = array(m, k), array(*((sum(sizes), k) if turned else (k, sum(sizes))))

    def f(x, w):
        parts = tf.split(tf.matmul(x, w, transpose_b=turned), sizes, 1)
        return [tf.tanh(parts[i]) for i in used]
    g = tfe.defun(f)
    for got, want in zip(g(x, w), f(x, w)):
        assert got.numpy().tobytes() == want.numpy().tobytes()
    text = str(g.get_concrete_function(x, w).program)
    kept = sum(sizes[i] for i in used)
    assert (f"({m}, {sum(sizes)}) float32" in text) == (m < 256 or kept < 4 or len(used) == len(sizes))


@pytest.mark.parametrize(("shape", "axis"), [((5, 40), 1), ((7, 33), 1), ((3, 8, 7), 1), ((4, 6), 0), ((1, 17), 0),
                                             ((2, 3, 16), -1), ((6, 5), 1), ((1000, 129), 1)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "bool"])
def test_parts_of_a_concatenation_are_written_in_place(shape, axis, dtype):
    x, y = (tf.cast(array(*shape) * 100.0, dtype) for _ in range(2))
    join = tf.logical_xor if dtype == "bool" else tf.multiply

    def f(x, y):
        made, other = join(x, y), join(y, y)
        both = tf.concat([made, x, other, made], axis)
        return both, tf.concat([y, made], axis), other, tf.identity(both)
    g = tfe.defun(f)
    for _ in range(2):
        for got, want in zip(g(x, y), f(x, y)):
            assert got.numpy().tobytes() == want.numpy().tobytes()
    replay = g.get_concrete_function(x, y)
    verify(replay.program)
    flat = int(np.prod(shape[axis % len(shape):]))
    assert ("in place" in str(replay.program)) == (flat >= 16)
    assert replay.launches == 1 or flat < 16


REDUCTIONS = [tf.reduce_sum, tf.reduce_mean, tf.reduce_max, tf.reduce_min, tf.reduce_prod]


@pytest.mark.parametrize(("shape", "axis"), [((5, 7), 0), ((5, 7), 1), ((300, 129), 0), ((129, 300), 1), ((1, 17), 0),
                                             ((17, 1), 1), ((4, 5, 6), (0, 2)), ((4, 5, 6), 1), ((2, 70000), 1),
                                             ((3000, 40), 0), ((31,), 0), ((3, 0), 1), ((0, 3), 1), ((64, 64), None),
                                             ((2, 3, 5, 7), (1, 2)), ((), None), ((40, 64), 0)])
def test_what_makes_an_array_is_done_where_it_is_reduced(shape, axis):
    x = array(*shape)

    def f(x):
        return [r(tf.tanh(x * 1.5 - 0.25) * 0.75 + 1.0, axis) for r in REDUCTIONS] + [
            tf.reduce_sum(tf.exp(x), axis, keepdims=True), tf.reduce_max(tf.where(x > 0.0, x, x * 0.1), axis)]
    g = tfe.defun(f)
    for got, want in zip(g(x), f(x)):
        assert got.numpy().tobytes() == want.numpy().tobytes() and got.shape == want.shape
    verify(g.get_concrete_function(x).program)
    alone = tfe.defun(lambda x: tf.reduce_max(tf.abs(x * 2.0), axis))
    alone(x)
    assert "reduce_max of" in str(alone.get_concrete_function(x).program) or 0 in shape or x.shape.num_elements() == 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_arrays_that_are_wanted_or_of_several_are_made_before_they_are_reduced(dtype, device):
    if dtype == "float64" and not device.traits.fp64:
        pytest.skip("no float64")
    x, y = (tf.cast(array(33, 21) * 8.0, dtype) for _ in range(2))

    def f(x, y):
        z = x * x
        return z, tf.reduce_sum(z, 0), tf.reduce_sum(x * y, 1), tf.reduce_sum(tf.cast(x - 1, tf.float32), 0)
    g = tfe.defun(f)
    for got, want in zip(g(x, y), f(x, y)):
        assert got.numpy().tobytes() == want.numpy().tobytes()


def _summed(replay):
    return sum(n.op.name.startswith("sum of") for n in replay.program.nodes)


@pytest.mark.parametrize(("turns", "rows", "m", "n"), [(4, 32, 16, 24), (9, 16, 40, 33), (12, 64, 70, 8),
                                                       (5, 128, 4, 512), (6, 3, 16, 16), (3, 32, 16, 16),
                                                       (17, 8, 128, 64)])
def test_the_gradient_of_weights_of_a_loop_is_one_sum_of_products(turns, rows, m, n, device):
    x, w, v = array(rows, m), tf.Variable(array(m, n) * 0.1), tf.Variable(array(n, m) * 0.1)

    def f(x):
        with tf.GradientTape() as tape:
            h = x * 1.5
            for _ in range(turns):
                h = tf.tanh(tf.matmul(tf.sigmoid(tf.matmul(h, w)), v) + h)
            loss = tf.reduce_sum(h)
        return [h, *tape.gradient(loss, [w, v])]
    g = tfe.defun(f)
    want = [t.numpy() for t in f(x)]
    for again in range(3):
        for got, value in zip(g(x), want):
            assert got.numpy().tobytes() == value.tobytes()
        if again == 1:
            device.memory.trim()            # the block whose parts the kernels take goes
    replay = g.get_concrete_function(x)
    verify(replay.program)
    possible = turns >= 4 and rows * m % 128 == rows * n % 128 == 0
    assert _summed(replay) == 2 * possible
    if possible and device.traits.schedule == "cpu":
        eager = prepare(replay.recorded, device, ()).launches
        assert replay.launches < eager - 3 * turns


def test_operands_of_sums_of_products_that_lie_elsewhere(device):
    """Constants, feeds, results and repeated operands cannot lie behind each other: few are copied, many left alone."""
    rows, m = 32, 16
    xs, c = [array(rows, m) for _ in range(6)], array(rows, m)

    def few(first, *xs):
        hs = [first, *(tf.tanh(x) for x in xs)]
        gs = [tf.exp(h) for h in hs]
        return tf.add_n([tf.matmul(h, g, transpose_a=True) for h, g in zip(hs, gs)]), gs[2]

    def many(first, *xs):
        return tf.add_n([tf.matmul(x, first, transpose_a=True) for x in xs]), first

    def shared(first, *xs):
        hs, gs = [tf.tanh(x) for x in xs], [tf.sin(x + first) for x in xs]
        one = tf.add_n([tf.matmul(h, g, transpose_a=True) for h, g in zip(hs, gs)])
        return one, tf.add_n([tf.matmul(tf.cos(x), g, transpose_a=True) for x, g in zip(xs, gs)])
    for f, count in ((few, 1), (many, 0), (shared, 2)):
        g = tfe.defun(f)
        for _ in range(2):
            for got, want in zip(g(c, *xs), f(c, *xs)):
                assert got.numpy().tobytes() == want.numpy().tobytes()
        assert _summed(g.get_concrete_function(c, *xs)) == count


def test_groups_that_read_one_array_are_one_kernel():
    x, w = array(40, 30), array(30, 30)

    def f(x, w):
        z = tf.matmul(x, w)
        return tf.tanh(z) * 2.0, tf.sigmoid(z) + 1.0, tf.exp(z)
    g = tfe.defun(f)
    for got, want in zip(g(x, w), f(x, w)):
        assert got.numpy().tobytes() == want.numpy().tobytes()
    assert g.get_concrete_function(x, w).launches == 2


def test_a_recurrent_step_is_one_elementwise_kernel_each_way():
    """An LSTM written out: launches grow by two a step forwards (product, cell) and backwards by the gradients'."""
    rows, units = 8, 16
    found = {}
    for steps in (4, 8):
        xs = [array(rows, units) for _ in range(steps)]
        w, b = tf.Variable(array(2 * units, 4 * units)), tf.Variable(array(4 * units))

        def step(xs=xs, w=w, b=b):
            with tf.GradientTape() as tape:
                h = c = tf.zeros([rows, units])
                for x in xs:
                    i, j, f, o = tf.split(tf.matmul(tf.concat([x, h], 1), w) + b, 4, 1)
                    c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
                    h = tf.tanh(c) * tf.sigmoid(o)
                loss = tf.reduce_mean(tf.square(h))
            return [loss, *tape.gradient(loss, [w, b])]
        compiled = tfe.defun(step)
        for got, want in zip(compiled(), step()):
            assert got.numpy().tobytes() == want.numpy().tobytes()
        found[steps] = [n.op.name for n in compiled.get_concrete_function().program.nodes]
    elementwise = [sum("fused(" in name and "matmul" not in name and name.count("sigmoid") + name.count("multiply") > 3
                       for name in names) for names in found.values()]
    assert elementwise[1] - elementwise[0] == 2 * 4
    assert sum("concat" in name for name in found[8]) <= 1
