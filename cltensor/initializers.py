"""Initializers: what a variable starts from, as a function of its shape.

Each is a class whose objects are called with a shape and give a tensor, so that layers can make variables
once they know their input. Fans of a kernel are counted as TensorFlow does: the last two dimensions are
inputs and outputs, those before are the receptive field of a convolution.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from cltensor.base.dtypes import DType, as_dtype, float32
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core import tensor
from cltensor.core.tensor import Tensor, static_value
from cltensor.ops import creation, random

__all__ = [
    "Initializer", "Zeros", "Ones", "Constant", "RandomUniform", "RandomNormal", "TruncatedNormal",
    "VarianceScaling", "GlorotUniform", "GlorotNormal", "Orthogonal", "Identity", "he_uniform", "he_normal",
    "lecun_uniform", "lecun_normal", "get",
    "zeros_initializer", "ones_initializer", "constant_initializer", "random_uniform_initializer",
    "random_normal_initializer", "truncated_normal_initializer", "variance_scaling_initializer",
    "glorot_uniform_initializer", "glorot_normal_initializer", "uniform_unit_scaling_initializer",
    "orthogonal_initializer", "zeros", "ones", "constant", "orthogonal", "identity", "random_uniform",
    "random_normal", "truncated_normal", "variance_scaling", "glorot_uniform", "glorot_normal",
]

# Standard deviation of a standard normal cut at -2 and 2: scipy.stats.truncnorm.std(-2, 2)
_TRUNCATED_STD = 0.87962566103423978


def _dims(shape: Any) -> tuple:
    dims = TensorShape(shape if not hasattr(type(shape), "spec") else static_value(shape).tolist()).as_list()
    if None in dims:
        raise InvalidArgumentError(f"initializer: the shape must be fully known, it is {show(dims)}")
    return tuple(dims)


class Initializer:
    """Base class: `initializer(shape, dtype)` gives the tensor a variable starts from."""

    dtype: DType = float32

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        raise NotImplementedError

    def _kind(self, dtype: Any, floating: bool = True) -> DType:
        kind = self.dtype if dtype is None else as_dtype(dtype)
        if floating and not kind.is_floating:
            raise DTypeError(f"{type(self).__name__}: dtype must be floating, it is {kind.name}")
        return kind

    def get_config(self) -> dict:
        """Arguments that make an equal initializer."""
        return {name: value.name if isinstance(value, DType) else value for name, value in self.__dict__.items()
                if not name.startswith("_")}

    @classmethod
    def from_config(cls, config: dict) -> Initializer:
        """The initializer of a `get_config`."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class Zeros(Initializer):
    """All zeros.

    Example:
        >>> import cltensor as tf
        >>> tf.initializers.zeros()([2]).numpy().tolist()
        [0.0, 0.0]
    """

    def __init__(self, dtype: Any = float32):
        self.dtype = as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return creation.zeros(_dims(shape), self._kind(dtype, floating=False))


class Ones(Initializer):
    """All ones."""

    def __init__(self, dtype: Any = float32):
        self.dtype = as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return creation.ones(_dims(shape), self._kind(dtype, floating=False))


class Constant(Initializer):
    """One value everywhere, or the values of an array, row by row; a short array is filled up with its last value.

    Raises: InvalidArgumentError for more values than elements, or (with verify_shape) another shape.

    Example:
        >>> import cltensor as tf
        >>> tf.initializers.constant([1, 2])([2, 2]).numpy().tolist()
        [[1.0, 2.0], [2.0, 2.0]]
    """

    def __init__(self, value: Any = 0, dtype: Any = float32, verify_shape: bool = False):
        self.value, self.dtype, self.verify_shape = value, as_dtype(dtype), verify_shape

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None,
                 verify_shape: bool | None = None) -> Tensor:
        dims, kind = _dims(shape), self._kind(dtype, floating=False)
        values = np.asarray(tensor.as_array(self.value, None, "constant_initializer"), kind.np)
        n, verify = prod(dims), self.verify_shape if verify_shape is None else verify_shape
        if values.size > max(n, 1) or (values.size == 0 and n) or (verify and values.shape != dims):
            raise InvalidArgumentError(f"constant_initializer: a value of shape {show(values.shape)} does not fill "
                                       f"shape {show(dims)}")
        flat = values.reshape(-1)[:n]
        full = np.concatenate([flat, np.full(n - flat.size, flat[-1] if flat.size else 0, kind.np)])
        return tensor.from_numpy(full.reshape(dims))


class RandomUniform(Initializer):
    """Uniform numbers in [minval, maxval); maxval is 1 unless given (required for integers)."""

    def __init__(self, minval: Any = 0, maxval: Any = None, seed: Any = None, dtype: Any = float32):
        self.minval, self.maxval, self.seed, self.dtype = minval, maxval, seed, as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return random.random_uniform(_dims(shape), self.minval, self.maxval, self._kind(dtype, floating=False),
                                     seed=self.seed)


class RandomNormal(Initializer):
    """Normally distributed numbers."""

    def __init__(self, mean: Any = 0.0, stddev: Any = 1.0, seed: Any = None, dtype: Any = float32):
        self.mean, self.stddev, self.seed, self.dtype = mean, stddev, seed, as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return random.random_normal(_dims(shape), self.mean, self.stddev, self._kind(dtype), seed=self.seed)


class TruncatedNormal(Initializer):
    """Normally distributed numbers, drawn again where further than two standard deviations from the mean."""

    def __init__(self, mean: Any = 0.0, stddev: Any = 1.0, seed: Any = None, dtype: Any = float32):
        self.mean, self.stddev, self.seed, self.dtype = mean, stddev, seed, as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return random.truncated_normal(_dims(shape), self.mean, self.stddev, self._kind(dtype), seed=self.seed)


def _fans(shape: tuple) -> tuple[float, float]:
    """Inputs and outputs of one unit.

    Example:
        >>> _fans((784, 10)), _fans((3, 3, 16, 32)), _fans((5,)), _fans(())
        ((784, 10), (144, 288), (5, 5), (1, 1))
    """
    if len(shape) < 2:
        fan = shape[0] if shape else 1
        return fan, fan
    field = prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class VarianceScaling(Initializer):
    """Random numbers of variance scale / n, n counted from the shape.

    Args:
        scale: positive number.
        mode: n is "fan_in", "fan_out" or "fan_avg", their mean.
        distribution: "normal" (= "truncated_normal": cut at two standard deviations, the variance is that after
            the cut), "untruncated_normal" or "uniform".
        seed: makes the draw reproducible.

    Raises: InvalidArgumentError (a ValueError) for another mode or distribution, or a scale not positive.

    Source: He et al., "Delving deep into rectifiers", 2015.

    Example:
        >>> import cltensor as tf
        >>> w = tf.initializers.variance_scaling(2.0, distribution="uniform")([600, 10]).numpy()
        >>> bool(abs(w).max() <= 0.1)
        True
    """

    _DISTRIBUTIONS = ("normal", "truncated_normal", "untruncated_normal", "uniform")

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal",
                 seed: Any = None, dtype: Any = float32):
        name = type(self).__name__
        if not scale > 0:
            raise InvalidArgumentError(f"{name}: scale must be positive, it is {scale}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise InvalidArgumentError(f"{name}: mode must be 'fan_in', 'fan_out' or 'fan_avg', it is {mode!r}")
        distribution = distribution.lower() if isinstance(distribution, str) else distribution
        if distribution not in self._DISTRIBUTIONS:
            raise InvalidArgumentError(f"{name}: distribution must be one of {', '.join(self._DISTRIBUTIONS)}, it is "
                                       f"{distribution!r}")
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.seed, self.dtype = seed, as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        dims, kind = _dims(shape), self._kind(dtype)
        fan_in, fan_out = _fans(dims)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = sqrt(3.0 * variance)
            return random.random_uniform(dims, -limit, limit, kind, seed=self.seed)
        if self.distribution == "untruncated_normal":
            return random.random_normal(dims, 0.0, sqrt(variance), kind, seed=self.seed)
        return random.truncated_normal(dims, 0.0, sqrt(variance) / _TRUNCATED_STD, kind, seed=self.seed)


class _Fixed(VarianceScaling):
    """A variance scaling whose scale, mode and distribution have a name of their own."""

    _SETTING: tuple = ()

    def __init__(self, seed: Any = None, dtype: Any = float32):
        super().__init__(*self._SETTING, seed=seed, dtype=dtype)

    def get_config(self) -> dict:
        return {"seed": self.seed, "dtype": self.dtype.name}


class GlorotUniform(_Fixed):
    """Uniform within sqrt(6 / (fan_in + fan_out)): Glorot and Bengio 2010, also called Xavier. What layers use.

    Example:
        >>> import cltensor as tf
        >>> bool(abs(tf.initializers.glorot_uniform()([5, 1]).numpy()).max() <= 1.)
        True
    """

    _SETTING = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Fixed):
    """Truncated normal of variance 2 / (fan_in + fan_out): Glorot and Bengio 2010."""

    _SETTING = (1.0, "fan_avg", "truncated_normal")


def he_normal(seed: Any = None) -> VarianceScaling:
    """Truncated normal of variance 2 / fan_in: He et al. 2015, for rectifiers."""
    return VarianceScaling(2.0, "fan_in", "truncated_normal", seed)


def he_uniform(seed: Any = None) -> VarianceScaling:
    """Uniform of variance 2 / fan_in: He et al. 2015, for rectifiers."""
    return VarianceScaling(2.0, "fan_in", "uniform", seed)


def lecun_normal(seed: Any = None) -> VarianceScaling:
    """Truncated normal of variance 1 / fan_in: LeCun et al. 1998, for tanh and selu."""
    return VarianceScaling(1.0, "fan_in", "truncated_normal", seed)


def lecun_uniform(seed: Any = None) -> VarianceScaling:
    """Uniform of variance 1 / fan_in: LeCun et al. 1998."""
    return VarianceScaling(1.0, "fan_in", "uniform", seed)


class Orthogonal(Initializer):
    """A random matrix with orthonormal rows or columns (the shape's last dimension against all others), times gain.

    Raises: InvalidArgumentError for less than two dimensions.

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear networks", 2014.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None, dtype: Any = float32):
        self.gain, self.seed, self.dtype = gain, seed, as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        dims, kind = _dims(shape), self._kind(dtype)
        if len(dims) < 2:
            raise InvalidArgumentError(f"Orthogonal: the shape must have at least two dimensions, it is {show(dims)}")
        rows, columns = prod(dims[:-1]), dims[-1]
        normal = random.random_normal((max(rows, columns), min(rows, columns)), seed=self.seed).numpy()
        q, r = np.linalg.qr(normal.astype(np.float64))
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)       # makes the draw uniform over all orthogonal matrices
        return tensor.from_numpy((self.gain * (q.T if rows < columns else q)).reshape(dims).astype(kind.np))


class Identity(Initializer):
    """The identity matrix times gain.

    Raises: InvalidArgumentError unless the shape has two dimensions.
    """

    def __init__(self, gain: float = 1.0, dtype: Any = float32):
        self.gain, self.dtype = gain, as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        dims, kind = _dims(shape), self._kind(dtype)
        if len(dims) != 2:
            raise InvalidArgumentError(f"Identity: the shape must have two dimensions, it is {show(dims)}")
        eye = creation.eye(*dims, dtype=kind)
        return eye if self.gain == 1.0 else eye * float(self.gain)


# Names in tf.initializers, then those in tf
zeros, ones, constant, orthogonal, identity = Zeros, Ones, Constant, Orthogonal, Identity
random_uniform, random_normal, truncated_normal = RandomUniform, RandomNormal, TruncatedNormal
variance_scaling, glorot_uniform, glorot_normal = VarianceScaling, GlorotUniform, GlorotNormal
zeros_initializer, ones_initializer, constant_initializer = Zeros, Ones, Constant
random_uniform_initializer, random_normal_initializer = RandomUniform, RandomNormal
truncated_normal_initializer, variance_scaling_initializer = TruncatedNormal, VarianceScaling
glorot_uniform_initializer, glorot_normal_initializer = GlorotUniform, GlorotNormal
orthogonal_initializer = Orthogonal


def uniform_unit_scaling_initializer(factor: float = 1.0, seed: Any = None, dtype: Any = float32) -> VarianceScaling:
    """Uniform of variance factor^2 / fan_in: keeps the scale of the input."""
    return VarianceScaling(factor * factor, "fan_in", "uniform", seed, dtype)


_BY_NAME: dict[str, Any] = {
    "zero": Zeros, "zeros": Zeros, "one": Ones, "ones": Ones, "constant": Constant, "orthogonal": Orthogonal,
    "identity": Identity, "glorot_uniform": GlorotUniform, "glorot_normal": GlorotNormal, "he_normal": he_normal,
    "he_uniform": he_uniform, "lecun_normal": lecun_normal, "lecun_uniform": lecun_uniform,
    "variance_scaling": VarianceScaling,
    # Keras' own defaults: small numbers around 0
    "uniform": lambda: RandomUniform(-0.05, 0.05), "random_uniform": lambda: RandomUniform(-0.05, 0.05),
    "normal": lambda: RandomNormal(0.0, 0.05), "random_normal": lambda: RandomNormal(0.0, 0.05),
    "truncated_normal": lambda: TruncatedNormal(0.0, 0.05),
}
_CLASSES = {c.__name__: c for c in (Zeros, Ones, Constant, RandomUniform, RandomNormal, TruncatedNormal,
                                    VarianceScaling, GlorotUniform, GlorotNormal, Orthogonal, Identity)}


def get(identifier: Any) -> Any:
    """The initializer of a name ("glorot_uniform", "Zeros", ...), or a callable (a class is called) or None as it is.

    Raises: InvalidArgumentError (a ValueError) for another name.

    Example:
        >>> get("zeros"), get(None), get(Ones)
        (Zeros(dtype='float32'), None, Ones(dtype='float32'))
    """
    if isinstance(identifier, dict):
        return _CLASSES[identifier["class_name"]].from_config(identifier.get("config", {}))
    if isinstance(identifier, str):
        make = _BY_NAME.get(identifier) or _CLASSES.get(identifier)
        if make is None:
            raise InvalidArgumentError(f"initializers.get: there is no initializer {identifier!r}; there are "
                                       + ", ".join(_BY_NAME))
        return make()
    if isinstance(identifier, type):
        return identifier()
    if identifier is None or callable(identifier):
        return identifier
    raise InvalidArgumentError(f"initializers.get: a name or a callable is wanted, {identifier!r:.60} is a "
                               f"{type(identifier).__name__}")
