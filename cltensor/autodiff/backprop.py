"""The one reverse walk: from gradients of results to gradients of sources, over a list of records.

Tapes, `gradients_function`, custom gradients and (later) graphs all use it. What every rule would need
stands here once: summing to the input's shape after broadcasting, accumulating, zeros for results nobody
used, skipping what no source needs.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from cltensor.autodiff import rules
from cltensor.base.errors import InternalError
from cltensor.core.dispatch import current_device, device_scope
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.lists import empty_list
from cltensor.core.op import OpDef
from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, convert, from_numpy
from cltensor.ops import creation, join, math
from cltensor.ops.reduce import sum_to
from cltensor.ops.tensor_list import list_add

__all__ = ["Record", "OpRecord", "backprop", "ones", "zeros"]


class Record:
    """One step of a forward pass. `in_uids` and `out_uids` name tensors; `backward` gives input gradients."""

    __slots__ = ("name", "in_uids", "in_specs", "out_uids", "out_specs")
    name: str
    in_uids: tuple
    in_specs: tuple
    out_uids: tuple
    out_specs: tuple

    def backward(self, gradients: tuple, wanted: tuple) -> list:
        """Gradient (or None) of each input; only where `wanted` is True it is needed."""
        raise NotImplementedError


def wanting(op: OpDef, tracked: tuple) -> tuple | None:
    """Which inputs a gradient is wanted for, if these are tracked; None if for none."""
    known = _wanting.get((op, tracked))
    if known is None:
        need = tracked if op.variadic else tuple(t and v is not None for t, v in zip(tracked, op.vjps))
        known = _wanting[op, tracked] = (need if any(need) else None,)
    return known[0]


def _read_by(op: OpDef, need: tuple) -> tuple[tuple, tuple]:
    """Which inputs and results the rules of the inputs needed read."""
    known = _reads.get((op, need))
    if known is None:
        rules_needed = [v for i, v in enumerate(op.vjps) if v is not None and (op.variadic or need[i])]
        known = _reads[op, need] = (tuple({k for v in rules_needed for k in v.inputs}),
                                    tuple({k for v in rules_needed for k in v.outputs}))
    return known


_wanting: dict[tuple, tuple] = {}       # small: an op and a tuple of flags
_reads: dict[tuple, tuple] = {}


class OpRecord(Record):
    """An op that ran, with the values its gradient rules read and nothing more."""

    __slots__ = ("op", "attrs", "xs", "ys")

    def __init__(self, op: OpDef, attrs: tuple, inputs: tuple, outs: tuple, need: tuple):
        self.op, self.attrs, self.name = op, attrs, op.name
        # uid 0 is no tensor: Python scalars, and inputs no gradient is wanted for
        self.in_uids = tuple([x.uid if wanted else 0 for x, wanted in zip(inputs, need)])
        self.in_specs = tuple([x.sig.spec if isinstance(x, Tensor) else None for x in inputs])
        self.out_uids = tuple([y.uid for y in outs])
        self.out_specs = tuple([y.sig.spec for y in outs])
        xs, ys = _read_by(op, need)
        self.xs: dict[int, Any] = {k: inputs[k] for k in xs}
        self.ys: dict[int, Any] = {k: outs[k] for k in ys}

    def backward(self, gradients: tuple, wanted: tuple) -> list:
        if self.op.variadic:
            vjp = self.op.vjps[0]
            assert vjp is not None          # the tape keeps no record of an op without a rule
            return list(vjp.rule(*self._read(vjp, gradients)))
        return [rules.call(self.name, i, vjp, self._read(vjp, gradients)) if want and vjp is not None else None
                for i, (vjp, want) in enumerate(zip(self.op.vjps, wanted))]

    def _read(self, vjp: Any, gradients: tuple) -> list:
        """What the rule reads, in the order of its parameters."""
        values = []
        for kind, i in vjp.reads:
            if kind == "g":
                values.append(gradients[i])
            elif kind == "x":
                values.append(self.xs[i])
            elif kind == "y":
                values.append(self.ys[i])
            elif kind == "s":
                values.append(self.in_specs[i])
            elif kind == "ss":
                values.append(self.in_specs)
            elif kind == "gs":
                values.append(list(gradients))
            else:
                values.append(dict(self.attrs)[i])
        return values


_small: dict[tuple, Tensor] = {}


def ones(spec: Spec, device: Any) -> Tensor:
    """Ones of a spec: the seed of a backward pass, a constant that depends on nothing."""
    return _full(spec, 1, device)


def zeros(spec: Spec, device: Any) -> Tensor:
    """Zeros of a spec; of a list, one in which nothing is written."""
    return _full(spec, 0, device) if spec.dtype.kind != "list" else empty_list(spec)


def _full(spec: Spec, value: float, device: Any) -> Tensor:
    if spec.nbytes > 64:
        with device_scope(device):
            if value in (0, 1):
                return (creation.ones if value else creation.zeros)(spec.shape, spec.dtype)
            return creation.fill(spec.shape, convert(value, spec.dtype))
    device = device or current_device()         # a recorded value is nowhere yet
    key = (spec, value, device)
    kept = _small.get(key)
    if kept is None:
        if len(_small) >= 64:
            _small.clear()
        kept = _small[key] = from_numpy(np.full(spec.shape, value, spec.dtype.np), device)
    # the buffer is shared, so that no step uploads a seed again; the tensor is new, so that no tape knows it
    return Tensor(kept.sig, kept.buffer, kept.host)


def _accumulate(parts: list) -> Any:
    """Sum of gradient contributions; sparse ones stay sparse as long as all are."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(p, IndexedSlices) for p in parts):
        indices = [p.indices for p in parts]
        if len({i.dtype for i in indices}) > 1:         # one table looked up by int32 and by int64 numbers
            indices = [math.cast(i, "int64") for i in indices]
        return IndexedSlices(join.concat([p.values for p in parts], 0), join.concat(indices, 0), parts[0].dense_shape)
    if parts[0].dtype.kind == "list":
        return reduce(list_add, parts)
    return math.add_n([p.as_tensor() if isinstance(p, IndexedSlices) else p for p in parts])


def _fit(gradient: Any, spec: Spec, op: str, device: Any) -> Any:
    """A rule's answer as a gradient of the input: summed over what was broadcast, numbers filled in."""
    if isinstance(gradient, IndexedSlices):
        return gradient
    if not isinstance(gradient, Tensor):
        if isinstance(gradient, (int, float)):
            return _full(spec, gradient, device)
        gradient = gradient.as_tensor()
    if gradient.spec.dtype is not spec.dtype:
        raise InternalError(f"{op}: its gradient has dtype {gradient.dtype.name}, the input {spec.dtype.name}")
    if gradient.spec.shape != spec.shape and spec.dtype.kind != "list":
        return sum_to(gradient, spec.shape)
    return gradient


def backprop(records: list, seeds: dict[int, list], sources: set, consume: bool) -> dict[int, Any]:
    """Walk the records backwards.

    Args:
        records: what ran, in order. With `consume` they are dropped as they are walked, and with them the
            values they held.
        seeds: uid of a target -> its gradients.
        sources: uids whose gradients are wanted.

    Returns: uid -> gradient, for the sources that are connected.
    """
    live = set(sources)                     # what depends on a source
    for r in records:
        if not live.isdisjoint(r.in_uids):
            live.update(r.out_uids)
    parts: dict[int, list] = {uid: list(g) for uid, g in seeds.items()}
    done: dict[int, Any] = {}
    pending = records if consume else list(records)
    while pending:
        r = pending.pop()
        gradients: list = []
        for uid in r.out_uids:
            got = parts.pop(uid, None)
            total = None if got is None else got[0] if len(got) == 1 else _accumulate(got)
            if total is not None and uid in sources:
                done[uid] = total
            gradients.append(total)
        wanted = tuple([uid in live for uid in r.in_uids])
        if True not in wanted:
            continue
        first = next((g for g in gradients if g is not None), None)
        if first is None:
            continue
        device = first.placed_on
        dense = tuple([zeros(s, device) if g is None else g.as_tensor() if isinstance(g, IndexedSlices) else g
                       for g, s in zip(gradients, r.out_specs)])
        for uid, want, spec, g in zip(r.in_uids, wanted, r.in_specs, r.backward(dense, wanted)):
            if want and g is not None:
                if type(g) is not Tensor or g.sig.spec is not spec:
                    g = _fit(g, spec, r.name, device)
                if uid in parts:
                    parts[uid].append(g)
                else:
                    parts[uid] = [g]
    for uid, got in parts.items():
        if uid in sources:
            done[uid] = _accumulate(got)
    return done
