"""Bad input: one sentence with the op, the rule and both values, of the right class, and nothing has run.

A row is (what is wrong, the call, the class, words of the sentence). `far(x)` is a tensor whose value the host does
not know.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cltensor as tf
from cltensor.base.errors import (
    DeviceError,
    DTypeError,
    InvalidArgumentError,
    OpError,
    OutOfRangeError,
    ResourceExhaustedError,
)
from cltensor.runtime import device as runtime_device

X = np.ones((2, 3), np.float32)
I = np.array([1, 2], np.int32)
RULES: list[tuple[str, Any, type, str]] = [
    # shapes
    ("broadcast", lambda: tf.add(X, np.ones((2, 4), np.float32)), InvalidArgumentError,
     r"add: shapes do not broadcast, 3 != 4: x has shape \(2, 3\), y has shape \(2, 4\)"),
    ("inner dimensions", lambda: tf.matmul(np.ones((5, 4), np.float32), np.ones((5, 3), np.float32)),
    InvalidArgumentError,
     r"matmul: inner dimensions differ, 4 != 5: a has shape \(5, 4\) \(transpose_a=False\), b has shape \(5, 3\) "
     r"\(transpose_b=False\)"),
    ("rank of matmul", lambda: tf.matmul([1., 2.], X), InvalidArgumentError, "matmul: a must have rank 2 or more"),
    ("batches", lambda: tf.matmul(np.ones((2, 3, 3), np.float32), np.ones((4, 3, 3), np.float32)), InvalidArgumentError,
     r"matmul: batch dimensions do not broadcast, \(2,\) and \(4,\)"),
    ("reshape", lambda: tf.reshape(X, [4, 2]), InvalidArgumentError,
    r"reshape: 6 elements of shape \(2, 3\) do not fill shape \(4, 2\) of 8"),
    ("two open sizes", lambda: tf.reshape(X, [-1, -1]), InvalidArgumentError, "reshape: .*-1"),
    ("concat", lambda: tf.concat([X, np.ones((3, 4), np.float32)], 1), InvalidArgumentError,
     "concat: sizes of dimension 0 differ, 3 != 2"),
    ("stack", lambda: tf.stack([X, X[0]]), InvalidArgumentError, r"stack: shapes differ, \(3,\) != \(2, 3\)"),
    ("split", lambda: tf.split(X, 2, 1), InvalidArgumentError, "split: size 3 of dimension 1 is not divisible into 2"),
    ("squeeze", lambda: tf.squeeze(X, 0), InvalidArgumentError, "squeeze: dimension 0 has size 2, it must be 1"),
    ("pad", lambda: tf.pad(X, [[1, 1]]), InvalidArgumentError, r"pad: paddings must be integers of shape \(2, 2\)"),
    ("tile", lambda: tf.tile(X, [2]), InvalidArgumentError, "tile: multiples has 1 entries, input has rank 2"),
    ("broadcast_to", lambda: tf.broadcast_to(X, [2, 2]), InvalidArgumentError, "broadcast_to: .*3 != 2"),
    ("labels", lambda: tf.nn.softmax_cross_entropy_with_logits(labels=X, logits=X[:1]), InvalidArgumentError,
     r"labels have shape \(2, 3\), logits have shape \(1, 3\)"),
    ("a negative size", lambda: tf.zeros([2, -1]), InvalidArgumentError, "zeros: shape .* negative"),
    ("a mask", lambda: tf.boolean_mask(X, [True, False, True]), InvalidArgumentError, r"mask of shape \(3,\)"),
    # axes and permutations
    ("axis", lambda: tf.reduce_sum(X, 2), InvalidArgumentError,
    r"reduce_sum: axis = 2 is not in \[-2, 2\) for an input of rank 2"),
    ("axis twice", lambda: tf.reduce_sum(X, [0, -2]), InvalidArgumentError,
    r"reduce_sum: axis \(0, -2\) names a dimension twice"),
    ("axis of concat", lambda: tf.concat([X, X], 2), InvalidArgumentError, r"concat: axis = 2 is not in \[-2, 2\)"),
    ("perm", lambda: tf.transpose(X, [0, 0]), InvalidArgumentError, r"transpose: perm \(0, 0\) is not a permutation"),
    ("expand_dims", lambda: tf.expand_dims(X, 4), InvalidArgumentError, r"expand_dims: axis = 4 is not in \[-3, 3\)"),
    # dtypes
    ("two dtypes", lambda: tf.constant(X) + tf.constant(X.astype(np.float64)), DTypeError,
     "add: dtypes differ, float32 != float64"),
    ("int and float", lambda: tf.matmul(tf.constant(X), tf.constant(np.ones((3, 2), np.int32))), DTypeError,
     "matmul: dtypes differ, float32 != int32"),
    ("float beside int", lambda: tf.constant(I) + 1.5, DTypeError,
    "add: y is a float, the other input has dtype int32"),
    ("log of int", lambda: tf.log(I), DTypeError, "log: x must be floating, it has dtype int32"),
    ("sum of bool", lambda: tf.reduce_sum([True]), DTypeError, "reduce_sum: .*floating or integer.*bool"),
    ("and of floats", lambda: tf.logical_and(X, X), DTypeError, "logical_and: x must be boolean, it has dtype float32"),
    ("float indices", lambda: tf.gather(X, [0.5]), DTypeError, "gather: indices must be int32 or int64"),
    ("float condition", lambda: tf.where([1., 0.], [1., 2.], [3., 4.]), DTypeError, "where: condition must be boolean"),
    ("text", lambda: tf.constant("hello"), DTypeError, "constant: 'hello' is text"),
    ("text in a list", lambda: tf.add(["a"], ["b"]), DTypeError, "add: x: .*text"),
    ("complex", lambda: tf.constant(np.array([1j])), DTypeError, "NumPy dtype complex128 has no counterpart"),
    ("no such dtype", lambda: tf.cast(X, "float33"), DTypeError, "'float33' is not a dtype"),
    ("float for int", lambda: tf.constant(1.5, tf.int32), DTypeError, "constant: 1.5 is floating, dtype int32"),
    # values
    ("ragged", lambda: tf.constant([[1, 2], [3]]), InvalidArgumentError, "constant: .* rectangular"),
    ("None", lambda: tf.constant(None), InvalidArgumentError, "constant: .*None"),
    ("too large a value", lambda: tf.constant(300, tf.uint8), InvalidArgumentError,
     r"300 does not fit uint8 \[0, 255\]"),
    ("slot overflow", lambda: tf.constant(I) + 2**31, InvalidArgumentError,
     r"add: 2147483648 does not fit the integer type \[-2147483648, 2147483647\]"),
    ("slot below", lambda: tf.constant(np.uint8([1])) - 300, InvalidArgumentError, "300 does not fit"),
    ("fill overflow", lambda: tf.fill([2], 2**64), InvalidArgumentError, "fill"),
    ("step 0", lambda: tf.range(1, 5, 0), InvalidArgumentError, "range: delta is 0"),
    ("index beyond", lambda: tf.gather(X, [0, 7]), InvalidArgumentError, r"gather: indices = 7 is not in \[0, 2\)"),
    ("index below", lambda: tf.gather(X, [-1]), InvalidArgumentError, r"gather: indices = -1 is not in \[0, 2\)"),
    ("nd index", lambda: tf.gather_nd(X, [[1, 3]]), InvalidArgumentError, r"gather_nd: indices = 3 is not in \[0, 3\)"),
    ("scatter index", lambda: tf.scatter_nd([[4]], [1.], [3]), InvalidArgumentError, r"= 4 is not in \[0, 3\)"),
    ("label", lambda: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[3, 0], logits=X), InvalidArgumentError,
     r"labels = 3 is not in \[0, 3\)"),
    ("subscript", lambda: tf.constant(X)[5], OutOfRangeError, r"index.* 5 .*is not in \[-2, 2\)"),
    ("too many subscripts", lambda: tf.constant(X)[0, 0, 0], InvalidArgumentError, "index: 3 indices"),
    ("a float subscript", lambda: tf.constant(X)[1.5], DTypeError, "1.5 is no index"),
    ("seed", lambda: tf.random_uniform([2], seed=1.5), DTypeError, "random_uniform: seed must be an integer"),
    ("probability", lambda: tf.nn.dropout(X, keep_prob=1.5), InvalidArgumentError, r"dropout: keep_prob .* 1.5"),
    ("bounds", lambda: tf.random_uniform([2], 5, 5, tf.int32), InvalidArgumentError, "random_uniform: minval < maxval"),
    ("nothing to choose", lambda: tf.argmax(np.ones((0, 3), np.float32), 0), InvalidArgumentError, "argmax: .*size 0"),
    ("an empty list", lambda: tf.add_n([]), InvalidArgumentError, "add_n: inputs is empty"),
    # devices
    ("a device that is not there", lambda: tf.device("/gpu:7").__enter__(), DeviceError,
     "there is no '/gpu:7'; there are .*cpu:0"),
    ("no device name", lambda: tf.device("fast one"), InvalidArgumentError, "'fast one' is not a device name"),
    ("gpu()", lambda: tf.constant(1.).gpu(9), DeviceError, "there is no 'gpu:9'"),
]
BUILTIN = {InvalidArgumentError: ValueError, DTypeError: TypeError, OutOfRangeError: IndexError,
           DeviceError: RuntimeError}


@pytest.mark.parametrize("call, kind, words", [r[1:] for r in RULES], ids=[r[0] for r in RULES])
def test_bad_input(call: Any, kind: type, words: str) -> None:
    queue = runtime_device.default().queue
    before = queue.launch_count
    with pytest.raises(kind, match=words) as caught:
        call()
    assert type(caught.value) is kind and isinstance(caught.value, OpError) and isinstance(caught.value, BUILTIN[kind])
    assert queue.launch_count == before, "a kernel ran before the input was refused"
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400, text


def test_the_same_call_is_refused_each_time() -> None:
    """A failed bind leaves nothing in the memo that would let the second call through."""
    for _ in range(3):
        with pytest.raises(InvalidArgumentError):
            tf.add(X, np.ones((2, 4), np.float32))


def far(value: Any) -> tf.Tensor:
    t = tf.reverse(tf.reverse(np.asarray(value), [0]), [0])
    assert t.host is None
    return t


@pytest.mark.parametrize("call, words", [
    (lambda i: tf.gather(X, i), r"gather: indices = 9 is not in \[0, 2\)"),
    (lambda i: tf.gather_nd(X, tf.expand_dims(i, 1)), r"gather_nd: indices = 9 is not in \[0, 2\)"),
    (lambda i: tf.scatter_nd(tf.expand_dims(i, 1), [1., 2., 3.], [2]), r"scatter_nd: .* = 9 is not in \[0, 2\)"),
    (lambda i: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=i, logits=np.ones((3, 4), np.float32)),
     r"labels = 9 is not in \[0, 4\)")], ids=["gather", "gather_nd", "scatter_nd", "labels"])
def test_an_index_only_the_device_knows_is_reported_at_the_next_read(call: Any, words: str) -> None:
    y = call(far(np.array([0, 9, 1], np.int32)))
    with pytest.raises(InvalidArgumentError, match=words):
        y.numpy()
    assert tf.add(1., 2.).numpy() == 3      # said once, the device goes on


def test_too_large_an_allocation() -> None:
    with pytest.raises(ResourceExhaustedError) as caught:
        tf.zeros([2**45])
    assert isinstance(caught.value, MemoryError)
    for word in ("131072.0 GiB", "may have", "in use", "cached"):
        assert word in str(caught.value), str(caught.value)
    assert tf.ones([4]).numpy().sum() == 4


def test_soft_placement(with_environment: Any) -> None:
    with_environment(VIRTUAL_GPUS=0)
    tf.set_soft_device_placement(True)
    try:
        with pytest.warns(UserWarning, match="gpu:3"), tf.device("/gpu:3"):
            assert tf.constant([1., 2.]).numpy().tolist() == [1, 2]
    finally:
        tf.set_soft_device_placement(False)
