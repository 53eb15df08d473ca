"""The bus around a design: arrays of codes outside, words of its streams inside; AXI4-Stream or memory."""

from subbyte.targets.hls.bus.ports import BusPort, attach, port_of, ports_of, with_port_names
from subbyte.targets.hls.bus.protocols import DesignBus, Protocol, bus_instance, bus_of, port_name

__all__ = [
    "BusPort",
    "DesignBus",
    "Protocol",
    "attach",
    "bus_instance",
    "bus_of",
    "port_name",
    "port_of",
    "ports_of",
    "with_port_names",
]
