"""Inverses, determinants, solutions and factors of matrices: LAPACK on the host, through NumPy.

A factorisation is a long chain of dependent small steps, which a host core does better than a device does until
matrices are very large; so these rows read the device, and their gradients, made of products, run on it.
Matrices are the last two dimensions, the ones before are a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import current_device, execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, from_numpy, to_array
from cltensor.ops.array import expand_dims, matrix_transpose
from cltensor.ops.diagonal import matrix_band_part, matrix_diag, matrix_diag_part, matrix_set_diag
from cltensor.ops.functions import log
from cltensor.ops.linalg import matmul
from cltensor.ops.reduce import reduce_sum

__all__ = ["matrix_inverse", "matrix_determinant", "matrix_solve", "matrix_triangular_solve", "cholesky",
           "cholesky_solve", "logdet", "self_adjoint_eig", "self_adjoint_eigvals", "svd", "qr"]


def _check(op: str, square: bool, *specs: Spec) -> None:
    for s in specs:
        if s.dtype.name not in ("float32", "float64"):
            raise DTypeError(f"{op}: matrices must be float32 or float64, they have dtype {s.dtype.name}; use cast")
        if s.shape is None or s.rank < 2 or (square and s.shape[-1] != s.shape[-2]):
            raise InvalidArgumentError(f"{op}: needs {'square ' if square else ''}matrices in the last two dimensions, "
                                       f"the shape is {show(s.shape)}")


def _run(op: str, compute: Callable, *xs: Tensor) -> Any:
    try:
        out = compute(*[to_array(x) for x in xs])
    except np.linalg.LinAlgError as error:
        raise InvalidArgumentError(f"{op}: {str(error).lower()}: the matrices have shape "
                                   f"{show(xs[0].spec.shape)}") from None
    kind = xs[0].dtype.np
    if isinstance(out, tuple):
        return tuple(from_numpy(np.asarray(o, kind), current_device()) for o in out)
    return from_numpy(np.asarray(out, kind), current_device())


def _square(op: str) -> Callable:
    def infer(x: Spec) -> Spec:
        _check(op, True, x)
        return x
    return infer


def _determinant_infer(x: Spec) -> Spec:
    _check("matrix_determinant", True, x)
    return Spec(x.shape[:-2], x.dtype)


def _of_last_two(v: Any) -> Any:
    return expand_dims(expand_dims(v, -1), -1)


INVERSE = OpDef("matrix_inverse", ("input",), _square("matrix_inverse"),
                run=lambda x: _run("matrix_inverse", np.linalg.inv, x),
                vjps=(lambda g, y: -matmul(matmul(y, g, transpose_a=True), y, transpose_b=True),))
DETERMINANT = OpDef("matrix_determinant", ("input",), _determinant_infer,
                    run=lambda x: _run("matrix_determinant", np.linalg.det, x),
                    vjps=(lambda g, x0, y: _of_last_two(g * y) * matrix_transpose(matrix_inverse(x0)),))


def _solve_infer(a: Spec, b: Spec, adjoint: bool) -> Spec:
    _check("matrix_solve", True, a)
    _check("matrix_solve", False, b)
    if a.shape[:-1] != b.shape[:-1]:
        raise InvalidArgumentError(f"matrix_solve: matrix of shape {show(a.shape)} and rhs of shape {show(b.shape)} "
                                   "must agree in all dimensions but the last")
    return b


def _solve_run(a: Tensor, b: Tensor, adjoint: bool) -> Tensor:
    return _run("matrix_solve", lambda m, r: np.linalg.solve(np.swapaxes(m, -1, -2) if adjoint else m, r), a, b)


def _solve_matrix_rule(g: Any, x0: Any, y: Any, adjoint: bool) -> Any:
    s = matrix_solve(x0, g, adjoint=not adjoint)
    return -matmul(y, s, transpose_b=True) if adjoint else -matmul(s, y, transpose_b=True)


SOLVE = OpDef("matrix_solve", ("matrix", "rhs"), _solve_infer, run=_solve_run,
              vjps=(_solve_matrix_rule, lambda g, x0, adjoint: matrix_solve(x0, g, adjoint=not adjoint)))


def _halved(x: Any) -> Any:
    """The lower triangle with its diagonal halved: Phi of Murray, "Differentiation of the Cholesky decomposition"."""
    return matrix_set_diag(matrix_band_part(x, -1, 0), matrix_diag_part(x) * 0.5)


def _cholesky_rule(g: Any, y: Any) -> Any:
    inverse = matrix_inverse(y)
    inner = _halved(matmul(y, g, transpose_a=True))
    s = matmul(matmul(inverse, inner, transpose_a=True), inverse)
    return (s + matrix_transpose(s)) * 0.5


CHOLESKY = OpDef("cholesky", ("input",), _square("cholesky"), run=lambda x: _run("cholesky", np.linalg.cholesky, x),
                 vjps=(_cholesky_rule,))


def _eig_infer(x: Spec) -> tuple:
    _check("self_adjoint_eig", True, x)
    return Spec(x.shape[:-1], x.dtype), x


def _eig_run(x: Tensor) -> tuple:
    return _run("self_adjoint_eig", lambda m: tuple(np.linalg.eigh(m)), x)


def _eig_rule(g0: Any, g1: Any, y0: Any, y1: Any) -> Any:
    # TensorFlow's rule: equal eigenvalues divide by zero, as their vectors are not determined
    gaps = expand_dims(y0, -2) - expand_dims(y0, -1)
    inverse = matrix_set_diag(1.0 / matrix_set_diag(gaps, y0 * 0 + 1), y0 * 0)
    inner = matrix_diag(g0) + inverse * matmul(y1, g1, transpose_a=True)
    s = matmul(y1, matmul(inner, y1, transpose_b=True))
    return (s + matrix_transpose(s)) * 0.5


EIG = OpDef("self_adjoint_eig", ("tensor",), _eig_infer, run=_eig_run, vjps=(_eig_rule,), outputs=2)


def _svd_infer(x: Spec, full: bool) -> tuple:
    _check("svd", False, x)
    *batch, m, n = x.shape
    k = min(m, n)
    return (Spec((*batch, k), x.dtype), Spec((*batch, m, m if full else k), x.dtype),
            Spec((*batch, n, n if full else k), x.dtype))


def _svd_run(x: Tensor, full: bool) -> tuple:
    def compute(m: np.ndarray) -> tuple:
        u, s, v = np.linalg.svd(m, full_matrices=full)
        return s, u, np.swapaxes(v, -1, -2)
    return _run("svd", compute, x)


SVD = OpDef("svd", ("tensor",), _svd_infer, run=_svd_run, vjps=(None,), outputs=3)


def _qr_infer(x: Spec, full: bool) -> tuple:
    _check("qr", False, x)
    *batch, m, n = x.shape
    k = m if full else min(m, n)
    return Spec((*batch, m, k), x.dtype), Spec((*batch, k, n), x.dtype)


def _qr_run(x: Tensor, full: bool) -> tuple:
    return _run("qr", lambda m: tuple(np.linalg.qr(m, "complete" if full else "reduced")), x)


QR = OpDef("qr", ("input",), _qr_infer, run=_qr_run, vjps=(None,), outputs=2)


def matrix_inverse(input: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """The inverse of each square matrix (of its transpose with `adjoint`).

    Args:
        input: [..., n, n], float32 or float64.

    Raises: InvalidArgumentError for a singular matrix or another shape, DTypeError for another dtype.

    Example:
        >>> import cltensor as tf
        >>> tf.matrix_inverse([[2., 0.], [0., 4.]]).numpy().tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    x = convert(input)
    return execute(INVERSE, (matrix_transpose(x) if adjoint else x,))


def matrix_determinant(input: Any, name: str | None = None) -> Any:
    """The determinant of each square matrix: [..., n, n] to [...]. Its gradient needs regular matrices.

    Example:
        >>> import cltensor as tf
        >>> round(tf.matrix_determinant([[1., 2.], [3., 4.]]).numpy().item(), 4)
        -2.0
    """
    return execute(DETERMINANT, (input,))


def matrix_solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """X with matrix @ X = rhs, for each matrix; with `adjoint` of the transposed matrix.

    Args:
        matrix: [..., n, n], float32 or float64.
        rhs: [..., n, k].

    Raises: InvalidArgumentError for a singular matrix or shapes that do not fit.

    Example:
        >>> import cltensor as tf
        >>> tf.matrix_solve([[2., 0.], [0., 4.]], [[2.], [2.]]).numpy().tolist()
        [[1.0], [0.5]]
    """
    return execute(SOLVE, (matrix, rhs), (("adjoint", bool(adjoint)),))


def matrix_triangular_solve(matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False,
                            name: str | None = None) -> Any:
    """matrix_solve that reads one triangle of the matrix only.

    Example:
        >>> import cltensor as tf
        >>> tf.matrix_triangular_solve([[1., 9.], [1., 2.]], [[1.], [5.]]).numpy().tolist()
        [[1.0], [2.0]]
    """
    return matrix_solve(matrix_band_part(matrix, -1 if lower else 0, 0 if lower else -1), rhs, adjoint)


def cholesky(input: Any, name: str | None = None) -> Any:
    """The lower triangular L with L @ transpose(L) = input, for symmetric positive definite matrices.

    Raises: InvalidArgumentError where a matrix is not positive definite.

    Example:
        >>> import cltensor as tf
        >>> tf.cholesky([[4., 2.], [2., 2.]]).numpy().tolist()
        [[2.0, 0.0], [1.0, 1.0]]
    """
    return execute(CHOLESKY, (input,))


def cholesky_solve(chol: Any, rhs: Any, name: str | None = None) -> Any:
    """X with chol @ transpose(chol) @ X = rhs.

    Example:
        >>> import cltensor as tf
        >>> tf.cholesky_solve([[2., 0.], [1., 1.]], [[4.], [2.]]).numpy().tolist()
        [[1.0], [0.0]]
    """
    return matrix_triangular_solve(chol, matrix_triangular_solve(chol, rhs), adjoint=True)


def logdet(matrix: Any, name: str | None = None) -> Any:
    """Logarithm of the determinant of symmetric positive definite matrices, by way of cholesky.

    Example:
        >>> import cltensor as tf
        >>> round(tf.linalg.logdet([[2., 0.], [0., 2.]]).numpy().item(), 4)
        1.3863
    """
    return 2.0 * reduce_sum(log(matrix_diag_part(cholesky(matrix))), -1)


def self_adjoint_eig(tensor: Any, name: str | None = None) -> tuple:
    """Eigenvalues in ascending order, and eigenvectors as columns, of symmetric matrices (of their lower triangles).

    Returns: ([..., n], [..., n, n]).

    Example:
        >>> import cltensor as tf
        >>> tf.self_adjoint_eig([[1., 0.], [0., 3.]])[0].numpy().tolist()
        [1.0, 3.0]
    """
    return execute(EIG, (tensor,))


def self_adjoint_eigvals(tensor: Any, name: str | None = None) -> Any:
    """Eigenvalues of symmetric matrices in ascending order."""
    return self_adjoint_eig(tensor)[0]


def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None) -> Any:
    """Singular values and vectors: tensor = u @ diag(s) @ transpose(v). No gradient.

    Returns: (s, u, v), or s alone without compute_uv.

    Example:
        >>> import cltensor as tf
        >>> tf.svd([[0., 2.], [1., 0.]], compute_uv=False).numpy().tolist()
        [2.0, 1.0]
    """
    found = execute(SVD, (tensor,), (("full", bool(full_matrices)),))
    return found if compute_uv else found[0]


def qr(input: Any, full_matrices: bool = False, name: str | None = None) -> tuple:
    """Factors (q, r) with orthonormal columns and an upper triangle. No gradient.

    Example:
        >>> import cltensor as tf
        >>> q, r = tf.qr([[3., 0.], [4., 5.]])
        >>> bool(abs(tf.matmul(q, r)[1, 1] - 5.) < 1e-5)
        True
    """
    return execute(QR, (input,), (("full", bool(full_matrices)),))
