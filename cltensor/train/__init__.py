"""tf.train: optimizers, learning rates, the global step, checkpoints."""

from cltensor.train.checkpoint import (
    Checkpoint, checkpoint_exists, get_checkpoint_state, latest_checkpoint,
)
from cltensor.train.global_step import (
    assert_global_step, create_global_step, get_global_step, get_or_create_global_step, global_step,
)
from cltensor.train.learning_rate import (
    cosine_decay, exponential_decay, inverse_time_decay, natural_exp_decay, piecewise_constant,
    piecewise_constant_decay, polynomial_decay,
)
from cltensor.train.moving_averages import ExponentialMovingAverage
from cltensor.train.optimizer import Optimizer
from cltensor.train.optimizers import (
    AdadeltaOptimizer, AdagradOptimizer, AdamOptimizer, FtrlOptimizer, GradientDescentOptimizer,
    MomentumOptimizer, RMSPropOptimizer,
)
from cltensor.train.saver import Saver

__all__ = [
    "AdadeltaOptimizer", "AdagradOptimizer", "AdamOptimizer", "Checkpoint", "ExponentialMovingAverage",
    "FtrlOptimizer", "GradientDescentOptimizer", "MomentumOptimizer", "Optimizer", "RMSPropOptimizer", "Saver",
    "assert_global_step", "checkpoint_exists", "cosine_decay", "create_global_step", "exponential_decay",
    "get_checkpoint_state", "get_global_step", "get_or_create_global_step", "global_step",
    "inverse_time_decay", "latest_checkpoint", "natural_exp_decay", "piecewise_constant",
    "piecewise_constant_decay", "polynomial_decay",
]
