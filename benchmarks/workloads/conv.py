"""Convolutions of a residual network, batch 8: forward, the gradient to the input, the gradient to the weights.

Activations are NHWC; PyTorch gets them in its channels_last layout, its fast one on CPUs.
"""

from __future__ import annotations

from benchmarks.workload import Bar, Workload, both, floats

_BATCH, _SIDE = 8, 56


def convolution(size: int, cin: int, cout: int, part: str, bars: tuple) -> Workload:
    """One part ("forward", "dx", "dw") of a size x size convolution, stride 1, same padding."""
    side, pad = _SIDE, size // 2

    def inputs():
        return floats((_BATCH, side, side, cin), (size, size, cin, cout), (_BATCH, side, side, cout), scale=0.5)

    def tf_form(tf, x, w, g):
        def forward():
            return tf.nn.conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME")
        if part == "forward":
            return forward
        if tf.__name__ == "tensorflow":
            if part == "dx":
                return lambda: tf.raw_ops.Conv2DBackpropInput(input_sizes=x.shape, filter=w, out_backprop=g,
                                                              strides=[1, 1, 1, 1], padding="SAME")
            return lambda: tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=w.shape, out_backprop=g,
                                                           strides=[1, 1, 1, 1], padding="SAME")
        if part == "dx":
            return lambda: tf.nn.conv2d_backprop_input(x.shape.as_list(), w, g, [1, 1, 1, 1], "SAME")
        return lambda: tf.nn.conv2d_backprop_filter(x, w.shape.as_list(), g, [1, 1, 1, 1], "SAME")

    def torch_form(torch, x, w, g):
        last = torch.channels_last
        x = x.permute(0, 3, 1, 2)                         # a channels_last view of the same memory
        g = g.permute(0, 3, 1, 2)
        w = w.permute(3, 2, 0, 1).contiguous(memory_format=last)
        if part == "forward":
            return lambda: torch.nn.functional.conv2d(x, w, padding=pad)
        mask = [part == "dx", part == "dw", False]
        which = 0 if part == "dx" else 1
        return lambda: torch.ops.aten.convolution_backward(
            g, x, w, None, [1, 1], [pad, pad], [1, 1], False, [0, 0], 1, mask)[which]

    def jax_form(jax, x, w, g):
        def forward(x, w):
            return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        if part == "forward":
            return lambda: forward(x, w)
        which = 0 if part == "dx" else 1
        step = jax.jit(lambda x, w, g: jax.vjp(forward, x, w)[1](g)[which])
        return lambda: step(x, w, g)

    def as_tf(value):
        """PyTorch's result in the layout of the others."""
        if value.shape == (_BATCH, cin if part == "dx" else cout, side, side) and part != "dw":
            return value.transpose(0, 2, 3, 1)
        return value.transpose(2, 3, 1, 0) if value.shape == (cout, cin, size, size) and part == "dw" else value

    pixels = _BATCH * side * side
    return Workload(f"conv {size}x{size} {cin}->{cout} {part}",
                    f"convolution {size}x{size}, {cin} to {cout} channels, {side}x{side}, batch {_BATCH}: {part}",
                    inputs,
                    {**both(tf_form), "torch": torch_form, "jax": jax_form}, bars,
                    flop=2 * pixels * size * size * cin * cout,
                    moved=4 * (pixels * (cin + cout) + size * size * cin * cout), tolerance=1e-3, result=as_tf)


def by_channel(channels: int, train: bool) -> Workload:
    """A depthwise 3x3 convolution, stride 1, same padding; with `train` its gradients too, by each package's tape."""
    side = _SIDE

    def inputs():
        return floats((_BATCH, side, side, channels), (3, 3, channels, 1), (_BATCH, side, side, channels), scale=0.5)

    def tf_form(tf, x, w, g):
        def forward():
            return tf.nn.depthwise_conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME")

        def step():
            with tf.GradientTape() as tape:
                tape.watch([x, w])
                y = forward()
            dx, dw = tape.gradient(y, [x, w], output_gradients=g)
            return dw
        return step if train else forward

    def torch_form(torch, x, w, g):
        x, g = x.permute(0, 3, 1, 2), g.permute(0, 3, 1, 2)
        w = w.permute(2, 3, 0, 1).contiguous()

        def forward():
            return torch.nn.functional.conv2d(x, w, padding=1, groups=channels)
        if not train:
            return forward
        x, w = x.requires_grad_(), w.requires_grad_()
        return lambda: torch.autograd.grad(forward(), [x, w], g)[1]

    def as_tf(value):
        """PyTorch's result in the layout of the others."""
        if value.shape == (channels, 1, 3, 3):
            return value.transpose(2, 3, 0, 1)
        return value.transpose(0, 2, 3, 1) if value.shape == (_BATCH, channels, side, side) else value

    pixels, what = _BATCH * side * side, "forward and both gradients" if train else "forward"
    passes = 3 if train else 1
    return Workload(f"depthwise 3x3 {channels} {'train' if train else 'forward'}",
                    f"depthwise convolution 3x3, {channels} channels, {side}x{side}, batch {_BATCH}: {what}", inputs,
                    {**both(tf_form), "torch": torch_form}, (Bar(("torch",), 1.2, 1.0),),
                    flop=18 * pixels * channels * passes, moved=8 * pixels * channels * passes,
                    tolerance=1e-3, result=as_tf)


_TORCH = ("torch",)
WORKLOADS = [
    convolution(3, 64, 64, "forward", (Bar(_TORCH, 1.05, 0.95),)),
    convolution(3, 64, 64, "dx", (Bar(_TORCH, 1.2, 1.0),)),
    convolution(3, 64, 64, "dw", (Bar(_TORCH, 1.2, 1.0),)),
    convolution(1, 256, 64, "forward", (Bar(_TORCH, 0.95, 0.8),)),
    convolution(1, 256, 64, "dx", (Bar(_TORCH, 1.2, 1.0),)),
    convolution(1, 256, 64, "dw", (Bar(_TORCH, 1.2, 1.0),)),
    by_channel(128, False),
    by_channel(128, True),
]
