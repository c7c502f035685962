"""tf.nest: nested structures of lists, tuples and dicts."""

from cltensor.base.nest import (
    assert_same_structure,
    flatten,
    is_sequence,
    map_structure,
    pack_sequence_as,
)

is_nested = is_sequence

__all__ = ["assert_same_structure", "flatten", "is_nested", "is_sequence", "map_structure", "pack_sequence_as"]
