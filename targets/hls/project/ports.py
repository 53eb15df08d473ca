"""What the bus of a project is, for those who print its top function and its testbench."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Port:
    """One input or output of the top function, and the process between it and the stream of the design.

    parameter: of the top function: "hls::stream<ap_axiu<64, 0, 0, 0> >& image". pragmas: lines "#pragma HLS INTERFACE
    ..." about it. process: a statement that moves one frame; `{stream}` stands for the name of the stream's variable:
    "subbyte_hls::from_axis<784, 8, 64>(image, {stream})".
    For the testbench: `declare`, statements that make the port's variable anew for a sample; `move`, a statement that
    puts a frame of words in, or takes one out: `{words}` stands for an array ap_uint<word bits>[words]; `argument`,
    what the top function is called with.
    """

    parameter: str
    pragmas: tuple[str, ...]
    process: str
    declare: str
    move: str
    argument: str


@dataclass(frozen=True)
class Bus:
    """The ports of a design, in the order of its inputs and of its outputs.

    headers: in kernels/, which the top includes; bench_headers: in tb/, which the testbench includes besides.
    pragmas: about the top function itself.
    """

    name: str
    headers: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    pragmas: tuple[str, ...] = ()
    bench_headers: tuple[str, ...] = ()
