"""Running a family of kernels with given tuning parameters, and comparing what they give with the plain kernel.

A tuned entry counts only if, for awkward small shapes that reach every form of its family, each bit is that of
the untuned plain kernel. A wrong entry would otherwise be a wrong answer in every program on this machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from cltensor.base.dtypes import float32
from cltensor.core.spec import Spec
from cltensor.core.tensor import from_numpy, to_array
from cltensor.interpret.runner import bind_plan
from cltensor.kernels import convolution, matmul, reduction, rowwise, tuning
from cltensor.kernels.plan import Plan
from cltensor.runtime import device as devices

__all__ = ["Case", "product", "convolved", "reduced", "softmaxed", "small_cases", "Bound", "complaint",
           "values"]


@dataclass(frozen=True)
class Case:
    """One piece of work: `plan(target)` under whatever parameters hold, `plain(target)` the untuned reference."""

    title: str
    ins: tuple
    out: Spec
    plan: Callable[[Any], Plan]
    plain: Callable[[Any], Plan]


def _f32(*shape: int) -> Spec:
    return Spec(shape, float32)


def product(m: int, k: int, n: int, transpose_b: bool = False, transpose_a: bool = False) -> Case:
    """A float32 matrix product."""
    p = matmul.Product(float32, m, n, k, transpose_a, transpose_b, (1,), (0,), (0,), 1, 1, 1)
    flags = ("T" if transpose_a else "N") + ("T" if transpose_b else "N")
    return Case(f"matmul {m}x{k}x{n}{'' if flags == 'NN' else ' ' + flags}",
                (_f32(k, m) if transpose_a else _f32(m, k), _f32(n, k) if transpose_b else _f32(k, n)), _f32(m, n),
                lambda target: matmul.plan(p, target), lambda target: matmul.plain(p, target))


def convolved(n: int, side: int, size: int, c: int, o: int, part: str = "forward") -> Case:
    """A float32 convolution of stride 1 and same padding, or a gradient of it ("dx", "dw")."""
    half = size // 2
    w = convolution.Window(float32, False, n, side, side, c, size, size, o, side, side, 1, 1, 1, 1, half, half)
    x, f, y = _f32(n, side, side, c), _f32(size, size, c, o), _f32(n, side, side, o)
    lower, ins, out = {"forward": (convolution.forward, (x, f), y), "dx": (convolution.input_gradient, (y, f), x),
                       "dw": (convolution.filter_gradient, (x, y), f)}[part]
    return Case(f"conv2d {size}x{size} {c}->{o} {side}x{side} b{n} {part}", ins, out,
                lambda target: lower(w, target), lambda target: lower(w, target))


def reduced(shape: tuple, axis: int) -> Case:
    """A float32 sum over one axis."""
    out = _f32(*shape[:axis], *shape[axis + 1:])

    def lower(target: Any) -> Plan:
        return reduction.lower_reduce((_f32(*shape),), (out,), target, op="sum", axes=(axis,))
    return Case(f"sum {shape} axis {axis}", (_f32(*shape),), out, lower, lower)


def softmaxed(rows: int, columns: int) -> Case:
    """A float32 softmax of rows."""
    spec = _f32(rows, columns)

    def lower(target: Any) -> Plan:
        return rowwise.lower_softmax((spec,), (spec,), target, kind="softmax")
    return Case(f"softmax {rows}x{columns}", (spec,), spec, lower, lower)


def small_cases(name: str) -> list[Case]:
    """Shapes that reach every form of a family: odd, with tails on each side, and larger than one tile."""
    if name == "matmul":
        return [product(61, 301, 203), product(130, 1100, 203, True), product(515, 70, 517),
                product(300, 700, 203, True), product(300, 1100, 77, False, True),       # packed
                product(61, 301, 13), product(2, 300, 517), product(1, 2000, 1030), product(3, 300, 45, True),
                product(61, 50, 203, False, True),
                # enough groups for the large tile of the gpu schedule
                product(1409, 21, 1410), product(1409, 21, 1410, True, True)]
    if name == "conv2d":
        return [convolved(2, 13, 3, 19, 45), convolved(2, 13, 3, 19, 45, "dx"), convolved(5, 13, 3, 19, 45, "dw"),
                convolved(1, 9, 1, 5, 70)]
    return [reduced((300, 1003), 0), reduced((300, 1003), 1), reduced((9001, 7), 1), softmaxed(300, 517)]


class Bound:
    """A case with its data on a device and its kernels compiled; `run()` gives the result tensor."""

    def __init__(self, case: Case, device: Any, parameters: dict | None, name: str, data: tuple = ()):
        self.device = device
        self.data = data or tuple(from_numpy(a, device, keep=False) for a in values(case))
        with tuning.using(**({} if parameters is None else {name: parameters})):
            plan = case.plain(device.traits) if parameters is None else case.plan(device.traits)
        op = SimpleNamespace(name="tuning", outputs=1, may_fail=False, fails="")
        self._run = bind_plan(op, plan, device, case.ins, (case.out,))

    def run(self) -> Any:
        return self._run(self.data)

    def result(self) -> np.ndarray:
        return to_array(self.run())


def values(case: Case) -> list[np.ndarray]:
    """The same numbers each time, of all signs."""
    rng = np.random.default_rng(7)
    return [rng.standard_normal(s.shape, np.float32) for s in case.ins]


def complaint(name: str, parameters: dict, device: Any, cases: list[Case] | None = None) -> str:
    """What is wrong with the results of these parameters, "" if they have the plain kernel's bits."""
    for case in small_cases(name) if cases is None else cases:
        try:
            plain = Bound(case, device, None, name)
            tried = Bound(case, device, parameters, name, plain.data)
            want, got = plain.result(), tried.result()
        except Exception as error:     # whatever goes wrong with an entry is a reason not to use it
            return f"{case.title} does not run: {(str(error) or type(error).__name__).splitlines()[0]}"
        if not np.array_equal(want, got):
            wrong = np.count_nonzero(want != got)
            return f"{wrong} of {want.size} results of {case.title} differ from the plain kernel's"
    return ""


def _on_target(name: str, parameters: dict, target: Any) -> str:
    """The trial in a thread of its own: scopes, tapes and guards of the caller are none of its business."""
    device = next((d for d in devices.devices() if d.traits is target), None)
    if device is None:
        return "its device is not at hand"
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(complaint(name, parameters, device)), name="cltensor-trial")
    thread.start()
    thread.join()
    return said[0] if said else "its trial failed"


tuning.install_trial(_on_target)
