"""The architecture, read from the source with `ast`: imports go downwards, and a few doors have one key."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "cltensor"
FILES = sorted(PACKAGE.rglob("*.py"))
ORDER = (("base",), ("runtime",), ("kernels",), ("core",), ("interpret",), ("ops",), ("autodiff",),
         ("graph",), ("data", "train", "losses", "metrics", "initializers", "summary", "keras",
                     "distribute", "program", "saved_model", "onnx", "variable_scope", "testing", "layers"))
NAMESPACES = len(ORDER)
TOP = NAMESPACES + 1
LONGEST = 400


def floor(module: str) -> int:
    """Floor number of a dotted module name inside cltensor."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] in ("__init__", "__main__"):
        return TOP
    return next((i for i, names in enumerate(ORDER) if parts[1] in names), NAMESPACES)


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def nodes(root: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes that run, with whether they are inside a function; TYPE_CHECKING blocks do not run."""
    for child in ast.iter_child_nodes(root):
        if is_type_checking(child):
            continue
        yield child, in_function
        inside = in_function or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from nodes(child, inside)


def imported(node: ast.AST, file: Path) -> list[str]:
    """Absolute dotted names an import statement may load."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = name_of(file).split(".")
        depth = node.level - (file.name == "__init__.py")
        base = ".".join(package[:len(package) - depth] + ([node.module] if node.module else []))
    if base == "cltensor":                # `from cltensor import x`: x is a module, or a name of the top
        return [f"cltensor.{alias.name}" if (PACKAGE / alias.name).is_dir()
                or (PACKAGE / f"{alias.name}.py").exists() else "cltensor" for alias in node.names]
    return [base]


def where(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(PACKAGE.parent)}:{getattr(node, 'lineno', 0)}"


def every_import() -> Iterator[tuple[Path, ast.AST, str, bool]]:
    for file in FILES:
        for node, in_function in nodes(tree(file)):
            for target in imported(node, file):
                yield file, node, target, in_function


def test_imports_go_downwards():
    wrong = [f"{where(file, node)} (floor {floor(name_of(file))}) imports {target} (floor {floor(target)})"
             for file, node, target, _ in every_import()
             if target.split(".")[0] == "cltensor" and floor(target) > floor(name_of(file))]
    assert not wrong, "\n".join(wrong)


def test_no_import_inside_a_function():
    wrong = [f"{where(file, node)} imports {target}" for file, node, target, inside in every_import()
             if inside and name_of(file) != "cltensor.base.optional"]
    assert not wrong, "\n".join(wrong)


def test_pyopencl_stays_in_runtime_and_kernels():
    wrong = [where(file, node) for file, node, target, _ in every_import()
             if target.split(".")[0] == "pyopencl"
             and not name_of(file).startswith(("cltensor.runtime", "cltensor.kernels"))]
    assert not wrong, "\n".join(wrong)


def test_a_tensors_buffer_has_one_reader():
    wrong = [where(file, node) for file in FILES for node, _ in nodes(tree(file))
             if isinstance(node, ast.Attribute) and node.attr == "_buffer" and isinstance(node.ctx, ast.Load)
             and name_of(file) != "cltensor.core.tensor"]
    assert not wrong, "go through the accessor:\n" + "\n".join(wrong)


def test_the_environment_is_read_in_one_table():
    allowed = {"cltensor.base.config", "cltensor.runtime.icd"}
    wrong = [where(file, node) for file in FILES for node, _ in nodes(tree(file))
             if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
             and name_of(file) not in allowed]
    assert not wrong, "\n".join(wrong)


def test_files_are_short_and_have_real_names():
    long = [f"{file.name}: {n} lines" for file in FILES
            if (n := len(file.read_text(encoding="utf-8").splitlines())) > LONGEST]
    vague = [str(file) for file in FILES if file.stem in ("utils", "util", "helpers", "misc", "common")]
    assert not long + vague, "\n".join(long + vague)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_every_file_says_what_it_is_for(file):
    if file.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree(file)), f"{file.name} has no module docstring"
