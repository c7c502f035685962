"""Expressions: what an elementwise kernel computes, as statements over values, and how they are spread.

An eager op is an expression of one statement, a fused chain one of many; both render into the same
template. Values are numbered: the inputs first, then one per statement.

The text of a statement is C over x0, x1, ... (the statement's operands) and may start with named
parts, `T r = fmod(x0, x1); r + x1`. Words replaced when it is rendered, where the type is that of the
statement's last operand unless said otherwise:

    $T   vector of the compute type       $S   its scalar
    $I   vector of the mask type (what a comparison yields: -1 true, 0 false)
    $O   vector of the result's compute type
    K(c) the constant c as a literal of the type
    BOOL(m)  a mask as the 0 / 1 bytes a bool tensor stores
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cltensor.base.dtypes import as_dtype
from cltensor.base.errors import InternalError
from cltensor.base.shapes import broadcast_strides, merge_broadcast, merge_strides
from cltensor.kernels.plan import IN, OUT, SCALAR, SLOT, TABLE, Plan, launch
from cltensor.kernels.text import literal, vec

__all__ = ["Statement", "Expression", "Piece", "single", "compose", "lower_expression", "statement_lines", "WIDTH"]

LONGEST_PERIOD = 48     # longer rows are walked as rows
PAST = 2 ** 25          # bytes of a result from which it is written past the caches
WIDTH = {"cpu": 16, "gpu": 4}      # elements per vector; tails are padded to it, never done one by one


@dataclass(frozen=True)
class Statement:
    """One op of an expression: C text, the values it reads, the dtype it yields."""

    text: str
    operands: tuple
    dtype: str


@dataclass(frozen=True)
class Expression:
    """Statements over inputs; `inputs` holds (dtype name, is_slot), `outputs` value numbers."""

    inputs: tuple
    statements: tuple
    outputs: tuple

    def dtype_of(self, value: int) -> str:
        """Name of the dtype of a value."""
        n = len(self.inputs)
        return self.inputs[value][0] if value < n else self.statements[value - n].dtype

    def reading(self, more: tuple) -> Expression:
        """The same with further inputs behind its own; values of statements are numbered behind these."""
        n = len(self.inputs)

        def moved(values: tuple) -> tuple:
            return tuple(v if v < n else v + len(more) for v in values)
        return Expression(self.inputs + more, tuple(Statement(s.text, moved(s.operands), s.dtype)
                                                    for s in self.statements), moved(self.outputs))


def single(texts: Any, ins: tuple, slots: tuple, outs: tuple) -> Expression:
    """The expression of one row: a text per result over all inputs."""
    texts = (texts,) if isinstance(texts, str) else tuple(texts)
    n = len(ins)
    operands = tuple(range(n))
    return Expression(tuple((s.dtype.name, slot) for s, slot in zip(ins, slots)),
                      tuple(Statement(t, operands, o.dtype.name) for t, o in zip(texts, outs)),
                      tuple(range(n, n + len(texts))))


def compose(parts: list[tuple[Expression, tuple]], n_inputs: int, inputs: tuple, outputs: tuple) -> Expression:
    """Chain expressions into one.

    `parts` holds (expression, sources) in order: sources names, for each input of the expression, a
    value of the composition: below `n_inputs` an input of it, else n_inputs + k for the k-th statement
    already appended. `inputs` and `outputs` are those of the composition.
    """
    statements: list[Statement] = []
    for expression, sources in parts:
        base, n = len(statements), len(expression.inputs)
        for s in expression.statements:
            operands = tuple(sources[v] if v < n else n_inputs + base + v - n for v in s.operands)
            statements.append(Statement(s.text, operands, s.dtype))
    return Expression(inputs, tuple(statements), outputs)


@lru_cache(maxsize=4096)
def statement_lines(expression: Expression, v: int) -> tuple:
    """The statements as C declarations of v0, v1, ..., one line per named part."""
    n = len(expression.inputs)
    lines = []
    for k, s in enumerate(expression.statements):
        last = as_dtype(expression.dtype_of(s.operands[-1]) if s.operands else s.dtype)
        out = as_dtype(s.dtype)
        words = {"T": vec(last.compute, v), "S": last.compute, "I": vec(last.mask, v), "O": vec(out.compute, v)}
        *parts, final = [p.strip() for p in s.text.split(";")]
        local = {}
        for part in parts:
            found = re.match(r"([TIO])\s+(\w+)\s*=\s*(.*)", part)
            if not found:
                raise InternalError(f"expression: {part!r} is not `T name = value`")
            kind, name, text = found.groups()
            lines.append(f"{words[kind]} {name}_{k} = {_spell(text, s, words, last, local)};")
            local[name] = f"{name}_{k}"
        value = _spell(final, s, words, last, local)
        if s.dtype == "float16":    # half storage rounds after each op, fused or not
            lines.append(f"ROUND_HALF({vec('float', v)}, v{n + k}, {value})")
        else:
            lines.append(f"{words['O']} v{n + k} = {value};")
    return tuple(lines)


def _spell(text: str, s: Statement, words: dict, dtype: Any, local: dict) -> str:
    text = re.sub(r"\bK\(([^()]*)\)", lambda m: literal(dtype, float(m[1]) if dtype.is_floating else int(m[1])), text)
    text = re.sub(r"\bx(\d+)\b", lambda m: f"v{s.operands[int(m[1])]}", text)
    text = re.sub(r"\$([TSIO])", lambda m: words[m[1]], text)
    return re.sub(r"\b[a-z_]\w*\b", lambda m: local.get(m[0], m[0]), text)


def groups_for(n: int, units: int, target: Any) -> int:
    """Work-groups of a cpu launch over n elements: one while launching costs more than computing."""
    if n <= 4096:
        want = 1
    elif n <= 65536:
        want = target.compute_units
    else:
        want = min(max(n // 32768, 2 * target.compute_units), 16 * target.compute_units)
    return max(1, min(want, units))


@dataclass(frozen=True)
class Piece:
    """Where a piece of a larger array lies in it: offset, and strides over the piece's own dimensions, in elements."""

    offset: int
    strides: tuple


def lower_expression(expression: Expression, ins: tuple, outs: tuple, target: Any, pieces: tuple = (),
                     places: tuple = ()) -> Plan:
    """One launch of the elementwise template; all results have the broadcast shape of the inputs.

    `pieces` holds (input, Piece) of inputs that are pieces of larger arrays, of the results' shape. `places`, if given,
    holds for each result (which array of the plan's it is written to, the Piece of it that it is or None).
    """
    v = WIDTH[target.schedule]
    tensors = [i for i, (_, slot) in enumerate(expression.inputs) if not slot]
    dims, strides = merge_broadcast(outs[0].shape, [ins[i].shape for i in tensors])
    offsets: tuple = ()
    placed = [p for _, p in places if p]
    if pieces or placed:
        cut, shape = dict(pieces), outs[0].shape
        offsets = (*(cut[i].offset if i in cut else 0 for i in tensors), *(p.offset for p in placed))
        own = [cut[i].strides if i in cut else broadcast_strides(shape, ins[i].shape) for i in tensors]
        dims, strides = merge_strides(shape, [*own, *(p.strides for p in placed)])
    period = _period(dims, strides) if target.schedule == "cpu" and not placed else 0
    periodic: tuple = ()
    if period:
        periodic = tuple(s == (0, 1) for s in strides)
        dims, strides = (dims[0] * dims[1],), tuple((s[1],) for s in strides)
    inner, outer = dims[-1], dims[:-1]
    rows = 1
    for d in outer:
        rows *= d
    n = rows * inner
    if target.schedule == "cpu":
        blocks = max(1, min(-(-inner // v), -(-groups_for(n, n, target) // rows)))
        block = -(-inner // (blocks * v)) * v
        blocks = -(-inner // block)
        groups = groups_for(n, rows * blocks, target)
        per = -(-rows * blocks // groups)
        work, local = (-(-rows * blocks // per),), (1,)
    else:
        block, blocks, per = v, -(-inner // v), 1
        work, local = (64 * max(1, min(-(-rows * blocks // 64), 1024)),), (64,)
    args = [OUT(i) for i, _ in places or enumerate(outs)] + [IN(i) for i in tensors]
    args += [SLOT(i, as_dtype(d).compute) for i, (d, slot) in enumerate(expression.inputs) if slot]
    args += [SCALAR("ulong", inner), SCALAR("ulong", rows), SCALAR("ulong", blocks), SCALAR("ulong", block),
             SCALAR("ulong", per)]
    args += [SCALAR("uint", s[-1]) for s in strides[:len(tensors)]]
    if target.schedule == "cpu":
        args.append(SCALAR("uint", int(_passes_caches(n, inner, outs))))
    args += [SCALAR("uint", len(outer)), TABLE([*_table(outer, strides), *offsets]) if outer or offsets else ("null",)]
    args += [SCALAR("uint", period)] if period else []
    return Plan((launch("elementwise", "elementwise", args, work, local, schedule=target.schedule,
                        inputs=expression.inputs, lines=statement_lines(expression, v), periodic=periodic,
                        offsets=bool(offsets), placed=tuple(p is not None for _, p in places) if placed else (),
                        outputs=tuple((o, s.dtype.name) for o, s in zip(expression.outputs, outs))),))


def _passes_caches(n: int, inner: int, outs: tuple) -> bool:
    """Whether results are so large that their beginning has left the caches before their end is written.

    Vectors must then begin at multiples of their size.
    """
    return n * max(s.dtype.size for s in outs) >= PAST and (inner == n or inner % WIDTH["cpu"] == 0)


def _period(dims: tuple, strides: tuple) -> int:
    """Length of rows so short that walking them costs more than their work, where a flat walk will do; else 0.

    So it is for [131072, 8] + [8]: the small operand repeats every 8 elements of the flat result.
    """
    if len(dims) != 2 or dims[1] > LONGEST_PERIOD or dims[0] < 2:
        return 0
    kinds = {(dims[1], 1), (0, 1), (0, 0)}
    return dims[1] if all(s in kinds for s in strides) and (0, 1) in strides else 0


def _table(outer: tuple, strides: tuple) -> list:
    flat = list(outer)
    for s in strides:
        flat += s[:-1]
    return flat
