"""The example programs run, with tiny settings, and say what they should; digits and mnist have tests of their own."""

from __future__ import annotations

import importlib.util
import re
import types
from pathlib import Path

import pytest

import cltensor as tf

FOLDER = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_help(path, capsys, monkeypatch):
    module = example(path.stem)
    monkeypatch.setattr("sys.argv", [path.name, "--help"])
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 0
    assert module.__doc__.split("\n")[0] in " ".join(capsys.readouterr().out.split())


def test_linear_regression(capsys):
    tf.reset_default_graph()
    module = example("linear_regression")
    assert module.main(["--steps", "120", "--examples", "200"]) == 0
    out = capsys.readouterr().out
    assert "Both agree." in out and re.search(r"Found W = 2\.\d+|Found W = 3\.\d+", out)
    assert module.main(["--steps", "2", "--examples", "50"]) == 1
    assert "DIFFER" in capsys.readouterr().out


def test_char_rnn(capsys, monkeypatch):
    module = example("char_rnn")
    monkeypatch.setattr(module, "TEXT", "the sea and the ship and the lamp. " * 20)
    assert module.main(["--steps", "75", "--units", "32", "--write", "12"]) == 0
    out = capsys.readouterr().out
    assert "bits each by their frequency alone" in out and re.search(r"writes:\n\n    the .{12}\n", out)


def test_gan_toy(capsys, tmp_path):
    module = example("gan_toy")
    assert module.main(["--steps", "3", "--picture", str(tmp_path / "ring.png")]) in (0, 1)
    assert "of 8 blobs" in capsys.readouterr().out and (tmp_path / "ring.png").stat().st_size > 1000
    everywhere = module.real_points(4000, module.np.random.default_rng(0))
    assert module.judge(everywhere) == (8, pytest.approx(1.0, abs=0.01))


def test_cnn(capsys):
    module = example("cnn")
    assert module.main(["--epochs", "2"]) in (0, 1)
    out = capsys.readouterr().out
    assert re.search(r"Total params: [\d,]+\n", out) and re.search(r"accuracy 0\.[5-9]", out)
    assert module.confusions([1, 2, 1], [7, 2, 7]) == "1 taken for 7 (2x)" and module.confusions([3], [3]) == "none"


def test_session_digits(capsys, tmp_path):
    module = example("session_digits")
    assert module.main(["--epochs", "6", "--output", str(tmp_path)]) in (0, 1)
    found = re.search(r"Test accuracy (0\.\d+), goal 0.96; a second session from .*: (0\.\d+)", capsys.readouterr().out)
    assert found and float(found[1]) > 0.9 and found[1] == found[2]
