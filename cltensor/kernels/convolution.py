"""How a convolution becomes one contraction with strides: pure functions from sizes to a Plan.

The forward pass, the gradient of the input and the gradient of the filter are the same kernel (described in
kernels/conv2d_cpu.cl.mako) walked along other strides:

                       rows                               columns           k
    forward            output pixels                      output channels   window, input channels
    input gradient     input pixels of a stride phase     input channels    taps that reach them, output channels
    filter gradient    window, input channels             output channels   output pixels

Borders are never tested for: activations are copied once with their zeros around them where there is padding.
A stride of s splits the input gradient into s * s phases, each a convolution of its own with the taps that meet
it, so no product with an inserted zero is computed. A 1x1 convolution of stride 1 is a matrix product.

The forward pass and the gradient of the input take an epilogue (kernels/epilogue.py): bias, activation and what else
is done to each finished number before it is stored, with the bits of the separate ops.

The depthwise form (output channel c sees input channel c alone) differs in what lies along k and columns only. So it is
under the gpu schedule; vectors of channels want kernels of their own (depthwise.py).
"""

from __future__ import annotations

from math import gcd
from typing import Any, NamedTuple

from cltensor.base.dtypes import DType
from cltensor.kernels import depthwise, matmul
from cltensor.kernels.epilogue import Epilogue
from cltensor.kernels.plan import IN, OUT, SCALAR, TABLE, WORK, Launch, Plan, launch
from cltensor.kernels.tuning import lookup

__all__ = ["Window", "forward", "input_gradient", "filter_gradient"]

# The filter's gradient sums over all pixels of all images. Images are dealt to at most so many parts that are
# added at the end. This decides the order of a sum, so it is not for tuning.
_PARTS = 16


class Window(NamedTuple):
    """Sizes of a convolution: input n x h x w x c, window kh x kw, output n x oh x ow x o, and how it steps."""

    dtype: DType
    depthwise: bool
    n: int
    h: int
    w: int
    c: int
    kh: int
    kw: int
    o: int
    oh: int
    ow: int
    sy: int
    sx: int
    dy: int
    dx: int
    top: int
    left: int

    @property
    def pixelwise(self) -> bool:
        """Each output pixel sees one input pixel at the same place."""
        return (self.kh == self.kw == self.sy == self.sx == 1 and not self.top and not self.left
                and not self.depthwise and self.h == self.oh and self.w == self.ow)


class _Nest(NamedTuple):
    """Three nested indices: their sizes, and what a step of each moves in up to two buffers."""

    sizes: tuple
    first: tuple
    second: tuple


def _up(a: int, b: int) -> int:
    return -(-a // b)


class _Steps:
    """Launches and workspace of a plan in the making."""

    def __init__(self, w: Window, target: Any, columns: int):
        self.w, self.target, self.tune = w, target, lookup("conv2d", target)
        self.cpu = target.schedule == "cpu"
        self.lanes = (8 if w.dtype.compute == "double" else 16) if self.cpu else 1
        self.nv = 1 if columns <= self.lanes or not self.cpu else self.tune["nv"]
        self.nr = self.nv * self.lanes         # columns of a block; buffers b are padded to whole blocks
        self.cell = 4 if w.dtype.compute == "float" else w.dtype.size
        self.launches: list[Launch] = []
        self.workspace: list[int] = []

    def work(self, elements: int) -> tuple:
        self.workspace.append(elements * self.cell)
        return WORK(len(self.workspace) - 1)

    def plan(self) -> Plan:
        return Plan(tuple(self.launches), tuple(self.workspace))

    def _layout(self, kernel: str, args: tuple, numbers: tuple, groups: tuple, elements: int) -> None:
        size, local = (groups, (1,) * len(groups)) if self.cpu else ((64 * min(_up(elements, 64), 4096),), (64,))
        given = (*args, *(SCALAR("ulong", n) for n in numbers))
        self.launches.append(launch("conv2d_layout", kernel, given, size, local, prepares=kernel != "fold",
                                    dtype=self.w.dtype.name, v=8 if self.w.dtype.compute == "double" else 16,
                                    schedule=self.target.schedule))

    def pad(self, source: tuple, n: int, size: tuple, c: int, wanted: tuple, cp: int, top: int = 0,
            left: int = 0) -> tuple:
        """`source` of n x size x c with zeros around, n x wanted x cp; itself where that is the same."""
        if size == wanted and c == cp and self.w.dtype.name != "float16":
            return source
        (h, w), (hp, wp) = size, wanted
        out, rows = self.work(n * hp * wp * cp), n * hp
        per = _up(rows, 32) if rows * wp * cp > 4096 else rows
        self._layout("pad", (out, source), (rows, hp, wp, cp, h, w, c, top, left, per), (_up(rows, per),),
                     rows * wp * cp)
        return out

    def panels(self, source: tuple, taps: int, k: int, n: int, rows: int, sk: int, si: int,
               flip: bool = False) -> tuple:
        """Weights as b wants them, taps backwards with `flip`: (buffer, step of a tap, of k, of a column block).

        Where they could be read as they are, lines of up to 512 bytes cost nothing; longer ones miss the cache, so
        panels of them pay if rows are many beside the weights.
        """
        nr = self.nr if self.cpu else n
        near = n * self.cell <= 512 or taps * k * n > rows * 2 ** 13 or not self.cpu
        if si == 1 and n % nr == 0 and near and not flip and self.w.dtype.name != "float16":
            return source, k * n, n, nr
        out = self.work(_up(n, nr) * taps * k * nr)
        self._layout("panels", (out, source), (taps, k, n, nr, k * n, sk, si, int(flip)), (taps, _up(n, nr)),
                     _up(n, nr) * taps * k * nr)
        return out, k * nr, nr, taps * k * nr

    def channels(self, c: int) -> int:
        """Channels of a buffer that is read by whole column blocks."""
        return _up(c, self.nr) * self.nr

    def contract(self, out: tuple, a: tuple, b: tuple, rows: _Nest, k: _Nest, columns: int, block: int,
                 at: tuple = (0, 0, 0), parts: int = 1, ranged: bool = False, out_part: int = 0,
                 dtype: str = "", epilogue: Epilogue | None = None) -> None:
        """rows: steps in a and out; k: steps in a and b; at: where row 0, k 0 lies in a, b, out."""
        k = k if ranged else _merged(k)         # ranges are cut along the middle index
        count = rows.sizes[0] * rows.sizes[1] * rows.sizes[2]
        part = _up(k.sizes[0], parts)
        parts = _up(k.sizes[0], part)
        blocks, mr = _up(columns, self.nr), self.tune["mr"]
        if ranged:
            deep = (1, max(1, self.tune["range"] // k.sizes[2]))
            wide, per = blocks, _up(_up(count, _up(_PARTS, parts)), mr) * mr
            sub = per
        else:
            deep = (part, max(1, k.sizes[1]))
            panel = k.sizes[0] * k.sizes[1] * k.sizes[2] * self.nr * self.cell
            wide = min(blocks, max(1, self.tune.get("panel", 1) // max(1, panel)))
            per = _up(_up(count, _up(self.tune.get("groups", 1), _up(blocks, wide))), mr) * mr
            sub = per if wide == 1 else min(per, self.tune.get("sweep", per))
        table = TABLE((count, *rows.sizes[1:], *rows.first, *rows.second, *k.sizes, *k.first, *k.second, *at, columns,
                       block, per, sub, wide, part, *deep, out_part))
        common: dict = {"dtype": dtype or self.w.dtype.name, "mr": mr,
                        "epilogue": epilogue.text(self.target.schedule) if epilogue else ()}
        args = (out, a, b, table, *(epilogue.args if epilogue else ()))
        if self.cpu:
            self.launches.append(launch("conv2d_cpu", "contract", args, (
                _up(count, per), _up(blocks, wide), parts), v=self.lanes, nv=self.nv, unroll=self.tune["unroll"],
                dense=not ranged,
                beside=rows.first[2] == 1 and rows.sizes[2] % mr == 0 and sub % mr == 0,
                **common))
        else:
            self.launches.append(launch("conv2d_gpu", "contract", args, (
                64 * _up(_up(count, mr) * columns, 64), parts), (64, 1), depthwise=self.w.depthwise, **common))

    def fold(self, source: tuple, parts: int, rows: int, n: int, width: int) -> None:
        per = _up(rows, min(32, max(1, rows * width * parts // 4096)))
        self._layout("fold", (OUT(), source), (parts, rows, n, width, per), (_up(rows, per),), rows * n)


def _merged(k: _Nest) -> _Nest:
    """The two inner indices as one where both buffers walk them alike: longer inner loops."""
    (n0, n1, n2), a, b = k
    if n1 == 1 or (a[1] != n2 * a[2] or b[1] != n2 * b[2]):
        return k
    return _Nest((n0, 1, n1 * n2), (a[0], 0, a[2]), (b[0], 0, b[2]))


def _input(w: Window, steps: _Steps) -> tuple:
    """The input with its border: (buffer, height, width, channels)."""
    c = steps.channels(w.c) if w.depthwise else w.c
    hp, wp = (w.oh - 1) * w.sy + (w.kh - 1) * w.dy + 1, (w.ow - 1) * w.sx + (w.kw - 1) * w.dx + 1
    if not w.top and not w.left and hp <= w.h and wp <= w.w:
        hp, wp = w.h, w.w                  # nothing outside is read: no border
    return steps.pad(IN(0), w.n, (w.h, w.w), w.c, (hp, wp), c, w.top, w.left), hp, wp, c


def forward(w: Window, target: Any, epilogue: Epilogue | None = None) -> Plan:
    """Inputs: activations, filter [kh, kw, c, o] (depthwise [kh, kw, c]), those of the epilogue."""
    if w.pixelwise:
        return _product(w.dtype, w.n * w.h * w.w, w.o, w.c, False, False, target, epilogue)
    if w.depthwise and target.schedule == "cpu":
        return depthwise.forward(w, target, epilogue)
    steps = _Steps(w, target, w.o)
    x, hp, wp, c = _input(w, steps)
    rows = _Nest((w.n, w.oh, w.ow), (hp * wp * c, w.sy * wp * c, w.sx * c), (w.oh * w.ow * w.o, w.ow * w.o, w.o))
    if w.depthwise:
        f = steps.pad(IN(1), 1, (1, w.kh * w.kw), w.c, (1, w.kh * w.kw), c)
        k, block = _Nest((w.kh, 1, w.kw), (w.dy * wp * c, 0, w.dx * c), (w.kw * c, 0, c)), steps.nr
    else:
        f, tap, row, block = steps.panels(IN(1), w.kh * w.kw, c, w.o, w.n * w.oh * w.ow, w.o, 1)
        k = _Nest((w.kh, w.kw, c), (w.dy * wp * c, w.dx * c, 1), (w.kw * tap, tap, row))
    steps.contract(OUT(), x, f, rows, k, w.o, block, epilogue=epilogue)
    return steps.plan()


class _Phase(NamedTuple):
    """Input places p, p + s, p + 2 s, ... along one axis, and the taps that reach them."""

    p: int
    places: int
    tap: int           # the first tap that does
    step: int          # from one such tap to the next
    taps: int
    start: int         # the output place that place p reaches through the first tap
    back: int          # output places to go back for the next tap


def _phases(size: int, window: int, s: int, d: int, before: int) -> list[_Phase]:
    """Which taps t of a window take part at input place i: output place (i + before - t * d) / s, where whole."""
    found = []
    for p in range(min(s, size)):
        taps = [t for t in range(window) if (p + before - t * d) % s == 0]
        first = taps[0] if taps else 0
        found.append(_Phase(p, _up(size - p, s), first, s // gcd(s, d), len(taps), (p + before - first * d) // s,
                            d // gcd(s, d)))
    return found


def _reach(phases: list[_Phase]) -> tuple[int, int]:
    """Zeros wanted before the first output place, and the number of places with them."""
    used = [f for f in phases if f.taps]
    low = min([f.start - f.back * (f.taps - 1) for f in used], default=0)
    high = max([f.start + f.places - 1 for f in used], default=0)
    before = max(0, -low)
    return before, max(1, high + before + 1)


def input_gradient(w: Window, target: Any, epilogue: Epilogue | None = None) -> Plan:
    """Inputs: gradient of the output [n, oh, ow, o], filter, those of the epilogue. Result: that of the input."""
    if w.pixelwise:
        return _product(w.dtype, w.n * w.h * w.w, w.c, w.o, False, True, target, epilogue)
    down, across = _phases(w.h, w.kh, w.sy, w.dy, w.top), _phases(w.w, w.kw, w.sx, w.dx, w.left)
    if w.depthwise and target.schedule == "cpu":
        return depthwise.input_gradient(w, target, down, across, epilogue)
    steps = _Steps(w, target, w.c)
    (top, hp), (left, wp) = _reach(down), _reach(across)
    o = steps.channels(w.o) if w.depthwise else w.o
    if not top and not left and hp <= w.oh and wp <= w.ow:
        hp, wp = w.oh, w.ow
    g = steps.pad(IN(0), w.n, (w.oh, w.ow), w.o, (hp, wp), o, top, left)
    if w.depthwise:
        f = steps.pad(IN(1), 1, (1, w.kh * w.kw), w.c, (1, w.kh * w.kw), o)
        tap, row, block = o, 0, steps.nr
    else:
        f, tap, row, block = steps.panels(IN(1), w.kh * w.kw, o, w.c, w.n * w.h * w.w, 1, o, flip=True)
    for y in down:
        for x in across:
            rows = _Nest((w.n, y.places, x.places), (hp * wp * o, wp * o, o),
                         (w.h * w.w * w.c, w.sy * w.w * w.c, w.sx * w.c))
            # taps from the last to the first: addresses in the gradient rise, and in flipped weights too
            a, b = (y.back * wp * o, x.back * o), (y.step * w.kw * tap, x.step * tap)
            last = (y.tap + y.step * (y.taps - 1)) * w.kw + x.tap + x.step * (x.taps - 1)
            if not y.taps or not x.taps:
                k = _Nest((1, 1, 0), (0, 0, 0), (0, 0, 0))         # no tap: zeros
            elif w.depthwise:
                k = _Nest((y.taps, 1, x.taps), (a[0], 0, a[1]), (-b[0], 0, -b[1]))
            else:
                k = _Nest((y.taps, x.taps, o), (*a, 1), (*b, row))
                last = w.kh * w.kw - 1 - last
            at = ((y.start - y.back * (y.taps - 1) + top) * wp * o + (x.start - x.back * (x.taps - 1) + left) * o,
                  last * tap, (y.p * w.w + x.p) * w.c)
            steps.contract(OUT(), g, f, rows, k, w.c, block, at if k.sizes[2] else (0, 0, at[2]),
                           epilogue=epilogue)
    return steps.plan()


def filter_gradient(w: Window, target: Any) -> Plan:
    """Inputs: activations, gradient of the output. Result: gradient of the filter [kh, kw, c, o]."""
    if w.depthwise and target.schedule == "cpu":
        return depthwise.filter_gradient(w, target)
    steps = _Steps(w, target, w.o)
    x, hp, wp, c = _input(w, steps)
    o = steps.channels(w.o)
    g = steps.pad(IN(1), w.n, (w.oh, w.ow), w.o, (w.oh, w.ow), o)
    taps = w.kh * w.kw
    if w.depthwise:
        rows = _Nest((w.kh, 1, w.kw), (w.dy * wp * c, 0, w.dx * c), (w.kw * o, 0, o))
        count = taps
    else:
        rows = _Nest((w.kh, w.kw, c), (w.dy * wp * c, w.dx * c, 1), (w.kw * c * o, c * o, o))
        count = taps * c
    k = _Nest((w.n, w.oh, w.ow), (hp * wp * c, w.sy * wp * c, w.sx * c), (w.oh * w.ow * o, w.ow * o, o))
    if w.n == 1:
        k = _Nest((w.oh, 1, w.ow), (k.first[1], 0, k.first[2]), (k.second[1], 0, k.second[2]))
    # As many parts as cost no more memory traffic than reading the activations does: by the true sizes, since
    # the padded ones follow the tile, and parts decide the order of a sum.
    pixels, size = w.n * (hp * wp * w.c + w.oh * w.ow * w.o), count * o
    true = taps * w.o if w.depthwise else count * w.o
    parts = _up(k.sizes[0], _up(k.sizes[0], max(1, min(_PARTS, k.sizes[0], pixels // (2 * true)))))
    whole = parts == 1 and o == w.o and w.dtype.name != "float16"
    out = OUT() if whole else steps.work(parts * size)
    steps.contract(out, x, g, rows, k, o, steps.nr, parts=parts, ranged=True, out_part=size,
                   dtype="" if whole or w.dtype.name == "float64" else "float32")
    if not whole:
        steps.fold(out, parts, count, w.o, o)
    return steps.plan()


def _product(dtype: DType, m: int, n: int, k: int, transpose_a: bool, transpose_b: bool, target: Any,
             epilogue: Epilogue | None) -> Plan:
    product = matmul.Product(dtype, m, n, k, transpose_a, transpose_b, (1,), (0,), (0,), 1, 1, 1)
    return matmul.plan(product, target, epilogue)
