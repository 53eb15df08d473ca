"""Actors as SystemVerilog: netlists of hw, comb, seq and sv operations that CIRCT prints.

Importing this package registers the netlist (`rtl.rtl`) of every kind of actor that has one.
"""

from subbyte.targets.hls.rtl import convert, fork, matrix_vector, sliding_window

__all__ = ["convert", "fork", "matrix_vector", "sliding_window"]
