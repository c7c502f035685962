"""Samples of the guide in a process started with CLTENSOR_EXECUTION=graph: built as written, fetched by sess.run.

Run by test_graph_mode.py. Every sample's text is the guide's; what stands around it is what "Write compatible code"
asks for: a session, an initializer, an operation to run in place of a loop over values. Prints the samples' names.
"""

import numpy as np

import cltensor as tf
from tests.guide import reading

tfe = tf.contrib.eager
assert not tf.executing_eagerly()
done = []


def names_of(*numbers, **more):
    """The names these samples leave behind."""
    names = {"tf": tf, "tfe": tfe, "np": np, "__name__": "__main__", **more}
    for number in numbers:
        exec(compile(reading.source(number), f"<sample {number} of the guide>", "exec"), names)
    return names


def matmul_hello(sess):
    here = names_of(2)
    assert isinstance(here["m"].name, str) and sess.run(here["m"]).tolist() == [[4.0]]


def constant_add_multiply(sess):
    source = reading.source(3)
    here = names_of_source(source[:source.index("# Use NumPy values")])         # the rest asks tensors for values
    a, b = here["a"], here["b"]
    assert sess.run([a, b, a * b])[2].tolist() == [[2, 6], [12, 20]] and sess.run(b).tolist() == [[2, 3], [4, 5]]


def mnist_model(sess):
    here = names_of(8, 12)
    sess.run(tf.global_variables_initializer())
    value = sess.run(here["result"])
    assert value.shape == (1, 1, 10) and not value.any()
    assert [v.shape.as_list() for v in here["model"].variables] == [[784, 10], [10], [10, 10], [10]]


def sequential_and_sparse_softmax_minimized(sess):
    model = names_of(7)["model"]
    source = reading.source(14)
    loss = names_of_source(source[:source.index("def grad(")])["loss"]          # the guide's loss function
    optimizer = tf.train.GradientDescentOptimizer(learning_rate=0.001)
    x, y = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.int32, [None])
    value = loss(model, x, y)
    train = optimizer.minimize(value, global_step=tf.train.get_or_create_global_step())
    sess.run(tf.global_variables_initializer())
    rng = np.random.default_rng(0)
    feed = {x: rng.random((32, 784), np.float32), y: rng.integers(0, 10, 32)}
    losses = [sess.run([value, train], feed)[0] for _ in range(50)]
    assert losses[-1] < 0.9 * losses[0] and sess.run(tf.train.get_global_step()) == 50


def names_of_source(source):
    names = {"tf": tf, "tfe": tfe}
    exec(source, names)
    return names


def objects_model_regression(sess):
    source = reading.source(16)
    here = names_of_source(source[:source.index('print("Initial loss')])
    model, loss, grad = here["model"], here["loss"], here["grad"]
    data = here["training_inputs"], here["training_outputs"]
    value = loss(model, *data)
    train = here["optimizer"].apply_gradients(zip(grad(model, *data), [model.W, model.B]))
    sess.run(tf.global_variables_initializer())
    first = sess.run(value)
    for _ in range(300):
        sess.run(train)
    w, b = sess.run([model.W, model.B])
    assert 55 < first < 90 and 0.8 < sess.run(value) < 1.3 and abs(w - 3) < 0.3 and abs(b - 2) < 0.4


def clip_gradient_by_norm(sess):
    clip = names_of(24)["clip_gradient_by_norm"]
    x = tf.placeholder(tf.float32, [None])
    y = clip(x, 1.0)
    value, gradient = sess.run([y, tf.gradients(y * [30.0, 40.0], x)[0]], {x: [1.0, 2.0]})
    assert value.tolist() == [1.0, 2.0] and np.allclose(gradient, [0.6, 0.8], rtol=1e-6)


def log1pexp_plain(sess):
    grad = names_of(25)["grad_log1pexp"]
    assert sess.run(grad(0.0)) == [0.5] and np.isnan(sess.run(grad(100.0)))


def log1pexp_custom(sess):
    grad = names_of(26)["grad_log1pexp"]
    assert sess.run([grad(0.0), grad(100.0)]) == [[0.5], [1.0]]


def checkpoint_save_restore(sess):
    x = tfe.Variable(10.0)
    checkpoint = tfe.Checkpoint(x=x)
    sess.run(tf.global_variables_initializer())
    sess.run(x.assign(2.0))
    path = checkpoint.save("./ckpt/", session=sess)
    sess.run(x.assign(11.0))
    checkpoint.restore(path).run_restore_ops(sess)
    assert sess.run(x) == 2.0


for sample in (matmul_hello, constant_add_multiply, mnist_model, sequential_and_sparse_softmax_minimized,
               objects_model_regression, clip_gradient_by_norm, log1pexp_plain, log1pexp_custom,
               checkpoint_save_restore):
    tf.set_random_seed(1)
    tf.reset_default_graph()
    with tf.Session() as session:
        sample(session)
    print(sample.__name__)
