"""docs/life_of_an_op.md names the files that one matmul and its gradient visit: traced, and compared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "life_of_an_op.md"

# A process of its own: in this one the memo and the compiler have been warmed by other tests.
TRACER = """
import json, os, sys
import cltensor as tf
from cltensor.kernels import build

package = os.path.dirname(tf.__file__) + os.sep
visited = set()

def profile(frame, event, argument):
    file = frame.f_code.co_filename
    if event == "call" and file.startswith(package):
        visited.add(file[len(package):].replace(os.sep, "/"))

names = {}
exec(sys.argv[1], names)
runs = []
for turn in range(2):
    visited.clear()
    sys.setprofile(profile)
    exec(sys.argv[2], names)
    sys.setprofile(None)
    runs.append(sorted(visited))
print(json.dumps({"runs": runs, "templates": sorted({template for template, *_ in build.programs()})}))
"""


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def traced(page, tmp_path_factory) -> dict:
    code = re.search(r"^```python\n(.*?)^```$", page, re.M | re.S)[1]
    setup, life = code.split("\nwith ")
    done = subprocess.run([sys.executable, "-c", TRACER, setup, "with " + life], cwd=ROOT, text=True,
                          capture_output=True, check=False,
                          env={**os.environ, "CLTENSOR_SCHEDULE": "cpu", "PYTHONPATH": str(ROOT),
                               "CLTENSOR_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_first_call_visits_the_files_with_a_heading(page, traced):
    headings = re.findall(r"^### `(\S+)`$", page, re.M)
    assert len(headings) == len(set(headings))
    assert set(headings) == set(traced["runs"][0])


def test_a_further_call_visits_the_files_listed_at_the_end(page, traced):
    listed = re.findall(r"`(\w+/\w+\.py)`", page.split("## Every further call")[1])
    assert set(listed) == set(traced["runs"][1])


def test_the_template_named_is_the_one_used(page, traced):
    assert traced["templates"] == re.findall(r"Renders the template `(\w+)`", page)
