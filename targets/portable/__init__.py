"""The target `portable`: C99 for any machine, scalar; its kernels stand behind those of every other target.

`portable+packed` stores codes of 1, 2 and 4 bits between layers in as many bits, where its kernels can: it takes less
memory and more time.
"""

from __future__ import annotations

from dataclasses import replace

from subbyte.compiler.target import Packs, Target, TargetFacts, TargetFamily
from subbyte.targets.portable.kernels import KERNELS

_PORTABLE = Target(
    name="portable",
    family="portable",
    features=frozenset(),
    facts=TargetFacts(),
    compiler_flags=(),
    zig_target="native",
    zig_cpu="baseline",
    kernels=KERNELS,
    runs_here=True,
)
_TARGETS = {
    "portable": _PORTABLE,
    "portable+packed": replace(_PORTABLE, name="portable+packed", facts=TargetFacts(packs_activations=Packs.FOR_SPACE)),
}

TARGET = TargetFamily(
    name="portable", names=tuple(_TARGETS), resolve=_TARGETS.get, native=lambda: _PORTABLE, kernels=KERNELS
)
