"""tf.profiler: what the devices did while a piece of a program ran."""

from cltensor.program.profile import Profile

__all__ = ["Profile"]
