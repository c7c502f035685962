"""tf.keras.models."""

from cltensor.keras.network import Model, Sequential

__all__ = ["Model", "Sequential"]
