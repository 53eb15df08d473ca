"""MapCodes: codes through tables in ROM, one for all channels or one for each (kernels/subbyte_hls_map.h)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.targets.hls.actors import MapCodes
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes
from subbyte.targets.hls.texts import hex_literal, wrapped
from subbyte.targets.hls.trace import Trace, trace

MOST_BITS = 16  # a ROM of 2**16 words for each channel; more is no table any more
_LATENCY = 3  # a ROM's address and data registers, the write


def rom(actor: MapCodes) -> Codes:
    """int64 [1, 2**bits], or [lanes, words of a run * 2**bits] where channels have tables of their own.

    A row is indexed by the bits of a code (those of channel fold * lanes + lane by fold * 2**bits more) and holds the
    bits of y's codes; 0 where there is no such code or channel.
    Raises: GraphError where the table does not fit the streams; UnsupportedError above 16 bits.
    """
    x, y = actor.x.type, actor.y.type
    codes = x.element.high - x.element.low + 1
    if x.element.bits > MOST_BITS:
        raise UnsupportedError(
            f"actor '{actor.name}' looks codes of {x.element.bits} bits up; tables have up to {MOST_BITS} bits, "
            f"so requantize to fewer before"
        )
    step = 2 if x.element.bipolar else 1
    if actor.table.shape not in {(1, codes), (x.channels, codes)} or replace(y, element=x.element) != x:
        raise GraphError(
            f"actor '{actor.name}' has tables {actor.table.shape} between streams {x} and {y}; one for all channels or "
            f"one for each is needed, [1 or {x.channels}, {codes}], and streams of one shape"
        )
    used = np.arange(x.element.low, x.element.high + 1, step)
    rows = np.zeros((actor.table.shape[0], 1 << x.element.bits), np.int64)
    rows[:, x.element.encode(used)] = y.element.encode(actor.table[:, ::step])
    if actor.table.shape[0] == 1:
        return rows
    padded = np.zeros((x.words_per_run * x.lanes, rows.shape[1]), np.int64)
    padded[: x.channels] = rows
    return padded.reshape(x.words_per_run, x.lanes, -1).transpose(1, 0, 2).reshape(x.lanes, -1)


@trace.register
def trace_map(actor: MapCodes) -> Trace:
    words = np.arange(actor.x.type.words)
    return Trace(actor.x.type.words, (words,), (words,), _LATENCY)


@instance.register
def instance_map(actor: MapCodes) -> Instance:
    x, y = actor.x.type, actor.y.type
    table, shared = rom(actor), actor.table.shape[0] == 1
    literals = [wrapped((hex_literal(int(code), y.element.bits) for code in row), "    ") for row in table]
    extents = f"[{table.shape[1]}]" if shared else f"[{table.shape[0]}][{table.shape[1]}]"
    text = literals[0] if shared else ",\n".join(f"    {{\n{row}}}" for row in literals)
    arguments = f"{x.words}, {x.channels}, {x.lanes}, {x.element.bits}, {y.element.bits}"
    function = "map_codes" if shared else "map_channels"
    return Instance(
        headers=("subbyte_hls_map.h",),
        constants=f"static const ap_uint<{y.element.bits}> {actor.name}_table{extents} = {{\n{text}}};\n",
        body=f"subbyte_hls::{function}<{arguments}>(in0, out0, {actor.name}_table);",
        comment=(f"y = table{'' if shared else '[channel]'}[x], {x.words} words of {x.lanes} codes",),
    )


@reference.register
def reference_map(actor: MapCodes, x: Codes) -> tuple[Codes, ...]:
    row = np.arange(actor.x.type.channels) if actor.table.shape[0] > 1 else 0
    return (actor.table[row, x - actor.x.type.element.low],)
