"""tf.linalg: products and norms of matrices."""

from cltensor.ops.array import matrix_transpose
from cltensor.ops.array import matrix_transpose as transpose
from cltensor.ops.creation import eye
from cltensor.ops.linalg import matmul, matvec, norm, tensordot

__all__ = [
    "eye", "matmul", "matrix_transpose", "matvec", "norm", "tensordot", "transpose",
]
