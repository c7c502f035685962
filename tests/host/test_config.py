"""The table of environment variables: parsing, overriding, errors that say what is allowed."""

from __future__ import annotations

import pytest

from cltensor.base import config, optional
from cltensor.base.errors import InvalidArgumentError


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name, *_ in config.table():
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name, expected", [
    ("EXECUTION", "eager"), ("DEVICES", ()), ("VIRTUAL_GPUS", 0), ("SCHEDULE", "auto"), ("POOL", True),
    ("MEMORY_LIMIT", None), ("DEBUG", 0), ("CACHE_DIR", ""), ("SYNC", False), ("CHECK_NUMERICS", False)])
def test_defaults(name, expected):
    assert config.get(name) == expected


@pytest.mark.parametrize("name, text, expected", [
    ("POOL", "0", False), ("POOL", "off", False), ("SYNC", "True", True), ("EXECUTION", "Graph", "graph"),
    ("DEVICES", "PoCL 3.1; Intel;", ("PoCL 3.1", "Intel")), ("VIRTUAL_GPUS", "3", 3), ("DEBUG", " 2 ", 2),
    ("MEMORY_LIMIT", "50%", 0.5), ("MEMORY_LIMIT", "1000", 1000), ("MEMORY_LIMIT", "2GiB", 2 << 30),
    ("MEMORY_LIMIT", "512M", 512 << 20), ("MEMORY_LIMIT", "1.5kb", 1536), ("POOL", "", True)])
def test_values(monkeypatch, name, text, expected):
    monkeypatch.setenv("CLTENSOR_" + name, text)
    assert config.get(name) == expected
    assert config.get("CLTENSOR_" + name) == expected


@pytest.mark.parametrize("name, text", [
    ("POOL", "maybe"), ("EXECUTION", "lazy"), ("VIRTUAL_GPUS", "-1"), ("VIRTUAL_GPUS", "two"), ("DEBUG", "9"),
    ("MEMORY_LIMIT", "0%"), ("MEMORY_LIMIT", "120%"), ("MEMORY_LIMIT", "lots"), ("MEMORY_LIMIT", "0"),
    ("SCHEDULE", "tpu")])
def test_a_bad_value_names_variable_value_and_what_is_allowed(monkeypatch, name, text):
    monkeypatch.setenv("CLTENSOR_" + name, text)
    allowed = {row[0]: row[2] for row in config.table()}["CLTENSOR_" + name]
    with pytest.raises(InvalidArgumentError) as error:
        config.get(name)
    assert f"CLTENSOR_{name}" in str(error.value) and repr(text) in str(error.value)
    assert allowed in str(error.value)


def test_override_nests_and_ends():
    with config.override(pool=0, debug=1):
        assert config.get("POOL") is False and config.debug(1) and not config.debug(2)
        with config.override(pool=True):
            assert config.get("POOL") is True and config.debug(1)
        assert config.get("POOL") is False
    assert config.get("POOL") is True
    with pytest.raises(InvalidArgumentError, match="DEBUG"), config.override(debug=77):
        pass


def test_unknown_setting():
    with pytest.raises(InvalidArgumentError, match="POOL"):
        config.get("POOOL")


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("CLTENSOR_CACHE_DIR", str(tmp_path))
    assert config.cache_dir() == tmp_path


def test_an_extra_that_is_missing_says_how_to_install_it():
    with pytest.raises(ImportError, match=r'pip install "cltensor\[tensorboard\]"'):
        optional.load("no_such_package_here.part", extra="tensorboard")
