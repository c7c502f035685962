"""Buffer planning: which values of a replay share memory, decided once from when each is first and last used.

A replay runs its steps in one order on one queue, so a value that no later step reads leaves its memory to the next.
Two ways, both pure functions on intervals:

- *in place*: an elementwise step writes its result over an input that dies there (`chains`);
- *arenas*: values whose lives do not overlap share bytes of one large block (`arenas`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Life", "chains", "arenas"]

ALIGNED = 512           # a value in a block begins at a multiple of so many bytes


@dataclass
class Life:
    """A value's bytes and the steps between which it must be kept, both included.

    `over` names the values it may be written over, best first; `fixed` marks memory that is not ours to give away
    before the end: what is fed, fetched, or held by a variable.
    """

    nbytes: int
    birth: int
    death: int
    over: tuple = ()
    fixed: bool = False


def chains(lives: dict[int, Life]) -> dict[int, int]:
    """The value whose memory each value takes: itself, or the first of a chain of values written over each other.

    Example:
        >>> lives = {0: Life(64, 0, 1), 1: Life(64, 1, 2, over=(0,)), 2: Life(64, 2, 3, over=(1,))}
        >>> chains(lives)
        {0: 0, 1: 0, 2: 0}
    """
    head: dict[int, int] = {}
    taken: set[int] = set()             # values that something is written over
    for name, life in sorted(lives.items(), key=lambda item: item[1].birth):
        head[name] = name
        for other in life.over:
            old = lives.get(other)              # None: not ours to write over
            if old is None or other in taken or old.fixed:
                continue
            if old.death == life.birth and old.nbytes == life.nbytes:
                taken.add(other)
                head[name] = head[other]
                break
    return head


def arenas(lives: dict[int, Life], limit: int, share: bool = True) -> tuple[dict[int, tuple[int, int]], list[int]]:
    """Where each value lies, (block, first byte), and the bytes of each block; without `share` each has a block.

    The largest value comes first; each takes the tightest gap between those that live at the same time. A block ends at
    `limit` bytes, but for a value that is larger itself.

    Example:
        >>> arenas({0: Life(4096, 0, 1), 1: Life(2048, 1, 2), 2: Life(1024, 2, 3)}, 1 << 20)
        ({0: (0, 0), 1: (0, 4096), 2: (0, 0)}, [6144])
    """
    sizes: list[int] = []
    placed: list[list[tuple[int, int, int, int]]] = []          # by block: birth, death, first byte, end
    where: dict[int, tuple[int, int]] = {}
    for name, life in sorted(lives.items(), key=lambda item: -item[1].nbytes):
        nbytes = -(-life.nbytes // ALIGNED) * ALIGNED
        for block in range(len(sizes) if share else 0):
            beside = sorted((begin, end) for birth, death, begin, end in placed[block]
                            if birth <= life.death and life.birth <= death)
            begin = _gap(beside, nbytes)
            if begin + nbytes <= limit:
                break
        else:
            block, begin = len(sizes), 0
            sizes.append(0)
            placed.append([])
        placed[block].append((life.birth, life.death, begin, begin + nbytes))
        sizes[block] = max(sizes[block], begin + life.nbytes)
        where[name] = block, begin
    return where, sizes


def _gap(taken: list[tuple[int, int]], nbytes: int) -> int:
    """Where the smallest gap begins that has so many bytes; behind all if there is none."""
    free, best, tightest = 0, None, 0
    for begin, end in taken:
        if begin - free >= nbytes and (best is None or begin - free < tightest):
            best, tightest = free, begin - free
        free = max(free, end)
    return free if best is None else best
