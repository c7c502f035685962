"""Templates to OpenCL sources, by Mako. Imported when a source is not on disk (`sources.py`): most starts do without.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

if "mako" not in sys.modules:          # 5 MB of lexers, to colour HTML pages about errors that nobody asks for
    sys.modules["mako.ext.pygmentplugin"] = None        # type: ignore[assignment]
from mako.lookup import TemplateLookup

from cltensor.base.errors import KernelBuildError
from cltensor.kernels.text import NAMES

if sys.modules.get("mako.ext.pygmentplugin", sys) is None:
    del sys.modules["mako.ext.pygmentplugin"]

__all__ = ["rendered"]


@lru_cache(maxsize=1)
def _lookup() -> TemplateLookup:
    return TemplateLookup(directories=[str(Path(__file__).parent)], strict_undefined=True,
                          imports=["from math import ceil"])


def rendered(template: str, params: tuple) -> str:
    """The OpenCL source of `template` with `params` ((name, value), ...), common part first.

    Raises: KernelBuildError when a parameter is missing.
    """
    try:
        body = _lookup().get_template(f"{template}.cl.mako").render(**NAMES, **dict(params))
        fp64 = "double" in body
        return str(_lookup().get_template("common.cl.mako").render(fp64=fp64) + body)
    except NameError as error:
        raise KernelBuildError(f"kernel template {template}: parameter missing: {error}; "
                               f"given are {dict(params)}") from error
