"""tf.keras: layers, models, and what they are configured with."""

from cltensor import initializers
from cltensor.keras import (
    activations, backend, callbacks, constraints, layers, losses, metrics, models, optimizers,
    preprocessing, regularizers, utils,
)
from cltensor.keras.layers.core import Input
from cltensor.keras.network import Model, Sequential

__all__ = [
    "Input", "Model", "Sequential", "activations", "backend", "callbacks", "constraints", "initializers",
    "layers", "losses", "metrics", "models", "optimizers", "preprocessing", "regularizers", "utils",
]
