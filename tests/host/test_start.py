"""What a start does not do: import namespaces nobody asked for, or touch a device."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cltensor as tf
from cltensor.base import optional

LATER = ("app", "contrib", "data", "estimator", "flags", "gfile", "keras", "layers", "logging", "losses", "metrics",
         "saved_model", "summary", "test", "train")


def fresh(program: str) -> str:
    """What a process of its own prints."""
    return subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True,
                          text=True).stdout.strip()


def test_importing_loads_no_more_than_eager_ops_and_graphs_need():
    loaded = fresh("import sys, cltensor as tf\n"
                   "assert callable(tf.nn.relu)\n"
                   "print(*(m.split('.')[1] for m in sys.modules if m.startswith('cltensor.')))").split()
    assert not set(loaded) & {*LATER, "onnx", "testing"}, sorted(set(loaded) & set(LATER))


def test_importing_touches_no_device():
    assert fresh("import cltensor as tf, cltensor.keras, cltensor.train, cltensor.contrib\n"
                 "from cltensor.runtime import device\nprint(device._devices)") == "None"


@pytest.mark.parametrize("way", [
    "import cltensor as tf; tf.keras.layers.Dense",
    "import cltensor.keras; cltensor.keras.layers.Dense",
    "from cltensor import keras; keras.layers.Dense",
    "from cltensor import *; keras.layers.Dense",
    "import cltensor as tf; tf.nn.rnn_cell.BasicLSTMCell; tf.nn.dynamic_rnn",
    "from cltensor.nn import static_rnn",
    "from cltensor.keras.layers import Dense",
    "import cltensor as tf; tf.contrib.eager.metrics.Mean; tf.metrics",
])
def test_namespaces_are_there_whichever_way_they_are_asked_for(way):
    assert fresh(way + "; import sys; sys.stdout.write('1')") == "1"


def test_later_names_are_kept_and_others_are_missing():
    assert {*LATER, "matmul"} <= set(dir(tf)) and {"dynamic_rnn", "relu"} <= set(dir(tf.nn))
    assert tf.train is tf.train and "train" in vars(tf)
    with pytest.raises(AttributeError, match="module 'cltensor' has no attribute 'nonsense'"):
        tf.nonsense  # noqa: B018
    with pytest.raises(ImportError, match="nonsense"):
        from cltensor import nonsense  # type: ignore[attr-defined]  # noqa: F401
    find, _ = optional.later("json", {"chain": "itertools:chain", "absent": "json:absent"})
    assert list(find("chain")([1], [2])) == [1, 2]
    with pytest.raises(AttributeError, match="absent"):
        find("absent")
