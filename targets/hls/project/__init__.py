"""Prints the project of a design: C++, ROMs, a testbench with golden vectors, what builds and runs it with g++."""

from subbyte.targets.hls.project.project import make_project

__all__ = ["make_project"]
