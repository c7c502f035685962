"""tf.app: starting a program with its flags read from the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from cltensor.base.optional import load

__all__ = ["run"]


def run(main: Callable | None = None, argv: list | None = None) -> Any:
    """Read the flags, call main(argv) with what is left of the command line, and exit with its answer.

    Flags are absl's, as TensorFlow's are; a program that defines none runs without absl.

    Args:
        main: function of the list of arguments; the calling module's `main` without it.
        argv: command line; sys.argv without it.

    Raises: SystemExit with main's answer.
    """
    main = main or sys.modules["__main__"].main
    if "absl.flags" in sys.modules:
        return load("absl.app", "flags").run(main, argv)
    sys.exit(main(list(sys.argv if argv is None else argv)))
