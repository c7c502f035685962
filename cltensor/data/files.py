"""Datasets of files: lines of text, and records of a fixed number of bytes. Elements are `bytes`."""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from cltensor.base.errors import DataLossError, InvalidArgumentError, NotFoundError
from cltensor.data import element as el
from cltensor.data.dataset import Dataset
from cltensor.data.stages import Stage

__all__ = ["FixedLengthRecordDataset", "TextLineDataset"]

_BUFFER = 256 * 1024


def _names(filenames: Any, op: str) -> Any:
    """A stage of file names."""
    if isinstance(filenames, Dataset):
        return filenames.stage
    one = isinstance(filenames, (str, bytes, os.PathLike))
    names = [os.fsencode(f) for f in ([filenames] if one else filenames) if _is_name(f, op)]
    return _Names(names)


def _is_name(value: Any, op: str) -> bool:
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise InvalidArgumentError(f"{op}: filenames must be text, {value!r:.80} is a {type(value).__name__}")
    return True


class _Names(Stage):
    def __init__(self, names: list[bytes]):
        self.names = names

    def elements(self, key: tuple) -> Iterator[bytes]:
        return iter(self.names)


def _compression(value: Any, op: str) -> bool:
    kind = value.decode() if isinstance(value, bytes) else value
    if kind not in (None, "", "GZIP", "ZLIB"):
        raise InvalidArgumentError(f"{op}: compression_type must be '', 'GZIP' or 'ZLIB', not {value!r}")
    if kind == "ZLIB":
        raise InvalidArgumentError(f"{op}: compression_type 'ZLIB' is not offered; GZIP is")
    return kind == "GZIP"


@contextlib.contextmanager
def _opened(name: bytes, compressed: bool, buffer: int, op: str) -> Iterator[BinaryIO]:
    path = os.fsdecode(name)
    try:
        with open(path, "rb", buffering=max(buffer, 2)) as file:
            if not compressed:
                yield file
            else:
                with gzip.GzipFile(fileobj=file) as inflated:
                    yield inflated          # type: ignore[misc]
    except FileNotFoundError:
        raise NotFoundError(f"{op}: there is no file {path}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataLossError(f"{op}: {path} is truncated or damaged: {error}") from error


class _Records(Stage):
    def __init__(self, source: Stage, record: int, header: int, footer: int, buffer: int, compressed: bool):
        self.source, self.record, self.header, self.footer = source, record, header, footer
        self.buffer, self.compressed = buffer, compressed

    def elements(self, key: tuple) -> Iterator[bytes]:
        op = "FixedLengthRecordDataset"
        for name in self.source.elements(key):
            with _opened(name, self.compressed, self.buffer, op) as file:
                head = file.read(self.header)
                if len(head) < self.header:
                    raise InvalidArgumentError(f"{op}: {os.fsdecode(name)} has {len(head)} bytes, less than its "
                                               f"header of {self.header}")
                # A record is known to be one only when a footer's worth of bytes follows it.
                held = file.read(self.footer)
                while True:
                    held += file.read(self.record)
                    if len(held) < self.record + self.footer:
                        break
                    yield held[:self.record]
                    held = held[self.record:]
                if len(held) != self.footer:
                    raise InvalidArgumentError(f"{op}: the records of {os.fsdecode(name)} do not fill its body: "
                                               f"{len(held) - self.footer} bytes remain, record_bytes = {self.record}, "
                                               f"header_bytes = {self.header}, footer_bytes = {self.footer}")


class FixedLengthRecordDataset(Dataset):
    """Records of `record_bytes` bytes from binary files, as `bytes`; `tf.decode_raw` makes tensors of them.

    Args:
        filenames: a name, several, or a Dataset of names.
        record_bytes: size of a record. header_bytes, footer_bytes: skipped at the ends of each file.
        buffer_size: bytes read ahead. compression_type: "" or "GZIP".

    Raises: InvalidArgumentError for sizes out of range, and while iterating for a body that is no multiple
        of `record_bytes`; NotFoundError; DataLossError for damaged compression.

    Example:
        >>> import cltensor as tf, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "data")
        >>> _ = path.write_bytes(b"HHabcdef")
        >>> list(tf.data.FixedLengthRecordDataset(path, 3, header_bytes=2))
        [b'abc', b'def']
    """

    def __init__(self, filenames: Any, record_bytes: Any, header_bytes: Any = None, footer_bytes: Any = None,
                 buffer_size: Any = None, compression_type: Any = None):
        op = "FixedLengthRecordDataset"
        super().__init__(_Records(
            _names(filenames, op), el.count_of(record_bytes, "record_bytes", 1, op),
            el.count_of(header_bytes or 0, "header_bytes", 0, op),
            el.count_of(footer_bytes or 0, "footer_bytes", 0, op),
            el.count_of(buffer_size or _BUFFER, "buffer_size", 1, op), _compression(compression_type, op)))


class _Lines(Stage):
    def __init__(self, source: Stage, compressed: bool, buffer: int):
        self.source, self.compressed, self.buffer = source, compressed, buffer

    def elements(self, key: tuple) -> Iterator[bytes]:
        for name in self.source.elements(key):
            with _opened(name, self.compressed, self.buffer, "TextLineDataset") as file:
                for line in file:
                    yield line.removesuffix(b"\n").removesuffix(b"\r")


class TextLineDataset(Dataset):
    """The lines of text files, as `bytes` without their line ends.

    Args:
        filenames: a name, several, or a Dataset of names.
        compression_type: "" or "GZIP". buffer_size: bytes read ahead.

    Raises: NotFoundError, DataLossError while iterating.

    Example:
        >>> import cltensor as tf, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "text")
        >>> _ = path.write_text("one\\ntwo")
        >>> list(tf.data.TextLineDataset(path))
        [b'one', b'two']
    """

    def __init__(self, filenames: Any, compression_type: Any = None, buffer_size: Any = None):
        op = "TextLineDataset"
        super().__init__(_Lines(_names(filenames, op), _compression(compression_type, op),
                                el.count_of(buffer_size or _BUFFER, "buffer_size", 1, op)))
