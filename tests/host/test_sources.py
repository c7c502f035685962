"""Kernel sources kept on disk: the same text, found again only while nothing that made it has changed."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from cltensor.base import config
from cltensor.base.errors import KernelBuildError
from cltensor.kernels import build, sources
from cltensor.kernels.render import rendered

PARAMS = (("fp64", True),)          # of the template "common"


@pytest.fixture(autouse=True)
def folder(tmp_path):
    build.render.cache_clear()
    sources._version.cache_clear()
    with config.override(cache_dir=tmp_path):
        yield tmp_path / "sources"
    build.render.cache_clear()
    sources._version.cache_clear()


def test_what_is_kept_is_what_was_rendered():
    assert sources.read("common", PARAMS) is None
    text = build.render("common", PARAMS)
    assert text == rendered("common", PARAMS) == sources.read("common", PARAMS)
    assert sources.read("common", (("fp64", 1),)) is None and sources.read("fill", PARAMS) is None


def test_a_second_start_renders_nothing(folder):
    program = ("import sys\nfrom cltensor.kernels import build\n"
               "print(len(build.render('common', (('fp64', True),))), 'mako' in sys.modules)")
    environment = {**os.environ, "CLTENSOR_CACHE_DIR": str(folder.parent)}
    first, second = (subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True,
                                    text=True).stdout.split() for _ in range(2))
    assert first[0] == second[0] and first[1] == "True" and second[1] == "False"


@pytest.mark.parametrize("damage", [lambda t: t[:-1], lambda t: t + b" ", lambda t: b"", lambda t: b"\0" * len(t)])
def test_a_damaged_file_is_rendered_anew(folder, damage):
    text = build.render("common", PARAMS)
    file, = folder.glob("*/common-*.cl")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert sources.read("common", PARAMS) is None
    build.render.cache_clear()
    assert build.render("common", PARAMS) == text and file.read_bytes() == whole


def test_another_version_finds_nothing_and_old_ones_go(folder, monkeypatch):
    build.render("common", PARAMS)
    old, = folder.iterdir()
    monkeypatch.setattr(sources, "_contents", lambda: "edited")
    sources.keep("common", PARAMS, "from which text?")          # edited since the start: not kept
    assert sources.read("common", PARAMS) != "from which text?" and list(folder.iterdir()) == [old]
    monkeypatch.setattr(sources, "_version", lambda: "edited")
    assert sources.read("common", PARAMS) is None
    long_ago = time.time() - 40 * 86400
    os.utime(old, (long_ago, long_ago))
    sources.keep("common", PARAMS, "another text")
    assert sources.read("common", PARAMS) == "another text" and not old.exists()


def test_without_a_folder_to_write_to_it_renders(tmp_path):
    (tmp_path / "file").write_text("")
    with config.override(cache_dir=tmp_path / "file"):
        assert build.render("common", PARAMS) == rendered("common", PARAMS)


def test_a_missing_parameter_is_named_and_nothing_is_kept(folder):
    with pytest.raises(KernelBuildError, match="parameter missing: .*fp64"):
        build.render("common", ())
    assert not list(folder.glob("*/*"))
