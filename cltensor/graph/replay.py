"""Passes, then a replay: a program optimised and compiled for a device, run again and again.

A replay reads the variables, runs the program, and stores the new values of variables at the end: one that fails
half-way changes nothing. There are two: `graph/planned.py` for programs of kernels on one device, and
`graph/stepwise.py` for those with host ops or several devices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from cltensor.base import config
from cltensor.graph.passes.counters import count_on_host
from cltensor.graph.passes.cse import cse
from cltensor.graph.passes.epilogues import absorb_epilogues
from cltensor.graph.passes.fold import fold
from cltensor.graph.passes.fuse import fuse_elementwise
from cltensor.graph.passes.narrow import narrow_products
from cltensor.graph.passes.pieces import read_pieces
from cltensor.graph.passes.places import write_places
from cltensor.graph.passes.products import sum_products
from cltensor.graph.passes.prologues import absorb_prologues
from cltensor.graph.passes.prune import prune
from cltensor.graph.passes.simplify import simplify
from cltensor.graph.passes.sums import fuse_sums
from cltensor.graph.passes.turn import turn_shared
from cltensor.graph.passes.updates import merge_updates
from cltensor.graph.planned import Planned, fits
from cltensor.graph.program import Program
from cltensor.graph.stepwise import Stepwise
from cltensor.interpret.record import Node
from cltensor.runtime import device as devices

__all__ = ["PASSES", "optimize", "Replay", "prepare"]

_log = logging.getLogger("cltensor")
PASSES: tuple[Callable[[Program], Program], ...] = (
    prune, fold, simplify, cse, count_on_host, narrow_products, turn_shared, sum_products, fuse_sums, fuse_elementwise,
    read_pieces, prune, write_places, absorb_prologues, absorb_epilogues, merge_updates)
Replay = Planned | Stepwise


def optimize(program: Program, passes: tuple = PASSES) -> Program:
    """The program after all passes; CLTENSOR_DEBUG=5 shows it before and after each."""
    shown = config.debug(5)
    if shown:
        _log.info("program of %d nodes\n%s", len(program.nodes), program)
    for run in passes:
        program = run(program)
        if shown:
            _log.info("after %s: %d nodes\n%s", run.__name__, len(program.nodes), program)
    return program


def prepare(program: Program, device: Any = None, passes: tuple = PASSES) -> Replay:
    """The program optimised and compiled for a device (the default one); `recorded` is the program before."""
    device = device or devices.default()
    # a scope that names the device everything runs on anyway must not keep ops apart
    nodes = [Node(n.op, n.inputs, n.attrs, n.outputs, None) if n.device is device else n for n in program.nodes]
    recorded = program.with_nodes(nodes)
    best = optimize(recorded, passes)
    replay: Replay = Planned(best, device) if fits(best, device) else Stepwise(best, device)
    replay.recorded = recorded
    return replay
