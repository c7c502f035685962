"""The source of every template that renders expressions: full vectors everywhere, nothing contracted.

Scalar forms of functions round differently from vector forms (exp on PoCL in 1.1 % of values), so a tail done one
element at a time would give bits that depend on an element's position. `a * b + c` must not become an fma.
"""

import re

import pytest

from cltensor.interpret import instructions  # noqa: F401  (names the texts of the interpreter)
from cltensor.kernels.build import render
from cltensor.kernels.expression import Expression, Statement, statement_lines
from cltensor.kernels.vm import BUFFERS, NUMBERS
from cltensor.kernels.vm_code import NA, NB, NR, OPCODES, texts

CHAIN = Expression((("float32", False), ("float32", True), ("float32", False)),
                   (Statement("T e = exp(x0); e * x1", (0, 1), "float32"),
                    Statement("exp(x0) + x1", (3, 2), "float32")),
                   (3, 4))


def elementwise(schedule):
    v = 16 if schedule == "cpu" else 4
    return v, render("elementwise", (
        ("inputs", CHAIN.inputs), ("lines", statement_lines(CHAIN, v)), ("outputs", ((3, "float32"), (4, "float32"))),
        ("offsets", False), ("periodic", ()), ("placed", ()), ("schedule", schedule)))


def chain():
    inputs = (("float32", "same"), ("float32", "slot"), ("float32", "walk"))
    return 16, render("chain", (("inputs", inputs), ("lines", statement_lines(CHAIN, 16)),
                                ("outputs", ((3, "float32"),)), ("sums", ((4, "float32"),))))


def interpreter():
    return 16, render("vm", (("buffers", BUFFERS), ("numbers", NUMBERS), ("texts", texts())))


SOURCES = {"elementwise, cpu": lambda: elementwise("cpu"), "elementwise, gpu": lambda: elementwise("gpu"),
           "chain": chain, "vm": interpreter}


@pytest.mark.parametrize("which", SOURCES)
def test_functions_of_expressions_take_full_vectors(which):
    v, source = SOURCES[which]()
    calls = [line.strip() for line in source.split("\n") if re.search(r"\bexp\(", line)]
    assert calls and all(re.match(rf"(const )?float{v} \w+ = ", line) for line in calls)


@pytest.mark.parametrize("which", SOURCES)
def test_nothing_is_contracted(which):
    _, source = SOURCES[which]()
    assert source.lstrip().startswith("#pragma OPENCL FP_CONTRACT OFF")
    assert source.count("FP_CONTRACT") == 1


def test_one_statement_per_op():
    declared = [line for line in statement_lines(CHAIN, 16) if re.match(r"float16 v\d+ = ", line)]
    assert len(declared) == len(CHAIN.statements)


def test_the_interpreter_fits_its_words():
    """Registers, sums, buffers and kept numbers are bytes of an instruction; registers stay in a first-level cache."""
    assert len(OPCODES) + len(texts()) < 256 and max(NR, NA) < 256
    assert NR * NB * 64 <= 24 * 1024
    assert len({lines for lines, _, _ in texts()}) == len(texts())
