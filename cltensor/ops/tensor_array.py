"""TensorArray: tensors by number, written and read one at a time, in loops above all."""

from __future__ import annotations

from typing import Any

from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.lists import fits, list_of, list_spec, merged
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.tensor_list import (
    list_concat,
    list_gather,
    list_new,
    list_read,
    list_scatter,
    list_size,
    list_split,
    list_stack,
    list_unstack,
    list_write,
)

__all__ = ["TensorArray"]


class TensorArray:
    """Tensors of one dtype by number. Each is written once; writing returns the array that has it.

    Args:
        dtype: of the elements.
        size: how many there are: a number or an integer scalar.
        dynamic_size: whether writing past the end makes it longer.
        element_shape: of the elements; else that of the first one written.
        infer_shape: whether all elements must have one shape.

    `clear_after_read`, `tensor_array_name`, `handle`, `colocate_with_first_write_call` and `name` are accepted.
    Every method that moves values has a gradient, eagerly, in traced functions and in graphs.

    Raises: DTypeError and InvalidArgumentError for an element of another dtype or shape, or one written twice;
        OutOfRangeError (an IndexError) for an index outside, or an element nobody wrote.

    Example:
        >>> import cltensor as tf
        >>> squares = tf.TensorArray(tf.float32, size=3)
        >>> for i in range(3):
        ...     squares = squares.write(i, float(i * i))
        >>> squares.stack().numpy().tolist()
        [0.0, 1.0, 4.0]
    """

    def __init__(self, dtype: Any, size: Any = None, dynamic_size: bool | None = None,
                 clear_after_read: bool | None = None, tensor_array_name: str | None = None, handle: Any = None,
                 flow: Any = None, infer_shape: bool = True, element_shape: Any = None,
                 colocate_with_first_write_call: bool = True, name: str | None = None):
        self._dtype, self._dynamic, self._infer = as_dtype(dtype), bool(dynamic_size), infer_shape
        shape = None if element_shape is None else tuple(
            getattr(d, "value", d) for d in (element_shape.as_list() if hasattr(element_shape, "as_list")
                                             else element_shape))
        if flow is not None:
            self._flow: Any = flow
            return
        if size is None and not dynamic_size:
            raise InvalidArgumentError("TensorArray: size is missing; give it, or dynamic_size=True")
        spec = list_spec(Spec(shape, self._dtype))
        made: Any = list_new(0 if size is None else size, spec)
        if self._dynamic:           # its length is none of its type
            made = made if made.spec.dtype.length is None else _open(made, spec)
        self._flow = made

    # -- what it is
    @property
    def dtype(self) -> Any:
        """The dtype of the elements."""
        return self._dtype

    @property
    def flow(self) -> Any:
        """The list as a value: what loops carry."""
        return self._flow

    @property
    def handle(self) -> None:
        """There is none: an array is a value."""
        return None

    @property
    def element_shape(self) -> tuple | None:
        """What is known of the shape of the elements."""
        return self._flow.spec.shape

    def with_flow(self, flow: Any) -> TensorArray:
        """An array like this one with another list."""
        return TensorArray(self._dtype, dynamic_size=self._dynamic, infer_shape=self._infer, flow=flow)

    def identity(self) -> TensorArray:
        """The array itself."""
        return self.with_flow(self._flow)

    def __repr__(self) -> str:
        return f"<tf.TensorArray of {self._dtype.name}, element shape {self.element_shape}>"

    def _checked(self, value: Any, what: str, rows: bool = False) -> Tensor:
        t = convert(value, self._dtype if not isinstance(value, Tensor) else None, op=f"TensorArray.{what}")
        if t.dtype is not self._dtype:
            raise DTypeError(f"TensorArray.{what}: the value has dtype {t.dtype.name}, the array {self._dtype.name}")
        shape = t.spec.shape
        if rows:
            if shape == ():
                raise InvalidArgumentError(f"TensorArray.{what}: the value is a scalar, it must have rows")
            shape = None if shape is None else shape[1:]
        if self._infer and not fits(self.element_shape, shape):
            raise InvalidArgumentError(f"TensorArray.{what}: the elements have shape {show(self.element_shape)}, this "
                                       f"one has {show(shape)}")      # type: ignore[arg-type]
        return t

    # -- one element
    def size(self, name: str | None = None) -> Any:
        """The number of elements, an int32 scalar."""
        return list_size(self._flow)

    def read(self, index: Any, name: str | None = None) -> Any:
        """The element at `index`."""
        return list_read(self._flow, index)

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with `value` at `index`; use it in place of this one."""
        return self.with_flow(list_write(self._flow, index, self._checked(value, "write"), self._dynamic))

    # -- several
    def stack(self, name: str | None = None) -> Any:
        """All elements side by side along a new first dimension."""
        return list_stack(self._flow)

    def gather(self, indices: Any, name: str | None = None) -> Any:
        """The elements at `indices`, stacked."""
        return list_gather(self._flow, convert(indices))

    def concat(self, name: str | None = None) -> Any:
        """All elements one after the other along their first dimension."""
        return list_concat(self._flow)

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """The array with the rows of `value` as its elements."""
        rows = self._checked(value, "unstack", rows=True)
        length, count = self._flow.dtype.length, rows.spec.shape and rows.spec.shape[0]
        if length is not None and count not in (None, (), length):
            raise InvalidArgumentError(f"TensorArray.unstack: the array has size {length}, the value has {count} rows")
        return self.with_flow(list_unstack(rows, Spec(self.element_shape, list_of(self._dtype)), not self._dynamic))

    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with the rows of `value` at `indices`."""
        return self.with_flow(list_scatter(self._flow, convert(indices), self._checked(value, "scatter", rows=True),
                                           self._dynamic))

    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """The array whose elements are parts of `value`, of `lengths` rows each."""
        whole = self._checked_part(value)
        return self.with_flow(list_split(whole, convert(lengths), self._flow.spec))

    def grad(self, source: Any, flow: Any = None, name: str | None = None) -> Any:
        """Not here: tapes and tf.gradients differentiate through arrays by themselves.

        Raises: InvalidArgumentError.
        """
        raise InvalidArgumentError("TensorArray.grad: gradients flow through arrays by themselves; use tf.GradientTape "
                                   "or tf.gradients")

    def close(self, name: str | None = None) -> None:
        """Nothing to do: memory is freed when nobody holds the array."""

    def _checked_part(self, value: Any) -> Tensor:
        t = convert(value, self._dtype if not isinstance(value, Tensor) else None, op="TensorArray.split")
        if t.dtype is not self._dtype:
            raise DTypeError(f"TensorArray.split: the value has dtype {t.dtype.name}, the array {self._dtype.name}")
        return t


def _open(made: Any, spec: Spec) -> Any:
    return type(made)(Spec(merged(spec.shape, made.spec.shape), spec.dtype), made.items)
