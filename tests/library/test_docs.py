"""The documentation is true: its code runs, its tables are up to date, its links lead somewhere."""

from __future__ import annotations

import doctest
import importlib.util
import re
import types
from pathlib import Path

import pytest

from cltensor.core import op as op_module
from tests.guide import reading

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def with_code() -> list[Path]:
    return [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", with_code(), ids=lambda page: page.stem)
def test_code_runs_and_says_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(op_module, "_REGISTRY", op_module.registry())     # rows a page adds end with the test
    names: dict = {"__name__": "__main__"}
    for code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if code.lstrip().startswith(">>>"):
            run_dialogue(code, names, page)
            continue
        for statement in reading.run(code, names, page.name):
            if statement.promised is not None:
                reading.check(statement)


def run_dialogue(code: str, names: dict, page: Path) -> None:
    """A block of `>>>` lines."""
    test = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), 0)
    output: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=output.append, clear_globs=False)
    names.update(test.globs)
    assert not runner.failures, "".join(output)


def generate() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", ["errors.md", "environment.md"])
def test_generated_tables_are_up_to_date(file):
    text = (ROOT / "docs" / file).read_text(encoding="utf-8")
    assert generate().updated(file) == text, "run `python docs/generate.py`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)]+)\)", text) if not t.startswith(("http:", "https:"))]
    missing = [t for t in targets if t and not (page.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_are_named_exist(page):
    """`cltensor/core/op.py`, `tests/guide/`, `examples/digits.py`: paths in code quotes."""
    named = re.findall(r"`((?:cltensor|tests|docs|examples|benchmarks)/[\w./]*)`", page.read_text(encoding="utf-8"))
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 60
