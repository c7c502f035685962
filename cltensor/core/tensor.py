"""Tensor: an immutable, dense, row-major array on a device, and how Python values become one.

A tensor is a Sig (interned shape, dtype and device) and a buffer. Small tensors made from Python values
also keep a host copy: their value is visible to shape inference without a sync, and their buffer is
uploaded only when a kernel asks. The result of a deferred op has no buffer yet: it waits in a pending block
(interpret/pending.py). `Tensor.buffer` is the one place that reads the buffer, and computes what is pending.

Operators and methods that are ops (`+`, `[]`, `.gpu()`) are installed by ops/operators.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cltensor.base.dtypes import DType, as_dtype
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import TensorShape, show
from cltensor.core import dispatch
from cltensor.core.spec import Sig, Spec, sig_of
from cltensor.core.values import as_array

__all__ = ["Tensor", "convert", "constant", "from_numpy", "static_value", "host_value", "to_array",
           "HOST_BYTES", "next_uid"]

HOST_BYTES = 4096            # tensors made from Python values keep a host copy up to this size
next_uid = itertools.count(1).__next__


class Tensor:
    """An immutable array on a device.

    Attributes: `shape` (TensorShape), `dtype`, `device` (its name), `uid` (a number no other tensor has).
    Arithmetic, comparison, indexing and NumPy functions work as in TensorFlow's eager mode;
    `==` compares values, hashing is by identity.

    Example:
        >>> import cltensor as tf
        >>> t = tf.constant([[1, 2], [3, 4]])
        >>> print(t)
        tf.Tensor([[1 2]
         [3 4]], shape=(2, 2), dtype=int32)
    """

    # `pending` is the block it waits in (None: it has its value), `state` its place there
    __slots__ = ("sig", "_buffer", "_host", "uid", "pending", "state", "__weakref__")
    __array_priority__ = 100
    pending: Any
    state: Any

    def __init__(self, sig: Sig, buffer: Any = None, host: np.ndarray | None = None):
        self.sig, self._buffer, self._host, self.uid, self.pending = sig, buffer, host, next_uid(), None

    def settle(self, buffer: Any) -> None:
        """Its pending block has computed it."""
        self._buffer = buffer
        self.pending = None

    # -- what it is
    @property
    def spec(self) -> Spec:
        return self.sig.spec

    @property
    def shape(self) -> TensorShape:
        return TensorShape(self.sig.spec.shape)

    def get_shape(self) -> TensorShape:
        """The shape, as TensorFlow 1.x spells it."""
        return self.shape

    @property
    def dtype(self) -> DType:
        return self.sig.spec.dtype

    @property
    def ndim(self) -> int:
        return len(self.sig.spec.shape)

    @property
    def device(self) -> str:
        """Name of the device the value lives on."""
        return self.sig.device.name

    @property
    def placed_on(self) -> Any:
        """The device itself."""
        return self.sig.device

    @property
    def name(self) -> str:
        return f"Tensor:{self.uid}"

    def set_shape(self, shape: Any) -> None:
        """Check the shape; raises InvalidArgumentError when it does not fit."""
        if not self.shape.is_compatible_with(shape):
            raise InvalidArgumentError(f"set_shape: the tensor has shape {self.shape}, "
                                       f"which does not fit {TensorShape(shape)}")

    # -- where its value is
    @property
    def buffer(self) -> Any:
        """The device block, computing a pending value and uploading a host-resident one first."""
        buffer = self._buffer
        if buffer is not None:
            return buffer
        if self._host is None:
            pending = self.pending          # read once: another thread may be computing it
            if pending is not None:
                pending.resolve(self)
        elif self._host.size:
            device = self.sig.device
            buffer = device.memory.allocate(self._host.nbytes)
            device.queue.write(buffer, self._host)
            self._buffer = buffer
        return self._buffer

    @property
    def host(self) -> np.ndarray | None:
        """The host copy if there is one; no sync."""
        return self._host

    def numpy(self) -> np.ndarray:
        """The value as a NumPy array (a NumPy scalar for a 0-d tensor); waits for the device."""
        value = to_array(self)
        return value[()] if value.ndim == 0 else value.copy() if value is self._host else value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False and self._host is None:
            raise ValueError("Tensor.__array__: the value lives on a device, so it cannot be viewed without a copy")
        value = to_array(self)
        if dtype is not None:
            value = value.astype(dtype, copy=False)
        return value.copy() if value is self._host else value

    def __copy__(self) -> Tensor:
        return Tensor(self.sig, self.buffer if self._host is None else self._buffer, self._host)

    def __deepcopy__(self, memo: dict) -> Tensor:
        return from_numpy(to_array(self), device=self.sig.device)

    def __reduce__(self) -> tuple:
        return from_numpy, (to_array(self),)

    # -- as a Python value
    def _scalar(self, what: str) -> Any:
        if self.sig.spec.size != 1:
            raise _SizeError(f"{what}: only a tensor with one element converts, this one has shape "
                             f"{show(self.sig.spec.shape)}")
        return to_array(self).reshape(())[()]

    def __bool__(self) -> bool:
        return bool(self._scalar("bool"))

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def __float__(self) -> float:
        return float(self._scalar("float"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex"))

    def __index__(self) -> int:
        if not self.dtype.is_integer or self.sig.spec.shape != ():
            raise TypeError(f"index: only an integer scalar tensor is an index, this one has shape "
                            f"{show(self.sig.spec.shape)} and dtype {self.dtype.name}")
        return int(self._scalar("index"))

    def __len__(self) -> int:
        if not self.sig.spec.shape:
            raise TypeError("len: a scalar tensor has no length")
        return self.sig.spec.shape[0]

    def item(self) -> Any:
        """The one element as a Python number."""
        return self._scalar("item").item()

    def tolist(self) -> Any:
        """The value as nested Python lists."""
        return to_array(self).tolist()

    # -- as text
    def __str__(self) -> str:
        return f"tf.Tensor({_text(self)}, shape={show(self.sig.spec.shape)}, dtype={self.dtype.name})"

    def __repr__(self) -> str:
        value = to_array(self)
        text = repr(value[()].item()) if value.ndim == 0 else np.array2string(value, separator=", ")
        gap = "\n" if "\n" in text else ""
        return (f"<tf.Tensor: id={self.uid}, shape={show(self.sig.spec.shape)}, dtype={self.dtype.name}, "
                f"numpy={gap}{text}>")

    def __format__(self, spec: str) -> str:
        return format(to_array(self)[()].item() if self.ndim == 0 else str(to_array(self)), spec)

    __hash__ = object.__hash__

    if TYPE_CHECKING:       # ops/operators.py installs these
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __getitem__(self, key: Any) -> Tensor: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        def gpu(self, gpu_index: int = 0) -> Tensor: ...
        def cpu(self) -> Tensor: ...


class _SizeError(InvalidArgumentError, TypeError):
    """One element was needed; bool() users expect a ValueError, int() users a TypeError."""


def _text(t: Tensor) -> str:
    value = to_array(t)
    return str(value[()]) if value.ndim == 0 else np.array2string(value)


def to_array(t: Tensor) -> np.ndarray:
    """The value as an array that must not be written to; the device is read unless a host copy exists."""
    if t._host is not None:
        return t._host
    spec, block = t.sig.spec, t.buffer
    out = np.empty(spec.shape, spec.dtype.np)
    if spec.size:
        t.sig.device.queue.read(block, out)
    return out


def from_numpy(array: np.ndarray, device: Any = None, keep: bool | None = None) -> Tensor:
    """A tensor with a copy of the array's value; `keep` forces or forbids the host copy."""
    value = np.array(array, copy=True, order="C")
    sig = sig_of(Spec(value.shape, as_dtype(value.dtype)), device or dispatch.current_device())
    small = value.nbytes <= HOST_BYTES if keep is None else keep
    if small or not value.size:
        value.flags.writeable = False
        return Tensor(sig, None, value)
    block = sig.device.memory.allocate(value.nbytes)
    sig.device.queue.write(block, value)
    return Tensor(sig, block)


def _contains_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_contains_tensor(v) for v in value)
    return isinstance(value, Tensor) or hasattr(type(value), "as_tensor")


def convert(value: Any, dtype: Any = None, device: Any = None, op: str = "convert_to_tensor",
            name: str | None = None) -> Tensor:
    """The value as a Tensor: tensors and variables as they are, Python and NumPy values copied.

    Args:
        value: Tensor, Variable, number, list (of tensors, too) or ndarray.
        dtype: wanted dtype; Python values take it, tensors must have it.

    Raises: DTypeError, InvalidArgumentError (ragged lists, values out of range).
    """
    if isinstance(value, Tensor):
        if dtype is not None and value.dtype is not as_dtype(dtype):
            raise DTypeError(f"{op}: the tensor has dtype {value.dtype.name}, {as_dtype(dtype).name} is wanted; "
                             "use cast")
        return value
    as_tensor = getattr(type(value), "as_tensor", None)
    if as_tensor is not None:
        return convert(as_tensor(value), dtype, device, op)
    if isinstance(value, TensorShape):
        value = value.as_list()
        if dtype is None:
            return from_numpy(np.array(value, np.int32), device)
    want = None if dtype is None else as_dtype(dtype)
    if isinstance(value, (list, tuple)) and _contains_tensor(value):
        return _hooks["pack"](value, want)
    return from_numpy(as_array(value, want, op), device)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None,
             verify_shape: bool = False) -> Tensor:
    """A tensor with this value: ints become int32, floats float32, NumPy arrays keep their dtype.

    Args:
        value: number, list or ndarray; copied.
        dtype: dtype of the result.
        shape: shape of the result; a single value fills it, a list is reshaped.

    Returns: Tensor of shape `shape`, or of the value's own.
    Raises: DTypeError for text or a dtype that cannot hold the value; InvalidArgumentError for a ragged
        list, a value out of range, or a shape that does not fit.

    Example:
        >>> import cltensor as tf
        >>> tf.constant([1., 2.], shape=(2, 1)).numpy().tolist()
        [[1.0], [2.0]]
    """
    if isinstance(value, Tensor) or _contains_tensor(value):
        t = convert(value, None if dtype is None else as_dtype(dtype))
        return t if shape is None else from_numpy(to_array(t).reshape(shape))
    array = as_array(value, None if dtype is None else as_dtype(dtype))
    if shape is not None:
        dims = tuple(int(d) for d in ([shape] if isinstance(shape, int) else shape))
        if array.size == 1 and not verify_shape:
            array = np.full(dims, array.reshape(())[()], array.dtype)
        elif array.size != int(np.prod(dims)) or (verify_shape and array.shape != dims):
            raise InvalidArgumentError(f"constant: a value of shape {show(array.shape)} does not fill shape "
                                       f"{show(dims)}")
        else:
            array = array.reshape(dims)
    named = getattr(dispatch.state.interpreter, "constant", None)       # of a graph
    return from_numpy(array) if named is None else named(from_numpy(array))


def host_value(value: Any) -> np.ndarray | None:
    """The value as an array where that needs no sync, else None."""
    if isinstance(value, Tensor):
        return value._host
    if hasattr(type(value), "as_tensor"):
        return value.as_tensor()._host
    return np.asarray(value)


def static_value(value: Any) -> Any:
    """The value for Python to look at: an array or scalar; reads the device if it must."""
    if isinstance(value, Tensor):
        return to_array(value)
    if hasattr(type(value), "as_tensor"):
        return to_array(value.as_tensor())
    if isinstance(value, TensorShape):
        return np.array(value.as_list(), np.int64)
    if isinstance(value, (list, tuple)) and _contains_tensor(value):
        return np.array([static_value(v) for v in value])
    return np.asarray(value)


_hooks: dict[str, Callable] = {}


def set_pack(pack: Callable) -> None:
    """Install how a list holding tensors becomes one (ops: stack)."""
    _hooks["pack"] = pack


dispatch.install_tensor(Tensor, convert)
