"""The structures of pending work, as paths in a trie: what has been appended so far is a node of it.

    root -- leaf (1000,) -- leaf () -- multiply 0 1 -- add 2, number -- ...

Appending an op is one step along an edge whose name tells the op and the values it reads; so the result's spec,
the number of the new value, and whether the block is full are known at once, and so is, at the end, the whole
structure: plans for it are kept at its node. Only a step never taken before costs shape inference.

Values are numbered in the order in which they appear, leaves and results alike (`slot`). Python numbers are no
values: they stand with the leaf tensors in a list of inputs, and an op reads them by their place there.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

from cltensor.core.op import OpDef
from cltensor.core.spec import Sig, Spec

__all__ = ["State", "Edge", "key_of", "NUMBER", "REFUSED", "root_of", "marks_of", "OPS", "SLOTS", "LEAVES", "NUMBERS",
           "HELD", "SHAPED", "REPEATS", "STEPS", "MOST_NUMBERS", "FULL"]

OPS, SLOTS, LEAVES, NUMBERS = 24, 32, 10, 12        # a block of that many is full
STEPS, MOST_NUMBERS = 5, 24     # a small one may hold that many steps of a loop, and numbers
HELD = 64 << 20             # bytes of leaves from which on it is looked at whether the block alone holds them
STATES = 20_000             # 26 MB with their plans; then the trie starts anew
NUMBER = 1023               # stands for a Python number in an edge
FULL, HEAVY = 1, 2
SHAPED, REPEATS = 1, 2
Edge = Any                  # int or tuple; the Sig of a leaf


class State:
    """A node of the trie: the last leaf or op appended, what it gives, and how full the block is.

    `operands` of an op: slots of values, and ~i for number i of the inputs. `marks` says whether the path holds
    a view that shapes several elements anew (SHAPED), and an op that repeats rows or columns (REPEATS): never both,
    so that a path with such views may be run with all its arrays flat.
    """

    __slots__ = ("next", "parent", "sig", "slot", "left", "op", "attrs", "operands", "inputs", "leaves", "numbers",
                 "ops", "held", "stop", "plans", "run", "walks", "marks")

    def __init__(self, parent: State | None, sig: Any, op: Any = None, attrs: tuple = (),
                 operands: tuple = (), marks: int = 0):
        self.next: dict[Edge, State] = {}
        self.parent, self.sig, self.op, self.attrs, self.operands = parent, sig, op, attrs, operands
        self.plans: dict[tuple, Any] = {}
        self.run: Any = None        # the op alone
        self.walks: dict | None = None      # backward passes that began here: autodiff/recall.py
        if parent is None:
            self.slot, self.inputs, self.leaves, self.numbers, self.ops, self.held = -1, 0, 0, 0, 0, 0
            self.marks = 0
        else:
            numbers = sum(o < 0 for o in operands)
            leaf = op is None
            self.slot = parent.slot + 1
            self.inputs = parent.inputs + leaf + numbers
            self.leaves, self.numbers = parent.leaves + leaf, parent.numbers + numbers
            self.ops = parent.ops + (not leaf)
            self.marks = parent.marks | marks
            self.held = parent.held + (sig.spec.nbytes if leaf else 0)
        self.left = self.slot << 10
        full = self.ops >= OPS or self.slot + 1 >= SLOTS or self.leaves >= LEAVES or self.numbers >= NUMBERS
        self.stop = FULL if full else HEAVY if self.held > HELD else 0

    def leaf(self, sig: Sig) -> State:
        """The state after one more leaf."""
        found = self.next.get(sig)
        return self._grow(sig, State(self, sig)) if found is None else found

    def _grow(self, edge: Edge, state: State) -> State:
        _count()
        return self.next.setdefault(edge, state)

    def refuse(self, edge: Edge) -> None:
        """Remember that this op cannot wait here."""
        self.next[edge] = REFUSED

    def step(self, edge: Edge, sig: Sig, op: OpDef, attrs: tuple, operands: tuple, marks: int = 0) -> State:
        """The state after an op that was never appended here before; None in `operands` is a number."""
        number = itertools.count(self.inputs)
        operands = tuple(~next(number) if o is None else o for o in operands)
        return self._grow(edge, State(self, sig, op, attrs, operands, marks))

    def path(self) -> list[State]:
        """The states from the first on; `path[i].slot == i`."""
        found, state = [], self
        while state.parent is not None:
            found.append(state)
            state = state.parent
        return found[::-1]


def marks_of(op: OpDef, ins: tuple, out: Spec) -> int:
    """SHAPED, REPEATS or neither: what an op on such inputs makes of a path."""
    if op.view:
        return SHAPED if out.size != 1 and ins[0].shape != out.shape else 0
    return REPEATS if out.size != 1 and any(x.size not in (1, out.size) for x in ins) else 0


REFUSED = State(None, None)
_roots: dict[Any, State] = {}
_lock = threading.Lock()
_states = 0


def _count() -> None:
    """Count a new state; too many of them, and the trie starts anew. Blocks that wait keep the path they have."""
    global _states
    _states += 1
    if _states > STATES:
        forget()


def forget() -> None:
    """Start all tries anew."""
    global _states
    with _lock:
        _states = 0
        for root in _roots.values():
            root.next = {}


def count() -> int:
    """Number of states made so far."""
    return _states


def root_of(device: Any) -> State:
    """Where all structures of a device begin."""
    found = _roots.get(device)
    return _roots.setdefault(device, State(None, None)) if found is None else found


def key_of(code: int, operands: list) -> Edge:
    """The edge of an op by its code, and the slots (None: a number) it reads."""
    if len(operands) == 1:
        return code + (operands[0] << 10)
    if len(operands) == 2:
        a, b = operands
        return code + ((NUMBER if a is None else a) << 10) + (NUMBER if b is None else b)
    return (code, *operands)
