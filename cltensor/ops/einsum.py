"""einsum: sums of products named by letters, as transposes and batched matrix products.

Operands are contracted in pairs, in the order NumPy's path finder gives. A letter is summed as soon as neither the
result nor a later operand has it: alone in one operand it is a reduce_sum before the product, in both of them it is
the inner dimension of the product; in both and needed later it is a batch dimension.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.array import reshape, transpose
from cltensor.ops.linalg import matmul
from cltensor.ops.reduce import reduce_sum
from cltensor.ops.sized import sized

__all__ = ["einsum"]


def _parsed(equation: str, ranks: list) -> tuple[list[str], str]:
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    letters = "".join(terms)
    if not all(c.isalpha() for c in letters + right):
        raise InvalidArgumentError(f"einsum: equation {equation!r} holds something other than letters, commas and ->")
    if len(terms) != len(ranks):
        raise InvalidArgumentError(f"einsum: equation {equation!r} names {len(terms)} inputs, there are {len(ranks)}")
    for i, (term, rank) in enumerate(zip(terms, ranks)):
        if len(term) != rank:
            raise InvalidArgumentError(f"einsum: {term!r} in {equation!r} has {len(term)} letters, input {i} has rank "
                                       f"{rank}")
        if len(set(term)) < len(term):
            raise InvalidArgumentError(f"einsum: {term!r} in {equation!r} repeats a letter; take the diagonal with "
                                       "matrix_diag_part first")
    if not arrow:       # letters that occur once, in alphabetical order
        right = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    if len(set(right)) < len(right) or not set(right) <= set(letters):
        raise InvalidArgumentError(f"einsum: the result {right!r} of {equation!r} repeats a letter, or has one that no "
                                   "input has")
    return terms, right


def _ordered(x: Tensor, have: str, want: str) -> Tensor:
    return x if have == want else transpose(x, [have.index(c) for c in want])


def _summed(x: Tensor, have: str, needed: set) -> tuple[Tensor, str]:
    """The letters nobody else needs, summed away."""
    lone = [i for i, c in enumerate(have) if c not in needed]
    return (reduce_sum(x, axis=lone), "".join(c for c in have if c in needed)) if lone else (x, have)


def _product(a: tuple[Tensor, str], b: tuple[Tensor, str], needed: set, sizes: dict) -> tuple[Tensor, str]:
    x, xs = _summed(*a, needed | set(b[1]))
    y, ys = _summed(*b, needed | set(xs))
    batch = "".join(c for c in xs if c in ys and c in needed)
    inner = "".join(c for c in xs if c in ys and c not in needed)
    rows = "".join(c for c in xs if c not in ys)
    columns = "".join(c for c in ys if c not in xs)

    def of(letters: str) -> list:
        return [sizes[c] for c in letters]

    # One batch dimension, or none, is what the product kernels like best
    lead = [prod(of(batch))] if batch else []
    left = reshape(_ordered(x, xs, batch + rows + inner), (*lead, prod(of(rows)), prod(of(inner))))
    right = reshape(_ordered(y, ys, batch + inner + columns), (*lead, prod(of(inner)), prod(of(columns))))
    return reshape(matmul(left, right), (*of(batch), *of(rows), *of(columns))), batch + rows + columns


@sized
def einsum(equation: str, *inputs: Any, **kwargs: Any) -> Tensor:
    """Sums of products of tensors, with the dimensions of each named by letters.

    Args:
        equation: "ij,jk->ik"; without "->" the result has the letters that occur once, in alphabetical order.
        inputs: tensors of one floating dtype (or int32, int64); equal letters have equal sizes.

    Returns: a tensor with the dimensions after "->".
    Raises: InvalidArgumentError for an equation that cannot be read or does not fit the inputs.

    Example:
        >>> import cltensor as tf
        >>> tf.einsum("ij,j->i", [[1., 2.], [3., 4.]], [1., 10.]).numpy().tolist()
        [21.0, 43.0]
    """
    tensors = [convert(x) for x in inputs]
    terms, result = _parsed(equation, [t.spec.rank for t in tensors])
    sizes: dict[str, int] = {}
    for t, term in zip(tensors, terms):
        for c, d in zip(term, t.spec.shape):
            if sizes.setdefault(c, d) != d:
                raise InvalidArgumentError(f"einsum: {c!r} in {equation!r} has sizes {sizes[c]} and {d}: the shapes "
                                           "are " + ", ".join(show(x.spec.shape) for x in tensors))
    held = list(zip(tensors, terms))
    for pair in _path(terms, result, sizes):
        taken = [held.pop(i) for i in sorted(pair, reverse=True)][::-1]
        needed = set(result).union(*(term for _, term in held))
        while len(taken) > 1:
            rest = needed.union(*(term for _, term in taken[2:]))
            taken[:2] = [_product(taken[0], taken[1], rest, sizes)]
        held.append(_summed(*taken[0], needed))
    x, have = held[0]
    return _ordered(x, have, result)


def _path(terms: list[str], result: str, sizes: dict) -> list[tuple]:
    if len(terms) < 3:
        return [tuple(range(len(terms)))]
    shapes = [np.broadcast_to(np.float32(0), [sizes[c] for c in term]) for term in terms]
    return np.einsum_path(",".join(terms) + "->" + result, *shapes, optimize="greedy")[0][1:]
