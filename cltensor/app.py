"""tf.app: the start of a program."""

from cltensor import flags
from cltensor.program.app import run

__all__ = ["flags", "run"]
