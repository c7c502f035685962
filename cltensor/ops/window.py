"""How windows slide over images: strides, padding and layout as convolutions and pooling are told them.

Sizes follow TensorFlow: "SAME" gives ceil(size / stride) places and puts the odd zero after, "VALID" only places
that need no zero; explicit padding is a list of pairs, one per dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.ops.array import integers, transpose

__all__ = ["Padding", "layout", "with_layout", "pair_argument", "padding_argument", "slide", "TO_NHWC",
           "TO_NCHW"]

Padding = Any            # "SAME", "VALID" or ((top, bottom), (left, right))
TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def layout(op: str, data_format: Any) -> bool:
    """True where channels come first.

    Raises: InvalidArgumentError for a name that is neither NHWC nor NCHW.
    """
    if data_format in (None, "NHWC", "channels_last"):
        return False
    if data_format in ("NCHW", "channels_first"):
        return True
    raise InvalidArgumentError(f"{op}: data_format must be 'NHWC' or 'NCHW', it is {data_format!r}")


def with_layout(first: bool, compute: Callable, x: Any) -> Any:
    """`compute` of x as NHWC; with channels first transposed there and back."""
    return transpose(compute(transpose(x, TO_NHWC)), TO_NCHW) if first else compute(x)


def pair_argument(op: str, name: str, value: Any, first: bool) -> tuple[int, int]:
    """Strides, dilations or window sizes along height and width, from a number, a pair, or one per dimension.

    Raises: InvalidArgumentError for another length, numbers below 1, or one other than 1 for batch and channels.
    """
    if type(value) is int:
        found: tuple = (value, value)
    else:
        found = integers(op, name, value)
        if len(found) == 1:
            found *= 2
        elif len(found) == 4:
            outer = (found[0], found[1] if first else found[3])
            if outer != (1, 1):
                raise InvalidArgumentError(f"{op}: {name} must be 1 for the batch and the channels, they are "
                                           f"{list(found)} in layout {'NCHW' if first else 'NHWC'}")
            found = found[2:] if first else found[1:3]
    if len(found) != 2 or min(found) < 1:
        raise InvalidArgumentError(f"{op}: {name} must be one, two or four positive integers, it is {value!r:.60}")
    return found


def padding_argument(op: str, value: Any, first: bool, explicit: bool = True) -> Padding:
    """"SAME", "VALID", or the pairs of height and width of an explicit padding.

    Raises: InvalidArgumentError for anything else.
    """
    if isinstance(value, str) and value.upper() in ("SAME", "VALID"):
        return value.upper()
    if explicit and isinstance(value, (list, tuple)) and len(value) == 4 and all(
            isinstance(p, (list, tuple)) and len(p) == 2 for p in value):
        pairs = tuple(integers(op, "padding", p) for p in value)
        inner = pairs[2:] if first else pairs[1:3]
        outer = (pairs[0], pairs[1] if first else pairs[3])
        if outer == ((0, 0), (0, 0)) and min(n for p in inner for n in p) >= 0:
            return inner
    raise InvalidArgumentError(f"{op}: padding must be 'SAME' or 'VALID'"
                               + (" or four pairs of non-negative integers, (0, 0) for batch and channels" if explicit
                                  else "") + f", it is {value!r:.60}")


def slide(op: str, size: Any, window: int, stride: int, padding: Padding, dilation: int, axis: int,
          shape: Any) -> tuple[Any, int]:
    """(places of a window along an axis, zeros before the first); None places for an open size.

    Raises: InvalidArgumentError when the window does not fit at all.
    """
    reach = (window - 1) * dilation + 1
    if padding == "SAME":
        if size is None:
            return None, 0
        places = -(-size // stride)
        return places, max((places - 1) * stride + reach - size, 0) // 2
    before, after = (0, 0) if padding == "VALID" else padding[axis]
    if size is None:
        return None, before
    places = (size + before + after - reach) // stride + 1
    if places < 0:
        raise InvalidArgumentError(f"{op}: the window does not fit: it reaches over {reach} places, "
                                   f"{'height' if axis == 0 else 'width'} with padding has {size + before + after}: "
                                   f"input has shape {show(shape)}, padding is {padding}, the window {window} with "
                                   f"dilation {dilation}")
    return places, before
