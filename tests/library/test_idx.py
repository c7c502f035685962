"""The IDX reader on files that are right, cut, too long, mislabelled, or made to exhaust memory."""

import gzip
import struct

import numpy as np
import pytest

from cltensor.base.errors import DataLossError, InvalidArgumentError, NotFoundError
from cltensor.data.idx import read_idx

CODES = {"u1": 8, "i1": 9, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array):
    code = CODES[array.dtype.str[1:]]
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.astype(
        array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 4, 5), (2, 0, 3)], ids=str)
def test_round_trip(tmp_path, pack, code, shape):
    array = (np.arange(int(np.prod(shape))) - 3).reshape(shape).astype(code)
    path = tmp_path / "file"
    path.write_bytes(pack(idx(array)))
    got = read_idx(path)
    assert got.shape == shape and got.dtype == array.dtype and got.dtype.isnative
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_truncation_is_noticed(tmp_path, pack):
    data = pack(idx(np.arange(24, dtype=np.uint8).reshape(4, 6)))
    path = tmp_path / "file"
    for n in range(len(data)):
        path.write_bytes(data[:n])
        with pytest.raises(DataLossError):
            read_idx(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "file"
    data = idx(np.arange(4, dtype=np.uint8))
    for bad, error, text in (
            (data + b"x", DataLossError, "longer than its header says"),
            (b"\0\0\x07\x01" + data[4:], InvalidArgumentError, "0x00000701"),
            (b"PK\x03\x04" + data, InvalidArgumentError, "no IDX file"),
            (struct.pack(">HBBI", 0, 8, 1, 100) + b"abc", DataLossError, "3 of 100 bytes"),
            (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), InvalidArgumentError, "accepted"),
            (struct.pack(">HBBI", 0, 8, 1, 2**31), DataLossError, "0 of 2147483648"),
            (b"", DataLossError, "0 of 4 bytes")):
        path.write_bytes(bad)
        with pytest.raises(error, match=text):
            read_idx(path)
    with pytest.raises(NotFoundError, match="no file"):
        read_idx(tmp_path / "missing")
    with pytest.raises(NotFoundError):
        read_idx(tmp_path)


def test_a_compressed_flood_is_cut_off(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(idx(np.zeros(10, np.uint8)) + bytes(50_000_000)))
    with pytest.raises(DataLossError, match="longer than its header"):
        read_idx(path)
    path.write_bytes(gzip.compress(idx(np.zeros(3_000_000, np.uint8))))
    with pytest.raises(InvalidArgumentError, match="more than the 1000000 accepted"):
        read_idx(path, max_bytes=1_000_000)


def test_flipped_bits_never_crash(tmp_path):
    path = tmp_path / "file"
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)
    for data in (idx(array), gzip.compress(idx(array))):
        for i in range(len(data)):
            changed = bytearray(data)
            changed[i] ^= 1 << (i % 8)
            path.write_bytes(bytes(changed))
            try:
                assert isinstance(read_idx(path, max_bytes=1 << 20), np.ndarray)
            except (DataLossError, InvalidArgumentError):
                pass
