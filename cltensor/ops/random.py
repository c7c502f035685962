"""Random tensors: uniform, normal, truncated normal, shuffle, categorical draws; set_random_seed.

Every draw reserves a range of counters (core/generator.py) and runs one kernel on it; key, counter and the
parameters of the distribution are late-bound scalars, so repeating a draw compiles and binds nothing.
Integers and uniforms have the same bits on every device; normals stay within 4 ulp of Box and Muller's
formula in float64. No gradient flows through the draw itself; it does through a mean and a scale given as tensors.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from cltensor.base.dtypes import DType, as_dtype, float32, int64
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute, state
from cltensor.core.generator import Draw, generator, words
from cltensor.core.late import LateInt, Source, drawn, fixed
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, static_value
from cltensor.kernels.plan import OUT, SCALAR, SLOT, Plan, launch
from cltensor.ops.array import expand_dims, shape_argument
from cltensor.ops.functions import log
from cltensor.ops.gather import gather
from cltensor.ops.math import add, cast, negative
from cltensor.ops.scan import argmax
from cltensor.ops.sized import sized
from cltensor.ops.slicing import slice as _slice

__all__ = ["random_uniform", "random_normal", "truncated_normal", "random_shuffle", "random_crop",
           "multinomial", "categorical", "set_random_seed"]

_LANES = 16                # blocks that make one group, see kernels/random.cl.mako


def _group(dtype: DType) -> int:
    """Results of one group of blocks."""
    return 32 if dtype.size == 8 else 64


def _row(kind: str, names: tuple, slots: tuple, types: Any) -> OpDef:
    """A kernel row whose inputs are all late-bound scalars: the draw, then the distribution's parameters."""
    def lower(ins: tuple, outs: tuple, target: Any, shape: tuple, dtype: DType) -> Plan:
        n, groups = outs[0].size, -(-outs[0].size // _group(dtype))
        numbers = (SLOT(0, "uint"), SLOT(1, "uint"), SLOT(2, "ulong"), SLOT(3, "ulong"),
                   *(SLOT(4 + i, t) for i, t in enumerate(types(dtype))))
        if target.schedule == "cpu":
            per = max(1, -(-groups // 64), 16)
            size: tuple = (-(-groups // per),)
            args = (OUT(), SCALAR("ulong", n), SCALAR("ulong", per), *numbers)
            local = (1,)
        else:
            blocks = groups * _LANES
            size = (64 * min(-(-blocks // 64), 4096),)
            args = (OUT(), SCALAR("ulong", n), SCALAR("ulong", blocks), *numbers)
            local = (64,)
        return Plan((launch("random", "random_fill", args, size, local, kind=kind, dtype=dtype.name,
                            schedule=target.schedule),))

    return OpDef(f"random_{kind}", ("key0", "key1", "counter", "stream", *names),
                 lambda *specs, shape, dtype: Spec(shape, dtype), lower=lower, pure=False,
                 slots=("uint", "uint", "ulong", "ulong", *slots), doc=f"Philox draw: {kind}.")


def _floats(n: int) -> Any:
    return lambda dtype: (dtype.compute,) * n


UNIFORM = _row("uniform", ("lo", "range", "below"), ("float",) * 3, _floats(3))
INTEGER = _row("integer", ("lo", "range"), ("long", "ulong"),
               lambda dtype: ("int", "uint") if dtype.size == 4 else ("long", "ulong"))
NORMAL = _row("normal", ("mean", "stddev"), ("float",) * 2, _floats(2))
TRUNCATED = _row("truncated", ("mean", "stddev"), ("float",) * 2, _floats(2))


def _reserve(op: str, n: int, dtype: DType, seed: Any) -> Draw:
    if seed is not None:
        seed = static_value(seed)
        if seed.ndim or seed.dtype.kind not in "iu":
            raise DTypeError(f"{op}: seed must be an integer, it has dtype {seed.dtype} and shape {show(seed.shape)}")
        seed = int(seed)
    blocks = -(-n // _group(dtype)) * _LANES
    if state.interpreter is None:
        return generator.reserve(blocks, seed)
    known = fixed()
    if known is not None:
        return known
    now: list = []              # where ops are recorded, each replay draws anew

    def begin() -> None:
        now[:] = drawn(source, lambda: generator.reserve(blocks, seed))
    source = Source(begin, (seed,))
    return Draw(*(LateInt(lambda i=i: now[i], (source,)) for i in range(4)))        # type: ignore[misc, arg-type]


def _run(op: str, row: OpDef, shape: Any, dtype: DType, seed: Any, *numbers: Any) -> Any:
    dims = shape_argument(op, shape)
    draw = _reserve(op, int(np.prod(dims, dtype=object)), dtype, seed)
    return execute(row, (*draw, *numbers), (("shape", dims), ("dtype", dtype)))


def draw_again(op: OpDef, seed: int | None, numbers: tuple, attrs: dict) -> Any:
    """A fresh draw of a random row: what a recorded one does at each replay."""
    return _run(op.name, op, attrs["shape"], attrs["dtype"], seed, *numbers)


def _scalar(op: str, name: str, value: Any) -> Any:
    number = static_value(value)
    if number.ndim:
        raise InvalidArgumentError(f"{op}: {name} must be a scalar, it has shape {show(number.shape)}")
    return number[()]


def set_random_seed(seed: Any) -> None:
    """Make the random numbers that follow reproducible; None: fresh entropy again.

    Args:
        seed: an integer. Draws without a seed of their own continue one sequence that starts here; a
            draw with a seed has a sequence of its own, that depends on both seeds.

    Example:
        >>> import cltensor as tf
        >>> tf.set_random_seed(1); a = tf.random_uniform([3]).numpy()
        >>> tf.set_random_seed(1); bool((tf.random_uniform([3]).numpy() == a).all())
        True
    """
    generator.reseed(None if seed is None else int(_scalar("set_random_seed", "seed", seed)))


@sized
def random_uniform(shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = float32, seed: Any = None,
                   name: str | None = None) -> Any:
    """Uniform numbers in [minval, maxval).

    Args:
        shape: list of sizes.
        minval, maxval: scalars; maxval is 1 for floating dtypes and required for integers.
        dtype: float16, float32, float64, int32 or int64.
        seed: integer; see `set_random_seed`.

    Returns: tensor of that shape. Floats are minval + u * (maxval - minval), u a multiple of 2^-24 (2^-53 for
        float64); the same bits on every device. An integer's probability is exact to 2^-32 (2^-64).
    Raises: DTypeError for another dtype, InvalidArgumentError for minval > maxval (integers: >=) or no maxval.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Example:
        >>> import cltensor as tf
        >>> x = tf.random_uniform([1000], 2, 5, dtype=tf.int32).numpy(); int(x.min()), int(x.max())
        (2, 4)
    """
    kind = as_dtype(dtype)
    if maxval is None and kind.is_integer:
        raise InvalidArgumentError(f"random_uniform: maxval is required for dtype {kind.name}")
    low = _scalar("random_uniform", "minval", minval)
    high = _scalar("random_uniform", "maxval", 1 if maxval is None else maxval)
    if kind.is_floating:
        low, high = kind.np.type(low), kind.np.type(high)
        if not low <= high or not np.isfinite(high - low):
            raise InvalidArgumentError(f"random_uniform: minval <= maxval must hold with a finite difference, they are "
                                       f"{low} and {high}")
        # Rounding may carry the largest results to maxval itself, which is excluded.
        below = max(low, np.nextafter(high, kind.np.type(-inf)))
        work = np.float64 if kind.size == 8 else np.float32
        return _run("random_uniform", UNIFORM, shape, kind, seed, float(low), float(work(high) - work(low)),
                    float(below))
    if kind.name not in ("int32", "int64"):
        raise DTypeError(f"random_uniform: dtype {kind.name} is not one of float16, float32, float64, int32, int64")
    low, high = int(low), int(high)
    if not kind.min <= low < high <= kind.max:
        raise InvalidArgumentError(f"random_uniform: minval < maxval must hold within {kind.name}, they are {low} and "
                                   f"{high}")
    return _run("random_uniform", INTEGER, shape, kind, seed, low, high - low)


def _gaussian(op: str, row: OpDef, shape: Any, mean: Any, stddev: Any, dtype: Any, seed: Any) -> Any:
    kind = as_dtype(dtype)
    if not kind.is_floating:
        raise DTypeError(f"{op}: dtype must be floating, it is {kind.name}")
    traced = [isinstance(v, Tensor) or hasattr(type(v), "as_tensor") or np.ndim(v) for v in (mean, stddev)]
    if any(traced):           # gradients flow to them, and they may broadcast
        return _run(op, row, shape, kind, seed, 0.0, 1.0) * stddev + mean
    return _run(op, row, shape, kind, seed, float(mean), float(stddev))


@sized
def random_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = float32, seed: Any = None,
                  name: str | None = None) -> Any:
    """Normally distributed numbers.

    Args:
        shape: list of sizes.
        mean, stddev: numbers, or tensors (which may broadcast against `shape`).
        dtype: float16, float32 or float64.
        seed: integer; see `set_random_seed`.

    Raises: DTypeError for another dtype.

    Source: Box and Muller, "A note on the generation of random normal deviates", 1958.

    Example:
        >>> import cltensor as tf
        >>> x = tf.random_normal([10000], mean=3., seed=1).numpy(); bool(abs(x.mean() - 3) < 0.05)
        True
    """
    return _gaussian("random_normal", NORMAL, shape, mean, stddev, dtype, seed)


@sized
def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = float32, seed: Any = None,
                     name: str | None = None) -> Any:
    """Normally distributed numbers, none further from the mean than two standard deviations.

    Args: as `random_normal`.

    Returns: tensor; drawn by inverting the distribution function, so one word makes one number.
    Raises: DTypeError for another dtype.

    Example:
        >>> import cltensor as tf
        >>> float(abs(tf.truncated_normal([10000]).numpy()).max()) <= 2.
        True
    """
    return _gaussian("truncated_normal", TRUNCATED, shape, mean, stddev, dtype, seed)


@sized
def random_shuffle(value: Any, seed: Any = None, name: str | None = None) -> Any:
    """The slices along the first dimension in random order.

    Args:
        value: tensor of rank 1 or more.
        seed: integer; see `set_random_seed`.

    Raises: InvalidArgumentError for a scalar.

    Example:
        >>> import cltensor as tf
        >>> sorted(tf.random_shuffle(tf.range(5)).numpy().tolist())
        [0, 1, 2, 3, 4]
    """
    x = convert(value)
    if not x.spec.shape:
        raise InvalidArgumentError("random_shuffle: value must have rank 1 or more, it has shape ()")
    n = x.spec.shape[0]
    keys = words(_reserve("random_shuffle", n, int64, seed), 2 * n).astype(np.uint64)
    order = np.argsort(keys[:n] << np.uint64(32) | keys[n:], kind="stable")
    return gather(x, order.astype(np.int32 if n < 2**31 else np.int64)) if n > 1 else x


@sized
def random_crop(value: Any, size: Any, seed: Any = None, name: str | None = None) -> Any:
    """A window of shape `size` at a random place, each place equally likely.

    Raises: InvalidArgumentError when the window does not fit.

    Example:
        >>> import cltensor as tf
        >>> tf.random_crop(tf.ones([8, 8, 3]), [5, 5, 3]).shape
        TensorShape([5, 5, 3])
    """
    x = convert(value)
    dims, want = x.spec.shape, shape_argument("random_crop", size, "size")
    if len(want) != len(dims) or any(w > d for w, d in zip(want, dims)):
        raise InvalidArgumentError(f"random_crop: size {show(want)} does not fit into value of shape {show(dims)}")
    keys = words(_reserve("random_crop", len(want), int64, seed), max(1, len(want)))
    begin = [int(k) * (d - w + 1) >> 32 for k, d, w in zip(keys, dims, want)]
    return _slice(x, begin, want)


@sized
def multinomial(logits: Any, num_samples: Any, seed: Any = None, name: str | None = None,
                output_dtype: Any = None) -> Any:
    """Class numbers drawn with probabilities softmax(logits).

    Args:
        logits: floating tensor [batch, classes]; log-probabilities need not be normalised, -inf is never drawn.
        num_samples: draws per row.
        seed: integer; see `set_random_seed`.
        output_dtype: int64 or int32.

    Returns: int64 tensor [batch, num_samples].
    Raises: InvalidArgumentError for a rank other than 2 or no classes; DTypeError for logits not floating.

    Source: the Gumbel-max trick, argmax(logits - log(-log(u))) (Gumbel 1954).

    Example:
        >>> import cltensor as tf
        >>> tf.multinomial([[0., -float("inf")], [-float("inf"), 0.]], 3).numpy().tolist()
        [[0, 0, 0], [1, 1, 1]]
    """
    x = convert(logits)
    kind = int64 if output_dtype is None else as_dtype(output_dtype)
    count = int(_scalar("multinomial", "num_samples", num_samples))
    if not x.dtype.is_floating:
        raise DTypeError(f"multinomial: logits must be floating, they have dtype {x.dtype.name} and shape "
                         f"{show(x.spec.shape)}")
    if len(x.spec.shape) != 2 or x.spec.shape[1] == 0 or count < 0:
        raise InvalidArgumentError("multinomial: logits must have shape [batch, classes] with at least one class and "
                                   f"num_samples >= 0: logits has shape {show(x.spec.shape)}, num_samples = {count}")
    if kind.name not in ("int32", "int64"):
        raise DTypeError(f"multinomial: output_dtype must be int32 or int64, it is {kind.name}")
    batch, classes = x.spec.shape
    # float16 has too few steps near 1 for the tail of a Gumbel number
    logits32 = cast(x, float32) if x.dtype.size == 2 else x
    u = random_uniform((batch, count, classes), dtype=logits32.dtype, seed=seed)
    gumbel = negative(log(negative(log(u))))
    drawn = argmax(add(expand_dims(logits32, 1), gumbel), axis=2)
    return drawn if drawn.dtype is kind else cast(drawn, kind)


categorical = multinomial
