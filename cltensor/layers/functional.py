"""Layers as functions: each call is a Keras layer in a variable scope of its own; see scoped.py."""

from __future__ import annotations

from typing import Any

from cltensor.core.tensor import Tensor
from cltensor.initializers import ones_initializer, zeros_initializer
from cltensor.keras.layers.conv import Conv2D
from cltensor.keras.layers.core import Dense, Dropout
from cltensor.keras.layers.normalization import BatchNormalization
from cltensor.keras.layers.pool import AveragePooling2D, MaxPooling2D
from cltensor.keras.layers.shaping import Flatten
from cltensor.layers.scoped import call

__all__ = ["average_pooling2d", "batch_normalization", "conv2d", "dense", "dropout", "flatten", "max_pooling2d"]


def dense(inputs: Any, units: int, activation: Any = None, use_bias: bool = True, kernel_initializer: Any = None,
          bias_initializer: Any = zeros_initializer, kernel_regularizer: Any = None, bias_regularizer: Any = None,
          activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
          trainable: bool = True, name: str | None = None, reuse: Any = None) -> Tensor:
    """activation(inputs @ kernel + bias), with variables "name/kernel" and "name/bias".

    Args:
        inputs: floating tensor (..., n).
        units: size of the last dimension of the result.
        kernel_initializer: the variable scope's unless given, else glorot uniform.
        *_regularizer: their losses enter tf.GraphKeys.REGULARIZATION_LOSSES of a graph.
        name: of the variable scope; "dense", "dense_1", ... unless given.
        reuse: True for variables that exist, tf.AUTO_REUSE for either; as outside unless given.

    Returns: tensor (..., units). Eagerly each call makes new variables, but inside of an EagerVariableStore.
    Raises: InvalidArgumentError for variables that exist or do not, against `reuse`; as tf.keras.layers.Dense.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default():
        ...     y = tf.layers.dense(tf.placeholder(tf.float32, [None, 3]), 2, activation=tf.nn.relu)
        ...     print(y.shape, [v.name for v in tf.trainable_variables()])
        (?, 2) ['dense/kernel:0', 'dense/bias:0']
    """
    return call(Dense, "dense", inputs, {
        "units": units, "activation": activation, "use_bias": use_bias, "kernel_initializer": kernel_initializer,
        "bias_initializer": bias_initializer, "kernel_regularizer": kernel_regularizer,
        "bias_regularizer": bias_regularizer, "activity_regularizer": activity_regularizer,
        "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint}, name, reuse, trainable)


def conv2d(inputs: Any, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
           data_format: str = "channels_last", dilation_rate: Any = (1, 1), activation: Any = None,
           use_bias: bool = True, kernel_initializer: Any = None, bias_initializer: Any = zeros_initializer,
           kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
           kernel_constraint: Any = None, bias_constraint: Any = None, trainable: bool = True,
           name: str | None = None, reuse: Any = None) -> Tensor:
    """activation(images convolved with a kernel + bias); arguments as tf.keras.layers.Conv2D, scopes as `dense`.

    Example:
        >>> import cltensor as tf
        >>> tf.layers.conv2d(tf.zeros([1, 5, 5, 3]), 8, 3, padding="same").shape
        TensorShape([1, 5, 5, 8])
    """
    return call(Conv2D, "conv2d", inputs, {
        "filters": filters, "kernel_size": kernel_size, "strides": strides, "padding": padding,
        "data_format": data_format, "dilation_rate": dilation_rate, "activation": activation, "use_bias": use_bias,
        "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
        "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
        "activity_regularizer": activity_regularizer, "kernel_constraint": kernel_constraint,
        "bias_constraint": bias_constraint}, name, reuse, trainable)


def max_pooling2d(inputs: Any, pool_size: Any, strides: Any, padding: str = "valid",
                  data_format: str = "channels_last", name: str | None = None) -> Tensor:
    """The largest element under each window; arguments as tf.keras.layers.MaxPooling2D.

    Example:
        >>> import cltensor as tf
        >>> tf.layers.max_pooling2d(tf.zeros([1, 5, 4, 3]), 2, 2).shape
        TensorShape([1, 2, 2, 3])
    """
    return call(MaxPooling2D, "max_pooling2d", inputs, {
        "pool_size": pool_size, "strides": strides, "padding": padding, "data_format": data_format}, name)


def average_pooling2d(inputs: Any, pool_size: Any, strides: Any, padding: str = "valid",
                      data_format: str = "channels_last", name: str | None = None) -> Tensor:
    """The mean under each window; arguments as tf.keras.layers.AveragePooling2D.

    Example:
        >>> import cltensor as tf
        >>> tf.layers.average_pooling2d([[[[1.], [3.]]]], [1, 2], 1).numpy().item()
        2.0
    """
    return call(AveragePooling2D, "average_pooling2d", inputs, {
        "pool_size": pool_size, "strides": strides, "padding": padding, "data_format": data_format}, name)


def flatten(inputs: Any, name: str | None = None) -> Tensor:
    """Everything but the batch in one dimension.

    Example:
        >>> import cltensor as tf
        >>> tf.layers.flatten(tf.zeros([2, 3, 4])).shape
        TensorShape([2, 12])
    """
    return call(Flatten, "flatten", inputs, {}, name)


def dropout(inputs: Any, rate: float = 0.5, noise_shape: Any = None, seed: Any = None, training: Any = False,
            name: str | None = None) -> Tensor:
    """While training, elements are 0 with probability `rate` and the others divided by 1 - rate.

    Args:
        training: a Python value, or a boolean scalar of a graph, which decides in each run.

    Example:
        >>> import cltensor as tf
        >>> tf.layers.dropout(tf.ones([2])).numpy().tolist()
        [1.0, 1.0]
    """
    return call(Dropout, "dropout", inputs, {"rate": rate, "noise_shape": noise_shape, "seed": seed}, name,
                training=training)


def batch_normalization(inputs: Any, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3,
                        center: bool = True, scale: bool = True, beta_initializer: Any = zeros_initializer,
                        gamma_initializer: Any = ones_initializer,
                        moving_mean_initializer: Any = zeros_initializer,
                        moving_variance_initializer: Any = ones_initializer, beta_regularizer: Any = None,
                        gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None,
                        training: Any = False, trainable: bool = True, name: str | None = None,
                        reuse: Any = None) -> Tensor:
    """Channels shifted and scaled as tf.keras.layers.BatchNormalization does it; scopes as `dense`.

    Args:
        training: a Python value: statistics of the batch if true, and in a graph the operations that bring the
            moving ones up to date are in tf.GraphKeys.UPDATE_OPS. Or a boolean scalar of a graph, which decides in
            each run; the statistics are then brought up to date by the run itself.

    Example:
        >>> import cltensor as tf
        >>> with tf.Graph().as_default():
        ...     y = tf.layers.batch_normalization(tf.placeholder(tf.float32, [None, 3]), training=True)
        ...     print(len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)), [v.name for v in tf.trainable_variables()])
        1 ['batch_normalization/gamma:0', 'batch_normalization/beta:0']
    """
    return call(BatchNormalization, "batch_normalization", inputs, {
        "axis": axis, "momentum": momentum, "epsilon": epsilon, "center": center, "scale": scale,
        "beta_initializer": beta_initializer, "gamma_initializer": gamma_initializer,
        "moving_mean_initializer": moving_mean_initializer,
        "moving_variance_initializer": moving_variance_initializer, "beta_regularizer": beta_regularizer,
        "gamma_regularizer": gamma_regularizer, "beta_constraint": beta_constraint,
        "gamma_constraint": gamma_constraint}, name, reuse, trainable, training)
