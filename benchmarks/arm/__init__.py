"""Arm without a board: exact instruction counts under emulation, and cycles as llvm-mca's models of cores see them.

Both are models of speed, not times: counts know nothing of a pipeline, llvm-mca nothing of caches, branch prediction,
and what one block of code leaves in the pipeline for the next.
"""
