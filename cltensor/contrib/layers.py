"""tf.contrib.layers: initializers and regularizers."""

from cltensor.initializers import glorot_normal_initializer, variance_scaling_initializer
from cltensor.initializers import glorot_uniform_initializer as xavier_initializer
from cltensor.keras.regularizers import l1 as l1_regularizer
from cltensor.keras.regularizers import l2_regularizer

xavier_initializer_conv2d = xavier_initializer

__all__ = ["glorot_normal_initializer", "l1_regularizer", "l2_regularizer", "variance_scaling_initializer",
           "xavier_initializer", "xavier_initializer_conv2d"]
