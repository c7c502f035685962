"""Control flow while ops are recorded: traced functions and graphs give what eager execution gives, gradients too."""

import numpy as np
import pytest

import cltensor as tf
from cltensor.core.dispatch import state
from cltensor.runtime.queue import no_host_reads

tfe = tf.contrib.eager
DATA = np.random.default_rng(5).uniform(0.2, 1.5, (4, 3)).astype(np.float32)


def both(function, *arrays, order=2):
    """Value and gradients by all arrays, up to `order`, eagerly, traced, and in a graph; all three compared."""
    def zero():
        return tf.identity(tf.constant(0.0))

    def taped(*xs):
        out = function(*xs)
        totals = [out]
        for _ in range(order):
            found = tape_of.gradient(totals[-1], xs)
            totals.append(sum((tf.reduce_sum(g * (1.0 + i)) for i, g in enumerate(found) if g is not None), zero()))
        return totals

    def run(*xs):
        nonlocal tape_of
        with tf.GradientTape(persistent=True) as tape_of:
            for x in xs:
                tape_of.watch(x)
            return taped(*xs)
    tape_of = None
    eager = [t.numpy() for t in run(*map(tf.constant, arrays))]
    traced = tfe.defun(run)
    for _ in range(2):
        got = [t.numpy() for t in traced(*map(tf.constant, arrays))]
    assert traced.traces == 1
    with tf.Graph().as_default() as graph:
        feeds = [tf.placeholder(tf.float32, [None] * np.ndim(a)) for a in arrays]
        totals = [function(*feeds)]
        for _ in range(order):
            found = tf.gradients(totals[-1], feeds)
            totals.append(sum((tf.reduce_sum(g * (1.0 + i)) for i, g in enumerate(found) if g is not None), zero()))
        with tf.Session(graph=graph) as sess:
            for _ in range(2):
                ran = sess.run(totals, dict(zip(feeds, arrays)))
            assert len(graph.plans) == 1
    for e, t, g in zip(eager, got, ran):
        np.testing.assert_allclose(t, e, rtol=3e-5, atol=1e-5)
        np.testing.assert_allclose(g, e, rtol=3e-5, atol=1e-5)
    assert state.interpreter is None
    return eager


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_cond_takes_one_branch_and_its_gradients(scale):
    def f(x, y):
        return tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * x * x * y, lambda: tf.exp(y) * 2.0)
    x = DATA * np.float32(scale)
    values = both(f, x, DATA)
    np.testing.assert_allclose(values[0], x**3 * DATA if scale > 0 else np.exp(DATA) * 2, rtol=1e-5)


def test_cond_of_structures_numbers_and_nested_conds():
    @tfe.defun
    def f(x, p, q):
        return tf.cond(p, lambda: {"a": x, "b": (tf.cond(q, lambda: x * 2.0, lambda: 7.0), 1)},
                       lambda: {"a": -x, "b": (x, 2)})
    x = tf.constant(3.0)
    for p, q, want in ((True, True, (3, 6, 1)), (True, False, (3, 7, 1)), (False, True, (-3, 3, 2))):
        out = f(x, tf.constant(p), tf.constant(q))
        assert (out["a"].numpy(), out["b"][0].numpy(), out["b"][1].numpy()) == want
    assert f.traces == 1


def test_python_predicates_stay_static():
    called = []
    f = tfe.defun(lambda x: tf.cond(True, lambda: x, lambda: called.append(1)))
    assert f(tf.constant(2.0)).numpy() == 2 and not called
    assert not [n for n in f.get_concrete_function(tf.constant(2.0)).program.nodes if n.op.name == "cond"]


def test_while_loop_and_its_gradients():
    def f(x, y):
        return tf.while_loop(lambda i, z: i < 4, lambda i, z: (i + 1, z * x + tf.sin(y)), [0, x])[1]
    z = DATA.astype(np.float64)
    for _ in range(4):
        z = z * DATA + np.sin(DATA)
    np.testing.assert_allclose(both(f, DATA, DATA)[0], z, rtol=1e-5)


def test_a_loop_that_looks_at_values():
    def f(x):
        return tf.while_loop(lambda y: tf.reduce_max(y) < 50.0, lambda y: y * y * 1.5 + 1.0, [x])
    for scale in (1.0, 0.1, 100.0):             # the last one turns not once
        both(f, DATA * np.float32(scale))


def test_control_flow_in_control_flow():
    def f(x, w):
        def turn(i, y):
            y = tf.cond(tf.equal(i % 2, 0), lambda: y * w, lambda: y + x * w)
            return i + 1, tf.while_loop(lambda j, z: j < i, lambda j, z: (j + 1, z * tf.sin(x) + z), [0, y])[1]
        return tf.cond(tf.reduce_sum(w) > 1.0, lambda: tf.while_loop(lambda i, y: i < 3, turn, [0, x])[1], lambda: x)
    both(f, DATA, DATA * np.float32(0.5))
    both(f, DATA, DATA * np.float32(-0.5))


def test_map_scan_and_folds():
    both(lambda x, y: tf.map_fn(lambda rows: tf.reduce_sum(rows[0] * rows[1] * rows[0]), (x, y), dtype=tf.float32),
         DATA, DATA)
    both(lambda x: tf.scan(lambda a, r: a * r + 1.0, x), DATA)
    both(lambda x: tf.scan(lambda a, r: a * r, x, initializer=tf.constant([1.0, 2.0, 3.0]), reverse=True), DATA)
    both(lambda x: tf.foldl(lambda a, r: a * r + a, x) + tf.foldr(lambda a, r: a * tf.sin(r), x), DATA)
    a, b = tfe.defun(lambda x: tf.map_fn(lambda r: (r * 2.0, tf.argmax(r)), x))(tf.constant(DATA))
    assert (b.numpy() == DATA.argmax(1)).all() and (a.numpy() == DATA * 2).all()


def test_one_graph_any_number_of_rows():
    with tf.Session(graph=tf.Graph()) as sess:
        x = tf.placeholder(tf.float32, [None, 3])
        y = tf.map_fn(lambda r: tf.reduce_sum(r * r), x)
        z = tf.scan(lambda a, r: a + r, x)
        gradient = tf.gradients(y, x)[0]
        assert y.shape.as_list() == [None] and z.shape.as_list() == [None, 3]
        for n in (1, 4, 2, 4):
            got = sess.run([y, z, gradient], {x: DATA[:n]})
            for g, want in zip(got, ((DATA[:n]**2).sum(1), DATA[:n].cumsum(0), DATA[:n] * 2)):
                np.testing.assert_allclose(g, want, rtol=1e-5)


def test_tensor_array_in_a_loop():
    def f(x):
        rows = tf.TensorArray(tf.float32, size=4).unstack(x)
        kept = tf.TensorArray(tf.float32, size=4)

        def turn(i, total, kept):
            total = total + rows.read(i) * rows.read(3 - i)
            return i + 1, total, kept.write(i, total * total)
        _, total, kept = tf.while_loop(lambda i, *_: i < 4, turn, (0, tf.zeros([3]), kept))
        return tf.reduce_sum(kept.stack(), axis=0) + total * kept.concat()[3:6] + kept.gather([1, 1])[0]
    both(f, DATA)


def test_a_tensor_array_that_grows():
    def f(x, n):
        kept = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
        return tf.while_loop(lambda i, _: i < n, lambda i, kept: (i + 1, kept.write(i, x * tf.cast(i, tf.float32))),
                             (0, kept))[1].stack()
    with tf.Session(graph=tf.Graph()) as sess:
        x, n = tf.placeholder(tf.float32, [None]), tf.placeholder(tf.int32, [])
        y = f(x, n)
        for k in (1, 3):
            got, slope = sess.run([y, tf.gradients(y, x)[0]], {x: DATA[0], n: k})
            np.testing.assert_allclose(got, DATA[0] * np.arange(k)[:, None], rtol=1e-6)
            np.testing.assert_allclose(slope, np.full(3, k * (k - 1) / 2), rtol=1e-6)
    assert f(tf.constant(DATA[0]), 2).shape == (2, 3)
    with pytest.raises(ValueError, match="TensorArray.stack: the shape of the result is not known"):
        tfe.defun(f)(tf.constant(DATA[0]), tf.constant(3))


def test_indexing_by_a_counter():
    def f(x):
        def turn(i, total):
            return i + 1, total + x[i] * x[3 - i, 1] + x[..., i - 2][1] + x[-1 - i, None, :2][0, 0]
        return tf.while_loop(lambda i, _: i < 3, turn, [0, tf.zeros([3])])[1]
    x = DATA.astype(np.float64)
    want = sum(x[i] * x[3 - i, 1] + x[..., i - 2][1] + x[-1 - i, 0] for i in range(3))
    np.testing.assert_allclose(both(f, DATA)[0], want, rtol=1e-5)


def test_an_effect_is_not_repeated_by_a_gradient():
    step, x = tf.train.get_or_create_global_step(), tf.constant(2.0)
    before = int(step)

    @tfe.defun
    def f(x):
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (step.assign_add(1), (i + 1, y * x))[1], [0, x])[1]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    assert tape.gradient(y, x).numpy() == 32.0 and int(step) == before + 3


def test_a_recurrent_net_as_a_loop_learns():
    with tf.Session(graph=tf.Graph()) as sess:
        x, y = tf.placeholder(tf.float32, [None, 6, 2]), tf.placeholder(tf.float32, [None, 1])
        w = tf.Variable(np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32) * 0.3)
        out = tf.Variable(np.full((4, 1), 0.5, np.float32))
        rows = tf.TensorArray(tf.float32, size=6).unstack(tf.transpose(x, [1, 0, 2]))
        state0 = tf.matmul(x[:, 0], tf.zeros([2, 4]))
        last = tf.while_loop(lambda t, _: t < 6, lambda t, h: (t + 1, tf.tanh(tf.matmul(
            tf.concat([rows.read(t), h], 1), w))), [0, state0], maximum_iterations=10)[1]
        loss = tf.reduce_mean(tf.square(tf.matmul(last, out) - y))
        train = tf.train.AdamOptimizer(0.03).minimize(loss)
        sess.run(tf.global_variables_initializer())
        data = np.random.default_rng(0).standard_normal((32, 6, 2)).astype(np.float32) * 0.5
        feeds = {x: data, y: data.sum((1, 2))[:, None] * 0.3}
        first = sess.run(loss, feeds)
        for _ in range(60):
            sess.run(train, feeds)
        plans = len(sess.graph.plans)
        assert sess.run(loss, feeds) < 0.3 * first and len(sess.graph.plans) == plans


def test_a_counted_loop_never_waits():
    @tfe.defun
    def f(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.while_loop(lambda i, y: i < 5, lambda i, y: (i + 1, y * x), [0, x])[1]
            z = tf.map_fn(lambda r: r * r, x) + tf.scan(lambda a, r: a * r, x)
        return y, z, tape.gradient([y, z], x)
    x = tf.constant(np.tile(DATA, (1, 700)))
    f(x)
    with no_host_reads():
        out = f(x)
    np.testing.assert_allclose(out[0].numpy(), x.numpy()**6, rtol=1e-5)


def test_gradient_of_a_traced_function_from_outside():
    w = tf.Variable(1.5)

    @tfe.defun
    def f(x, n):
        y = tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y * w), [0, x])[1]
        return tf.cond(y > 10.0, lambda: y * y, lambda: y * w)
    for x, n in ((2.0, 3), (2.0, 6), (0.5, 0)):
        def value(x, w, n=n):
            y = x * w**n
            return y * y if y > 10 else y * w
        t = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(t)
            out = f(t, tf.constant(n))
        gx, gw = tape.gradient(out, [t, w])
        h = 1e-6
        np.testing.assert_allclose(out.numpy(), value(x, 1.5), rtol=1e-5)
        np.testing.assert_allclose(gx.numpy(), (value(x + h, 1.5) - value(x - h, 1.5)) / (2 * h), rtol=1e-4)
        np.testing.assert_allclose(gw.numpy(), (value(x, 1.5 + h) - value(x, 1.5 - h)) / (2 * h), rtol=1e-4)
    assert f.traces == 1


def test_assignments_happen_in_the_branch_taken_and_in_order():
    v, log = tf.Variable(1.0), []

    @tfe.defun
    def f(p):
        def yes():
            v.assign_add(1.0)
            tf.py_func(lambda: log.append("yes") or np.float32(0), [], tf.float32)
            return v.assign(v * 3.0)
        tf.py_func(lambda: log.append("before") or np.float32(0), [], tf.float32)
        tf.cond(p, yes, lambda: v)
        tf.while_loop(lambda i: i < 3, lambda i: (v.assign(v * 2.0), i + 1)[1], [0])
        tf.py_func(lambda: log.append("after") or np.float32(0), [], tf.float32)
        return v.read_value()
    assert f(tf.constant(True)).numpy() == 48 and v.numpy() == 48
    assert f(tf.constant(False)).numpy() == 384 and v.numpy() == 384
    assert log == ["before", "yes", "after", "before", "after"]


def test_assignments_in_a_graph():
    with tf.Session(graph=tf.Graph()) as sess:
        p = tf.placeholder(tf.bool, [])
        v, seen = tf.Variable(1.0), []
        changed = tf.cond(p, lambda: v.assign_add(1.0), lambda: v.assign_sub(5.0))

        def turn(k):
            v.assign(v * 2.0)
            return k + 1
        doubled = tf.while_loop(lambda k: k < 3, turn, [0])
        called = tf.cond(p, lambda: tf.py_func(lambda x: seen.append(float(x)) or x, [v * 1.0], tf.float32) + 1.0,
                         lambda: v * 1.0)
        done = tf.cond(p, lambda: tf.group(v.assign(100.0)), tf.no_op)
        sess.run(tf.global_variables_initializer())
        assert (sess.run(changed, {p: True}), sess.run(v)) == (2, 2)
        assert (sess.run(changed, {p: False}), sess.run(v)) == (-3, -3)
        assert (sess.run(doubled), sess.run(v)) == (3, -24)
        assert (sess.run(called, {p: True}), sess.run(called, {p: False}), seen) == (-23, -24, [-24.0])
        assert sess.run(done, {p: False}) is None and sess.run(v) == -24
        assert sess.run(done, {p: True}) is None and sess.run(v) == 100


def test_a_train_step_in_a_branch():
    with tf.Session(graph=tf.Graph()) as sess:
        step = tf.train.get_or_create_global_step()
        p, w = tf.placeholder(tf.bool, []), tf.Variable(3.0)
        train = tf.cond(p, lambda: tf.train.GradientDescentOptimizer(0.25).minimize(w * w, global_step=step), tf.no_op)
        sess.run(tf.global_variables_initializer())
        for pred, value in ((False, 3.0), (True, 1.5), (True, 0.75), (False, 0.75)):
            sess.run(train, {p: pred})
            assert sess.run(w) == value
        assert sess.run(step) == 2


def test_gradients_inside_a_branch_and_of_custom_gradients():
    @tf.custom_gradient
    def cubed(x):
        return x * x * x, lambda g: g * 100.0 * x
    with tf.Session(graph=tf.Graph()) as sess:
        x, p = tf.placeholder(tf.float32, []), tf.placeholder(tf.bool, [])
        y = x * x
        inside = tf.cond(p, lambda: tf.gradients(y * x, x)[0], lambda: x)
        custom = tf.gradients(tf.cond(p, lambda: cubed(x) * 2.0, lambda: x), x)[0]
        looped = tf.gradients(tf.while_loop(lambda i, z: i < 2, lambda i, z: (i + 1, cubed(z)), [0, x])[1], x)[0]
        assert [sess.run(inside, {x: 2.0, p: v}) for v in (True, False)] == [12.0, 2.0]
        assert [sess.run(custom, {x: 2.0, p: v}) for v in (True, False)] == [400.0, 1.0]
        assert sess.run(looped, {x: 2.0}) == 100 * 8.0 * 100 * 2.0


def test_shapes_that_grow():
    with tf.Session(graph=tf.Graph()) as sess:
        x, n = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.int32, [])
        grown = tf.while_loop(lambda k, a: k < n, lambda k, a: (k + 1, tf.concat([a, a[:1] * 2.0], 0)), [0, x],
                              shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, 3])])[1]
        gradient = tf.gradients(grown, x)[0]
        for _ in range(2):
            got, slope = sess.run([grown, gradient], {x: DATA, n: 3})
            assert got.shape == (7, 3) and (slope[0] == 7).all() and (slope[1:] == 1).all()


def test_random_numbers_are_drawn_anew_in_each_turn():
    @tfe.defun
    def f():
        kept = tf.TensorArray(tf.float32, size=4)
        kept = tf.while_loop(lambda i, _: i < 4, lambda i, kept: (i + 1, kept.write(i, tf.random_uniform([5]))),
                             (0, kept))[1]
        return kept.stack()
    tf.set_random_seed(3)
    first, second = f().numpy(), f().numpy()
    tf.set_random_seed(3)
    assert (f().numpy() == first).all() and len(np.unique(np.concatenate([first, second]), axis=0)) == 8

    @tfe.defun
    def dropped(x):         # the backward turns see what the forward turns drew
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * tf.random_uniform([5])), [0, x])[1]
        return y, tape.gradient(y, x)
    x = tf.constant(np.full(5, 2.0, np.float32))
    y, g = dropped(x)
    np.testing.assert_allclose(g.numpy() * 2, y.numpy(), rtol=1e-5)


def test_case():
    f = tfe.defun(lambda x: tf.case([(x < 1.0, lambda: x * 10.0), (x < 2.0, lambda: x * 100.0)], default=lambda: x))
    assert [float(f(tf.constant(v))) for v in (0.5, 1.5, 2.5)] == [5.0, 150.0, 2.5]
    g = tfe.defun(lambda x: tf.case([(x < 1.0, lambda: x), (x < 2.0, lambda: -x)], exclusive=True))
    assert float(g(tf.constant(1.5))) == -1.5
    with pytest.raises(ValueError, match="2 conditions hold"):
        g(tf.constant(0.5))
    with pytest.raises(ValueError, match="no condition holds"):
        g(tf.constant(2.5))


def test_maximum_iterations():
    f = tfe.defun(lambda n: tf.while_loop(lambda i: True, lambda i: i + 2, [0], maximum_iterations=n))
    assert f(tf.constant(5)).numpy() == 10 and f(3).numpy() == 6


def test_what_is_not_needed_is_not_run():
    @tfe.defun
    def f(x):
        tf.cond(x > 0.0, lambda: x * 2.0, lambda: x)
        tf.while_loop(lambda i: i < 3, lambda i: i + 1, [0])
        return tf.cond(x > 1.0, lambda: x, lambda: -x) + tf.cond(x > 1.0, lambda: -x, lambda: x)
    assert f(tf.constant(2.0)).numpy() == 0.0          # equal inputs, other bodies: not the same node
    names = [n.op.name for n in f.get_concrete_function(tf.constant(2.0)).program.nodes]
    assert names.count("cond") == 2 and "while_loop" not in names


@pytest.mark.parametrize("graph", [True, False])
def test_bad_calls_get_one_sentence(graph):
    def trying(match, function):
        with pytest.raises((ValueError, TypeError), match=match):
            if graph:
                with tf.Graph().as_default():
                    function(tf.placeholder(tf.float32, [2]), tf.placeholder(tf.bool, []))
            else:
                tfe.defun(function)(tf.constant([1.0, 2.0]), tf.constant(True))
        assert state.interpreter is None and not state.recorders
    trying("cond: true_fn and false_fn must return the same structure",
           lambda x, p: tf.cond(p, lambda: (x, x), lambda: x))
    trying("cond: result 0 has dtype float32 from true_fn and int32",
           lambda x, p: tf.cond(p, lambda: x, lambda: tf.cast(x, tf.int32)))
    trying("cond: pred must be boolean", lambda x, p: tf.cond(tf.reduce_sum(x), lambda: x, lambda: x))
    trying("cond: pred must be a scalar, it has shape", lambda x, p: tf.cond(x > 0.0, lambda: x, lambda: x))
    trying(r"loop variable 1 \(y\) enters a turn with shape \(2,\) and body returns shape \(3,\)",
           lambda x, p: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.ones([3])), [0, x]))
    trying(r"loop variable 0 \(i\) enters a turn with dtype int32 and body returns float32",
           lambda x, p: tf.while_loop(lambda i: i < 3, lambda i: tf.cast(i, tf.float32), [0]))
    trying("body returned 1 values for 2", lambda x, p: tf.while_loop(lambda i, y: p, lambda i, y: i, [0, x]))
    trying("must return the structure of loop_vars",
           lambda x, p: tf.while_loop(lambda i: p, lambda i: [(i, i)], [0]))
    trying("what cond returns must be a scalar", lambda x, p: tf.while_loop(lambda y: y > 0.0, lambda y: y, [x]))
    trying("cond must not assign", lambda x, p: tf.while_loop(lambda y: _assigning(p), lambda y: y, [x]))
    trying("elems must have one first dimension", lambda x, p: tf.map_fn(lambda r: r[0], (x, tf.constant([1, 2, 3]))))


_touched = tf.Variable(0.0)


def _assigning(p):
    _touched.assign(1.0)
    return p


def test_branches_of_two_shapes():
    f = tfe.defun(lambda x, p: tf.cond(p, lambda: x, lambda: tf.concat([x, x], 0)))
    with pytest.raises(ValueError, match=r"result 0 has shape \(2,\) from true_fn and \(4,\) from false_fn"):
        f(tf.constant([1.0, 2.0]), tf.constant(True))
    with tf.Session(graph=tf.Graph()) as sess:
        x, p = tf.placeholder(tf.float32, [2]), tf.placeholder(tf.bool, [])
        y = tf.cond(p, lambda: x, lambda: tf.concat([x, x], 0))
        assert [sess.run(y, {x: [1, 2], p: v}).tolist() for v in (True, False)] == [[1, 2], [1, 2, 1, 2]]
        with pytest.raises(ValueError, match="inside a branch or a loop"):
            inner = []
            tf.cond(p, lambda: inner.append(x + 1.0) or x, lambda: x)
            sess.run(inner[0], {x: [1, 2]})


@pytest.mark.parametrize("fails", [False, True])
def test_an_optimizer_in_a_loop(fails):
    """Each turn sees the step count of the turn before; a call that fails changes none of it."""
    def made():
        w, step = tf.Variable(3.0), tf.Variable(0, trainable=False, dtype=tf.int64, host=True)
        optimizer = tf.train.AdamOptimizer(0.1)

        def turn(i):
            with tf.GradientTape() as tape:
                loss = w * w
            optimizer.apply_gradients([(tape.gradient(loss, w), w)], global_step=step)
            return i + 1

        def run(bad):
            tf.while_loop(lambda i: i < 5, turn, [0])
            tf.py_func(_refuse, [bad], tf.float32)
            return w.read_value()
        return w, step, run
    (w, step, eager), (v, count, run) = made(), made()
    traced = tfe.defun(run)
    for _ in range(2):
        want, got = eager(tf.constant(False)), traced(tf.constant(False))
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)
    if fails:
        with pytest.raises(RuntimeError, match="refused"):
            traced(tf.constant(True))
        np.testing.assert_allclose(traced(tf.constant(False)).numpy(), eager(tf.constant(False)).numpy(), rtol=1e-6)
    assert int(step) == int(count) == (15 if fails else 10) and w.numpy() == v.numpy()


def _refuse(bad):
    if bad:
        raise RuntimeError("refused")
    return np.float32(0)
