"""tf.keras.utils: the namespace has TensorFlow's name; what it offers is in files named after it."""

from cltensor.keras.labels import normalize, to_categorical

__all__ = ["normalize", "to_categorical"]
