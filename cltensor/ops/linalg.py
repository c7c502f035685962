"""Matrix products: matmul with transpose flags and broadcasting batches, tensordot, matvec; norm.

Which kernel a shape gets is decided in kernels/matmul.py. Gradients are products with other flags, so no
transpose is ever materialised.
"""

from __future__ import annotations

from math import inf, prod
from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError, UnimplementedError
from cltensor.base.shapes import broadcast, merge_broadcast, normalize_axes, normalize_axis, show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import convert, static_value
from cltensor.kernels.matmul import Product, plan
from cltensor.kernels.plan import Plan
from cltensor.ops.array import expand_dims, matrix_transpose, reshape, squeeze, transpose
from cltensor.ops.functions import sqrt
from cltensor.ops.math import abs as _abs
from cltensor.ops.math import pow as _pow
from cltensor.ops.math import square
from cltensor.ops.reduce import reduce_max, reduce_sum
from cltensor.ops.sized import sized

__all__ = ["matmul", "matvec", "tensordot", "norm", "matrix_transpose"]

_DTYPES = ("float16", "float32", "float64", "int32", "int64")


def _matmul_infer(a: Spec, b: Spec, transpose_a: bool, transpose_b: bool) -> Spec:
    for name, s in (("a", a), ("b", b)):
        if s.rank is not None and s.rank < 2:
            raise InvalidArgumentError(f"matmul: {name} must have rank 2 or more, its rank is {s.rank}: "
                                       f"{_flags(a, b, transpose_a, transpose_b)}")
    if a.dtype.name not in _DTYPES:
        raise DTypeError(f"matmul: dtype {a.dtype.name} is not one of {', '.join(_DTYPES)}: "
                         f"{_flags(a, b, transpose_a, transpose_b)}; use cast")
    if a.shape is None or b.shape is None:
        return Spec(None, a.dtype)
    m, ka = a.shape[:-3:-1] if transpose_a else a.shape[-2:]
    kb, n = b.shape[:-3:-1] if transpose_b else b.shape[-2:]
    if ka is not None and kb is not None and ka != kb:
        raise InvalidArgumentError(f"matmul: inner dimensions differ, {ka} != {kb}: "
                                   f"{_flags(a, b, transpose_a, transpose_b)}")
    try:
        batch = broadcast("matmul", a.shape[:-2], b.shape[:-2], ("a", "b"))
    except InvalidArgumentError:
        raise InvalidArgumentError(f"matmul: batch dimensions do not broadcast, {show(a.shape[:-2])} and "
                                   f"{show(b.shape[:-2])}: {_flags(a, b, transpose_a, transpose_b)}") from None
    return Spec((*(batch or ()), m, n), a.dtype)


def _flags(a: Spec, b: Spec, transpose_a: bool, transpose_b: bool) -> str:
    return (f"a has shape {show(a.shape)} (transpose_a={transpose_a}), "
            f"b has shape {show(b.shape)} (transpose_b={transpose_b})")


def _matmul_lower(ins: tuple, outs: tuple, target: Any, transpose_a: bool, transpose_b: bool,
                  epilogue: Any = None) -> Plan:
    a, b = ins[0].shape, ins[1].shape
    *batch, m, n = outs[0].shape
    k = a[-2] if transpose_a else a[-1]
    count, count_a, count_b = prod(batch), prod(a[:-2]), prod(b[:-2])
    if count_b == 1 and count_a == count and not transpose_a:
        # One B for all: the batch is only more rows.
        m, count, count_a, batch, a, b = m * count, 1, 1, [], a[-2:], b[-2:]
    dims, (step_a, step_b) = merge_broadcast(tuple(batch), [a[:-2], b[:-2]])
    return plan(Product(outs[0].dtype, m, n, k, transpose_a, transpose_b, dims, step_a, step_b,
                        count, count_a, count_b), target, epilogue)


def _matmul_da(g: Any, x1: Any, transpose_a: bool, transpose_b: bool) -> Any:
    if transpose_a:
        return matmul(x1, g, transpose_a=transpose_b, transpose_b=True)
    return matmul(g, x1, transpose_b=not transpose_b)


def _matmul_db(g: Any, x0: Any, transpose_a: bool, transpose_b: bool) -> Any:
    if transpose_b:
        return matmul(g, x0, transpose_a=True, transpose_b=transpose_a)
    return matmul(x0, g, transpose_a=not transpose_a)


MATMUL = OpDef("matmul", ("a", "b"), _matmul_infer, lower=_matmul_lower, vjps=(_matmul_da, _matmul_db),
               identity=0, doc="Matrix product over the last two dimensions.")


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, adjoint_a: bool = False,
           adjoint_b: bool = False, a_is_sparse: bool = False, b_is_sparse: bool = False,
           name: str | None = None) -> Any:
    """Matrix product of the last two dimensions; dimensions before them are a batch and broadcast.

    Args:
        a: float16, float32, float64, int32 or int64 tensor [..., m, k]; [..., k, m] with transpose_a.
        b: tensor of the same dtype [..., k, n]; [..., n, k] with transpose_b.
        transpose_a, transpose_b: use the matrix transposed; nothing is copied for it.
        adjoint_a, adjoint_b: the same for real numbers.
        a_is_sparse, b_is_sparse: accepted for compatibility, without effect.

    Returns: tensor [..., m, n]. float16 is accumulated in float32; integers wrap around.
    Raises: InvalidArgumentError for a rank below 2, inner dimensions that differ, batch dimensions that
        do not broadcast, or both flags of one input; DTypeError for another dtype or two dtypes.

    Example:
        >>> import cltensor as tf
        >>> tf.matmul([[1., 2.], [3., 4.]], [[1.], [10.]]).numpy().tolist()
        [[21.0], [43.0]]
    """
    for which, transposed, adjoint in (("a", transpose_a, adjoint_a), ("b", transpose_b, adjoint_b)):
        if transposed and adjoint:
            raise InvalidArgumentError(f"matmul: only one of transpose_{which} and adjoint_{which} may be True")
    return execute(MATMUL, (a, b), (("transpose_a", bool(transpose_a or adjoint_a)),
                                    ("transpose_b", bool(transpose_b or adjoint_b))))


def matvec(a: Any, b: Any, transpose_a: bool = False, adjoint_a: bool = False, name: str | None = None) -> Any:
    """Product of the matrices of `a` and the vectors of `b`.

    Args:
        a: tensor [..., m, k]; [..., k, m] with transpose_a.
        b: tensor [..., k] of the same dtype.

    Returns: tensor [..., m].
    Raises: as `matmul`; InvalidArgumentError when b is a scalar.

    Example:
        >>> import cltensor as tf
        >>> tf.linalg.matvec([[1., 2.], [3., 4.]], [1., 10.]).numpy().tolist()
        [21.0, 43.0]
    """
    b = convert(b)
    if b.spec.rank == 0:
        raise InvalidArgumentError("matvec: b must have rank 1 or more, it has shape ()")
    return squeeze(matmul(a, expand_dims(b, -1), transpose_a=transpose_a, adjoint_a=adjoint_a), axis=-1)


def _contracted(axes: Any, a: Spec, b: Spec) -> tuple[tuple, tuple]:
    """The axes of a and of b that are summed over, as given."""
    if isinstance(axes, (list, tuple)) and len(axes) == 2:
        pair = [static_value(x) for x in axes]
    else:
        value = static_value(axes)
        if value.ndim == 0 and value.dtype.kind in "iu":
            n = int(value)
            if not 0 <= n <= min(a.rank, b.rank):
                raise InvalidArgumentError(f"tensordot: axes = {n} is not in [0, {min(a.rank, b.rank)}]: a has shape "
                                           f"{show(a.shape)}, b has shape {show(b.shape)}")
            return tuple(range(a.rank - n, a.rank)), tuple(range(n))
        if value.ndim == 0 or value.shape[0] != 2:
            raise InvalidArgumentError(f"tensordot: axes must be an integer or a pair of lists, it is {axes!r}")
        pair = list(value)
    found = []
    for name, s, one in zip("ab", (a, b), pair):
        found.append(tuple(normalize_axis("tensordot", i, s.rank, f"axes of {name}") for i in one.reshape(-1)))
        if len(set(found[-1])) != len(found[-1]):
            raise InvalidArgumentError(f"tensordot: axes {found[-1]} name a dimension of {name} twice")
    if len(found[0]) != len(found[1]):
        raise InvalidArgumentError(f"tensordot: axes name {len(found[0])} dimensions of a and {len(found[1])} of b")
    return found[0], found[1]


def _as_matrix(x: Any, summed: tuple, front: bool) -> tuple[Any, bool, list]:
    """`x` as a matrix of free and summed dimensions: (matrix, whether the summed ones come first, free sizes).

    A transposed copy is made only where the summed dimensions are neither the first nor the last.
    """
    dims = x.spec.shape
    free = [i for i in range(len(dims)) if i not in summed]
    size = prod(dims[i] for i in summed)
    sizes = [dims[i] for i in free]
    order = [*summed, *free] if front else [*free, *summed]
    first = front
    if [*summed, *free] == sorted(order) or [*free, *summed] == sorted(order):
        first = [*summed, *free] == sorted(order)
    else:
        x = transpose(x, order)
    rest = -1 if None in sizes else prod(sizes)
    return reshape(x, (size, rest) if first else (rest, size)), first, sizes


@sized
def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Any:
    """Sum of products over pairs of dimensions.

    Args:
        a, b: tensors of one dtype.
        axes: an integer n, the last n dimensions of a with the first n of b (0: outer product); or a pair
            of integers or lists, the dimensions of a and those of b that belong to them.

    Returns: tensor of the remaining dimensions of a, then those of b.
    Raises: InvalidArgumentError when axes are out of range or repeated, or paired sizes differ.

    Example:
        >>> import cltensor as tf
        >>> tf.tensordot([1., 2., 3.], [4., 5., 6.], axes=1).numpy()
        np.float32(32.0)
        >>> tf.tensordot(tf.ones([2, 3, 4]), tf.ones([4, 3]), axes=[[1, 2], [1, 0]]).numpy().tolist()
        [12.0, 12.0]
    """
    if hasattr(b, "dtype") and not hasattr(a, "dtype"):
        b = convert(b)
        a = convert(a, b.dtype)
    else:
        a = convert(a)
        b = convert(b) if hasattr(b, "dtype") else convert(b, a.dtype)
    of_a, of_b = _contracted(axes, a.spec, b.spec)
    for i, j in zip(of_a, of_b):
        p, q = a.spec.shape[i], b.spec.shape[j]
        if p is not None and q is not None and p != q:
            raise InvalidArgumentError(f"tensordot: sizes differ, {p} != {q}: dimension {i} of a with shape "
                                       f"{show(a.spec.shape)}, dimension {j} of b with shape {show(b.spec.shape)}")
    pairs = sorted(zip(of_a, of_b))
    by_b = sorted(pairs, key=lambda pair: pair[1])
    ends = (tuple(range(len(pairs))), tuple(range(b.spec.rank - len(pairs), b.spec.rank)))
    if tuple(j for _, j in pairs) not in ends and tuple(j for _, j in by_b) in ends:
        pairs = by_b                      # one of them is copied anyway: let it be the one that must
    left, a_first, a_sizes = _as_matrix(a, tuple(i for i, _ in pairs), False)
    right, b_first, b_sizes = _as_matrix(b, tuple(j for _, j in pairs), True)
    out = matmul(left, right, transpose_a=a_first, transpose_b=not b_first)
    return reshape(out, tuple(-1 if d is None else d for d in (*a_sizes, *b_sizes)))


def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool | None = None,
         name: str | None = None, keep_dims: bool | None = None) -> Any:
    """Norm of vectors, matrices, or the whole tensor read as one vector.

    Args:
        tensor: floating tensor.
        ord: "euclidean" or "fro" (root of the sum of squares), 1, 2, infinity, or any positive number p.
            For matrices "euclidean", "fro", 1 (largest column sum) and infinity (largest row sum).
        axis: None for the whole tensor, an integer for vectors, a pair for matrices.
        keepdims: keep the reduced dimensions with size 1.

    Raises: InvalidArgumentError for an unknown ord or axis; UnimplementedError for the 2-norm of matrices.

    Example:
        >>> import cltensor as tf
        >>> tf.norm([3., 4.]).numpy(), tf.norm([[1., -2.], [3., 4.]], ord=1, axis=(0, 1)).numpy()
        (np.float32(5.0), np.float32(6.0))
    """
    keep = bool(keepdims if keepdims is not None else keep_dims)
    x = convert(tensor)
    if not x.dtype.is_floating:
        raise DTypeError(f"norm: tensor must be floating, it has dtype {x.dtype.name} and shape "
                         f"{show(x.spec.shape)}; use cast")
    pair = isinstance(axis, (list, tuple)) and len(axis) == 2
    if axis is not None:
        normalize_axes("norm", axis, x.spec.rank)
        if isinstance(axis, (list, tuple)) and len(axis) not in (1, 2):
            raise InvalidArgumentError(f"norm: axis must be None, an integer or a pair, it is {axis!r}")
    if isinstance(ord, str):
        if ord not in ("euclidean", "fro"):
            raise InvalidArgumentError(f"norm: ord {ord!r} is not 'euclidean', 'fro' or a positive number")
        return sqrt(reduce_sum(square(x), axis=axis, keepdims=keep))
    if not isinstance(ord, (int, float)) or not ord > 0:
        raise InvalidArgumentError(f"norm: ord {ord!r} is not 'euclidean', 'fro' or a positive number")
    if pair:
        return _matrix_norm(x, ord, tuple(axis), keep)
    if ord == inf:
        return reduce_max(_abs(x), axis=axis, keepdims=keep)
    if ord == 1:
        return reduce_sum(_abs(x), axis=axis, keepdims=keep)
    if ord == 2:
        return sqrt(reduce_sum(square(x), axis=axis, keepdims=keep))
    return _pow(reduce_sum(_pow(_abs(x), float(ord)), axis=axis, keepdims=keep), 1.0 / ord)


def _matrix_norm(x: Any, ord: float, axis: tuple, keep: bool) -> Any:
    row, column = (normalize_axis("norm", i, x.spec.rank) for i in axis)
    if ord not in (1, inf):
        raise UnimplementedError(f"norm: ord {ord!r} of matrices needs singular values, which this version does "
                                 "not offer; use 'euclidean', 1 or infinity")
    inner, outer = (row, column) if ord == 1 else (column, row)
    out = reduce_max(reduce_sum(_abs(x), axis=inner, keepdims=True), axis=outer, keepdims=True)
    return out if keep else squeeze(out, axis=[row, column])
