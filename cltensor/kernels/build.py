"""Render a template, compile it for a context, hand out kernels; errors show the numbered source.

Programs are kept per (context, template, parameters): level one above the disk caches of pyopencl and
PoCL. A bound plan asks for its own Kernel object (arguments live in it), the program is shared.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from functools import lru_cache
from typing import Any

import pyopencl as cl

from cltensor.base import config, optional
from cltensor.base.errors import KernelBuildError
from cltensor.kernels import sources

__all__ = ["render", "kernel", "known", "program_count", "programs"]

_log = logging.getLogger("cltensor")
_lock = threading.Lock()
_locks: dict[tuple, threading.Lock] = {}        # one per program: who needs another does not wait for this one
_programs: dict[tuple, cl.Program] = {}
_built: list[tuple[str, tuple, float]] = []


_later, _ = optional.later(__name__, {"rendered": "cltensor.kernels.render:rendered"})      # it imports Mako


@lru_cache(maxsize=1024)
def render(template: str, params: tuple) -> str:
    """The OpenCL source of `template` with `params` ((name, value), ...), common part first.

    Raises: KernelBuildError when a parameter is missing.
    """
    source = sources.read(template, params)
    if source is None:
        source = _later("rendered")(template, params)
        sources.keep(template, params, source)
    return source


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


def kernel(device: Any, template: str, params: tuple, name: str) -> Any:
    """A cl.Kernel of its own for the caller, from the shared program; it takes further attributes (`work`)."""
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
