"""tf.logging: Python's logging under TensorFlow's names, to the logger "cltensor"."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

__all__ = ["DEBUG", "ERROR", "FATAL", "INFO", "WARN", "debug", "error", "fatal", "get_verbosity", "info", "log",
           "log_every_n", "log_first_n", "log_if", "set_verbosity", "vlog", "warn", "warning"]

DEBUG, INFO, WARN, ERROR, FATAL = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.FATAL
_logger = logging.getLogger("cltensor")
_seen: Counter = Counter()

debug, info, warn, error, fatal, log = (_logger.debug, _logger.info, _logger.warning, _logger.error, _logger.critical,
                                        _logger.log)
warning = warn


def get_verbosity() -> int:
    """The lowest level that is written."""
    return _logger.getEffectiveLevel()


def set_verbosity(v: int) -> None:
    """Write messages of this level and above: DEBUG, INFO, WARN, ERROR or FATAL.

    The first call also sends them to standard error, unless the program has set up logging for itself.
    """
    _logger.setLevel(v)
    if not _logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s:cltensor:%(message)s"))
        _logger.addHandler(handler)


def vlog(level: int, msg: str, *args: Any) -> None:
    """Log at a numeric level."""
    _logger.log(level, msg, *args)


def log_if(level: int, msg: str, condition: Any, *args: Any) -> None:
    """Log if the condition holds."""
    if condition:
        _logger.log(level, msg, *args)


def log_first_n(level: int, msg: str, n: int, *args: Any) -> None:
    """Log this text the first n times only."""
    _seen[msg] += 1
    log_if(level, msg, _seen[msg] <= n, *args)


def log_every_n(level: int, msg: str, n: int, *args: Any) -> None:
    """Log this text the first time and every n-th after."""
    _seen[msg] += 1
    log_if(level, msg, (_seen[msg] - 1) % n == 0, *args)
