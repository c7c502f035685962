"""Launches over nothing: what makes a driver finish its compiling, and leaves no trace.

PoCL compiles a kernel a second time when it is first launched. An idle launch has the kernel's usual arguments but
no elements to walk, so that it reads at most the first bytes of its buffers, and writes at most there.
"""

from __future__ import annotations

from cltensor.kernels.plan import SCALAR, Launch

__all__ = ["idle"]

# which of a kernel's `ulong` arguments says how much there is to do
_AMOUNT = {("elementwise", "elementwise"): 1, ("chain", "chain"): -2, ("vm", "vm"): 0, ("reduce", "rows"): 0,
           ("reduce", "whole"): 0, ("reduce_columns", "columns"): 0, ("reduce_columns", "wide"): 0,
           ("reduce_columns", "flat"): 0}


def idle(launch: Launch) -> Launch | None:
    """The launch of one group with nothing to do; None where it is not known how to say so."""
    which = _AMOUNT.get((launch.template, launch.kernel))
    if which is None:
        return None
    args = list(launch.args)
    args[[i for i, a in enumerate(args) if a[:2] == ("scalar", "ulong")][which]] = SCALAR("ulong", 0)
    return Launch(launch.template, launch.params, launch.kernel, tuple(args), launch.local_size, launch.local_size)
