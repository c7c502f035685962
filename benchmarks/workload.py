"""A workload: the same work for every framework, written as each framework's user would write it.

`forms` has one function per framework, `form(module, *tensors) -> call`; `call()` does the work once and returns
what can be compared: a tensor, or a tuple of tensors. A training step keeps its weights in the closure and
returns the loss. The word "tf" stands for both cltensor and TensorFlow where one text serves both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Bar", "Workload", "Process", "both", "floats"]


@dataclass(frozen=True)
class Bar:
    """Time over that of the faster of `peers`: what it must be, and what we are after."""

    peers: tuple
    must: float
    goal: float


@dataclass(frozen=True)
class Workload:
    """One row of a table.

    `inputs` makes the arrays; `flop` and `moved` count floating point operations and bytes of memory traffic of
    a call, for the roofline (0: none). `checks` calls are made before results are compared, within `tolerance`
    of the largest value. `seconds` is the length of a sample.
    """

    name: str
    title: str
    inputs: Callable[[], tuple]
    forms: dict
    bars: tuple = ()
    flop: float = 0
    moved: float = 0
    tolerance: float = 1e-3
    checks: int = 1
    seconds: float = 0.05
    result: Callable[[Any], Any] = field(default=lambda value: value)


@dataclass(frozen=True)
class Process:
    """A row about whole processes: `programs` by framework, and what to read off each.

    `measure` is "seconds" or "MiB" (peak resident memory). `cold` empties the kernel caches before each run.
    """

    name: str
    title: str
    programs: dict
    bars: tuple = ()
    measure: str = "seconds"
    cold: bool = False


def both(form: Callable) -> dict:
    """The forms of cltensor and TensorFlow from one text."""
    return {"cltensor": form, "tensorflow": form}


def floats(*shapes: tuple, seed: int = 0, scale: float = 1.0) -> tuple:
    """Standard normal float32 arrays of these shapes."""
    rng = np.random.default_rng(seed)
    return tuple((scale * rng.standard_normal(s)).astype(np.float32) for s in shapes)
