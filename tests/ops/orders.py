"""Rows of sorting, and of einsum."""

from __future__ import annotations

import numpy as np

import cltensor as tf
from tests.ops.row import Input, Rounded, Row, Transposed, case, cases, distinct, integers

_X = (Input(),)
_ORDERED = (Input(distinct()),)
# one, around a run of 32, several merges, several rows, not the last axis, several work-groups
_ROWS = cases([[(1,)], [(31,)], [(33,)], [(3, 65)], [(2, 3, 129)], [(0, 5)], [(5, 0)], [Transposed((40, 7))], [(4099,)],
               [(3, 30_011)]])
_AXES = tuple(case(s, axis=a) for s, a in (((37,), 0), ((37, 5), 0), ((2, 33, 3), 1), ((2, 33, 3), -1), ((1, 1), 0)))
_DTYPES = ("float32", "float16", "float64", "int8", "uint8", "int32", "int64")


def _descending(x: np.ndarray) -> np.ndarray:
    keys = -x.astype(np.float64) if x.dtype.kind == "f" else -x.astype(np.int64)
    return np.argsort(keys, axis=-1, kind="stable")


def _top_k(x: np.ndarray, k: int) -> tuple:
    order = _descending(x)[..., :k]
    return np.take_along_axis(x, order, -1), order.astype(np.int32)


def _in_top_k(x: np.ndarray, t: np.ndarray, k: int) -> np.ndarray:
    own = x[np.arange(len(x)), t]
    return ((x > own[:, None]).sum(1) < k) & np.isfinite(own)


_SIZES = {"b": 2, "i": 3, "j": 4, "k": 5, "l": 17, "c": 1}


def _einsum(equation: str, order: int = 2) -> Row:
    terms = equation.split("->")[0].split(",")
    shapes = tuple(tuple(_SIZES[c] for c in term) for term in terms)
    return Row(f"einsum({equation})", lambda *xs: tf.einsum(equation, *xs), lambda *xs: np.einsum(equation, *xs),
               (Input(),) * len(terms), (case(*shapes),), covers=("matmul",), tolerance=Rounded(16), order=order)


ROWS: tuple[Row, ...] = (
    Row("argsort", lambda x: tf.argsort(x), lambda x: np.argsort(x, axis=-1, kind="stable"),
        (Input(ints=integers(-5, 5)),), _ROWS, dtypes=_DTYPES, order=0, result="int32"),
    Row("argsort(descending)", lambda x: tf.argsort(x, direction="DESCENDING"), _descending,
        (Input(ints=integers(-5, 5)),), _ROWS, covers=("argsort",), dtypes=_DTYPES, order=0, result="int32"),
    Row("sort", lambda x, axis: tf.sort(x, axis), lambda x, axis: np.sort(x, axis), _ORDERED, _AXES,
        covers=("argsort", "gather")),
    Row("top_k", lambda x, k: tf.nn.top_k(x, k), _top_k, _ORDERED, tuple(
        case(s, k=k) for s, k in (((7,), 1), ((7,), 7), ((5, 33), 3), ((2, 3, 40), 2), ((4, 3), 0))),
        covers=("argsort", "gather"), result=(None, "int32")),
    Row("in_top_k", lambda x, t, k: tf.nn.in_top_k(x, t, k), _in_top_k,
        (Input(), Input(None, integers(0, 9), dtype="int32", smooth=False)),
        tuple(case((n, 9), (n,), k=k) for n, k in ((1, 1), (50, 3), (0, 2))), covers=("gather",), order=0,
        result="bool"),
    *(_einsum(e) for e in ("ij,jk->ik", "ij->ji", "ij->i", "i,j->ij", "bij,bjk->bik", "ij,jk,kl->il", "bik,bjk->bij",
                           "bijk,bl->ijl", "bij,bil,bk->jlk", "c,c->c", "ij,ij->", "bij,bij")),
)
