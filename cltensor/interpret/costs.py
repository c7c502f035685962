"""What the ways of running a block cost: an estimate in seconds, by which tiers.py chooses.

    op by op      a launch per op, and every value written and read again
    interpreter   one launch; values pass through registers, but each op is decoded for every few vectors
    compiled      a launch per connected part; only what goes in and what is wanted moves

So the interpreter wins where launches dominate (small arrays) and where a chain would go through memory again and
again; not for large arrays that nothing connects, like the updates of several variables. What the ops compute is the
same everywhere and left out. The constants are measured (2 cores, both CPU runtimes, chains of 2, 3 and 6 ops over 16
to 1 M elements); wrong ones cost time, never a result.
"""

from __future__ import annotations

from typing import NamedTuple

from cltensor.interpret.trie import State
from cltensor.kernels.block import connected
from cltensor.kernels.vm_code import uneven

__all__ = ["Costs", "costs_of"]

LAUNCH, INTERPRETED = 5e-6, 6.5e-6      # of a kernel of few arguments, and of the interpreter with its many
DECODED = 2e-11                         # an op of an element
WALKED = 1.6e-9                         # an element of an operand that is put together one by one
NEAR, FAR, CACHED = 1e-11, 5e-11, 1 << 17       # an element read or written; in the cache up to that many
LOADED = 1.3                            # times that for the interpreter, which reads and writes in pieces


class Costs(NamedTuple):
    """Seconds beyond those of the computing itself."""

    each: float
    interpreted: float
    compiled: float


def costs_of(ops: list[State], path: list[State], wanted: list[int]) -> Costs:
    """The costs of the needed ops of a path, whose values in the slots `wanted` are written."""
    leaves: dict[int, float] = {}       # what is read from outside, by slot
    launches, decoded, walked, moved, written = 0, 0.0, 0.0, 0.0, 0.0
    for s in ops:
        out = s.sig.spec
        if s.op.view:
            continue
        reads = [(o, path[o].sig.spec) for o in s.operands if o >= 0]
        launches += 1
        n = max([out.size, *(spec.size for _, spec in reads)])
        decoded += n
        for o, spec in reads:
            moved += _move(spec.size)
            if path[o].op is None:
                leaves[o] = _move(spec.size)
            if spec.size not in (1, n):
                walked += n * uneven(spec.shape, out.shape)
        moved += _move(out.size)
        if s.slot in wanted:
            written += _move(out.size)
    fused = sum(leaves.values()) + written
    parts = [part for part in connected(ops, lambda s: s.operands, lambda s: (s.slot,))
             if not all(s.op.view for s in part)]
    return Costs(launches * LAUNCH + moved, INTERPRETED + decoded * DECODED + walked * WALKED + LOADED * fused,
                 len(parts) * LAUNCH + fused)


def _move(n: int) -> float:
    return n * (NEAR if n <= CACHED else FAR)
