"""tf.linalg: products, norms, diagonals, inverses and factors of matrices."""

from cltensor.ops.array import matrix_transpose
from cltensor.ops.array import matrix_transpose as transpose
from cltensor.ops.creation import eye
from cltensor.ops.decompositions import (
    cholesky,
    cholesky_solve,
    logdet,
    qr,
    self_adjoint_eig,
    self_adjoint_eigvals,
    svd,
)
from cltensor.ops.decompositions import matrix_determinant as det
from cltensor.ops.decompositions import matrix_inverse as inv
from cltensor.ops.decompositions import matrix_solve as solve
from cltensor.ops.decompositions import matrix_triangular_solve as triangular_solve
from cltensor.ops.decompositions import self_adjoint_eig as eigh
from cltensor.ops.decompositions import self_adjoint_eigvals as eigvalsh
from cltensor.ops.diagonal import matrix_band_part as band_part
from cltensor.ops.diagonal import matrix_diag as diag
from cltensor.ops.diagonal import matrix_diag_part as diag_part
from cltensor.ops.diagonal import matrix_set_diag as set_diag
from cltensor.ops.diagonal import trace
from cltensor.ops.linalg import matmul, matvec, norm, tensordot

__all__ = [
    "band_part", "cholesky", "cholesky_solve", "det", "diag", "diag_part", "eigh", "eigvalsh", "eye", "inv", "logdet",
    "matmul", "matrix_transpose", "matvec", "norm", "qr", "self_adjoint_eig", "self_adjoint_eigvals", "set_diag",
    "solve", "svd", "tensordot", "trace", "transpose", "triangular_solve",
]
