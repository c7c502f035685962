"""examples/mnist.py on IDX files made here: two classes that a few steps tell apart, then every kind of bad file."""

from __future__ import annotations

import gzip
import importlib.util
import re
import struct
import types
from pathlib import Path

import numpy as np
import pytest

import cltensor as tf

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "mnist.py"


def idx(array: np.ndarray) -> bytes:
    """uint8 values in IDX form, written by the format's description and not by our reader."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def make(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of 6 x 5 pixels: class 0 is bright at the top, class 1 at the bottom."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n).astype(np.uint8)
    images = rng.integers(0, 80, (n, 6, 5)).astype(np.uint8)
    for image, label in zip(images, labels):
        image[3 * label:3 * label + 3] += 150
    return images, labels


@pytest.fixture(scope="module")
def mnist() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("example_mnist", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path) -> Path:
    """Training files packed, test files not."""
    for part, n in (("train", 96), ("t10k", 40)):
        images, labels = make(n, n)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            if part == "train":
                (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (tmp_path / name).write_bytes(idx(array))
    return tmp_path


def test_datasets(mnist, folder):
    images, labels = make(96, 96)
    elements = list(mnist.train(str(folder)))
    assert len(elements) == 96 and len(list(mnist.test(folder))) == 40
    image, label = elements[5]
    assert image.shape == (30,) and image.dtype is tf.float32 and label.shape == () and label.dtype is tf.int32
    np.testing.assert_allclose(image.numpy(), images[5].ravel() / 255, rtol=1e-6)
    assert int(label) == labels[5]


def test_training(mnist, folder, capsys):
    tf.set_random_seed(3)
    assert mnist.main(["--data", str(folder), "--epochs", "20", "--batch", "16"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"Loss at step 0000: \d\.\d{3}", lines[0])
    assert re.fullmatch(r"Final loss: 0\.\d{3}", lines[1])
    assert float(re.match(r"Test accuracy: (\d\.\d{4}), ", lines[2])[1]) > 0.95


def refused(mnist, folder: Path, capsys) -> str:
    """The one line on stderr."""
    assert mnist.main(["--data", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


def test_missing_folder_and_file(mnist, folder, capsys):
    assert "there is no folder" in refused(mnist, folder / "nowhere", capsys)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    assert "has neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz" in refused(mnist, folder, capsys)


@pytest.mark.parametrize("content, said", [
    (b"PK\3\4 something else entirely", "no IDX file: its magic number is 0x504b0304"),
    (b"", "truncated"),
    (idx(make(40, 40)[0])[:-1], "truncated"),
    (idx(make(40, 40)[0]) + b"x", "longer than its header says"),
    (idx(make(40, 40)[1]), "uint8 values of shape"),
    (idx(make(39, 39)[0]), "has 39 images"),
    (gzip.compress(idx(make(40, 40)[0]))[:-20], "truncated or damaged"),
])
def test_bad_images(mnist, folder, capsys, content, said):
    (folder / "t10k-images-idx3-ubyte").write_bytes(content)
    message = refused(mnist, folder, capsys)
    assert said in message and "t10k-images-idx3-ubyte" in message


def test_bad_label(mnist, folder, capsys):
    labels = make(40, 40)[1]
    labels[3] = 11
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    assert "has the label 11, the largest is 9" in refused(mnist, folder, capsys)


def test_names_with_a_dot(mnist, folder):
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-idx", ".idx"))
    assert len(list(mnist.test(folder))) == 40
