"""The ports of the top function: AXI4-Stream with TLAST, or arrays in memory by m_axi and s_axilite."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.bus.ports import BusPort, ports_of
from subbyte.targets.hls.instance import Instance
from subbyte.targets.hls.project.ports import Bus, Port
from subbyte.targets.hls.texts import sign

HEADER = "subbyte_hls_bus.h"
BENCH_HEADER = "subbyte_bus.h"


class Protocol(Enum):
    """How frames come and go.

    AXIS: beats of AXI4-Stream; the design runs whenever they come (ap_ctrl_none). MEMORY: the design reads and writes
    arrays whose addresses stand in registers, and starts when software says so (ap_ctrl_hs by s_axilite).
    """

    AXIS = "stream"
    MEMORY = "memory"


@dataclass(frozen=True)
class DesignBus(Bus):
    """The bus of a design, and what software needs to know of it; borders: inputs, then outputs."""

    protocol: Protocol = Protocol.AXIS
    borders: tuple[BusPort, ...] = ()


def bus_of(design: Design, protocol: Protocol | str, width: int = 64) -> DesignBus:
    """The bus of a design that was attached to one of `width` bits (`ports.attach`)."""
    protocol, ports = Protocol(protocol), ports_of(design, width)
    printed = [_axis_port(port) if protocol is Protocol.AXIS else _memory_port(port) for port in ports]
    count = len(design.inputs)
    if protocol is Protocol.AXIS:
        name, pragma = "AXI4-Stream with TLAST", "#pragma HLS INTERFACE ap_ctrl_none port = return"
    else:
        name, pragma = "m_axi and s_axilite", "#pragma HLS INTERFACE s_axilite port = return bundle = control"
    inputs, outputs = tuple(printed[:count]), tuple(printed[count:])
    return DesignBus(name, (HEADER,), inputs, outputs, (pragma,), (BENCH_HEADER,), protocol, ports)


def bus_instance(port: BusPort, protocol: Protocol) -> Instance:
    """The process between a port, called `port_name`, and its stream, `{stream}` in the body."""
    name, where = port_name(port, protocol), "axis" if protocol is Protocol.AXIS else "memory"
    codes = f"{port.element.bits}, {sign(port.element)}, {port.container_bits}, {port.bus_bits}"
    if port.is_input:
        body = f"subbyte_hls::from_{where}<{port.beats}, {port.codes_per_beat}, {codes}>({name}, {{stream}})"
    else:
        lanes = f"{port.codes_per_beat}, {port.codes_in_last_beat}"
        body = f"subbyte_hls::to_{where}<{port.beats}, {lanes}, {codes}>({{stream}}, {name})"
    formula = f"{port.codes} codes of {port.element.bits} bits in containers of {port.container_bits}"
    return Instance((HEADER,), body, comment=(formula, f"{port.beats} beats of {port.bus_bits} bits"))


def port_name(port: BusPort, protocol: Protocol) -> str:
    """What the top function calls its parameter: as Xilinx' block designs name such interfaces."""
    if protocol is Protocol.MEMORY:
        return f"m_axi_{port.name}"
    return f"{'s' if port.is_input else 'm'}_axis_{port.name}"


def _axis_port(port: BusPort) -> Port:
    name = port_name(port, Protocol.AXIS)
    kind = f"hls::stream<ap_axiu<{port.bus_bits}, 0, 0, 0> >"
    if port.is_input:
        move = f"subbyte_bus::send<{_bench_arguments(port)}>({{words}}, {name});"
    else:
        move = f'subbyte_bus::receive<{_bench_arguments(port)}>({name}, {{words}}, "{name}");'
    return Port(
        parameter=f"{kind}& {name}",
        pragmas=(f"#pragma HLS INTERFACE axis port = {name}",),
        process=bus_instance(port, Protocol.AXIS).body,
        declare=f'{kind} {name}("{name}");',
        move=move,
        argument=name,
    )


def _memory_port(port: BusPort) -> Port:
    name = port_name(port, Protocol.MEMORY)
    kind = f"ap_uint<{port.bus_bits}>"
    if port.is_input:
        move = f"subbyte_bus::store<{_bench_arguments(port)}>({{words}}, {name});"
    else:
        move = f'subbyte_bus::load<{_bench_arguments(port)}>({name}, {{words}}, "{name}");'
    return Port(
        parameter=f"{'const ' if port.is_input else ''}{kind}* {name}",
        pragmas=(
            f"#pragma HLS INTERFACE m_axi port = {name} offset = slave bundle = gmem_{port.name} depth = {port.beats}",
            f"#pragma HLS INTERFACE s_axilite port = {name} bundle = control",
        ),
        process=bus_instance(port, Protocol.MEMORY).body,
        declare=f"static {kind} {name}[{port.beats}];",
        move=move,
        argument=name,
    )


def _bench_arguments(port: BusPort) -> str:
    codes = f"{port.codes}, {port.codes_per_beat}, {port.element.bits}"
    return f"{codes}, {sign(port.element)}, {port.container_bits}, {port.bus_bits}"
