"""The FIFO of a stream: a RAM and two places. A word can be read in the cycle after it came; a full one takes none."""

from __future__ import annotations

from subbyte.targets.hls.rtl.netlist import Netlist, address_bits
from subbyte.targets.hls.rtl.pipeline import counter


def fifo(depth: int, width: int, prefix: str = "fifo") -> Netlist:
    """PREFIX_<depth>x<width>: `depth` words of `width` bits, with the ports of an actor of one input and one output.

    ready depends on no input, so that FIFOs cut the paths of handshakes from actor to actor.
    """
    netlist = Netlist(f"{prefix}_{depth}x{width}")
    data, valid = netlist.input("in0_data", width), netlist.input("in0_valid", 1)
    ready = netlist.input("out0_ready", 1)
    count = netlist.register("count", address_bits(depth + 1))
    room = netlist.inverse(netlist.equals(count, depth))
    some = netlist.inverse(netlist.equals(count, 0))
    put, take = netlist.all_of(valid, room), netlist.all_of(some, ready)
    one, less = netlist.constant(1, count.width), netlist.constant(-1, count.width)
    netlist.drive(count, netlist.add(count, netlist.choose(put, one, less)), netlist.exclusive(put, take), reset=0)
    words = netlist.ram("words", depth, width)
    netlist.store(words, counter(netlist, "last", depth, put)[0], data, put)
    netlist.output("in0_ready", room)
    netlist.output("out0_data", netlist.load(words, counter(netlist, "first", depth, take)[0]))
    netlist.output("out0_valid", some)
    return netlist
