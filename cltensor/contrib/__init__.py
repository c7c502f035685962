"""tf.contrib: eager (tfe), summary, data, checkpoint, framework, layers, training."""

from cltensor.contrib import checkpoint, data, eager, framework, layers, summary, training

__all__ = ["checkpoint", "data", "eager", "framework", "layers", "summary", "training"]
