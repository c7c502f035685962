"""tfe.metrics against NumPy in float64."""

import numpy as np
import pytest

from cltensor.base.dtypes import float32, float64, int64
from cltensor.base.errors import DTypeError, FailedPreconditionError, InvalidArgumentError
from cltensor.contrib import summary
from cltensor.core.tensor import constant
from cltensor.metrics import objects as metrics
from cltensor.train.checkpoint import Checkpoint


def test_guide_example():
    m = metrics.Mean("loss")
    m(0)
    m(5)
    assert m.result().numpy() == 2.5 and m.result().dtype is float64
    m([8, 9])
    assert m.result().numpy() == 5.5
    assert m.name == "loss" and metrics.Mean().name == "Mean"


def test_mean_of_many_small_values_keeps_its_digits():
    m = metrics.Mean()
    values = np.full(1000, 0.1, np.float32)
    for _ in range(100):
        m(constant(values))
    assert m.result().numpy() == pytest.approx(float(np.float32(0.1)), rel=1e-15)


def test_weights():
    m = metrics.Mean()
    v, w = np.array([[1., 2.], [3., 4.]]), np.array([1., 3.])
    assert m(v, weights=w)[0] is v
    assert m.result().numpy() == pytest.approx(np.average(v, weights=np.broadcast_to(w, v.shape)))
    m.init_variables()
    m([1., 3.], weights=2.)
    assert m.result().numpy() == 2.
    with pytest.raises(InvalidArgumentError, match=r"shape \(3,\) do not broadcast"):
        m([1., 2.], weights=[1., 2., 3.])


def test_state_and_dtype():
    m = metrics.Mean(dtype=float32)
    with pytest.raises(FailedPreconditionError, match="before the first batch"):
        m.result()
    m(np.zeros(0))
    assert np.isnan(m.result().numpy()) and m.result().dtype is float32
    assert [v.name for v in m.variables] == ["numer:0", "denom:0"] and m.numer.dtype is float32
    assert not m.numer.trainable
    m(3.)
    m.init_variables()
    m(4)
    assert m.result().numpy() == 4.
    with pytest.raises(DTypeError, match="must be text"):
        metrics.Mean(3)


def test_accuracies():
    a = metrics.Accuracy()
    a([[0], [1], [2], [3]], [[0], [2], [2], [3]])
    a(constant([4]), constant([4]))
    assert a.result().numpy() == 0.8
    a = metrics.Accuracy()
    a([0, 1], [0, 2], weights=[3., 1.])
    assert a.result().numpy() == 0.75
    with pytest.raises(InvalidArgumentError, match=r"labels have shape \(2, 1\), predictions have shape \(2,\)"):
        a([[1], [2]], [1, 2])
    c = metrics.CategoricalAccuracy()
    c([[0, 1, 0], [1, 0, 0]], [[.1, .8, .1], [.2, .3, .5]])
    assert c.result().numpy() == 0.5
    b = metrics.BinaryAccuracy(threshold=0.7)
    b([0, 1, 1, 0], [.6, .7, .8, .9])
    assert b.result().numpy() == 0.5
    s = metrics.SparseAccuracy()
    s([1, 0, 2], [[.1, .8, .1], [.2, .3, .5], [0, 0, 1]])
    assert s.result().numpy() == pytest.approx(2 / 3)
    with pytest.raises(InvalidArgumentError, match="classes last"):
        s([[1]], [[.1, .9]])
    with pytest.raises(InvalidArgumentError, match="no classes"):
        s(1, 2.)


def test_subclasses():
    class Largest(metrics.Metric):
        def build(self, values):
            self.top = self.add_variable("top", dtype=int64, initializer=lambda shape, dtype: np.full(shape, -1))

        def call(self, values):
            self.top.assign(max(int(self.top), max(values)))

        def result(self):
            return self.top.value()

    m = Largest()
    m([3, 5])
    m([1])
    assert int(m.result()) == int(m.value()) == 5
    m.init_variables()
    assert int(m.result()) == -1
    with pytest.raises(FailedPreconditionError, match="in build"):
        m.add_variable("late")


def test_aggregate():
    a, b = metrics.Mean(), metrics.Mean()
    a([1., 2.])
    b(6.)
    a.aggregate([b])
    assert a.result().numpy() == 3.
    with pytest.raises(DTypeError):
        a.aggregate([metrics.Accuracy()])


def test_checkpoint(tmp_path):
    m = metrics.Mean()
    m([1., 2.])
    path = Checkpoint(metric=m).save(str(tmp_path / "ckpt"))
    m(100.)
    Checkpoint(metric=m).restore(path).assert_consumed()
    assert m.result().numpy() == 1.5
    fresh = metrics.Mean()
    status = Checkpoint(metric=fresh).restore(path)
    fresh(6.)
    status.assert_consumed()
    assert fresh.result().numpy() == 3.


def test_result_writes_a_summary(tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    m = metrics.Mean("loss")
    m(2.)
    with summary.create_file_writer(str(tmp_path)).as_default(), summary.always_record_summaries():
        m.result()
        m.result(write_summary=False)
    accumulator = accumulators.EventAccumulator(str(tmp_path))
    accumulator.Reload()
    assert [e.value for e in accumulator.Scalars("loss")] == [2.]
