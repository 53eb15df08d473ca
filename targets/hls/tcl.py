"""tcl/run_hls.tcl and tcl/vivado.tcl: a project through Vitis HLS, and into a Zynq with its DMAs.

They name no board. What they need of a part is its name; of the project, what is printed here and what include/ says.
The texts are templates with @NAME@ for what differs between projects.
"""

from __future__ import annotations

from pathlib import Path

from subbyte.compiler.errors import UnsupportedError
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.bus.ports import BusPort, ports_of
from subbyte.targets.hls.bus.protocols import Protocol, port_name
from subbyte.targets.hls.expand import BUS_BITS
from subbyte.targets.hls.parts import Part

_TEMPLATES = Path(__file__).parent / "templates"
_LENGTH_BITS = (14, 26)  # of an AXI DMA's length register: by default, and the most. Source: PG021


def tcl_files(
    design: Design, part: Part, clock_mhz: float, interface: Protocol | str, bus_bits: int = BUS_BITS
) -> dict[str, bytes]:
    """The scripts by path; part and clock are defaults that their arguments replace. bus_bits: of a beat.

    Raises: UnsupportedError: a frame is longer than a DMA moves at once.
    """
    protocol, ports = Protocol(interface), ports_of(design, bus_bits)
    common = _template("arguments.tcl")
    values = {
        "ARGUMENTS": common.rstrip(),
        "NAME": design.name,
        "PART": part.full_name,
        "CLOCK_MHZ": f"{clock_mhz:g}",
        "INTERFACE": "s_axilite" if protocol is Protocol.MEMORY else "axis",
        "PORTS": "\n".join(f"    {_row(port, protocol)}" for port in ports),
    }
    return {f"tcl/{name}": _filled(_template(name), values) for name in ("run_hls.tcl", "vivado.tcl")}


def _row(port: BusPort, protocol: Protocol) -> str:
    """name, direction, pin of the accelerator, bits of a beat, bits of the DMA's length register."""
    direction = "input" if port.is_input else "output"
    pin = port_name(port, protocol) if protocol is Protocol.AXIS else f"m_axi_gmem_{port.name}"
    length_bits = max(port.frame_bytes.bit_length(), _LENGTH_BITS[0])
    if protocol is Protocol.AXIS and length_bits > _LENGTH_BITS[1]:
        raise UnsupportedError(
            f"a frame of '{port.name}' has {port.frame_bytes} bytes, and an AXI DMA moves less than "
            f"{1 << _LENGTH_BITS[1]} at once; take the memory interface"
        )
    return f"{{{port.name} {direction} {pin} {port.bus_bits} {length_bits}}}"


def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.in").read_text(encoding="ascii")


def _filled(text: str, values: dict[str, str]) -> bytes:
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.encode("ascii")
