"""The object graph: names from attributes, whatever the class does in its `__init__`."""

import gc

from cltensor.core.trackable import Container, Leaf, Trackable, walk


class Value(Leaf):
    def _restore_value(self, value):
        self.value = value


def paths(root):
    return ["/".join(path) for path, _ in walk(root)]


class NoSuper(Trackable):
    def __init__(self):
        self.w = Value()


def test_works_without_super_init_and_keeps_attribute_order():
    root = NoSuper()
    root.z, root.a = Trackable(), Trackable()
    root.number, root.text, root.array = 3, "x", [1, 2]
    assert paths(root) == ["", "w", "z", "a"]


def test_lists_and_dicts_are_seen_as_they_are_when_asked():
    root = Trackable()
    layers = []
    root.layers = layers
    assert root.layers is layers and paths(root) == [""]
    layers.append(Value())
    root.layers.append((Value(), {"k": Value(), 3: Value(), None: Value()}))
    assert paths(root) == ["", "layers", "layers/0", "layers/1", "layers/1/0", "layers/1/1", "layers/1/1/k",
                           "layers/1/1/3"]


def test_shared_objects_and_loops_are_walked_once():
    a, b = Trackable(), Trackable()
    a.b, b.a, a.me, a.also = b, a, a, b
    a.loop = [b]
    a.loop.append(a.loop)
    assert paths(a) == ["", "b", "loop"]


def test_deleted_attributes_and_explicit_edges():
    root = Trackable()
    root._track("kernel", Value())
    root.kernel = root._children()["kernel"]
    assert paths(root) == ["", "kernel"]
    del root.kernel
    assert paths(root) == [""]
    root._track("bias", Value())
    del root.bias
    assert paths(root) == [""]


def test_untracked_attributes():
    class Cached(Trackable):
        _untracked = ("_cache",)

    class More(Cached):
        _untracked = ("_other",)

    root = More()
    root._cache, root._other, root._w = Trackable(), Trackable(), Value()
    assert paths(root) == ["", "_w"]


def test_no_reference_cycles():
    while gc.collect():         # a bound kernel that goes leaves a cycle of the binding's behind
        pass
    gc.disable()
    try:
        root = Trackable()
        root.parts = [Value(), {"k": Value()}]
        children = root._children()
        assert isinstance(children["parts"], Container)
        list(walk(root))
        del root, children
        assert gc.collect() == 0
    finally:
        gc.enable()
