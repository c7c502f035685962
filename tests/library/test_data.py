"""tf.data: structure, order, windows of shuffles, batches, files, and threads that end."""

import gc
import gzip
import itertools
import threading
import time
from collections import namedtuple

import numpy as np
import pytest

from cltensor.base.dtypes import float32, int32, int64
from cltensor.base.errors import (
    DataLossError,
    DTypeError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    UnimplementedError,
)
from cltensor.core.generator import generator
from cltensor.core.tensor import Tensor, constant
from cltensor.data.dataset import Dataset
from cltensor.data.files import FixedLengthRecordDataset, TextLineDataset
from cltensor.data.iterator import Iterator
from cltensor.data.transformations import batch_and_drop_remainder
from cltensor.ops import math

Point = namedtuple("Point", ["x", "y"])


def values(dataset):
    return [v.numpy().tolist() for v in dataset]


def numbers(n):
    return Dataset.from_tensor_slices(np.arange(n))


# -- structure
def test_structures_are_kept():
    source = (np.arange(4), {"b": np.arange(4.), "a": Point(np.ones((4, 2)), np.arange(4) > 1)})
    for ds, shape in ((Dataset.from_tensor_slices(source), ()), (Dataset.from_tensor_slices(source).batch(3), (3,))):
        number, parts = next(iter(ds))
        assert isinstance(number, Tensor) and isinstance(parts["a"], Point)
        assert list(parts) == ["b", "a"]
        assert tuple(number.shape) == shape and tuple(parts["a"].x.shape) == (*shape, 2)
    assert number.numpy().tolist() == [0, 1, 2] and parts["a"].y.numpy().tolist() == [False, False, True]
    assert [p.name for p in (number.dtype, parts["b"].dtype, parts["a"].y.dtype)] == ["int64", "float64", "bool"]


def test_python_values_get_the_default_dtypes_and_lists_are_tensors():
    x, y = next(iter(Dataset.from_tensor_slices(([1, 2], [[1., 2.], [3., 4.]]))))
    assert x.dtype is int32 and y.dtype is float32 and y.numpy().tolist() == [1., 2.]
    ds = Dataset.from_tensor_slices(([1, 2], [True, False])).map(lambda x, keep: [x, x + 1])
    assert values(ds) == [[1, 2], [2, 3]]


def test_from_tensors_is_one_element():
    assert values(Dataset.from_tensors([[1, 2], [3, 4]])) == [[[1, 2], [3, 4]]]
    assert values(Dataset.from_tensors(constant(7)).repeat(2)) == [7, 7]


def test_slices_are_a_copy_and_frozen():
    a = np.arange(3)
    ds = Dataset.from_tensor_slices(a)
    a[0] = 100
    assert values(ds) == [0, 1, 2]
    whole = next(iter(ds.batch(3)))
    assert (whole + 1).numpy().tolist() == [1, 2, 3]


def test_bad_sources():
    with pytest.raises(InvalidArgumentError, match="from_tensors takes it"):
        Dataset.from_tensor_slices(3)
    with pytest.raises(InvalidArgumentError, match=r"2 != 3: shapes are \(2,\), \(3, 1\)"):
        Dataset.from_tensor_slices((np.zeros(2), np.zeros((3, 1))))
    with pytest.raises(InvalidArgumentError, match="no tensors"):
        Dataset.from_tensor_slices({})
    with pytest.raises(InvalidArgumentError, match="rectangular"):
        Dataset.from_tensor_slices([[1], [2, 3]])
    with pytest.raises(DTypeError, match="datasets are wanted"):
        Dataset.zip((Dataset.range(3), 4))


def test_range():
    assert values(Dataset.range(3)) == [0, 1, 2] and values(Dataset.range(5, 0, -2)) == [5, 3, 1]
    assert next(iter(Dataset.range(3))).dtype is int64
    with pytest.raises(InvalidArgumentError, match="1 to 3"):
        Dataset.range()
    with pytest.raises(InvalidArgumentError, match="must be an integer"):
        Dataset.range(2.5)


# -- order and number
@pytest.mark.parametrize("make", [numbers, Dataset.range], ids=["table", "elements"])
def test_take_skip_repeat_shard_concatenate(make):
    assert values(make(5).take(2)) == [0, 1] and values(make(5).take(0)) == []
    assert values(make(5).take(-1)) == values(make(5).take(9)) == [0, 1, 2, 3, 4]
    assert values(make(5).skip(3)) == [3, 4] and values(make(5).skip(9)) == values(make(5).skip(-1)) == []
    assert values(make(2).repeat(3)) == [0, 1] * 3 and values(make(2).repeat(0)) == []
    assert values(make(2).repeat().take(5)) == values(make(2).repeat(-1).take(5)) == [0, 1, 0, 1, 0]
    assert values(make(0).repeat()) == []
    assert values(make(7).shard(3, 1)) == [1, 4] and values(make(5).repeat(2).shard(3, 2)) == [2, 0, 3]
    assert values(make(3).repeat(2).skip(2).take(3)) == [2, 0, 1]
    assert values(make(2).concatenate(make(1)).repeat(2)) == [0, 1, 0] * 2
    assert [(int(i), int(v)) for i, v in make(2).enumerate(5)] == [(5, 0), (6, 1)]


def test_counts_are_checked():
    for call, text in ((lambda d: d.batch(0), "batch_size = 0 is less than 1"), (lambda d: d.take(-2), "-2"),
                       (lambda d: d.shuffle(0), "buffer_size"), (lambda d: d.batch(1.5), "must be an integer"),
                       (lambda d: d.shard(2, 2), "not less than num_shards"), (lambda d: d.prefetch("2"), "integer")):
        with pytest.raises(InvalidArgumentError, match=text):
            call(numbers(3))
    assert values(numbers(4).batch(constant(2)).take(constant(1))) == [[0, 1]]
    with pytest.raises(DTypeError, match="must be a function"):
        numbers(3).map(3)
    with pytest.raises(UnimplementedError):
        numbers(3).cache("file")


def test_iterators_are_independent_and_end_as_promised():
    ds = Dataset.range(3)
    a, b = iter(ds), ds.make_one_shot_iterator()
    assert int(a.next()) == 0 and int(next(a)) == 1 and int(b.get_next()) == 0 and int(a.get_next()) == 2
    with pytest.raises(StopIteration):
        a.next()
    with pytest.raises(OutOfRangeError, match="end of sequence"):
        a.get_next()
    assert [int(v) for v in b] == [1, 2] and int(Iterator(ds).get_next()) == 0
    assert ds.output_types is int64 and ds.batch(2).output_shapes == (None,)


# -- shuffle
@pytest.mark.parametrize("make", [numbers, Dataset.range], ids=["table", "elements"])
@pytest.mark.parametrize("n, window", [(0, 3), (1, 1), (10, 1), (10, 3), (10, 9), (10, 10), (10, 11), (3000, 100)])
def test_shuffle_is_a_permutation_within_its_window(make, n, window):
    got = values(make(n).shuffle(window, seed=3))
    assert sorted(got) == list(range(n))
    assert all(v < i + window for i, v in enumerate(got))
    if window == 1:
        assert got == list(range(n))


def test_shuffle_of_a_table_and_of_elements_agree():
    for window in (4, 100):
        assert values(numbers(50).shuffle(window, seed=5)) == values(Dataset.range(50).shuffle(window, seed=5))


def test_every_pass_has_its_own_order_unless_told_otherwise():
    ds = numbers(20).shuffle(20, seed=1)
    assert values(ds) != values(ds)
    two = values(numbers(20).shuffle(20, seed=1).repeat(2))
    assert two[:20] != two[20:] and sorted(two[:20]) == sorted(two[20:]) == list(range(20))
    assert two == values(numbers(20).shuffle(20, seed=1).repeat(2))
    fixed = numbers(20).shuffle(20, seed=1, reshuffle_each_iteration=False)
    assert values(fixed) == values(fixed)
    assert values(numbers(20).shuffle(20, seed=1)) != values(numbers(20).shuffle(20, seed=2))
    a, b = iter(ds), iter(ds)
    assert [int(v) for v in a] != [int(v) for v in b]


def test_shuffle_follows_the_global_seed():
    state = generator.get_state()
    try:
        def orders():
            generator.reseed(7)
            return [values(numbers(30).shuffle(30)) for _ in range(2)] + [values(numbers(30).shuffle(30, seed=1))]
        first = orders()
        assert first == orders() and first[0] != first[1] != first[2]
        generator.reseed(8)
        assert values(numbers(30).shuffle(30, seed=1)) != first[2]
    finally:
        generator.set_state(state)


def test_shuffle_reaches_every_order():
    seen = {tuple(values(numbers(3).shuffle(3, seed=s))) for s in range(60)}
    assert len(seen) == 6


def test_passes_do_not_depend_on_threads():
    def orders():
        ds = numbers(50).shuffle(10, seed=4).repeat(2).prefetch(4)
        a, b = iter(ds), iter(ds)
        return [int(v) for v in b], [int(v) for v in a]
    assert orders() == orders()


# -- batches
@pytest.mark.parametrize("make", [numbers, Dataset.range], ids=["table", "elements"])
def test_batches(make):
    assert values(make(5).batch(2)) == [[0, 1], [2, 3], [4]]
    assert values(make(5).batch(2, drop_remainder=True)) == [[0, 1], [2, 3]]
    assert values(make(5).batch(9)) == [[0, 1, 2, 3, 4]] and values(make(0).batch(2)) == []
    assert values(make(3).repeat(2).batch(4)) == [[0, 1, 2, 0], [1, 2]]
    assert values(make(3).batch(2).repeat(2)) == [[0, 1], [2]] * 2
    assert values(make(4).batch(2).batch(2)) == [[[0, 1], [2, 3]]]
    assert values(make(5).apply(batch_and_drop_remainder(3))) == [[0, 1, 2]]


def test_batch_of_device_results_and_mixed_shapes():
    ds = Dataset.from_tensor_slices(np.arange(6, dtype=np.float32)).map(lambda x: (x * 2., {"s": x}))
    big = Dataset.from_tensor_slices(np.ones((4, 2000), np.float32)).map(lambda x: x * 2.).batch(3)
    (a, d), *_ = ds.batch(4)
    assert a.numpy().tolist() == [0., 2., 4., 6.] and d["s"].numpy().tolist() == [0., 1., 2., 3.]
    assert [tuple(v.shape) for v in big] == [(3, 2000), (1, 2000)] and float(next(iter(big))[0, 0]) == 2.
    with pytest.raises(InvalidArgumentError, match=r"differ in shape, \(1,\) and \(2,\)"):
        values(Dataset.from_generator(lambda: iter([[1], [1, 2]]), int32).batch(2))


def test_padded_batch():
    ds = Dataset.from_generator(lambda: (([1] * n, n) for n in (1, 3, 2)), (int32, int32))
    x, n = next(iter(ds.padded_batch(3, ([None], []))))
    assert x.numpy().tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]] and n.numpy().tolist() == [1, 3, 2]
    x, _ = next(iter(ds.padded_batch(2, ([4], []), (9, 0))))
    assert x.numpy().tolist() == [[1, 9, 9, 9], [1, 1, 1, 9]]
    assert len(list(ds.padded_batch(2, ([-1], []), drop_remainder=True))) == 1
    with pytest.raises(InvalidArgumentError, match="does not fit padded_shapes"):
        list(ds.padded_batch(3, ([2], [])))
    with pytest.raises(InvalidArgumentError, match="ranks differ"):
        list(ds.padded_batch(3, ([None, None], [])))


# -- functions
def test_map_filter_flat_map_interleave():
    ds = Dataset.from_tensor_slices((np.arange(6), np.arange(6) % 2 == 0))
    assert values(ds.filter(lambda n, even: even).map(lambda n, even: n * 10)) == [0, 20, 40]
    assert values(Dataset.from_tensor_slices({"a": [1, 2]}).map(lambda d: d["a"] + 1, num_parallel_calls=4)) == [2, 3]
    assert values(Dataset.range(3).flat_map(lambda n: Dataset.from_tensors(n).repeat(int(n)))) == [1, 2, 2]
    assert values(Dataset.range(3).interleave(lambda n: Dataset.from_tensors(n).repeat(3), 2, 2)) == [
        0, 0, 1, 1, 0, 1, 2, 2, 2]
    assert values(Dataset.zip((Dataset.range(3), Dataset.range(5, 9))).map(lambda a, b: a + b)) == [5, 7, 9]
    with pytest.raises(DTypeError, match="returned None"):
        values(Dataset.range(1).map(lambda n: None))
    with pytest.raises(DTypeError, match="must return a Dataset"):
        values(Dataset.range(1).flat_map(lambda n: n))
    with pytest.raises(ZeroDivisionError):
        values(Dataset.range(1).map(lambda n: 1 / 0))


def test_zip_keeps_structure():
    a, b = Dataset.range(2), Dataset.from_tensor_slices({"k": [5, 6]})
    x, d = list(Dataset.zip((a, {"d": b})))[1]
    assert int(x) == 1 and int(d["d"]["k"]) == 6


def test_cache_runs_its_input_once():
    calls = []
    ds = Dataset.range(3).map(lambda n: calls.append(int(n)) or n * 2).cache()
    assert next(iter(ds)).numpy() == 0
    del calls[:]
    assert values(ds) == values(ds) == [0, 2, 4] and calls == [0, 1, 2]
    assert values(ds.repeat(2)) == [0, 2, 4] * 2


def test_from_generator_checks_what_it_is_promised():
    assert values(Dataset.from_generator(range, int64, args=(constant(3),))) == [0, 1, 2]
    got = list(Dataset.from_generator(lambda: iter([(1, {"k": [2., 3.]})]), (float32, {"k": float32}),
                                      ([], {"k": [None]})))
    assert got[0][0].dtype is float32 and got[0][1]["k"].numpy().tolist() == [2., 3.]
    with pytest.raises(InvalidArgumentError, match=r"shape \(1,\), output_shapes says \(2,\)"):
        values(Dataset.from_generator(lambda: iter([[1]]), int32, [2]))
    with pytest.raises(InvalidArgumentError, match="does not have the structure"):
        values(Dataset.from_generator(lambda: iter([1]), (int32, int32)))
    with pytest.raises(DTypeError, match="holds integers"):
        values(Dataset.from_generator(lambda: iter([1.5]), int32))


def test_text():
    ds = Dataset.from_tensor_slices((["a", "bc"], [1, 2]))
    assert [(t, int(n)) for t, n in ds] == [(b"a", 1), (b"bc", 2)]
    assert next(iter(ds.batch(2)))[0].tolist() == [b"a", b"bc"]
    assert list(ds.map(lambda t, n: t + b"!").repeat(1)) == [b"a!", b"bc!"]
    assert next(iter(Dataset.from_generator(lambda: iter(["x", "y"]), str).batch(2))).tolist() == [b"x", b"y"]


# -- threads
def threads():
    return [t for t in threading.enumerate() if t.name == "cltensor-prefetch"]


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_prefetch_keeps_order_and_hands_on_errors():
    assert values(Dataset.range(100).prefetch(3).batch(64).prefetch(1)) == [list(range(64)), list(range(64, 100))]
    it = iter(Dataset.range(3).map(lambda n: 1 // (2 - int(n))).prefetch(2))
    assert [int(next(it)), int(next(it))] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(it)
    with pytest.raises(StopIteration):
        next(it)
    assert wait_until(lambda: not threads())


def test_threads_and_generators_end_with_a_dropped_iterator():
    closed = []

    def produce():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    gc.disable()
    try:
        it = iter(Dataset.from_generator(produce, int64).prefetch(2).map(lambda n: n).prefetch(2))
        assert int(next(it)) == 0 and len(threads()) == 2
        del it
        assert wait_until(lambda: not threads()) and closed == [True]
        it = iter(Dataset.from_generator(produce, int64).batch(2))
        next(it)
        del it
        assert closed == [True, True]
    finally:
        gc.enable()


def test_prefetch_does_not_run_far_ahead():
    made = []
    it = iter(Dataset.range(1000).map(lambda n: made.append(int(n)) or n).prefetch(3))
    next(it)
    assert wait_until(lambda: len(made) == 5)
    time.sleep(0.05)
    assert len(made) <= 5


def test_functions_are_not_recorded():
    from cltensor.core.dispatch import state

    class Recorder:
        seen = 0

        def __getattr__(self, name):
            Recorder.seen += 1
            return lambda *args, **kwargs: None

    it = iter(Dataset.range(2).map(lambda n: math.add(n, n)))
    state.recorders.append(Recorder())
    try:
        assert next(it) is not None and Recorder.seen == 0
    finally:
        state.recorders.pop()


# -- files
def test_fixed_length_records(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"HHabcdefF")
    packed = tmp_path / "data.gz"
    packed.write_bytes(gzip.compress(b"HHabcdefF"))
    for name, kind in ((str(path), None), (str(packed), "GZIP")):
        ds = FixedLengthRecordDataset([name], 3, 2, 1, 1 << 16, kind)
        assert list(ds) == [b"abc", b"def"] == list(ds)
        assert list(ds.map(lambda r: np.frombuffer(r, np.uint8)).batch(2))[0].numpy().shape == (2, 3)
    names = Dataset.from_tensor_slices([str(path), str(path)])
    assert list(FixedLengthRecordDataset(names, 2, 2, 1)) == [b"ab", b"cd", b"ef"] * 2
    with pytest.raises(InvalidArgumentError, match="2 bytes remain"):
        list(FixedLengthRecordDataset(str(path), 4, 2, 1))
    with pytest.raises(InvalidArgumentError, match="less than its header"):
        list(FixedLengthRecordDataset(str(path), 4, 20))
    with pytest.raises(NotFoundError, match="no file"):
        list(FixedLengthRecordDataset(str(path) + "x", 4))
    with pytest.raises(InvalidArgumentError, match="record_bytes = 0"):
        FixedLengthRecordDataset(str(path), 0)
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(DataLossError):
        list(FixedLengthRecordDataset(str(packed), 3, 2, 1, compression_type="GZIP"))
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert list(FixedLengthRecordDataset(str(empty), 4)) == []


def test_text_lines(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("one\r\n\ntwö\n".encode() + b"last")
    ds = TextLineDataset(str(path))
    assert list(ds) == [b"one", b"", "twö".encode(), b"last"]
    assert list(ds.skip(1).filter(lambda line: line != b"").take(1)) == ["twö".encode()]
    with pytest.raises(NotFoundError):
        list(TextLineDataset(["missing"]))
    with pytest.raises(InvalidArgumentError, match="filenames must be text"):
        TextLineDataset([3])
