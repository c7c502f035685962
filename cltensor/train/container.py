"""The checkpoint file: safetensors with a checksum per tensor, written so that a crash leaves the old one.

safetensors (https://github.com/huggingface/safetensors) is the format: a JSON header of names, dtypes, shapes
and offsets, then the bytes. It has no checksum, and its own writer neither syncs nor replaces in one step. So
`__metadata__` holds

    format, version   "cltensor.checkpoint" (or "cltensor.saved_model", its weights), "1"
    graph             JSON text of the object graph (object_graph.py)
    crc32             JSON: tensor name -> CRC32 over its name, dtype, shape and bytes; "" -> that of `graph`

and a file is written under another name, synced, renamed over the old one, and its folder synced. A process
killed meanwhile leaves the old file and a stray temporary one, which the next write in that folder removes.
`read` checks everything before it returns anything.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import zlib
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize

from cltensor.base.errors import DataLossError, DTypeError, NotFoundError

__all__ = ["SUFFIX", "as_path", "write", "read", "replace_file"]

SUFFIX = ".safetensors"
_VERSION = "1"
_TEMPORARY = re.compile(r"\..+\.tmp-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-\d+$")
_ABANDONED_S = 24 * 3600        # age at which a temporary file of another machine counts as left behind
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_serial = count()


def as_path(op: str, value: Any) -> str:
    """A path that a user gave as text. Raises: DTypeError for what is none."""
    try:
        return os.fsdecode(value)
    except TypeError:
        raise DTypeError(f"{op}: a path is wanted, {value!r:.80} is a {type(value).__name__}") from None


def _crc(name: str, array: np.ndarray) -> int:
    head = f"{name}|{array.dtype.str}|{array.shape}".encode()
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, zlib.crc32(head))


def write(path: str, tensors: dict[str, np.ndarray], graph: str, kind: str = "checkpoint") -> None:
    """Writes tensors and graph to `path`, as given; the old file stays until all is on disk.

    Raises: OSError of the file system.
    """
    dense = {name: np.require(array, requirements="C") for name, array in tensors.items()}
    sums = {name: _crc(name, array) for name, array in dense.items()}
    sums[""] = zlib.crc32(graph.encode())
    metadata = {"format": f"cltensor.{kind}", "version": _VERSION, "graph": graph, "crc32": json.dumps(sums)}
    replace_file(path, serialize(dense, metadata))


def replace_file(path: str, data: bytes) -> None:
    """Puts `data` at `path` in one step: after a crash there is the old file or the new one, whole."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_strays(target.parent)
    temporary = target.parent / f".{target.name}.tmp-{_HOST}-{os.getpid()}-{next(_serial)}"
    try:
        with open(temporary, "xb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":         # folders cannot be opened there; the rename is journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove_strays(folder: Path) -> None:
    for entry in os.scandir(folder):
        match = _TEMPORARY.match(entry.name)
        if match is None:
            continue
        if match["host"] == _HOST and os.name != "nt":
            left = not _alive(int(match["pid"]))
        else:
            left = time.time() - entry.stat().st_mtime > _ABANDONED_S
        if left:
            Path(entry.path).unlink(missing_ok=True)


def read(path: str, kind: str = "checkpoint") -> tuple[dict[str, np.ndarray], str]:
    """All tensors by name, and the graph's text, once every checksum agreed.

    Raises: NotFoundError without such a file; DataLossError, naming the tensor where it is one, for a file
        that is truncated, altered, or no checkpoint.
    """
    if not os.path.isfile(path):
        raise NotFoundError(f"{kind}: there is no file {path}")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            graph, sums = _header(path, metadata, kind)
            names = set(file.keys())
            if names != sums.keys():
                odd = ", ".join(sorted(names ^ sums.keys())[:5])
                raise DataLossError(f"{kind}: {path} is damaged: tensors and checksums do not pair, "
                                    f"see {odd}")
            tensors = {}
            for name, expected in sums.items():
                tensors[name] = file.get_tensor(name)
                if _crc(name, tensors[name]) != expected:
                    raise DataLossError(f"{kind}: {path} is damaged: the checksum of tensor "
                                        f"{name!r} differs")
    except DataLossError:
        raise
    except OSError as error:
        raise DataLossError(f"{kind}: {path} cannot be read: {error}") from error
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, OverflowError,
            MemoryError, RecursionError) as error:
        raise DataLossError(f"{kind}: {path} is truncated or damaged: {error}") from error
    return tensors, graph


def _header(path: str, metadata: dict[str, Any], kind: str) -> tuple[str, dict[str, int]]:
    if metadata.get("format") != f"cltensor.{kind}":
        raise DataLossError(f"{kind}: {path} is no file of a {kind}: its format is {metadata.get('format')!r}, not "
                            f"'cltensor.{kind}'")
    if metadata.get("version") != _VERSION:
        raise DataLossError(f"{kind}: {path} has version {metadata.get('version')!r}, "
                            f"this reads version {_VERSION!r}")
    sums = json.loads(metadata["crc32"])
    graph = metadata["graph"]
    if not isinstance(sums, dict) or sums.pop("", None) != zlib.crc32(graph.encode()):
        raise DataLossError(f"{kind}: {path} is damaged: the checksum of its object graph differs")
    return graph, sums
