"""Five ops recorded with an unknown batch, specialised for a fed shape, fused into one kernel, replayed.

This walks the seams that graphs stand on: rows infer on partial specs, expressions compose, a plan binds
without any op knowing, slots stay late-bound, and the bits are those of the five eager launches.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from cltensor.core.spec import Spec
from cltensor.core.tensor import Tensor, from_numpy
from cltensor.interpret import defer
from cltensor.interpret.eager import infer_specs
from cltensor.interpret.record import Recording, Symbol
from cltensor.interpret.runner import bind_plan
from cltensor.kernels.expression import compose, lower_expression, single
from cltensor.ops import functions, math


def chain(x, w, rate):
    """The five ops."""
    return math.maximum(functions.tanh(math.add(math.multiply(x, w), rate)), math.square(x))


def specialise(nodes, feeds):
    """An environment symbol -> concrete spec over the same nodes, shapes flowing forward."""
    env = {s.uid: t.spec for s, t in feeds.items()}
    for node in nodes:
        ins = []
        for x in node.inputs:
            ins.append(env.get(x.uid, x.spec) if isinstance(x, Tensor) else None)
        dtype = next(s.dtype for s in ins if s is not None)
        ins = [Spec((), dtype) if s is None else s for s in ins]
        for out, spec in zip(node.outputs, infer_specs(node.op, tuple(ins), node.attrs)):
            env[out.uid] = spec
    return env


def fuse(nodes, env, fetch):
    """All nodes as one expression: its inputs in order of first use, slots by position."""
    leaves, values, inputs, parts = [], {}, [], []
    for node in nodes:
        for x in node.inputs:
            if not isinstance(x, Tensor):
                leaves.append(x)
                inputs.append((env[node.outputs[0].uid].dtype.name, True))
            elif (not isinstance(x, Symbol) or x.node is None) and x.uid not in values:
                values[x.uid] = len(leaves)
                leaves.append(x)
                inputs.append((env.get(x.uid, x.spec).dtype.name, False))
    n, slot = len(leaves), iter([i for i, (_, is_slot) in enumerate(inputs) if is_slot])
    for k, node in enumerate(nodes):
        ins = tuple(env.get(x.uid, x.spec) if isinstance(x, Tensor) else Spec((), "float32") for x in node.inputs)
        slots = tuple(not isinstance(x, Tensor) for x in node.inputs)
        text = node.op.expr(*ins) if callable(node.op.expr) else node.op.expr
        text = text["float"] if isinstance(text, dict) else text
        outs = tuple(env[o.uid] for o in node.outputs)
        sources = tuple(values[x.uid] if isinstance(x, Tensor) else next(slot) for x in node.inputs)
        parts.append((single(text, ins, slots, outs), sources))
        values[node.outputs[0].uid] = n + k
    return leaves, compose(parts, n, tuple(inputs), (values[fetch.uid],))


@pytest.mark.parametrize("rows", [1, 5, 4099])
def test_recorded_specialised_fused_replayed(rows, device):
    rng = np.random.default_rng(0)
    w = from_numpy(rng.standard_normal(37).astype(np.float32))
    symbol = Symbol(Spec((None, 37), "float32"))
    with Recording() as recording:
        y = chain(symbol, w, 0.25)
    assert len(recording.nodes) == 5
    assert y.shape.as_list() == [None, 37]

    first = from_numpy(rng.standard_normal((rows, 37)).astype(np.float32), keep=False)
    env = specialise(recording.nodes, {symbol: first})
    assert env[y.uid].shape == (rows, 37)
    leaves, expression = fuse(recording.nodes, env, y)
    ins = tuple(first.spec if x is symbol else x.spec if isinstance(x, Tensor) else Spec((), "float32") for x in leaves)
    plan = lower_expression(expression, ins, (env[y.uid],), first.placed_on.traits)
    assert len(plan.launches) == 1
    run = bind_plan(SimpleNamespace(name="fused", may_fail=False, fails="", outputs=1), plan, first.placed_on, ins,
                    (env[y.uid],))

    queue = first.placed_on.queue
    second = from_numpy(rng.standard_normal((rows, 37)).astype(np.float32), keep=False)
    for fed, rate in ((first, 0.25), (second, -1.5)):        # the replay takes another batch and another rate
        inputs = tuple(fed if x is symbol else x if isinstance(x, Tensor) else rate for x in leaves)
        w.buffer                                             # noqa: B018  (a host value uploads at first use)
        before = queue.launch_count
        fused = run(inputs)
        assert queue.launch_count == before + 1
        with defer.using("0"):
            eager = chain(fed, w, rate)
        assert queue.launch_count == before + 6
        assert fused.numpy().tobytes() == eager.numpy().tobytes()


def test_bad_op_in_a_recording_appends_nothing():
    symbol = Symbol(Spec((None, 3), "float32"))
    with Recording() as recording, pytest.raises(ValueError, match="shapes do not broadcast, 3 != 4"):
        math.add(symbol, np.zeros((2, 4), np.float32))
    assert recording.nodes == []
    with pytest.raises(TypeError, match="no value while ops are recorded"):
        bool(symbol)
