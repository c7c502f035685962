"""tf.layers: layers as functions, whose variables are found by name; the classes are those of tf.keras.layers."""

from cltensor.keras.inputs import InputSpec
from cltensor.keras.layer import Layer
from cltensor.keras.layers.conv import Conv1D, Conv2D, Conv2DTranspose, SeparableConv2D
from cltensor.keras.layers.core import Dense, Dropout
from cltensor.keras.layers.normalization import BatchNormalization
from cltensor.keras.layers.pool import AveragePooling1D, AveragePooling2D, MaxPooling1D, MaxPooling2D
from cltensor.keras.layers.shaping import Flatten
from cltensor.layers.functional import (
    average_pooling2d, batch_normalization, conv2d, dense, dropout, flatten, max_pooling2d,
)

__all__ = [
    "AveragePooling1D", "AveragePooling2D", "BatchNormalization", "Conv1D", "Conv2D", "Conv2DTranspose", "Dense",
    "Dropout", "Flatten", "InputSpec", "Layer", "MaxPooling1D", "MaxPooling2D", "SeparableConv2D",
    "average_pooling2d", "batch_normalization", "conv2d", "dense", "dropout", "flatten", "max_pooling2d",
]
