"""Which matmul kernel a shape gets: pure functions from sizes to a Plan, no device touched.

Under the cpu schedule three forms share the work (kernels/matmul_cpu.cl.mako and matmul_vector say what each computes):

    M < 4 (or N < 4, the product swapped)                    vector   memory-bound: B is read once
    B transposed, M or N below one register tile, float16,
    rows of B that compete in the cache, a large A times
    few columns (which "direct" would read once for each
    tile of columns)                                         tiles, where several groups would each copy the same
                                                             of B after a launch that does so once ("packed")
    else                                                     direct

Sizes and strides are arguments of the kernels, so there is one program per form and dtype; "tiles" has one more for
products no wider than a vector. Under the gpu schedule there is one form with two tiles, a large one for products
that give every part of a device work, a small one for all others (kernels/matmul_gpu.cl.mako); the transposes are part
of the program, as they decide along which direction vectors are loaded.

Every form takes an epilogue (kernels/epilogue.py): bias, activation and what else is done to each finished number
before it is stored, with the bits of the separate ops.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cltensor.base.dtypes import DType
from cltensor.kernels.epilogue import Epilogue
from cltensor.kernels.plan import IN, OUT, SCALAR, TABLE, WORK, Launch, Plan, launch
from cltensor.kernels.tuning import TILE, default, lookup

__all__ = ["Product", "plan", "plan_sum", "plain"]

_TINY = 16 ** 3            # products below need no second launch to be quick
# A vector-times-matrix product is cut along k into parts of at least so many steps, as long as there are fewer
# than so many parts and blocks of columns. These decide the order of a sum, so they are not for tuning.
_PART, _PARTS, _COLUMNS = 256, 8, 128
_STRIPS, _SMALL = 3, 2 ** 19          # strips that keep two cores busy; elements of a small B
_LARGE = 512               # matrices of so many rows and columns have tiles to spare: wider ones are quicker there
_MUCH = 2 ** 24            # multiply-adds from which on the wider tile is worth a program with fewer of either, too
_ROWS = 96                 # rows of a group, if there are so many, that share the work of filling a panel
_DEEP = 128                # steps along k that a wider tile wants
_STREAMED = 2 ** 22        # bytes of A that are read from memory again when they are needed again
_WORTH = 2 ** 17           # multiply-adds that make a group worth starting
_PACKED = 2 ** 22          # multiply-adds that make a launch before, which fills all panels, worth it
_COPIED = 2 ** 28          # bytes of panels at most
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


def plan(p: Product, target: Any, epilogue: Epilogue | None = None) -> Plan:
    """The Plan of a product; inputs 0 and 1 are A and B, inputs 2, 3, ... those of the epilogue."""
    # Tiny products take the untuned kernel, so that a process that has no others never tries a tuned entry.
    untuned = default("matmul", target.schedule)
    tune = untuned if p.m * p.n * p.k <= _TINY else lookup("matmul", target)
    if target.schedule == "gpu":
        return _gpu(p, _gpu_tile(p, tune, target), epilogue)
    vector = _vector(p, tune, epilogue)
    if vector is not None:
        return vector
    if _goes_direct(p, tune):
        return _direct(p, tune, epilogue)
    return _tiles(p, tune, target, epilogue)


def _goes_direct(p: Product, tune: dict) -> bool:
    few = min(p.m, p.n) < _LARGE
    collide = p.n * p.dtype.size % _PAGE == 0 and p.k > 512
    streamed = few and p.m * p.k * p.dtype.size > _STREAMED
    fits = tune["direct"] and p.m >= tune["mr"] and p.n >= tune["nv"] * _lanes(p.dtype)
    return bool(fits and not p.transpose_b and p.dtype.name != "float16" and not collide and not streamed
                and p.m * p.n * p.k > _TINY)


def plain(p: Product, target: Any) -> Plan:
    """A product with untuned parameters: what tuned ones must agree with, bit for bit."""
    untuned = default("matmul", target.schedule)
    if target.schedule == "gpu":
        return _gpu(p, {name: untuned["small_" + name] for name in TILE}, None)
    return _vector(p, untuned, None) or _tiles(p, untuned, target, None, pack=False)


def _lanes(dtype: DType) -> int:
    """Lanes of a 64-byte vector of the compute type."""
    return 8 if dtype.compute in ("double", "long") else 16


def _form(form: str, kernel: str, p: Product, tune: dict, args: Any, groups: tuple,
          epilogue: Epilogue | None = None, ahead: bool = False, packed: bool = False,
          apart: bool = False) -> Launch:
    """A launch; parameters a form does not use are left at their defaults, so that they make no further programs."""
    used = {"tiles": ("mr", "nv", "unroll", *(() if packed else ("kc",))), "direct": ("mr", "nv")}[form]
    untuned = default("matmul", "cpu")
    own: dict[str, Any] = {name: (tune if name in used else untuned)[name] for name in ("mr", "nv", "kc", "unroll")}
    ends = epilogue.args if epilogue and kernel != "pack" else ()
    return launch("matmul_cpu", kernel, (*args, *ends), groups, prepares=kernel == "pack", dtype=p.dtype.name,
                  form=form, v=_lanes(p.dtype), epilogue=epilogue.text("cpu") if epilogue else (),
                  ahead=ahead, packed=packed, apart=apart, **own)


def _vector_form(kernel: str, p: Product, tune: dict, args: Any, groups: tuple,
                 epilogue: Epilogue | None = None) -> Launch:
    return launch("matmul_vector", kernel, (*args, *(epilogue.args if epilogue else ())), groups, dtype=p.dtype.name,
                  v=_lanes(p.dtype), epilogue=epilogue.text("cpu") if epilogue else (), dots=tune["dots"])


def _direct(p: Product, tune: dict, epilogue: Epilogue | None) -> Plan:
    if min(p.m, p.n) >= _LARGE:
        tune = _large(tune)
    args = (OUT(), IN(0), IN(1), p.table, *_sizes(p.m, p.n, p.k, *p.a_strides))
    groups = (_up(p.m, tune["mr"]), _up(p.n, tune["nv"] * _lanes(p.dtype)), p.groups)
    return Plan((_form("direct", "direct", p, tune, args, groups, epilogue),))


def _large(tune: dict) -> dict:
    return {**tune, "mr": tune["large_mr"], "nv": tune["large_nv"]}


def _register_tile(p: Product, tune: dict) -> dict:
    """`tune` with the register tile for this product: one vector wide, or wider where much work pays for a program
    and no more columns are padded."""
    v = _lanes(p.dtype)
    if p.n <= v:
        # A pointer for each row and step of an unrolled loop would not fit the registers.
        return {**tune, "nv": 1, "kc": tune["kc"] * tune["nv"], "unroll": 1}
    few, many = tune["nv"] * v, tune["large_nv"] * v
    much = p.m >= _ROWS and p.k >= _DEEP and p.m * p.n * p.k * p.groups >= _MUCH
    if much and _up(p.n, many) * many <= _up(p.n, few) * few * 9 // 8:
        return _large(tune)
    return tune


def _even(n: int, most: int) -> int:
    """The size of pieces when n is cut into as few as `most` allows, all alike."""
    return _up(n, _up(n, most))


def plan_sum(p: Product, each: int, target: Any) -> Plan | None:
    """The Plan of a sum of products, with the bits of products and additions one by one; None where there is none.

    Args:
        p: the operands of all behind each other as one product. Not float16, which rounds each product.
        each: steps of k of one of them.
    """
    tune = lookup("matmul", target)
    if target.schedule != "cpu" or each > tune["kc"] or p.dtype.name == "float16":
        return None
    return _tiles(p, tune, target, None, each)


def _blocks(p: Product, tune: dict, rows: int, least: int) -> tuple[int, int]:
    """Rows and panels of a group: at most `rows`, fewer where cores would lack groups, but never below `least`."""
    mr, nr = tune["mr"], tune["nv"] * _lanes(p.dtype)
    panels, work = _up(p.n, nr), p.m * p.n * p.k * p.groups
    want = max(1, min(tune["least_groups"], work // _WORTH))
    tall, wide = min(rows, p.m), min(panels, max(1, tune["block_columns"] // nr))
    # Fewer panels to a group first: it costs nothing, while fewer rows use the same panel more often.
    while 2 * _up(p.m, tall) * _up(panels, wide) * p.groups <= want and (wide > 1 or tall >= 2 * least):
        if wide > 1:
            wide = _up(wide, 2)
        else:
            tall = _up(tall, 2)
    return _up(_even(p.m, tall), mr) * mr, _even(panels, wide)


def _tiles(p: Product, tune: dict, target: Any, epilogue: Epilogue | None, apart: int = 0,
           pack: bool = True) -> Plan:
    tune = _register_tile(p, tune)
    mr, nr = tune["mr"], tune["nv"] * _lanes(p.dtype)
    panels, size = _up(p.n, nr), 8 if p.dtype.compute in ("double", "long") else 4
    # A transposed panel costs as much to fill as a register tile to compute, so it is filled for many rows.
    tall, wide = _blocks(p, tune, tune["block_rows"], _ROWS if p.transpose_b else 2 * mr)
    works: list[int] = []
    rest: tuple = ()
    before: tuple = ()
    b, last = IN(1), p.k * p.n
    deep = apart or _even(p.k, tune["kc"])
    if p.dtype.name == "float16":
        works, rest = [4 * p.m * p.n * p.groups], (WORK(0),)
    ahead = target.is_cpu and not target.simulator and tune["nv"] > 1       # thin products wait for nothing
    # Where each panel would be filled by several groups, all are filled once, by a launch before.
    ranges = _up(p.k, _even(p.k, tune["packed_kc"]))
    nbytes = size * panels * nr * _up(p.k, ranges) * ranges * p.count_b
    packed = pack and not apart and p.m > tall and p.m * p.n * p.k * p.groups >= _PACKED and nbytes <= _COPIED
    if packed:
        tall, wide = _blocks(p, tune, tune["packed_rows"], 2 * mr)
        deep, b = _up(p.k, ranges), WORK(len(works))
        before = (_form("tiles", "pack", p, tune, (b, IN(1), *_sizes(p.n, p.k, *p.b_strides, last, deep)),
                        (panels, ranges, p.count_b), epilogue, ahead, packed),)
        last = nbytes // size // p.count_b
        works.append(nbytes)
    args = (OUT(), IN(0), b, *rest, p.table, *_sizes(p.m, p.n, p.k, *p.a_strides, *p.b_strides, last,
                                                    tall, wide, deep))
    return Plan((*before, _form("tiles", "tiles", p, tune, args, (_up(p.m, tall), _up(panels, wide), p.groups),
                                epilogue, ahead, packed, bool(apart))), tuple(works))


def _vector(p: Product, tune: dict, epilogue: Epilogue | None) -> Plan | None:
    """The form for M < 4 or N < 4, None when the shape is none of its cases."""
    if p.n * p.m * p.k <= _TINY:
        return None
    if p.n < 4 and p.n < p.m:
        swapped = p.swapped()
        if p.n == 1 or (swapped.a_strides[1] == 1 and swapped.b_strides[0] == 1):
            return _vector_rows(swapped, tune, (1, p.n), IN(1), IN(0), p.n, epilogue)
        return None
    return _vector_rows(p, tune, (p.n, 1), IN(0), IN(1), p.n, epilogue) if p.m < 4 else None


def _vector_rows(p: Product, tune: dict, c_strides: tuple, a: tuple, b: tuple, columns: int,
                 epilogue: Epilogue | None) -> Plan | None:
    v, total, rows = _lanes(p.dtype), p.groups * p.m * p.n, p.groups * p.m
    (am, ak), (bk, bn) = p.a_strides, p.b_strides
    if bn == 1 and p.n >= _COLUMNS and (p.m == 1 or c_strides == (p.n, 1)):
        # A small B in narrow strips with k whole saves the second launch; of a large one, long rows are read. float16
        # parts would round between. An odd number: of n groups PoCL gives n // 2 + 1 to the thread that is awake.
        half = p.dtype.name == "float16"
        if half or p.k * p.n <= _SMALL:
            pieces = _up(p.n, 16 * v) | 1
            width = _up(_up(p.n, pieces), v) * v
            parts = _up(2 * _STRIPS, pieces * rows) if pieces * rows < _STRIPS and not half else 1
        else:
            width, parts = 8 * tune["strip"] * v, _up(_PARTS, _up(p.n, 1024) * rows)
        kernel, blocks, shape, tail = "strip", _up(p.n, width), (p.m, p.n, p.k, am, ak), (width,)
        parts = min(_up(p.k, _PART // 2), parts)
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
    whole = parts == 1 and epilogue is None
    out = OUT() if whole else WORK(0)
    main = _vector_form(kernel, p, tune, (out, a, b, p.table, *_sizes(*shape, deep, total, *tail)),
                 (blocks, parts, rows))
    if whole:
        return Plan((main,))
    per = max(v, _up(_up(total, 16), v) * v)
    fold = _vector_form("fold", p, tune, (OUT(), WORK(0), *_sizes(parts, total, per, columns)),
                 (_up(total, per),), epilogue)
    return Plan((main, fold), (parts * total * p.dtype.size,))


def _gpu_tile(p: Product, tune: dict, target: Any) -> dict:
    """The tile of the gpu form, by the names of the template: the large one where it fits the device, leaves enough
    groups to share, and pads little; else the small one."""
    large = {name: tune[name] for name in TILE}
    rows, columns = _up(p.m, large["mwg"]), _up(p.n, large["nwg"])
    padded = rows * large["mwg"] * columns * large["nwg"]
    if (p.dtype.compute == "float" and rows * columns * p.groups >= tune["large_groups"]
            and 4 * padded <= 5 * p.m * p.n and _fits(large, p.dtype, target)):
        return large
    small = {name: tune["small_" + name] for name in TILE}
    # The untuned small tile fits the least that OpenCL promises, 32 KB of local memory, in every dtype.
    untuned = default("matmul", "gpu")
    return small if _fits(small, p.dtype, target) else {name: untuned["small_" + name] for name in TILE}


def _fits(tile: dict, dtype: DType, target: Any) -> bool:
    """Whether a group's items and its two pairs of tiles, whose lines are padded by 4 elements, fit the device."""
    size = 8 if dtype.compute in ("double", "long") else 4
    local = 2 * tile["kwg"] * (tile["mwg"] + tile["nwg"] + 8) * size
    return local <= target.local_mem and tile["mdimc"] * tile["ndimc"] <= target.max_group


def _gpu(p: Product, tile: dict, epilogue: Epilogue | None) -> Plan:
    items = tile["mdimc"] * tile["ndimc"]
    args = (OUT(), IN(0), IN(1), p.table, *_sizes(p.m, p.n, p.k), *(epilogue.args if epilogue else ()))
    groups = (_up(p.n, tile["nwg"]) * items, _up(p.m, tile["mwg"]), p.groups)
    return Plan((launch("matmul_gpu", "tiles", args, groups, (items, 1, 1), dtype=p.dtype.name, v=4, ta=p.transpose_a,
                        tb=p.transpose_b, epilogue=epilogue.text("gpu") if epilogue else (), **tile),))
