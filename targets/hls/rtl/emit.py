"""SystemVerilog of actors and designs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.targets.hls.actors import Actor, Design
from subbyte.targets.hls.rtl.fifo import fifo
from subbyte.targets.hls.rtl.netlist import Netlist, Signal
from subbyte.targets.hls.rtl.rtl import rtl
from subbyte.targets.hls.rtl.systemverilog import systemverilog


def emit_rtl(actor: Actor) -> str:
    """The module of `actor` in SystemVerilog.

    Raises: UnsupportedError: it has none. ToolchainError: CIRCT is not installed.
    """
    return systemverilog(rtl(actor).netlist.text())


@dataclass(frozen=True)
class RtlProject:
    """files: by path; missing: by the name of an actor why it has no module.

    The module named as the design chains all others by FIFOs; it is there where nothing is missing.
    """

    files: dict[str, bytes]
    missing: dict[str, str]


def rtl_project(design: Design) -> RtlProject:
    """A module for each actor that can have one, in rtl/NAME.sv, and rtl/README.md, which lists the others.

    Raises: GraphError: the depth of a stream between actors was not chosen. ToolchainError: CIRCT is not installed.
    """
    netlists: dict[str, Netlist] = {}
    missing: dict[str, str] = {}
    for actor in design.actors:
        try:
            netlists[actor.name] = rtl(actor).netlist
            if actor.name == design.name:
                netlists[actor.name].name += "_unit"
        except UnsupportedError as error:
            missing[actor.name] = str(error)
    modules = list(netlists.values())
    if not missing:
        fifos = _fifos(design)
        modules += {netlist.name: netlist for netlist in fifos.values()}.values()
        modules.append(_top(design, netlists, fifos))
    printed = systemverilog("".join(netlist.text() for netlist in modules))
    files = {f"rtl/{name}.sv": text.encode() for name, text in split_modules(printed).items()}
    return RtlProject({**files, "rtl/README.md": _readme(design, missing).encode()}, missing)


def rtl_files(design: Design) -> dict[str, bytes]:
    """The files of `rtl_project`; rtl/README.md names what has no module."""
    return rtl_project(design).files


def split_modules(printed: str) -> dict[str, str]:
    """By name the text of each module."""
    found = re.finditer(r"^module (\w+)\(.*?^endmodule\n", printed, re.MULTILINE | re.DOTALL)
    return {module[1]: module[0] for module in found}


def _between(design: Design) -> list[str]:
    """Streams from one actor to another."""
    read = {stream.name for actor in design.actors for stream in actor.inputs}
    return [stream.name for actor in design.actors for stream in actor.outputs if stream.name in read]


def _fifos(design: Design) -> dict[str, Netlist]:
    """By stream."""
    types = {stream.name: stream.type for stream in design.streams}
    unknown = [name for name in _between(design) if name not in design.depths]
    if unknown:
        raise GraphError(
            f"the FIFOs of streams {unknown} of '{design.name}' have no depths; schedule.choose_depths chooses them"
        )
    prefix = f"{design.name}_fifo"
    while any(actor.name.startswith(prefix) for actor in design.actors):
        prefix += "s"
    return {name: fifo(design.depths[name], types[name].word_bits, prefix) for name in _between(design)}


def _top(design: Design, netlists: dict[str, Netlist], fifos: dict[str, Netlist]) -> Netlist:
    """All actors, their FIFOs between them. Inputs in<i>, outputs out<i>: the design's, as an actor's."""
    netlist = Netlist(design.name)
    wires = {
        (stream.name, end, part): netlist.declare(f"{stream.name}_{end}_{part}", width)
        for stream in design.streams
        for end in ("source", "sink")
        for part, width in (("data", stream.type.word_bits), ("valid", 1), ("ready", 1))
    }

    def connect(name: str, end: str, parts: dict[str, Signal]) -> None:
        for part, signal in parts.items():
            netlist.define(wires[name, end, part], signal)

    for number, stream in enumerate(design.inputs):
        given = {
            part: netlist.input(f"in{number}_{part}", width)
            for part, width in (("data", stream.type.word_bits), ("valid", 1))
        }
        connect(stream.name, "source", given)
        netlist.output(f"in{number}_ready", wires[stream.name, "source", "ready"])
    for number, stream in enumerate(design.outputs):
        connect(stream.name, "sink", {"ready": netlist.input(f"out{number}_ready", 1)})
        for part in ("data", "valid"):
            netlist.output(f"out{number}_{part}", wires[stream.name, "sink", part])
    for stream in design.streams:
        if stream.name in fifos:
            inputs = {f"in0_{part}": wires[stream.name, "source", part] for part in ("data", "valid")}
            inputs["out0_ready"] = wires[stream.name, "sink", "ready"]
            results = netlist.instance(f"{stream.name}_fifo", fifos[stream.name], inputs)
            connect(stream.name, "source", {"ready": results["in0_ready"]})
            connect(stream.name, "sink", {part: results[f"out0_{part}"] for part in ("data", "valid")})
        else:
            connect(stream.name, "source", {"ready": wires[stream.name, "sink", "ready"]})
            connect(stream.name, "sink", {part: wires[stream.name, "source", part] for part in ("data", "valid")})
    for actor in design.actors:
        inputs = {}
        for number, stream in enumerate(actor.inputs):
            inputs |= {f"in{number}_{part}": wires[stream.name, "sink", part] for part in ("data", "valid")}
        for number, stream in enumerate(actor.outputs):
            inputs[f"out{number}_ready"] = wires[stream.name, "source", "ready"]
        results = netlist.instance(f"{actor.name}_unit", netlists[actor.name], inputs)
        for number, stream in enumerate(actor.inputs):
            connect(stream.name, "sink", {"ready": results[f"in{number}_ready"]})
        for number, stream in enumerate(actor.outputs):
            connect(stream.name, "source", {part: results[f"out{number}_{part}"] for part in ("data", "valid")})
    return netlist


README = """\
# {name} in SystemVerilog

A module for each actor, named as its function in the C++. Ports: `clock`, `reset` (synchronous, high), and for each
stream `in<i>_data`, `in<i>_valid`, `in<i>_ready`, `out<i>_...`: a word moves in each cycle in which valid and ready are
high. Words are those of the C++: the first lane in the lowest bits.
"""


def _readme(design: Design, missing: dict[str, str]) -> str:
    if not missing:
        rest = f"`{design.name}.sv` is the whole design, its actors joined by FIFOs.\n"
    else:
        listed = "".join(f"* {reason}\n" for reason in missing.values())
        rest = f"These actors have no module, so there is no module of the whole design:\n\n{listed}"
    return f"{README.format(name=design.name)}\n{rest}"
