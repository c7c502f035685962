"""The rows of convolutions: forward, gradient of the input, gradient of the filter, each the others' gradient.

Rows compute NHWC; filters are [kh, kw, c, o], of the depthwise kind [kh, kw, c]. What they launch is decided in
kernels/convolution.py; the public functions are in conv.py and depthwise.py.
"""

from __future__ import annotations

from typing import Any

from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.dispatch import execute
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.kernels import convolution
from cltensor.kernels.plan import Plan
from cltensor.ops.array import expand_dims, reshape
from cltensor.ops.join import concat
from cltensor.ops.window import Padding, slide

__all__ = ["FULL", "DEPTHWISE", "by_channel"]


class Form:
    """The three rows of one kind of convolution. Filters are [kh, kw, c, o], of the depthwise kind [kh, kw, c]."""

    def __init__(self, name: str, depthwise: bool):
        self.name, self.depthwise, self.rank = name, depthwise, 3 if depthwise else 4
        suffix = "_native" if depthwise else ""
        self.forward = OpDef(
            name + suffix, ("input", "filter"), self._infer_forward, lower=self._lower_forward, identity=0,
            vjps=(lambda g, x1, s0, strides, padding, dilations: self.input_gradient(
                      g, x1, s0.shape[1:3], strides, padding, dilations),
                  lambda g, x0, s1, strides, padding, dilations: self.filter_gradient(
                      x0, g, s1.shape[:2], strides, padding, dilations)),
            doc="Convolution of NHWC images.")
        self.to_input = OpDef(
            f"{name}{suffix}_backprop_input", ("out_backprop", "filter"), self._infer_input,
            lower=self._lower_input, identity=0,
            vjps=(lambda g, x1, strides, padding, dilations: self(g, x1, strides, padding, dilations),
                  lambda g, x0, s1, strides, padding, dilations: self.filter_gradient(
                      g, x0, s1.shape[:2], strides, padding, dilations)),
            doc="Gradient of a convolution with respect to its input.")
        self.to_filter = OpDef(
            f"{name}{suffix}_backprop_filter", ("input", "out_backprop"), self._infer_filter,
            lower=self._lower_filter, identity=0,
            vjps=(lambda g, x1, s0, strides, padding, dilations: self.input_gradient(
                      x1, g, s0.shape[1:3], strides, padding, dilations),
                  lambda g, x0, strides, padding, dilations: self(x0, g, strides, padding, dilations)),
            doc="Gradient of a convolution with respect to its filter.")

    def __call__(self, x: Any, f: Any, strides: tuple, padding: Padding, dilations: tuple) -> Any:
        return execute(self.forward, (x, f), (("strides", strides), ("padding", padding), ("dilations", dilations)))

    def input_gradient(self, g: Any, f: Any, size: tuple, strides: tuple, padding: Padding, dilations: tuple) -> Any:
        return execute(self.to_input, (g, f), (("size", tuple(size)), ("strides", strides), ("padding", padding),
                                               ("dilations", dilations)))

    def filter_gradient(self, x: Any, g: Any, window: tuple, strides: tuple, padding: Padding,
                        dilations: tuple) -> Any:
        return execute(self.to_filter, (x, g), (("window", tuple(window)), ("strides", strides),
                                                ("padding", padding), ("dilations", dilations)))

    # -- shapes
    def _dims(self, op: str, name: str, s: Spec, rank: int = 4) -> tuple:
        if not s.dtype.is_floating:
            raise DTypeError(f"{op}: {name} must be floating, it has dtype {s.dtype.name} and shape "
                             f"{show(s.shape)}; use cast")
        if s.shape is None:
            return (None,) * rank
        if len(s.shape) != rank:
            raise InvalidArgumentError(f"{op}: {name} must have rank {rank}, its shape is {show(s.shape)}")
        return s.shape

    def _infer_forward(self, x: Spec, f: Spec, strides: tuple, padding: Padding, dilations: tuple) -> Spec:
        op = self.forward.name
        n, h, w, c = self._dims(op, "input", x)
        kh, kw, fc, *o = self._dims(op, "filter", f, self.rank)
        if fc is not None and c is not None and fc != c:
            raise InvalidArgumentError(f"{op}: input and filter differ in input channels, {c} != {fc}: input has shape "
                                       f"{show(x.shape)}, filter has shape {show(f.shape)}")
        if kh == 0 or kw == 0:
            raise InvalidArgumentError(f"{op}: filter has an empty window, its shape is {show(f.shape)}")
        oh, ow = (slide(op, size, k, strides[i], padding, dilations[i], i, x.shape)[0]
                  if k is not None else None for i, (size, k) in enumerate(((h, kh), (w, kw))))
        return Spec((n, oh, ow, o[0] if o else c), x.dtype)

    def _infer_input(self, g: Spec, f: Spec, size: tuple, strides: tuple, padding: Padding, dilations: tuple) -> Spec:
        op = self.to_input.name
        n, *_ = self._dims(op, "out_backprop", g)
        c = self._dims(op, "filter", f, self.rank)[2]
        out = Spec((n, *size, c), g.dtype)
        self._check(op, g, self._infer_forward(out, f, strides, padding, dilations))
        return out

    def _infer_filter(self, x: Spec, g: Spec, window: tuple, strides: tuple, padding: Padding,
                      dilations: tuple) -> Spec:
        op = self.to_filter.name
        c, o = self._dims(op, "input", x)[3], self._dims(op, "out_backprop", g)[3]
        out = Spec((*window, c) if self.depthwise else (*window, c, o), x.dtype)
        self._check(op, g, self._infer_forward(x, out, strides, padding, dilations))
        return out

    def _check(self, op: str, g: Spec, want: Spec) -> None:
        if g.shape is not None and any(p is not None and q is not None and p != q
                                       for p, q in zip(g.shape, want.shape)):
            raise InvalidArgumentError(f"{op}: out_backprop must have the shape of the convolution's result, "
                                       f"{show(want.shape)}, its shape is {show(g.shape)}")

    # -- kernels
    def _window(self, x: Spec, f: Spec, y: Spec, strides: tuple, padding: Padding, dilations: tuple) -> Any:
        n, h, w, c = x.shape
        kh, kw = f.shape[:2]
        top, left = (slide(self.name, size, k, strides[i], padding, dilations[i], i, x.shape)[1]
                     for i, (size, k) in enumerate(((h, kh), (w, kw))))
        return convolution.Window(x.dtype, self.depthwise, n, h, w, c, kh, kw, y.shape[3], y.shape[1], y.shape[2],
                                  strides[0], strides[1], dilations[0], dilations[1], top, left)

    def _lower_forward(self, ins: tuple, outs: tuple, target: Any, epilogue: Any = None, **how: Any) -> Plan:
        return convolution.forward(self._window(ins[0], ins[1], outs[0], **how), target, epilogue)

    def _lower_input(self, ins: tuple, outs: tuple, target: Any, size: tuple, epilogue: Any = None, **how: Any) -> Plan:
        return convolution.input_gradient(self._window(outs[0], ins[1], ins[0], **how), target, epilogue)

    def _lower_filter(self, ins: tuple, outs: tuple, target: Any, window: tuple, **how: Any) -> Plan:
        return convolution.filter_gradient(self._window(ins[0], outs[0], ins[1], **how), target)


FULL = Form("conv2d", False)
DEPTHWISE = Form("depthwise_conv2d", True)


def by_channel(x: Any, f: Any, strides: tuple, padding: Padding, dilations: tuple) -> Any:
    """Depthwise with a multiplier: filter [kh, kw, c, m] gives channel c its m filters, in [n, oh, ow, c * m]."""
    shape = f.spec.shape
    m = shape[3]
    flat = reshape(f, (shape[0], shape[1], shape[2] * m))
    if m > 1:
        n, h, w, c = x.spec.shape
        x = reshape(concat([expand_dims(x, 4)] * m, 4), tuple(-1 if d is None else d for d in (n, h, w, c * m)))
    return DEPTHWISE(x, flat, strides, padding, dilations)
