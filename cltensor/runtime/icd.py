"""Where OpenCL drivers are registered, and how the CPU runtime installed by pip joins them.

An OpenCL loader finds drivers by `.icd` files, one line each: the driver's library. The wheel
intel-opencl-rt (our extra `cpu`) ships a working CPU driver, but its own .icd files name a folder of the
machine it was built on. So a private folder gets a copy of the system's .icd files and one more with the
wheel's real path, and the loader is pointed there while it looks. A path the user has set wins.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cltensor.base import config

__all__ = ["Search", "search", "pointed_at", "affinity_chosen", "INSTALL"]

VARIABLE = "OCL_ICD_VENDORS"
EMBEDDED_DISTRIBUTION = "intel-opencl-rt"
_EMBEDDED_NAMES = ("libintelocl.so", "intelocl64.dll")
INSTALL = ('pip install "cltensor[cpu]"', "apt-get install pocl-opencl-icd")


@dataclass
class Search:
    """What was looked at to find drivers; `doctor` and the no-device error print it."""

    user_path: str | None                                     # OCL_ICD_VENDORS as the user set it
    folders: list[Path] = field(default_factory=list)         # vendor folders read
    drivers: list[tuple[Path, str, bool]] = field(default_factory=list)   # .icd file, library, usable
    embedded: Path | None = None                              # the pip-installed CPU runtime
    embedded_looked: list[str] = field(default_factory=list)  # where it was searched
    spared: tuple[str, ...] = ()                              # libraries not to load: see runtime/spare.py

    def lines(self) -> list[str]:
        """The search in sentences."""
        text = [f"{VARIABLE} is set to {self.user_path}, so only that is used" if self.user_path
                else f"{VARIABLE} is not set"]
        for folder in self.folders:
            here = [(icd, library, ok) for icd, library, ok in self.drivers if icd.parent == folder]
            state = "" if here else ": no .icd file" if folder.is_dir() else ": no such folder"
            text.append(f"vendor folder {folder}{state}")
            text += [f"  {icd.name} -> {library}" + ("" if ok else " (no such library)")
                     for icd, library, ok in here]
        text.append(f"embedded CPU runtime: {self.embedded}" if self.embedded else
                    "embedded CPU runtime: not found; looked at " + ", ".join(self.embedded_looked))
        return text


def _embedded(looked: list[str]) -> Path | None:
    candidates: list[Path] = []
    try:
        files = importlib.metadata.files(EMBEDDED_DISTRIBUTION) or []
        candidates += [Path(str(f.locate())) for f in files if f.name in _EMBEDDED_NAMES]
        looked.append(f"the files of {EMBEDDED_DISTRIBUTION}")
    except importlib.metadata.PackageNotFoundError:
        looked.append(f"{EMBEDDED_DISTRIBUTION} (not installed)")
    for folder in (Path(sys.prefix) / "lib", Path(sys.prefix) / "Library" / "bin"):
        candidates += [folder / name for name in _EMBEDDED_NAMES]
        looked.append(str(folder))
    return next((path.resolve() for path in candidates if path.is_file()), None)


def _folders() -> list[Path]:
    """Vendor folders of the system, of a conda-like prefix, and inside pyopencl's own wheel."""
    folders = [Path("/etc/OpenCL/vendors"), Path(sys.prefix) / "etc" / "OpenCL" / "vendors"]
    spec = importlib.util.find_spec("pyopencl")
    if spec is not None and spec.origin:
        folders.append(Path(spec.origin).parent / ".libs")
    return list(dict.fromkeys(folders))


def search() -> Search:
    """Look for drivers, without loading any."""
    found = Search(os.environ.get(VARIABLE) or None)
    found.embedded = _embedded(found.embedded_looked)
    user = Path(found.user_path) if found.user_path else None
    found.folders = _folders() if user is None else [user] if user.is_dir() else []
    for folder in found.folders:
        for icd in sorted(folder.glob("*.icd")):
            try:
                library = icd.read_text(encoding="utf-8").strip()
            except OSError:
                continue
            # A bare name is for the dynamic loader to find; only an absolute path can be checked.
            usable = bool(library) and (not os.path.isabs(library) or os.path.exists(library))
            found.drivers.append((icd, library, usable))
    return found


def _fill(folder: Path, libraries: list[str]) -> None:
    for i, library in enumerate(libraries):
        (folder / f"{i:02}.icd").write_text(library + "\n", encoding="utf-8")


def _private_folder(libraries: list[str]) -> Path:
    """A folder with one .icd per library, named by its content so that two environments do not fight."""
    digest = hashlib.sha256("\n".join(libraries).encode()).hexdigest()[:12]
    folder = config.cache_dir() / "vendors" / digest
    wanted = {f"{i:02}.icd": library + "\n" for i, library in enumerate(libraries)}
    try:
        if folder.is_dir() and {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir()} == wanted:
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix="new-"))
        _fill(fresh, libraries)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            fresh.rename(folder)
        except OSError:                     # another process was faster; its folder has the same content
            shutil.rmtree(fresh, ignore_errors=True)
        return folder
    except OSError:                         # a cache that cannot be written must not cost the user the device
        fresh = Path(tempfile.mkdtemp(prefix="cltensor-vendors-"))
        _fill(fresh, libraries)
        return fresh


def affinity_chosen() -> bool:
    """Has the user told PoCL whether to pin its threads?"""
    return "POCL_AFFINITY" in os.environ


@contextmanager
def pointed_at(found: Search) -> Iterator[None]:
    """Inside, the loader (it looks once, at its first call) sees the system's and the embedded drivers."""
    known = {os.path.realpath(library) for _, library, ok in found.drivers if ok}
    added = found.embedded is not None and str(found.embedded) not in known
    if found.user_path or not (added or found.spared):
        yield
        return
    if sys.platform == "win32":             # no vendor folders there; this variable adds to the registry's
        variable, value = "OCL_ICD_FILENAMES", str(found.embedded)
    else:
        libraries = [library for _, library, ok in found.drivers if ok] + [str(found.embedded)] * added
        libraries = [library for library in libraries if library not in found.spared]
        variable, value = VARIABLE, str(_private_folder(list(dict.fromkeys(libraries))))
    before = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:                                # the user's own subprocesses see the user's environment
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
