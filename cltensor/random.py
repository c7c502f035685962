"""tf.random: random tensors and seeds."""

from cltensor.ops.random import (
    categorical,
    multinomial,
    set_random_seed,
    truncated_normal,
)
from cltensor.ops.random import (
    random_normal as normal,
)
from cltensor.ops.random import (
    random_shuffle as shuffle,
)
from cltensor.ops.random import (
    random_uniform as uniform,
)

__all__ = [
    "categorical", "multinomial", "normal", "set_random_seed", "shuffle", "truncated_normal",
    "uniform",
]
