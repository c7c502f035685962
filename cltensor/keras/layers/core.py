"""The basic layers: Dense, Activation, Dropout, Embedding, Lambda, InputLayer, and Input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor import initializers
from cltensor.base.dtypes import as_dtype, float32
from cltensor.base.errors import DTypeError, InvalidArgumentError, UnimplementedError
from cltensor.base.shapes import TensorShape
from cltensor.core.tensor import Tensor
from cltensor.keras import activations, backend, constraints, regularizers
from cltensor.keras.functional import begin
from cltensor.keras.inputs import InputSpec, single
from cltensor.keras.layer import Layer
from cltensor.ops.array import reshape
from cltensor.ops.dropout import dropout
from cltensor.ops.linalg import matmul
from cltensor.ops.math import cast
from cltensor.ops.nn import bias_add, embedding_lookup

__all__ = ["Dense", "Activation", "Dropout", "Input", "InputLayer", "Embedding", "Lambda", "ActivityRegularization"]


class Dense(Layer):
    """activation(input @ kernel + bias), along the last dimension.

    Args:
        units: size of the output's last dimension.
        activation: name or function; none unless given.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: names or callables; glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: scalar losses collected in `losses`.
        kernel_constraint, bias_constraint: applied after each optimizer step.
        input_dim, input_shape: size, or shape without the batch, of the input; optional.

    Input: floating tensor (..., n), rank at least 2. Output: (..., units).
    Raises: InvalidArgumentError for units below 1, an input of rank below 2, or with another last dimension than
        the first one had.

    Example:
        >>> import cltensor as tf
        >>> layer = tf.keras.layers.Dense(10, activation="relu")
        >>> layer(tf.zeros([1, 1, 784])).shape, [v.shape for v in layer.variables]
        (TensorShape([1, 1, 10]), [TensorShape([784, 10]), TensorShape([10])])
    """

    def __init__(self, units: int, activation: Any = None, use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, bias_constraint: Any = None, input_dim: int | None = None,
                 **kwargs: Any):
        if input_dim is not None and "input_shape" not in kwargs:
            kwargs["input_shape"] = (input_dim,)
        super().__init__(activity_regularizer=regularizers.get(activity_regularizer), **kwargs)
        self.units = int(units)
        if self.units < 1:
            raise InvalidArgumentError(f"Dense: units must be positive, they are {units}")
        self.activation, self.use_bias = activations.get(activation), use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        shape = _tensor_shape(self, input_shape)
        if len(shape) < 2:
            raise InvalidArgumentError(f"{self.name}: the input must have rank 2 at least, its shape is {shape}")
        if shape[-1] is None:
            raise InvalidArgumentError(f"{self.name}: the last dimension of the input must be known, its shape is "
                                       f"{shape}")
        last = int(shape[-1])
        self.kernel = self.add_variable("kernel", [last, self.units], None, self.kernel_initializer,
                                        self.kernel_regularizer, constraint=self.kernel_constraint)
        self.bias = self.add_variable("bias", [self.units], None, self.bias_initializer, self.bias_regularizer,
                                      constraint=self.bias_constraint) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: last})
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        shape = single(self.name, inputs).spec.shape
        if inputs.dtype is not self.kernel.dtype:
            raise DTypeError(f"{self.name}: the input has dtype {inputs.dtype.name}, the layer "
                             f"{self.kernel.dtype.name}; use cast, or make the layer with dtype=")
        rows = inputs if len(shape) == 2 else reshape(inputs, (_rows(shape), shape[-1]))
        y = matmul(rows, self.kernel)
        if self.use_bias:
            y = bias_add(y, self.bias)
        y = self.activation(y)
        return y if len(shape) == 2 else reshape(y, (*shape[:-1], self.units))

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape([*TensorShape(input_shape).as_list()[:-1], self.units])


def _rows(shape: tuple) -> int:
    rows = 1
    for d in shape[:-1]:
        rows *= d
    return rows


def _tensor_shape(layer: Layer, input_shape: Any) -> TensorShape:
    if isinstance(input_shape, dict) or (isinstance(input_shape, list) and any(
            isinstance(s, (TensorShape, list, tuple)) for s in input_shape)):
        raise DTypeError(f"{layer.name}: one tensor is wanted as input, there are {len(input_shape)}")
    return TensorShape(input_shape)


class Activation(Layer):
    """An activation as a layer.

    Args:
        activation: name or function.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Activation("relu")([[-1., 2.]]).numpy().tolist()
        [[0.0, 2.0]]
    """

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)


class Dropout(Layer):
    """Drops elements with probability `rate` while training, and divides the others by 1 - rate.

    Args:
        rate: in [0, 1).
        noise_shape: shape of the choices, broadcast to the input.
        seed: makes the choices reproducible.

    Without `training=True` it does nothing.

    Example:
        >>> import cltensor as tf
        >>> layer = tf.keras.layers.Dropout(0.5)
        >>> layer(tf.ones([2])).numpy().tolist()
        [1.0, 1.0]
        >>> sorted(set(layer(tf.ones([100]), training=True).numpy().tolist()))
        [0.0, 2.0]
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise InvalidArgumentError(f"Dropout: rate must lie in [0, 1), it is {rate}")
        self.rate, self.noise_shape, self.seed = float(rate), noise_shape, seed

    def call(self, inputs: Any, training: Any = None) -> Any:
        if training is None or not self.rate or not bool(training):
            return inputs
        return dropout(inputs, rate=self.rate, noise_shape=self.noise_shape, seed=self.seed)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)


class InputLayer(Layer):
    """Says what shape comes next, and passes it on: the first layer of a Sequential.

    Args:
        input_shape: shape without the batch; or batch_input_shape with it.
    """

    def __init__(self, input_shape: Any = None, batch_size: int | None = None, dtype: Any = None,
                 name: str | None = None, **kwargs: Any):
        super().__init__(input_shape=input_shape, batch_size=batch_size, dtype=dtype,
                         name=name or backend.unique_object_name("input"), **kwargs)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)


def Input(shape: Any = None, batch_size: int | None = None, name: str | None = None, dtype: Any = float32,
          sparse: bool = False, tensor: Any = None, batch_shape: Any = None) -> Any:
    """Where a model made of inputs and outputs begins: a tensor to come, which layers can be called on.

    Args:
        shape: without the batch; sizes may be None. Or batch_shape, with it.
        dtype: of the values.

    Returns: what layers take and `tf.keras.Model(inputs, outputs)` closes; it has a shape and no value.
    Raises: InvalidArgumentError without a shape, UnimplementedError for sparse or given tensors.

    Example:
        >>> import cltensor as tf
        >>> x = tf.keras.Input((8,))
        >>> tf.keras.layers.Dense(3)(x).shape
        TensorShape([None, 3])
    """
    if sparse or tensor is not None:
        raise UnimplementedError("Input: sparse inputs and inputs that wrap a tensor are not offered")
    if shape is None and batch_shape is None:
        raise InvalidArgumentError("Input: give the shape without the batch, or batch_shape")
    dims = (shape,) if isinstance(shape, int) else shape
    full = tuple(batch_shape) if batch_shape is not None else (batch_size, *TensorShape(dims).as_list())
    layer = InputLayer(batch_input_shape=full, dtype=dtype, name=name)
    layer.built = True
    return begin(layer, full, dtype)


class Embedding(Layer):
    """Rows of a matrix by number; its gradient touches the rows used only.

    Args:
        input_dim: how many rows; indices are below it.
        output_dim: length of a row.
        embeddings_initializer: name or callable; uniform in [-0.05, 0.05).
        input_length: length of the input sequences, for shapes known early.

    Input: integers of any shape (floats are cut). Output: input shape + (output_dim,).
    Raises: InvalidArgumentError for an index out of range.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Embedding(5, 2)(tf.constant([[0, 4, 0]])).shape
        TensorShape([1, 3, 2])
    """

    input_dtype = "int32"

    def __init__(self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform",
                 embeddings_regularizer: Any = None, activity_regularizer: Any = None,
                 embeddings_constraint: Any = None, mask_zero: bool = False, input_length: Any = None, **kwargs: Any):
        if "input_shape" not in kwargs and input_length is not None:
            kwargs["input_shape"] = (input_length,)
        super().__init__(activity_regularizer=regularizers.get(activity_regularizer),
                         **{"dtype": backend.floatx(), **kwargs})
        if mask_zero:
            raise InvalidArgumentError("Embedding: mask_zero is not offered, as no layer uses masks")
        if input_dim < 1 or output_dim < 1:
            raise InvalidArgumentError("Embedding: input_dim and output_dim must be positive, they are "
                                       f"{input_dim} and {output_dim}")
        self.input_dim, self.output_dim = int(input_dim), int(output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)

    def build(self, input_shape: Any) -> None:
        self.embeddings = self.add_variable("embeddings", [self.input_dim, self.output_dim], None,
                                            self.embeddings_initializer, self.embeddings_regularizer,
                                            constraint=self.embeddings_constraint)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        ids = single(self.name, inputs)
        if ids.dtype.name not in ("int32", "int64"):
            ids = cast(ids, as_dtype("int32"))
        return embedding_lookup(self.embeddings, ids)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape).concatenate([self.output_dim])


class Lambda(Layer):
    """A function as a layer.

    Args:
        function: of the input (and of `arguments`).
        output_shape: shape without the batch, or a function of the input's shape; found by running it unless given.

    Example:
        >>> import cltensor as tf
        >>> tf.keras.layers.Lambda(lambda x: x * 2.)([[1., 2.]]).numpy().tolist()
        [[2.0, 4.0]]
    """

    def __init__(self, function: Callable, output_shape: Any = None, mask: Any = None, arguments: Any = None,
                 **kwargs: Any):
        super().__init__(**kwargs)
        if not callable(function):
            raise DTypeError(f"Lambda: function must be callable, it is {function!r:.60}")
        self.function, self.arguments = function, dict(arguments or {})
        self._declared_shape = output_shape

    _untracked = ("arguments", "_declared_shape")

    def call(self, inputs: Any) -> Any:
        return self.function(inputs, **self.arguments)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        declared = self._declared_shape
        if declared is None:
            return super().compute_output_shape(input_shape)
        if callable(declared):
            return TensorShape(declared(input_shape))
        return TensorShape([TensorShape(input_shape).as_list()[0], *declared])


class ActivityRegularization(Layer):
    """Passes its input on, and adds l1 * sum |x| + l2 * sum x ** 2 to `losses`."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any):
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)
