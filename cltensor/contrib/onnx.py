"""tf.contrib.onnx: models and functions written as ONNX files."""

from cltensor.onnx.export import export

__all__ = ["export"]
