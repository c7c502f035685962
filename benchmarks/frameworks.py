"""The contenders: cltensor, and what a user would take instead, behind a few small functions each.

`open_framework("torch")` imports the package and answers how a NumPy array gets in and out, and how to wait until
what was called is done. A package that is not installed is a `LookupError` with one sentence.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["PEERS", "ENVIRONMENT", "Framework", "installed", "open_framework", "versions", "blas"]

PEERS = ("numpy", "torch", "tensorflow", "jax", "tinygrad")


@dataclass(frozen=True)
class Framework:
    """One package: `put` makes its tensor of an array, `get` the way back, `sync(last)` waits for the results.

    `settle`, where a package may put work off: makes sure that a result will be computed though nobody looks at it.
    `begin` forgets what the workload before taught it, `warm` waits for what is compiled beside the program.
    """

    name: str
    module: Any
    put: Callable[[np.ndarray], Any]
    get: Callable[[Any], np.ndarray]
    sync: Callable[[Any], Any]
    settle: Callable[[Any], Any] | None = None
    begin: Callable[[], Any] = lambda: None
    warm: Callable[[], Any] = lambda: None


def _cltensor() -> Framework:
    import cltensor
    from cltensor.interpret import builder, defer
    from cltensor.runtime import device
    queue = device.default().queue

    def settle(value: Any) -> None:
        for tensor in value if isinstance(value, (tuple, list)) else (value,):
            getattr(tensor, "buffer", None)

    return Framework("cltensor", cltensor, cltensor.constant, lambda t: t.numpy(), lambda last: queue.finish(), settle,
                     defer.restart, builder.wait)


def _numpy() -> Framework:
    return Framework("numpy", np, lambda a: a, np.asarray, lambda last: None)


def _torch() -> Framework:
    import torch
    return Framework("torch", torch, lambda a: torch.from_numpy(a.copy()),
                     lambda t: t.detach().cpu().contiguous().numpy(), lambda last: None)


def _tensorflow() -> Framework:
    import tensorflow
    return Framework("tensorflow", tensorflow, tensorflow.constant, lambda t: t.numpy(), lambda last: None)


def _jax() -> Framework:
    import jax
    return Framework("jax", jax, jax.numpy.asarray, np.asarray, jax.block_until_ready)


def _tinygrad() -> Framework:
    import tinygrad
    # What is called is realized by the forms themselves: tinygrad would else add to a growing chain.
    return Framework("tinygrad", tinygrad, lambda a: tinygrad.Tensor(a).realize(), lambda t: t.numpy(),
                     lambda last: tinygrad.Device[tinygrad.Device.DEFAULT].synchronize())


# What a contender's process is started with.
ENVIRONMENT = {"tensorflow": {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}}

_OPEN = {"cltensor": _cltensor, "numpy": _numpy, "torch": _torch, "tensorflow": _tensorflow, "jax": _jax,
         "tinygrad": _tinygrad}


def installed(name: str) -> bool:
    """Can this framework be opened? Nothing is imported."""
    return importlib.util.find_spec(name) is not None


def open_framework(name: str) -> Framework:
    """The framework, imported. Raises LookupError if it is not installed or does not start."""
    if not installed(name):
        raise LookupError(f"{name} is not installed")
    try:
        return _OPEN[name]()
    except (ImportError, OSError, RuntimeError) as error:
        raise LookupError(f"{name} does not start: {str(error).splitlines()[0]}") from error


def versions() -> dict[str, str]:
    """Versions of the contenders and of what they stand on, as far as installed."""
    found = {}
    names = (*PEERS, "tensorflow_cpu", "jaxlib", "pyopencl", "scipy")
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def blas(framework: Framework) -> list[str]:
    """The BLAS libraries of this process and the kernel family each picked: half the speed of a peer may lie there."""
    if importlib.util.find_spec("threadpoolctl"):
        import threadpoolctl
        return sorted({" ".join(str(p[k]) for k in ("internal_api", "version", "architecture") if p.get(k))
                       + f", {p['num_threads']} threads" for p in threadpoolctl.threadpool_info()})
    text = io.StringIO()
    with redirect_stdout(text):
        np.show_config()
    return [line.strip() for line in text.getvalue().splitlines() if "openblas config" in line.lower()]
