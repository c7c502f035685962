"""OpDef: an op is one row, in one place. Nothing else in the package knows any op by name.

Four kinds of row, told apart by which field is set:

- `expr`   expression: scalar C expressions over the inputs, elementwise with broadcasting
- `lower`  kernel: `lower(ins, outs, target, **attrs) -> Plan`, a pure function of specs and device traits
- `view`   the result is the input's buffer under another shape (reshape, identity): no launch
- `run`    host: `run(*inputs, **attrs)` in Python or NumPy, for results whose shape depends on data

`infer(*specs, **attrs)` gives the result Spec (or a tuple of them) and is where user errors are raised.

**Gradients.** `vjps` holds one rule per input (None: no gradient). A rule is a function whose parameter
names say what it reads, and so what a tape must keep:

    g (or g0, g1, ... with several results)   gradient of the result(s); zeros where unused
    x0, x1, ...                               value of an input (a Python number where one was given)
    y (or y0, y1, ...)                        value of a result
    s0, s1, ...                               Spec of an input: shape and dtype without the value
    gs, ss                                    all gradients, all input Specs, where their number varies
    any other name                            the attribute of that name

Rules are written in public ops, so any order of gradient follows. The engine sums a gradient to the
input's shape after broadcasting, accumulates, and skips inputs nobody asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["OpDef", "Vjp", "registry"]

_REGISTRY: dict[str, OpDef] = {}


class Vjp:
    """A gradient rule with what it reads, taken from its parameter names."""

    __slots__ = ("rule", "reads", "inputs", "outputs", "waits")

    def __init__(self, rule: Callable):
        self.rule = rule
        self.waits = False          # known to be made of ops that may wait (autodiff/rules.py)
        self.reads = tuple(_reading(n) for n in inspect.signature(rule).parameters)
        self.inputs = tuple(i for kind, i in self.reads if kind == "x")
        self.outputs = tuple(i for kind, i in self.reads if kind == "y")


def _reading(name: str) -> tuple:
    """("g" | "x" | "y" | "s", number), ("ss" | "gs", None) for all of them, ("attr", name)."""
    if name in ("g", "y", "ss", "gs"):
        return (name, None if len(name) == 2 else 0)
    if name[0] in "gxys" and name[1:].isdigit():
        return (name[0], int(name[1:]))
    return ("attr", name)


class OpDef:
    """One op: what it computes, for which specs, how it is spread, and its gradient.

    Args:
        name: public name, e.g. "matmul"; unique.
        args: names of the tensor inputs, used in error sentences.
        infer: `infer(*specs, **attrs)` -> Spec or tuple of Specs.
        expr, lower, view, run: exactly one; see the module text.
        types: one letter per input; inputs with equal letters must have one dtype, and a Python value
            takes the dtype of a tensor of its letter. "" means all inputs share one dtype.
            "*" in place of letters: variadic, all one dtype; "any": each its own.
        vjps: one rule or None per input; for a variadic op a single rule that returns a list.
        slots: True when Python scalars may stay late-bound scalar arguments (expression rows); a tuple of
            ctypes per input position (None for tensors) for kernel rows whose inputs are scalars.
        identity: value of a non-empty result when an input is empty (sum 0, prod 1); a number or a
            function of the result's dtype.
        pure: False when two equal calls may differ (random) or have effects: never merged or folded.
        may_fail: the kernel may set the device error word; `fails` is its sentence.
        steps: `steps(ins, outs, **attrs)` writes a kernel or view row as steps of a block of pending ops, None
            where it cannot be for these specs; expression rows need none. See interpret/trie.py.
    """

    __slots__ = ("name", "args", "infer", "expr", "lower", "view", "run", "types", "vjps", "slots",
                 "identity", "pure", "may_fail", "fails", "doc", "memo", "variadic", "outputs", "steps", "defers")

    def __init__(self, name: str, args: tuple, infer: Callable, *, expr: Any = None,
                 lower: Callable | None = None, view: bool = False, run: Callable | None = None,
                 types: str = "", vjps: tuple | Callable | None = (), slots: Any = False, identity: Any = None,
                 pure: bool = True, may_fail: bool = False, fails: str = "", outputs: int = 1,
                 steps: Callable | None = None, doc: str = ""):
        if sum(x is not None and x is not False for x in (expr, lower, view, run)) != 1:
            raise ValueError(f"op {name}: exactly one of expr, lower, view, run makes a row")
        if name in _REGISTRY:
            raise ValueError(f"op {name} is registered twice")
        self.name, self.args, self.infer = name, args, infer
        self.expr, self.lower, self.view, self.run = expr, lower, view, run
        self.variadic = types == "*"
        self.types = types
        rules = vjps if isinstance(vjps, (tuple, list)) else (vjps,)
        self.vjps = tuple(None if r is None else Vjp(r) for r in rules)
        self.slots, self.identity, self.pure = slots, identity, pure
        self.may_fail, self.fails, self.doc, self.outputs = may_fail, fails, doc, outputs
        self.steps = steps
        self.defers = outputs == 1 and pure and (expr is not None or steps is not None)
        self.memo: dict = {}
        _REGISTRY[name] = self

    @property
    def kind(self) -> str:
        """"expression", "kernel", "view" or "host"."""
        if self.expr is not None:
            return "expression"
        return "kernel" if self.lower is not None else "view" if self.view else "host"

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.kind}>"


def registry() -> dict[str, OpDef]:
    """Every op by name."""
    return dict(_REGISTRY)
