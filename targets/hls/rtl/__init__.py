"""Actors as SystemVerilog: netlists of hw, comb, seq and sv operations that CIRCT prints.

Importing this package registers the netlist (`rtl.rtl`) of every kind of actor that has one.
"""

from subbyte.targets.hls.rtl import convert, depthwise, fork, matrix_vector, sliding_window, window_max
from subbyte.targets.hls.rtl.emit import RtlProject, emit_rtl, rtl_files, rtl_project

__all__ = [
    "RtlProject",
    "convert",
    "depthwise",
    "emit_rtl",
    "fork",
    "matrix_vector",
    "rtl_files",
    "rtl_project",
    "sliding_window",
    "window_max",
]
