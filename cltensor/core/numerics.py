"""Finding the op that first made a NaN or an infinity: a recorder that looks at every result.

It reads every floating result back, so it is slow; it is for finding out where, not for leaving on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import state
from cltensor.core.op import OpDef
from cltensor.core.tensor import Tensor, convert, to_array

__all__ = ["check_numerics", "numerics_check"]


def _bad(array: np.ndarray) -> str:
    """What is wrong with an array, in words; "" if nothing is."""
    nan, inf = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    parts = [f"{n} {word} value{'s' * (n > 1)}" for n, word in ((nan, "nan"), (inf, "infinite")) if n]
    return " and ".join(parts)


def _range(x: Any) -> str:
    if not isinstance(x, Tensor):
        return f"{x!r}"
    array = to_array(x)
    if not array.size or not x.dtype.is_floating:
        return f"shape {show(x.spec.shape)}, dtype {x.dtype.name}"
    with np.errstate(invalid="ignore"):
        return f"shape {show(x.spec.shape)}, values in [{np.nanmin(array):.6g}, {np.nanmax(array):.6g}]"


class numerics_check:
    """Context manager: inside, an op whose result holds a NaN or an infinity raises, and names itself.

    Forward ops and those of a gradient alike. `CLTENSOR_CHECK_NUMERICS=1` turns it on for a whole program.

    Raises: InvalidArgumentError with the op, its result's shape and the range of its inputs.

    Example:
        >>> import cltensor as tf
        >>> with tf.numerics_check():
        ...     tf.log(tf.constant([1., 0.]))
        Traceback (most recent call last):
            ...
        cltensor.base.errors.InvalidArgumentError: log: its result of shape (2,) holds 1 infinite value: x0 ...
    """

    def __enter__(self) -> numerics_check:
        state.recorders.append(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        state.recorders.remove(self)

    def record(self, op: OpDef, attrs: tuple, inputs: tuple, out: Any) -> None:
        """Look at what an op gave."""
        for y in out if isinstance(out, tuple) else (out,):
            if y.dtype.kind == "float" and y.spec.size and (wrong := _bad(to_array(y))):
                given = ", ".join(f"x{i} has {_range(x)}" for i, x in enumerate(inputs))
                raise InvalidArgumentError(f"{op.name}: its result of shape {show(y.spec.shape)} holds {wrong}: "
                                           f"{given}")

    def waits(self, entry: tuple) -> None:
        """An op was put off; looking at it runs it."""
        self.record(*entry)

    def record_custom(self, record: Any) -> None:
        """The ops inside were looked at."""

    def read(self, variable: Any, value: Tensor) -> None:
        """Reading is no op."""


def check_numerics(tensor: Any, message: str, name: str | None = None) -> Tensor:
    """The tensor itself if all its values are finite; waits for the device.

    Raises: InvalidArgumentError with the message and what was found.

    Example:
        >>> import cltensor as tf
        >>> tf.check_numerics(tf.constant([1., 2.]), "weights").numpy().tolist()
        [1.0, 2.0]
    """
    t = convert(tensor, op="check_numerics")
    if t.dtype.is_floating and (wrong := _bad(to_array(t))):
        raise InvalidArgumentError(f"check_numerics: {message}: the tensor of shape {show(t.spec.shape)} holds {wrong}")
    return t
