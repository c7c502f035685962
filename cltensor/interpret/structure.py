"""From a path of the trie to a block: pending ops as plain data for the kernels that run them together.

Of the ops only those remain that somebody's value depends on, of the inputs only those they read. An op may be
several steps, or none: a view is just another name for its input. Where views give several elements another shape,
nothing repeats rows or columns (trie.py), so all arrays of the block are taken flat.
"""

from __future__ import annotations

from typing import Any

from cltensor.core.dispatch import letters
from cltensor.core.spec import Spec
from cltensor.interpret.eager import expression_text
from cltensor.interpret.trie import SHAPED, State
from cltensor.kernels.block import Block, Leaf, Step

__all__ = ["Structure", "needed", "structure_of"]


def needed(path: list[State], held: tuple) -> tuple[list[State], list[int]]:
    """The ops that the values held (positions among the ops) depend on, in order, and the slots of those values."""
    ops = [s for s in path if s.op is not None]
    wanted = [ops[i].slot for i in held]
    need = set(wanted)
    for s in reversed(ops):
        if s.slot in need:
            need.update(o for o in s.operands if o >= 0)
    return [s for s in ops if s.slot in need], wanted


class Structure:
    """A block and how it is used: which inputs it reads (`inputs`, in the order of its leaves), with which specs
    (`ins`), what it gives (`outs`), and which of these is each value held (`results`; ~i: input i itself)."""

    __slots__ = ("block", "inputs", "ins", "outs", "results", "names")

    def __init__(self, block: Block, inputs: tuple, ins: tuple, outs: tuple, results: tuple, names: tuple):
        self.block, self.inputs, self.ins, self.outs = block, inputs, ins, outs
        self.results, self.names = results, names

    def text(self) -> str:
        """The ops, one per line."""
        return "\n".join(self.names)


def structure_of(state: State, held: tuple) -> Structure | None:
    """The structure of a path whose values `held` are wanted; None where an op is no step."""
    path = state.path()
    ops, wanted = needed(path, held)
    reads = sorted({o for s in ops for o in s.operands if o < 0 or path[o].op is None}, key=lambda o: _input(path, o))
    flat = state.marks & SHAPED
    number: dict[int, int] = {o: i for i, o in enumerate(reads)}        # slot, or ~input -> value of the block
    ins: list = [path[o].sig.spec if o >= 0 else None for o in reads]
    steps: list[Step] = []
    names = []
    for s in ops:
        specs = _operand_specs(s, path)
        for o, spec in zip(s.operands, specs):
            if o < 0:
                ins[number[o]] = spec
        values = [number[o] for o in s.operands]
        parts = _steps(s, specs)
        if parts is None:
            return None
        for text, fold, operands, spec in parts:
            steps.append(Step(text, fold, tuple(values[i] for i in operands), _shape(spec, flat), spec.dtype.name))
            values.append(len(reads) + len(steps) - 1)
        number[s.slot] = values[-1] if parts else values[0]
        names.append(f"%{s.slot} = {s.op.name} " + " ".join(f"%{o}" if o >= 0 else "number" for o in s.operands)
                     + f" {s.sig.spec.shape}" + (" kept" if s.slot in wanted else ""))
    values = [number[slot] for slot in wanted]
    outputs = tuple(dict.fromkeys(v for v in values if v >= len(reads)))
    leaves = tuple(Leaf(_shape(s, flat), s.dtype.name, o < 0) for o, s in zip(reads, ins))
    block = Block(leaves, tuple(steps), outputs)
    outs = tuple(Spec(v.shape, v.dtype) for v in map(block.value, outputs))
    inputs = tuple(_input(path, o) for o in reads)
    results = tuple(outputs.index(v) if v >= len(reads) else ~inputs[v] for v in values)
    return Structure(block, inputs, tuple(ins), outs, results, tuple(names))


def _shape(spec: Spec, flat: int) -> tuple:
    return spec.shape if not flat else (spec.size,) if spec.size != 1 else ()


def _input(path: list[State], o: int) -> int:
    return path[o].inputs - 1 if o >= 0 else ~o


def _operand_specs(s: State, path: list[State]) -> tuple:
    """As `infer` saw them: a number has the dtype of a tensor of its letter."""
    known = {}
    names = letters(s.op, len(s.operands))
    for letter, o in zip(names, s.operands):
        if o >= 0:
            known.setdefault(letter, path[o].sig.spec.dtype)
    return tuple(path[o].sig.spec if o >= 0 else Spec((), known[letter]) for letter, o in zip(names, s.operands))


def _steps(s: State, specs: tuple) -> Any:
    if s.op.steps is not None:
        return s.op.steps(specs, (s.sig.spec,), **dict(s.attrs))
    return ((expression_text(s.op, specs, s.attrs), "", tuple(range(len(specs))), s.sig.spec),)
