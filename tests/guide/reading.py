"""The guide's code samples: taken from blocks.md, run statement by statement, compared with their `# =>`.

The guide says to follow along in an interactive interpreter, so a sample runs like that: every statement by
itself, the value of an expression kept. A comment `# => ...` after a statement, or on the lines below it, is
what the statement prints; if it prints nothing, the value of the expression or of the name it assigns.
"""

from __future__ import annotations

import ast
import contextlib
import io
import math
import re
import tokenize
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FILE = Path(__file__).with_name("blocks.md")
THE_CHANGE = ("import tensorflow as tf", "import cltensor as tf")
# Two samples do not compile as they are printed in the guide.
TYPOGRAPHY = {
    19: [("\N{LEFT SINGLE QUOTATION MARK}", "'"), ("\N{RIGHT SINGLE QUOTATION MARK}", "'")],
    21: [("\n     ...\n", "\n    ...\n")],
}


def samples() -> dict[int, str]:
    """The samples by number, as written."""
    found = re.findall(r"^## (\d+)\n\n```py\n(.*?)^```$", FILE.read_text(encoding="utf-8"), re.M | re.S)
    return {int(number): code for number, code in found}


def source(number: int) -> str:
    """A sample with the import line changed and its typography put right."""
    code = samples()[number].replace(*THE_CHANGE)
    for wrong, right in TYPOGRAPHY.get(number, []):
        assert wrong in code
        code = code.replace(wrong, right)
    return code


class Promise(NamedTuple):
    """What a `# =>` comment says, and the line it stands on."""

    line: int
    text: str


def promises(code: str) -> list[Promise]:
    """All `# =>` comments; comment lines below one, indented further, continue it."""
    found: list[Promise] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        if token.string.startswith("# =>"):
            found.append(Promise(line, token.string[4:].strip()))
            last = line
        elif found and line == last + 1 and token.string.startswith("#  "):
            found[-1] = Promise(found[-1].line, found[-1].text + "\n" + token.string[1:].strip())
            last = line
    return found


class Statement(NamedTuple):
    """A statement that ran: its lines, what it printed, its value if one is promised, the promise or None."""

    first: int
    last: int
    printed: str
    value: Any
    promised: str | None


def run(code: str, names: dict, title: str = "guide") -> list[Statement]:
    """Run the code in the namespace `names`, statement by statement."""
    done: list[Statement] = []
    tree = ast.parse(code, title)
    comments = promises(code)
    for i, node in enumerate(tree.body):
        value = None
        with contextlib.redirect_stdout(io.StringIO()) as out:
            if isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), title, "eval"), names)
            else:
                exec(compile(ast.Module([node], []), title, "exec"), names)
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    value = names[node.targets[0].id]
        after = tree.body[i + 1].lineno if i + 1 < len(tree.body) else math.inf
        promised = [c.text for c in comments if node.lineno <= c.line < after]
        assert len(promised) <= 1
        # A value nobody compares is not held: samples show that what is dropped is freed.
        done.append(Statement(node.lineno, node.end_lineno or 0, out.getvalue(), value if promised else None,
                              promised[0] if promised else None))
        del value
    return done


def printed(statements: list[Statement]) -> list[str]:
    """All lines the statements printed."""
    return "".join(s.printed for s in statements).splitlines()


def squeeze(text: str) -> str:
    """Text without the white space NumPy puts beside brackets, which has changed since the guide."""
    text = re.sub(r"\s+", " ", text.strip())
    return re.sub(r" (?=\])", "", re.sub(r"(?<=\[) ", "", text))


def plain(value: Any) -> Any:
    """Tensors as numbers and lists, in nests too."""
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return np.asarray(value).tolist()


def literal(text: str) -> Any:
    """The value a promise spells: `[nan]`, `2.5`, `True`."""
    return eval(text, {"__builtins__": {}}, {"nan": math.nan})


def same(a: Any, b: Any) -> bool:
    """Equal up to 1e-6, nan equal to nan, True not equal to 1."""
    if isinstance(a, list) or isinstance(b, list):
        return isinstance(a, list) and isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)
    return type(a) is type(b) and a == b


def check(statement: Statement) -> None:
    """Compare a statement with what the guide promises of it."""
    promised = statement.promised
    assert promised is not None
    if statement.printed:
        text = promised[1:-1] if promised.startswith('"') else promised
        assert squeeze(statement.printed) == squeeze(text)
    else:
        assert same(plain(statement.value), literal(promised)), f"{plain(statement.value)} is not {promised}"
