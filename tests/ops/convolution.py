"""Rows of convolutions and pooling: windows that touch every border, strides, dilations, odd channel counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.ops import conv, depthwise, pool
from tests.ops.row import Case, Input, Rounded, Row, case, distinct


def places(size: int, window: int, stride: int, padding: Any, dilation: int, axis: int) -> tuple[int, int, int]:
    """(places of the window, zeros before, size with all zeros), from TensorFlow's formulas."""
    reach = (window - 1) * dilation + 1
    if padding == "SAME":
        n = (size + stride - 1) // stride
        total = max((n - 1) * stride + reach - size, 0)
        return n, total // 2, size + total
    before, after = (0, 0) if padding == "VALID" else padding[1 + axis]
    return (size + before + after - reach) // stride + 1, before, size + before + after


def taps(x: Any, window: tuple, strides: Any, padding: Any, dilations: Any = 1, fill: float = 0) -> Any:
    """For each tap of the window the array [n, oh, ow, c] of what it sees; a list over ky, then kx."""
    sy, sx = (strides, strides) if isinstance(strides, int) else strides[1:3]
    dy, dx = (dilations, dilations) if isinstance(dilations, int) else dilations[1:3]
    n, h, w, c = x.shape
    oh, top, hp = places(h, window[0], sy, padding, dy, 0)
    ow, left, wp = places(w, window[1], sx, padding, dx, 1)
    padded = np.full((n, hp, wp, c), fill, np.float64)
    padded[:, top:top + h, left:left + w] = x
    return [padded[:, ky * dy:, kx * dx:][:, :(oh - 1) * sy + 1:sy, :(ow - 1) * sx + 1:sx][:, :oh, :ow]
            for ky in range(window[0]) for kx in range(window[1])]


def by_tap(f: Any) -> Any:
    return f.reshape(f.shape[0] * f.shape[1], *f.shape[2:])


def conv2d(x: Any, f: Any, strides: Any = 1, padding: Any = "SAME", dilations: Any = 1, **_: Any) -> Any:
    seen = taps(x, f.shape[:2], strides, padding, dilations)
    return sum(s @ g for s, g in zip(seen, by_tap(f)))


def depthwise_conv2d(x: Any, f: Any, strides: Any = 1, padding: Any = "SAME", dilations: Any = 1) -> Any:
    seen = taps(x, f.shape[:2], strides, padding, dilations)
    y: Any = sum(s[..., None] * g for s, g in zip(seen, by_tap(f)))
    return y.reshape(*y.shape[:3], -1)


def backprop_filter(x: Any, g: Any, sizes: list, strides: Any = 1, padding: Any = "SAME", dilations: Any = 1) -> Any:
    seen = taps(x, tuple(sizes[:2]), strides, padding, dilations)
    return np.stack([np.einsum("nhwc,nhwo->co", s, g) for s in seen]).reshape(sizes)


def backprop_input(f: Any, g: Any, sizes: list, strides: Any = 1, padding: Any = "SAME", dilations: Any = 1) -> Any:
    """Where an input element was seen, found by sending every element's number through the taps."""
    number = np.arange(1, np.prod(sizes[:3]) + 1, dtype=np.float64).reshape(*sizes[:3], 1)
    out = np.zeros((int(np.prod(sizes[:3])) + 1, sizes[3]))
    for s, w in zip(taps(number, f.shape[:2], strides, padding, dilations), by_tap(f)):
        np.add.at(out, s[..., 0].astype(int).ravel(), (g @ w.T).reshape(-1, sizes[3]))
    return out[1:].reshape(sizes)


def _terms(one: Case) -> float:
    """Products in a sum: at most the size of the filter, or all pixels for its gradient."""
    return 4 + 4 * float(np.sqrt(max(np.prod(s) for s in one.shapes)))


_TWO = (Input(), Input())
_EXPLICIT = [[0, 0], [1, 0], [2, 3], [0, 0]]
_CONV = (
    case((1, 4, 4, 1), (3, 3, 1, 1), strides=[1, 2, 2, 1]), case((1, 1, 1, 1), (1, 1, 1, 1)),
    case((2, 5, 7, 3), (3, 3, 3, 10)), case((2, 6, 5, 1), (5, 5, 1, 6), padding="VALID"),
    case((1, 7, 5, 5), (2, 3, 5, 17), strides=[1, 2, 3, 1]), case((2, 5, 4, 10), (1, 1, 10, 3)),
    case((2, 5, 5, 3), (1, 1, 3, 4), strides=[1, 2, 2, 1], padding="VALID"),
    case((1, 8, 9, 2), (3, 2, 2, 3), dilations=[1, 2, 3, 1]),
    case((2, 5, 4, 2), (3, 3, 2, 3), strides=[1, 1, 2, 1], padding=_EXPLICIT),
    case((1, 3, 3, 2), (5, 5, 2, 2)), case((0, 5, 5, 2), (3, 3, 2, 4)), case((2, 3, 3, 0), (3, 3, 0, 4)),
    case((2, 2, 3, 2), (3, 3, 2, 4), padding="VALID"), case((1, 9, 9, 2), (2, 2, 2, 2), strides=3, padding="VALID"),
    case((2, 6, 6, 33), (3, 3, 33, 40)), case((3, 9, 17, 16), (3, 3, 16, 32)))
_DEPTHWISE = (
    case((1, 1, 1, 1), (1, 1, 1, 1)), case((2, 5, 7, 3), (3, 3, 3, 1)), case((1, 6, 5, 5), (3, 2, 5, 3)),
    case((2, 6, 7, 4), (3, 3, 4, 1), strides=[1, 2, 2, 1]), case((1, 7, 7, 2), (3, 3, 2, 1), dilations=2),
    case((1, 4, 4, 17), (3, 3, 17, 1), padding="VALID"), case((2, 9, 9, 32), (3, 3, 32, 1)))
_BACK = (
    dict(sizes=[1, 4, 4, 1], f=(3, 3, 1, 1), g=(1, 2, 2, 1), strides=[1, 2, 2, 1]),
    dict(sizes=[2, 5, 7, 3], f=(3, 3, 3, 10), g=(2, 5, 7, 10)),
    dict(sizes=[1, 7, 6, 2], f=(2, 3, 2, 5), g=(1, 3, 2, 5), strides=[1, 2, 3, 1], padding="VALID"),
    dict(sizes=[2, 4, 4, 5], f=(1, 1, 5, 3), g=(2, 4, 4, 3)),
    dict(sizes=[1, 9, 8, 2], f=(3, 3, 2, 3), g=(1, 5, 3, 3), strides=[1, 1, 2, 1], padding="VALID",
         dilations=[1, 2, 1, 1]))
_KEYS = ("strides", "padding", "dilations")


def _attrs(b: dict) -> dict:
    return {k: b[k] for k in _KEYS if k in b}


def _call(f: Any) -> Any:
    """The public function with its defaults filled in."""
    return lambda *tensors, strides=1, padding="SAME", **how: f(*tensors, strides=strides, padding=padding, **how)


def max_pool(x: Any, ksize: Any, strides: Any, padding: str) -> Any:
    return np.max(taps(x, _pair(ksize), strides, padding, fill=-np.inf), axis=0)


def avg_pool(x: Any, ksize: Any, strides: Any, padding: str) -> Any:
    count = np.sum(taps(np.ones_like(x), _pair(ksize), strides, padding), axis=0)
    return np.sum(taps(x, _pair(ksize), strides, padding), axis=0) / np.where(count == 0, 1, count)


def _pair(ksize: Any) -> tuple:
    return (ksize, ksize) if isinstance(ksize, int) else tuple(ksize[1:3])


_POOL = tuple(
    case(shape, ksize=k, strides=s, padding=p) for shape, k, s, p in (
        ((1, 1, 1, 1), 1, 1, "SAME"), ((1, 4, 4, 1), 2, 2, "VALID"), ((2, 5, 7, 3), 2, 2, "SAME"),
        ((1, 7, 6, 17), 3, 2, "SAME"), ((1, 6, 7, 16), [1, 2, 3, 1], [1, 1, 2, 1], "VALID"),
        ((2, 5, 5, 2), 3, 1, "SAME"), ((1, 7, 5, 3), 2, 3, "SAME"), ((1, 3, 3, 2), 5, 2, "SAME"),
        ((0, 4, 4, 2), 2, 2, "SAME"), ((1, 4, 4, 0), 2, 2, "SAME"), ((3, 16, 16, 33), 2, 2, "SAME")))

ROWS = (
    Row("conv2d", _call(conv.conv2d), conv2d, _TWO, _CONV, tolerance=Rounded(_terms),
        dtypes=("float32", "float16", "float64"), gradient=2e-5,
        covers=("conv2d", "conv2d_backprop_input", "conv2d_backprop_filter")),
    Row("conv2d of channels first", lambda x, f: conv.conv2d(x, f, 1, "SAME", data_format="NCHW"),
        lambda x, f: conv2d(x.transpose(0, 2, 3, 1), f).transpose(0, 3, 1, 2), _TWO,
        (case((2, 3, 5, 4), (3, 3, 3, 2)),), ("conv2d",), tolerance=Rounded(_terms), gradient=2e-5),
    Row("conv2d of groups", lambda x, f: conv.conv2d(x, f, 1, "SAME"),
        lambda x, f: np.concatenate([conv2d(p, q) for p, q in zip(np.split(x, 2, 3), np.split(f, 2, 3))], 3), _TWO,
        (case((2, 4, 3, 6), (3, 3, 3, 4)),), ("conv2d",), tolerance=Rounded(_terms), gradient=2e-5),
    Row("conv2d_backprop_input", lambda f, g, sizes, **how: _call(conv.conv2d_backprop_input)(sizes, f, g, **how),
        backprop_input, _TWO, tuple(Case((b["f"], b["g"]), {"sizes": b["sizes"], **_attrs(b)}) for b in _BACK),
        tolerance=Rounded(_terms), gradient=2e-5, dtypes=("float32", "float16", "float64")),
    Row("conv2d_backprop_filter", lambda x, g, sizes, **how: _call(conv.conv2d_backprop_filter)(x, sizes, g, **how),
        backprop_filter, _TWO,
        tuple(Case((tuple(b["sizes"]), b["g"]), {"sizes": list(b["f"]), **_attrs(b)}) for b in _BACK),
        tolerance=Rounded(_terms), gradient=2e-5, dtypes=("float32", "float16", "float64")),
    Row("depthwise_conv2d", _call(depthwise.depthwise_conv2d), depthwise_conv2d, _TWO, _DEPTHWISE,
        tolerance=Rounded(_terms), dtypes=("float32", "float16", "float64"), gradient=2e-5,
        covers=("depthwise_conv2d_native", "depthwise_conv2d_native_backprop_input",
                "depthwise_conv2d_native_backprop_filter")),
    Row("separable_conv2d", lambda x, f, p: depthwise.separable_conv2d(x, f, p, 1, "SAME"),
        lambda x, f, p: conv2d(depthwise_conv2d(x, f), p), (Input(), Input(), Input()),
        (case((1, 4, 5, 3), (2, 2, 3, 2), (1, 1, 6, 2)),), ("conv2d",), tolerance=Rounded(_terms), gradient=3e-5,
        order=1),
    Row("conv1d", lambda x, f: depthwise.conv1d(x, f, 2, "SAME"),
        lambda x, f: conv2d(x[:, None], f[None], [1, 1, 2, 1])[:, 0], _TWO, (case((2, 7, 3), (3, 3, 4)),), ("conv2d",),
        tolerance=Rounded(_terms), gradient=2e-5),
    Row("max_pool", lambda x, **how: pool.max_pool(x, **how), max_pool, (Input(distinct(0.05)),), _POOL,
        dtypes=("float32", "float16", "float64"), covers=("max_pool", "max_pool_grad", "max_pool_pick")),
    Row("avg_pool", lambda x, **how: pool.avg_pool(x, **how), avg_pool, (Input(),), _POOL, tolerance=Rounded(8),
        dtypes=("float32", "float16", "float64"), covers=("avg_pool", "avg_pool_grad")),
    Row("pooling of channels first",
        lambda x: pool.avg_pool(pool.max_pool(x, 2, 1, "SAME", "NCHW"), 2, 2, "SAME", "NCHW"),
        lambda x: avg_pool(max_pool(x.transpose(0, 2, 3, 1), 2, 1, "SAME"), 2, 2, "SAME").transpose(0, 3, 1, 2),
        (Input(distinct(0.05)),), (case((2, 3, 5, 4)),), ("max_pool", "avg_pool"), tolerance=Rounded(8)),
)
