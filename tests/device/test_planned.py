"""Planned replays: memory by liveness, values written over only where nobody holds them, nothing done twice."""

import gc
import threading

import numpy as np
import pytest

import cltensor as tf
from cltensor.graph.liveness import ALIGNED, Life, arenas, chains
from cltensor.graph.order import ordered
from cltensor.graph.planned import Planned
from cltensor.graph.program import verify
from cltensor.kernels import build

tfe = tf.contrib.eager
rng = np.random.default_rng(0)


def array(*shape):
    return rng.standard_normal(shape).astype(np.float32)


# --- the planner alone

def overlapping(lives, where):
    """Pairs that live at the same time and share bytes."""
    names = sorted(lives)
    return [(a, b) for a in names for b in names if a < b and where[a][0] == where[b][0]
            and lives[a].birth <= lives[b].death and lives[b].birth <= lives[a].death
            and where[a][1] < where[b][1] + lives[b].nbytes and where[b][1] < where[a][1] + lives[a].nbytes]


@pytest.mark.parametrize("seed", range(20))
def test_arenas_never_overlap_and_fit(seed):
    random = np.random.default_rng(seed)
    births = random.integers(0, 30, 60)
    lives = {i: Life(int(random.integers(1, 9)) * 1024 - int(random.integers(0, 100)), int(b),
                     int(b + random.integers(0, 8))) for i, b in enumerate(births)}
    most = max(sum(v.nbytes for v in lives.values() if v.birth <= t <= v.death) for t in range(40))
    for limit in (1 << 30, 20000, 3000):
        where, sizes = arenas(lives, limit)
        assert overlapping(lives, where) == []
        assert all(begin % ALIGNED == 0 and begin + lives[i].nbytes <= sizes[block]
                   for i, (block, begin) in where.items())
        assert all(n <= max(limit, 8 * 1024) for n in sizes) and most <= sum(sizes)
        assert limit < 1 << 30 or (len(sizes) == 1 and sizes[0] <= 1.3 * most)
    apart, blocks = arenas(lives, 1 << 30, share=False)
    assert len(set(apart.values())) == len(blocks) == 60


def test_a_value_is_written_over_once_and_only_when_it_dies():
    lives = {0: Life(64, 0, 1), 1: Life(64, 1, 2, over=(0,)), 2: Life(64, 1, 3, over=(0,)),
             3: Life(32, 3, 3, over=(2,)), 4: Life(64, 3, 4, over=(2, 1))}
    assert chains(lives) == {0: 0, 1: 0, 2: 2, 3: 3, 4: 2}
    assert chains({0: Life(64, 0, 1, fixed=True), 1: Life(64, 1, 2, over=(0,))}) == {0: 0, 1: 1}


# --- steps

def trained(w, optimizer, compiled):
    x, y = tf.constant(array(16, 12)), tf.constant(array(16, 12))

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.nn.relu(tf.matmul(x, w)) - y))
        optimizer.apply_gradients([(tape.gradient(loss, w), w)])
        return loss
    return compiled(step)


@pytest.mark.parametrize("make", [lambda: tf.train.GradientDescentOptimizer(0.1), lambda: tf.train.AdamOptimizer(0.01),
                                  lambda: tf.train.RMSPropOptimizer(0.01, momentum=0.5, centered=True)])
def test_training_has_the_bits_of_eager_training(make):
    start, state = array(12, 12), rng.bit_generator.state
    found = []
    for compiler in (lambda f: f, tfe.defun):
        rng.bit_generator.state = state
        w = tf.Variable(start)
        step = trained(w, make(), compiler)
        losses = [step().numpy().tobytes() for _ in range(5)]
        found.append((losses, w.numpy().tobytes()))
    assert found[0] == found[1]


def test_a_value_somebody_holds_is_not_written_over():
    w = tf.Variable(array(40))
    add = tfe.defun(lambda x: [w.assign_add(x)][:0])
    x = tf.constant(array(40))
    for _ in range(3):
        before, view = w.read_value(), tf.reshape(w, [8, 5])
        value = before.numpy()
        add(x)
        assert np.array_equal(before.numpy(), value)
        assert np.array_equal(view.numpy().ravel(), value)
        assert np.array_equal(w.numpy(), value + x.numpy())
        del before, view
        add(x)


def test_updates_in_place_take_no_memory(device):
    w = tf.Variable(array(1 << 16))
    step = tfe.defun(lambda: [w.assign(w * 0.5 + 1.0)][:0])
    for _ in range(3):
        step()
    device.memory.reset_peak()
    before = device.memory.in_use
    step()
    assert device.memory.peak == before


def test_swapping_two_variables():
    a, b = tf.Variable(array(30)), tf.Variable(array(30))

    @tfe.defun
    def swap():
        old = a.read_value()
        a.assign(b.read_value() + 1.0)
        b.assign(old + 1.0)
    want = a.numpy(), b.numpy()
    for _ in range(4):
        swap()
        want = want[1] + np.float32(1), want[0] + np.float32(1)
        assert np.array_equal(a.numpy(), want[0])
        assert np.array_equal(b.numpy(), want[1])


def test_one_value_for_two_variables():
    a, b = tf.Variable(array(30)), tf.Variable(array(5, 6))

    @tfe.defun
    def f(x):
        value = a * x
        a.assign(value)
        b.assign(tf.reshape(value, [5, 6]))
    for _ in range(3):
        want = a.numpy() * np.float32(2)
        f(tf.constant(2.0))
        assert np.array_equal(a.numpy(), want)
        assert np.array_equal(b.numpy().ravel(), want)


def test_results_own_their_memory():
    f = tfe.defun(lambda x: (tf.tanh(x), tf.reshape(tf.tanh(x) + 1.0, [4, 5]), x, tf.constant(3.0)))
    first = f(tf.constant(np.zeros(20, np.float32)))
    want = [t.numpy() for t in first]
    for _ in range(3):
        f(tf.constant(np.full(20, 9.0, np.float32)))
    for t, value in zip(first, want):
        assert np.array_equal(t.numpy(), value)


def test_temporaries_take_turns(device):
    w = [tf.constant(array(64, 64)) for _ in range(12)]

    def f(x):
        for each in w:
            x = tf.tanh(tf.matmul(x, each))
        return tf.reduce_sum(x)
    replay = tfe.defun(f).get_concrete_function(tf.constant(array(64, 64)))
    assert isinstance(replay, Planned)
    assert replay.slot_bytes <= 3 * 64 * 64 * 4         # of 24 values


# --- nothing is done twice

def test_a_large_gradient_waits_until_the_activations_are_gone(device):
    """Its memory is theirs then; and two functions whose blocks take turns keep their values."""
    x, rate = tf.constant(array(4, 16, 16, 1)), tf.train.GradientDescentOptimizer(0.1)
    start = [array(3, 3, 1, 24) * np.float32(0.3), array(8 * 8 * 24, 64) * np.float32(0.05)]

    def training(compiler):
        kernel, w = [tf.Variable(v) for v in start]

        def step(x):
            with tf.GradientTape() as tape:
                h = tf.nn.relu(tf.nn.conv2d(x, kernel, [1, 1, 1, 1], "SAME"))
                h = tf.nn.max_pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
                loss = tf.reduce_mean(tf.square(tf.matmul(tf.reshape(h, [4, -1]), w)))
            rate.apply_gradients(zip(tape.gradient(loss, [kernel, w]), [kernel, w]))
            return loss
        return compiler(step), [kernel, w]
    (eager, want), (one, first), (other, second) = (training(c) for c in (lambda f: f, tfe.defun, tfe.defun))
    for _ in range(4):
        assert eager(x).numpy().tobytes() == one(x).numpy().tobytes() == other(x).numpy().tobytes()
    for values in zip(want, first, second):
        assert len({v.numpy().tobytes() for v in values}) == 1
    program = one.get_concrete_function(x).program
    nodes = ordered(program)
    verify(program.with_nodes(nodes))
    assert sorted(map(id, nodes)) == sorted(map(id, program.nodes))
    assert nodes[-1].outputs[0].spec is first[1].spec and nodes[-2].op.name == "matmul"


def test_a_repeated_call_does_nothing_anew(device):
    rate, traces = [0.1], []
    w = tf.Variable(array(7, 3))
    optimizer = tf.train.GradientDescentOptimizer(lambda: rate[0])

    @tfe.defun
    def step(x):
        traces.append(1)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.matmul(x, w)))
        optimizer.apply_gradients([(tape.gradient(loss, w), w)])
        return loss
    x = tf.constant(array(5, 7))
    step(x)
    replay, programs = step.get_concrete_function(x), build.program_count()
    want = w.numpy().astype(np.float64)
    for i in range(6):
        rate[0] = 0.1 / (i + 1)
        x = tf.constant(array(5, 7))            # a new batch
        if i == 3:
            w.assign(array(7, 3))               # an eager assignment between
            want = w.numpy().astype(np.float64)
        before = device.queue.launch_count
        step(x)
        assert device.queue.launch_count - before == replay.launches
        a = x.numpy().astype(np.float64)
        want = want - rate[0] * (2.0 / 15) * a.T @ (a @ want)
        np.testing.assert_allclose(w.numpy(), want, rtol=1e-4, atol=1e-5)
    assert len(traces) == step.traces == 1
    assert build.program_count() == programs
    assert step.get_concrete_function(x) is replay


def test_equal_layers_compile_once():
    def layers(n):
        w = [tf.Variable(array(24, 24) * 0.1) for _ in range(n)]
        x = tf.constant(array(6, 24))

        @tfe.defun
        def step():
            with tf.GradientTape() as tape:
                h = x
                for each in w:
                    h = h + tf.nn.relu(tf.matmul(h, each))
                loss = tf.reduce_mean(tf.square(h))
            for each, g in zip(w, tape.gradient(loss, w)):
                each.assign_sub(g * 0.1)
        step()
    layers(3)
    before = build.program_count()
    layers(20)
    fresh = [(template, params) for template, params, _ in build.programs()[before:]]
    assert len(fresh) <= 3                  # groups at the ends may differ, those between do not
    assert len(set(fresh)) == len(fresh)


def test_two_threads_call_one_function():
    f = tfe.defun(lambda x: tf.reduce_sum(tf.matmul(tf.tanh(x), x) + x, axis=0))
    inputs = [tf.constant(array(16, 16)) for _ in range(4)]
    want = [f(x).numpy() for x in inputs]
    wrong: list = []

    def work(i):
        for _ in range(100):
            if not np.array_equal(f(inputs[i]).numpy(), want[i]):
                wrong.append(i)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_reading_a_variable_while_another_thread_trains():
    w = tf.Variable(np.zeros(1000, np.float32))
    step = tfe.defun(lambda: [w.assign_add(tf.ones([1000]))][:0])
    step()
    done, wrong = threading.Event(), []

    def read():
        while not done.is_set():
            held = w.read_value()
            first, second = held.numpy(), held.numpy()
            if len(set(first)) != 1 or not np.array_equal(first, second):
                wrong.append((first, second))
    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        step()
    done.set()
    reader.join()
    assert wrong == []
    assert w.numpy()[0] == 301


def test_nothing_is_held_after_the_call(device):
    f = tfe.defun(lambda x: tf.reduce_sum(tf.tanh(tf.matmul(x, x)), axis=0))
    x = tf.constant(array(32, 32))
    f(x)
    gc.collect()
    before = tf.memory_stats(device)
    for _ in range(5):
        f(x)
    assert tf.memory_stats(device)["bytes_in_use"] == before["bytes_in_use"]
    device.memory.trim()                    # buffers the replay remembers go too
    np.testing.assert_allclose(f(x).numpy(), np.tanh(x.numpy() @ x.numpy()).sum(0), rtol=1e-4, atol=1e-4)


# --- many small variables

@pytest.mark.parametrize("make", [lambda: tf.train.GradientDescentOptimizer(0.1), lambda: tf.train.AdamOptimizer(0.01),
                                  lambda: tf.train.MomentumOptimizer(0.01, 0.9, use_nesterov=True)])
def test_an_optimizer_updates_small_variables_together(make, device):
    shapes = [(), (1,), (5,), (16,), (17,), (3, 7), (3, 7), (300,), (70, 60), (4096,), (10007,)]
    starts, wanted = [array(*s) for s in shapes], [array(*s) for s in shapes]
    found = []
    for compiler in (lambda f: f, tfe.defun):
        variables = [tf.Variable(a) for a in starts]
        targets, optimizer = [tf.constant(a) for a in wanted], make()

        def step(variables=variables, targets=targets, optimizer=optimizer):
            optimizer.apply_gradients([(v.read_value() - t, v) for v, t in zip(variables, targets)])
        run = compiler(step)
        for _ in range(4):
            run()
        found.append([v.numpy().tobytes() for v in variables])
        held = variables[8].read_value()
        before = held.numpy()
        run()
        assert np.array_equal(held.numpy(), before)
        found[-1].append(b"".join(v.numpy().tobytes() for v in variables))
    assert found[0] == found[1]
    assert run.get_concrete_function().launches <= 3
