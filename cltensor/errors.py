"""tf.errors: the exception classes."""

from cltensor.base.errors import (
    CLTensorWarning,
    DataLossError,
    DeviceError,
    DTypeError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    KernelBuildError,
    NotFoundError,
    OpError,
    OutOfRangeError,
    PerformanceWarning,
    ResourceExhaustedError,
    UnimplementedError,
)

__all__ = [
    "CLTensorWarning", "DTypeError", "DataLossError", "DeviceError", "FailedPreconditionError",
    "InternalError", "InvalidArgumentError", "KernelBuildError", "NotFoundError", "OpError",
    "OutOfRangeError", "PerformanceWarning", "ResourceExhaustedError", "UnimplementedError",
]
