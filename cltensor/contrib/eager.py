"""tf.contrib.eager (tfe): gradient functions, variables, checkpoints and metrics of eager programs."""

from cltensor.autodiff.custom import custom_gradient
from cltensor.autodiff.explain import explain_none
from cltensor.autodiff.functional import (
    gradients_function,
    implicit_gradients,
    implicit_value_and_gradients,
    make_vjp,
    value_and_gradients_function,
)
from cltensor.autodiff.tape import GradientTape
from cltensor.core.mode import enable_eager_execution, executing_eagerly
from cltensor.data.iterator import Iterator
from cltensor.graph.function import defun
from cltensor.graph.py_func import py_func
from cltensor.metrics import objects as metrics
from cltensor.ops.variable import Variable
from cltensor.program.app import run
from cltensor.program.execution import ASYNC, SYNC, async_wait, execution_mode, set_execution_mode
from cltensor.runtime.device import default as default_device
from cltensor.runtime.device import devices as list_devices
from cltensor.runtime.device import num_gpus
from cltensor.train.checkpoint import Checkpoint
from cltensor.variable_scope import EagerVariableStore

in_eager_mode = executing_eagerly

__all__ = [
    "ASYNC", "Checkpoint", "EagerVariableStore", "GradientTape", "Iterator", "SYNC", "Variable", "async_wait",
    "custom_gradient", "default_device", "defun", "enable_eager_execution", "executing_eagerly",
    "execution_mode", "explain_none", "gradients_function", "implicit_gradients", "implicit_value_and_gradients",
    "in_eager_mode", "list_devices", "make_vjp", "metrics", "num_gpus", "py_func", "run",
    "set_execution_mode", "value_and_gradients_function",
]
