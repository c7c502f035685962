"""tf.saved_model: functions and models saved as data, with their weights, and loaded without their code."""

from cltensor.saved_model.load import load
from cltensor.saved_model.save import save
from cltensor.saved_model.simple_save import simple_save

__all__ = ["load", "save", "simple_save"]
