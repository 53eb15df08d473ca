"""Registers the trace, the C++ and the reference of every kind of actor, by importing the files that do."""

from subbyte.targets.hls.codes import argmax, map
from subbyte.targets.hls.movement import channels, convert, fork

__all__ = ["argmax", "channels", "convert", "fork", "map"]
