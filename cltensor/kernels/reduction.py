"""Plans of reductions and arg-reductions: which axes in which pass, cut into how many blocks.

Any set of axes becomes passes over [outer, R, inner] views: adjacent dimensions that are kept or reduced
together merge into one. How a pass is cut depends on sizes only, never on the device: the cuts decide
the order of summation, and so the bits.
"""

from __future__ import annotations

from math import gcd, prod
from typing import Any

from cltensor.base.dtypes import DType, as_dtype
from cltensor.kernels.accumulate import accumulator
from cltensor.kernels.expression import WIDTH, Expression, statement_lines
from cltensor.kernels.plan import IN, OUT, SCALAR, TALLY, WORK, Launch, Plan, launch
from cltensor.kernels.tuning import lookup

__all__ = ["passes", "lower_reduce", "lower_argreduce", "spread", "pieces", "DIVIDE"]

DIVIDE = "x / scale"       # the final expression of sums: scale is 1, the count of a mean, 2 of l2_loss
MOST_PIECES = 63           # of a row that are put together in the queue's tally
_GRAIN = 32768             # elements below which cutting a reduction again costs more than it gains
_CHAIN = 4096              # rows that may be added one after the other while there is work for everybody anyway
_FLAT = 1024               # elements of rows side by side that count as one


def passes(shape: tuple, axes: tuple) -> list[tuple[int, int, int]]:
    """The (outer, R, inner) views that reduce `axes` one after the other, largest R first.

    Example:
        >>> passes((4, 5, 6), (1, 2)), passes((4, 5, 6), (0, 2)), passes((3, 1), (1,))
        ([(4, 30, 1)], [(20, 6, 1), (1, 4, 5)], [(1, 1, 3)])
    """
    groups: list[list] = []
    for i, d in enumerate(shape):
        if d == 1:
            continue
        if groups and groups[-1][1] == (i in axes):
            groups[-1][0] *= d
        else:
            groups.append([d, i in axes])
    found = []
    while any(cut for _, cut in groups):
        k = max((i for i, g in enumerate(groups) if g[1]), key=lambda i: (groups[i][0], i))
        found.append((prod(g[0] for g in groups[:k]), groups[k][0], prod(g[0] for g in groups[k + 1:])))
        del groups[k]
        if 0 < k < len(groups):      # what lay on both sides is adjacent now
            groups[k - 1][0] *= groups.pop(k)[0]
    return found or [(1, 1, prod(shape))]


def spread(units: int, n: int, target: Any, per_group: int = 1) -> tuple[int, tuple, tuple]:
    """(units per work-item, global size, local size) for `units` pieces of work over n elements.

    cpu: one group per `grain` elements, up to `groups`. gpu: `per_group` units for each group of 64 items.
    """
    tune = lookup("reduce", target)
    if target.schedule == "cpu":
        per = -(-units // max(1, min(n // tune["grain"], tune["groups"], units)))
        return per, (-(-units // per),), (1,)
    return 1, (64 * max(1, min(-(-units // per_group), tune["groups"])),), (64,)


def pieces(outer: int, R: int, inner: int, schedule: str) -> tuple[int, int]:
    """How often R is cut, and the length of a piece."""
    n = outer * R * inner
    if inner > 1:
        # a gpu item adds a whole piece of a column in one chain: shorter pieces err less and keep more items busy
        grain, most = (_GRAIN, 16) if schedule == "cpu" else (_GRAIN // 4, 64)
        want = min(n // grain, max(1, R // 64), most) if n >= _GRAIN else 1
        if schedule == "cpu":
            want = max(1, want // outer, min(want, R // _CHAIN))
        length = -(-R // want)
    else:
        most = 32 if schedule == "cpu" else 512
        want = max(1, min(n // _GRAIN, most) // outer) if n > 2 * _GRAIN else 1
        length = -(-R // (want * 64)) * 64 if want > 1 else R
    return -(-R // length), length


def _fold(R: int, inner: int) -> int:
    """How many rows of `inner` < 128 elements count as one, so that vectors are full; 0 if there are too few rows.

    Example:
        >>> _fold(1000, 3), _fold(1000, 100), _fold(20, 64), _fold(5, 3)
        (32, 8, 1, 0)
    """
    fold = 16 // gcd(inner, 16)
    if fold > R:
        return 0
    while 2 * fold * inner <= _FLAT and 32 * fold <= R:
        fold *= 2
    return fold


def _at_once(units: int, target: Any) -> tuple[int, tuple, tuple]:
    """As `spread`, for the few pieces of a long row: four for an item while every core has two items."""
    per = max(1, min(4, units // (2 * target.compute_units)))
    return per, (-(-units // per),), (1,)


def _finishes(view: tuple, cut: tuple, acc: DType, target: Any) -> bool:
    """Whether the group that ends last may put the pieces together, in place of a second launch.

    Its atomic functions are those of 32 bits, and only CPUs are certain to show it what other groups wrote.
    """
    (outer, _, inner), (chunks, _) = view, cut
    return (target.schedule == "cpu" and target.is_cpu and acc.size == 4 and inner == 1 and 1 < chunks
            and outer * chunks <= MOST_PIECES)


def _step(out: tuple, source: tuple, view: tuple, cut: tuple, target: Any, common: dict, scale: float,
          ) -> Launch:
    outer, R, inner = view
    chunks, length = cut
    schedule = target.schedule
    acc = accumulator(common["src"])
    number = SCALAR(acc.compute, scale if acc.is_floating else int(scale))

    def sizes(*values: int) -> list:
        return [SCALAR("ulong", v) for v in values]

    n = outer * R * inner
    fold = _fold(R, inner) if schedule == "cpu" and 1 < inner < 128 and inner != 64 else 0
    template = "reduce" if inner == 1 else "reduce_columns"
    if inner >= 128 and schedule == "cpu":
        width = 1024 if outer * chunks * inner >= 16 * 1024 else 128
        strips = -(-inner // width)
        per, work, local = spread(outer * chunks * strips, n, target)
        args = [out, source, *sizes(outer, R, inner, strips, chunks, length, width, per), number]
        kernel = "wide"
    elif fold:
        per, work, local = spread(outer * chunks, n, target)
        args = [out, source, *sizes(outer, R, inner, fold, chunks, length, per), number]
        kernel = "flat"
    elif inner > 1:
        strips = -(-inner // 64)
        units = outer * chunks * (strips if schedule == "cpu" else inner)
        per, work, local = spread(units, n, target, 64)
        args = [out, source, *sizes(outer, R, inner, strips, chunks, length, per), number]
        kernel = "columns"
    elif R < 16 and schedule == "gpu":
        per, work, local = spread(outer, n, target, 64)
        args, kernel = [out, source, *sizes(outer, R, per), number], "lanes"
    elif _finishes(view, cut, acc, target):
        per, work, local = _at_once(outer * chunks, target)
        args = [out, source, TALLY, *sizes(outer, R, chunks, length, per), number]
        kernel = "whole"
    else:
        per, work, local = spread(outer * chunks, n, target)
        args = [out, source, *sizes(outer, R, chunks, length, per), number]
        kernel = "rows"
    return launch(template, kernel, args, work, local, schedule=schedule, **common)


def lower_reduce(ins: tuple, outs: tuple, target: Any, *, op: str, axes: tuple, map: str = "x",
                 final: str = "", scale: float = 1, before: Expression | None = None) -> Plan:
    """Launches that reduce `axes` of the first input: final(op(map(x)), scale).

    `before`, an expression of one input, takes the place of `map`. `op` is "sum", "prod", "max" or "min"; a sum's
    `final` is a division by `scale` unless given.
    """
    src, dst = ins[0].dtype, outs[0].dtype
    neutral = DIVIDE if op == "sum" else "x"
    final = final or neutral
    acc = accumulator(src)
    todo: list[tuple] = []
    for outer, R, inner in passes(ins[0].shape, axes):
        chunks, length = pieces(outer, R, inner, target.schedule)
        alone = chunks == 1 or _finishes((outer, R, inner), (chunks, length), acc, target)
        todo.append(((outer, R, inner), (chunks, length), outer * (1 if alone else chunks) * inner))
        if not alone:
            todo.append(((outer, chunks, inner), (1, chunks), outer * inner))
    first = (statement_lines(before, WIDTH[target.schedule]), before.outputs[0]) if before else ()
    launches, workspace, source = [], [], IN(0)
    for i, (view, cut, size) in enumerate(todo):
        last = i == len(todo) - 1
        common = {"op": op, "src": src.name if i == 0 else acc.name, "dst": dst.name if last else acc.name,
                  "map": map if i == 0 else "x", "before": first if i == 0 else (), "final": final if last else neutral}
        out = OUT() if last else WORK(len(workspace))
        launches.append(_step(out, source, view, cut, target, common, scale if last else 1))
        if not last:
            workspace.append(size * acc.size)
            source = out
    return Plan(tuple(launches), tuple(workspace))


def lower_argreduce(ins: tuple, outs: tuple, target: Any, *, op: str, axis: int) -> Plan:
    """Launches that find the position of the first extreme value along `axis`."""
    shape, src = ins[0].shape, ins[0].dtype
    outer, R, inner = prod(shape[:axis]), shape[axis], prod(shape[axis + 1:])
    common: dict = {"op": op, "src": src.name, "dst": outs[0].dtype.name, "schedule": target.schedule}
    n = outer * R * inner
    acc: DType = accumulator(as_dtype(src))

    def sizes(*values: int) -> list:
        return [SCALAR("ulong", v) for v in values]

    def finish(cut: list, chunks: int) -> Plan:
        per, work, local = spread(outer * inner, outer * chunks * inner, target, 64)
        second = launch("argreduce", "finish", [OUT(), WORK(0), WORK(1), *sizes(outer, chunks, inner, per)], work,
                        local, **common)
        cells = outer * chunks * inner
        return Plan((*cut, second), (cells * acc.size, cells * 8))

    if inner > 1:
        cpu = target.schedule == "cpu"
        strips = -(-inner // 64)
        chunks, length = pieces(outer, R, inner, "cpu") if cpu else (1, R)
        units = outer * chunks * strips if cpu else outer * inner
        per, work, local = spread(units, n, target, 64)
        if chunks == 1:
            args = [OUT(), IN(0), *sizes(outer, R, inner, strips, per)]
            return Plan((launch("argreduce", "columns", args, work, local, **common),))
        args = [WORK(0), WORK(1), IN(0), *sizes(outer, R, inner, strips, chunks, length, per)]
        return finish([launch("argreduce", "parts", args, work, local, **common)], chunks)
    if R < 16:
        units = -(-outer // 16) if target.schedule == "cpu" else outer
        per, work, local = spread(units, n, target, 64)
        args = [OUT(), IN(0), *sizes(outer, R, per)]
        return Plan((launch("argreduce", "lanes", args, work, local, **common),))
    chunks, length = pieces(outer, R, 1, target.schedule)
    while length > 2**30:            # positions inside a piece are 32-bit
        chunks, length = 2 * chunks, -(-length // 128) * 64
    chunks = -(-R // length)
    per, work, local = spread(outer * chunks, n, target)
    if chunks == 1:
        args = [OUT(), IN(0), *sizes(outer, R, per)]
        return Plan((launch("argreduce", "whole", args, work, local, **common),))
    args = [WORK(0), WORK(1), IN(0), *sizes(outer, R, chunks, length, per)]
    return finish([launch("argreduce", "rows", args, work, local, **common)], chunks)
