"""Initializers: moments and bounds over many draws, fans, dtypes, names, errors."""

from __future__ import annotations

import numpy as np
import pytest

import cltensor as tf
from cltensor import initializers
from cltensor.base.errors import DTypeError, InvalidArgumentError


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 0, 2), (17, 5)])
def test_constants(shape):
    for make, value in ((initializers.Zeros, 0), (initializers.Ones, 1), (lambda: initializers.Constant(2.5), 2.5)):
        x = make()(shape)
        assert x.shape == shape and x.dtype == np.float32 and (x.numpy() == value).all()
    assert initializers.Zeros()(shape, dtype="int32").dtype == np.int32
    assert initializers.Ones(dtype="int64")(tf.TensorShape(shape)).dtype == np.int64
    assert initializers.Ones()([2], tf.bool).numpy().tolist() == [True, True]


def test_constant_values():
    c = initializers.constant_initializer
    assert c([1, 2, 3])([2, 3]).numpy().tolist() == [[1, 2, 3], [3, 3, 3]]
    assert c([[1], [2]])([2]).numpy().tolist() == [1, 2]
    assert c(7, dtype="int32")([2]).dtype == np.int32
    with pytest.raises(ValueError, match=r"shape \(3,\) does not fill shape \(2,\)"):
        c([1, 2, 3])([2])
    with pytest.raises(ValueError, match="does not fill"):
        c([1, 2], verify_shape=True)([2, 1])


# name: (make, fan count of a (30, 40, 20) shape -> variance, bound in standard deviations or None)
_IN, _OUT = 30 * 40, 30 * 20
VARIANCE = {
    "glorot_uniform": 2 / (_IN + _OUT), "glorot_normal": 2 / (_IN + _OUT), "he_normal": 2 / _IN,
    "he_uniform": 2 / _IN, "lecun_normal": 1 / _IN, "lecun_uniform": 1 / _IN,
}


@pytest.mark.parametrize("name", VARIANCE)
def test_variance_and_bounds(name):
    x = initializers.get(name)((30, 40, 20)).numpy().astype(np.float64)
    variance = VARIANCE[name]
    assert x.var() == pytest.approx(variance, rel=0.05) and abs(x.mean()) < 4 * np.sqrt(variance / x.size)
    bound = np.sqrt(3 * variance) if name.endswith("uniform") else 2 * np.sqrt(variance) / 0.87962566103423978
    assert bound * 0.95 < abs(x).max() <= bound * 1.000001


def test_fans():
    fans = initializers._fans
    assert fans(()) == (1, 1) and fans((4,)) == (4, 4) and fans((784, 10)) == (784, 10)
    assert fans((3, 3, 16, 32)) == (144, 288) and fans((5, 2, 3)) == (10, 15)
    x = initializers.VarianceScaling(3., "fan_avg", "uniform")((2, 4)).numpy()
    assert abs(x).max() <= np.sqrt(3 * 3 / 3)
    x = initializers.VarianceScaling(4., "fan_out", "untruncated_normal")((200, 100)).numpy()
    assert x.std() == pytest.approx(.2, rel=.05) and abs(x).max() > .5


def test_plain_random():
    u = initializers.random_uniform_initializer(-2., 3.)((10000,)).numpy()
    assert u.min() >= -2 and u.max() < 3 and u.mean() == pytest.approx(.5, abs=.1)
    i = initializers.random_uniform_initializer(0, 5, dtype="int32")((1000,)).numpy()
    assert set(i) == {0, 1, 2, 3, 4}
    n = initializers.random_normal_initializer(1., 2.)((10000,)).numpy()
    assert n.mean() == pytest.approx(1., abs=.1) and n.std() == pytest.approx(2., rel=.05)
    t = initializers.truncated_normal_initializer(0., 2.)((10000,)).numpy()
    assert abs(t).max() <= 4. and t.std() == pytest.approx(2 * .8796, rel=.05)
    s = initializers.uniform_unit_scaling_initializer(2.)((300, 10)).numpy()
    assert s.std() == pytest.approx(2 / np.sqrt(300), rel=.06)


def test_seeds():
    tf.set_random_seed(3)
    a = initializers.glorot_uniform_initializer(seed=1)((4, 4)).numpy()
    tf.set_random_seed(3)
    b = initializers.glorot_uniform_initializer(seed=1)((4, 4)).numpy()
    c = initializers.glorot_uniform_initializer(seed=2)((4, 4)).numpy()
    assert (a == b).all() and (a != c).any()


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (2, 3, 4), (1, 1)])
def test_orthogonal(shape):
    q = initializers.orthogonal_initializer(gain=2.)(shape).numpy().astype(np.float64).reshape(-1, shape[-1]) / 2
    product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-6)


def test_identity():
    assert initializers.Identity(3.)((2, 3)).numpy().tolist() == [[3, 0, 0], [0, 3, 0]]
    with pytest.raises(ValueError, match="two dimensions"):
        initializers.Identity()((2,))


def test_get_and_config():
    assert initializers.get(None) is None and initializers.get(len) is len
    assert isinstance(initializers.get("Zeros"), initializers.Zeros)
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    for name in ("zeros", "ones", "orthogonal", "glorot_uniform", "he_normal", "uniform", "truncated_normal"):
        one = initializers.get(name)
        again = initializers.get({"class_name": type(one).__name__, "config": one.get_config()})
        assert again.get_config() == one.get_config() and type(again) is type(one)
    assert abs(initializers.get("uniform")((1000,)).numpy()).max() <= 0.05
    assert tf.keras.initializers.get("zeros")((2,)).numpy().tolist() == [0, 0]
    with pytest.raises(ValueError, match="there is no initializer 'glorot'"):
        initializers.get("glorot")
    with pytest.raises(ValueError, match="a name or a callable"):
        initializers.get(3)


def test_errors():
    with pytest.raises(ValueError, match="scale must be positive"):
        initializers.VarianceScaling(0.)
    with pytest.raises(ValueError, match="mode must be"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match="distribution must be one of"):
        initializers.VarianceScaling(distribution="gauss")
    with pytest.raises(DTypeError, match="must be floating, it is int32"):
        initializers.glorot_uniform_initializer()((2, 2), dtype="int32")
    with pytest.raises(InvalidArgumentError, match=r"fully known, it is \(\?, 2\)"):
        initializers.zeros_initializer()((None, 2))
    with pytest.raises(ValueError, match="two dimensions"):
        initializers.orthogonal_initializer()((2,))
