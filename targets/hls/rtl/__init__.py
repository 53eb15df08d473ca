"""Actors as SystemVerilog: netlists of hw, comb, seq and sv operations that CIRCT prints.

Importing this package registers the netlist (`rtl.rtl`) of every kind of actor that has one.
"""

from subbyte.targets.hls.rtl import matrix_vector, sliding_window

__all__ = ["matrix_vector", "sliding_window"]
