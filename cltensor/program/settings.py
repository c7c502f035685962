"""Settings that TensorFlow 1.x programs carry around: HParams, ConfigProto, GPUOptions, DeviceSpec, ModeKeys."""

from __future__ import annotations

import json
from typing import Any

from cltensor.base.errors import InvalidArgumentError

__all__ = ["HParams", "ConfigProto", "GPUOptions", "RunMetadata", "RunOptions", "DeviceSpec", "ModeKeys"]


class HParams:
    """Named hyperparameters, read as attributes; each keeps the type of its first value.

    Example:
        >>> import cltensor as tf
        >>> h = tf.contrib.training.HParams(rate=0.1, units=[32, 16])
        >>> h.parse("rate=0.5").rate, h.units
        (0.5, [32, 16])
    """

    def __init__(self, **values: Any):
        for name, value in values.items():
            self.add_hparam(name, value)

    def add_hparam(self, name: str, value: Any) -> None:
        """One more. Raises: InvalidArgumentError for a name that exists."""
        if name in self.__dict__ or hasattr(type(self), name):
            raise InvalidArgumentError(f"HParams: {name!r} exists already, or is a method")
        self.__dict__[name] = value

    def __setattr__(self, name: str, value: Any) -> None:
        self.set_hparam(name, value)

    def set_hparam(self, name: str, value: Any) -> None:
        """A new value of the same type. Raises: InvalidArgumentError for an unknown name or another type."""
        if name not in self.__dict__:
            raise InvalidArgumentError(f"HParams: there is no {name!r}; there are {', '.join(sorted(self.__dict__))}")
        self.__dict__[name] = _as_type_of(name, self.__dict__[name], value)

    def del_hparam(self, name: str) -> None:
        """Forget one."""
        self.__dict__.pop(name, None)

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default where there is none of that name."""
        return self.__dict__.get(name, default)

    def values(self) -> dict:
        """All by name."""
        return dict(self.__dict__)

    def override_from_dict(self, values: dict) -> HParams:
        """Set several."""
        for name, value in values.items():
            self.set_hparam(name, value)
        return self

    def parse(self, text: str) -> HParams:
        """Set from "name=value,name=[1,2]"; values are read as the type they replace."""
        parts, depth, start = [], 0, 0
        for i, c in enumerate(text + ","):
            depth += (c == "[") - (c == "]")
            if c == "," and depth == 0:
                parts.append(text[start:i].strip())
                start = i + 1
        for part in filter(None, parts):
            name, equals, value = part.partition("=")
            if not equals:
                raise InvalidArgumentError(f"HParams.parse: {part!r} is not name=value")
            self.set_hparam(name.strip(), _read(value.strip()))
        return self

    def to_json(self) -> str:
        """All as a JSON object."""
        return json.dumps(self.__dict__)

    def parse_json(self, text: str) -> HParams:
        """Set from a JSON object."""
        return self.override_from_dict(json.loads(text))

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def __repr__(self) -> str:
        return "HParams(" + ", ".join(f"{k}={v!r}" for k, v in sorted(self.__dict__.items())) + ")"


def _read(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return [_read(t.strip()) for t in text[1:-1].split(",") if t.strip()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text.lower(), text)


def _as_type_of(name: str, old: Any, new: Any) -> Any:
    if old is None or new is None:
        return new
    if isinstance(old, (list, tuple)):
        items = list(new) if isinstance(new, (list, tuple)) else [new]
        return [_as_type_of(name, old[0], v) for v in items] if old else items
    if isinstance(old, bool) != isinstance(new, bool) and not (isinstance(old, bool) and new in (0, 1)):
        raise InvalidArgumentError(f"HParams: {name} is {old!r}, so {new!r} does not fit")
    kind = type(old)
    fits = isinstance(new, kind) or (kind is float and isinstance(new, int)) or kind is bool
    if not fits:
        raise InvalidArgumentError(f"HParams: {name} is a {kind.__name__}, so {new!r} does not fit")
    return kind(new) if kind in (bool, int, float, str) else new


class _Settings:
    """Keyword arguments as attributes; whatever is not set is None."""

    def __init__(self, **values: Any):
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(" + ", ".join(f"{k}={v!r}" for k, v in self.__dict__.items()) + ")"


class GPUOptions(_Settings):
    """Settings of TensorFlow's allocator. Accepted and kept; CLTENSOR_MEMORY_LIMIT is what bounds memory here."""


class ConfigProto(_Settings):
    """Settings of a session. Accepted and kept; devices are chosen by CLTENSOR_DEVICES and tf.device."""

    def __init__(self, **values: Any):
        super().__init__(**{"gpu_options": GPUOptions(), **values})


class RunOptions(_Settings):
    """Settings of a run. Accepted and kept; CLTENSOR_DEBUG and tf.memory_stats tell what runs do."""

    NO_TRACE, SOFTWARE_TRACE, HARDWARE_TRACE, FULL_TRACE = range(4)


class RunMetadata(_Settings):
    """What TensorFlow writes about a run; stays empty here."""


class ModeKeys:
    """What a model function is called for."""

    TRAIN, EVAL, PREDICT = "train", "eval", "infer"


class DeviceSpec:
    """The parts of a device name.

    Example:
        >>> import cltensor as tf
        >>> tf.DeviceSpec(device_type="GPU", device_index=1).to_string()
        '/device:GPU:1'
    """

    def __init__(self, job: str | None = None, replica: int | None = None, task: int | None = None,
                 device_type: str | None = None, device_index: int | None = None):
        self.job, self.replica, self.task = job, replica, task
        self.device_type = None if device_type is None else device_type.upper()
        self.device_index = device_index

    @staticmethod
    def from_string(spec: str) -> DeviceSpec:
        """The parts of "/job:worker/task:0/device:GPU:1". Raises: InvalidArgumentError for another form."""
        out = DeviceSpec()
        for part in filter(None, spec.split("/")):
            key, *rest = part.split(":")
            if key == "device" and rest:
                key, *rest = rest
            if key.upper() in ("CPU", "GPU"):
                out.device_type, out.device_index = key.upper(), int(rest[0]) if rest and rest[0] != "*" else None
            elif key in ("job", "replica", "task") and len(rest) == 1:
                setattr(out, key, rest[0] if key == "job" else int(rest[0]))
            else:
                raise InvalidArgumentError(f"DeviceSpec: {part!r} in {spec!r} is no part of a device name")
        return out

    def to_string(self) -> str:
        """The name."""
        parts = [f"/{k}:{v}" for k, v in (("job", self.job), ("replica", self.replica), ("task", self.task))
                 if v is not None]
        if self.device_type is not None:
            parts.append(f"/device:{self.device_type}:{'*' if self.device_index is None else self.device_index}")
        return "".join(parts)

    __str__ = to_string
