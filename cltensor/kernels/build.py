"""Render a template, compile it for a context, hand out kernels; errors show the numbered source.

Programs are kept per (context, template, parameters): level one above the disk caches of pyopencl and
PoCL. A bound plan asks for its own Kernel object (arguments live in it), the program is shared.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyopencl as cl

if "mako" not in sys.modules:          # 5 MB of lexers, to colour HTML pages about errors that nobody asks for
    sys.modules["mako.ext.pygmentplugin"] = None        # type: ignore[assignment]
from mako.lookup import TemplateLookup

from cltensor.base import config
from cltensor.base.errors import KernelBuildError
from cltensor.kernels.text import NAMES

if sys.modules.get("mako.ext.pygmentplugin", sys) is None:
    del sys.modules["mako.ext.pygmentplugin"]

__all__ = ["render", "kernel", "known", "program_count", "programs"]

_log = logging.getLogger("cltensor")
_lock = threading.Lock()
_locks: dict[tuple, threading.Lock] = {}        # one per program: who needs another does not wait for this one
_programs: dict[tuple, cl.Program] = {}
_built: list[tuple[str, tuple, float]] = []


@lru_cache(maxsize=1)
def _lookup() -> TemplateLookup:
    return TemplateLookup(directories=[str(Path(__file__).parent)], strict_undefined=True,
                          imports=["from math import ceil"])


@lru_cache(maxsize=1024)
def render(template: str, params: tuple) -> str:
    """The OpenCL source of `template` with `params` ((name, value), ...), common part first.

    Raises: KernelBuildError when a parameter is missing.
    """
    try:
        body = _lookup().get_template(f"{template}.cl.mako").render(**NAMES, **dict(params))
        fp64 = "double" in body
        return str(_lookup().get_template("common.cl.mako").render(fp64=fp64) + body)
    except NameError as error:
        raise KernelBuildError(f"kernel template {template}: parameter missing: {error}; "
                               f"given are {dict(params)}") from error


def _compile(device: Any, template: str, params: tuple) -> cl.Program:
    source = render(template, params)
    if config.debug(4):
        _log.info("source of %s %s\n%s", template, dict(params), source)
    start = time.perf_counter()
    for attempt in (1, 2):        # a cold disk cache shared by several processes can fail a build once
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", cl.CompilerWarning)
                program = cl.Program(device.context, source).build()
            break
        except cl.RuntimeError as error:
            if attempt == 2:
                numbered = "\n".join(f"{i + 1:4} {line}" for i, line in enumerate(source.split("\n")))
                raise KernelBuildError(
                    f"kernel template {template} did not compile for {device.label} with parameters "
                    f"{dict(params)}\n{numbered}\n{error}") from None
    seconds = time.perf_counter() - start
    _built.append((template, params, seconds))
    if config.debug(3):
        _log.info("built %s in %.0f ms: %s", template, 1e3 * seconds, dict(params))
    return program


def kernel(device: Any, template: str, params: tuple, name: str) -> cl.Kernel:
    """A Kernel object of its own for the caller, from the shared program."""
    key = (device.context.int_ptr, template, params)
    program = _programs.get(key)
    if program is None:
        with _lock:
            lock = _locks.setdefault(key, threading.Lock())
        with lock:
            program = _programs.get(key)
            if program is None:
                program = _programs[key] = _compile(device, template, params)
    return cl.Kernel(program, name)


def known(device: Any, template: str, params: tuple) -> bool:
    """True if this process has built the program."""
    return (device.context.int_ptr, template, params) in _programs


def program_count() -> int:
    """Number of distinct programs compiled in this process."""
    return len(_built)


def programs() -> list[tuple[str, tuple, float]]:
    """What was compiled: (template, parameters, seconds)."""
    return list(_built)
