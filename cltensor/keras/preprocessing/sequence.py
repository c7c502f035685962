"""tf.keras.preprocessing.sequence: sequences of several lengths as one array."""

from __future__ import annotations

from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError

__all__ = ["pad_sequences"]


def pad_sequences(sequences: Any, maxlen: int | None = None, dtype: str = "int32", padding: str = "pre",
                  truncating: str = "pre", value: Any = 0.0) -> np.ndarray:
    """Sequences padded or cut to one length.

    Args:
        sequences: list of sequences; their elements are numbers or arrays of one shape.
        maxlen: the length; that of the longest unless given.
        padding, truncating: "pre" or "post": at which end values are added or removed.
        value: what is added.

    Returns: array [len(sequences), maxlen, ...].
    Raises: InvalidArgumentError (a ValueError) for another end, or what is no list of sequences.

    Example:
        >>> pad_sequences([[1, 2, 3], [4]], maxlen=2).tolist()
        [[2, 3], [0, 4]]
    """
    for what, end in (("padding", padding), ("truncating", truncating)):
        if end not in ("pre", "post"):
            raise InvalidArgumentError(f"pad_sequences: {what} must be 'pre' or 'post', it is {end!r}")
    if not all(hasattr(s, "__len__") for s in sequences):
        raise InvalidArgumentError("pad_sequences: sequences must be a list of sequences")
    length = max((len(s) for s in sequences), default=0) if maxlen is None else maxlen
    rest = next((np.asarray(s).shape[1:] for s in sequences if len(s)), ())
    out = np.full((len(sequences), length, *rest), value, dtype)
    for row, s in zip(out, sequences):
        cut = np.asarray(s, dtype)[-length:] if truncating == "pre" else np.asarray(s, dtype)[:length]
        if length and len(cut):
            if cut.shape[1:] != rest:
                raise InvalidArgumentError(f"pad_sequences: elements must have one shape, {cut.shape[1:]} != {rest}")
            row[slice(-len(cut), None) if padding == "pre" else slice(len(cut))] = cut
    return out
