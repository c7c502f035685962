"""tf.gfile: files and folders by TensorFlow's names, on the local file system."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from typing import IO, Any

from cltensor.base.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError

__all__ = ["Copy", "DeleteRecursively", "Exists", "FastGFile", "GFile", "Glob", "IsDirectory", "ListDirectory",
           "MakeDirs", "MkDir", "Open", "Remove", "Rename", "Stat", "Walk"]


def _path(path: Any) -> str:
    return os.path.expanduser(os.fspath(path))


def _there(op: str, path: Any) -> str:
    where = _path(path)
    if not os.path.exists(where):
        raise NotFoundError(f"gfile.{op}: {where} does not exist")
    return where


def _free(op: str, path: Any, overwrite: bool) -> str:
    where = _path(path)
    if os.path.exists(where) and not overwrite:
        raise FailedPreconditionError(f"gfile.{op}: {where} exists; overwrite=True replaces it")
    return where


def Exists(filename: Any) -> bool:
    """True when a file or folder of that name exists."""
    return os.path.exists(_path(filename))


def IsDirectory(dirname: Any) -> bool:
    """True when it is a folder."""
    return os.path.isdir(_path(dirname))


def MkDir(dirname: Any) -> None:
    """Make a folder; its parent must exist."""
    os.mkdir(_path(dirname))


def MakeDirs(dirname: Any) -> None:
    """Make a folder with its parents; one that exists stays."""
    os.makedirs(_path(dirname), exist_ok=True)


def ListDirectory(dirname: Any) -> list[str]:
    """Names in a folder, sorted. Raises: NotFoundError."""
    return sorted(os.listdir(_there("ListDirectory", dirname)))


def Glob(filename: Any) -> list[str]:
    """Paths that match a pattern, or one of several, sorted."""
    patterns = filename if isinstance(filename, (list, tuple)) else [filename]
    return sorted(found for p in patterns for found in glob.glob(_path(p)))


def Walk(top: Any, in_order: bool = True) -> Iterator[tuple]:
    """(folder, folders in it, files in it) for a folder and all below it."""
    yield from os.walk(_path(top), topdown=in_order)


def Stat(filename: Any) -> os.stat_result:
    """Size, times and mode of a file. Raises: NotFoundError."""
    return os.stat(_there("Stat", filename))


def Remove(filename: Any) -> None:
    """Delete a file. Raises: NotFoundError."""
    os.remove(_there("Remove", filename))


def DeleteRecursively(dirname: Any) -> None:
    """Delete a folder and all in it. Raises: NotFoundError."""
    shutil.rmtree(_there("DeleteRecursively", dirname))


def Copy(oldpath: Any, newpath: Any, overwrite: bool = False) -> None:
    """Copy a file. Raises: NotFoundError, FailedPreconditionError where the new one exists."""
    shutil.copyfile(_there("Copy", oldpath), _free("Copy", newpath, overwrite))


def Rename(oldname: Any, newname: Any, overwrite: bool = False) -> None:
    """Move a file. Raises: NotFoundError, FailedPreconditionError where the new one exists."""
    os.replace(_there("Rename", oldname), _free("Rename", newname, overwrite))


def Open(name: Any, mode: str = "r") -> IO[Any]:
    """The file, opened; text is UTF-8.

    Raises: NotFoundError where a file to read does not exist, InvalidArgumentError for an unknown mode.
    """
    if mode.strip("rwab+tx"):
        raise InvalidArgumentError(f"gfile.Open: mode {mode!r} is not made of r, w, a, b, +")
    where = _there("Open", name) if mode.startswith("r") else _path(name)
    return open(where, mode, encoding=None if "b" in mode else "utf-8")


GFile = FastGFile = Open
