"""The IDX format of the MNIST files: a magic number, the sizes, then the values; gzip or not.

    byte 0, 1    0
    byte 2       type of a value, see `_TYPES`
    byte 3       number of dimensions
    4 each       the sizes, big-endian
    the rest     the values, big-endian, last dimension fastest

Source: http://yann.lecun.com/exdb/mnist/, "THE IDX FILE FORMAT".
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from math import prod
from typing import Any, BinaryIO

import numpy as np

from cltensor.base.errors import DataLossError, InvalidArgumentError, NotFoundError

__all__ = ["read_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_MAX_BYTES = 4 << 30        # a header may ask for more than any data set of this format has
_STEP = 1 << 20


def read_idx(path: Any, max_bytes: int = _MAX_BYTES) -> np.ndarray:
    """The array in an IDX file, in the machine's byte order.

    Args:
        path: file, compressed by gzip or not (told by its first bytes).
        max_bytes: largest size of the values that is accepted, before anything is read.

    Returns: ndarray of the file's dtype and shape; MNIST's images are uint8 of shape (n, 28, 28).
    Raises: NotFoundError; InvalidArgumentError for a file of another format or too large a header;
        DataLossError for one that is truncated, too long, or damaged.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "labels")
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
        >>> read_idx(path).tolist()
        [5, 0, 4]
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise NotFoundError(f"read_idx: there is no file {path}")
    try:
        with open(path, "rb") as file:
            compressed = file.read(2) == _GZIP
            file.seek(0)
            if not compressed:
                return _read(file, path, max_bytes)
            with gzip.GzipFile(fileobj=file) as inflated:
                return _read(inflated, path, max_bytes)     # type: ignore[arg-type]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataLossError(f"read_idx: {path} is truncated or damaged: {error}") from error


def _read(file: BinaryIO, path: str, max_bytes: int) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4:
        raise DataLossError(f"read_idx: {path} is truncated: {len(magic)} of 4 bytes of the magic number")
    if magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise InvalidArgumentError(f"read_idx: {path} is no IDX file: its magic number is 0x{magic.hex()}")
    dtype, rank = np.dtype(_TYPES[magic[2]]), magic[3]
    header = file.read(4 * rank)
    if len(header) < 4 * rank:
        raise DataLossError(f"read_idx: {path} is truncated: {len(header)} of {4 * rank} bytes of sizes")
    shape = struct.unpack(f">{rank}I", header)
    wanted = prod(shape) * dtype.itemsize
    if wanted > max_bytes:
        raise InvalidArgumentError(f"read_idx: {path} says it holds {wanted} bytes of shape {shape}, more than "
                                   f"the {max_bytes} accepted")
    # The buffer grows with what is there, so that a header that lies costs no memory.
    data = bytearray()
    while len(data) < wanted:
        part = file.read(min(_STEP, wanted - len(data)))
        if not part:
            raise DataLossError(f"read_idx: {path} is truncated: {len(data)} of {wanted} bytes of values for "
                                f"shape {shape}")
        data += part
    if file.read(1):
        raise DataLossError(f"read_idx: {path} is longer than its header says: more than {wanted} bytes of values "
                            f"for shape {shape}")
    values = np.frombuffer(data, dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)
