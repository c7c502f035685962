"""tf.keras: layers, models, and what they are configured with."""

from cltensor import initializers
from cltensor.keras import activations, backend, constraints, layers, losses, models, regularizers
from cltensor.keras.network import Model, Sequential

__all__ = [
    "Model", "Sequential", "activations", "backend", "constraints", "initializers", "layers",
    "losses", "models", "regularizers",
]
