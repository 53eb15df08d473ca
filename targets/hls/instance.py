"""The C++ of an actor: what stands in its function and which constants and headers that needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Actor


@dataclass(frozen=True)
class Instance:
    """What is printed for one actor; the project puts it into a function with a parameter for each stream.

    headers: names of files in kernels/. constants: C++ text of the constant arrays, named after the actor, for
    src/weights_NAME.h; "" where there are none. body: statements; streams are called in0, in1, ... and out0, out1, ...,
    each a `hls::stream<ap_uint<word bits>>&`. comment: the formula in words, a line each.
    """

    headers: tuple[str, ...]
    body: str
    constants: str = ""
    comment: tuple[str, ...] = ()


@singledispatch
def instance(actor: Actor) -> Instance:
    """The C++ of `actor`; registered beside its header's contract."""
    raise GraphError(f"actor '{actor.name}' is a {type(actor).__name__}, which has no C++")
