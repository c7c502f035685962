"""tf.keras.layers."""

from cltensor.keras.inputs import InputSpec
from cltensor.keras.layer import Layer
from cltensor.keras.layers.activation import (
    ELU, LeakyReLU, PReLU, ReLU, Softmax, ThresholdedReLU,
)
from cltensor.keras.layers.conv import (
    Conv1D, Conv2D, Conv2DTranspose, DepthwiseConv2D, SeparableConv2D,
)
from cltensor.keras.layers.core import (
    Activation, ActivityRegularization, Dense, Dropout, Embedding, Input, InputLayer, Lambda,
)
from cltensor.keras.layers.merge import (
    Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract, add, average, concatenate,
    maximum, minimum, multiply, subtract,
)
from cltensor.keras.layers.normalization import BatchNormalization, LayerNormalization
from cltensor.keras.layers.pool import (
    AveragePooling1D, AveragePooling2D, AvgPool2D, MaxPool2D, MaxPooling1D, MaxPooling2D,
)
from cltensor.keras.layers.recurrent import CuDNNGRU, CuDNNLSTM, GRU, LSTM, RNN, SimpleRNN
from cltensor.keras.layers.recurrent_cells import (
    GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells,
)
from cltensor.keras.layers.resize import Cropping2D, UpSampling2D, ZeroPadding2D
from cltensor.keras.layers.shaping import (
    Flatten, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling1D,
    GlobalMaxPooling2D, Permute, RepeatVector, Reshape,
)
from cltensor.keras.layers.wrappers import Bidirectional, TimeDistributed, Wrapper

__all__ = [
    "Activation", "ActivityRegularization", "Add", "Average", "AveragePooling1D",
    "AveragePooling2D", "AvgPool2D", "BatchNormalization", "Bidirectional", "Concatenate", "Conv1D",
    "Conv2D", "Conv2DTranspose", "Cropping2D", "CuDNNGRU", "CuDNNLSTM", "Dense", "DepthwiseConv2D",
    "Dropout", "ELU", "Embedding", "Flatten", "GRU", "GRUCell", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "Input", "InputLayer", "InputSpec",
    "LSTM", "LSTMCell", "Lambda", "Layer", "LayerNormalization", "LeakyReLU", "MaxPool2D",
    "MaxPooling1D", "MaxPooling2D", "Maximum", "Minimum", "Multiply", "PReLU", "Permute", "RNN",
    "ReLU", "RepeatVector", "Reshape", "SeparableConv2D", "SimpleRNN", "SimpleRNNCell", "Softmax",
    "StackedRNNCells", "Subtract", "ThresholdedReLU", "TimeDistributed", "UpSampling2D", "Wrapper",
    "ZeroPadding2D", "add", "average", "concatenate", "maximum", "minimum", "multiply", "subtract",
]
