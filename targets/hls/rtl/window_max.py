"""WindowMax as a module: for each lane the largest code so far."""

from __future__ import annotations

from subbyte.targets.hls.actors import WindowMax
from subbyte.targets.hls.rtl.netlist import Signal
from subbyte.targets.hls.rtl.numbers import Number, at_least
from subbyte.targets.hls.rtl.pipeline import Beat, Pipeline, counter, input_port, lanes_of
from subbyte.targets.hls.rtl.rtl import Rtl, module_of, rtl
from subbyte.targets.hls.streams import Element


@rtl.register
def window_max(actor: WindowMax) -> Rtl:
    x = actor.x.type
    netlist = module_of(actor)
    pipeline = Pipeline(netlist)
    port = input_port(netlist, 0, x)
    netlist.output("in0_ready", pipeline.advance)
    step = netlist.all_of(pipeline.advance, port.valid)
    tap, last_tap = counter(netlist, "tap", actor.taps, step)
    first = netlist.equals(tap, 0) if actor.taps > 1 else netlist.true
    # The bits of bipolar codes are in the order of the codes.
    element = Element(0, 1) if x.element.bipolar else x.element
    largest: list[Signal] = []
    for lane in lanes_of(netlist, port.data, x.lanes):
        best = netlist.register("largest", element.bits)
        new = at_least(netlist, Number(lane, element), Number(best, element))
        netlist.drive(best, netlist.choose(netlist.any_of(first, new), lane, best), step)
        largest.append(best)
    beat = pipeline.next(Beat(netlist.all_of(port.valid, last_tap), netlist.true, netlist.true))
    pipeline.finish(netlist.concat(largest), beat)
    return Rtl(netlist, pipeline.stages)
