"""tf.keras.preprocessing."""

from cltensor.keras.preprocessing import sequence

__all__ = ["sequence"]
