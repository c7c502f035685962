"""Checkpoint: what is saved comes back, by name, now or later, or not at all."""

import os

import numpy as np
import pytest

from cltensor.base.errors import DTypeError, InvalidArgumentError, NotFoundError
from cltensor.core.trackable import Trackable
from cltensor.ops.variable import Variable
from cltensor.train.checkpoint import Checkpoint, get_checkpoint_state, latest_checkpoint


def variable(value, **kw):
    return Variable(np.asarray(value, np.float32), **kw)


class Dense(Trackable):
    """Makes its variables at the first call, as layers do."""

    def __init__(self, value=0.):
        self.value = value

    def build(self):
        self.kernel = variable([[self.value]] * 2)
        self.bias = variable([self.value])
        return self


class Optimizer(Trackable):
    """The slot protocol, with a momentum for every variable."""

    def __init__(self, eager_slots=False):
        self._slots, self.eager_slots = {}, eager_slots

    def slot(self, var):
        slots = self._slots.setdefault("momentum", {})
        if var not in slots:
            slots[var] = variable(np.zeros(var.numpy().shape))
            self._deferred_slot(var, "momentum", slots[var])
        return slots[var]

    def _slot_items(self):
        return [(v, name, s) for name, slots in self._slots.items() for v, s in slots.items()]

    def _create_slot_hook(self, var, name):
        return self.slot(var) if self.eager_slots and name == "momentum" else None


@pytest.fixture
def prefix(tmp_path):
    return str(tmp_path / "ckpt")


def test_guide_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = variable(10.)
    checkpoint = Checkpoint(x=x)
    x.assign(2.)
    save_path = checkpoint.save("./ckpt/")
    assert save_path == "./ckpt/-1"
    x.assign(11.)
    checkpoint.restore(save_path)
    assert x.numpy() == 2.
    assert latest_checkpoint("./ckpt/") == "./ckpt/-1" and latest_checkpoint("./ckpt") == "./ckpt/-1"


@pytest.mark.parametrize("value", [
    np.float32(1.5), np.zeros((0, 3), np.float32), np.arange(12, dtype=np.int64).reshape(3, 4).T,
    np.array([True, False]), np.array([1, 255], np.uint8), np.array([1.5, np.nan, -0.], np.float16),
    np.array(2**40), np.ones((1, 1, 1), np.float32)], ids=lambda v: f"{v.dtype}{v.shape}")
def test_shapes_and_dtypes(prefix, value):
    root = Checkpoint(v=Variable(value, host=True))
    path = root.save(prefix)
    fresh = Checkpoint(v=Variable(np.zeros_like(value), host=True))
    fresh.restore(path).assert_consumed()
    got = np.asarray(fresh.v.numpy())
    assert got.dtype == value.dtype and got.shape == value.shape
    assert got.tobytes() == np.ascontiguousarray(value).tobytes()


def test_counter_is_saved_and_set_back(prefix):
    root = Checkpoint(v=variable(1.))
    first, second = root.save(prefix), root.save(prefix)
    assert (first, second) == (prefix + "-1", prefix + "-2") and root.save_counter.numpy() == 2
    root.restore(first).assert_consumed()
    assert root.save_counter.numpy() == 1
    assert root.save_counter.numpy().dtype == np.int64
    fresh = Checkpoint(v=variable(0.))
    fresh.restore(second).assert_consumed()
    assert fresh.save(prefix) == prefix + "-3"


def test_last_five_of_a_prefix_are_kept(tmp_path):
    a, b = Checkpoint(v=variable(1.)), Checkpoint(v=variable(1.))
    b.save(str(tmp_path / "other"))
    for _ in range(7):
        a.save(str(tmp_path / "ckpt"))
    names = sorted(n for n in os.listdir(tmp_path))
    assert names == ["checkpoint"] + [f"ckpt-{n}.safetensors" for n in range(3, 8)] + ["other-1.safetensors"]
    state = get_checkpoint_state(str(tmp_path))
    assert [os.path.basename(p) for p in state.all_model_checkpoint_paths] == [
        "other-1", "ckpt-3", "ckpt-4", "ckpt-5", "ckpt-6", "ckpt-7"]
    assert latest_checkpoint(tmp_path) == str(tmp_path / "ckpt-7")
    os.remove(tmp_path / "ckpt-7.safetensors")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "ckpt-6")


def test_nothing_to_restore(tmp_path):
    root = Checkpoint(v=variable(3.))
    assert latest_checkpoint(tmp_path) is None and latest_checkpoint(tmp_path / "missing") is None
    status = root.restore(latest_checkpoint(tmp_path))
    status.initialize_or_restore()
    with pytest.raises(AssertionError, match="no checkpoint was given"):
        status.assert_consumed()
    assert root.v.numpy() == 3.
    with pytest.raises(NotFoundError, match="no checkpoint"):
        root.restore(str(tmp_path / "ckpt-1"))
    with pytest.raises(FileNotFoundError):
        root.restore(str(tmp_path))
    with pytest.raises(DTypeError, match="a path is wanted"):
        root.save(3)
    with pytest.raises(ValueError, match="only variables"):
        Checkpoint(x=3.)


def test_model_optimizer_and_shared_parts(prefix):
    def make(value, eager_slots):
        shared = Dense(value).build()
        model = Trackable()
        model.layers, model.again = [shared, Dense(value).build()], shared
        model.named = {"k": variable(value)}
        return Checkpoint(model=model, optimizer=Optimizer(eager_slots), step=variable(value))

    root = make(5., False)
    for v in (root.model.again.kernel, root.model.named["k"]):
        root.optimizer.slot(v).assign(v.numpy() + 1)
    path = root.save(prefix)

    fresh = make(0., False)
    status = fresh.restore(path)
    assert fresh.model.layers[0].kernel.numpy().tolist() == [[5.], [5.]]
    assert fresh.model.named["k"].numpy() == 5. and fresh.step.numpy() == 5.
    with pytest.raises(AssertionError, match="OPTIMIZER_SLOT/optimizer/momentum"):
        status.assert_consumed()
    assert fresh.optimizer.slot(fresh.model.again.kernel).numpy().tolist() == [[6.], [6.]]
    assert fresh.optimizer.slot(fresh.model.named["k"]).numpy() == 6.
    status.assert_consumed()
    with pytest.raises(AssertionError, match="slot 'momentum'"):
        fresh.optimizer.slot(fresh.model.again.bias)
        status.assert_consumed()

    early = make(0., True)
    early.restore(path).assert_consumed()
    assert early.optimizer.slot(early.model.named["k"]).numpy() == 6.

    late = make(0., False)
    for v in (late.model.again.kernel, late.model.named["k"]):
        late.optimizer.slot(v)
    late.restore(path).assert_consumed()
    assert late.optimizer.slot(late.model.named["k"]).numpy() == 6.


def test_restore_on_create(prefix):
    path = Checkpoint(dense=Dense(4.).build()).save(prefix)
    fresh = Checkpoint(dense=Dense())
    status = fresh.restore(path)
    status.assert_existing_objects_matched()
    with pytest.raises(AssertionError, match="2 saved values have no object yet: dense/kernel, dense/bias"):
        status.assert_consumed()
    fresh.dense.build()
    assert fresh.dense.kernel.numpy().tolist() == [[4.], [4.]] and fresh.dense.bias.numpy().tolist() == [4.]
    status.assert_consumed()
    fresh.dense.bias = variable([1.])
    assert fresh.dense.bias.numpy().tolist() == [1.]      # given out once


def test_restore_on_assignment_survives_a_dropped_root(prefix):
    path = Checkpoint(dense=Dense(4.).build()).save(prefix)
    c = Checkpoint()
    c.restore(path)
    c.dense = Dense().build()
    assert c.dense.bias.numpy().tolist() == [4.]
    dense = Dense()
    Checkpoint(dense=dense).restore(path)
    os.remove(path + ".safetensors")
    assert dense.build().bias.numpy().tolist() == [4.]


def test_entries_of_a_list_that_grows(prefix):
    model = Trackable()
    model.layers = [Dense(1.).build(), Dense(2.).build()]
    path = Checkpoint(model=model).save(prefix)
    fresh = Trackable()
    fresh.layers = []
    status = Checkpoint(model=fresh).restore(path)
    fresh.layers.append(Dense())
    fresh.layers[0].build()
    fresh.layers.append(Dense().build())
    assert fresh.layers[0].kernel.numpy().tolist() == [[1.], [1.]]
    status.assert_consumed()
    assert fresh.layers[1].bias.numpy().tolist() == [2.]


def test_later_restore_overrides_an_earlier_deferred_one(prefix):
    root = Checkpoint(dense=Dense(1.).build())
    first = root.save(prefix)
    root.dense.kernel.assign([[7.], [7.]])
    second = root.save(prefix)
    fresh = Checkpoint(dense=Dense())
    fresh.restore(first)
    status = fresh.restore(second)
    assert fresh.dense.build().kernel.numpy().tolist() == [[7.], [7.]]
    status.assert_consumed()
    for _ in range(3):
        fresh.restore(first)
    assert len(fresh.dense.__dict__["_bindings"]) <= 1


def test_partial_restores(prefix):
    path = Checkpoint(a=variable(1.), b=variable(2.)).save(prefix)
    fewer = Checkpoint(a=variable(0.))
    status = fewer.restore(path).expect_partial()
    status.assert_existing_objects_matched()
    assert fewer.a.numpy() == 1.
    with pytest.raises(AssertionError, match="1 saved values have no object yet: b"):
        status.assert_consumed()
    more = Checkpoint(a=variable(0.), c=variable(9.))
    with pytest.raises(AssertionError, match="c"):
        more.restore(path).assert_existing_objects_matched()
    assert more.a.numpy() == 1. and more.c.numpy() == 9.
    with pytest.raises(AssertionError, match="no object below the root"):
        Checkpoint(z=variable(0.)).restore(path).assert_nontrivial_match()


def test_a_misfit_assigns_nothing(prefix):
    path = Checkpoint(a=variable(1.), b=variable([1., 2.])).save(prefix)
    wrong = Checkpoint(a=variable(0.), b=variable([0., 0., 0.]))
    with pytest.raises(InvalidArgumentError, match=r"'b' does not fit, .*shape \(2,\).*shape \(3,\)"):
        wrong.restore(path)
    assert wrong.a.numpy() == 0.
    wrong = Checkpoint(a=variable(0.), b=Variable(np.zeros(2, np.int32)))
    with pytest.raises(InvalidArgumentError, match="dtype float32.*dtype int32"):
        wrong.restore(path)
    assert wrong.a.numpy() == 0.
    layer = Checkpoint(a=variable(0.), b=Dense().build())
    with pytest.raises(AssertionError):
        layer.restore(path).assert_consumed()


def test_names_are_escaped_and_loops_hold(prefix):
    root = Checkpoint()
    root.d = {"a/b": variable(1.), "a.Sb": variable(2.), "": variable(3.)}
    root.a = Trackable()
    root.a.root, root.a.b = root, variable(4.)
    path = root.save(prefix)
    fresh = Checkpoint()
    fresh.d = {"a/b": variable(0.), "a.Sb": variable(0.), "": variable(0.)}
    fresh.a = Trackable()
    fresh.a.root, fresh.a.b = fresh, variable(0.)
    fresh.restore(path).assert_consumed()
    assert [v.numpy() for v in fresh.d.values()] == [1., 2., 3.] and fresh.a.b.numpy() == 4.


def test_variable_names_do_not_matter(prefix):
    path = Checkpoint(a=variable(1., name="same"), b=variable(2., name="same")).save(prefix)
    fresh = Checkpoint(a=variable(0., name="x"), b=variable(0., name="y"))
    fresh.restore(path).assert_consumed()
    assert fresh.a.numpy() == 1. and fresh.b.numpy() == 2.


def test_write_and_read(prefix):
    root = Checkpoint(a=variable(1.))
    assert root.write(prefix) == prefix and latest_checkpoint(os.path.dirname(prefix)) is None
    fresh = Checkpoint(a=variable(0.))
    fresh.read(prefix).assert_consumed()
    assert fresh.a.numpy() == 1. and fresh.save_counter.numpy() == 0


def test_failed_save_leaves_counter_and_files(prefix, monkeypatch):
    root = Checkpoint(a=variable(1.))
    root.save(prefix)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        root.save(prefix)
    assert root.save_counter.numpy() == 1
    assert sorted(os.listdir(os.path.dirname(prefix))) == ["checkpoint", "ckpt-1.safetensors"]
