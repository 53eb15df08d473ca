"""The netlist of an actor: what stands in its module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from subbyte.compiler.errors import UnsupportedError
from subbyte.targets.hls.actors import Actor


@dataclass(frozen=True)
class Rtl:
    """modules: the hw.module named as the actor, in MLIR.

    Its ports are `clock`, `reset` and for each stream in<i>_data, in<i>_valid, in<i>_ready, out<i>_data, ...: a word
    moves in each cycle in which valid and ready are high.
    latency: cycles from an iteration's read to the offer of what it writes; a frame without waiting takes
    trace.iterations + latency cycles, the next trace.iterations more.
    """

    modules: str
    latency: int


@singledispatch
def rtl(actor: Actor) -> Rtl:
    """The module of `actor`; registered by kind of actor.

    Raises: UnsupportedError: its kind, or its step form, has none.
    """
    raise UnsupportedError(
        f"actor '{actor.name}' is a {type(actor).__name__}, which has C++ but no SystemVerilog of its own; "
        "the C++ project holds all actors."
    )
