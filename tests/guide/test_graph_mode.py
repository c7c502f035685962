"""Samples of the guide in a process that never enables eager execution; see in_graph_mode.py."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ["matmul_hello", "constant_add_multiply", "mnist_model", "sequential_and_sparse_softmax_minimized",
           "objects_model_regression", "clip_gradient_by_norm", "log1pexp_plain", "log1pexp_custom",
           "checkpoint_save_restore"]


def test_samples_in_graph_mode(tmp_path):
    done = subprocess.run([sys.executable, "-m", "tests.guide.in_graph_mode"], cwd=tmp_path, capture_output=True,
                          text=True, env={**os.environ, "CLTENSOR_EXECUTION": "graph", "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line in SAMPLES] == SAMPLES
