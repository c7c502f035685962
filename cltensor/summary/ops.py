"""Summaries: scalar, histogram, image, generic. Each does nothing without a writer that records.

Nothing is read from the device, not even checked, unless it is recorded.
"""

from __future__ import annotations

import functools
import inspect
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base.errors import DTypeError, InvalidArgumentError
from cltensor.base.optional import load
from cltensor.base.shapes import show
from cltensor.core.dispatch import state
from cltensor.core.tensor import Tensor, convert, static_value
from cltensor.graph.collections import add_to_collection, get_collection
from cltensor.summary.recording import condition, record_if, should_record_summaries
from cltensor.summary.writer import current_writer, use_writer
from cltensor.train.global_step import get_or_create_global_step

__all__ = ["scalar", "histogram", "image", "generic", "all_summary_ops", "summary_writer_initializer_op",
           "initialize", "graph"]

_ALL = "_SUMMARY_V2"            # TensorFlow's collection of them


def _record(name: Any, family: str | None, step: Any, make: Callable) -> None:
    """Queues `make(messages, tag)`, a Summary.Value or several, at the step."""
    writer = current_writer()
    assert writer is not None
    if not isinstance(name, str):
        raise DTypeError(f"summary: name must be text, {name!r:.80} is a {type(name).__name__}")
    tag = name if family is None else f"{family}/{name}"
    at = int(static_value(get_or_create_global_step() if step is None else step))
    messages = load("tensorboard.compat.proto.summary_pb2", extra="tensorboard")

    def summary() -> Any:
        made = make(messages, tag)
        return messages.Summary(value=made if isinstance(made, list) else [made])

    writer.add(at, summary)


def _recording() -> bool:
    return current_writer() is not None and should_record_summaries()


def _in_graph(function: Callable) -> Callable:
    """Decorator: in a graph a summary is an operation; the run that reaches it asks whether one is due."""
    @functools.wraps(function)
    def call(name: str, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(state.interpreter, "symbolic", False):
            return function(name, tensor, *args, **kwargs)
        writer = current_writer()
        if writer is None:
            return None
        given = inspect.signature(function).bind(name, tensor, *args, **kwargs)
        given.arguments.setdefault("step", None)
        if given.arguments["step"] is None:
            given.arguments["step"] = get_or_create_global_step()
        due, step = condition(), given.arguments["step"]
        moving = isinstance(step, Tensor)           # of the graph, too: its value is that of the run

        def record(value: Any, *at: Any) -> None:
            with use_writer(writer), record_if(due):
                given.arguments.update(tensor=value, step=at[0] if moving else step)
                function(*given.args, **given.kwargs)
        op = state.interpreter.report(record, (tensor, step) if moving else (tensor,), f"{name}/summary")
        add_to_collection(_ALL, op)
        return op
    return call


@_in_graph
def scalar(name: str, tensor: Any, family: str | None = None, step: Any = None) -> None:
    """Records a number.

    Args:
        name: its tag; with `family`, `family/name`.
        tensor: a scalar of any dtype. step: the step it belongs to; the global step by default.

    Raises: InvalidArgumentError for another shape.
    """
    if not _recording():
        return
    value = convert(tensor, op="summary.scalar")
    if value.spec.size != 1:
        raise InvalidArgumentError(f"summary.scalar: {name} must be one number, it has shape {show(value.spec.shape)}")
    _record(name, family, step, lambda messages, tag: messages.Summary.Value(
        tag=tag, simple_value=float(static_value(value).reshape(())[()])))


def _limits() -> np.ndarray:
    """TensorFlow's buckets: from 1e-12 by steps of 10 % to 1e20, mirrored, and the largest float at the ends."""
    positive = []
    v = 1e-12
    while v < 1e20:
        positive.append(v)
        v *= 1.1
    largest = np.finfo(np.float64).max
    return np.array([-largest, *(-p for p in reversed(positive)), 0.0, *positive, largest])


_LIMITS = _limits()


@_in_graph
def histogram(name: str, tensor: Any, family: str | None = None, step: Any = None) -> None:
    """Records how the values of a tensor are distributed, in TensorFlow's buckets.

    Raises: InvalidArgumentError when a value is not finite.
    """
    if not _recording():
        return
    values = np.asarray(static_value(convert(tensor, op="summary.histogram"))).astype(np.float64).reshape(-1)
    if not np.isfinite(values).all():
        raise InvalidArgumentError(f"summary.histogram: {name} holds values that are not finite")

    def make(messages: Any, tag: str) -> Any:
        counts = np.bincount(np.searchsorted(_LIMITS, values, side="right"), minlength=len(_LIMITS))
        used = np.flatnonzero(counts)
        # One empty bucket on either side tells where the others begin and end.
        first, last = (max(used[0] - 1, 0), min(used[-1] + 1, len(_LIMITS) - 1)) if len(used) else (0, 0)
        proto = messages.HistogramProto(
            min=values.min(initial=np.inf) if len(values) else 0., max=values.max() if len(values) else 0.,
            num=len(values), sum=values.sum(), sum_squares=(values * values).sum(),
            bucket_limit=_LIMITS[first:last + 1].tolist(), bucket=counts[first:last + 1].tolist())
        return messages.Summary.Value(tag=tag, histo=proto)

    _record(name, family, step, make)


def _png(pixels: np.ndarray) -> bytes:
    """A PNG of uint8 pixels (height, width, channels 1, 3 or 4). Source: RFC 2083."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _as_bytes(picture: np.ndarray, bad_color: Any) -> np.ndarray:
    """Pixels of 0 to 255: floats scaled so that the largest is 255, and 0 is 127 where some are negative."""
    if picture.dtype == np.uint8:
        return picture
    picture = picture.astype(np.float64)
    good = np.isfinite(picture).all(axis=-1)
    known = picture[good]
    low, high = (known.min(), known.max()) if known.size else (0., 0.)
    if low < 0:
        largest = max(-low, high)
        scale, offset = (127. / largest if largest >= 1e-6 else 0.), 128.
    else:
        scale, offset = (255. / high if high >= 1e-6 else 0.), 0.
    with np.errstate(invalid="ignore"):
        out = np.where(good[..., None], picture * scale + offset, 0.)
    if not good.all():
        color = np.asarray([255, 0, 0, 255] if bad_color is None else static_value(bad_color))
        out[~good] = np.resize(color, picture.shape[-1])
    return np.clip(out, 0, 255).astype(np.uint8)


@_in_graph
def image(name: str, tensor: Any, bad_color: Any = None, max_images: int = 3, family: str | None = None,
          step: Any = None) -> None:
    """Records pictures, as PNG.

    Args:
        tensor: shape (n, height, width, channels), 1, 3 or 4 channels; uint8, or floats, which are scaled.
        bad_color: uint8 color of pixels that are not finite; red.
        max_images: how many of the n are recorded.

    Raises: InvalidArgumentError for another shape, DTypeError for another dtype.
    """
    if not _recording():
        return
    pictures = np.asarray(static_value(convert(tensor, op="summary.image")))
    if pictures.ndim != 4 or pictures.shape[-1] not in (1, 3, 4):
        raise InvalidArgumentError(f"summary.image: {name} must have shape (n, height, width, 1, 3 or 4), "
                                   f"it has {show(pictures.shape)}")
    if pictures.dtype != np.uint8 and pictures.dtype.kind != "f":
        raise DTypeError(f"summary.image: {name} must be uint8 or floating, it has dtype {pictures.dtype}")

    def make(messages: Any, tag: str) -> list:
        out = []
        for i, picture in enumerate(pictures[:max_images]):
            proto = messages.Summary.Image(height=picture.shape[0], width=picture.shape[1],
                                           colorspace=picture.shape[2],
                                           encoded_image_string=_png(_as_bytes(picture, bad_color)))
            label = f"{tag}/image" if max_images == 1 else f"{tag}/image/{i}"
            out.append(messages.Summary.Value(tag=label, image=proto))
        return out

    _record(name, family, step, make)


@_in_graph
def generic(name: str, tensor: Any, metadata: Any = None, family: str | None = None, step: Any = None) -> None:
    """Records a tensor as it is, for a plugin of TensorBoard that `metadata` (a SummaryMetadata) names."""
    if not _recording():
        return
    value = np.asarray(static_value(convert(tensor, op="summary.generic")))
    protos = load("tensorboard.util.tensor_util", extra="tensorboard")
    _record(name, family, step, lambda messages, tag: messages.Summary.Value(
        tag=tag, tensor=protos.make_tensor_proto(value), metadata=metadata))


def all_summary_ops() -> list | None:
    """The operations of all summaries of the graph; None eagerly, where summaries are written as they are made."""
    return get_collection(_ALL) if getattr(state.interpreter, "symbolic", False) else None


def summary_writer_initializer_op() -> list:
    """No ops: a writer is ready when it is made."""
    return []


def initialize(graph: Any = None, session: Any = None) -> None:
    """Nothing to do: a writer is ready when it is made."""


def graph(param: Any, step: Any = None, name: str | None = None) -> None:
    """Nothing is recorded: there is no graph to draw."""
