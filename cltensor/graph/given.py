"""Numbers that a run is given: learning rates and their like, fed or looked up when the run begins.

    rate = tf.placeholder(tf.float32)
    train = tf.train.AdamOptimizer(rate).minimize(loss)
    sess.run(train, {rate: 0.01})

Such a number could enter a plan as a tensor that is read. As it is known on the host, it enters as a number instead,
like any other learning rate: no upload, and the same bits as in eager execution.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from cltensor.base.errors import InvalidArgumentError
from cltensor.base.shapes import show
from cltensor.core.spec import Spec
from cltensor.core.tensor import constant, to_array
from cltensor.graph.graph import Graph
from cltensor.interpret.record import Symbol
from cltensor.ops.variable import Variable

__all__ = ["giving", "given", "looked_up", "number_at_run"]


class _Feeds(threading.local):
    """What the run of this thread was fed: uid -> (symbol, value)."""

    def __init__(self) -> None:
        self.now: dict[int, tuple] = {}


_feeds = _Feeds()


class giving:
    """Context manager: inside, a run goes on that was fed these."""

    __slots__ = ("_now", "_before")

    def __init__(self, feeds: dict[int, tuple]):
        self._now = feeds

    def __enter__(self) -> None:
        self._before, _feeds.now = _feeds.now, self._now

    def __exit__(self, *exc: Any) -> None:
        _feeds.now = self._before


def given(x: Symbol | Variable) -> np.ndarray | None:
    """What the run was fed for a symbol, or for what a variable holds at its start; None if nothing."""
    for symbol, value in _feeds.now.values():
        if symbol is x or isinstance(x, Variable) and x.graph is not None and x.graph.starts_as(x) is symbol:
            return to_array(value)
    return None


def looked_up(graph: Graph, name: str, now: Callable[[], float]) -> Symbol:
    """A float32 scalar of the graph whose value at a run is `now()`, unless it is fed."""
    symbol, = graph.pull(lambda: [constant(np.float32(now()))], [Spec((), "float32")], name)
    graph.numbers[symbol.uid] = now
    return symbol


def number_at_run(graph: Any, symbol: Symbol) -> Callable[[], float] | None:
    """What gives the value a scalar has at a run, without running ops: of placeholders and looked up ones; else None.

    Raises, when called: InvalidArgumentError for a placeholder that is not fed, or fed no scalar.
    """
    numbers = getattr(graph, "numbers", {})
    if symbol.uid not in numbers:
        return None
    now = numbers[symbol.uid]           # None for a placeholder

    def value() -> float:
        fed = given(symbol)
        if fed is None and now is not None:
            return float(np.float32(now()))
        if fed is None:
            raise InvalidArgumentError(f"Session.run: {symbol} is a placeholder, and nothing is fed for it")
        if fed.shape != ():
            raise InvalidArgumentError(f"Session.run: {symbol} is used as a number, so it must be fed a scalar; its "
                                       f"value has shape {show(fed.shape)}")
        return float(fed)
    return value
