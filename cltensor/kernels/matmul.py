"""Which matmul kernel a shape gets: pure functions from sizes to a Plan, no device touched.

Under the cpu schedule four forms share the work (kernels/matmul_cpu.cl.mako says what each computes):

    M < 4 (or N < 4, the product swapped)           vector   memory-bound: B is read once
    tiny, or M or N below one register tile         edge     (a transposed B is turned first)
    B transposed, float16, or strides that collide  packed
    else                                            direct

Sizes and strides are arguments of the kernels, so there is one program per form and dtype.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cltensor.base.dtypes import DType
from cltensor.kernels.plan import IN, OUT, SCALAR, TABLE, WORK, Launch, Plan, launch
from cltensor.kernels.tuning import default, lookup

__all__ = ["Product", "plan", "plain"]

_TINY = 16 ** 3            # products below need no second launch to be quick
# A vector-times-matrix product is cut along k into parts of at least so many steps, as long as there are fewer
# than so many parts and blocks of columns. These decide the order of a sum, so they are not for tuning.
_PART, _PARTS, _COLUMNS = 256, 8, 128
_LARGE = 512               # matrices of so many rows and columns have tiles to spare: wider ones are quicker there
_LARGE_TILE = {"mr": 6, "nv": 4}
_PAGE = 4096               # rows so many bytes apart compete for the same few cache lines


class Product(NamedTuple):
    """C[g] = op(A[g]) @ op(B[g]): dtype, sizes of one matrix, flags, and the batch as merged dimensions.

    `dims` are the batch sizes, `step_a`, `step_b` how many matrices of A and B a step along each moves
    (0 where it broadcasts), `groups` the number of products, `count_a`, `count_b` the number of stored matrices.
    """

    dtype: DType
    m: int
    n: int
    k: int
    transpose_a: bool
    transpose_b: bool
    dims: tuple
    step_a: tuple
    step_b: tuple
    groups: int
    count_a: int
    count_b: int

    @property
    def a_strides(self) -> tuple[int, int]:
        """Steps along m and k of op(A)."""
        return (1, self.m) if self.transpose_a else (self.k, 1)

    @property
    def b_strides(self) -> tuple[int, int]:
        """Steps along k and n of op(B)."""
        return (1, self.k) if self.transpose_b else (self.n, 1)

    @property
    def table(self) -> tuple:
        return TABLE((len(self.dims), *self.dims, *self.step_a, *self.step_b))

    def swapped(self) -> Product:
        """C^T = op(B)^T @ op(A)^T."""
        return self._replace(m=self.n, n=self.m, transpose_a=not self.transpose_b,
                             transpose_b=not self.transpose_a, step_a=self.step_b, step_b=self.step_a,
                             count_a=self.count_b, count_b=self.count_a)


def _sizes(*values: int) -> tuple:
    return tuple(SCALAR("ulong", v) for v in values)


def _up(a: int, b: int) -> int:
    return -(-a // b)


def plan(p: Product, target: Any, epilogue: str = "") -> Plan:
    """The Plan of a product; inputs 0 and 1 are A and B, input 2 the bias if `epilogue` names it.

    `epilogue` is an OpenCL expression over `x` (a finished value) and `bias` (of its column), applied once
    at the last store: the seam for fused bias and activation.
    """
    # Tiny products take the plain kernel, so that a process that has no others never tries a tuned entry.
    small = p.m * p.n * p.k <= _TINY
    untuned = default("matmul", target.schedule)
    tune = untuned if small else lookup("matmul", target)
    if target.schedule == "gpu":
        return _tiles(p, tune, epilogue)
    if tune == untuned and min(p.m, p.n) >= _LARGE:
        tune = {**tune, **_LARGE_TILE}
    if not epilogue:
        vector = _vector(p, tune)
        if vector is not None:
            return vector
    v = _lanes(p.dtype)
    if small or p.m < tune["mr"] or p.n < v * tune["nv"]:
        return _edge(p, untuned, epilogue, small)
    collide = p.n * p.dtype.size % _PAGE == 0 and p.k > 512
    if p.transpose_b or p.dtype.name == "float16" or collide:
        return _packed(p, tune, epilogue)
    return _direct(p, tune, epilogue)


def plain(p: Product, target: Any) -> Plan:
    """A product by the simplest kernel, untuned: what other forms must agree with, bit for bit (but "vector",
    which has an order of its own: there it is the untuned one)."""
    untuned = default("matmul", target.schedule)
    if target.schedule == "gpu":
        return _tiles(p, untuned, "")
    return _vector(p, untuned) or _edge(p, untuned, "", False)


def _lanes(dtype: DType) -> int:
    """Lanes of a 64-byte vector of the compute type."""
    return 8 if dtype.compute in ("double", "long") else 16


def _bias(epilogue: str) -> tuple:
    return (IN(2),) if "bias" in epilogue else ()


def _form(form: str, kernel: str, p: Product, tune: dict, args: Any, groups: tuple,
          epilogue: str = "") -> Launch:
    return launch("matmul_cpu", kernel, args, groups, prepares=kernel in ("turn", "pack_a", "pack_b"),
                  dtype=p.dtype.name, form=form, v=_lanes(p.dtype), mr=tune["mr"], nv=tune["nv"], dots=tune["dots"],
                  epilogue=epilogue)


def _edge(p: Product, tune: dict, epilogue: str, small: bool) -> Plan:
    v, mr = _lanes(p.dtype), tune["mr"]
    (am, ak), (bk, bn) = p.a_strides, p.b_strides
    first: tuple = ()
    b, last, work = IN(1), p.k * p.n, ()
    columns = _up(p.n, v)
    if bn != 1 and not small:
        bk, bn, last = columns * v, 1, p.k * columns * v
        first = (_form("edge", "turn", p, tune, (WORK(0), IN(1), *_sizes(p.n, p.k, bk)), (bk, p.count_b),
                       epilogue),)
        b, work = WORK(0), (p.count_b * last * p.dtype.size,)
    tiles = _up(p.m, mr)
    per = mr * _up(tiles, max(1, 64 // (columns * p.groups)))
    args = (OUT(), IN(0), b, p.table, *_sizes(p.m, p.n, p.k, am, ak, bk, bn, last, per), *_bias(epilogue))
    main = _form("edge", "edge", p, tune, args, (_up(p.m, per), columns, p.groups), epilogue)
    return Plan((*first, main), work)


def _direct(p: Product, tune: dict, epilogue: str) -> Plan:
    args = (OUT(), IN(0), IN(1), p.table, *_sizes(p.m, p.n, p.k, *p.a_strides), *_bias(epilogue))
    groups = (_up(p.m, tune["mr"]), _up(p.n, tune["nv"] * _lanes(p.dtype)), p.groups)
    return Plan((_form("direct", "direct", p, tune, args, groups, epilogue),))


def _packed(p: Product, tune: dict, epilogue: str) -> Plan:
    mr, nr = tune["mr"], tune["nv"] * _lanes(p.dtype)
    pm, pn = _up(p.m, mr), _up(p.n, nr)
    tall, wide = max(1, tune["block_rows"] // mr), max(1, tune["block_columns"] // nr)
    while _up(pm, tall) * _up(pn, wide) * p.groups < tune["least_groups"] and (tall > 1 or wide > 1):
        if wide == 1 or (tall > 1 and tall * mr >= wide * nr):
            tall = _up(tall, 2)
        else:
            wide = _up(wide, 2)
    # A float16 C would round at every k-range, so there it is one range.
    kc = p.k if p.dtype.name == "float16" else tune["kc"]
    cell = 4 if p.dtype.compute == "float" else p.dtype.size
    return Plan((
        _form("packed", "pack_a", p, tune, (WORK(0), IN(0), *_sizes(p.m, p.k, *p.a_strides)),
              (pm, p.count_a), epilogue),
        _form("packed", "pack_b", p, tune, (WORK(1), IN(1), *_sizes(p.n, p.k, *p.b_strides)),
              (pn, p.count_b), epilogue),
        _form("packed", "packed", p, tune,
              (OUT(), WORK(0), WORK(1), p.table, *_sizes(p.m, p.n, p.k, tall, wide, kc), *_bias(epilogue)),
              (_up(pm, tall), _up(pn, wide), p.groups), epilogue),
    ), (p.count_a * pm * mr * p.k * cell, p.count_b * pn * nr * p.k * cell))


def _vector(p: Product, tune: dict) -> Plan | None:
    """The form for M < 4 or N < 4, None when the shape is none of its cases."""
    if p.n * p.m * p.k <= _TINY:
        return None
    if p.n < 4 and p.n < p.m:
        swapped = p.swapped()
        if p.n == 1 or (swapped.a_strides[1] == 1 and swapped.b_strides[0] == 1):
            return _vector_rows(swapped, tune, (1, p.n), IN(1), IN(0))
        return None
    return _vector_rows(p, tune, (p.n, 1), IN(0), IN(1)) if p.m < 4 else None


def _vector_rows(p: Product, tune: dict, c_strides: tuple, a: tuple, b: tuple) -> Plan | None:
    v, total, rows = _lanes(p.dtype), p.groups * p.m * p.n, p.groups * p.m
    (am, ak), (bk, bn) = p.a_strides, p.b_strides
    if bn == 1 and p.n >= _COLUMNS and (p.m == 1 or c_strides == (p.n, 1)):
        # float16 parts would round between, so there k is whole and the strips are narrow.
        half = p.dtype.name == "float16"
        width = _COLUMNS if half else 8 * tune["strip"] * v
        kernel, blocks, shape, tail = "strip", _up(p.n, width), (p.m, p.n, p.k, am, ak), (width,)
        parts = 1 if half else min(_up(p.k, _PART // 2), _up(_PARTS, _up(p.n, 1024) * rows))
    elif ak == 1 and bk == 1:
        kernel = "dots"
        per = tune["dots"] * _up(_up(p.n, tune["dots"]), max(1, 32 // rows))
        blocks, shape, tail = _up(p.n, per), (p.m, p.n, p.k, am, bn, *c_strides), (per,)
        parts = 1 if p.dtype.name == "float16" else min(_up(p.k, _PART),
                                                         _up(_PARTS, _up(p.n, _COLUMNS) * rows))
    else:
        return None
    deep = _up(_up(p.k, parts), v) * v
    parts = _up(p.k, deep)
    out = OUT() if parts == 1 else WORK(0)
    main = _form("vector", kernel, p, tune, (out, a, b, p.table, *_sizes(*shape, deep, total, *tail)),
                 (blocks, parts, rows))
    if parts == 1:
        return Plan((main,))
    per = max(v, _up(_up(total, 16), v) * v)
    fold = _form("vector", "fold", p, tune, (OUT(), WORK(0), *_sizes(parts, total, per)), (_up(total, per),))
    return Plan((main, fold), (parts * total * p.dtype.size,))


def _tiles(p: Product, tune: dict, epilogue: str) -> Plan:
    side, tile = tune["side"], tune["side"] * tune["each"]
    args = (OUT(), IN(0), IN(1), p.table, *_sizes(p.m, p.n, p.k, *p.a_strides, *p.b_strides), *_bias(epilogue))
    return Plan((launch("matmul_gpu", "tiles", args, (_up(p.n, tile) * side * side, _up(p.m, tile), p.groups),
                        (side * side, 1, 1), dtype=p.dtype.name, v=1, epilogue=epilogue, side=side,
                        each=tune["each"], depth=tune["depth"]),))
