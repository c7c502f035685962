"""Exception classes: TensorFlow's names, each also a subclass of the builtin a Python user would catch.

    OpError
    ├── InvalidArgumentError (ValueError)      a value, shape, rank, axis or index breaks the op's rule
    │   ├── DTypeError (TypeError)             a dtype breaks the op's rule
    │   └── OutOfRangeError (IndexError)       an iterator is exhausted
    ├── FailedPreconditionError (RuntimeError) state is not ready: an uninitialised variable, a forked process
    ├── NotFoundError (FileNotFoundError)      a file, a device or a name is missing
    ├── ResourceExhaustedError (MemoryError)   device memory: request, limit, in use, cached
    ├── UnimplementedError (NotImplementedError)
    ├── DataLossError (OSError)                a file is truncated or its checksum differs
    ├── InternalError (RuntimeError)           a kernel failed to build, a driver failed
    └── DeviceError (RuntimeError)             no OpenCL device, or none of that name
"""

from __future__ import annotations

__all__ = [
    "OpError", "InvalidArgumentError", "DTypeError", "OutOfRangeError", "FailedPreconditionError",
    "NotFoundError", "ResourceExhaustedError", "UnimplementedError", "DataLossError",
    "InternalError", "DeviceError", "KernelBuildError", "CLTensorWarning", "PerformanceWarning",
]


class OpError(Exception):
    """Base of every error cltensor raises on purpose.

    Example:
        >>> import cltensor as tf
        >>> issubclass(tf.errors.InvalidArgumentError, ValueError)
        True
    """

    @property
    def message(self) -> str:
        """The sentence, as TensorFlow's errors name it."""
        return str(self)


class InvalidArgumentError(OpError, ValueError):
    """A value, shape, rank, axis or index breaks the rule of an op."""


class DTypeError(InvalidArgumentError, TypeError):
    """A dtype breaks the rule of an op; also a TypeError."""


class OutOfRangeError(InvalidArgumentError, IndexError):
    """An iterator has no more elements, or an index lies outside its range."""


class FailedPreconditionError(OpError, RuntimeError):
    """The state an op needs is not there yet."""


class NotFoundError(OpError, FileNotFoundError):
    """A file or a named object does not exist."""


class ResourceExhaustedError(OpError, MemoryError):
    """Device memory does not suffice; the text gives request, limit, in use and cached bytes."""


class UnimplementedError(OpError, NotImplementedError):
    """The request is well formed, and this version does not offer it."""


class DataLossError(OpError, OSError):
    """A file is truncated, or a checksum differs from the stored one."""


class InternalError(OpError, RuntimeError):
    """The driver or a kernel failed; not the user's fault."""


class KernelBuildError(InternalError):
    """A kernel did not compile; the text holds numbered source, build log and parameters."""


class DeviceError(OpError, RuntimeError):
    """No OpenCL device, no device of that name, or one that cannot do what was asked."""


class CLTensorWarning(UserWarning):
    """Base of cltensor's warnings."""


class PerformanceWarning(CLTensorWarning):
    """The result is right, but a faster way exists."""
