"""tf.contrib.framework."""

from cltensor import nest
from cltensor.train.global_step import get_global_step, get_or_create_global_step

__all__ = ["get_global_step", "get_or_create_global_step", "nest"]
