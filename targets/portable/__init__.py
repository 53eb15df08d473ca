"""The target `portable`: C99 for any machine, scalar; its kernels stand behind those of every other target."""

from __future__ import annotations

from subbyte.compiler.target import Target, TargetFacts, TargetFamily
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


def _resolve(name: str) -> Target | None:
    return _PORTABLE if name == _PORTABLE.name else None


TARGET = TargetFamily(
    name="portable", names=(_PORTABLE.name,), resolve=_resolve, native=lambda: _PORTABLE, kernels=KERNELS
)
