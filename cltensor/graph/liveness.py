"""Buffer planning: which values of a replay share memory, decided once from when each is first and last used.

A replay runs its steps in one order on one queue, so a value that no later step reads leaves its memory to the next.
Two ways, both pure functions on intervals:

- *in place*: an elementwise step writes its result over an input that dies there (`chains`);
- *slots*: values whose lives do not overlap take turns in one block (`slots`), the largest placed first.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Life", "chains", "slots"]


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


def slots(lives: dict[int, Life], share: bool = True) -> tuple[dict[int, int], list[int]]:
    """The slot of each value, and the bytes of each slot; without `share` each value has one of its own.

    Example:
        >>> slots({0: Life(64, 0, 1), 1: Life(32, 1, 2), 2: Life(16, 2, 3)})
        ({0: 0, 1: 1, 2: 0}, [64, 32])
    """
    sizes: list[int] = []
    busy: list[list[tuple[int, int]]] = []
    where: dict[int, int] = {}
    for name, life in sorted(lives.items(), key=lambda item: -item[1].nbytes):
        # the smallest slot that is free all the while: the largest values come first, so any slot is large enough
        free = [i for i in range(len(sizes)) if share and all(
            life.death < birth or death < life.birth for birth, death in busy[i])]
        at = min(free, key=lambda i: sizes[i], default=len(sizes))
        if at == len(sizes):
            sizes.append(life.nbytes)
            busy.append([])
        busy[at].append((life.birth, life.death))
        where[name] = at
    return where, sizes
