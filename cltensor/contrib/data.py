"""tf.contrib.data: transformations for Dataset.apply."""

from cltensor.data.transformations import (
    batch_and_drop_remainder,
    enumerate_dataset,
    map_and_batch,
    shuffle_and_repeat,
)

__all__ = ["batch_and_drop_remainder", "enumerate_dataset", "map_and_batch", "shuffle_and_repeat"]
