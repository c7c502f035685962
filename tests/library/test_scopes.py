"""Names, variable scopes and collections: what TensorFlow 1.x's programs expect of them, in both modes."""

import numpy as np
import pytest

import cltensor as tf

tfe = tf.contrib.eager


@pytest.fixture
def graph():
    with tf.Graph().as_default() as g:
        yield g


# -- names of ops and tensors
def test_ops_have_names_and_are_found_by_them(graph):
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    y = tf.matmul(x, [[1.0], [2.0]], name="product")
    z = tf.identity(y + 1.0, name="out")
    assert (x.name, y.name, z.name, x.op.name, y.op.type) == ("x:0", "product:0", "out:0", "x", "matmul")
    assert str(x) == 'Tensor("x:0", shape=(?, 2), dtype=float32)'
    assert graph.get_tensor_by_name("product:0") is y and graph.get_operation_by_name("out").outputs == [z]
    assert graph.as_graph_element("x:0") is x and graph.as_graph_element("x").type == "Placeholder"
    assert graph.get_operation_by_name("product").inputs[0] is x
    assert [o.name for o in graph.get_operations()] == ["x", "product", "add", "out"]
    with tf.Session() as sess:
        assert sess.run("out:0", {"x:0": [[1.0, 1.0]]}).tolist() == [[4.0]]
        assert sess.run({"a": "out:0", "b": "product"}, {x: [[1.0, 1.0]]})["b"] is None


def test_constants_have_names_and_may_be_fed(graph):
    a, b = tf.constant(2.0, name="a"), tf.constant([1.0, 2.0], name="a")
    with tf.name_scope("s"):
        c, d = tf.constant(3, name="c"), tf.constant(np.zeros((40, 50), np.float32))
    assert [t.name for t in (a, b, c, d)] == ["a:0", "a_1:0", "s/c:0", "s/Const:0"]
    assert str(a) == repr(a) == f"{a}" == 'Tensor("a:0", shape=(), dtype=float32)'
    assert graph.get_tensor_by_name("a_1:0") is b and graph.as_graph_element(c) is c and c.graph is graph
    assert (c.op.name, c.op.type, c.op.inputs, c.op.outputs) == ("s/c", "Const", [], [c])
    y = tf.add(a * b, tf.reduce_sum(d), name="y")
    shaped = tf.reshape(tf.placeholder(tf.float32, [None], name="x"), [tf.shape(b)[0], -1])
    slope, = tf.gradients(y, a)
    with tf.Session() as sess:
        assert sess.run("y:0").tolist() == [2.0, 4.0] and a.eval() == 2.0 and sess.run([a, "s/c:0"]) == [2.0, 3]
        assert sess.run("y:0", {"a:0": 3.0}).tolist() == [3.0, 6.0]
        assert sess.run(y, {b: [5.0, 6.0], d: np.ones((40, 50))}).tolist() == [2010.0, 2012.0]
        assert sess.run(slope, {b: [5.0, 6.0]}) == 11.0 and sess.run(y).tolist() == [2.0, 4.0]
        assert sess.run(shaped, {"x:0": [1.0, 2.0, 3.0, 4.0]}).tolist() == [[1.0, 2.0], [3.0, 4.0]]
        assert sess.run("s/c") is None
        with pytest.raises(ValueError, match=r'"a:0".* is fed a value of shape \(2,\)'):
            sess.run(y, {a: [1.0, 2.0]})
    assert float(a) == 2.0                      # as the value is known, Python may look at it


def test_a_constant_fed_inside_a_branch(graph):
    x, scale = tf.placeholder(tf.float32, []), tf.constant(2.0, name="scale")
    y = tf.cond(x > 0.0, lambda: x * scale, lambda: x + scale)
    with tf.Session() as sess:
        assert [sess.run(y, {x: v}) for v in (3.0, -3.0)] == [6.0, -1.0]
        assert [sess.run(y, {x: v, scale: 10.0}) for v in (3.0, -3.0)] == [30.0, 7.0]


def test_eager_constants_have_no_name():
    assert tf.constant(1.0, name="a").name != "a:0" and type(tf.constant(1.0)) is tf.Tensor
    traced = tf.function(lambda x: x + tf.constant(1.0, name="a"))
    assert traced(tf.constant(1.0)).numpy() == 2.0


def test_names_that_are_not_there(graph):
    x = tf.placeholder(tf.float32, [], name="x")
    with pytest.raises(KeyError, match="not in the graph"):
        graph.get_tensor_by_name("y:0")
    with pytest.raises(KeyError, match="1 results"):
        graph.get_tensor_by_name("x:1")
    with pytest.raises(ValueError, match="names an operation"):
        graph.get_tensor_by_name("x")
    with pytest.raises(TypeError, match="a name is text"):
        graph.get_operation_by_name(3)
    with pytest.raises(TypeError, match="no tensor or operation"):
        graph.as_graph_element(3)
    with pytest.raises(ValueError, match="may have letters"):
        tf.add(x, 1.0, name="two words")
    with tf.Graph().as_default() as other, pytest.raises(ValueError, match="another graph"):
        other.as_graph_element(x)


def test_a_name_is_given_once(graph):
    names = [tf.placeholder(tf.float32, [], name="x").name for _ in range(3)]
    for _ in range(2):                          # two calls of one line
        names.append(tf.exp(tf.constant([1.0]), name="E").name)
    names.append(tf.exp(tf.constant([1.0]), name="e").name)
    assert names == ["x:0", "x_1:0", "x_2:0", "E:0", "E_1:0", "e_2:0"]
    assert len({o.name.lower() for o in graph.get_operations()}) == len(graph.get_operations())


def test_the_last_op_of_a_call_has_its_name(graph):
    x = tf.placeholder(tf.float32, [None, 3])
    m = tf.nn.l2_normalize(x, 1, name="unit")
    assert m.name == "unit:0" and graph.get_tensor_by_name("unit:0") is m
    assert all(o.name == "Placeholder" or o.name.startswith("unit") for o in graph.get_operations())
    later = tf.reshape(x, [tf.shape(x)[0], 3, 1], name="cube")
    assert later.name == "cube:0"


def test_a_call_that_fails_leaves_no_name(graph):
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    before = [o.name for o in graph.get_operations()]
    with pytest.raises(ValueError):
        tf.nn.dropout(x, rate=2.0, name="d")
    assert [o.name for o in graph.get_operations()] == before
    assert tf.nn.dropout(x, rate=0.5, name="d").name == "d:0"


# -- name scopes
def test_name_scopes_in_a_graph(graph):
    with tf.name_scope("a") as first:
        one = tf.constant(1.0) * tf.placeholder(tf.float32, [])
        with tf.name_scope("b"):
            v = tf.Variable(1.0, name="v")
            two = tf.identity(one, name="two")
    with tf.name_scope("a") as second, tf.name_scope(first):
        three = tf.identity(one, name="three")
    with tf.name_scope(None, "given") as third, tf.name_scope(""):
        four = tf.identity(one, name="four")
    assert (first, second, third) == ("a/", "a_1/", "given/")
    assert [t.name for t in (one, v, two, three, four)] == [
        "a/multiply:0", "a/b/v:0", "a/b/two:0", "a/three:0", "four:0"]
    with pytest.raises(ValueError, match="at least one of name"), tf.name_scope(None):
        pass
    with tf.name_scope("outer"), tf.Graph().as_default():
        assert tf.identity(tf.placeholder(tf.float32), name="y").name == "y:0"       # each graph has scopes of its own


def test_name_scopes_name_eager_variables():
    with tf.name_scope("a"), tf.name_scope("b"):
        v = tf.Variable(1.0, name="v")
        layer = tf.keras.layers.Dense(1, name="d")
        layer(tf.ones([1, 2]))
    assert v.name == "a/b/v:0" and layer.kernel.name == "a/b/d/kernel:0"
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    with tf.name_scope("train"):
        optimizer.apply_gradients([(tf.constant(1.0), v)])
    assert optimizer.get_slot(v, "momentum").name == "a/b/v/Momentum/momentum:0"


def test_variables_of_a_graph_have_names_of_their_own(graph):
    assert [tf.Variable(0.0, name="w").name for _ in range(2)] == ["w:0", "w_1:0"]


# -- variable scopes
def test_get_variable_reuses(graph):
    with tf.variable_scope("layer") as scope:
        w = tf.get_variable("w", [3, 2])
        with pytest.raises(ValueError, match="already exists, disallowed"):
            tf.get_variable("w", [3, 2])
        with tf.variable_scope("inner"):
            b = tf.get_variable("b", [2], initializer=tf.zeros_initializer())
    with tf.variable_scope("layer", reuse=True):
        assert tf.get_variable("w", [3, 2]) is w and tf.get_variable("w") is w
        with tf.variable_scope("inner"):        # reuse goes inwards
            assert tf.get_variable("b") is b
        with pytest.raises(ValueError, match="does not exist"):
            tf.get_variable("other", [1])
        with pytest.raises(ValueError, match=r"specified shape \(2, 2\) and found shape \(3, 2\)"):
            tf.get_variable("w", [2, 2])
        with pytest.raises(TypeError, match="specified dtype float64"):
            tf.get_variable("w", dtype=tf.float64)
    with tf.variable_scope(scope):
        assert tf.get_variable_scope().name == "layer"
        scope_again = tf.get_variable_scope()
        scope_again.reuse_variables()
        assert tf.get_variable("w") is w
    assert (w.name, b.name) == ("layer/w:0", "layer/inner/b:0")
    assert scope.global_variables() == [w, b] and tf.get_variable_scope().name == ""
    with tf.variable_scope("layer", reuse=tf.AUTO_REUSE):
        assert tf.get_variable("w") is w and tf.get_variable("new", [1]) is tf.get_variable("new", [1])


def test_scopes_hand_down_what_they_are_given(graph):
    with tf.variable_scope("s", initializer=tf.constant_initializer(3.0), dtype=tf.float64,
                           regularizer=lambda v: tf.reduce_sum(v) * 0.5):
        v = tf.get_variable("v", [2])
        with tf.variable_scope("t", initializer=tf.zeros_initializer(), regularizer=tf.no_regularizer):
            z = tf.get_variable("z", [2], dtype=tf.float32)
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        values = sess.run([v, z, losses])
    assert values[0].tolist() == [3.0, 3.0] and values[0].dtype == np.float64 and values[1].tolist() == [0.0, 0.0]
    assert values[2] == [3.0]


def test_default_names_and_values_as_initializers(graph):
    names = []
    for _ in range(2):
        with tf.variable_scope(None, default_name="block"):
            names.append(tf.get_variable("w", initializer=[1.0, 2.0]).name)
    assert names == ["block/w:0", "block_1/w:0"]
    with pytest.raises(ValueError, match="must be fully known"):
        tf.get_variable("w")
    with pytest.raises(ValueError, match=r"is to have shape \(3\), its initial value|is to have shape \(3,\)"):
        tf.get_variable("w", [3], initializer=[1.0])
    with pytest.raises(ValueError, match="give a name"), tf.variable_scope(None):
        pass
    with pytest.raises(NotImplementedError, match="partition"):
        tf.get_variable("w", [1], partitioner=lambda **k: [1])


def test_custom_getters_nest(graph):
    calls = []

    def named(tag):
        def getter(getter, name, *args, **kwargs):
            calls.append((tag, name))
            return getter(name, *args, **kwargs)
        return getter
    with tf.variable_scope("a", custom_getter=named("outer")), tf.variable_scope("b", custom_getter=named("inner")):
        v = tf.get_variable("v", [1])
    assert calls == [("inner", "a/b/v"), ("outer", "a/b/v")] and v.name == "a/b/v:0"


def test_ops_in_a_variable_scope_have_its_name(graph):
    with tf.variable_scope("s") as scope:
        first = tf.identity(tf.placeholder(tf.float32), name="y")
    with tf.variable_scope(scope), tf.name_scope(scope.original_name_scope):
        second = tf.identity(first, name="z")
    assert (first.name, second.name, scope.original_name_scope) == ("s/y:0", "s/z:0", "s/")


def test_eager_get_variable():
    with tf.variable_scope("layer"):
        a, b = tf.get_variable("w", [2]), tf.get_variable("w", [2])
    assert a is not b and a.name == b.name == "layer/w:0"          # objects own their variables
    with pytest.raises(RuntimeError, match="EagerVariableStore"), tf.variable_scope("layer", reuse=True):
        tf.get_variable("w", [2])
    store = tfe.EagerVariableStore()

    def model(x):
        with tf.variable_scope("m"):
            return tf.matmul(x, tf.get_variable("w", [2, 1])) + tf.get_variable("b", [1], trainable=False)
    with store.as_default():
        model(tf.ones([1, 2]))
    with store.as_default():
        model(tf.ones([1, 2]))
    assert [v.name for v in store.variables()] == ["m/b:0", "m/w:0"]
    assert [v.name for v in store.trainable_variables()] == ["m/w:0"]
    assert [v.name for v in store.non_trainable_variables()] == ["m/b:0"]


# -- collections and initializers
def test_collections(graph):
    local = tf.Variable(1.0, collections=[tf.GraphKeys.LOCAL_VARIABLES], trainable=False, name="local")
    fixed = tf.Variable(1.0, trainable=False, name="fixed")
    w = tf.Variable(1.0, name="w")
    assert tf.global_variables() == [fixed, w] and tf.trainable_variables() == [w]
    assert tf.local_variables() == [local] and tf.trainable_variables("x") == []
    tf.add_to_collections(["a", "b"], w)
    tf.add_to_collection("a", local)
    assert tf.get_collection("a") == [w, local] and tf.get_collection("a", "lo") == [local]
    tf.get_collection("a").clear()
    tf.get_collection_ref("b").clear()
    assert len(tf.get_collection("a")) == 2 and tf.get_collection("b") == []


def test_collections_of_a_graph_that_is_not_the_default(graph):
    v = tf.get_variable("net/w", [2])
    with tf.Graph().as_default() as other:
        assert graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES) == [v] and other.get_all_collection_keys() == []
    assert graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="other") == []
    graph.add_to_collection("mine", 1)
    graph.get_collection_ref("mine").append(2)
    assert graph.get_collection("mine") == tf.get_collection("mine") == [1, 2]
    assert graph.get_all_collection_keys() == [tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.TRAINABLE_VARIABLES, "mine"]


def test_eager_collections_end_with_reset():
    tf.add_to_collection("mine", 1)
    assert tf.get_collection("mine") == [1]
    with tf.Graph().as_default():
        assert tf.get_collection("mine") == []
    tf.reset_default_graph()
    assert tf.get_collection("mine") == []


def test_initializers(graph):
    a, b = tf.Variable(1.0, name="a"), tf.Variable(2.0, name="b")
    local = tf.Variable(3.0, collections=[tf.GraphKeys.LOCAL_VARIABLES], name="local")
    ready, report = tf.is_variable_initialized(a), tf.report_uninitialized_variables()
    with tf.Session() as sess:
        assert sess.run([ready, report]) == [False, ["a", "b", "local"]]
        sess.run(tf.variables_initializer([a]))
        assert sess.run([ready, report]) == [True, ["b", "local"]]
        with pytest.raises(tf.errors.FailedPreconditionError, match="no value yet in b, local"):
            sess.run(tf.assert_variables_initialized())
        with pytest.raises(tf.errors.FailedPreconditionError, match="b:0 is not initialised"):
            sess.run(a + b)
        sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        assert sess.run(a + b + local) == 6.0 and sess.run(report) == []
        sess.run(b.assign(9.0))
        sess.run(b.initializer)
        assert b.eval() == 2.0


def test_first_values_that_a_run_computes(graph):
    tf.set_random_seed(5)
    a = tf.Variable(tf.random_uniform([50]), name="a")
    b = tf.Variable(a.initialized_value() * 2.0, name="b")
    with tf.Session() as sess:
        with pytest.raises(tf.errors.FailedPreconditionError, match="a:0 is not initialised"):
            sess.run(a)
        sess.run(tf.global_variables_initializer())
        first, second = sess.run([a, b])
        np.testing.assert_array_equal(first * 2, second)
        assert 0 < first.min() and len(np.unique(first)) > 40
        sess.run(tf.global_variables_initializer())
        assert not np.array_equal(sess.run(a), first)
    with pytest.raises(ValueError, match="fully known"):
        tf.Variable(tf.placeholder(tf.float32, [None]))


def test_every_graph_has_a_global_step():
    eager = tf.train.get_or_create_global_step()
    with tf.Graph().as_default(), tf.Session() as sess:
        assert tf.train.get_global_step() is None
        step = tf.train.get_or_create_global_step()
        assert step is tf.train.get_global_step() and step is not eager
        sess.run(tf.global_variables_initializer())
        sess.run(step.assign_add(3))
        assert sess.run(step) == 3
    assert tf.train.get_global_step() is eager


def test_interactive_session():
    sess = tf.InteractiveSession(graph=tf.Graph())
    x = tf.placeholder_with_default([1.0, 2.0], [2])
    assert tf.get_default_session() is sess and tf.reduce_sum(x).eval() == 3.0
    sess.close()
    assert tf.executing_eagerly()
    with pytest.raises(RuntimeError, match="closed"):
        sess.run(x)
    with tf.Session(graph=sess.graph) as other:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        other.run(x)
    kept = tf.Session(graph=sess.graph)
    with kept.as_default():
        assert tf.reduce_sum(x).eval() == 3.0
    assert kept.run(x).tolist() == [1.0, 2.0]


def test_default_names_start_over_in_a_scope_that_is_entered_again(graph):
    """Two discriminators of a GAN: the second has the variables of the first."""
    def net(x, **how):
        with tf.variable_scope("net", **how) as scope:
            h = tf.layers.dense(tf.layers.dense(x, 3), 3)
            with tf.variable_scope("inner"):
                h = tf.layers.dense(h, 3)
            with tf.variable_scope(None, "block"):
                return tf.layers.dense(h, 1), scope
    x = tf.placeholder(tf.float32, [None, 3])
    _, scope = net(x)
    net(x, reuse=True)
    net(x, reuse=tf.AUTO_REUSE)
    names = [v.name for v in tf.trainable_variables() if "kernel" in v.name]
    assert names == ["net/dense/kernel:0", "net/dense_1/kernel:0", "net/inner/dense/kernel:0",
                     "net/block/dense/kernel:0"]
    with tf.variable_scope(scope, reuse=True):
        tf.layers.dense(x, 3)
    with tf.variable_scope(scope), pytest.raises(ValueError, match="net/dense/kernel already exists"):
        tf.layers.dense(x, 3)
    assert len(tf.trainable_variables()) == 8
    tf.layers.dense(x, 3)
    tf.layers.dense(x, 3)
    assert [v.name for v in tf.trainable_variables()][8:] == ["dense/kernel:0", "dense/bias:0", "dense_1/kernel:0",
                                                             "dense_1/bias:0"]
