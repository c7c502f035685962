"""tf.contrib: eager (tfe), summary, data, checkpoint."""

from cltensor.contrib import checkpoint, data, eager, summary

__all__ = ["checkpoint", "data", "eager", "summary"]
