"""tf.keras.layers."""

from cltensor.keras.inputs import InputSpec
from cltensor.keras.layer import Layer
from cltensor.keras.layers.activation import (
    ELU, LeakyReLU, PReLU, ReLU, Softmax, ThresholdedReLU,
)
from cltensor.keras.layers.core import (
    Activation, ActivityRegularization, Dense, Dropout, Embedding, InputLayer, Lambda,
)
from cltensor.keras.layers.merge import (
    Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract, add, average, concatenate,
    maximum, minimum, multiply, subtract,
)
from cltensor.keras.layers.normalization import BatchNormalization, LayerNormalization
from cltensor.keras.layers.shaping import (
    Flatten, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling1D,
    GlobalMaxPooling2D, Permute, RepeatVector, Reshape,
)

__all__ = [
    "Activation", "ActivityRegularization", "Add", "Average", "BatchNormalization", "Concatenate",
    "Dense", "Dropout", "ELU", "Embedding", "Flatten", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "InputLayer", "InputSpec",
    "Lambda", "Layer", "LayerNormalization", "LeakyReLU", "Maximum", "Minimum", "Multiply", "PReLU",
    "Permute", "ReLU", "RepeatVector", "Reshape", "Softmax", "Subtract", "ThresholdedReLU", "add",
    "average", "concatenate", "maximum", "minimum", "multiply", "subtract",
]
