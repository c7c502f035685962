"""Products, convolutions, pooling, normalisation and recurrent cells in ONNX's words.

Images are NHWC here and NCHW there, so a convolution stands between two transposes; between two convolutions they
cancel. A recurrent layer is written as it was traced, step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.onnx.builder import Call
from cltensor.ops.window import slide

__all__ = ["OPERATORS"]


def _matmul(c: Call) -> str:
    names = []
    for i, key in enumerate(("transpose_a", "transpose_b")):
        name, rank = c.input(i), len(c.specs[i].shape)
        if c.attrs[key]:
            name = c.builder.transposed(c.node.inputs[i], name, (*range(rank - 2), rank - 1, rank - 2))
        names.append(name)
    return c.builder("MatMul", *names)


# -- windows
def _pads(c: Call, image: tuple, window: tuple) -> dict[str, Any]:
    """Padding as ONNX is told it: zeros before each axis, then those after."""
    padding, strides = c.attrs["padding"], c.attrs["strides"]
    dilations = c.attrs.get("dilations", (1, 1))
    if padding == "VALID":
        return {"pads": [0, 0, 0, 0]}
    if padding != "SAME":
        (top, bottom), (left, right) = padding
        return {"pads": [top, left, bottom, right]}
    if not all(isinstance(d, int) for d in image):
        return {"auto_pad": "SAME_UPPER"}
    before, after = [], []
    for i, (n, k) in enumerate(zip(image, window)):
        places, first = slide(c.op, n, k, strides[i], padding, dilations[i], i, image)
        before.append(first)
        after.append(max((places - 1) * strides[i] + (k - 1) * dilations[i] + 1 - n, 0) - first)
    return {"pads": before + after}


def _conv(c: Call) -> str:
    b = c.builder
    window = c.specs[1].shape[:2]
    weights = b.transposed(c.node.inputs[1], c.input(1), (3, 2, 0, 1))
    out = b("Conv", b.image(c.input(0)), weights, strides=list(c.attrs["strides"]), kernel_shape=list(window),
            dilations=list(c.attrs["dilations"]), **_pads(c, c.specs[0].shape[1:3], window))
    return b.from_image(out)


def _depthwise(c: Call) -> str:
    b = c.builder
    kh, kw, channels = c.specs[1].shape
    weights = b.transposed(c.node.inputs[1], c.input(1), (2, 0, 1))
    weights = b("Unsqueeze", weights, b.constant([1]))
    out = b("Conv", b.image(c.input(0)), weights, strides=list(c.attrs["strides"]), kernel_shape=[kh, kw],
            dilations=list(c.attrs["dilations"]), group=channels, **_pads(c, c.specs[0].shape[1:3], (kh, kw)))
    return b.from_image(out)


def _conv_transpose(c: Call) -> str:
    """The gradient of a convolution by its input: what the transposed convolution computes."""
    b, strides, dilations = c.builder, c.attrs["strides"], c.attrs["dilations"]
    window, size, small = c.specs[1].shape[:2], c.attrs["size"], c.specs[0].shape[1:3]
    if not all(isinstance(d, int) for d in (*size, *small)):
        raise c.refuse("of an open image size is not offered in ONNX")
    pads = _pads(c, size, window)["pads"]
    more = [size[i] - ((small[i] - 1) * strides[i] + (window[i] - 1) * dilations[i] + 1 - pads[i] - pads[i + 2])
            for i in (0, 1)]
    weights = b.transposed(c.node.inputs[1], c.input(1), (3, 2, 0, 1))
    out = b("ConvTranspose", b.image(c.input(0)), weights, strides=list(strides), dilations=list(dilations),
            kernel_shape=list(window), pads=pads, output_padding=more)
    return b.from_image(out)


def _pool(name: str, **attrs: Any) -> Callable[[Call], str]:
    def write(c: Call) -> str:
        b, window = c.builder, c.attrs["window"]
        out = b(name, b.image(c.input(0)), kernel_shape=list(window), strides=list(c.attrs["strides"]),
                **_pads(c, c.specs[0].shape[1:3], window), **attrs)
        return b.from_image(out)
    return write


# -- normalisation and losses
def _batch_norm(c: Call) -> list[str]:
    b, (x, scale, offset) = c.builder, c.inputs
    axes = b.constant(tuple(range(len(c.specs[0].shape) - 1)))
    mean = b("ReduceMean", x, axes, keepdims=0)
    d = b("Sub", x, mean)
    variance = b("ReduceMean", b("Mul", d, d), axes, keepdims=0)
    deviation = b("Sqrt", b("Add", variance, b.constant(c.attrs["epsilon"], c.out.dtype)))
    return [b("Add", b("Mul", d, b("Div", scale, deviation)), offset), mean, variance]


def _cross_entropy(c: Call) -> str:
    b, (labels, logits) = c.builder, c.inputs
    likely = b("Mul", labels, b("LogSoftmax", logits, axis=-1))
    return b("Neg", b("ReduceSum", likely, b.constant([-1]), keepdims=0))


def _sparse_cross_entropy(c: Call) -> str:
    b, (labels, logits) = c.builder, c.inputs
    at = b("Unsqueeze", labels, b.constant([-1]))
    likely = b("GatherElements", b("LogSoftmax", logits, axis=-1), at, axis=-1)
    return b("Neg", b("Squeeze", likely, b.constant([-1])))


# -- cells
class _Gates:
    """Strips of a tensor of gates by their letters, and the sigmoid a cell uses."""

    def __init__(self, c: Call, hard: bool):
        self.c, self.b, self.hard = c, c.builder, hard

    def number(self, value: float) -> str:
        return self.b.constant(value, self.c.out.dtype)

    def strips(self, name: str, order: str) -> dict[str, str]:
        sizes = self.b.constant([self.c.out.shape[-1]] * len(order))
        return dict(zip(order, self.b("Split", name, sizes, outputs=len(order), axis=-1)))

    def squash(self, x: str) -> str:
        if not self.hard:
            return self.b("Sigmoid", x)
        line = self.b("Add", self.b("Mul", x, self.number(0.2)), self.number(0.5))
        return self.b("Clip", line, self.number(0), self.number(1))

    def mix(self, z: str, x: str, y: str) -> str:
        """z x + (1 - z) y."""
        return self.b("Add", self.b("Mul", z, x), self.b("Mul", self.b("Sub", self.number(1), z), y))


def _lstm(c: Call) -> list[str]:
    b, (gates, added, state) = c.builder, c.inputs
    g = _Gates(c, c.attrs["hard"])
    a = g.strips(b("Add", gates, added), c.attrs["order"])
    forget = b("Add", a["f"], g.number(c.attrs["forget"])) if c.attrs["forget"] else a["f"]
    new = b("Mul", g.squash(a["i"]), b("Tanh", a["g"]))
    state = b("Add", b("Mul", g.squash(forget), state), new)
    return [b("Mul", g.squash(a["o"]), b("Tanh", state)), state]


def _gru(c: Call) -> str:
    b, (gates, hidden, bias, h) = c.builder, c.inputs
    g = _Gates(c, c.attrs["hard"])
    x, hid = g.strips(gates, c.attrs["order"]), g.strips(b("Add", hidden, bias), c.attrs["order"])
    z, r = (g.squash(b("Add", x[k], hid[k])) for k in "zr")
    return g.mix(z, h, b("Tanh", b("Add", x["n"], b("Mul", r, hid["n"]))))


def _gru_reset(hard: bool) -> Callable[[Call], str]:
    def write(c: Call) -> str:
        gates, hidden, h = c.inputs
        return c.builder("Mul", _Gates(c, hard).squash(c.builder("Add", gates, hidden)), h)
    return write


def _gru_mix(hard: bool) -> Callable[[Call], str]:
    def write(c: Call) -> str:
        b, (gates, hidden, candidate, product, h) = c.builder, c.inputs
        g = _Gates(c, hard)
        return g.mix(g.squash(b("Add", gates, hidden)), h, b("Tanh", b("Add", candidate, product)))
    return write


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "matmul": _matmul, "conv2d": _conv, "depthwise_conv2d_native": _depthwise, "conv2d_backprop_input": _conv_transpose,
    "max_pool": _pool("MaxPool"), "avg_pool": _pool("AveragePool", count_include_pad=0),
    "softmax": lambda c: c.builder("Softmax", c.input(0), axis=-1),
    "log_softmax": lambda c: c.builder("LogSoftmax", c.input(0), axis=-1),
    "fused_batch_norm": _batch_norm, "softmax_cross_entropy_with_logits": _cross_entropy,
    "sparse_softmax_cross_entropy_with_logits": _sparse_cross_entropy, "lstm_cell": _lstm, "gru_cell": _gru,
    "gru_reset": _gru_reset(False), "gru_reset_hard": _gru_reset(True), "gru_mix": _gru_mix(False),
    "gru_mix_hard": _gru_mix(True),
}
