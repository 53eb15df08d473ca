"""The netlist of an actor: what stands in its module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from subbyte.compiler.errors import UnsupportedError
from subbyte.targets.hls.actors import Actor
from subbyte.targets.hls.rtl.netlist import Netlist


@dataclass(frozen=True)
class Rtl:
    """netlist: the module named as the actor.

    Its ports are `clock`, `reset` and for each stream in<i>_data, in<i>_valid, in<i>_ready, out<i>_data, ...: a word
    moves in each cycle in which valid and ready are high.
    latency: cycles from an iteration's read to the offer of what it writes; a frame without waiting takes
    trace.iterations + latency cycles, the next trace.iterations more.
    """

    netlist: Netlist
    latency: int


def module_of(actor: Actor) -> Netlist:
    """An empty module with the actor's name and, as a comment, what it computes."""
    return Netlist(actor.name, f"{type(actor).__name__} of {', '.join(actor.sources)}" if actor.sources else "")


@singledispatch
def rtl(actor: Actor) -> Rtl:
    """The module of `actor`; registered by kind of actor.

    Raises: UnsupportedError: its kind, or its step form, has none.
    """
    raise UnsupportedError(
        f"actor '{actor.name}' is a {type(actor).__name__}, which has C++ but no SystemVerilog; the C++ "
        "project holds all actors."
    )
