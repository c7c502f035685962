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
from cltensor.keras.layers.recurrent import CuDNNGRU, CuDNNLSTM, GRU, LSTM, RNN, SimpleRNN
from cltensor.keras.layers.recurrent_cells import (
    GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells,
)
from cltensor.keras.layers.shaping import (
    Flatten, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling1D,
    GlobalMaxPooling2D, Permute, RepeatVector, Reshape,
)
from cltensor.keras.layers.wrappers import Bidirectional, TimeDistributed, Wrapper

__all__ = [
    "Activation", "ActivityRegularization", "Add", "Average", "BatchNormalization", "Bidirectional",
    "Concatenate", "CuDNNGRU", "CuDNNLSTM", "Dense", "Dropout", "ELU", "Embedding", "Flatten",
    "GRU", "GRUCell", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "InputLayer", "InputSpec", "LSTM", "LSTMCell", "Lambda", "Layer",
    "LayerNormalization", "LeakyReLU", "Maximum", "Minimum", "Multiply", "PReLU", "Permute", "RNN",
    "ReLU", "RepeatVector", "Reshape", "SimpleRNN", "SimpleRNNCell", "Softmax", "StackedRNNCells",
    "Subtract", "ThresholdedReLU", "TimeDistributed", "Wrapper", "add", "average", "concatenate",
    "maximum", "minimum", "multiply", "subtract",
]
