"""Which tuned entry counts: the order of files, what is allowed, verdicts; no device needed."""

from __future__ import annotations

import json
import warnings
from types import SimpleNamespace

import pytest

from cltensor import tuner
from cltensor.base import config
from cltensor.base.errors import CLTensorWarning
from cltensor.kernels import tuned, tuning

TARGET = SimpleNamespace(schedule="cpu", driver="some driver 1.0")
PLAIN = tuning.default("matmul", "cpu")


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """An empty cache folder, an empty shipped file, a trial that finds everything good and counts."""
    calls = []

    def trial(name, entry, target):
        calls.append((name, entry))
        return ""
    monkeypatch.setattr(tuned, "SHIPPED", tmp_path / "shipped.json")
    monkeypatch.setattr(tuning, "_trial", [trial])
    monkeypatch.setattr(tuning, "_chosen", {})
    with config.override(cache_dir=tmp_path / "cache"):
        yield calls


def ship(entry, driver=TARGET.driver):
    tuned.save(driver, {"matmul/cpu": entry}, tuned.SHIPPED)


def own(entry, driver=TARGET.driver):
    tuned.save(driver, {"matmul/cpu": entry})


def ignored(entry, match):
    own(entry)
    with pytest.warns(CLTensorWarning, match=match):
        assert tuning.lookup("matmul", TARGET) == PLAIN
    with warnings.catch_warnings():
        warnings.simplefilter("error")              # one warning, not one a look-up
        assert tuning.lookup("matmul", TARGET) == PLAIN


def test_without_entries_the_default():
    assert tuning.lookup("matmul", TARGET) == PLAIN
    assert tuning.lookup("matmul", SimpleNamespace(schedule="cpu")) == PLAIN


def test_the_users_entry_comes_first():
    ship({"mr": 6})
    assert tuning.lookup("matmul", TARGET) == PLAIN | {"mr": 6}
    own({"mr": 12})
    tuning.forget()
    assert tuning.lookup("matmul", TARGET) == PLAIN | {"mr": 12}
    own({})
    tuning.forget()
    assert tuning.lookup("matmul", TARGET) == PLAIN      # the user searched, and nothing was faster


def test_entries_belong_to_a_driver_version():
    own({"mr": 12}, "some driver 0.9")
    assert tuning.lookup("matmul", TARGET) == PLAIN


def test_saving_keeps_other_families_and_drivers():
    own({"mr": 12}, "another")
    tuned.save("another", {"reduce/cpu": {"groups": 32}})
    own({"mr": 6})
    assert json.loads(tuned.user_file().read_text("utf-8")) == {
        "another": {"matmul/cpu": {"mr": 12}, "reduce/cpu": {"groups": 32}}, TARGET.driver: {"matmul/cpu": {"mr": 6}}}


@pytest.mark.parametrize("entry, match", [
    ({"mr": 1000}, "mr = 1000 is none of 2, 4"), ({"mr": "8"}, "mr = '8'"), ({"mr": True}, "mr = True"),
    ({"rows": 8}, "'rows' is none of mr"), ([8, 2], "is not a table"), ({"mr": 14, "nv": 3}, "42 accumulators"),
    ({"nv": 4}, "32 accumulators")])
def test_what_is_not_allowed_is_ignored_with_one_warning(entry, match):
    ignored(entry, match)


def test_a_rejected_entry_of_the_user_leaves_the_shipped_one():
    ship({"mr": 6})
    own({"mr": 1000})
    with pytest.warns(CLTensorWarning, match="1000"):
        assert tuning.lookup("matmul", TARGET) == PLAIN | {"mr": 6}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"some driver 1.0": 3}', '{"some driver 1.0": {}}', "\x00"])
def test_a_damaged_file_is_no_file(text):
    tuned.user_file().parent.mkdir(parents=True)
    tuned.user_file().write_text(text, "utf-8")
    assert tuning.lookup("matmul", TARGET) == PLAIN


def test_an_entry_is_tried_once_per_driver_version(fresh):
    own({"mr": 6})
    own({"mr": 6}, "newer driver")
    tuning.lookup("matmul", TARGET)
    tuning.forget()
    tuning.lookup("matmul", TARGET)
    assert fresh == [("matmul", PLAIN | {"mr": 6})]
    tuning.lookup("matmul", SimpleNamespace(schedule="cpu", driver="newer driver"))
    assert len(fresh) == 2


def test_an_entry_that_fails_its_trial_is_ignored(monkeypatch):
    monkeypatch.setattr(tuning, "_trial", [lambda *_: "3 of 9 results differ"])
    ignored({"mr": 6}, "3 of 9 results differ")
    monkeypatch.setattr(tuning, "_trial", [])           # the verdict is remembered: nobody is asked again
    tuning.forget()
    ignored({"mr": 6}, "3 of 9 results differ")


def test_an_entry_that_cannot_be_tried_is_ignored(monkeypatch):
    monkeypatch.setattr(tuning, "_trial", [])
    ignored({"mr": 6}, "cannot be tried")


def test_a_cache_that_cannot_be_written_costs_a_trial_each_time(tmp_path, fresh):
    ship({"mr": 6})
    (tmp_path / "file").write_text("")
    with config.override(cache_dir=tmp_path / "file" / "below"):
        assert tuning.lookup("matmul", TARGET)["mr"] == 6
    assert len(fresh) == 1


def test_using_overrides_in_this_thread_only_inside():
    with tuning.using(matmul={"mr": 6}):
        assert tuning.lookup("matmul", TARGET) == PLAIN | {"mr": 6}
        assert tuning.lookup("reduce", TARGET) == tuning.default("reduce", "cpu")
    assert tuning.lookup("matmul", TARGET) == PLAIN


def test_defaults_and_candidates_are_allowed():
    for name, schedule in tuning.families():
        plain = tuning.default(name, schedule)
        assert not tuning.complaint_about(name, schedule, plain)
        for step in tuner._STEPS[name, schedule]:
            for change in step:
                assert not tuning.complaint_about(name, schedule, change), (name, change)


def test_what_ships_is_allowed(monkeypatch):
    monkeypatch.undo()
    for rows in json.loads(tuned.SHIPPED.read_text("utf-8")).values():
        for key, entry in rows.items():
            assert not tuning.complaint_about(*key.split("/"), entry)


def test_a_gpu_without_entries_gets_those_of_its_kind(monkeypatch, fresh):
    device = SimpleNamespace(schedule="gpu", driver="some gpu driver", is_cpu=False, vendor="NVIDIA Corporation")
    tuned.save("unmeasured: nvidia gpu", {"matmul/gpu": {"large_groups": 128}}, tuned.SHIPPED)
    assert tuning.lookup("matmul", device)["large_groups"] == 128 and len(fresh) == 1        # and it was tried
    tuning.forget()
    tuned.save("some gpu driver", {"matmul/gpu": {"large_groups": 32}}, tuned.SHIPPED)
    assert tuning.lookup("matmul", device)["large_groups"] == 32                             # measured comes first
    other = SimpleNamespace(schedule="gpu", driver="another", is_cpu=False, vendor="ARM")
    assert tuning.lookup("matmul", other) == tuning.default("matmul", "gpu")
    a_cpu = SimpleNamespace(schedule="gpu", driver="a cpu", is_cpu=True, vendor="NVIDIA Corporation")
    assert tuning.lookup("matmul", a_cpu) == tuning.default("matmul", "gpu")


def test_every_kind_of_gpu_has_entries_of_every_family(monkeypatch):
    monkeypatch.undo()
    shipped = json.loads(tuned.SHIPPED.read_text("utf-8"))
    for vendor in ("NVIDIA Corporation", "Advanced Micro Devices, Inc.", "Intel(R) Corporation", "Apple", "ARM"):
        assert set(shipped[tuned.kind(vendor)]) == {f"{n}/{s}" for n, s in tuning.families() if s == "gpu"}
