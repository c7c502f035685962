"""The checkpoint file under damage: cut, flipped, hostile, killed while being written."""

import json
import os
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from safetensors.numpy import load, save

from cltensor.base.errors import DataLossError
from cltensor.ops.variable import Variable
from cltensor.train import container, object_graph
from cltensor.train.checkpoint import Checkpoint


def make(value=1.):
    return Checkpoint(a=Variable(np.full((3, 2), value, np.float32)), b=Variable(np.float32(value)))


@pytest.fixture
def saved(tmp_path):
    path = make().save(str(tmp_path / "ckpt"))
    return path, (tmp_path / "ckpt-1.safetensors").read_bytes()


def put(path, data):
    with open(path + ".safetensors", "wb") as f:
        f.write(data)


def refuses(path, root=None):
    """A damaged file raises DataLossError and leaves every value alone."""
    root = root or make(0.)
    with pytest.raises(DataLossError) as caught:
        root.restore(path)
    assert not root.a.numpy().any() and root.b.numpy() == 0.
    return str(caught.value)


def test_other_programs_can_read_it(saved):
    tensors = load(saved[1])
    assert sorted(tensors) == ["a", "b", "save_counter"] and tensors["a"].shape == (3, 2)


def test_every_truncation_is_noticed(saved):
    path, data = saved
    root = make(0.)
    for n in [*range(0, len(data), 7), len(data) - 1]:
        put(path, data[:n])
        refuses(path, root)
    put(path, data + b"\0")
    refuses(path, root)


def test_every_flipped_bit_is_noticed(saved):
    path, data = saved
    root = make(0.)
    for i in range(len(data)):
        changed = bytearray(data)
        changed[i] ^= 1 << (i % 8)
        put(path, bytes(changed))
        refuses(path, root)


def test_the_damaged_tensor_is_named(saved):
    path, data = saved
    at = data.rindex(np.full((3, 2), 1., np.float32).tobytes())
    put(path, data[:at] + b"\x01" + data[at + 1:])
    assert "tensor 'a'" in refuses(path)


def rewrite(path, data, **metadata):
    """The file with other metadata; the checksum of the graph is made to fit."""
    size = struct.unpack("<Q", data[:8])[0]
    old = json.loads(data[8:8 + size])["__metadata__"]
    sums = {**json.loads(old["crc32"]), "": zlib.crc32(metadata.get("graph", old["graph"]).encode())}
    put(path, save(load(data), {**old, "crc32": json.dumps(sums), **metadata}))


@pytest.mark.parametrize("graph", [
    "", "[]", "{}", "null", '{"nodes": []}', '{"nodes": [3]}', '{"nodes": [{"children": {"a": 1}}]}',
    '{"nodes": [{"children": {"a": -1}}]}', '{"nodes": [{"children": {"a": true}}]}',
    '{"nodes": [{"children": ["a"]}]}', '{"nodes": [{"tensor": "missing"}]}',
    '{"nodes": [{"tensor": ["a"]}]}',
    '{"nodes": [{"slots": [[0, "m"]]}]}', '{"nodes": [{"slots": [[0, "m", 7]]}]}', '{"nodes": {"0": {}}}',
    "[" * 100_000], ids=lambda g: g[:40])
def test_hostile_graphs(saved, graph):
    rewrite(*saved, graph=graph)
    refuses(saved[0])


@pytest.mark.parametrize("metadata", [
    {"format": "pt"}, {"version": "2"}, {"crc32": "[]"}, {"crc32": "{}"}, {"crc32": "no"},
    {"crc32": "[" * 100_000},
    {"crc32": '{"": 1}'}], ids=lambda m: str(m)[:40])
def test_hostile_metadata(saved, metadata):
    rewrite(*saved, **metadata)
    refuses(saved[0])


def test_files_that_are_no_checkpoint(saved, tmp_path):
    path = saved[0]
    for data in (b"", b"\x80\x04N.", b"\xff" * 64, struct.pack("<Q", 2**63) + b"{}", save({"a": np.zeros(3)}),
                 struct.pack("<Q", 2) + b"{}"):
        put(path, data)
        refuses(path)


def test_a_graph_that_leads_in_circles_is_harmless(saved):
    graph = json.dumps({"nodes": [{"children": {"a": 0, "b": 1, "x": 0},
                                   "slots": [[0, "m", 0], [1, "m", 1]]}, {"tensor": "b"}]})
    rewrite(*saved, graph=graph)
    root = make(0.)
    root.x = root
    status = root.restore(saved[0])
    assert root.b.numpy() == 1. and not root.a.numpy().any()
    with pytest.raises(AssertionError):
        status.assert_consumed()


def test_stray_files_of_dead_processes_go(tmp_path):
    program = "import os; print(os.getpid())"
    dead = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    stray = tmp_path / f".x.safetensors.tmp-{container._HOST}-{int(dead.stdout)}-0"
    mine = tmp_path / f".x.safetensors.tmp-{container._HOST}-{os.getpid()}-99"
    other = tmp_path / ".hidden"
    for path in (stray, mine, other):
        path.write_bytes(b"half")
    make().save(str(tmp_path / "ckpt"))
    assert not stray.exists() and mine.exists() and other.exists()


_SAVER = """
import os, sys
import numpy as np
from cltensor.train import container
print("ready", flush=True)
n = 0
while True:
    n += 1
    container.write(sys.argv[1], {"a": np.full(200_000, n, np.int32)}, '{"nodes": [{"tensor": "a"}]}')
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("delay", [0.01, 0.023, 0.037])
def test_killed_while_saving_leaves_a_whole_file(tmp_path, delay):
    path = str(tmp_path / "ckpt-1.safetensors")
    container.write(path, {"a": np.zeros(200_000, np.int32)}, '{"nodes": [{"tensor": "a"}]}')
    process = subprocess.Popen([sys.executable, "-c", _SAVER, path], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline().strip() == b"ready"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(delay)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    tensors, graph = container.read(path)
    assert (tensors["a"] == tensors["a"][0]).all() and object_graph.parse(graph, tensors, path)
    container.write(path, tensors, graph)
    assert os.listdir(tmp_path) == ["ckpt-1.safetensors"]
