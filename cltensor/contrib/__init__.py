"""tf.contrib: eager (tfe), summary, data, checkpoint, framework, layers, onnx, training."""

from cltensor.contrib import checkpoint, data, eager, framework, layers, onnx, summary, training

__all__ = ["checkpoint", "data", "eager", "framework", "layers", "onnx", "summary", "training"]
