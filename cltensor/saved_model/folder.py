"""The folder of a saved model: a JSON text and a safetensors file, replaced together or not at all.

The weights are written first, under a name with their checksum, and then the text that names them takes the old
one's place in one step. Whenever a crash comes, the text there is belongs to weights that are whole.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np

from cltensor.base.errors import DataLossError, InvalidArgumentError, NotFoundError
from cltensor.saved_model.format import VERSION, Newer, from_text, to_text
from cltensor.saved_model.graph_def import Bundle
from cltensor.train import container

__all__ = ["TEXT", "write", "read", "is_saved_model"]

TEXT = "saved_model.json"
_KIND = "saved_model"


def write(folder: str, bundle: Bundle) -> None:
    """Writes the model; what was in the folder before stays whole until it is replaced.

    Raises: OSError of the file system.
    """
    tensors = {f"variable/{i}": v for i, v in enumerate(bundle.values)}
    tensors |= {f"constant/{i}": c for i, c in enumerate(bundle.constants)}
    sums = "".join(f"{name}{a.dtype}{a.shape}{zlib.crc32(np.ascontiguousarray(a).tobytes())}"
                   for name, a in tensors.items())
    weights = f"weights-{zlib.crc32(sums.encode()):08x}{container.SUFFIX}"
    text = to_text(bundle.functions, bundle.variables, weights)
    container.write(os.path.join(folder, weights), tensors, "", _KIND)
    container.replace_file(os.path.join(folder, TEXT), text.encode())
    for old in Path(folder).glob(f"weights-*{container.SUFFIX}"):
        if old.name != weights:
            old.unlink(missing_ok=True)


def read(folder: str) -> Bundle:
    """The saved model of a folder, all of it checked.

    Raises: NotFoundError where there is none; InvalidArgumentError for one of a newer version; DataLossError for
        one that is damaged.
    """
    path = os.path.join(folder, TEXT)
    if not os.path.isfile(path):
        raise NotFoundError(f"saved_model.load: there is no saved model in {folder} (no file {path})")
    try:
        functions, variables, weights = from_text(Path(path).read_text(encoding="utf-8"))
    except Newer as error:
        raise InvalidArgumentError(f"saved_model.load: {path} cannot be read: {error}, this reads versions up to "
                                   f"{VERSION}; use a newer cltensor") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise DataLossError(f"saved_model.load: {path} is truncated or damaged: {error}") from error
    if not os.path.isfile(os.path.join(folder, weights)):
        raise DataLossError(f"saved_model.load: {folder} is damaged: its weights file {weights} is missing")
    tensors, _ = container.read(os.path.join(folder, weights), _KIND)
    values, constants = [], []
    for i, v in enumerate(variables):
        array = tensors.pop(f"variable/{i}", None)
        if array is None or array.shape != v.value.shape or array.dtype != v.value.dtype.np:
            raise DataLossError(f"saved_model.load: {folder} is damaged: the value of variable {v.name!r} is missing "
                                "or of another shape")
        values.append(array)
    while (array := tensors.pop(f"constant/{len(constants)}", None)) is not None:
        constants.append(array)
    return Bundle(functions, variables, tuple(values), tuple(constants))


def is_saved_model(folder: str) -> bool:
    """True where `read` would find a model."""
    return os.path.isfile(os.path.join(folder, TEXT))
