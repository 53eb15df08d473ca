"""The target `hls`: a self-contained C++ project for high-level synthesis, exact before any vendor tool runs.

`network/` makes layers of a lowered graph, `folding/` chooses how many lanes each works on, `expand` makes actors of
them, `schedule/` the depths of the FIFOs between, `estimate/` says what that costs, `project/` prints it.
"""

from __future__ import annotations

from subbyte.compiler.target import Target, TargetFacts, TargetFamily
from subbyte.targets.hls.rows import ROWS

_HLS = Target(
    name="hls",
    family="hls",
    features=frozenset(),
    facts=TargetFacts(has_fpu=False, threshold_steps=0),  # its layers choose the integer form of N4 themselves
    compiler_flags=(),
    zig_target="",
    zig_cpu="",
    kernels=ROWS,
    language="hls",
)

TARGET = TargetFamily(name="hls", names=("hls",), resolve={"hls": _HLS}.get, native=lambda: None)
