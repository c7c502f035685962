"""tf.contrib.training."""

from cltensor.program.settings import HParams

__all__ = ["HParams"]
