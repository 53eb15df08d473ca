"""Registers the trace, the C++ and the reference of every kind of actor, by importing the files that do."""

from subbyte.targets.hls.codes import argmax, combine, map
from subbyte.targets.hls.movement import channels, convert, fork
from subbyte.targets.hls.products import depthwise, matrix_vector
from subbyte.targets.hls.windows import pools, resize, sliding_window

__all__ = [
    "argmax",
    "channels",
    "combine",
    "convert",
    "depthwise",
    "fork",
    "map",
    "matrix_vector",
    "pools",
    "resize",
    "sliding_window",
]
