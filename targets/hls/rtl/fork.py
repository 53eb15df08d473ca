"""Fork as a module: a register of a word, and for each output whether it still has to take it."""

from __future__ import annotations

from subbyte.targets.hls.actors import Fork
from subbyte.targets.hls.movement.fork import check_fork
from subbyte.targets.hls.rtl.pipeline import input_port
from subbyte.targets.hls.rtl.rtl import Rtl, module_of, rtl


@rtl.register
def fork(actor: Fork) -> Rtl:
    check_fork(actor)
    netlist = module_of(actor)
    port = input_port(netlist, 0, actor.x.type)
    advance = netlist.declare("advance", 1)
    word = netlist.held(port.data, advance, "word")
    free = []
    for number in range(len(actor.outputs)):
        ready = netlist.input(f"out{number}_ready", 1)
        waiting = netlist.register(f"valid_{number}", 1)
        kept = netlist.all_of(waiting, netlist.inverse(ready))
        netlist.drive(waiting, netlist.choose(advance, port.valid, kept), reset=0)
        free.append(netlist.inverse(kept))
        netlist.output(f"out{number}_data", word)
        netlist.output(f"out{number}_valid", waiting)
    netlist.define(advance, netlist.all_of(*free))
    netlist.output("in0_ready", advance)
    return Rtl(netlist, 1)
