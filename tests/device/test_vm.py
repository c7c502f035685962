"""Blocks of ops interpreted, and op by op: the same bits, whatever the block.

The truth is the kernels of single ops, which tests/ops compares with NumPy. NaNs are equal whatever their payload.
"""

import random
from functools import lru_cache
from math import prod

import numpy as np
import pytest

from cltensor.core.spec import Spec
from cltensor.core.tensor import from_numpy, to_array
from cltensor.interpret import instructions
from cltensor.interpret.runner import bind_plan
from cltensor.kernels.block import Block, Leaf, Step
from cltensor.kernels.chain import lower_compiled
from cltensor.kernels.expression import lower_expression, single
from cltensor.kernels.reduction import lower_reduce
from cltensor.kernels.vm import lower_interpreted


class Named:
    """Lends a plan a name."""

    name, may_fail, fails = "block", False, ""

    def __init__(self, outputs):
        self.outputs = outputs


def spec(value):
    return Spec(value.shape, value.dtype)


def bound(plan, ins, outs, device):
    return bind_plan(Named(len(outs) if len(outs) > 1 else 1), plan, device, ins, outs)


@lru_cache(maxsize=4096)
def one_step(step, operands, device):
    """What runs a step alone: the kernel that an op of its own would get."""
    ins, outs = tuple(spec(v) for v in operands), (spec(step),)
    if step.fold:
        n = prod(operands[0].shape)
        plan = lower_reduce(ins, outs, device.traits, op="sum", axes=tuple(range(len(operands[0].shape))),
                            scale=n if step.fold == "mean" else 1)
    else:
        slots = tuple(isinstance(v, Leaf) and v.slot for v in operands)
        plan = lower_expression(single(step.text, ins, slots, outs), ins, outs, device.traits)
    return bound(plan, ins, outs, device)


def op_by_op(block, inputs, device):
    """The outputs, each step by its own kernel."""
    values = list(inputs)
    for step in block.steps:
        run = one_step(step, tuple(block.value(v) for v in step.operands), device)
        values.append(run(tuple(values[v] for v in step.operands)))
    return [to_array(values[v]) for v in block.outputs]


def by_plan(plan, block, inputs, device):
    """The outputs of a plan of the whole block."""
    out = bound(plan, tuple(map(spec, block.leaves)), tuple(spec(block.value(v)) for v in block.outputs),
                device)(tuple(inputs))
    return [to_array(t) for t in (out if isinstance(out, tuple) else (out,))]


def same_bits(got, want):
    if got.dtype.kind == "f":
        number = {4: np.int32, 2: np.int16}[got.dtype.itemsize]
        return bool(((got.view(number) == want.view(number)) | (np.isnan(got) & np.isnan(want))).all())
    return np.array_equal(got, want)


def filled(block, device, seed):
    """Tensors (and Python numbers) for the leaves."""
    rng = np.random.default_rng(seed)
    made = []
    for leaf in block.leaves:
        if leaf.slot:
            made.append(round(float(rng.uniform(-2, 2)), 3))
        elif leaf.dtype == "bool":
            made.append(from_numpy(rng.random(leaf.shape) < 0.5, device))
        else:
            x = np.asarray(rng.standard_normal(leaf.shape) * 10.0 ** rng.integers(-3, 4), leaf.dtype)
            made.append(from_numpy(x, device))
    return made


def check(block, device, seed=0, lower=lower_interpreted):
    """False where the block is beyond what `lower` can do."""
    plan = lower(block, device.traits)
    if plan is None:
        return False
    inputs = filled(block, device, seed)
    want = op_by_op(block, inputs, device)
    got = by_plan(plan, block, inputs, device)
    for v, g, w in zip(block.outputs, got, want):
        assert g.shape == w.shape and g.dtype == w.dtype
        assert same_bits(g, w), (block.value(v), g, w)
    return True


# -- random blocks
FLOATS = [(t, len(o)) for t, o, r in instructions.collect() if set(o) == {"float32"} and r == "float32"]
MASKS = [(t, 2) for t, o, r in instructions.collect() if r == "bool" and set(o) == {"float32"}]
LOGIC = [(t, len(o)) for t, o, r in instructions.collect() if r == "bool" and set(o) == {"bool"}]
WHERE = next(t for t, o, _ in instructions.collect() if o == ("bool", "float32", "float32"))


def broadcast(shapes):
    return np.broadcast_shapes(*shapes)


def random_block(seed):
    """A DAG of up to 20 steps over arrays of one size, rows and columns of it, numbers, masks and sums."""
    r = random.Random(seed)
    shape = r.choice([(1,), (5,), (16,), (17,), (1000,), (4096,), (4097,), (70001,), (7, 9), (3, 5, 11), (33, 130)])
    dtype = "float16" if r.random() < 0.15 else "float32"
    leaves = [Leaf(shape, dtype), Leaf(shape, dtype), Leaf((), dtype), Leaf((), dtype, True)]
    if len(shape) > 1 and dtype == "float32":
        leaves += [Leaf(shape[-1:], dtype), Leaf((shape[0],) + (1,) * (len(shape) - 1), dtype)]
    if r.random() < 0.3:
        leaves.append(Leaf(shape, "bool"))
    values = list(range(len(leaves)))
    steps: list[Step] = []
    everything: list = list(leaves)

    def pick(kind):
        fit = [v for v in values if everything[v].dtype == kind]
        return r.choice(fit) if fit else None

    def append(text, fold, operands, out, kind):
        if all(isinstance(everything[v], Leaf) and everything[v].slot for v in operands):
            return
        step = Step(text, fold, tuple(operands), tuple(out), kind)
        steps.append(step)
        everything.append(step)
        values.append(len(everything) - 1)

    for _ in range(r.randint(1, 20)):
        what = r.random()
        if what < 0.15 and dtype == "float32":
            v = pick(dtype)
            if not (isinstance(everything[v], Leaf) and everything[v].slot):
                append("", r.choice(["sum", "mean"]), (v,), (), dtype)
            continue
        if what < 0.25:
            text, n = r.choice(MASKS)
            operands, kind = [pick(dtype) for _ in range(n)], "bool"
        elif what < 0.28 and pick("bool") is not None:
            text, n = r.choice(LOGIC)
            operands, kind = [pick("bool") for _ in range(n)], "bool"
        elif what < 0.34 and pick("bool") is not None:
            text, operands, kind = WHERE, [pick("bool"), pick(dtype), pick(dtype)], dtype
        else:
            text, n = r.choice(FLOATS)
            operands, kind = [pick(dtype) for _ in range(n)], dtype
        append(text, "", operands, broadcast([everything[v].shape for v in operands]), kind)
        if r.random() < 0.3 and len(values) > 3:
            values.pop(r.randrange(len(values)))
    outputs = tuple(v for v in values if v >= len(leaves)) or ((len(leaves) + len(steps) - 1,) if steps else ())
    return Block(tuple(leaves), tuple(steps), outputs)


@pytest.mark.parametrize("seed", range(12))
def test_random_blocks_interpreted(device, seed):
    done = sum(check(random_block(100 * seed + k), device, k) for k in range(40))
    assert done >= 25 or device.traits.schedule != "cpu"


@pytest.mark.parametrize("seed", range(6))
def test_random_blocks_compiled(device, seed):
    assert sum(check(random_block(100 * seed + k), device, k, lower_compiled) for k in range(6)) >= 5


# -- what has a shape of its own
F = "float32"


def steps(*some):
    return tuple(Step(text, fold, tuple(operands), tuple(shape), kind) for text, fold, operands, shape, kind in some)


BOTH = pytest.mark.parametrize("lower", [lower_interpreted, lower_compiled])


def handled(block, device, lower):
    return check(block, device, 0, lower) or lower is lower_interpreted and device.traits.schedule != "cpu"


@BOTH
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 63, 64, 65, 255, 257, 4095, 4096, 4097, 65536, 65537, 70001])
def test_sums_of_every_length(device, n, lower):
    """A sum, what hangs on it, and what reads both: as in a step of linear regression."""
    leaves = (Leaf((n,), F), Leaf((n,), F), Leaf((), F), Leaf((), F, True))
    block = Block(leaves, steps(
        ("x0 * x1", "", (0, 2), (n,), F), ("x0 - x1", "", (4, 1), (n,), F), ("x0 * x0", "", (5,), (n,), F),
        ("", "mean", (6,), (), F), ("x0 * x1", "", (5, 3), (n,), F), ("", "sum", (8,), (), F),
        ("x0 * x1", "", (9, 3), (), F), ("x0 - x1", "", (2, 10), (), F), ("x0 * x1", "", (0, 11), (n,), F),
        ("", "sum", (12,), (), F)), (7, 11, 13))
    assert handled(block, device, lower)


@BOTH
def test_sums_of_leaves_and_of_single_numbers(device, lower):
    leaves = (Leaf((300, 400), F), Leaf((), F), Leaf((1, 1), F))
    block = Block(leaves, steps(
        ("", "sum", (0,), (), F), ("", "sum", (1,), (), F), ("", "mean", (2,), (), F), ("", "sum", (4,), (), F),
        ("x0 + x1", "", (3, 5), (), F), ("x0 * x1", "", (0, 7), (300, 400), F), ("", "mean", (8,), (), F)),
        (3, 4, 5, 6, 9))
    assert handled(block, device, lower)


@BOTH
def test_several_sizes_at_once(device, lower):
    """Rows that nothing connects but the launch they share; one ends in more groups than the others."""
    sizes = [(3,), (70001,), (200, 450), (5, 7)]
    leaves = tuple(Leaf(s, F) for s in sizes)
    square = [("x0 * x0", "", (i,), s, F) for i, s in enumerate(sizes)]
    block = Block(leaves, steps(*square, ("", "sum", (5,), (), F), ("x0 + x1", "", (4, 8), (3,), F)), (6, 7, 8, 9))
    assert handled(block, device, lower)


@BOTH
@pytest.mark.parametrize("shape,small", [((4, 6), (6,)), ((4, 6), (4, 1)), ((4, 5, 6), (5, 1)), ((4, 5, 6), (1, 5, 1)),
                                         ((33, 40), (40,)), ((5000, 3), (3,)), ((5000, 3), (5000, 1)), ((1, 7), (7,)),
                                         ((50, 32), (32,)), ((50, 16), (50, 1)), ((6, 33), (6, 1)), ((70, 64), (70, 1)),
                                         ((700, 100), (100,)), ((3, 700, 48), (700, 1))])
def test_broadcasting_before_a_sum(device, shape, small, lower):
    leaves = (Leaf(shape, F), Leaf(small, F))
    block = Block(leaves, steps(("x0 * x1", "", (0, 1), shape, F), ("", "sum", (2,), (), F)), (2, 3))
    assert handled(block, device, lower)


@BOTH
@pytest.mark.parametrize("shape,small", [((50, 32), (32,)), ((50, 40), (50, 1)), ((9, 5), (5,))])
def test_broadcasting_of_halves_and_masks(device, shape, small, lower):
    leaves = (Leaf(shape, "float16"), Leaf(small, "float16"), Leaf(small, "bool"))
    block = Block(leaves, steps(("x0 * x1", "", (0, 1), shape, "float16"),
                                (WHERE, "", (2, 3, 1), shape, "float16")), (3, 4))
    assert handled(block, device, lower)


def test_negative_zeros_and_nans(device):
    for values in ([-0.0], [-0.0, -0.0], [np.nan, 1.0], [np.inf, -np.inf], [-0.0] * 33):
        x = from_numpy(np.array(values, np.float32), device)
        leaves = (Leaf((len(values),), F),)
        block = Block(leaves, steps(("-x0", "", (0,), leaves[0].shape, F), ("-x0", "", (1,), leaves[0].shape, F),
                                    ("", "sum", (2,), (), F)), (1, 2, 3))
        want = op_by_op(block, [x], device)
        for lower in (lower_interpreted, lower_compiled):
            plan = lower(block, device.traits)
            if plan is not None:
                assert all(map(same_bits, by_plan(plan, block, [x], device), want))


@BOTH
def test_nothing_to_do_is_left_to_the_caller(device, lower):
    empty = Block((Leaf((0,), F),), steps(("-x0", "", (0,), (0,), F)), (1,))
    unread = Block((Leaf((3,), F),), steps(("-x0", "", (0,), (3,), F)), ())
    assert lower(empty, device.traits) is None and lower(unread, device.traits) is None


def test_what_the_interpreter_cannot(device):
    x = Leaf((6, 7), F)

    def lowered(leaves, *some, outputs=None):
        block = Block(tuple(leaves), steps(*some), outputs or (len(leaves) + len(some) - 1,))
        return lower_interpreted(block, device.traits)
    assert lowered([x], ("erf(x0)", "", (0,), (6, 7), F)) is None                                   # no instruction
    assert lowered([Leaf((3,), "int32")], ("-x0", "", (0,), (3,), "int32")) is None                 # no such dtype
    assert lowered([Leaf((3,), "float16")], ("", "sum", (0,), (), "float16")) is None
    two_runs = [Leaf((2, 3, 4, 5), F), Leaf((2, 1, 4, 1), F)]
    assert lowered(two_runs, ("x0 * x1", "", (0, 1), (2, 3, 4, 5), F)) is None                      # no such walk
    many = [x] * 20
    ops = [("x0 + x1", "", (i + 1, 20 + i - 1 if i else 0), (6, 7), F) for i in range(19)]
    assert lowered(many, *ops) is None                                                              # arguments


def test_registers_are_used_again(device):
    """A long chain needs two registers; seventeen values alive at once are too many."""
    def fan(width):
        made = [("x0 + x1", "", (0, 0), (5,), F)]
        made += [("x0 * x1", "", (0, i), (5,), F) for i in range(1, width)]
        made += [("x0 + x1", "", (i + 1, width + i if i else 1), (5,), F) for i in range(width)]
        return Block((Leaf((5,), F),), steps(*made), (2 * width,))
    long = Block((Leaf((5,), F),), steps(*[("-x0", "", (i,), (5,), F) for i in range(100)]), (100,))
    assert handled(long, device, lower_interpreted) and handled(fan(6), device, lower_interpreted)
    assert lower_interpreted(fan(20), device.traits) is None


@pytest.mark.oclgrind
@BOTH
@pytest.mark.parametrize("n", [1, 17, 300])
def test_small_blocks_touch_only_what_is_theirs(device, n, lower):
    leaves = (Leaf((3, n), F), Leaf((n,), F), Leaf((3, 1), F), Leaf((), F, True), Leaf((3, n), "bool"))
    block = Block(leaves, steps(
        ("x0 * x1", "", (0, 1), (3, n), F), ("x0 + x1", "", (5, 2), (3, n), F), (WHERE, "", (4, 6, 3), (3, n), F),
        ("BOOL(x0 < x1)", "", (7, 0), (3, n), "bool"), ("", "sum", (7,), (), F), ("x0 * x1", "", (0, 9), (3, n), F)),
        (7, 8, 10))
    assert handled(block, device, lower)
