"""nest: order, round trips and the sentences of mismatches."""

from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest

from cltensor.base import nest

Point = namedtuple("Point", ["y", "x"])

STRUCTURES = [
    7, None, "text", [], (), {}, [1, 2], (1, [2, (3,)]), {"b": 1, "a": [2, None]}, Point(1, (2, 3)),
    OrderedDict([("z", 1), ("a", 2)]), [Point({"k": 1}, [])], [[[]], [1]],
]


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_flatten_then_pack_gives_the_structure_back(structure):
    leaves = nest.flatten(structure)
    packed = nest.pack_sequence_as(structure, leaves)
    assert packed == structure and type(packed) is type(structure)


def test_dicts_are_walked_by_sorted_key_and_keep_their_own_order():
    d = {"b": 1, "a": 2, "c": 0}
    assert nest.flatten(d) == [2, 1, 0]
    assert list(nest.pack_sequence_as(d, [10, 20, 30]).items()) == [("b", 20), ("a", 10), ("c", 30)]
    assert nest.flatten(OrderedDict([("z", 1), ("a", 2)])) == [2, 1]


def test_namedtuples_keep_their_class():
    p = nest.map_structure(lambda v: v * 2, Point(1, [2]))
    assert p == Point(2, [4]) and isinstance(p, Point)


def test_defaultdict_and_arrays():
    d = defaultdict(list, a=np.arange(3))
    assert nest.flatten(d)[0] is d["a"]
    assert nest.pack_sequence_as(d, [1]) == {"a": 1}
    assert not nest.is_sequence(np.arange(3)) and not nest.is_sequence(b"ab") and not nest.is_sequence({1, 2})


def test_lists_as_leaves():
    assert nest.flatten(([1, 2], {"a": [3]}), lists=False) == [[1, 2], [3]]
    assert nest.map_structure(len, ([1, 2], [3]), lists=False) == (2, 1)


def test_paths():
    assert nest.flatten_with_paths(Point(1, [2, 3])) == [(("y",), 1), (("x", 0), 2), (("x", 1), 3)]


def test_mismatches_are_sentences():
    with pytest.raises(ValueError, match="has 2 leaves, flat_sequence has 3"):
        nest.pack_sequence_as((1, 2), [1, 2, 3])
    with pytest.raises(ValueError, match=r"lengths differ at \['a'\], 1 != 2"):
        nest.assert_same_structure({"a": [1]}, {"a": [1, 2]})
    with pytest.raises(ValueError, match="a list != a leaf"):
        nest.map_structure(max, [1], 1)
    with pytest.raises(TypeError, match="a list != a tuple"):
        nest.assert_same_structure([1], (1,))
    nest.assert_same_structure([1], (1,), check_types=False)
    with pytest.raises(ValueError, match="keys differ"):
        nest.assert_same_structure({"a": 1}, {"b": 1})
    with pytest.raises(TypeError, match="must be sortable"):
        nest.flatten({1: 2, "a": 3})
