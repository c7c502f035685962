"""Whole processes: start to the first product and to the end of the guide's regression; memory of a CNN step."""

from __future__ import annotations

from benchmarks.workload import Bar, Process

_HEADERS = {
    "cltensor": "import cltensor as tf\n",
    "tensorflow": "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'\nimport tensorflow as tf\n",
}
_PRODUCT = {
    **{name: header + "print(float(tf.matmul(tf.ones([2, 2]), tf.ones([2, 2])).numpy()[0, 0]))\n"
       for name, header in _HEADERS.items()},
    "torch": "import torch\nprint(float((torch.ones(2, 2) @ torch.ones(2, 2))[0, 0]))\n",
    "jax": "import jax.numpy as jnp\nprint(float((jnp.ones((2, 2)) @ jnp.ones((2, 2)))[0, 0]))\n",
    "numpy": "import numpy as np\nprint(float((np.ones((2, 2)) @ np.ones((2, 2)))[0, 0]))\n",
    "tinygrad": "from tinygrad import Tensor\nprint((Tensor.ones(2, 2) @ Tensor.ones(2, 2)).numpy()[0, 0])\n",
}


def _run(framework: str, workload: str, calls: int) -> str:
    """A program that makes a few calls of a workload and prints its result."""
    return ("import sys; sys.path.insert(0, '.')\n"
            "from benchmarks.frameworks import open_framework\n"
            "from benchmarks.workloads import training\n"
            f"f = open_framework({framework!r})\n"
            f"w = next(w for w in training.WORKLOADS if w.name == {workload!r})\n"
            "call = w.forms[f.name](f.module, *map(f.put, w.inputs()))\n"
            f"for _ in range({calls}):\n"
            "    value = call()\n"
            "print(float(f.get(value)))\n")


def _programs(workload: str, calls: int, names: tuple) -> dict:
    return {name: _run(name, workload, calls) for name in names}


_TRAINED = ("cltensor", "tensorflow", "torch", "jax")
WORKLOADS = [
    Process("start to matmul, warm", "process start to first matmul, warm caches", _PRODUCT,
            (Bar(("torch",), 0.5, 0.35),)),
    Process("start to matmul, cold", "process start to first matmul, empty kernel caches", _PRODUCT,
            (Bar(("tensorflow",), 0.8, 0.5),), cold=True),
    Process("start to regression, warm", "process start to the end of the guide's regression, warm caches",
            _programs("linear regression", 1, (*_TRAINED, "numpy"))),
    Process("memory of CNN Adam", "peak resident memory of five CNN steps, MiB", _programs("CNN Adam", 5, _TRAINED),
            (Bar(("torch",), 0.7, 0.5),), measure="MiB"),
]
