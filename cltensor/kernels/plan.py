"""Plan: what to launch for one op on given specs, as plain data that no device has touched.

`lower(ins, outs, target, **attrs)` of a row returns a Plan; being a pure function of specs and frozen
device traits it is memoised by the gate and can be tested without a device. An argument is a small tuple:

    ("in", i)               buffer of the i-th input
    ("out", i)              buffer of the i-th result
    ("work", i)             workspace number i of this plan
    ("scalar", ctype, v)    a number known now: sizes, offsets ("ulong", "long", "uint", "int", "float", "double")
    ("slot", i, ctype)      a number known at the call: the i-th input is a Python scalar
    ("table", (v, ...))     a constant buffer of int64 (`__global const long *`), uploaded once when bound
    ("error",)              the queue's error word (`__global int *`)
    ("tally",)              the queue's tally (`__global int *`): a count of 0, to be left so, and 63 words to use
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Launch", "Plan", "IN", "OUT", "WORK", "SCALAR", "SLOT", "TABLE", "ERROR", "TALLY", "launch"]


def IN(i: int) -> tuple:
    """Buffer of the i-th input."""
    return ("in", i)


def OUT(i: int = 0) -> tuple:
    """Buffer of the i-th result."""
    return ("out", i)


def WORK(i: int) -> tuple:
    """Workspace number i."""
    return ("work", i)


def SCALAR(ctype: str, value: int | float) -> tuple:
    """A number known when the plan is made."""
    return ("scalar", ctype, value)


def SLOT(i: int, ctype: str) -> tuple:
    """A number known at the call: the i-th input."""
    return ("slot", i, ctype)


def TABLE(values: Any) -> tuple:
    """A constant buffer of int64."""
    return ("table", tuple(int(v) for v in values))


ERROR = ("error",)
TALLY = ("tally",)


@dataclass(frozen=True)
class Launch:
    """One kernel launch: `kernels/<template>.cl.mako` rendered with `params`, its function `kernel`.

    `prepares`: it only fills one workspace from inputs, so of equal launches on equal inputs one is enough.
    """

    template: str
    params: tuple                 # ((name, value), ...), sorted by name; values hashable
    kernel: str
    args: tuple
    global_size: tuple
    local_size: tuple = (1,)
    prepares: bool = False


@dataclass(frozen=True)
class Plan:
    """The launches of one op in order, and the bytes of each workspace they share."""

    launches: tuple
    workspace: tuple = ()


def launch(template: str, kernel: str, args: Any, global_size: Any, local_size: Any = None, prepares: bool = False,
           **params: Any) -> Launch:
    """A Launch with its parameters in canonical order; a local size of ones unless given."""
    size = tuple(int(g) for g in global_size)
    local = tuple(local_size) if local_size is not None else (1,) * len(size)
    return Launch(template, tuple(sorted(params.items())), kernel, tuple(args), size, local, prepares)
