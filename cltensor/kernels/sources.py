"""Rendered sources kept on disk: rendering a program takes 10 to 60 ms and needs Mako, reading it takes 0.1.

A source is found again while all files that have a say in it are the same, compared by content, so a changed template
is rendered anew. A first line with a checksum tells a file that was cut off. Compiled programs are kept by pyopencl and
by the drivers.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import zlib
from functools import lru_cache
from pathlib import Path

from cltensor.base import config, dtypes

__all__ = ["read", "keep"]

_OLD = 30 * 86400.0             # seconds after which sources of another version are thrown away


def _contents() -> str:
    """Changes with the templates and with the Python files that they and their words come from."""
    digest = hashlib.blake2b(digest_size=8)
    for file in (*sorted(Path(__file__).parent.glob("*.py")), *sorted(Path(__file__).parent.glob("*.mako")),
                 Path(dtypes.__file__)):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


_version = lru_cache(maxsize=1)(_contents)


def _file(template: str, params: tuple) -> Path:
    name = hashlib.blake2b(repr((template, params)).encode(), digest_size=12).hexdigest()
    return config.cache_dir() / "sources" / _version() / f"{template}-{name}.cl"


def _checksum(source: bytes) -> bytes:
    return b"// %08x\n" % zlib.crc32(source)


def read(template: str, params: tuple) -> str | None:
    """The source of a template with these parameters; None if it is not kept, or not as it was written."""
    try:
        content = _file(template, params).read_bytes()
    except OSError:
        return None
    first, source = content[:12], content[12:]
    return source.decode() if first == _checksum(source) else None


def keep(template: str, params: tuple, source: str) -> None:
    """Write it for later starts; where that is not possible they render again."""
    content = source.encode()
    try:
        if _contents() != _version():       # somebody is editing: nobody knows which text this came from
            return
        file = _file(template, params)
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
            _clear(file.parent)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix="new-")
        with os.fdopen(handle, "wb") as out:
            out.write(_checksum(content) + content)
        os.replace(temporary, file)         # a reader sees the whole file or none
    except OSError:
        pass


def _clear(present: Path) -> None:
    """Throw sources of other versions away once they are old."""
    for folder in present.parent.iterdir():
        if folder != present and time.time() - folder.stat().st_mtime > _OLD:
            shutil.rmtree(folder, ignore_errors=True)
